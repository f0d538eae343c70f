package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Everything in this file builds SQL text for mirrors and does nothing else.

// order is a column of staging tables that have a key: which of two rows was written later. Rows that are passed through have NULL there.
const order = "_firth_order"

// maxNumeric is the most digits that the server takes in numeric(p,s).
const maxNumeric = 1000

// mirrorType is the server's type of a column.
func mirrorType(c vector.Column) string {
	// Where the source has jsonb there are no keys twice and no number texts to be kept.
	if c.Type.Kind == vector.JSON && (c.Source == "jsonb" || strings.HasPrefix(c.Source, "jsonb ")) {
		return "jsonb"
	}
	return sqlType(c.Type)
}

func sqlType(t vector.Type) string {
	switch t.Kind {
	case vector.Bool:
		return "boolean"
	case vector.Int, vector.Uint:
		return wholeType(t)
	case vector.Float:
		if t.Bits == 32 {
			return "real"
		}
		return "double precision"
	case vector.Decimal:
		if t.Width > 0 && t.Width <= maxNumeric {
			return fmt.Sprintf("numeric(%d,%d)", t.Width, t.Scale)
		}
		return "numeric"
	case vector.JSON:
		return "json"
	case vector.Blob:
		return "bytea"
	case vector.UUID:
		return "uuid"
	case vector.Date:
		return "date"
	case vector.Time:
		return "time without time zone"
	case vector.TimeTZ:
		return "time with time zone"
	case vector.Timestamp:
		return "timestamp without time zone"
	case vector.TimestampTZ:
		return "timestamp with time zone"
	case vector.Interval:
		return "interval"
	case vector.List:
		if nested(t) {
			return "json"
		}
		return sqlType(elemOf(t)) + "[]"
	}
	return "text"
}

// wholeType: an unsigned integer has the next larger type.
func wholeType(t vector.Type) string {
	bits := int(t.Bits)
	if t.Kind == vector.Uint {
		bits++
	}
	switch {
	case bits == 0 || bits > 64:
		if t.Kind == vector.Uint {
			return "numeric(20,0)"
		}
		return "bigint"
	case bits <= 16:
		return "smallint"
	case bits <= 32:
		return "integer"
	}
	return "bigint"
}

func elemOf(t vector.Type) vector.Type {
	if t.Elem == nil {
		return vector.Type{}
	}
	return *t.Elem
}

// nested reports whether a list is one of lists: the server's arrays are rectangular.
func nested(t vector.Type) bool { return elemOf(t).Kind == vector.List }

func columnList(columns []vector.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = quote(c.Name) + " " + mirrorType(c)
	}
	return strings.Join(list, ", ")
}

func createMirror(schema, name string, columns []vector.Column) string {
	return "CREATE TABLE " + qualified(schema, name) + " (" + columnList(columns) + ") USING heap"
}

// createMirrorStage makes a staging table; ordered, where rows with the same key may come.
func createMirrorStage(schema, name string, columns []vector.Column, ordered bool) string {
	list := columnList(columns)
	if ordered {
		list += ", " + order + " bigint"
	}
	return "CREATE TABLE " + qualified(schema, name) + " (" + list + ") USING heap"
}

func addMirrorColumn(schema, name string, c vector.Column) string {
	return "ALTER TABLE " + qualified(schema, name) + " ADD COLUMN " + quote(c.Name) + " " + mirrorType(c)
}

// retypeMirror gives a column a type that holds all it has.
func retypeMirror(schema, name string, from, to vector.Column) string {
	return "ALTER TABLE " + qualified(schema, name) + " ALTER COLUMN " + quote(from.Name) + " TYPE " + mirrorType(to) + " USING " + castMirror(quote(from.Name), from, to)
}

// castMirror is an expression of one column's type as that of another that holds all its values.
func castMirror(e string, from, to vector.Column) string {
	a, b := mirrorType(from), mirrorType(to)
	switch {
	case from.Type.Kind == vector.Null && to.Type.Kind != vector.Null:
		return "NULL::" + b
	case a == b:
		return e
	case from.Type.Kind == vector.List && (b == "text" || b == "json"):
		return "to_json(" + e + ")::" + b
	}
	return e + "::" + b
}

