package event

import (
	"testing"
	"time"
)

func micros(t *testing.T, s string) int64 {
	t.Helper()
	if s == "" {
		return NoTime
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMicro()
}

func TestClock(t *testing.T) {
	for _, c := range []struct{ id, received, sent, original, want string }{
		{"S1", "2015-12-12T19:11:01.266Z", "2015-12-12T19:11:01.169Z", "2015-12-12T19:11:01.152Z", "2015-12-12T19:11:01.249Z"},
		{"S2", "2015-12-10T04:08:31.909Z", "2015-12-10T04:08:31.581Z", "2015-12-10T04:08:31.577Z", "2015-12-10T04:08:31.905Z"},
		{"S4", "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z", "2026-01-01T10:59:30Z", "2026-01-01T09:59:30Z"},
		{"S5", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T09:00:00Z", "2026-01-01T09:00:00Z"},
		{"microseconds", "2026-01-01T12:00:00.000003Z", "2026-01-01T12:00:00.000002Z", "2026-01-01T12:00:00.000001Z", "2026-01-01T12:00:00.000002Z"},
		{"no sentAt", "2026-01-01T12:00:00Z", "", "2026-01-01T09:00:00Z", "2026-01-01T09:00:00Z"},
		{"no original", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z", "", "2026-01-01T12:00:00Z"},
		{"neither", "2026-01-01T12:00:00Z", "", "", "2026-01-01T12:00:00Z"},
		{"out of the calendar", "2026-01-01T12:00:00Z", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
	} {
		if got := clock(micros(t, c.received), micros(t, c.sent), micros(t, c.original)); got != micros(t, c.want) {
			t.Errorf("%s: %s, want %s", c.id, time.UnixMicro(got).UTC().Format(time.RFC3339Nano), c.want)
		}
	}
}

func TestClockTS(t *testing.T) {
	received := micros(t, "2026-01-01T12:00:00Z")
	far, near := received+FutureLimit+1, received+FutureLimit
	for _, c := range []struct {
		name     string
		call     Call
		computed int64
		future   bool
	}{
		{"as computed", Call{TS: received - 5, ReceivedAt: received, SentAt: received, OriginalTimestamp: received - 5}, received - 5, false},
		{"a day ahead is kept", Call{TS: near, ReceivedAt: received, SentAt: NoTime, OriginalTimestamp: near}, near, false},
		{"more than a day ahead", Call{TS: received, ReceivedAt: received, SentAt: NoTime, OriginalTimestamp: far}, far, true},
		{"by the formula", Call{TS: received, ReceivedAt: received, SentAt: received - 10, OriginalTimestamp: far - 10}, far, true},
		{"nothing known", Call{TS: received, ReceivedAt: received, SentAt: NoTime, OriginalTimestamp: NoTime}, received, false},
		{"a trusted timestamp", Call{TS: received - 7, ReceivedAt: received, SentAt: received - 5, OriginalTimestamp: received - 7}, received - 2, false},
		{"a trusted timestamp ahead", Call{TS: received, ReceivedAt: received, SentAt: received + 10, OriginalTimestamp: far}, far, true},
	} {
		computed, future := ClockTS(&c.call)
		if computed != c.computed || future != c.future {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, computed-received, future, c.computed-received, c.future)
		}
	}
}
