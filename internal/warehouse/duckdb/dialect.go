package duckdb

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Everything in this file builds SQL text and does nothing else.

// reserved are the schema names that would hide, or be hidden by, a catalog or a schema of the engine or of Firth.
var reserved = []string{"_firth", "firth", "information_schema", "lake", "main", "memory", "pg_catalog", "system", "temp", "warehouse"}

// ReservedSchemas lists the names, in lower case, that no source and no mirror may have as its schema.
func ReservedSchemas() []string { return slices.Clone(reserved) }

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal makes a string constant.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func qualified(schema, name string) string { return quote(schema) + "." + quote(name) }

// typeName is the physical type of a column.
func typeName(t table.Type) (string, error) {
	switch t {
	case table.Boolean:
		return "BOOLEAN", nil
	case table.Integer:
		return "BIGINT", nil
	case table.Float:
		return "DOUBLE", nil
	case table.Timestamp:
		return "TIMESTAMPTZ", nil
	case table.String:
		return "VARCHAR", nil
	}
	return "", fmt.Errorf("no column type for %v", t)
}

// attachFile opens or makes the warehouse's file. A file of an earlier storage version is brought to the present one by the next
// checkpoint.
func attachFile(path, catalog string) string {
	return fmt.Sprintf("ATTACH %s AS %s (RECOVERY_MODE no_wal_writes, ROW_GROUP_SIZE %d, STORAGE_VERSION '%s'); USE %[2]s",
		literal(path), quote(catalog), rowGroup, storageVersion)
}

func createSchema(schema string) string { return "CREATE SCHEMA IF NOT EXISTS " + quote(schema) }

func createTable(schema, name string, columns []table.Column) (string, error) {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + qualified(schema, name) + " (")
	for i, c := range columns {
		t, err := typeName(c.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", c.Name, err)
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(c.Name) + " " + t)
	}
	b.WriteString(")")
	return b.String(), nil
}

func addColumn(schema, name string, c table.Column) (string, error) {
	t, err := typeName(c.Type)
	if err != nil {
		return "", fmt.Errorf("column %s: %w", c.Name, err)
	}
	return "ALTER TABLE " + qualified(schema, name) + " ADD COLUMN " + quote(c.Name) + " " + t, nil
}

// widenColumn turns integers into floats.
func widenColumn(schema, name, column string) string {
	return "ALTER TABLE " + qualified(schema, name) + " ALTER COLUMN " + quote(column) + " TYPE DOUBLE"
}

// listInexact copies into the discards those integers of a column that no float holds: only magnitudes beyond 2^53 are
// looked at, and compared exactly. $1 is the time of the load.
func listInexact(schema, name, column string) string {
	c := quote(column)
	return "INSERT INTO " + qualified(schema, warehouse.Discards) +
		" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at)" +
		" SELECT " + literal(name) + ", " + literal(column) + ", " + c + "::VARCHAR, 'integer', 'float', " + literal(warehouse.ReasonInexact) + ", id, received_at, $1::TIMESTAMPTZ" +
		" FROM " + qualified(schema, name) +
		" WHERE (" + c + " > 9007199254740992 OR " + c + " < -9007199254740992) AND " + c + "::DOUBLE::HUGEINT <> " + c
}

// mergeRows upserts the rows of the relation appended_data by the first of the columns: what is NULL there leaves what is
// stored, received_at only grows.
func mergeRows(schema, name string, columns []string) string {
	key := quote(columns[0])
	var set, list, values []string
	for _, c := range columns {
		q := quote(c)
		list, values = append(list, q), append(values, "s."+q)
		switch c {
		case columns[0]:
		case "received_at":
			set = append(set, q+" = greatest(t."+q+", s."+q+")")
		default:
			set = append(set, q+" = coalesce(s."+q+", t."+q+")")
		}
	}
	b := "MERGE INTO " + qualified(schema, name) + " AS t USING appended_data AS s ON t." + key + " = s." + key
	if len(set) > 0 {
		b += " WHEN MATCHED THEN UPDATE SET " + strings.Join(set, ", ")
	}
	return b + " WHEN NOT MATCHED THEN INSERT (" + strings.Join(list, ", ") + ") VALUES (" + strings.Join(values, ", ") + ")"
}

