package source

import (
	"math"
	"math/big"
	"strings"

	"firth/internal/document"
	"firth/internal/vector"
)

// Reaches reports whether a document's value of the cursor is not less than the one that is wanted. It is for sources that hand out all they
// have; what cannot be compared is let through, since too much does no harm.
func Reaches(v *document.Value, from vector.Value) bool {
	switch v.Kind {
	case document.Missing, document.Null, document.Undefined:
		return from.Kind == vector.Null
	}
	switch from.Kind {
	case vector.Text:
		return v.Kind != document.String || string(v.Bytes) >= from.Text
	case vector.Int, vector.Uint, vector.Float, vector.Decimal:
		a, b := number(v), bound(from)
		return a == nil || b == nil || a.Cmp(b) >= 0
	case vector.TimestampTZ, vector.Timestamp:
		return v.Kind != document.DateTime || v.Num >= math.MaxInt64/1000 || v.Num <= math.MinInt64/1000 || v.Num*1000 >= from.Num
	}
	return true
}

func number(v *document.Value) *big.Rat {
	switch v.Kind {
	case document.Int32, document.Int64:
		return new(big.Rat).SetInt64(v.Num)
	case document.Double:
		return new(big.Rat).SetFloat64(math.Float64frombits(uint64(v.Num)))
	case document.Decimal:
		return rational(string(v.Bytes))
	}
	return nil
}

func bound(from vector.Value) *big.Rat {
	switch from.Kind {
	case vector.Int:
		return new(big.Rat).SetInt64(from.Num)
	case vector.Uint:
		return new(big.Rat).SetInt(new(big.Int).SetUint64(uint64(from.Num)))
	case vector.Float:
		return new(big.Rat).SetFloat64(math.Float64frombits(uint64(from.Num)))
	case vector.Decimal:
		return rational(from.Text)
	}
	return nil
}

// rational reads a decimal number; nil where it is none, or has an exponent so large that the number would fill the memory.
func rational(text string) *big.Rat {
	if _, exponent, ok := strings.Cut(strings.ToLower(text), "e"); ok && len(strings.TrimLeft(exponent, "+-0")) > 4 {
		return nil
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	return r
}
