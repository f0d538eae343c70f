package document

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON adds a value as relaxed Extended JSON, with what readers of plain JSON would get wrong as text: integers beyond 2^53 and
// Decimal128 are strings; so are dates (RFC 3339 in UTC with milliseconds; {"$date":...} outside the years 0 to 9999), object ids (24
// hexadecimal digits) and UUIDs of subtype 4. Doubles without a fraction keep a .0. All other types of BSON are objects as the Extended
// JSON specification v2 has them; a string that is not UTF-8 is written as binary. Order and repeated names are kept.
func AppendJSON(dst []byte, v *Value) []byte {
	switch v.Kind {
	case Bool:
		return strconv.AppendBool(dst, v.Num != 0)
	case Int32:
		return strconv.AppendInt(dst, v.Num, 10)
	case Int64:
		return appendInt64(dst, v.Num)
	case Double:
		return appendDouble(dst, math.Float64frombits(uint64(v.Num)))
	case String:
		return AppendString(dst, v.Bytes)
	case Object:
		return appendObject(dst, v.Fields)
	case Array:
		return appendArray(dst, v.Items)
	}
	return appendOdd(dst, v)
}

// maxSafe is the largest integer up to which every reader of JSON keeps all of them.
const maxSafe = 1 << 53

func appendInt64(dst []byte, n int64) []byte {
	if n >= -maxSafe && n <= maxSafe {
		return strconv.AppendInt(dst, n, 10)
	}
	return append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
}

func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `{"$numberDouble":"NaN"}`...)
	case math.IsInf(f, 1):
		return append(dst, `{"$numberDouble":"Infinity"}`...)
	case math.IsInf(f, -1):
		return append(dst, `{"$numberDouble":"-Infinity"}`...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if f == math.Trunc(f) {
		dst = append(dst, ".0"...)
	}
	return dst
}

func appendObject(dst []byte, fields []Field) []byte {
	dst = append(dst, '{')
	for i := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendQuoted(dst, fields[i].Name), ':')
		dst = AppendJSON(dst, &fields[i].Value)
	}
	return append(dst, '}')
}

func appendArray(dst []byte, items []Value) []byte {
	dst = append(dst, '[')
	for i := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSON(dst, &items[i])
	}
	return append(dst, ']')
}

// appendOdd writes the types that JSON does not have.
func appendOdd(dst []byte, v *Value) []byte {
	switch v.Kind {
	case Decimal:
		return append(append(append(dst, '"'), v.Bytes...), '"')
	case ObjectID:
		return append(hex.AppendEncode(append(dst, '"'), v.Bytes), '"')
	case DateTime:
		return appendDate(dst, v.Num)
	case Timestamp:
		dst = strconv.AppendUint(append(dst, `{"$timestamp":{"t":`...), uint64(v.Num)>>32, 10)
		return append(strconv.AppendUint(append(dst, `,"i":`...), uint64(v.Num)&math.MaxUint32, 10), `}}`...)
	case Binary:
		if v.Sub == 4 && len(v.Bytes) == 16 {
			return append(appendUUID(append(dst, '"'), v.Bytes), '"')
		}
		return appendBinary(dst, v.Bytes, v.Sub)
	case Regex:
		dst = AppendString(append(dst, `{"$regularExpression":{"pattern":`...), v.Bytes)
		return append(AppendQuoted(append(dst, `,"options":`...), v.Extra), `}}`...)
	case JavaScript:
		dst = AppendString(append(dst, `{"$code":`...), v.Bytes)
		if v.Fields != nil {
			dst = appendObject(append(dst, `,"$scope":`...), v.Fields)
		}
		return append(dst, '}')
	case Symbol:
		return append(AppendString(append(dst, `{"$symbol":`...), v.Bytes), '}')
	case DBPointer:
		dst = AppendQuoted(append(dst, `{"$dbPointer":{"$ref":`...), v.Extra)
		return append(hex.AppendEncode(append(dst, `,"$id":{"$oid":"`...), v.Bytes), `"}}}`...)
	case Undefined:
		return append(dst, `{"$undefined":true}`...)
	case MinKey:
		return append(dst, `{"$minKey":1}`...)
	case MaxKey:
		return append(dst, `{"$maxKey":1}`...)
	}
	return append(dst, "null"...)
}

func appendBinary(dst, b []byte, sub byte) []byte {
	dst = base64.StdEncoding.AppendEncode(append(dst, `{"$binary":{"base64":"`...), b)
	dst = hex.AppendEncode(append(dst, `","subType":"`...), []byte{sub})
	return append(dst, `"}}`...)
}

func appendUUID(dst, b []byte) []byte {
	dst = append(hex.AppendEncode(dst, b[:4]), '-')
	dst = append(hex.AppendEncode(dst, b[4:6]), '-')
	dst = append(hex.AppendEncode(dst, b[6:8]), '-')
	dst = append(hex.AppendEncode(dst, b[8:10]), '-')
	return hex.AppendEncode(dst, b[10:])
}

// The milliseconds of the years 0 to 9999, which RFC 3339 has.
const (
	minRFC3339 = -62_167_219_200_000
	maxRFC3339 = 253_402_300_799_999
)

func appendDate(dst []byte, ms int64) []byte {
	if ms < minRFC3339 || ms > maxRFC3339 {
		dst = strconv.AppendInt(append(dst, `{"$date":{"$numberLong":"`...), ms, 10)
		return append(dst, `"}}`...)
	}
	dst = time.UnixMilli(ms).UTC().AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.000Z")
	return append(dst, '"')
}

// AppendString adds text as a JSON string, or as binary where it is not UTF-8.
func AppendString(dst, text []byte) []byte {
	if !utf8.Valid(text) {
		return appendBinary(dst, text, 0)
	}
	return quote(dst, text)
}

// AppendQuoted adds a name as a JSON string; bytes that are not UTF-8 become U+FFFD.
func AppendQuoted(dst []byte, text string) []byte { return quote(dst, text) }

const hexDigits = "0123456789abcdef"

func quote[T string | []byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
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
	return append(append(dst, text[from:]...), '"')
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