// appendMissing inserts the rows of appended_data whose id, the first of the columns, the table does not hold.
func appendMissing(schema, name string, columns []string) string {
	list := quoted(columns)
	key := quote(columns[0])
	return "INSERT INTO " + qualified(schema, name) + " (" + list + ") SELECT " + list + " FROM appended_data AS s" +
		" WHERE NOT EXISTS (SELECT 1 FROM " + qualified(schema, name) + " AS t WHERE t." + key + " = s." + key + ")"
}

// appendMissingDiscards inserts the discards of appended_data that are not listed, by all but the times.
func appendMissingDiscards(schema string, columns []string) string {
	list := quoted(columns)
	var same []string
	for _, c := range warehouse.DiscardColumns() {
		if c.Type == table.String {
			same = append(same, "t."+quote(c.Name)+" IS NOT DISTINCT FROM s."+quote(c.Name))
		}
	}
	return "INSERT INTO " + qualified(schema, warehouse.Discards) + " (" + list + ") SELECT " + list + " FROM appended_data AS s" +
		" WHERE NOT EXISTS (SELECT 1 FROM " + qualified(schema, warehouse.Discards) + " AS t WHERE " + strings.Join(same, " AND ") + ")"
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return strings.Join(out, ", ")
}

// recomputeRows brings those rows of users (accounts) whose ids are in appended_data to what identifies (groups) say: of each column
// the last value that is not null, in the order of received_at and id. A column that no call has a value for stays as it is.
func recomputeRows(schema, name, calls, key string, columns []table.Column, now time.Time) (string, error) {
	stamp := literal(now.UTC().Format("2006-01-02 15:04:05.999999-07")) + "::TIMESTAMPTZ"
	picked := []string{"c." + quote(key) + " AS id", "max(c.received_at) AS received_at"}
	set := []string{"received_at = greatest(t.received_at, s.received_at)", "uuid_ts = " + stamp, "loaded_at = " + stamp}
	names, values := []string{"id", "received_at", "uuid_ts", "loaded_at"}, []string{"s.id", "s.received_at", stamp, stamp}
	for _, c := range columns {
		kind, err := typeName(c.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", c.Name, err)
		}
		q := quote(c.Name)
		picked = append(picked, "arg_max(TRY_CAST(c."+q+" AS "+kind+"), (c.received_at, c.id)) FILTER (WHERE TRY_CAST(c."+q+" AS "+kind+") IS NOT NULL) AS "+q)
		set = append(set, q+" = coalesce(s."+q+", t."+q+")")
		names, values = append(names, c.Name), append(values, "s."+q)
	}
	return "MERGE INTO " + qualified(schema, name) + " AS t USING (SELECT " + strings.Join(picked, ", ") + " FROM " + qualified(schema, calls) + " AS c" +
		" WHERE c." + quote(key) + " IN (SELECT id FROM appended_data) GROUP BY c." + quote(key) + ") AS s ON t.id = s.id" +
		" WHEN MATCHED THEN UPDATE SET " + strings.Join(set, ", ") +
		" WHEN NOT MATCHED THEN INSERT (" + quoted(names) + ") VALUES (" + strings.Join(values, ", ") + ")", nil
}

// swapName is what a table is called while it is made, in the schema that it is for.
const swapName = "_firth_swap"

// swapTable makes a table anew from the one of the rebuild. Columns that people added keep their values by id; a row that is new has
// the default.
func swapTable(schema, rebuildSchema, name string, columns []table.Column, extra []extraColumn, exists bool) ([]string, error) {
	create, err := createTable(schema, swapName, columns)
	if err != nil {
		return nil, err
	}
	var names, values, kept []string
	for _, c := range columns {
		names, values = append(names, c.Name), append(values, "r."+quote(c.Name))
	}
	for _, e := range extra {
		create = strings.TrimSuffix(create, ")") + ", " + quote(e.name) + " " + e.kind
		def := "NULL"
		if e.def != "" {
			def = "(" + e.def + ")"
			create += " DEFAULT " + def
		}
		create += ")"
		if e.lost {
			continue
		}
		q := quote(e.name)
		names, values = append(names, e.name), append(values, "CASE WHEN o.id IS NULL THEN "+def+" ELSE o."+q+" END")
		kept = append(kept, "first("+q+") AS "+q)
	}
	fill := "INSERT INTO " + qualified(schema, swapName) + " (" + quoted(names) + ") SELECT " + strings.Join(values, ", ") + " FROM " + qualified(rebuildSchema, name) + " AS r"
	if len(kept) > 0 {
		fill += " LEFT JOIN (SELECT id, " + strings.Join(kept, ", ") + " FROM " + qualified(schema, name) + " GROUP BY id) AS o ON o.id = r.id"
	}
	statements := []string{create, fill}
	if exists {
		statements = append(statements, "DROP TABLE "+qualified(schema, name))
	}
	return append(statements, "ALTER TABLE "+qualified(schema, swapName)+" RENAME TO "+quote(name)), nil
}

