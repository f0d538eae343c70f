package event

import "time"

// FutureLimit is how far ahead of receipt a computed time may lie, in microseconds; beyond it the time of receipt is stored.
const FutureLimit = int64(24 * time.Hour / time.Microsecond)

// Times from year 1 to year 9999, in Unix microseconds.
const (
	minTime = -62135596800_000_000
	maxTime = 253402300799_999_999
)

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

// ParseTime reads an ISO-8601 date or date-time with a real calendar date in the years 1 to 9999: YYYY-MM-DD, or that with T or a
// space and HH:MM[:SS[.fraction]] and optionally Z, +HH, +HHMM or +HH:MM; UTC where no zone is named. The fraction may have a comma
// and any number of digits; what is finer than a microsecond is cut. The result is in Unix microseconds.
func ParseTime[T string | []byte](s T) (int64, bool) {
	year, ok1 := digits(s, 0, 4)
	month, ok2 := digits(s, 5, 2)
	day, ok3 := digits(s, 8, 2)
	if !ok1 || !ok2 || !ok3 || s[4] != '-' || s[7] != '-' || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	us := daysSinceEpoch(year, month, day) * 86_400_000_000
	if len(s) == 10 {
		return us, true
	}
	clock, n, ok := parseClock(s)
	if !ok {
		return 0, false
	}
	zone, ok := parseZone(s, n)
	if !ok {
		return 0, false
	}
	us += clock - zone
	return us, us >= minTime && us <= maxTime
}

// parseClock reads the time of day from s[10:]: microseconds, and where it ends.
func parseClock[T string | []byte](s T) (us int64, n int, ok bool) {
	if c := s[10]; c != 'T' && c != ' ' && c != 't' {
		return 0, 0, false
	}
	hour, ok1 := digits(s, 11, 2)
	minute, ok2 := digits(s, 14, 2)
	if !ok1 || !ok2 || s[13] != ':' || hour > 23 || minute > 59 {
		return 0, 0, false
	}
	us, n = int64(hour*60+minute)*60_000_000, 16
	if n == len(s) || s[n] != ':' {
		return us, n, true
	}
	second, ok := digits(s, 17, 2)
	if !ok || second > 59 {
		return 0, 0, false
	}
	us, n = us+int64(second)*1_000_000, 19
	if n == len(s) || s[n] != '.' && s[n] != ',' {
		return us, n, true
	}
	start, unit := n+1, int64(100_000)
	for n = start; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
		us += int64(s[n]-'0') * unit
		unit /= 10
	}
	return us, n, n > start
}

// parseZone reads the zone from s[n:]: how far ahead of UTC, in microseconds.
func parseZone[T string | []byte](s T, n int) (us int64, ok bool) {
	if n == len(s) {
		return 0, true
	}
	sign := int64(1)
	switch s[n] {
	case 'Z', 'z':
		return 0, n+1 == len(s)
	case '-':
		sign = -1
	case '+':
	default:
		return 0, false
	}
	hour, ok := digits(s, n+1, 2)
	if !ok || hour > 23 {
		return 0, false
	}
	n += 3
	minute := 0
	if n < len(s) {
		if s[n] == ':' {
			n++
		}
		if minute, ok = digits(s, n, 2); !ok || minute > 59 || n+2 != len(s) {
			return 0, false
		}
	}
	return sign * int64(hour*60+minute) * 60_000_000, true
}

// digits reads n decimal digits at s[at:].
func digits[T string | []byte](s T, at, n int) (v int, ok bool) {
	if len(s) < at+n {
		return 0, false
	}
	for i := at; i < at+n; i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		v = v*10 + int(c)
	}
	return v, true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSinceEpoch counts days of the Gregorian calendar from 1970-01-01, by eras of 400 years that begin in March.
func daysSinceEpoch(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era, yoe := year/400, year%400
	doy := (153*(month-3)+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}
