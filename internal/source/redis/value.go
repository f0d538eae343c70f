package redis

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"firth/internal/document"
	"firth/internal/vector"
)

// Bounds of what is taken for a number: beyond them it is text. Exponents are those of decimal128.
const (
	maxDigits   = 1000
	maxExponent = 6144
)

// scalar is the value that a string, a member or a field holds: an integer or a float where the text is just how such a number is
// written, so that nothing of it is lost; else text, or bytes where it is no UTF-8. The bytes are not copied.
func scalar(b []byte) document.Value {
	if n, ok := integer(b); ok {
		return document.Value{Kind: document.Int64, Num: n}
	}
	if len(b) > 0 && len(b) <= maxDigits && (b[0] == '-' || b[0]-'0' <= 9) {
		if v, ok := number(b); ok {
			return v
		}
	}
	return text(b)
}

// text is a String, or Binary where it is no UTF-8.
func text(b []byte) document.Value {
	if utf8.Valid(b) {
		return document.Value{Kind: document.String, Bytes: b}
	}
	return document.Value{Kind: document.Binary, Bytes: b}
}

// ident is the value of an id: an integer where the text is just how one is written, else text.
func ident(b []byte) document.Value {
	if n, ok := integer(b); ok {
		return document.Value{Kind: document.Int64, Num: n}
	}
	return text(b)
}

// integer reads an int64 that is written without leading zeros and signs that say nothing.
func integer(b []byte) (int64, bool) {
	digits := b
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		} else {
			n = n*10 + uint64(c)
		}
	}
	switch {
	case len(digits) == len(b):
		return int64(n), n <= math.MaxInt64
	case n <= math.MaxInt64+1:
		return -int64(n), true
	}
	return 0, false
}

// number reads -?digits[.digits][e±digits] without leading zeros: a double where that is how one prints it, else a decimal.
func number(b []byte) (document.Value, bool) {
	i, fraction, exponent := 0, false, false
	if b[0] == '-' {
		i++
	}
	whole := digitsAt(b, i)
	if whole == 0 || whole > 1 && b[i] == '0' {
		return document.Value{}, false
	}
	i += whole
	if i < len(b) && b[i] == '.' {
		n := digitsAt(b, i+1)
		if n == 0 {
			return document.Value{}, false
		}
		fraction = true
		i += 1 + n
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			i++
		}
		n := digitsAt(b, i)
		if n == 0 || n > 4 {
			return document.Value{}, false
		}
		if e, _ := strconv.Atoi(string(b[i : i+n])); e > maxExponent {
			return document.Value{}, false
		}
		exponent = true
		i += n
	}
	if i < len(b) {
		return document.Value{}, false
	}
	if fraction || exponent {
		if f, ok := double(b); ok {
			return document.Value{Kind: document.Double, Num: int64(math.Float64bits(f))}, true
		}
	}
	if !fraction && !exponent && b[0] == '-' && whole == 1 && b[1] == '0' {
		return document.Value{}, false // -0 is no integer, and nobody writes a float so
	}
	return document.Value{Kind: document.Decimal, Bytes: b}, true
}

func digitsAt(b []byte, i int) int {
	n := 0
	for ; i+n < len(b) && b[i+n]-'0' <= 9; n++ {
	}
	return n
}

// double reads a float whose shortest text is this one.
func double(b []byte) (float64, bool) {
	if len(b) > 25 {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return 0, false
	}
	var buf [32]byte
	if bytes.Equal(strconv.AppendFloat(buf[:0], f, 'g', -1, 64), b) {
		return f, true
	}
	if a := math.Abs(f); a < 1e-6 || a >= 1e21 { // it would be long, and nothing prints it so
		return 0, false
	}
	return f, bytes.Equal(strconv.AppendFloat(buf[:0], f, 'f', -1, 64), b)
}

// score is a score of a sorted set: a double by its nature, with inf and -inf.
func score(b []byte) document.Value {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return text(b)
	}
	return document.Value{Kind: document.Double, Num: int64(math.Float64bits(f))}
}

func whole(n int64) document.Value { return document.Value{Kind: document.Int64, Num: n} }

// idText is the text of an id as it is put into a key; ok is false for NULL and kinds that no id has.
func idText(id vector.Value) (text string, ok bool) {
	switch id.Kind {
	case vector.Int:
		return strconv.FormatInt(id.Num, 10), true
	case vector.Uint:
		return strconv.FormatUint(uint64(id.Num), 10), true
	case vector.Text, vector.JSON, vector.Decimal, vector.Blob, vector.TimeTZ:
		return id.Text, true
	case vector.Bool:
		return strconv.FormatBool(id.Num != 0), true
	case vector.Date:
		return time.Unix(id.Num*86400, 0).UTC().Format(time.DateOnly), true
	case vector.UUID:
		if len(id.Text) == 16 {
			x := hex.EncodeToString([]byte(id.Text))
			return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:], true
		}
	}
	return "", false
}
