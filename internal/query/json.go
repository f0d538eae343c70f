package query

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// exact is 2^53: beyond it a reader that keeps numbers as doubles, as JavaScript does, would round.
const exact = 1 << 53

// AppendJSON appends a value of type t as JSON. docs/sql.md has the table of how each type is written.
func AppendJSON(dst []byte, t *Type, v any) []byte {
	if v == nil {
		return append(dst, "null"...)
	}
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(dst, v)
	case int64:
		return appendInt64(dst, t, v)
	case uint64:
		if v > exact {
			return append(strconv.AppendUint(append(dst, '"'), v, 10), '"')
		}
		return strconv.AppendUint(dst, v, 10)
	case *big.Int:
		return appendBig(dst, t, v)
	case float32:
		return appendFloat(dst, float64(v), 32)
	case float64:
		return appendFloat(dst, v, 64)
	case string:
		if t.Kind == JSON {
			return appendRaw(dst, v)
		}
		return appendString(dst, v)
	case []byte:
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, v), '"')
	case Span:
		return appendString(dst, v.String())
	case Member:
		dst = append(appendString(append(dst, '{'), v.Tag), ':')
		return append(AppendJSON(dst, &v.Type, v.Value), '}')
	case []any:
		return appendNested(dst, t, v)
	default:
		return appendString(dst, fmt.Sprint(v))
	}
}

func appendInt64(dst []byte, t *Type, v int64) []byte {
	switch t.Kind {
	case Int:
		if v > exact || v < -exact {
			return append(strconv.AppendInt(append(dst, '"'), v, 10), '"')
		}
		return strconv.AppendInt(dst, v, 10)
	case Date:
		return append(append(append(dst, '"'), dateText(v)...), '"')
	case Time:
		return append(append(append(dst, '"'), ClockText(v, t.Unit)...), '"')
	default:
		return append(append(append(dst, '"'), timestampText(v, t.Unit)...), '"')
	}
}

func appendBig(dst []byte, t *Type, v *big.Int) []byte {
	if t.Kind == Decimal {
		return append(append(append(dst, '"'), decimalText(v, int(t.Scale))...), '"')
	}
	if v.IsInt64() {
		if n := v.Int64(); -exact <= n && n <= exact {
			return strconv.AppendInt(dst, n, 10)
		}
	}
	return append(v.Append(append(dst, '"'), 10), '"')
}

// appendFloat writes the shortest text that reads back as the same number; what JSON has no number
// for is a string.
func appendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, bits)
}

// appendRaw appends JSON text as it is, on one line; text that is no JSON becomes a string.
func appendRaw(dst []byte, v string) []byte {
	if !json.Valid([]byte(v)) {
		return appendString(dst, v)
	}
	if strings.ContainsAny(v, "\n\r") {
		var b bytes.Buffer
		if json.Compact(&b, []byte(v)) == nil {
			return append(dst, b.Bytes()...)
		}
	}
	return append(dst, v...)
}

func appendNested(dst []byte, t *Type, items []any) []byte {
	switch t.Kind {
	case Struct:
		dst = append(dst, '{')
		for i, item := range items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, t.Fields[i]), ':')
			dst = AppendJSON(dst, &t.Elem[i], item)
		}
		return append(dst, '}')
	case Map:
		return appendMap(dst, t, items)
	}
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSON(dst, &t.Elem[0], item)
	}
	return append(dst, ']')
}

// appendMap writes a map with text keys as an object, any other as a list of {"key", "value"}.
func appendMap(dst []byte, t *Type, items []any) []byte {
	object := t.Elem[0].Kind == Text
	dst = append(dst, "[{"[b2i(object)])
	for i := 0; i < len(items); i += 2 {
		if i > 0 {
			dst = append(dst, ',')
		}
		if object {
			dst = append(AppendJSON(dst, &t.Elem[0], items[i]), ':')
			dst = AppendJSON(dst, &t.Elem[1], items[i+1])
			continue
		}
		dst = AppendJSON(append(dst, `{"key":`...), &t.Elem[0], items[i])
		dst = AppendJSON(append(dst, `,"value":`...), &t.Elem[1], items[i+1])
		dst = append(dst, '}')
	}
	return append(dst, "]}"[b2i(object)])
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string; only what JSON demands is escaped.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// decimalText writes an unscaled integer with its point.
func decimalText(v *big.Int, scale int) string {
	text := v.String()
	if scale == 0 {
		return text
	}
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	if missing := scale + 1 - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	return sign + text[:len(text)-scale] + "." + text[len(text)-scale:]
}

const secondsPerDay = 86400

// dateText writes days since 1970 as YYYY-MM-DD. The engine's infinities are the ends of 32 bits.
func dateText(days int64) string {
	switch days {
	case math.MaxInt32:
		return "infinity"
	case -math.MaxInt32:
		return "-infinity"
	}
	day, _, _ := strings.Cut(calendar(days*secondsPerDay), "T")
	return day
}

// calendar writes seconds since 1970 without zone. Years that have not four digits carry a sign, as ISO 8601 has it.
func calendar(unix int64) string {
	t := time.Unix(unix, 0).UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return fmt.Sprintf("%+06d", year) + t.Format("-01-02T15:04:05")
	}
	return t.Format("2006-01-02T15:04:05")
}

// timestampText writes RFC 3339 in UTC: six digits of a second, nine where the type has nanoseconds.
// The engine's infinities are the ends of 64 bits.
func timestampText(v int64, unit Unit) string {
	switch v {
	case math.MaxInt64:
		return "infinity"
	case -math.MaxInt64:
		return "-infinity"
	}
	per := unit.perSecond()
	whole, part := v/per, v%per
	if part < 0 {
		whole, part = whole-1, part+per
	}
	return calendar(whole) + fraction(part, unit) + "Z"
}

// ClockText writes ticks since midnight as HH:MM:SS with six digits of a second, nine for nanoseconds.
func ClockText(v int64, unit Unit) string {
	per := unit.perSecond()
	s := v / per
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60) + fraction(v%per, unit)
}

// fraction writes the part of a second: six digits, nine for nanoseconds.
func fraction(part int64, unit Unit) string {
	digits := 6
	if unit == Nanosecond {
		digits = 9
	} else {
		part *= 1e6 / unit.perSecond()
	}
	text := [10]byte{'.'}
	for i := digits; i > 0; i-- {
		text[i] = byte('0' + part%10)
		part /= 10
	}
	return string(text[:digits+1])
}
