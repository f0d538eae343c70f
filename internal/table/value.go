package table

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Bool returns a boolean.
func Bool(b bool) Value {
	if b {
		return Value{Type: Boolean, Bits: 1, Text: "true"}
	}
	return Value{Type: Boolean, Text: "false"}
}

// Int returns an integer. Its text is left out: Cast writes it when it is needed.
func Int(n int64) Value { return Value{Type: Integer, Bits: uint64(n)} }

// Float64 returns a float without text.
func Float64(f float64) Value { return Value{Type: Float, Bits: math.Float64bits(f)} }

// Text returns a string.
func Text(s string) Value { return Value{Type: String, Text: s} }

// Time returns a timestamp, given in Unix microseconds, without text.
func Time(us int64) Value { return Value{Type: Timestamp, Bits: uint64(us)} }

// Number returns the value of a JSON number: an integer when it has neither point nor exponent and is within int64, else a float.
// The text is kept. A number beyond the range of float64 is an infinite float, which fits nothing but a string.
func Number(text string) Value {
	if n, ok := parseInt(text); ok {
		return Value{Type: Integer, Bits: uint64(n), Text: text}
	}
	// The error can only say that the number is out of range; then f is infinite.
	f, _ := strconv.ParseFloat(text, 64)
	return Value{Type: Float, Bits: math.Float64bits(f), Text: text}
}

// parseInt is strconv.ParseInt(s, 10, 64) without an error to allocate for what is a float.
func parseInt(s string) (int64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var n uint64
	for i := 0; i < len(digits); i++ {
		d := digits[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	if len(digits) < len(s) {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= math.MaxInt64
}

// Literal returns the value of a string as events are typed: a timestamp when it has the form that ParseTimestamp reads, else a
// string.
func Literal(s string) Value {
	if us, _, ok := ParseTimestamp(s); ok {
		return Value{Type: Timestamp, Bits: uint64(us), Text: s}
	}
	return Value{Type: String, Text: s}
}

// Int64 is the integer that an Integer holds, or the Unix microseconds of a Timestamp.
func (v Value) Int64() int64 { return int64(v.Bits) }

// Float64 is the number that a Float holds.
func (v Value) Float64() float64 { return math.Float64frombits(v.Bits) }

// String returns the value as it came, or in its usual form where no text was kept: a timestamp in RFC 3339 with microseconds.
func (v Value) String() string {
	if v.Text != "" {
		return v.Text
	}
	switch v.Type {
	case Boolean:
		return strconv.FormatBool(v.Bits != 0)
	case Integer:
		return strconv.FormatInt(v.Int64(), 10)
	case Float:
		return strconv.FormatFloat(v.Float64(), 'g', -1, 64)
	case Timestamp:
		return time.UnixMicro(v.Int64()).UTC().Format("2006-01-02T15:04:05.999999Z07:00")
	}
	return ""
}

// Exact reports whether the bits say all that the text does. They do not for an integer beyond int64, which a Float holds as its
// nearest, and for a timestamp that is finer than a microsecond. The digits that every float is short of do not count.
func (v Value) Exact() bool {
	switch v.Type {
	case Float:
		if v.Text == "" || strings.ContainsAny(v.Text, ".eE") {
			return true
		}
		// A short integer is here because it was cast, which it is only when it is equal.
		_, short := parseInt(v.Text)
		return short
	case Timestamp:
		if v.Text == "" {
			return true
		}
		_, exact, ok := ParseTimestamp(v.Text)
		return ok && exact
	}
	return true
}

// Cast returns the value as one of type to, if nothing is lost by it: an integer as a float that is equal to it, an integral
// float as an integer, any scalar as a string, a string that ParseTimestamp reads as a timestamp. ok is false where the value
// does not fit; it must be listed as discarded then. Null fits everything.
func (v Value) Cast(to Type) (cast Value, ok bool) {
	if v.Type == Null {
		return v, true
	}
	if v.Type == to {
		return v, to != Float || !math.IsInf(v.Float64(), 0)
	}
	switch to {
	case Integer:
		if v.Type == Float {
			return v.floatToInteger()
		}
	case Float:
		if v.Type == Integer {
			return v.integerToFloat()
		}
	case Timestamp:
		if v.Type == String {
			lit := Literal(v.Text)
			return lit, lit.Type == Timestamp
		}
	case String:
		return Value{Type: String, Text: v.String()}, true
	}
	return v, false
}

func (v Value) integerToFloat() (Value, bool) {
	n := v.Int64()
	f := float64(n)
	// 1<<63 is the one float that has no int64 to compare with.
	if f >= 1<<63 || int64(f) != n {
		return v, false
	}
	return Value{Type: Float, Bits: math.Float64bits(f), Text: v.Text}, true
}

func (v Value) floatToInteger() (Value, bool) {
	if v.Text != "" {
		n, ok := integral(v.Text)
		if !ok {
			return v, false
		}
		return Value{Type: Integer, Bits: uint64(n), Text: v.Text}, true
	}
	f := v.Float64()
	if f != math.Trunc(f) || f < -1<<63 || f >= 1<<63 {
		return v, false
	}
	return Int(int64(f)), true
}

// integral reads a JSON number that has no fractional part, however it is written (3.0, 25.00, 1e3). It works on the text: a
// float64 has lost what decides for long numbers.
func integral(text string) (int64, bool) {
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		e, err := strconv.Atoi(text[i+1:])
		if err != nil || e > 1000 || e < -1000 {
			return 0, false
		}
		mantissa, exponent = text[:i], e
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	digits := whole + fraction
	point := len(whole) + exponent // digits before the point
	if point < 0 || strings.Trim(digits, "0") == "" {
		return 0, strings.Trim(digits, "0") == ""
	}
	if point < len(digits) {
		if strings.Trim(digits[point:], "0") != "" {
			return 0, false
		}
		digits = digits[:point]
	} else {
		if point > 1000+len(digits) {
			return 0, false
		}
		digits += strings.Repeat("0", point-len(digits))
	}
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		digits = "0"
	}
	return parseInt(sign + digits)
}
