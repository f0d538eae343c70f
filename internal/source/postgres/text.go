package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"

	"firth/internal/vector"
)

// appendText writes a value of the binary format as the server prints it; arrays as nested JSON. It is for values that were decoded
// already, so their sizes are right.
func appendText(dst []byte, f, elem form, b []byte) []byte {
	be := binary.BigEndian
	switch f {
	case formBool:
		return strconv.AppendBool(dst, b[0] != 0)
	case formInt2:
		return strconv.AppendInt(dst, int64(int16(be.Uint16(b))), 10)
	case formInt4:
		return strconv.AppendInt(dst, int64(int32(be.Uint32(b))), 10)
	case formUint4:
		return strconv.AppendUint(dst, uint64(be.Uint32(b)), 10)
	case formInt8:
		return strconv.AppendInt(dst, int64(be.Uint64(b)), 10)
	case formFloat4:
		return strconv.AppendFloat(dst, float64(math.Float32frombits(be.Uint32(b))), 'g', -1, 32)
	case formFloat8:
		return strconv.AppendFloat(dst, math.Float64frombits(be.Uint64(b)), 'g', -1, 64)
	case formNumeric:
		dst, _ = appendNumeric(dst, b) // it was decoded once
		return dst
	case formJSONB:
		return append(dst, b[1:]...)
	case formBytes:
		return hex.AppendEncode(append(dst, `\x`...), b)
	case formArray:
		return appendArray(dst, elem, b)
	case formText:
		return append(dst, b...)
	}
	return appendTemporal(dst, f, b)
}

func appendTemporal(dst []byte, f form, b []byte) []byte {
	be := binary.BigEndian
	switch f {
	case formDate:
		switch n := int32(be.Uint32(b)); n {
		case math.MaxInt32:
			return append(dst, "infinity"...)
		case math.MinInt32:
			return append(dst, "-infinity"...)
		default:
			dst, bc := appendDate(dst, int64(n)+epochDays)
			return append(dst, bc...)
		}
	case formTimestamp:
		return appendTimestamp(dst, int64(be.Uint64(b)), "")
	case formTimestampTZ:
		return appendTimestamp(dst, int64(be.Uint64(b)), "+00")
	case formTime:
		return appendTime(dst, int64(be.Uint64(b)))
	case formTimeTZ:
		return appendTimeTZ(dst, b)
	case formInterval:
		s := span(b)
		if name := infinite(s); name != "" {
			return append(dst, name...)
		}
		return appendSpan(dst, s)
	}
	return dst
}

// appendDate writes the day so many days after 1970-01-01 in the calendar that goes on for ever, and returns what says that it lies
// before the year 1.
func appendDate(dst []byte, days int64) (out []byte, bc string) {
	// Years are counted from March of the year 0, in eras of 400 years, so that the leap day comes last.
	z := days + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day, month, year := doy-(153*mp+2)/5+1, mp+3, yoe+era*400
	if month > 12 {
		month, year = month-12, year+1
	}
	if year < 1 {
		year, bc = 1-year, " BC"
	}
	dst = append(appendPadded(dst, year, 4), '-')
	dst = append(appendPadded(dst, month, 2), '-')
	return appendPadded(dst, day, 2), bc
}

func appendPadded(dst []byte, n int64, width int) []byte {
	limit := int64(10)
	for i := 1; i < width; i++ {
		if n < limit {
			dst = append(dst, '0')
		}
		limit *= 10
	}
	return strconv.AppendInt(dst, n, 10)
}

const microsADay = 86400 * 1_000_000

// appendTimestamp writes a time in microseconds since 2000-01-01, with the zone that it is in.
func appendTimestamp(dst []byte, micros int64, zone string) []byte {
	switch micros {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case math.MinInt64:
		return append(dst, "-infinity"...)
	}
	days, rest := micros/microsADay, micros%microsADay
	if rest < 0 {
		days, rest = days-1, rest+microsADay
	}
	dst, bc := appendDate(dst, days+epochDays)
	return append(append(appendTime(append(dst, ' '), rest), zone...), bc...)
}

// appendTime writes HH:MM:SS and the fraction without zeros behind it.
func appendTime(dst []byte, micros int64) []byte {
	if micros < 0 {
		dst, micros = append(dst, '-'), -micros
	}
	seconds, fraction := micros/1_000_000, micros%1_000_000
	dst = append(appendPadded(dst, seconds/3600, 2), ':')
	dst = append(appendPadded(dst, seconds/60%60, 2), ':')
	dst = appendPadded(dst, seconds%60, 2)
	if fraction == 0 {
		return dst
	}
	dst = appendPadded(append(dst, '.'), fraction, 6)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendTimeTZ writes a time of day with its offset, which the server counts in seconds to the west.
func appendTimeTZ(dst, b []byte) []byte {
	dst = appendTime(dst, int64(binary.BigEndian.Uint64(b)))
	zone, sign := int64(int32(binary.BigEndian.Uint32(b[8:]))), byte('-')
	if zone <= 0 {
		zone, sign = -zone, '+'
	}
	dst = appendPadded(append(dst, sign), zone/3600, 2)
	if zone%3600 != 0 {
		dst = appendPadded(append(dst, ':'), zone/60%60, 2)
	}
	if zone%60 != 0 {
		dst = appendPadded(append(dst, ':'), zone%60, 2)
	}
	return dst
}

// appendSpan writes an interval as ISO 8601 with its three parts apart.
func appendSpan(dst []byte, s vector.Span) []byte {
	dst = strconv.AppendInt(append(dst, 'P'), int64(s.Months), 10)
	dst = strconv.AppendInt(append(dst, 'M'), int64(s.Days), 10)
	dst = append(dst, "DT"...)
	sign := ""
	micros := uint64(s.Micros)
	if s.Micros < 0 {
		sign, micros = "-", -micros
	}
	dst = strconv.AppendUint(append(dst, sign...), micros/1_000_000, 10)
	if f := micros % 1_000_000; f != 0 {
		dst = appendPadded(append(dst, '.'), int64(f), 6)
	}
	return append(dst, 'S')
}

// appendArray writes an array as nested JSON: numbers and booleans bare, everything else quoted.
func appendArray(dst []byte, elem form, b []byte) []byte {
	dims, at, _, err := arrayHeader(b)
	if err != nil || dims == 0 {
		return append(dst, "[]"...)
	}
	dst, _ = appendDimension(dst, elem, b, at, 0, dims)
	return dst
}

// appendDimension writes the elements from at on, of the dimension-th of so many dimensions.
func appendDimension(dst []byte, elem form, b []byte, at, which, dims int) ([]byte, int) {
	dst = append(dst, '[')
	for i := range dimension(b, which) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if which+1 < dims {
			dst, at = appendDimension(dst, elem, b, at, which+1, dims)
			continue
		}
		value, next, err := element(b, at)
		if err != nil {
			break
		}
		at = next
		dst = appendElement(dst, elem, value)
	}
	return append(dst, ']'), at
}

func appendElement(dst []byte, elem form, value []byte) []byte {
	if value == nil {
		return append(dst, "null"...)
	}
	text := appendText(nil, elem, 0, value)
	switch elem {
	case formBool, formInt2, formInt4, formInt8, formUint4:
		return append(dst, text...)
	case formFloat4, formFloat8, formNumeric:
		if last := text[len(text)-1]; last >= '0' && last <= '9' {
			return append(dst, text...)
		}
	}
	quoted := vector.New(vector.Type{Kind: vector.Text})
	quoted.AppendBytes(text)
	return quoted.AppendJSON(dst, 0)
}
