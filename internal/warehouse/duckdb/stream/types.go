package stream

import (
	"fmt"
	"strings"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"firth/internal/query"
)

// scalar makes the reader of a type that needs nothing but its number to be read.
func scalar(id bindings.Type) (reader, bool) {
	for _, of := range []func(bindings.Type) (reader, bool){integer, moment, other} {
		if r, ok := of(id); ok {
			return r, true
		}
	}
	return reader{}, false
}

func simple(kind query.Kind, name string, get func(*reader, int) any) (reader, bool) {
	return reader{typ: query.Type{Kind: kind, Name: name}, get: get}, true
}

func integer(id bindings.Type) (reader, bool) {
	sized := func(kind query.Kind, bits uint8, name string, get func(*reader, int) any) (reader, bool) {
		return reader{typ: query.Type{Kind: kind, Name: name, Bits: bits}, get: get}, true
	}
	switch id {
	case bindings.TypeTinyInt:
		return sized(query.Int, 8, "TINYINT", signed[int8])
	case bindings.TypeSmallInt:
		return sized(query.Int, 16, "SMALLINT", signed[int16])
	case bindings.TypeInteger:
		return sized(query.Int, 32, "INTEGER", signed[int32])
	case bindings.TypeBigInt:
		return sized(query.Int, 64, "BIGINT", signed[int64])
	case bindings.TypeUTinyInt:
		return sized(query.Uint, 8, "UTINYINT", unsigned[uint8])
	case bindings.TypeUSmallInt:
		return sized(query.Uint, 16, "USMALLINT", unsigned[uint16])
	case bindings.TypeUInteger:
		return sized(query.Uint, 32, "UINTEGER", unsigned[uint32])
	case bindings.TypeUBigInt:
		return sized(query.Uint, 64, "UBIGINT", unsigned[uint64])
	case bindings.TypeHugeInt:
		return simple(query.BigInt, "HUGEINT", huge)
	case bindings.TypeUHugeInt:
		return simple(query.BigInt, "UHUGEINT", unsignedHuge)
	case bindings.TypeBigNum:
		return simple(query.BigInt, "BIGNUM", bignum)
	}
	return reader{}, false
}

func moment(id bindings.Type) (reader, bool) {
	ticking := func(kind query.Kind, unit query.Unit, name string) (reader, bool) {
		return reader{typ: query.Type{Kind: kind, Name: name, Unit: unit}, get: plain[int64]}, true
	}
	switch id {
	case bindings.TypeTime:
		return ticking(query.Time, query.Microsecond, "TIME")
	case bindings.TypeTimeNS:
		return ticking(query.Time, query.Nanosecond, "TIME_NS")
	case bindings.TypeTimestamp:
		return ticking(query.Timestamp, query.Microsecond, "TIMESTAMP")
	case bindings.TypeTimestampS:
		return ticking(query.Timestamp, query.Second, "TIMESTAMP_S")
	case bindings.TypeTimestampMS:
		return ticking(query.Timestamp, query.Millisecond, "TIMESTAMP_MS")
	case bindings.TypeTimestampNS:
		return ticking(query.Timestamp, query.Nanosecond, "TIMESTAMP_NS")
	case bindings.TypeTimestampTZ:
		return ticking(query.TimestampTZ, query.Microsecond, "TIMESTAMP WITH TIME ZONE")
	case bindings.TypeDate:
		return simple(query.Date, "DATE", signed[int32])
	case bindings.TypeTimeTZ:
		return simple(query.Text, "TIME WITH TIME ZONE", zoned)
	case bindings.TypeInterval:
		return simple(query.Interval, "INTERVAL", interval)
	}
	return reader{}, false
}

func other(id bindings.Type) (reader, bool) {
	switch id {
	case bindings.TypeBoolean:
		return simple(query.Bool, "BOOLEAN", plain[bool])
	case bindings.TypeFloat:
		return simple(query.Float, "FLOAT", plain[float32])
	case bindings.TypeDouble:
		return simple(query.Double, "DOUBLE", plain[float64])
	case bindings.TypeVarchar, bindings.TypeStringLiteral:
		return simple(query.Text, "VARCHAR", text)
	case bindings.TypeBlob, bindings.TypeGeometry:
		return simple(query.Blob, "BLOB", blob)
	case bindings.TypeBit:
		return simple(query.Text, "BIT", bits)
	case bindings.TypeUUID:
		return simple(query.Text, "UUID", uuid)
	case bindings.TypeSQLNull:
		return simple(query.Null, "NULL", nothing)
	}
	return reader{}, false
}

