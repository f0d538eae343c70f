package vector

import "strconv"

const (
	microsPerSecond = int64(1_000_000)
	microsPerDay    = 86_400 * microsPerSecond
)

// civil gives the proleptic Gregorian date of a day since 1970; year 0 is 1 BC. The reckoning goes by eras of 400 years that begin in
// March, so that the leap day ends a year.
func civil(days int64) (year int64, month, day int) {
	z := days + 719_468
	era := floorDiv(z, 146_097)
	doe := z - era*146_097
	yoe := (doe - doe/1_460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy-(153*mp+2)/5) + 1
	month = int(mp) + 3
	year = yoe + era*400
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

// daysOf is the reverse of civil for a date that exists.
func daysOf(year int64, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(year, 400)
	yoe := year - era*400
	doy := int64((153*(month-3)+2)/5 + day - 1)
	return era*146_097 + yoe*365 + yoe/4 - yoe/100 + doy - 719_468
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func appendDate(dst []byte, days int64) []byte {
	if out, ok := appendInfinity(dst, days); ok {
		return out
	}
	dst, bc := appendDay(dst, days)
	return appendEra(dst, bc)
}

func appendInfinity(dst []byte, n int64) ([]byte, bool) {
	switch n {
	case PosInfinity:
		return append(dst, "infinity"...), true
	case NegInfinity:
		return append(dst, "-infinity"...), true
	}
	return dst, false
}

func appendEra(dst []byte, bc bool) []byte {
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

func appendDay(dst []byte, days int64) (out []byte, bc bool) {
	year, month, day := civil(days)
	if year <= 0 {
		year, bc = 1-year, true
	}
	for n := year; n < 1000; n *= 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendInt(dst, year, 10)
	dst = append2(append(dst, '-'), month)
	return append2(append(dst, '-'), day), bc
}

func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// appendClock writes microseconds since midnight, without zeros at the end of a fraction.
func appendClock(dst []byte, micros int64) []byte {
	seconds := int(micros / microsPerSecond)
	if hours := seconds / 3600; hours < 100 {
		dst = append2(dst, hours)
	} else {
		dst = strconv.AppendInt(dst, int64(hours), 10)
	}
	dst = append2(append(dst, ':'), seconds/60%60)
	dst = append2(append(dst, ':'), seconds%60)
	return appendFraction(dst, micros%microsPerSecond)
}

func appendFraction(dst []byte, micros int64) []byte {
	if micros == 0 {
		return dst
	}
	dst = append(dst, '.')
	for div := microsPerSecond / 10; micros > 0; div /= 10 {
		dst = append(dst, byte('0'+micros/div))
		micros %= div
	}
	return dst
}

func appendTimestamp(dst []byte, micros int64, zone string) []byte {
	if out, ok := appendInfinity(dst, micros); ok {
		return out
	}
	days := floorDiv(micros, microsPerDay)
	dst, bc := appendDay(dst, days)
	dst = appendClock(append(dst, ' '), micros-days*microsPerDay)
	return appendEra(append(dst, zone...), bc)
}

// appendSpan writes an interval as ISO 8601 with a sign a part, as PostgreSQL's intervalstyle iso_8601 does.
func appendSpan(dst []byte, s Span) []byte {
	if s == (Span{}) {
		return append(dst, "PT0S"...)
	}
	dst = append(dst, 'P')
	part := func(n int64, unit byte) {
		if n != 0 {
			dst = append(strconv.AppendInt(dst, n, 10), unit)
		}
	}
	part(int64(s.Months/12), 'Y')
	part(int64(s.Months%12), 'M')
	part(int64(s.Days), 'D')
	if s.Micros == 0 {
		return dst
	}
	dst = append(dst, 'T')
	part(s.Micros/(3600*microsPerSecond), 'H')
	part(s.Micros/(60*microsPerSecond)%60, 'M')
	rest := s.Micros % (60 * microsPerSecond)
	if rest == 0 {
		return dst
	}
	if rest < 0 {
		dst, rest = append(dst, '-'), -rest
	}
	dst = strconv.AppendInt(dst, rest/microsPerSecond, 10)
	return append(appendFraction(dst, rest%microsPerSecond), 'S')
}
