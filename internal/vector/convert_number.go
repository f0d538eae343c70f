package vector

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// maxDigits bounds what an exponent may write out: more than any decimal of MongoDB, and what PostgreSQL holds before the point.
const maxDigits = 131_072

func (v *Vector) toNumber(from *Vector, row int) string {
	switch from.Type.Kind {
	case Bool:
		if v.Type.Kind == Decimal {
			v.AppendString(strconv.FormatInt(from.Nums[row], 10))
			return ""
		}
		if v.Type.Kind == Float {
			v.AppendFloat(float64(from.Nums[row]))
			return ""
		}
		v.AppendNum(from.Nums[row])
		return ""
	case Int:
		return v.fromInt(from.Nums[row])
	case Uint:
		if n := from.Nums[row]; n >= 0 {
			return v.fromInt(n)
		}
		return v.fromDecimal(strconv.AppendUint(nil, uint64(from.Nums[row]), 10))
	case Float:
		return v.fromFloat(from.Float(row))
	case Decimal:
		return v.fromDecimal(from.Bytes(row))
	}
	return v.isNo(from)
}

func (v *Vector) doesNotFit() string { return "does not fit " + v.Type.String() }

func (v *Vector) fromInt(n int64) string {
	switch v.Type.Kind {
	case Bool:
		if n != 0 && n != 1 {
			return "is neither 0 nor 1"
		}
	case Int:
		if shift := 64 - v.Type.Bits; n<<shift>>shift != n {
			return v.doesNotFit()
		}
	case Uint:
		if n < 0 || v.Type.Bits < 64 && uint64(n)>>v.Type.Bits != 0 {
			return v.doesNotFit()
		}
	case Float:
		f := float64(n)
		if v.Type.Bits == 32 {
			f = float64(float32(n))
		}
		if f >= 1<<63 || int64(f) != n {
			return "is an integer that no " + v.Type.String() + " holds exactly"
		}
		v.AppendFloat(f)
		return ""
	default:
		return v.fromDecimal(strconv.AppendInt(nil, n, 10))
	}
	v.AppendNum(n)
	return ""
}

func (v *Vector) fromFloat(f float64) string {
	switch v.Type.Kind {
	case Float:
		if v.Type.Bits == 32 && float64(float32(f)) != f && !math.IsNaN(f) {
			return "has more digits than a float32 holds"
		}
		v.AppendFloat(f)
		return ""
	case Decimal:
		return v.fromDecimal(AppendFloat(nil, f, 64))
	}
	if f != math.Trunc(f) || math.IsNaN(f) || math.IsInf(f, 0) {
		return "is not a whole number"
	}
	if f >= -1<<63 && f < 1<<63 {
		return v.fromInt(int64(f))
	}
	if f >= 1<<63 && f < 1<<64 && v.Type.Kind == Uint && v.Type.Bits == 64 {
		v.AppendNum(int64(uint64(f)))
		return ""
	}
	return v.doesNotFit()
}

// fromDecimal takes the text of any number.
func (v *Vector) fromDecimal(text []byte) string {
	switch v.Type.Kind {
	case Decimal:
		d, reason := normalDecimal(text, v.Type)
		if reason == "" {
			v.AppendBytes(d)
		}
		return reason
	case Float:
		f, ok := parseFloat(string(text), v.Type.Bits)
		if !ok {
			return "has more digits than a " + v.Type.String() + " holds"
		}
		v.AppendFloat(f)
		return ""
	}
	d, reason := normalDecimal(text, Type{Kind: Decimal})
	if reason != "" {
		return reason
	}
	return v.wholeDecimal(d)
}

// wholeDecimal is for integers and booleans; d is without exponent.
func (v *Vector) wholeDecimal(d []byte) string {
	d = trimDecimal(d)
	if len(d) > 0 && (d[0] == 'N' || bytes.HasSuffix(d, []byte("y"))) || bytes.IndexByte(d, '.') >= 0 {
		return "is not a whole number"
	}
	if n, err := strconv.ParseInt(string(d), 10, 64); err == nil {
		return v.fromInt(n)
	}
	if n, err := strconv.ParseUint(string(d), 10, 64); err == nil && v.Type.Kind == Uint && v.Type.Bits == 64 {
		v.AppendNum(int64(n))
		return ""
	}
	return v.doesNotFit()
}

// scientific is number text, taken apart: sign, digits without zeros at either end, and where the point is: value = 0.digits * 10^exp.
type scientific struct {
	minus  bool
	digits []byte
	exp    int
}

