package mysql

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"firth/internal/vector"
)

// Bounds of the server's dates: the years 1 to 9999.
const (
	firstDay, lastDay = -719162, 2932896
	dayMicros         = 86400 * 1000000
)

// encoder writes values as text that the server reads as exactly them.
type encoder struct {
	mostText int
	buf      []byte
}

// encode gives the text of a value, of a blob its hexadecimal digits; the reason says why the server cannot hold it. The text is valid
// until the next call.
func (e *encoder) encode(v *vector.Vector, row int) (text []byte, reason string) {
	e.buf = e.buf[:0]
	switch v.Type.Kind {
	case vector.Bool, vector.Int:
		e.buf = strconv.AppendInt(e.buf, v.Num(row), 10)
	case vector.Uint:
		e.buf = strconv.AppendUint(e.buf, uint64(v.Num(row)), 10)
	case vector.Float:
		f := v.Float(row)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, "MySQL's floats hold no " + v.Text(row)
		}
		e.buf = strconv.AppendFloat(e.buf, f, 'g', -1, 64)
	case vector.Decimal:
		if bounded(v.Type) {
			return e.decimal(v.Bytes(row), v.Type)
		}
		return v.Bytes(row), ""
	case vector.Date, vector.Timestamp, vector.TimestampTZ:
		return e.moment(v, row)
	case vector.Time:
		e.buf = appendClock(e.buf, v.Num(row))
	case vector.UUID, vector.TimeTZ, vector.Interval:
		e.buf = v.AppendText(e.buf, row)
	case vector.List:
		e.buf = v.AppendJSON(e.buf, row)
		return e.long(e.buf)
	case vector.Blob:
		b := v.Bytes(row)
		if len(b) > e.mostText {
			return nil, "longer than the server's max_allowed_packet allows"
		}
		e.buf = hex.AppendEncode(e.buf, b)
	case vector.JSON:
		if !json.Valid(v.Bytes(row)) {
			return nil, "not valid JSON"
		}
		return e.long(v.Bytes(row))
	default:
		return e.long(v.Bytes(row))
	}
	return e.buf, ""
}

func (e *encoder) long(b []byte) ([]byte, string) {
	if len(b) > e.mostText {
		return nil, "longer than the server's max_allowed_packet allows"
	}
	if !utf8.Valid(b) {
		return nil, "not valid UTF-8"
	}
	return b, ""
}

// decimal checks that the type has room for all digits.
func (e *encoder) decimal(b []byte, t vector.Type) ([]byte, string) {
	digits := bytes.TrimPrefix(b, []byte("-"))
	if len(digits) == 0 || digits[0] < '0' || digits[0] > '9' {
		return nil, string(b) + " is in no " + t.String()
	}
	whole, part, _ := bytes.Cut(digits, []byte("."))
	whole, part = bytes.TrimLeft(whole, "0"), bytes.TrimRight(part, "0")
	if len(whole) > int(t.Width-t.Scale) || len(part) > int(t.Scale) {
		return nil, t.String() + " has no room for its digits"
	}
	return b, ""
}

func (e *encoder) moment(v *vector.Vector, row int) ([]byte, string) {
	n := v.Num(row)
	day := n
	if v.Type.Kind != vector.Date {
		day = n / dayMicros
		if n%dayMicros < 0 {
			day--
		}
	}
	if n == vector.PosInfinity || n == vector.NegInfinity || day < firstDay || day > lastDay {
		return nil, "MySQL has the years 1 to 9999"
	}
	if v.Type.Kind == vector.Date {
		e.buf = time.Unix(day*86400, 0).UTC().AppendFormat(e.buf, "2006-01-02")
	} else {
		e.buf = appendTime(e.buf, n)
	}
	return e.buf, ""
}

// appendClock appends HH:MM:SS.ffffff.
func appendClock(b []byte, micros int64) []byte {
	two := func(n int64) { b = append(b, byte('0'+n/10), byte('0'+n%10)) }
	s := micros / 1e6
	two(s / 3600)
	b = append(b, ':')
	two(s / 60 % 60)
	b = append(b, ':')
	two(s % 60)
	b = append(b, '.')
	for unit := int64(100000); unit > 0; unit /= 10 {
		b = append(b, byte('0'+micros/unit%10))
	}
	return b
}

// mirrorLiteral is a value as SQL; ok is false where the server has none such.
func mirrorLiteral(v *vector.Vector, row int) (string, bool) {
	if !v.Valid[row] {
		return "NULL", true
	}
	e := encoder{mostText: math.MaxInt}
	text, reason := e.encode(v, row)
	if reason != "" {
		return "", false
	}
	if v.Type.Kind == vector.Blob {
		return "x'" + string(text) + "'", true
	}
	return literal(string(text)), true
}

// valueLiteral is mirrorLiteral of a value by itself.
func valueLiteral(x vector.Value) (string, bool) {
	v := vector.New(vector.Type{Kind: x.Kind, Bits: x.Bits})
	v.AppendValue(x)
	return mirrorLiteral(v, 0)
}