// newReader makes a reader for a type, which it does not keep.
func newReader(logical bindings.LogicalType) (reader, error) {
	id := bindings.GetTypeId(logical)
	if r, ok := scalar(id); ok {
		if bindings.LogicalTypeGetAlias(logical) == "JSON" {
			r.typ.Kind, r.typ.Name = query.JSON, "JSON"
		}
		return r, nil
	}
	switch id {
	case bindings.TypeDecimal:
		return decimalReader(logical), nil
	case bindings.TypeEnum:
		return enumReader(logical), nil
	case bindings.TypeList:
		return nested(query.List, list, []bindings.LogicalType{bindings.ListTypeChildType(logical)}, nil, 0)
	case bindings.TypeArray:
		size := int(bindings.ArrayTypeArraySize(logical))
		return nested(query.List, list, []bindings.LogicalType{bindings.ArrayTypeChildType(logical)}, nil, size)
	case bindings.TypeMap:
		return nested(query.Map, pairs, []bindings.LogicalType{bindings.MapTypeKeyType(logical), bindings.MapTypeValueType(logical)}, nil, 0)
	case bindings.TypeStruct:
		var types []bindings.LogicalType
		var names []string
		for i := range bindings.StructTypeChildCount(logical) {
			types = append(types, bindings.StructTypeChildType(logical, i))
			names = append(names, bindings.StructTypeChildName(logical, i))
		}
		return nested(query.Struct, fields, types, names, 0)
	case bindings.TypeUnion:
		var types []bindings.LogicalType
		var names []string
		for i := range bindings.UnionTypeMemberCount(logical) {
			types = append(types, bindings.UnionTypeMemberType(logical, i))
			names = append(names, bindings.UnionTypeMemberName(logical, i))
		}
		return nested(query.Union, member, types, names, 0)
	case bindings.TypeVariant:
		return reader{}, fmt.Errorf("Invalid Input Error: a VARIANT cannot be sent\n\nDid you mean to cast it: column::JSON") //nolint:staticcheck // worded as the engine does
	}
	return reader{}, fmt.Errorf("Invalid Input Error: the result has a type that cannot be sent (%d)\n\nDid you mean to cast it: column::VARCHAR", id) //nolint:staticcheck // as above
}

func decimalReader(logical bindings.LogicalType) reader {
	r := reader{typ: query.Type{Kind: query.Decimal, Width: bindings.DecimalWidth(logical), Scale: bindings.DecimalScale(logical)}}
	r.typ.Name = fmt.Sprintf("DECIMAL(%d,%d)", r.typ.Width, r.typ.Scale)
	switch bindings.DecimalInternalType(logical) {
	case bindings.TypeSmallInt:
		r.get = narrowDecimal[int16]
	case bindings.TypeInteger:
		r.get = narrowDecimal[int32]
	case bindings.TypeBigInt:
		r.get = narrowDecimal[int64]
	default:
		r.get = huge
	}
	return r
}

func enumReader(logical bindings.LogicalType) reader {
	r := reader{typ: query.Type{Kind: query.Text, Name: "ENUM"}, get: enum, width: 4}
	switch bindings.EnumInternalType(logical) {
	case bindings.TypeUTinyInt:
		r.width = 1
	case bindings.TypeUSmallInt:
		r.width = 2
	}
	for i := range bindings.EnumDictionarySize(logical) {
		r.dict = append(r.dict, bindings.EnumDictionaryValue(logical, bindings.IdxT(i)))
	}
	return r
}

// nested makes a reader of a type with parts; it destroys the types of the parts.
func nested(kind query.Kind, get func(*reader, int) any, parts []bindings.LogicalType, names []string, width int) (reader, error) {
	r := reader{typ: query.Type{Kind: kind, Fields: names}, get: get, width: width}
	var failed error
	for i := range parts {
		child, err := newReader(parts[i])
		bindings.DestroyLogicalType(&parts[i])
		if err != nil {
			failed = err
			continue
		}
		r.children = append(r.children, child)
		r.typ.Elem = append(r.typ.Elem, child.typ)
	}
	if failed != nil {
		return reader{}, failed
	}
	r.typ.Name = nestedName(r.typ, width)
	return r, nil
}

func nestedName(t query.Type, width int) string {
	switch {
	case t.Kind == query.List && width > 0:
		return fmt.Sprintf("%s[%d]", t.Elem[0].Name, width)
	case t.Kind == query.List:
		return t.Elem[0].Name + "[]"
	case t.Kind == query.Map:
		return fmt.Sprintf("MAP(%s, %s)", t.Elem[0].Name, t.Elem[1].Name)
	}
	parts := make([]string, len(t.Elem))
	for i, e := range t.Elem {
		parts[i] = `"` + strings.ReplaceAll(t.Fields[i], `"`, `""`) + `" ` + e.Name
	}
	name := "STRUCT"
	if t.Kind == query.Union {
		name = "UNION"
	}
	return name + "(" + strings.Join(parts, ", ") + ")"
}
