package iceberg

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/apache/iceberg-go"

	"firth/internal/vector"
)

// maxDecimal is the most digits of a decimal in Iceberg.
const maxDecimal = 38

// dayMicros are those of a day.
const dayMicros = 86_400_000_000

// stored is the type as which a mirror's column is kept: one that Iceberg has and that Spark, Trino, DuckDB and PyIceberg all read as the
// same values. What they have no common type for is its canonical text: times of day, which Spark has not, times with an offset, intervals,
// UUIDs, JSON, and decimals of more than 38 digits or without a bound. Lists of scalars are lists; those of lists are their JSON.
func stored(t vector.Type) vector.Type {
	switch t.Kind {
	case vector.Bool, vector.Blob, vector.Date, vector.Timestamp, vector.TimestampTZ:
		return vector.Type{Kind: t.Kind}
	case vector.Int, vector.Uint:
		return storedInt(t)
	case vector.Float:
		if t.Bits == 32 {
			return t
		}
		return vector.Type{Kind: vector.Float, Bits: 64}
	case vector.Decimal:
		if t.Width >= 1 && t.Width <= maxDecimal && t.Scale <= t.Width {
			return t
		}
	case vector.List:
		if elem := elemOf(t); elem.Kind != vector.List {
			elem = stored(elem)
			return vector.Type{Kind: vector.List, Elem: &elem}
		}
	}
	return vector.Type{Kind: vector.Text}
}

func storedInt(t vector.Type) vector.Type {
	switch {
	case t.Bits == 8 || t.Bits == 16 || t.Kind == vector.Int && t.Bits == 32:
		return vector.Type{Kind: vector.Int, Bits: 32}
	case t.Kind == vector.Int || t.Bits == 32:
		return vector.Type{Kind: vector.Int, Bits: 64}
	}
	return vector.Type{Kind: vector.Decimal, Width: 20}
}

func elemOf(t vector.Type) vector.Type {
	if t.Elem == nil {
		return vector.Type{}
	}
	return *t.Elem
}

// storedColumns are columns as they are kept while they are staged: under names that are nothing else to the engine.
func storedColumns(columns []vector.Column) []vector.Column {
	out := make([]vector.Column, len(columns))
	for i, c := range columns {
		out[i] = vector.Column{Name: stagedName(i), Type: stored(c.Type)}
	}
	return out
}

// stagedName is what the n-th column is called in the files of a stage.
func stagedName(n int) string { return "c" + strconv.Itoa(n) }

// icebergType is the type of a stored one. A list takes the id that next gives for its elements.
func icebergType(t vector.Type, next func() int) iceberg.Type {
	switch t.Kind {
	case vector.Bool:
		return iceberg.PrimitiveTypes.Bool
	case vector.Int:
		if t.Bits == 32 {
			return iceberg.PrimitiveTypes.Int32
		}
		return iceberg.PrimitiveTypes.Int64
	case vector.Float:
		if t.Bits == 32 {
			return iceberg.PrimitiveTypes.Float32
		}
		return iceberg.PrimitiveTypes.Float64
	case vector.Decimal:
		return iceberg.DecimalTypeOf(int(t.Width), int(t.Scale))
	case vector.Blob:
		return iceberg.PrimitiveTypes.Binary
	case vector.Date:
		return iceberg.PrimitiveTypes.Date
	case vector.Timestamp:
		return iceberg.PrimitiveTypes.Timestamp
	case vector.TimestampTZ:
		return iceberg.PrimitiveTypes.TimestampTz
	case vector.List:
		id := next()
		return &iceberg.ListType{ElementID: id, Element: icebergType(elemOf(t), next)}
	}
	return iceberg.PrimitiveTypes.String
}

// promotes reports whether Iceberg lets a column's stored type become another without a file being written anew.
// Source: Iceberg table specification, schema evolution, of format version 2.
func promotes(from, to vector.Type) bool {
	switch {
	case from.Equal(to):
		return true
	case from.Kind != to.Kind:
		return false
	case from.Kind == vector.Int || from.Kind == vector.Float:
		return from.Bits <= to.Bits
	case from.Kind == vector.Decimal:
		return from.Scale == to.Scale && from.Width <= to.Width
	case from.Kind == vector.List:
		return promotes(elemOf(from), elemOf(to))
	}
	return false
}

// store brings the values of a column to its stored type. It calls reject for each that cannot be kept, which is NULL then; v stays as it is.
func store(v *vector.Vector, reject func(row int, reason string)) *vector.Vector {
	to := stored(v.Type)
	misfit := func(row int, reason string) bool {
		if reason != "" {
			reject(row, reason)
		}
		return reason == ""
	}
	switch {
	case v.Type.Kind == vector.Null:
		return &vector.Vector{Type: to, Valid: v.Valid, Offsets: make([]int, v.Len()+1)}
	case to.Kind == vector.List:
		return storeList(v, to, reject)
	case sameBytes(v.Type, to):
		out := *v
		out.Type = to
		out.Valid = make([]bool, v.Len())
		for row, valid := range v.Valid {
			out.Valid[row] = valid && misfit(row, unkept(v, row))
		}
		return &out
	}
	out := vector.New(to)
	for row, valid := range v.Valid {
		if !valid || !misfit(row, unkept(v, row)) {
			out.AppendNull()
			continue
		}
		out.AppendBytes(v.AppendText(nil, row))
	}
	return out
}

// sameBytes reports whether a vector of one type holds the values of another as that would.
func sameBytes(from, to vector.Type) bool {
	switch from.Kind {
	case vector.UUID, vector.Time, vector.Interval, vector.List:
		return false
	case vector.Uint:
		return to.Kind == vector.Int
	}
	return true
}

// storeList: a list with a value that cannot be kept cannot be kept as a whole.
func storeList(v *vector.Vector, to vector.Type, reject func(row int, reason string)) *vector.Vector {
	out := *v
	out.Type, out.Valid = to, append([]bool{}, v.Valid...)
	row := 0
	out.Items = store(v.Items, func(item int, reason string) {
		for v.Offsets[row+1] <= item {
			row++
		}
		if out.Valid[row] {
			out.Valid[row] = false
			reject(row, reason)
		}
	})
	return &out
}

// unkept says why a value cannot be kept, as far as the engine that writes the files does not say it; "": it can.
func unkept(v *vector.Vector, row int) string {
	switch v.Type.Kind {
	case vector.Int:
		if shift := 64 - v.Type.Bits; v.Type.Bits > 0 && v.Num(row)<<shift>>shift != v.Num(row) {
			return "does not fit " + v.Type.String()
		}
	case vector.Uint:
		if v.Type.Bits > 0 && v.Type.Bits < 64 && uint64(v.Num(row))>>v.Type.Bits != 0 {
			return "does not fit " + v.Type.String()
		}
	case vector.Date, vector.Timestamp, vector.TimestampTZ:
		// Parquet has no such value: readers would take what stands for it for a day of the year 5881580.
		if n := v.Num(row); n == vector.PosInfinity || n == vector.NegInfinity {
			return "is no " + v.Type.String() + " that Iceberg holds"
		}
	case vector.Time:
		if n := v.Num(row); n < 0 || n > dayMicros {
			return "is no time of a day"
		}
	case vector.TimeTZ:
		if !vector.ParseInto(vector.New(v.Type), string(v.Bytes(row))) {
			return "is no time with a zone"
		}
	case vector.JSON:
		if b := v.Bytes(row); !utf8.Valid(b) || !json.Valid(b) {
			return "is no JSON"
		}
	case vector.UUID:
		if len(v.Bytes(row)) != 16 {
			return "is no UUID"
		}
	}
	return ""
}