// swapDiscards puts the discards of a rebuilt table in the place of those of the old one.
func swapDiscards(schema, rebuildSchema, name string) []string {
	var columns []string
	for _, c := range warehouse.DiscardColumns() {
		columns = append(columns, c.Name)
	}
	return []string{
		"DELETE FROM " + qualified(schema, warehouse.Discards) + " WHERE table_name = " + literal(name),
		"INSERT INTO " + qualified(schema, warehouse.Discards) + " (" + quoted(columns) + ") SELECT " + quoted(columns) +
			" FROM " + qualified(rebuildSchema, warehouse.Discards) + " WHERE table_name = " + literal(name),
	}
}

// eventColumns are the columns of lake.<source>, in order, with the type they have where there is no file yet.
var eventColumns = [][2]string{
	{"message_id", "VARCHAR"},
	{"type", "VARCHAR"},
	{"event", "VARCHAR"},
	{"ts", "TIMESTAMPTZ"},
	{"received_at", "TIMESTAMPTZ"},
	{"sent_at", "TIMESTAMPTZ"},
	{"original_timestamp", "TIMESTAMPTZ"},
	{"user_id", "VARCHAR"},
	{"anonymous_id", "VARCHAR"},
	{"properties", "VARCHAR"},
	{"context", "VARCHAR"},
	{"og_payload", "VARCHAR"},
	{"_firth_log", "VARCHAR"},
	{"_firth_offset", "BIGINT"},
}

// deadLetterColumns are the columns of firth.dead_letters.
var deadLetterColumns = [][2]string{
	{"received_at", "TIMESTAMPTZ"},
	{"source", "VARCHAR"},
	{"reason", "VARCHAR"},
	{"payload", "VARCHAR"},
}

func eventsView(name string, files []string) string {
	return parquetView("lake."+quote(name), eventColumns, files)
}

func deadLettersView(files []string) string {
	return parquetView("firth.dead_letters", deadLetterColumns, files)
}

// parquetView is a view of the columns over the files; over no files it is empty and has the same types.
func parquetView(view string, columns [][2]string, files []string) string {
	return "CREATE OR REPLACE VIEW " + view + " AS " + parquetSelect(columns, files)
}

func parquetSelect(columns [][2]string, files []string) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		if len(files) == 0 {
			b.WriteString("NULL::" + c[1] + " AS " + quote(c[0]))
		} else {
			b.WriteString(quote(c[0]))
		}
	}
	if len(files) == 0 {
		b.WriteString(" WHERE false")
		return b.String()
	}
	b.WriteString(" FROM read_parquet([")
	for i, f := range files {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(literal(f))
	}
	b.WriteString("], hive_partitioning = false, union_by_name = false)")
	return b.String()
}

// failingView is a view of the columns that gives the text as an error whatever is asked of it. Each column is that error too: were
// they NULL, the engine would see that a condition cannot hold, and answer with no rows.
func failingView(view string, columns [][2]string, text string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = "error(" + literal(text) + ")::VARCHAR::" + c[1] + " AS " + quote(c[0])
	}
	return "CREATE OR REPLACE VIEW " + view + " AS SELECT " + strings.Join(list, ", ") + " FROM range(1) WHERE error(" + literal(text) + ") IS NULL"
}

// lockDown closes the engine to everything but the folders named; nothing opens it again.
func lockDown(folders ...string) string {
	var list []string
	for _, f := range folders {
		if f != "" {
			list = append(list, literal(strings.TrimSuffix(f, "/")+"/"))
		}
	}
	return strings.Join([]string{
		"SET GLOBAL TimeZone = 'UTC'",
		"SET allowed_directories = [" + strings.Join(list, ", ") + "]",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	}, "; ")
}

// placeholders is ($1, ..., $n) for rows of n columns.
func placeholders(rows, n int) string {
	var b strings.Builder
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(")
		for c := range n {
			if c > 0 {
				b.WriteString(", ")
			}
			b.WriteString("$" + strconv.Itoa(r*n+c+1))
		}
		b.WriteString(")")
	}
	return b.String()
}
