package duckdb

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Everything in this file builds SQL text for mirrors and does nothing else.

// maxDecimal is the most digits of the engine's DECIMAL.
const maxDecimal = 38

// mirrorType is the engine's type of a column. A decimal that is unbounded, or wider than the engine has them, is its text.
func mirrorType(t vector.Type) string {
	switch t.Kind {
	case vector.Bool:
		return "BOOLEAN"
	case vector.Int:
		return map[uint8]string{8: "TINYINT", 16: "SMALLINT", 32: "INTEGER"}[t.Bits] + map[bool]string{true: "BIGINT"}[t.Bits != 8 && t.Bits != 16 && t.Bits != 32]
	case vector.Uint:
		return map[uint8]string{8: "UTINYINT", 16: "USMALLINT", 32: "UINTEGER"}[t.Bits] + map[bool]string{true: "UBIGINT"}[t.Bits != 8 && t.Bits != 16 && t.Bits != 32]
	case vector.Float:
		if t.Bits == 32 {
			return "FLOAT"
		}
		return "DOUBLE"
	case vector.Decimal:
		if bounded(t) {
			return fmt.Sprintf("DECIMAL(%d,%d)", t.Width, t.Scale)
		}
	case vector.JSON:
		return "JSON"
	case vector.Blob:
		return "BLOB"
	case vector.UUID:
		return "UUID"
	case vector.Date:
		return "DATE"
	case vector.Time:
		return "TIME"
	case vector.TimeTZ:
		return "TIMETZ"
	case vector.Timestamp:
		return "TIMESTAMP"
	case vector.TimestampTZ:
		return "TIMESTAMPTZ"
	case vector.Interval:
		return "INTERVAL"
	case vector.List:
		return mirrorType(elemOf(t)) + "[]"
	}
	return "VARCHAR"
}

func bounded(t vector.Type) bool {
	return t.Kind == vector.Decimal && t.Width >= 1 && t.Width <= maxDecimal && t.Scale <= t.Width
}

func elemOf(t vector.Type) vector.Type {
	if t.Elem == nil {
		return vector.Type{}
	}
	return *t.Elem
}

func createMirror(schema, name string, columns []vector.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = quote(c.Name) + " " + mirrorType(c.Type)
	}
	return "CREATE TABLE " + qualified(schema, name) + " (" + strings.Join(list, ", ") + ")"
}

func addMirrorColumn(schema, name string, c vector.Column) string {
	return "ALTER TABLE " + qualified(schema, name) + " ADD COLUMN " + quote(c.Name) + " " + mirrorType(c.Type)
}

// nothing is what ValidTo is at first.
const nothing = "NULL::TIMESTAMPTZ"

// addExtras adds columns with a value for the rows that are there. The engine takes no change of a table's columns behind one of its rows.
func addExtras(schema, name string, columns []vector.Column, values []string) []string {
	var add, set []string
	for i, c := range columns {
		add = append(add, addMirrorColumn(schema, name, c))
		if values[i] != nothing {
			set = append(set, quote(c.Name)+" = "+values[i])
		}
	}
	if len(set) > 0 {
		add = append(add, "UPDATE "+qualified(schema, name)+" SET "+strings.Join(set, ", "))
	}
	return add
}

// retypeMirror gives a column a type that holds all it has.
func retypeMirror(schema, name, column string, from, to vector.Type) string {
	return "ALTER TABLE " + qualified(schema, name) + " ALTER COLUMN " + quote(column) + " TYPE " + mirrorType(to) + " USING " + castMirror(quote(column), from, to)
}

// castMirror is an expression of one type as another that holds all its values; texts are as vector.Vector.AppendText has them.
func castMirror(e string, from, to vector.Type) string {
	target := mirrorType(to)
	switch {
	case from.Kind == vector.Null && to.Kind != vector.Null:
		return "NULL::" + target
	case mirrorType(from) == target:
		return e
	case target == "VARCHAR":
		return textOfMirror(e, from)
	case target == "JSON" && from.Kind == vector.List:
		return "to_json(" + e + ")"
	}
	return e + "::" + target
}

// textOfMirror is a value as vector.Vector.AppendText has it, for the kinds that have an order.
func textOfMirror(e string, t vector.Type) string {
	switch t.Kind {
	case vector.Float:
		return "regexp_replace(" + e + "::VARCHAR, '\\.0$', '')"
	case vector.Decimal:
		return "regexp_replace(" + e + "::VARCHAR, '^(-?)\\.', '\\10.')"
	case vector.Blob:
		return "'\\x' || lower(hex(" + e + "))"
	case vector.Date, vector.Timestamp, vector.TimestampTZ:
		return "replace(" + e + "::VARCHAR, '(BC)', 'BC')"
	case vector.List:
		return "to_json(" + e + ")::VARCHAR"
	}
	return e + "::VARCHAR"
}

// comparable is an expression that is equal for equal values alone: the engine takes 0 and -0, a month and 30 days for the same. Decimals that
// are texts are the same with and without zeros at the end, which they have when they come from a column of another type.
func comparable(e string, t vector.Type) string {
	if loose(t) {
		return e + "::VARCHAR"
	}
	if t.Kind == vector.Decimal && !bounded(t) {
		return "CASE WHEN contains(" + e + ", '.') THEN rtrim(rtrim(" + e + ", '0'), '.') ELSE " + e + " END"
	}
	return e
}