// takeApart reads [+-]digits[.digits][e[+-]digits]; text of anything else is not ok. An exponent is cut to a size that is beyond any
// use.
func takeApart(text []byte) (s scientific, ok bool) {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		s.minus = text[0] == '-'
		text = text[1:]
	}
	mantissa := text
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		n, err := strconv.ParseInt(string(text[i+1:]), 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return s, false
		}
		s.exp = int(min(max(n, -1<<30), 1<<30))
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte{'.'})
	if len(whole) == 0 && len(fraction) == 0 {
		return s, false
	}
	s.digits = append(append(make([]byte, 0, len(mantissa)), whole...), fraction...)
	for _, c := range s.digits {
		if c < '0' || c > '9' {
			return s, false
		}
	}
	s.exp += len(whole)
	trimmed := bytes.TrimLeft(s.digits, "0")
	s.exp -= len(s.digits) - len(trimmed)
	s.digits = bytes.TrimRight(trimmed, "0")
	if len(s.digits) == 0 {
		s.exp = 0
	}
	return s, true
}

// DecimalText reports whether a text is a finite number as SQL and JSON write them: digits, a point, an exponent.
func DecimalText(text string) bool {
	_, ok := takeApart([]byte(text))
	return ok
}

// sameNumber reports whether two texts stand for the same number.
func sameNumber(a, b []byte) bool {
	x, ok := takeApart(a)
	y, ok2 := takeApart(b)
	return ok && ok2 && x.exp == y.exp && bytes.Equal(x.digits, y.digits) && (x.minus == y.minus || len(x.digits) == 0)
}

// normalDecimal writes number text as Decimal holds it: without exponent and plus, the zeros at its end kept as far as the scale
// allows. The reason says why a type does not hold it.
func normalDecimal(text []byte, t Type) (out []byte, reason string) {
	switch string(text) {
	case "NaN", "Infinity", "-Infinity":
		if t.Width > 0 {
			return nil, string(text) + " is in no " + t.String()
		}
		return text, ""
	}
	s, ok := takeApart(text)
	if !ok {
		if len(text) == 0 {
			return nil, "is empty text, not " + article(t)
		}
		return nil, "the text is not " + article(t)
	}
	before, behind := max(s.exp, 0), max(len(s.digits)-s.exp, 0)
	if t.Width > 0 {
		if behind > int(t.Scale) {
			return nil, "has " + strconv.Itoa(behind) + " digits behind the point, " + t.String() + " has room for " + strconv.Itoa(int(t.Scale))
		}
		if room := int(t.Width - t.Scale); before > room && len(s.digits) > 0 {
			return nil, "has " + strconv.Itoa(before) + " digits before the point, " + t.String() + " has room for " + strconv.Itoa(room)
		}
	}
	if before > maxDigits || behind > maxDigits {
		return nil, "has more digits than can be written out"
	}
	if plain := plainDecimal(text); plain != nil && (t.Width == 0 || fractionLength(plain) <= int(t.Scale)) {
		return plain, ""
	}
	return s.write(before, behind), ""
}

// plainDecimal is the text itself where it is as Decimal holds it: its zeros are kept.
func plainDecimal(text []byte) []byte {
	if bytes.ContainsAny(text, "eE+") || text[len(text)-1] == '.' {
		return nil
	}
	digits := bytes.TrimPrefix(text, []byte{'-'})
	if digits[0] == '.' || len(digits) > 1 && digits[0] == '0' && digits[1] != '.' {
		return nil
	}
	return text
}

func fractionLength(text []byte) int {
	i := bytes.IndexByte(text, '.')
	if i < 0 {
		return 0
	}
	return len(text) - i - 1
}

// write gives the number with so many digits before and behind the point.
func (s *scientific) write(before, behind int) []byte {
	out := make([]byte, 0, before+behind+3)
	if s.minus {
		out = append(out, '-')
	}
	if before == 0 {
		out = append(out, '0')
	}
	for i := s.exp - before; i < s.exp+behind; i++ {
		if i == s.exp {
			out = append(out, '.')
		}
		if i >= 0 && i < len(s.digits) {
			out = append(out, s.digits[i])
		} else {
			out = append(out, '0')
		}
	}
	return out
}

// Digits counts what a number text needs before and behind the point, zeros at the ends left out; it is not ok for NaN, Infinity and
// text that is no number.
func Digits(text []byte) (before, behind int, ok bool) {
	s, ok := takeApart(text)
	if !ok || len(s.digits) == 0 {
		return 0, 0, ok
	}
	return max(s.exp, 0), max(len(s.digits)-s.exp, 0), ok
}
