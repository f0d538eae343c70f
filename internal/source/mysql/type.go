package mysql

import (
	"database/sql/driver"
	"math"
	"strconv"
	"strings"

	"firth/internal/vector"
)

// field is one column of what is read.
type field struct {
	vector.Column
	parse parser
	meta  string // what the statement's metadata say of its type: another one later means that the table was changed
}

// mostDigits is how wide a decimal may be that says its width; wider ones are unbounded.
const mostDigits = 38

// tableType is the type of a table's column by data_type and column_type of information_schema. json says that the column's check
// is json_valid: what MariaDB makes of a column of type json.
func tableType(data, column string, json bool) (vector.Type, parser) {
	data, column = strings.ToLower(data), strings.ToLower(column)
	unsigned := strings.Contains(column, " unsigned")
	switch data {
	case "tinyint":
		return intType(8, unsigned)
	case "smallint":
		return intType(16, unsigned)
	case "mediumint", "int", "integer":
		return intType(32, unsigned)
	case "bigint":
		return intType(64, unsigned)
	case "bit":
		if column == "bit(1)" {
			return vector.Type{Kind: vector.Bool}, parseBits
		}
		return vector.Type{Kind: vector.Uint, Bits: 64}, parseBits
	case "decimal", "numeric":
		return decimalType(argsOf(column)), parseDecimal
	case "uuid":
		return vector.Type{Kind: vector.UUID}, parseUUID
	}
	if json {
		return vector.Type{Kind: vector.JSON}, parseText
	}
	return plainType(data)
}

// plainType is the type of those names that say it all.
func plainType(data string) (vector.Type, parser) {
	switch data {
	case "float":
		return vector.Type{Kind: vector.Float, Bits: 32}, parseFloat
	case "double", "real":
		return vector.Type{Kind: vector.Float, Bits: 64}, parseFloat
	case "date":
		return vector.Type{Kind: vector.Date}, parseDate
	case "datetime":
		return vector.Type{Kind: vector.Timestamp}, parseTimestamp
	case "timestamp":
		return vector.Type{Kind: vector.TimestampTZ}, parseTimestamp
	case "time":
		return vector.Type{Kind: vector.Interval}, parseTime
	case "year":
		return vector.Type{Kind: vector.Int, Bits: 16}, parseInt
	case "json":
		return vector.Type{Kind: vector.JSON}, parseText
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector":
		return vector.Type{Kind: vector.Blob}, parseBlob
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return vector.Type{Kind: vector.Text}, parseGeometry
	}
	return vector.Type{Kind: vector.Text}, parseText // char, text, enum, set, inet6 and what is yet to come
}

func intType(bits uint8, unsigned bool) (vector.Type, parser) {
	if unsigned {
		return vector.Type{Kind: vector.Uint, Bits: bits}, parseUint
	}
	return vector.Type{Kind: vector.Int, Bits: bits}, parseInt
}

func decimalType(width, scale int) vector.Type {
	if width <= 0 || width > mostDigits || scale > width {
		return vector.Type{Kind: vector.Decimal}
	}
	return vector.Type{Kind: vector.Decimal, Width: uint16(width), Scale: uint16(scale)}
}

// argsOf are the two numbers in decimal(10,2).
func argsOf(column string) (width, scale int) {
	_, args, _ := strings.Cut(column, "(")
	args, _, _ = strings.Cut(args, ")")
	w, s, _ := strings.Cut(args, ",")
	width, _ = strconv.Atoi(w) // none is 0: unbounded
	scale, _ = strconv.Atoi(s)
	return width, scale
}

// metadata is what a statement tells of its columns.
type metadata interface {
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypePrecisionScale
}

// describeColumn is the type of a column of a statement in words, to compare it later.
func describeColumn(m metadata, i int) string {
	name := m.ColumnTypeDatabaseTypeName(i)
	if width, scale, ok := m.ColumnTypePrecisionScale(i); ok && name == "DECIMAL" {
		return "decimal(" + strconv.FormatInt(width, 10) + "," + strconv.FormatInt(scale, 10) + ")"
	}
	return strings.ToLower(name)
}

// queryType is the type of a column of a query. The metadata do not say how many bits a BIT has, nor that a text is checked to be
// JSON, and they count one digit too few of an unsigned decimal.
func queryType(m metadata, i int) (t vector.Type, p parser, source string) {
	name := strings.ToLower(m.ColumnTypeDatabaseTypeName(i))
	if base, ok := strings.CutPrefix(name, "unsigned "); ok {
		t, p = tableType(base, name+" unsigned", false)
		return t, p, base + " unsigned"
	}
	if name == "decimal" {
		width, scale, _ := m.ColumnTypePrecisionScale(i)
		if width < mostDigits {
			width++
		}
		if width > math.MaxInt16 {
			width = 0
		}
		t = decimalType(int(width), int(scale))
		return t, parseDecimal, t.String()
	}
	t, p = tableType(name, name, false)
	return t, p, name
}
