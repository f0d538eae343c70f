package redshift

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"firth/internal/object"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// Everything in this file builds SQL text and does nothing else.

// longest is the longest string that Redshift stores, in bytes.
const longest = 65_535

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal makes a string constant. Redshift takes a backslash in a constant for the beginning of an escape, Postgres does not: so none
// is ever inside one. Nothing here can hold U+0000, which neither stores.
func literal(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	parts := strings.Split(s, `\`)
	for i, p := range parts {
		parts[i] = "'" + strings.ReplaceAll(p, "'", "''") + "'"
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, " || chr(92) || ") + ")"
}

func literals(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = literal(s)
	}
	return strings.Join(out, ", ")
}

func qualified(schema, name string) string { return quote(schema) + "." + quote(name) }

// stamp is a constant timestamp without a zone.
func stamp(t time.Time) string { return "CAST('" + t.UTC().Format(timeLayout) + "' AS timestamp)" }

// stampOf is a constant timestamp of Unix microseconds; ok is false for NULL.
func stampOf(micros int64, ok bool) string {
	if !ok {
		return "CAST(NULL AS timestamp)"
	}
	return stamp(time.UnixMicro(micros))
}

// timeLayout is how timestamps are written in statements and in parts.
const timeLayout = "2006-01-02 15:04:05.000000"

// typeName is the physical type of a column that is made here: Segment's, but for the length of strings.
func typeName(t table.Type) (string, error) {
	switch t {
	case table.Boolean:
		return "boolean", nil
	case table.Integer:
		return "bigint", nil
	case table.Float:
		return "double precision", nil
	case table.Timestamp:
		return "timestamp", nil
	case table.String:
		return "varchar(" + strconv.Itoa(longest) + ")", nil
	}
	return "", fmt.Errorf("no column type for %v", t)
}

func createSchema(schema string) string { return "CREATE SCHEMA IF NOT EXISTS " + quote(schema) }

// createTable makes a table as Segment does: spread by id, sorted by received_at, where it has those columns.
func createTable(schema, name string, columns []table.Column) (string, error) {
	list := make([]string, len(columns))
	keys := ""
	for i, c := range columns {
		t, err := typeName(c.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", c.Name, err)
		}
		list[i] = quote(c.Name) + " " + t
		if c.Path == "" && c.Name == "id" {
			keys = ` DISTKEY("id")` + keys
		}
		if c.Path == "" && c.Name == "received_at" && c.Type == table.Timestamp {
			keys += ` SORTKEY("received_at")`
		}
	}
	return "CREATE TABLE " + qualified(schema, name) + " (" + strings.Join(list, ", ") + ")" + keys, nil
}

// addColumn adds one column: Redshift takes no more at once, and knows no IF NOT EXISTS here.
func addColumn(schema, name string, c table.Column) (string, error) {
	t, err := typeName(c.Type)
	if err != nil {
		return "", fmt.Errorf("column %s: %w", c.Name, err)
	}
	return "ALTER TABLE " + qualified(schema, name) + " ADD COLUMN " + quote(c.Name) + " " + t, nil
}

func dropColumn(schema, name, column string) string {
	return "ALTER TABLE " + qualified(schema, name) + " DROP COLUMN " + quote(column)
}

// growColumn makes room for the longest strings. It is the one change of a type that Redshift knows, and not for a transaction.
func growColumn(schema, name, column string) string {
	return "ALTER TABLE " + qualified(schema, name) + " ALTER COLUMN " + quote(column) + " TYPE varchar(" + strconv.Itoa(longest) + ")"
}

// widenColumn turns integers into floats. Redshift cannot alter that type: the documented way is a new column in the place of the old.
func widenColumn(schema, name, column string) []string {
	const temporary = "_firth_widened"
	t := "ALTER TABLE " + qualified(schema, name)
	return []string{
		t + " ADD COLUMN " + quote(temporary) + " double precision",
		"UPDATE " + qualified(schema, name) + " SET " + quote(temporary) + " = " + quote(column) + " WHERE " + quote(column) + " IS NOT NULL",
		dropColumn(schema, name, column),
		t + " RENAME COLUMN " + quote(temporary) + " TO " + quote(column),
	}
}

// listInexact copies into the discards those integers of a column that no float is equal to: beyond 2^53 floats are 2 apart, beyond
// 2^54 4 and so on, so the rest of a division tells it without a cast.
func listInexact(schema, name, column, now string) string {
	c := quote(column)
	var step strings.Builder
	for bit := 62; bit > 53; bit-- {
		n := strconv.FormatInt(1<<bit, 10)
		step.WriteString(" WHEN " + c + " > " + n + " OR " + c + " < -" + n + " THEN " + strconv.Itoa(1<<(bit-52)))
	}
	return "INSERT INTO " + qualified(schema, warehouse.Discards) +
		" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at)" +
		" SELECT " + literal(name) + ", " + literal(column) + ", CAST(" + c + " AS varchar(32)), 'integer', 'float', " + literal(warehouse.ReasonInexact) +
		", id, received_at, " + now + " FROM " + qualified(schema, name) +
		" WHERE (" + c + " > 9007199254740992 OR " + c + " < -9007199254740992) AND MOD(CAST(" + c + " AS bigint), CAST(CASE" + step.String() + " ELSE 2 END AS bigint)) <> 0"
}

// stageColumn is a column of a staging table and of the parts; its name is c and its place.
type stageColumn struct {
	kind   table.Type
	digits bool // a number that is written as text, for a decimal column
	bytes  int  // of the longest string
}

func (c stageColumn) typeName() string {
	switch {
	case c.digits:
		return "varchar(64)"
	case c.kind == table.Boolean:
		return "boolean"
	case c.kind == table.Integer:
		return "bigint"
	case c.kind == table.Float:
		return "double precision"
	case c.kind == table.Timestamp:
		// COPY has parsers of its own for times; a cast of this one form is the same everywhere.
		return "varchar(26)"
	}
	return "varchar(" + strconv.Itoa(max(1, c.bytes)) + ")"
}

func stageName(i int) string    { return "firth_stage_" + strconv.Itoa(i) }
func stageColName(i int) string { return "c" + strconv.Itoa(i) }

// createStage makes the temporary table that parts are copied into. It is spread like its target, so that both meet on the same node.
func createStage(stage string, columns []stageColumn) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = stageColName(i) + " " + c.typeName()
	}
	return "CREATE TEMP TABLE " + stage + " (" + strings.Join(list, ", ") + ") DISTKEY(c0)"
}

// copySource says how Redshift gets at the parts.
type copySource struct {
	manifest string // its URL
	role     string // IAM role; keys are used where it is empty
	keys     object.Keys
	region   string
	null     string // what stands for NULL in the parts
}

// copyParts carries the parts of a manifest into the staging table. Encodings and statistics of a table that lives for a moment are of
// no use.
func copyParts(stage string, columns int, from copySource) string {
	list := make([]string, columns)
	for i := range list {
		list[i] = stageColName(i)
	}
	auth := "IAM_ROLE " + literal(from.role)
	if from.role == "" {
		auth = "ACCESS_KEY_ID " + literal(from.keys.ID) + " SECRET_ACCESS_KEY " + literal(from.keys.Secret)
		if from.keys.Token != "" {
			auth += " SESSION_TOKEN " + literal(from.keys.Token)
		}
	}
	return "COPY " + stage + " (" + strings.Join(list, ", ") + ") FROM " + literal(from.manifest) + " " + auth + " REGION " + literal(from.region) +
		" MANIFEST GZIP CSV NULL AS " + literal(from.null) + " COMPUPDATE OFF STATUPDATE OFF"
}

// assignment is a column of a target and the expression that fills it from its staging table, which goes by the name s.
type assignment struct {
	column, expr string
	// blanks is set for strings whose length counts: Redshift takes texts that differ by blanks at their end for equal.
	blanks bool
}

// held is the subquery of the keys that a target holds: as k, and their lengths as w where they count.
func (a assignment) held(schema, name, where string) string {
	list := quote(a.column) + " AS k"
	if a.blanks {
		list += ", octet_length(" + quote(a.column) + ") AS w"
	}
	return "(SELECT DISTINCT " + list + " FROM " + qualified(schema, name) + where + ")"
}

// same is the condition that a held key is the staged one.
func (a assignment) same(key, length string) string {
	if !a.blanks {
		return key + " = " + a.expr
	}
	return key + " = " + a.expr + " AND " + length + " = octet_length(" + a.expr + ")"
}

func split(list []assignment) (columns, exprs string) {
	c, e := make([]string, len(list)), make([]string, len(list))
	for i, a := range list {
		c[i], e[i] = quote(a.column), a.expr
	}
	return strings.Join(c, ", "), strings.Join(e, ", ")
}

// insertRows appends what was staged.
func insertRows(schema, name, stage string, list []assignment) string {
	columns, exprs := split(list)
	return "INSERT INTO " + qualified(schema, name) + " (" + columns + ") SELECT " + exprs + " FROM " + stage + " s"
}

// insertMissing appends those staged rows whose key, the first column, the target does not hold.
func insertMissing(schema, name, stage string, list []assignment) string {
	key := list[0]
	return insertRows(schema, name, stage, list) + " LEFT JOIN " + key.held(schema, name, "") + " t ON " + key.same("t.k", "t.w") + " WHERE t.k IS NULL"
}

// insertAfter appends staged rows; those received until a time only where their key is not there. received is the expression of that
// column.
func insertAfter(schema, name, stage string, list []assignment, received, until string) string {
	key := list[0]
	return insertRows(schema, name, stage, list) + " LEFT JOIN " + key.held(schema, name, " WHERE received_at <= "+until) + " t ON " + key.same("t.k", "t.w") + " AND " + received + " <= " + until + " WHERE t.k IS NULL"
}

// updateRows changes the rows of a target that were staged again: what is NULL leaves what is there, received_at only grows. It is
// empty where there is nothing to change.
func updateRows(schema, name, stage string, list []assignment) string {
	var set []string
	for _, a := range list[1:] {
		c := quote(a.column)
		if a.column == "received_at" {
			set = append(set, c+" = CASE WHEN t."+c+" IS NULL OR "+a.expr+" > t."+c+" THEN "+a.expr+" ELSE t."+c+" END")
		} else {
			set = append(set, c+" = COALESCE("+a.expr+", t."+c+")")
		}
	}
	if len(set) == 0 {
		return ""
	}
	return "UPDATE " + qualified(schema, name) + " AS t SET " + strings.Join(set, ", ") + " FROM " + stage + " s WHERE " +
		list[0].same("t."+quote(list[0].column), "octet_length(t."+quote(list[0].column)+")")
}

// insertNewDiscards appends staged discards that the table does not hold. The places are those of warehouse.DiscardColumns().
func insertNewDiscards(schema, stage string, list []assignment) string {
	var same []string
	for i, a := range list {
		c := quote(a.column)
		if a.column == warehouse.LoadedAt {
			continue
		}
		same = append(same, "(t."+c+" = "+a.expr+" OR t."+c+" IS NULL AND s."+stageColName(i)+" IS NULL)")
	}
	return insertRows(schema, warehouse.Discards, stage, list) + " WHERE NOT EXISTS (SELECT 1 FROM " + qualified(schema, warehouse.Discards) +
		" t WHERE " + strings.Join(same, " AND ") + ")"
}
