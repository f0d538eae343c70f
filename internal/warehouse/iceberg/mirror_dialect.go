package iceberg

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse/duckdb"
)

// Everything in this file builds SQL text for mirrors, in the engine's dialect, and does nothing else. Relations have names of their own:
// a stage and a table are views with a column rowColumn, which tells their rows apart and grows in the order in which rows were written.

// rowColumn identifies a row of a view: the number of its file in 32 bits, and behind it its place in the file.
const rowColumn = "_firth_row"

// constant is literal for any text.
func constant(text string) string {
	if strings.Contains(text, "\x00") {
		return "decode(from_hex('" + hex.EncodeToString([]byte(text)) + "'))"
	}
	return literal(text)
}

// columnType is the engine's type for a column of a mirror, as it is stored.
func columnType(t vector.Type) string { return duckdb.ColumnType(stored(t)) }

// castTo is an expression of one type as another that holds all its values; both are as they are stored, texts as
// vector.Vector.AppendText has them.
func castTo(e string, from, to vector.Type) string {
	target := columnType(to)
	switch {
	case from.Kind == vector.Null && to.Kind != vector.Null:
		return "NULL::" + target
	case columnType(from) == target:
		return e
	case target == "VARCHAR":
		return textOf(e, from)
	case from.Kind == vector.Date && to.Kind == vector.TimestampTZ:
		return "make_timestamptz(epoch_us(" + e + "))"
	}
	return e + "::" + target
}

// textOf is a value as vector.Vector.AppendText has it.
func textOf(e string, t vector.Type) string {
	if columnType(t) == "VARCHAR" {
		return e
	}
	switch t.Kind {
	case vector.Float:
		return "regexp_replace(" + e + "::VARCHAR, '\\.0$', '')"
	case vector.Decimal:
		return "regexp_replace(" + e + "::VARCHAR, '^(-?)\\.', '\\10.')"
	case vector.Blob:
		return "'\\x' || lower(hex(" + e + "))"
	case vector.Date, vector.Timestamp:
		return "replace(" + e + "::VARCHAR, '(BC)', 'BC')"
	case vector.TimestampTZ:
		return "replace(make_timestamp(epoch_us(" + e + "))::VARCHAR || '+00', ' (BC)+00', '+00 BC')"
	case vector.List:
		return "to_json(" + e + ")::VARCHAR"
	}
	return e + "::VARCHAR"
}

// exactly is an expression that is equal for equal values alone: the engine takes 0 and -0 for the same. Decimals that are texts are the
// same with and without zeros at the end, which they have when they come from a column of another type.
func exactly(e string, t vector.Type) string {
	if hasFloats(t) {
		return e + "::VARCHAR"
	}
	if t.Kind == vector.Decimal && stored(t).Kind == vector.Text {
		return "CASE WHEN contains(" + e + ", '.') THEN rtrim(rtrim(" + e + ", '0'), '.') ELSE " + e + " END"
	}
	return e
}

func hasFloats(t vector.Type) bool {
	return t.Kind == vector.Float || t.Kind == vector.List && elemOf(t).Kind == vector.Float
}

// differs is the condition that two values of a type are not the same.
func differs(a, b string, t vector.Type) string {
	if t.Kind == vector.Float {
		return "(" + a + " IS DISTINCT FROM " + b + " OR " + a + " = 0 AND signbit(" + a + ") <> signbit(" + b + "))"
	}
	return exactly(a, t) + " IS DISTINCT FROM " + exactly(b, t)
}

// ordered reports whether the values of a type compare, as they are stored, as they do at the source.
func ordered(t vector.Type) bool {
	switch t.Kind {
	case vector.Decimal:
		return stored(t).Kind == vector.Decimal
	case vector.TimeTZ, vector.Interval, vector.JSON, vector.List, vector.Null:
		return false
	}
	return true
}

