package vector

import (
	"math"
	"strings"
)

func parseInfinity(text string) (int64, bool) {
	switch text {
	case "infinity":
		return PosInfinity, true
	case "-infinity":
		return NegInfinity, true
	}
	return 0, false
}

func parseDate(text string) (int64, bool) {
	if n, ok := parseInfinity(text); ok {
		return n, true
	}
	text, bc := strings.CutSuffix(text, " BC")
	days, rest, ok := readDay(text, bc)
	return days, ok && rest == ""
}

// readDay reads year-month-day; the year has four digits or more.
func readDay(text string, bc bool) (days int64, rest string, ok bool) {
	year, rest, ok := readDigits(text, 4, 7)
	if !ok || !strings.HasPrefix(rest, "-") || year == 0 {
		return 0, "", false
	}
	month, rest, ok := readDigits(rest[1:], 2, 2)
	if !ok || !strings.HasPrefix(rest, "-") || month < 1 || month > 12 {
		return 0, "", false
	}
	day, rest, ok := readDigits(rest[1:], 2, 2)
	if bc {
		year = 1 - year
	}
	if !ok || day < 1 || day > daysIn(year, int(month)) {
		return 0, "", false
	}
	return daysOf(year, int(month), int(day)), rest, true
}

func daysIn(year int64, month int) int64 {
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

func readDigits(text string, least, most int) (n int64, rest string, ok bool) {
	i := 0
	for i < len(text) && i < most && text[i] >= '0' && text[i] <= '9' {
		n = n*10 + int64(text[i]-'0')
		i++
	}
	return n, text[i:], i >= least
}

// readClock reads HH:MM[:SS[.ffffff]] and up to 24:00:00, or more hours where those are written.
func readClock(text string) (micros int64, rest string, ok bool) {
	hours, rest, ok := readDigits(text, 2, 9)
	if !ok || !strings.HasPrefix(rest, ":") {
		return 0, "", false
	}
	minutes, rest, ok := readDigits(rest[1:], 2, 2)
	if !ok || minutes > 59 {
		return 0, "", false
	}
	micros = (hours*60 + minutes) * 60 * microsPerSecond
	if !strings.HasPrefix(rest, ":") {
		return micros, rest, true
	}
	n, rest, ok := readSeconds(rest[1:], 2)
	return micros + n, rest, ok && n < 60*microsPerSecond
}

// readSeconds reads seconds with a fraction of at most microseconds; zeros behind those are nothing.
func readSeconds(text string, least int) (micros int64, rest string, ok bool) {
	seconds, rest, ok := readDigits(text, least, 12)
	if !ok {
		return 0, "", false
	}
	micros = seconds * microsPerSecond
	if !strings.HasPrefix(rest, ".") {
		return micros, rest, true
	}
	rest = rest[1:]
	digits := 0
	for div := microsPerSecond / 10; digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9'; digits++ {
		d := int64(rest[digits] - '0')
		if div == 0 && d != 0 {
			return 0, "", false
		}
		micros += d * div
		div /= 10
	}
	return micros, rest[digits:], digits > 0
}

// readZone reads Z, +HH, +HHMM, +HH:MM or +HH:MM:SS to the end of the text; seconds east of UTC.
func readZone(text string) (seconds int64, zoned, ok bool) {
	if text == "" {
		return 0, false, true
	}
	if text == "Z" || text == "z" {
		return 0, true, true
	}
	sign := int64(1)
	switch text[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return 0, false, false
	}
	unit := int64(3600)
	for text = text[1:]; text != "" && unit > 0; unit /= 60 {
		n, rest, ok := readDigits(text, 2, 2)
		if !ok || n > 59 || unit == 3600 && n > 24 {
			return 0, false, false
		}
		seconds += n * unit
		if text = strings.TrimPrefix(rest, ":"); text == "" && rest != "" {
			return 0, false, false
		}
	}
	return sign * seconds, true, text == "" && unit < 3600
}

