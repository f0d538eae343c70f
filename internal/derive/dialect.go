package derive

import (
	"strconv"
	"strings"
)

// The columns that tell an event's place.
const (
	logColumn    = "_firth_log"
	offsetColumn = "_firth_offset"
)

// relation is a statement as something to select from.
func relation(statement string) string { return "(" + statement + "\n)" }

// named puts a relation under the names by which a statement may call it.
func (s *Spec) named(of, statement string) string {
	names := []string{"source"}
	if !strings.EqualFold(s.From, "source") && !strings.EqualFold(s.From, "source_files") {
		names = append(names, quote(s.From))
	}
	var b strings.Builder
	b.WriteString("WITH source_files AS (SELECT * FROM " + of + ")")
	for _, n := range names {
		b.WriteString(", " + n + " AS (SELECT * FROM source_files)")
	}
	b.WriteString(" SELECT * FROM " + relation(statement))
	return b.String()
}

// seeded is what events contribute.
func (s *Spec) seeded(events string) string {
	if s.Seed == "" {
		return "SELECT * FROM " + events
	}
	return s.named(events, s.Seed)
}

// merged is the statement over rows that are contributed, before its columns have types.
func (s *Spec) merged(rows string) string { return s.named(rows, s.Merge) }

// typed gives a statement the table's columns and types.
func typed(columns []Column, statement string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = "CAST(" + quote(c.Name) + " AS " + c.Type + ") AS " + quote(c.Name)
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + relation(statement)
}

// Plain is the statement over events: what the table is to equal. Events is something to select from.
func (p *Plan) Plain(events string) string {
	return typed(p.Columns, p.merged(relation(p.seeded(events))))
}

// Together is the statement over the table as it was merged up to a position, and the events beyond.
func (p *Plan) Together(stored, events string, at Position) string {
	beyond := p.seeded(relation("SELECT * FROM " + events + " WHERE " + Beyond(at)))
	return typed(p.Columns, p.merged(relation(typed(p.Columns, "SELECT * FROM "+stored)+" UNION ALL BY NAME "+relation(beyond))))
}

// Beyond is the condition that an event lies beyond a position.
func Beyond(at Position) string {
	if len(at) == 0 {
		return "true"
	}
	var list []string
	var logs []string
	for _, log := range at.logs() {
		list = append(list, "("+logColumn+" = "+literal(log)+" AND "+offsetColumn+" >= "+strconv.FormatUint(at[log], 10)+")")
		logs = append(logs, literal(log))
	}
	return "(" + strings.Join(list, " OR ") + " OR " + logColumn + " NOT IN (" + strings.Join(logs, ", ") + "))"
}

// Within is the condition that an event lies before a position.
func Within(at Position) string {
	if len(at) == 0 {
		return "false"
	}
	var list []string
	for _, log := range at.logs() {
		list = append(list, "("+logColumn+" = "+literal(log)+" AND "+offsetColumn+" < "+strconv.FormatUint(at[log], 10)+")")
	}
	return "(" + strings.Join(list, " OR ") + ")"
}

// kept is the type in which a column's values are kept without loss; ok is false where Iceberg has none.
func kept(engine string) (string, bool) {
	switch t := strings.ToUpper(engine); {
	case t == "BOOLEAN", t == "BIGINT", t == "FLOAT", t == "DOUBLE", t == "VARCHAR", t == "DATE", t == "TIMESTAMP", t == "TIMESTAMP WITH TIME ZONE",
		t == "BLOB", strings.HasPrefix(t, "DECIMAL("):
		return t, true
	case t == "TINYINT", t == "SMALLINT", t == "INTEGER", t == "UTINYINT", t == "USMALLINT":
		return "INTEGER", true
	case t == "UINTEGER":
		return "BIGINT", true
	case t == "UBIGINT", t == "HUGEINT", t == "UHUGEINT":
		return "DECIMAL(38,0)", true
	case t == "UUID", t == "JSON", t == "TIME", strings.HasPrefix(t, "ENUM("):
		return "VARCHAR", true
	case t == "TIMESTAMP_S", t == "TIMESTAMP_MS":
		return "TIMESTAMP", true
	case t == `"NULL"`, t == "NULL":
		return "VARCHAR", true
	}
	return "", false
}