func loose(t vector.Type) bool {
	switch t.Kind {
	case vector.Float, vector.Interval, vector.TimeTZ:
		return true
	case vector.List:
		return loose(elemOf(t))
	}
	return false
}

// differs is the condition that two values of a type are not the same.
func differs(a, b string, t vector.Type) string {
	if t.Kind == vector.Float {
		return "(" + a + " IS DISTINCT FROM " + b + " OR " + a + " = 0 AND signbit(" + a + ") <> signbit(" + b + "))"
	}
	return comparable(a, t) + " IS DISTINCT FROM " + comparable(b, t)
}

// alike is the condition that two values of a type are equal to the engine and not the same: it leaves the old one where it is told to
// update it.
func alike(a, b string, t vector.Type) string {
	return a + " = " + b + " AND " + differs(a, b, t)
}

// another is a value that is not equal to one of those that are alike.
func another(e string, t vector.Type) string {
	switch t.Kind {
	case vector.Float:
		return "1"
	case vector.Interval:
		return e + " + INTERVAL 1 MICROSECOND"
	case vector.TimeTZ:
		return "'03:33:33.333333+00'::TIMETZ"
	}
	return "NULL"
}

// literalOf is a value as a constant.
func literalOf(x vector.Value) string {
	t := vector.Type{Kind: x.Kind, Bits: x.Bits}
	if x.Kind == vector.Null {
		return "NULL"
	}
	if x.Kind == vector.Blob {
		return "from_hex('" + hex.EncodeToString([]byte(x.Text)) + "')"
	}
	v := vector.New(t)
	v.AppendValue(x)
	text := v.Text(0)
	if x.Kind == vector.Decimal {
		if strings.Trim(text, "-0123456789.") != "" {
			return literal(text)
		}
		return text
	}
	if strings.Contains(text, "\x00") {
		return "decode(from_hex('" + hex.EncodeToString([]byte(text)) + "'))"
	}
	if x.Kind == vector.Date || x.Kind == vector.Timestamp || x.Kind == vector.TimestampTZ {
		text = strings.Replace(text, "BC", "(BC)", 1)
	}
	return literal(text) + "::" + mirrorType(t)
}

// instantOf is a time as a constant.
func instantOf(at time.Time) string {
	return "make_timestamptz(" + strconv.FormatInt(at.UnixMicro(), 10) + ")"
}

// selectIDs reads ids behind one, as texts.
func selectIDs(t warehouse.MirrorTable, idType vector.Type, after vector.Value, limit int) string {
	where := ""
	if after.Kind != vector.Null {
		where = " WHERE id > " + literalOf(after)
	}
	return "SELECT " + textOfMirror("id", idType) + " FROM " + qualified(t.Schema, warehouse.IDsPrefix+t.Table) + where + " ORDER BY id LIMIT " + strconv.Itoa(limit)
}

// numbered gives the rows of a table with a number among those that are equal in all columns: r is the row's id, n that number, c0 to cN
// the columns as they compare.
func numbered(table string, columns []pair, side func(pair) string, where string) string {
	list := []string{"rowid AS r"}
	var parts []string
	for i, c := range columns {
		e := comparable(side(c), c.as)
		list = append(list, fmt.Sprintf("%s AS c%d", e, i))
		parts = append(parts, e)
	}
	list = append(list, "row_number() OVER (PARTITION BY "+strings.Join(parts, ", ")+") AS n")
	b := "(SELECT " + strings.Join(list, ", ") + " FROM " + table + " AS t"
	if where != "" {
		b += " WHERE " + where
	}
	return b + ")"
}

// unmatched are the row ids of one numbered relation that the other has no equal for.
func unmatched(of, in string, columns int) string {
	on := []string{"a.n = b.n"}
	for i := range columns {
		on = append(on, fmt.Sprintf("a.c%d IS NOT DISTINCT FROM b.c%[1]d", i))
	}
	return "(SELECT a.* FROM " + of + " AS a ANTI JOIN " + in + " AS b ON " + strings.Join(on, " AND ") + ")"
}

// sameKey is the condition that a row t of the table and a staged row s have the same key.
func sameKey(key []pair) string {
	list := make([]string, len(key))
	for i, c := range key {
		list[i] = c.main("t") + " = " + c.staged("s")
		if c.as.Kind == vector.Decimal {
			list[i] = comparable(c.main("t"), c.as) + " = " + comparable(c.staged("s"), c.as)
		}
	}
	return strings.Join(list, " AND ")
}

// pair is a column that the table and the stage both have.
type pair struct {
	name string      // in the table
	from string      // in the stage
	is   vector.Type // of the stage
	as   vector.Type // of the table
}

func (p pair) main(alias string) string { return alias + "." + quote(p.name) }

func (p pair) staged(alias string) string {
	return castMirror(alias+"."+quote(p.from), p.is, p.as)
}
