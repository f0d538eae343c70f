package event

import (
	"time"

	"firth/internal/table"
)

// FutureLimit is how far ahead of receipt a computed time may lie, in microseconds; beyond it the time of receipt is stored.
const FutureLimit = int64(24 * time.Hour / time.Microsecond)

// minTime is the beginning of the year 1 in Unix microseconds, the earliest time that is stored.
const minTime = -62135596800_000_000

// clock corrects the client's clock: receivedAt - (sentAt - originalTimestamp), as Segment does
// (https://segment.com/docs/connections/spec/common/#timestamps). Without sentAt the original stands, without the original the
// time of receipt. A correction that would leave the calendar is not made.
func clock(receivedAt, sentAt, original int64) int64 {
	if original == NoTime {
		return receivedAt
	}
	if sentAt == NoTime {
		return original
	}
	ts := receivedAt - (sentAt - original)
	if ts < minTime {
		return original
	}
	return ts
}

// ClockTS gives the time that the clocks of the call say, and whether that lies so far ahead that c.TS is the time of receipt
// instead. It needs nothing but the columns of the lake.
func ClockTS(c *Call) (computed int64, future bool) {
	computed = clock(c.ReceivedAt, c.SentAt, c.OriginalTimestamp)
	if c.TS != c.ReceivedAt {
		return computed, false
	}
	limit := c.ReceivedAt + FutureLimit
	if computed <= limit && c.OriginalTimestamp > limit && c.SentAt != NoTime && c.SentAt <= limit {
		computed = c.OriginalTimestamp // a trusted timestamp, which no clock has corrected
	}
	return computed, computed > limit
}

// ParseTime reads a time as calls have it, in Unix microseconds: see [table.ParseTimestamp]. What is finer is cut.
func ParseTime(s string) (us int64, ok bool) {
	us, _, ok = table.ParseTimestamp(s)
	return us, ok
}
