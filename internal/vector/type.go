// Package vector holds columns of values of every type that databases have, on their way from a source to a warehouse: exact, a
// chunk of rows at a time. Events have a simpler core of their own, package table.
package vector

import (
	"strconv"
	"strings"
)

// Kind says how the values of a type are held.
type Kind uint8

// The kinds, each with the part of a Vector that holds its values.
const (
	Null        Kind = iota // no value was seen yet
	Bool                    // Nums: 0 or 1
	Int                     // Nums; Type.Bits is 8, 16, 32 or 64
	Uint                    // Nums: the bits of an uint64; Type.Bits as for Int
	Float                   // Nums: the IEEE 754 bits of a float64; Type.Bits is 32 or 64 and says what the source holds
	Decimal                 // Data: [-]digits[.digits] as the source has them, without exponent; or NaN, Infinity, -Infinity
	Text                    // Data: UTF-8
	JSON                    // Data: JSON text as the source has it, number text and duplicate keys kept
	Blob                    // Data
	UUID                    // Data: 16 bytes
	Date                    // Nums: days since 1970-01-01, or PosInfinity, NegInfinity
	Time                    // Nums: microseconds since midnight, 24:00 included
	TimeTZ                  // Data: HH:MM:SS[.ffffff]+HH[:MM[:SS]]
	Timestamp               // Nums: microseconds since 1970-01-01 without a zone, or PosInfinity, NegInfinity
	TimestampTZ             // Nums: the same as an instant
	Interval                // Spans
	List                    // Offsets into Items
)

// PosInfinity and NegInfinity are the dates and timestamps that lie after and before all others, as PostgreSQL has them.
const (
	PosInfinity = int64(^uint64(0) >> 1)
	NegInfinity = -PosInfinity - 1
)

// Type is the type of a column or of the elements of a list.
type Type struct {
	Kind  Kind   `json:"kind"`
	Bits  uint8  `json:"bits,omitempty"`  // Int, Uint, Float
	Width uint16 `json:"width,omitempty"` // Decimal: all digits; 0: unbounded
	Scale uint16 `json:"scale,omitempty"` // Decimal: those behind the point
	Elem  *Type  `json:"elem,omitempty"`  // List
}

// Equal reports whether two types are the same.
func (t Type) Equal(u Type) bool {
	if t.Kind != u.Kind || t.Bits != u.Bits || t.Width != u.Width || t.Scale != u.Scale || (t.Elem == nil) != (u.Elem == nil) {
		return false
	}
	return t.Elem == nil || t.Elem.Equal(*u.Elem)
}

var kindNames = [...]string{ //nolint:gochecknoglobals // a constant table
	"null", "boolean", "integer", "unsigned", "float", "decimal", "text", "json", "blob", "uuid", "date", "time", "timetz",
	"timestamp", "timestamptz", "interval", "list",
}

// String writes the type as users read and write it in types: and in reports: integer (64 bits), int32, decimal(14,4), text[].
func (t Type) String() string {
	switch t.Kind {
	case Int:
		if t.Bits == 64 {
			return "integer"
		}
		return "int" + strconv.Itoa(int(t.Bits))
	case Uint:
		return "uint" + strconv.Itoa(int(t.Bits))
	case Float:
		if t.Bits == 32 {
			return "float32"
		}
	case Decimal:
		if t.Width > 0 {
			return "decimal(" + strconv.Itoa(int(t.Width)) + "," + strconv.Itoa(int(t.Scale)) + ")"
		}
	case List:
		if t.Elem != nil {
			return t.Elem.String() + "[]"
		}
	}
	return kindNames[t.Kind]
}

// ParseType reads what String writes, and the names that SQL has for these types.
func ParseType(s string) (Type, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if elem, ok := strings.CutSuffix(s, "[]"); ok {
		t, ok := ParseType(elem)
		return Type{Kind: List, Elem: &t}, ok
	}
	name, args, _ := strings.Cut(s, "(")
	switch strings.TrimSpace(name) {
	case "boolean", "bool":
		return Type{Kind: Bool}, true
	case "integer", "int", "bigint", "int64", "int8":
		return Type{Kind: Int, Bits: 64}, true
	case "int32":
		return Type{Kind: Int, Bits: 32}, true
	case "int16", "smallint":
		return Type{Kind: Int, Bits: 16}, true
	case "uint64", "unsigned", "ubigint":
		return Type{Kind: Uint, Bits: 64}, true
	case "uint32":
		return Type{Kind: Uint, Bits: 32}, true
	case "uint16":
		return Type{Kind: Uint, Bits: 16}, true
	case "uint8":
		return Type{Kind: Uint, Bits: 8}, true
	case "float", "double", "float64", "double precision", "number":
		return Type{Kind: Float, Bits: 64}, true
	case "float32", "real":
		return Type{Kind: Float, Bits: 32}, true
	case "decimal", "numeric":
		return parseDecimal(args)
	case "text", "string", "varchar":
		return Type{Kind: Text}, true
	case "timestamp":
		return Type{Kind: Timestamp}, true
	case "timestamptz", "datetime":
		return Type{Kind: TimestampTZ}, true
	}
	for k, n := range kindNames {
		if n == s && Kind(k) != Null && Kind(k) != List {
			return Type{Kind: Kind(k)}, true
		}
	}
	return Type{}, false
}

func parseDecimal(args string) (Type, bool) {
	t := Type{Kind: Decimal}
	args = strings.TrimSuffix(strings.TrimSpace(args), ")")
	if args == "" {
		return t, true
	}
	width, scale, _ := strings.Cut(args, ",")
	w, err := strconv.ParseUint(strings.TrimSpace(width), 10, 16)
	if err != nil || w == 0 {
		return t, false
	}
	t.Width = uint16(w)
	if scale = strings.TrimSpace(scale); scale == "" {
		return t, true
	}
	n, err := strconv.ParseUint(scale, 10, 16)
	t.Scale = uint16(n)
	return t, err == nil && n <= w
}
