package vector

import (
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendText adds the canonical text of a value, nothing for NULL. It is what PostgreSQL prints with its settings of today: true and
// false; floats by the fewest digits that give the same number again, NaN, Infinity; dates and times as ISO 8601 with a space
// between, years before the first as BC, infinity, instants in UTC with +00; bytes as \x and hexadecimal digits. Intervals are ISO
// 8601 (P1Y2M3DT4H5M6.7S). Lists are JSON arrays, in which decimals and integers beyond 2^53 are strings.
//
// ParseInto reads it back; two values of a type are equal exactly where their texts are.
func (v *Vector) AppendText(dst []byte, row int) []byte {
	if !v.Valid[row] {
		return dst
	}
	switch v.Type.Kind {
	case Null:
		return dst
	case Bool:
		return strconv.AppendBool(dst, v.Nums[row] != 0)
	case Int:
		return strconv.AppendInt(dst, v.Nums[row], 10)
	case Uint:
		return strconv.AppendUint(dst, uint64(v.Nums[row]), 10)
	case Float:
		return AppendFloat(dst, v.Float(row), v.Type.Bits)
	case Blob:
		return hex.AppendEncode(append(dst, '\\', 'x'), v.Bytes(row))
	case UUID:
		return appendUUID(dst, v.Bytes(row))
	case Date:
		return appendDate(dst, v.Nums[row])
	case Time:
		return appendClock(dst, v.Nums[row])
	case Timestamp:
		return appendTimestamp(dst, v.Nums[row], "")
	case TimestampTZ:
		return appendTimestamp(dst, v.Nums[row], "+00")
	case Interval:
		return appendSpan(dst, v.Spans[row])
	case List:
		return v.appendList(dst, row)
	}
	return append(dst, v.Bytes(row)...)
}

// Text is AppendText as a string.
func (v *Vector) Text(row int) string { return string(v.AppendText(nil, row)) }

// AppendFloat adds the canonical text of a float; bits is 32 where it is one of 32 bits.
func AppendFloat(dst []byte, f float64, bits uint8) []byte {
	size, most := 64, 1e15
	if bits == 32 {
		size, most = 32, 1e6
	}
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case abs == 0 || abs >= 1e-4 && abs < most:
		return strconv.AppendFloat(dst, f, 'f', -1, size)
	}
	return strconv.AppendFloat(dst, f, 'e', -1, size)
}

func appendUUID(dst, b []byte) []byte {
	if len(b) != 16 {
		return hex.AppendEncode(dst, b)
	}
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, b[[...]int{0, 4, 6, 8, 10}[i]:end])
	}
	return dst
}

// appendList writes the elements as JSON; what JSON has no form for is a string of its canonical text.
func (v *Vector) appendList(dst []byte, row int) []byte {
	dst = append(dst, '[')
	lo, hi := v.ListAt(row)
	for i := lo; i < hi; i++ {
		if i > lo {
			dst = append(dst, ',')
		}
		dst = v.Items.AppendJSON(dst, i)
	}
	return append(dst, ']')
}

// AppendJSON adds a value as JSON: null, true and false, numbers that any reader keeps exactly, JSON as it is, all else as a string of
// the canonical text.
func (v *Vector) AppendJSON(dst []byte, row int) []byte {
	if !v.Valid[row] || v.Type.Kind == Null {
		return append(dst, "null"...)
	}
	plain := false
	switch v.Type.Kind {
	case Bool, JSON, List:
		plain = true
	case Int:
		plain = safeInt(v.Nums[row])
	case Uint:
		plain = uint64(v.Nums[row]) <= 1<<53
	case Float:
		f := v.Float(row)
		plain = !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	if plain {
		return v.AppendText(dst, row)
	}
	from := len(dst) + 1
	dst = v.AppendText(append(dst, '"'), row)
	if v.Type.Kind != Text {
		if v.Type.Kind == Blob {
			dst = append(dst[:from], append([]byte{'\\'}, dst[from:]...)...)
		}
		return append(dst, '"')
	}
	return append(appendEscaped(dst[:from], v.Bytes(row)), '"')
}

// safeInt reports whether every reader of JSON keeps an integer exactly.
func safeInt(n int64) bool { return n >= -1<<53 && n <= 1<<53 }

const hexDigits = "0123456789abcdef"

// appendEscaped adds text as it stands between the quotes of JSON; bytes that are not UTF-8 become U+FFFD.
func appendEscaped(dst, text []byte) []byte {
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, text[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			dst = append(dst, text[from:i]...)
			dst = appendEscape(dst, c)
			from = i + 1
		}
		i++
	}
	return append(dst, text[from:]...)
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
