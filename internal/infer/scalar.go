package infer

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"unicode/utf8"

	"firth/internal/document"
	"firth/internal/vector"
)

// maxExact is the integer up to which a float of 64 bits holds all integers.
const maxExact = 1 << 53

// The milliseconds that a timestamp in microseconds holds.
const (
	maxMillis = math.MaxInt64/1000 - 1
	minMillis = math.MinInt64/1000 + 1
)

// Subtypes of BSON's binary.
const (
	subOldUUID = 3
	subUUID    = 4
	subVector  = 9
)

// Elements of a binary vector.
const (
	vectorInt8    = 0x03
	vectorFloat32 = 0x27
)

func vectorType() vector.Type {
	return vector.Type{Kind: vector.List, Elem: &vector.Type{Kind: vector.Float, Bits: 32}}
}

// nothing reports whether a value is NULL in every column.
func nothing(k document.Kind) bool {
	switch k {
	case document.Missing, document.Null, document.Undefined, document.MinKey, document.MaxKey:
		return true
	}
	return false
}

func nested(k document.Kind) bool { return k == document.Object || k == document.Array }

// natural is the type that a single value has by itself.
func (o *Options) natural(v *document.Value) vector.Type {
	switch v.Kind {
	case document.Bool:
		return vector.Type{Kind: vector.Bool}
	case document.Int32:
		return vector.Type{Kind: vector.Int, Bits: 32}
	case document.Int64:
		return vector.Type{Kind: vector.Int, Bits: 64}
	case document.Double:
		return vector.Type{Kind: vector.Float, Bits: 64}
	case document.Decimal:
		whole, scale, ok := digits(v.Bytes)
		if !ok {
			return vector.Type{Kind: vector.Decimal}
		}
		return decimalFor(whole, scale)
	case document.DateTime, document.Timestamp:
		return vector.Type{Kind: vector.TimestampTZ}
	case document.Binary:
		switch {
		case o.uuid(v):
			return vector.Type{Kind: vector.UUID}
		case isVector(v):
			return vectorType()
		}
		return vector.Type{Kind: vector.Blob}
	case document.Object, document.Array:
		return vector.Type{Kind: vector.JSON}
	}
	return vector.Type{Kind: vector.Text}
}

// The least room before the point of a decimal, so that a larger amount does not widen the column, and the most digits of a bounded one.
const (
	roomBefore = 18
	maxDigits  = 38
)

// digits are those of a decimal before and behind the point, with the zeros that are written at its end: 12.50 has two.
func digits(text []byte) (before, behind int, ok bool) {
	before, behind, ok = vector.Digits(text)
	if i := bytes.IndexByte(text, '.'); ok && i >= 0 && !bytes.ContainsAny(text, "eE") {
		if written := len(text) - i - 1; before+written <= maxDigits {
			behind = max(behind, written)
		}
	}
	return before, behind, ok
}

// decimalFor is a decimal with room for so many digits before and behind the point.
func decimalFor(whole, scale int) vector.Type {
	if whole+scale > maxDigits {
		return vector.Type{Kind: vector.Decimal}
	}
	whole = max(whole, min(roomBefore, maxDigits-scale))
	return vector.Type{Kind: vector.Decimal, Width: uint16(whole + scale), Scale: uint16(scale)}
}

// uuid reports whether a binary value is a UUID whose order of bytes is known.
func (o *Options) uuid(v *document.Value) bool {
	if len(v.Bytes) != 16 {
		return false
	}
	switch o.UUIDSubtype3 {
	case "java", "csharp", "python":
		return v.Sub == subUUID || v.Sub == subOldUUID
	}
	return v.Sub == subUUID
}

// uuidBytes gives a UUID in the order in which it is written: the old subtype as the driver of that language had it.
func (o *Options) uuidBytes(v *document.Value) (out [16]byte) {
	copy(out[:], v.Bytes)
	if v.Sub != subOldUUID {
		return out
	}
	swap := func(from, to int) {
		for ; from < to; from, to = from+1, to-1 {
			out[from], out[to] = out[to], out[from]
		}
	}
	switch o.UUIDSubtype3 {
	case "java":
		swap(0, 7)
		swap(8, 15)
	case "csharp":
		swap(0, 3)
		swap(4, 5)
		swap(6, 7)
	}
	return out
}