// comparable is an expression that is equal for equal values alone, and has an order: the server takes 0 and -0, a month and 30 days, 1.5
// and 1.50 for the same, and compares no json.
func comparable(e string, c vector.Column) string {
	switch t := c.Type; {
	case t.Kind == vector.Float && t.Bits == 32:
		return "float4send(" + e + ")"
	case t.Kind == vector.Float:
		return "float8send(" + e + ")"
	case t.Kind == vector.Interval, t.Kind == vector.JSON, t.Kind == vector.List, t.Kind == vector.TimeTZ, t.Kind == vector.Decimal && (t.Width == 0 || t.Width > maxNumeric):
		return e + "::text"
	case t.Kind == vector.Text || t.Kind == vector.Null:
		return e + ` COLLATE "C"`
	}
	return e
}

func differs(a, b string, c vector.Column) string {
	return comparable(a, c) + " IS DISTINCT FROM " + comparable(b, c)
}

// literalOf is a value as a constant. The texts that [vector.Vector.AppendText] writes are the server's own.
func literalOf(x vector.Value) string {
	if x.Kind == vector.Null {
		return "NULL"
	}
	t := vector.Type{Kind: x.Kind, Bits: x.Bits}
	v := vector.New(t)
	v.AppendValue(x)
	return literal(strings.ReplaceAll(v.Text(0), "\x00", "")) + "::" + sqlType(t)
}

// instantOf is a time as a constant.
func instantOf(at time.Time) string {
	return "'" + at.UTC().Format("2006-01-02 15:04:05.999999") + "+00'::timestamptz"
}

// selectIDs reads ids behind one, as texts.
func selectIDs(table string, after vector.Value, limit int) string {
	where := ""
	if after.Kind != vector.Null {
		where = " WHERE i.id > " + literalOf(after)
	}
	return "SELECT i.id::text FROM " + table + " AS i" + where + " ORDER BY i.id LIMIT " + strconv.Itoa(limit)
}

// pair is a column that the table and the stage both have.
type pair struct{ main, stage vector.Column }

func (p pair) of(alias string) string { return alias + "." + quote(p.main.Name) }

func (p pair) staged(alias string) string {
	return castMirror(alias+"."+quote(p.stage.Name), p.stage, p.main)
}

// rowDigest stands for a row as a whole.
func rowDigest(columns []pair, side func(pair) string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = comparable(side(c), c.main)
	}
	return digest(list)
}

// digest of expressions; of very many in parts, for a row has at most 1,664.
func digest(list []string) string {
	return "md5(ROW(" + strings.Join(list, ", ") + ")::text)"
}

// numbered gives the rows t of a table with a number among those that are equal as a whole: r is where the row is, h and n the digest and
// that number, g a column to group by.
func numbered(table, digest, group, where string) string {
	b := "(SELECT t.ctid AS r, " + digest + " AS h, row_number() OVER (PARTITION BY " + digest + ") AS n, " + group + " AS g FROM " + table + " AS t"
	if where != "" {
		b += " WHERE " + where
	}
	return b + ")"
}

// unmatched are the rows of one numbered relation that the other has no equal for.
func unmatched(of, in string) string {
	return "(SELECT a.r, a.g FROM " + of + " AS a LEFT JOIN " + in + " AS b ON a.h = b.h AND a.n = b.n WHERE b.h IS NULL)"
}

// sameKey is the condition that a row t of the table and a staged row s have the same key.
func sameKey(key []pair) string {
	list := make([]string, len(key))
	for i, c := range key {
		list[i] = c.of("t") + " = " + c.staged("s")
	}
	return strings.Join(list, " AND ")
}

// keyText is the key of a row as rejects have it: the values as texts, with a comma and a blank between.
func keyText(alias string, key []string, columns []vector.Column) string {
	var list []string
	for _, k := range key {
		for _, c := range columns {
			if c.Name == k {
				list = append(list, "coalesce("+alias+"."+quote(c.Name)+"::text, '')")
			}
		}
	}
	if len(list) == 0 {
		return "''"
	}
	return strings.Join(list, " || ', ' || ")
}

// Names that belong to a mirror's table, within what the server takes.
func stageName(table string) string   { return fitName(warehouse.StagePrefix + table) }
func idsName(table string) string     { return fitName(warehouse.IDsPrefix + table) }
func keysName(table string) string    { return fitName("_firth_keys_" + table) }
func rejectsName(table string) string { return fitName(table + warehouse.RejectsSuffix) }
func keyIndex(table string) string    { return fitName(table + "_firth_key") }