// parseTimestamp reads date and time. With a zone the text may name one, none is UTC; without, it must not.
func parseTimestamp(text string, tz bool) (int64, bool) {
	if n, ok := parseInfinity(text); ok {
		return n, true
	}
	text, bc := strings.CutSuffix(text, " BC")
	days, rest, ok := readDay(text, bc)
	if !ok || days > math.MaxInt64/microsPerDay || days < math.MinInt64/microsPerDay-1 {
		return 0, false
	}
	clock, offset := int64(0), int64(0)
	if rest != "" {
		if rest[0] != ' ' && rest[0] != 'T' && rest[0] != 't' {
			return 0, false
		}
		if clock, rest, ok = readClock(rest[1:]); !ok || clock > microsPerDay {
			return 0, false
		}
		var zoned bool
		if offset, zoned, ok = readZone(strings.TrimPrefix(rest, " ")); !ok || zoned && !tz {
			return 0, false
		}
	}
	clock -= offset * microsPerSecond
	if days < 0 { // the first day of all begins before what fits
		days++
		clock -= microsPerDay
	}
	sum, ok := plus(days*microsPerDay, clock)
	return sum, ok && sum != PosInfinity && sum != NegInfinity
}

func formatTimeTZ(micros, offset int64) string {
	b := appendClock(nil, micros)
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	b = append2(append(b, sign), int(offset/3600))
	if offset%3600 != 0 {
		b = append2(append(b, ':'), int(offset/60%60))
	}
	if offset%60 != 0 {
		b = append2(append(b, ':'), int(offset%60))
	}
	return string(b)
}

// parseSpan reads an interval as ISO 8601 with a sign a part, or as a clock with a sign: -838:59:59.
func parseSpan(text string) (Span, bool) {
	if body, ok := strings.CutPrefix(text, "P"); ok {
		return parseISOSpan(body)
	}
	body, minus := strings.CutPrefix(text, "-")
	n, rest, ok := readClock(body)
	if minus {
		n = -n
	}
	return Span{Micros: n}, ok && rest == ""
}

// unit is a part of an interval, in months, days or microseconds.
type unit struct{ months, days, micros int64 }

func spanUnit(c byte, clock bool) (unit, bool) {
	switch {
	case !clock && c == 'Y':
		return unit{months: 12}, true
	case !clock && c == 'M':
		return unit{months: 1}, true
	case !clock && c == 'W':
		return unit{days: 7}, true
	case !clock && c == 'D':
		return unit{days: 1}, true
	case clock && c == 'H':
		return unit{micros: 3600 * microsPerSecond}, true
	case clock && c == 'M':
		return unit{micros: 60 * microsPerSecond}, true
	case clock && c == 'S':
		return unit{micros: microsPerSecond}, true
	}
	return unit{}, false
}

func parseISOSpan(text string) (Span, bool) {
	var months, days, micros int64
	clock, parts := false, 0
	for text != "" {
		if text[0] == 'T' && !clock {
			clock, text = true, text[1:]
			continue
		}
		digits, minus := strings.CutPrefix(text, "-")
		n, rest, ok := readSeconds(digits, 1)
		if !ok || rest == "" {
			return Span{}, false
		}
		u, ok := spanUnit(rest[0], clock)
		if !ok || n%microsPerSecond != 0 && u.micros != microsPerSecond {
			return Span{}, false
		}
		whole := n / microsPerSecond
		if minus {
			n, whole = -n, -whole
		}
		months += whole * u.months
		days += whole * u.days
		if u.micros == microsPerSecond {
			micros, ok = plus(micros, n)
		} else {
			micros, ok = plusTimes(micros, whole, u.micros)
		}
		if !ok {
			return Span{}, false
		}
		text = rest[1:]
		parts++
	}
	s := Span{Months: int32(months), Days: int32(days), Micros: micros}
	return s, parts > 0 && int64(s.Months) == months && int64(s.Days) == days
}

func plus(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}

func plusTimes(a, n, times int64) (int64, bool) {
	if times == 0 || n == 0 {
		return a, true
	}
	product := n * times
	if product/times != n {
		return 0, false
	}
	return plus(a, product)
}