// isVector reports whether a binary value is a vector of numbers: two bytes that say of what, then the elements.
func isVector(v *document.Value) bool {
	if v.Sub != subVector || len(v.Bytes) < 2 || v.Bytes[1] != 0 {
		return false
	}
	return v.Bytes[0] == vectorInt8 || v.Bytes[0] == vectorFloat32 && len(v.Bytes)%4 == 2
}

func appendVector(to *vector.Vector, b []byte) {
	if b[0] == vectorInt8 {
		for _, x := range b[2:] {
			to.Items.AppendFloat(float64(int8(x)))
		}
	} else {
		for i := 2; i < len(b); i += 4 {
			to.Items.AppendFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))))
		}
	}
	to.EndList()
}

// appendNatural adds a scalar to a vector of its natural type. A reason says that it has no such value; nothing was added then.
func (o *Options) appendNatural(to *vector.Vector, v *document.Value) (reason string) {
	switch v.Kind {
	case document.Bool, document.Int32, document.Int64, document.Double:
		to.AppendNum(v.Num)
	case document.Decimal:
		return appendDecimal(to, v.Bytes)
	case document.DateTime:
		if v.Num > maxMillis || v.Num < minMillis {
			return "is a date outside the years that a timestamp holds"
		}
		to.AppendNum(v.Num * 1000)
	case document.Timestamp:
		to.AppendNum(int64(uint64(v.Num)>>32) * 1_000_000)
	case document.Binary:
		switch to.Type.Kind {
		case vector.UUID:
			b := o.uuidBytes(v)
			to.AppendBytes(b[:])
		case vector.List:
			appendVector(to, v.Bytes)
		default:
			to.AppendBytes(v.Bytes)
		}
	default:
		return appendText(to, v)
	}
	return ""
}

// appendText adds what is text in a column: strings, ids, and the odd types as Extended JSON.
func appendText(to *vector.Vector, v *document.Value) (reason string) {
	switch v.Kind {
	case document.String:
		if !utf8.Valid(v.Bytes) {
			return "is not UTF-8"
		}
		to.AppendBytes(v.Bytes)
		return ""
	case document.ObjectID:
		to.Data = hex.AppendEncode(to.Data, v.Bytes)
	default:
		to.Data = document.AppendJSON(to.Data, v)
	}
	to.Valid, to.Offsets = append(to.Valid, true), append(to.Offsets, len(to.Data))
	return ""
}

func appendDecimal(to *vector.Vector, text []byte) string {
	if vector.ParseInto(to, decimalText(text)) {
		return ""
	}
	to.Truncate(to.Len() - 1)
	return "does not fit " + to.Type.String()
}

// decimalText is decimal text as vectors know it.
func decimalText(text []byte) string {
	switch string(text) {
	case "Inf", "+Infinity", "+Inf", "INF":
		return "Infinity"
	case "-Inf", "-INF":
		return "-Infinity"
	case "nan", "NAN", "-NaN":
		return "NaN"
	}
	return string(text)
}

// valueText is a value as a person reads it among the rejects: whole but for what may not leave, strings as they are.
func valueText(v *document.Value, f filter) string {
	switch v.Kind {
	case document.String:
		if utf8.Valid(v.Bytes) {
			return string(v.Bytes)
		}
		return `\x` + hex.EncodeToString(v.Bytes)
	case document.Decimal:
		return string(v.Bytes)
	}
	b := f.appendJSON(nil, v)
	if len(b) > 1 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	return string(b)
}

// kindName is what reports call the type of a value.
func kindName(k document.Kind) string {
	names := [...]string{
		"missing", "null", "boolean", "int32", "int64", "double", "decimal", "string", "objectId", "date", "timestamp", "binary",
		"object", "array", "regex", "javascript", "symbol", "dbPointer", "undefined", "minKey", "maxKey",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}
