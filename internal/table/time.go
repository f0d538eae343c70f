package table

// ParseTimestamp reads an ISO-8601 date or date-time of a real calendar day in the years 1 to 9999: YYYY-MM-DD, or that with T or a
// space and HH:MM[:SS[.fraction]] and optionally Z, +HH, +HHMM or +HH:MM; UTC where no zone is named. The result is in Unix
// microseconds; exact is false when the fraction is finer than that, and then it is cut. Nothing else is a timestamp: no week dates,
// no signed years, no lower-case letters.
func ParseTimestamp(s string) (us int64, exact, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false, false
	}
	year, ok1 := number(s[:4])
	month, ok2 := number(s[5:7])
	day, ok3 := number(s[8:10])
	if !ok1 || !ok2 || !ok3 || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false, false
	}
	us = daysSinceEpoch(year, month, day) * 86_400_000_000
	if len(s) == 10 {
		return us, true, true
	}
	if s[10] != 'T' && s[10] != ' ' {
		return 0, false, false
	}
	clock, exact, rest, ok := timeOfDay(s[11:])
	if !ok {
		return 0, false, false
	}
	zone, ok := offset(rest)
	us += clock - zone
	return us, exact, ok && us >= minTime && us <= maxTime
}

// The years 1 to 9999 in Unix microseconds.
const (
	minTime = -62135596800_000_000
	maxTime = 253402300799_999_999
)

// timeOfDay reads HH:MM[:SS[.fraction]] and returns what follows it.
func timeOfDay(s string) (us int64, exact bool, rest string, ok bool) {
	if len(s) < 5 || s[2] != ':' {
		return 0, false, "", false
	}
	hour, ok1 := number(s[:2])
	minute, ok2 := number(s[3:5])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, false, "", false
	}
	us = int64(hour*60+minute) * 60_000_000
	s = s[5:]
	if len(s) == 0 || s[0] != ':' {
		return us, true, s, true
	}
	if len(s) < 3 {
		return 0, false, "", false
	}
	second, ok := number(s[1:3])
	if !ok || second > 59 {
		return 0, false, "", false
	}
	us += int64(second) * 1_000_000
	s = s[3:]
	if len(s) == 0 || s[0] != '.' {
		return us, true, s, true
	}
	exact = true
	i, unit := 1, int64(100_000)
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		us += int64(s[i]-'0') * unit
		exact = exact && (unit > 0 || s[i] == '0')
		unit /= 10
	}
	return us, exact, s[i:], i > 1
}

// offset reads the zone: how far it is ahead of UTC, in microseconds.
func offset(s string) (us int64, ok bool) {
	if s == "" || s == "Z" {
		return 0, true
	}
	sign := int64(1)
	switch s[0] {
	case '+':
	case '-':
		sign = -1
	default:
		return 0, false
	}
	s = s[1:]
	if len(s) == 5 && s[2] == ':' {
		s = s[:2] + s[3:]
	}
	minute, ok2 := 0, true
	if len(s) == 4 {
		minute, ok2 = number(s[2:])
		s = s[:2]
	}
	if len(s) != 2 {
		return 0, false
	}
	hour, ok1 := number(s)
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, false
	}
	return sign * int64(hour*60+minute) * 60_000_000, true
}

// number reads decimal digits, all of s.
func number(s string) (n int, ok bool) {
	for i := 0; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int(d)
	}
	return n, true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSinceEpoch counts days of the proleptic Gregorian calendar from 1970-01-01. Years are taken to begin in March, so that the
// leap day is the last of a year.
func daysSinceEpoch(year, month, day int) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	y := int64(year)
	return 365*y + y/4 - y/100 + y/400 + int64(153*(month-3)+2)/5 + int64(day) - 719_469
}
