package query

import (
	"fmt"
	"strings"
)

// Kind says how the values of a type are held in Go and written out.
type Kind uint8

// The kinds, each with the Go value that a row carries for it; NULL is nil for all of them.
const (
	Null        Kind = iota // always nil
	Bool                    // bool
	Int                     // int64: TINYINT to BIGINT
	Uint                    // uint64: UTINYINT to UBIGINT
	BigInt                  // *big.Int: HUGEINT, UHUGEINT, BIGNUM
	Decimal                 // *big.Int, unscaled; Type.Scale digits are behind the point
	Float                   // float32
	Double                  // float64
	Text                    // string: VARCHAR, ENUM, UUID, BIT, TIMETZ
	JSON                    // string that holds JSON text
	Blob                    // []byte
	Date                    // int64: days since 1970-01-01
	Time                    // int64: since midnight, in Type.Unit
	Timestamp               // int64: since 1970-01-01, in Type.Unit, no zone; Firth stores UTC
	TimestampTZ             // int64: the same as an instant
	Interval                // Span
	List                    // []any of Type.Elem[0]: LIST and ARRAY
	Struct                  // []any in the order of Type.Fields
	Map                     // []any, keys and values in turn: Type.Elem[0], Type.Elem[1]
	Union                   // Member
)

// Unit is the length of one tick of a time or a timestamp.
type Unit uint8

// The units, coarsest first.
const (
	Second Unit = iota
	Millisecond
	Microsecond
	Nanosecond
)

// perSecond is how many ticks of the unit a second has.
func (u Unit) perSecond() int64 {
	return [...]int64{1, 1e3, 1e6, 1e9}[u]
}

// Type is the type of a column or of the elements of a nested one.
type Type struct {
	Kind   Kind
	Name   string   // as SQL writes it: BIGINT, DECIMAL(18,2), VARCHAR[]
	Bits   uint8    // width of Int and Uint: 8 to 64
	Width  uint8    // Decimal: all digits
	Scale  uint8    // Decimal: digits behind the point
	Unit   Unit     // Time, Timestamp, TimestampTZ
	Elem   []Type   // List: one; Map: key and value; Struct and Union: one a field
	Fields []string // Struct and Union: names, as many as Elem
}

// Column is one column of a result. Names are unique within a result.
type Column struct {
	Name string
	Type Type
}

// Span is an interval as SQL keeps it: three parts that do not add up to one another.
type Span struct {
	Months, Days int32
	Micros       int64
}

// String writes the span as an ISO 8601 duration, each part with its own sign: P1Y2M3DT4H5M6.5S.
func (s Span) String() string {
	var b strings.Builder
	b.WriteByte('P')
	part := func(n int64, letter byte) {
		if n != 0 {
			fmt.Fprintf(&b, "%d%c", n, letter)
		}
	}
	part(int64(s.Months/12), 'Y')
	part(int64(s.Months%12), 'M')
	part(int64(s.Days), 'D')
	if s.Micros != 0 {
		b.WriteByte('T')
		part(s.Micros/3_600_000_000, 'H')
		part(s.Micros/60_000_000%60, 'M')
		if rest := s.Micros % 60_000_000; rest != 0 {
			b.WriteString(seconds(rest))
			b.WriteByte('S')
		}
	}
	if b.Len() == 1 {
		return "PT0S"
	}
	return b.String()
}

// seconds writes microseconds as seconds without trailing zeros.
func seconds(micros int64) string {
	sign := ""
	if micros < 0 {
		sign, micros = "-", -micros
	}
	text := fmt.Sprintf("%s%d.%06d", sign, micros/1e6, micros%1e6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// Member is the value of a union: which of the fields it is, and what is in it.
type Member struct {
	Tag   string
	Type  Type
	Value any
}

// unique returns names that differ from each other without regard to case: the second "a" becomes
// "a_1", as it does where SQL makes a table of a result.
func unique(names []string) []string {
	seen := map[string]bool{}
	for _, name := range names {
		seen[lower(name)] = true
	}
	taken := map[string]bool{}
	out := make([]string, len(names))
	for i, name := range names {
		try := name
		for n := 1; taken[lower(try)] || (n > 1 && seen[lower(try)]); n++ {
			try = fmt.Sprintf("%s_%d", name, n)
		}
		taken[lower(try)] = true
		out[i] = try
	}
	return out
}

// lower folds ASCII letters alone, as the engine does for names: other letters keep their case, so
// that no letter of another script can stand in for one of ours.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return strings.Map(func(r rune) rune {
				if 'A' <= r && r <= 'Z' {
					return r + 'a' - 'A'
				}
				return r
			}, s)
		}
	}
	return s
}

// NamedType returns the type of that name as far as the name alone tells it: a number, or text.
func NamedType(name string) Type {
	t := Type{Kind: Text, Name: name}
	switch name {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "BIGNUM":
		t.Kind = BigInt
	case "FLOAT", "DOUBLE":
		t.Kind = Double
	default:
		if strings.HasPrefix(name, "DECIMAL(") && strings.HasSuffix(name, ")") {
			t.Kind = Decimal
		}
	}
	return t
}