// valueOf is a value as a constant of the type as which it is stored.
func valueOf(x vector.Value, as vector.Type) string {
	if x.Kind == vector.Null {
		return "NULL"
	}
	if x.Kind == vector.Blob {
		return "from_hex('" + hex.EncodeToString([]byte(x.Text)) + "')"
	}
	v := vector.New(vector.Type{Kind: x.Kind, Bits: x.Bits})
	v.AppendValue(x)
	text := v.Text(0)
	if as.Kind == vector.TimestampTZ && x.Kind == vector.TimestampTZ {
		return "make_timestamptz(" + strconv.FormatInt(x.Num, 10) + ")"
	}
	if as.Kind == vector.Date || as.Kind == vector.Timestamp {
		text = strings.Replace(text, "BC", "(BC)", 1)
	}
	return constant(text) + "::" + columnType(as)
}

// instantOf is a time as a constant.
func instantOf(at time.Time) string {
	return "make_timestamptz(" + strconv.FormatInt(at.UnixMicro(), 10) + ")"
}

// nothing is what ValidTo is at first.
const nothing = "NULL::TIMESTAMPTZ"

// pair is a column that the table and the stage both have.
type pair struct {
	name string      // in the table
	from string      // in the stage
	is   vector.Type // of the stage
	as   vector.Type // of the table, when it is published
}

func (p pair) main(alias string) string { return alias + "." + quote(p.name) }

func (p pair) staged(alias string) string { return castTo(alias+"."+quote(p.from), p.is, p.as) }

// sameKey is the condition that a row t of the table and a staged row s have the same key.
func sameKey(key []pair) string {
	list := make([]string, len(key))
	for i, c := range key {
		a, b := c.main("t"), c.staged("s")
		if c.as.Kind == vector.Decimal {
			a, b = exactly(a, c.as), exactly(b, c.as)
		}
		list[i] = a + " = " + b
	}
	return strings.Join(list, " AND ")
}

// numbered gives the rows of a relation with a number among those that are equal in all columns: r is the row, n that number, c0 to cN the
// columns as they compare.
func numbered(relation string, columns []pair, side func(pair) string, where string) string {
	list := []string{rowColumn + " AS r"}
	var parts []string
	for i, c := range columns {
		e := exactly(side(c), c.as)
		list = append(list, fmt.Sprintf("%s AS c%d", e, i))
		parts = append(parts, e)
	}
	list = append(list, "row_number() OVER (PARTITION BY "+strings.Join(parts, ", ")+" ORDER BY "+rowColumn+") AS n")
	return "(SELECT " + strings.Join(list, ", ") + " FROM " + relation + " AS t" + whereOf(where) + ")"
}

// unmatched are the rows of one numbered relation that the other has no equal for.
func unmatched(of, in string, columns int) string {
	on := []string{"a.n = b.n"}
	for i := range columns {
		on = append(on, fmt.Sprintf("a.c%d IS NOT DISTINCT FROM b.c%[1]d", i))
	}
	return "(SELECT a.* FROM " + of + " AS a ANTI JOIN " + in + " AS b ON " + strings.Join(on, " AND ") + ")"
}

func whereOf(condition string) string {
	if condition == "" {
		return ""
	}
	return " WHERE " + condition
}

// keyText is the key of a row as rejects have it: the values as texts, with a comma and a blank between.
func keyText(alias string, key []string, columns []vector.Column) string {
	var list []string
	for _, k := range key {
		for _, c := range columns {
			if strings.EqualFold(c.Name, k) {
				list = append(list, "coalesce("+textOf(alias+"."+quote(c.Name), c.Type)+", '')")
			}
		}
	}
	if len(list) == 0 {
		return "''"
	}
	return strings.Join(list, " || ', ' || ")
}

// selectIDs reads ids behind one from a relation, as texts.
func selectIDs(relation string, idType vector.Type, after vector.Value, limit int) string {
	where := ""
	if after.Kind != vector.Null {
		where = " WHERE id > " + valueOf(after, idType)
	}
	return "SELECT " + textOf("id", idType) + " FROM " + relation + where + " ORDER BY id LIMIT " + strconv.Itoa(limit)
}
