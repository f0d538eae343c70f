package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Everything in this file builds SQL text and does nothing else.

// maxName is the longest identifier in bytes (NAMEDATALEN - 1); the server cuts longer ones without an error.
const maxName = 63

// bookkeeping is the schema of what Firth keeps for itself.
const bookkeeping = "_firth"

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal makes a string constant, whatever is in it.
func literal(s string) string {
	if strings.Contains(s, `\`) {
		return " E'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''") + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func qualified(schema, name string) string { return quote(schema) + "." + quote(name) }

func quoteAll(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return out
}

// typeName is the physical type of a column that Firth makes.
func typeName(t table.Type) (string, error) {
	switch t {
	case table.Boolean:
		return "boolean", nil
	case table.Integer:
		return "bigint", nil
	case table.Float:
		return "double precision", nil
	case table.Timestamp:
		return "timestamp with time zone", nil
	case table.String:
		return "text", nil
	}
	return "", fmt.Errorf("no column type for %v", t)
}

func createSchema(schema string) string { return "CREATE SCHEMA IF NOT EXISTS " + quote(schema) }

// createTable makes a table by the access method; key names the column that is its primary key, "" for none.
func createTable(schema, name string, columns []table.Column, method, key string) (string, error) {
	var list []string
	for _, c := range columns {
		t, err := typeName(c.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", c.Name, err)
		}
		list = append(list, quote(c.Name)+" "+t)
	}
	if key != "" {
		list = append(list, "PRIMARY KEY ("+quote(key)+")")
	}
	return "CREATE TABLE " + qualified(schema, name) + " (" + strings.Join(list, ", ") + ") USING " + quote(method), nil
}

// addColumns adds them in one statement, which asks for the table's lock once.
func addColumns(schema, name string, columns []table.Column) (string, error) {
	var list []string
	for _, c := range columns {
		t, err := typeName(c.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", c.Name, err)
		}
		list = append(list, "ADD COLUMN IF NOT EXISTS "+quote(c.Name)+" "+t)
	}
	return "ALTER TABLE " + qualified(schema, name) + " " + strings.Join(list, ", "), nil
}

// retype gives a column a wider type that holds all it has.
func retype(schema, name, column, to string) string {
	return "ALTER TABLE " + qualified(schema, name) + " ALTER COLUMN " + quote(column) + " TYPE " + to
}

// retypeEmpty gives a column of an empty table any type.
func retypeEmpty(schema, name, column, to string) string {
	return "ALTER TABLE " + qualified(schema, name) + " ALTER COLUMN " + quote(column) + " DROP DEFAULT, ALTER COLUMN " + quote(column) + " TYPE " + to +
		" USING NULL::" + to
}

// listInexact copies into the discards those integers of a column that no float holds: only magnitudes beyond 2^53 are looked at.
// 2^63 itself is the one float that cannot be compared as an integer. $1 is the time of the load.
func listInexact(schema, name, column string, rowID, receivedAt bool) string {
	c := quote(column)
	id, at := "NULL::text", "NULL::timestamptz"
	if rowID {
		id = quote("id") + "::text"
	}
	if receivedAt {
		at = quote("received_at")
	}
	return "INSERT INTO " + qualified(schema, warehouse.Discards) +
		" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at)" +
		" SELECT " + literal(name) + ", " + literal(column) + ", " + c + "::text, 'integer', 'float', " + literal(warehouse.ReasonInexact) + ", " + id + ", " + at + ", $1::timestamptz" +
		" FROM " + qualified(schema, name) +
		" WHERE (" + c + " > 9007199254740992 OR " + c + " < -9007199254740992)" +
		" AND CASE WHEN " + c + "::double precision >= 9223372036854775808.0::double precision THEN true ELSE " + c + "::double precision::bigint <> " + c + " END"
}

// copyInto begins a binary COPY of the columns into the relation, which is quoted already.
func copyInto(relation string, columns []string) string {
	return "COPY " + relation + " (" + strings.Join(quoteAll(columns), ", ") + ") FROM STDIN BINARY"
}

// stage names the temporary table of the n-th staging of a load.
func stage(n int) string { return fmt.Sprintf("pg_temp.firth_stage_%d", n) }

// createStage makes a temporary table that ends with the transaction. types are in SQL.
func createStage(n int, columns, types []string) string {
	list := make([]string, len(columns))
	for i := range columns {
		list[i] = quote(columns[i]) + " " + types[i]
	}
	return fmt.Sprintf("CREATE TEMPORARY TABLE firth_stage_%d (", n) + strings.Join(list, ", ") + ") USING heap ON COMMIT DROP"
}

// insertStaged moves staged rows into their table. values are expressions over s, the staged row; where is "" or a condition.
func insertStaged(target, staged string, columns, values []string, where string) string {
	b := "INSERT INTO " + target + " (" + strings.Join(quoteAll(columns), ", ") + ") SELECT " + strings.Join(values, ", ") + " FROM " + staged + " AS s"
	if where != "" {
		b += " WHERE " + where
	}
	return b
}

// notThere is the condition that the table does not hold the staged row's id. through, where it is not "", is a timestamp: rows
// received later are taken without a look.
func notThere(target, key, through string) string {
	b := "NOT EXISTS (SELECT FROM " + target + " AS t WHERE t." + quote(key) + "::text = s." + quote(key) + ")"
	if through == "" {
		return b
	}
	return "(s." + quote("received_at") + " > " + literal(through) + "::timestamptz OR " + b + ")"
}

// updateStaged brings the stored rows of staged ids to the staged values: what is NULL leaves what is stored, received_at only
// grows. The first column is the key. An empty result means that there is nothing to update.
func updateStaged(target, staged string, columns, values []string) string {
	key := quote(columns[0])
	var set []string
	for i, c := range columns {
		q := quote(c)
		switch {
		case i == 0:
		case c == "received_at":
			set = append(set, q+" = greatest(t."+q+", "+values[i]+")")
		default:
			set = append(set, q+" = coalesce("+values[i]+", t."+q+")")
		}
	}
	if len(set) == 0 {
		return ""
	}
	return "UPDATE " + target + " AS t SET " + strings.Join(set, ", ") + " FROM " + staged + " AS s WHERE t." + key + " = " + values[0]
}

// tryCast makes a function of the session that reads a text as a value of an odd type, and gives NULL where it cannot, or where the value
// would be another one than the text says: casts cut texts and bits, and round numbers, without an error. There may be one of an earlier
// load, for another type.
func tryCast(n int, sqlType string) string {
	read := "x := v::" + sqlType + "; "
	switch base, _, _ := strings.Cut(sqlType, "("); strings.TrimSpace(base) {
	case "json", "jsonb":
		// What is no JSON document is kept as a JSON string.
		read = "BEGIN x := v::" + sqlType + "; EXCEPTION WHEN OTHERS THEN x := to_json(v)::" + sqlType + "; END; RETURN x"
	case "numeric", "money":
		read += "RETURN CASE WHEN x::numeric = v::numeric THEN x END"
	case `"char"`, "name", "bit", "bit varying":
		read += "RETURN CASE WHEN x::text = v THEN x END"
	case "date":
		read += "RETURN CASE WHEN x = v::timestamptz::timestamp THEN x END"
	case "time", "time without time zone", "time with time zone":
		read += "RETURN CASE WHEN starts_with(x::text, v) THEN x END"
	default:
		// Where the texts differ, numbers may still be equal (1.50 and 1.5), and what is none may be written in another way (uuid, inet).
		read += "IF x::text = v THEN RETURN x; END IF; IF starts_with(v, x::text) THEN RETURN NULL; END IF; " +
			"BEGIN IF x::text::numeric <> v::numeric THEN RETURN NULL; END IF; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN x"
	}
	return fmt.Sprintf("DROP FUNCTION IF EXISTS pg_temp.firth_read_%[1]d(text); CREATE FUNCTION pg_temp.firth_read_%[1]d(v text) RETURNS %[2]s LANGUAGE plpgsql AS ", n, sqlType) +
		literal("DECLARE x "+sqlType+"; BEGIN "+read+"; EXCEPTION WHEN OTHERS THEN RETURN NULL; END")
}

// listUnread copies into the discards what tryCast could not read; rowID and received are expressions over s, the staged row. $1 is the
// time of the load.
func listUnread(schema, name, staged, column, read, columnType, reason, rowID, received, where string) string {
	c := "s." + quote(column)
	b := "INSERT INTO " + qualified(schema, warehouse.Discards) +
		" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at)" +
		" SELECT " + literal(name) + ", " + literal(column) + ", left(" + c + "::text, 65536), 'string', " + literal(columnType) + ", " + literal(reason) +
		", " + rowID + ", " + received + ", $1::timestamptz FROM " + staged + " AS s WHERE " + c + " IS NOT NULL AND " + read + " IS NULL"
	if where != "" {
		b += " AND " + where
	}
	return b
}

// recomputeStaged works out, for the staged ids, the row of users or accounts from what was said of them: per column the last value
// that is not NULL in the order of received_at and id. types are those of the target's columns, beside which the same are read.
func recomputeStaged(from, staged, key string, columns, casts []string) string {
	order := " ORDER BY f." + quote("received_at") + " DESC NULLS LAST, f." + quote("id") + " DESC"
	list := []string{"f." + quote(key) + "::text AS " + quote("id"), "max(f." + quote("received_at") + ") AS " + quote("received_at")}
	for i, c := range columns {
		q := "f." + quote(c)
		list = append(list, "(array_agg("+q+order+") FILTER (WHERE "+q+" IS NOT NULL))[1]"+casts[i]+" AS "+quote(c))
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + from + " AS f WHERE f." + quote(key) + "::text IN (SELECT s." + quote("id") +
		" FROM " + staged + " AS s) GROUP BY 1"
}

// lockTables takes the lock that rows are written under, or a stronger one, on tables that are quoted already.
func lockTables(tables []string, mode string) string {
	return "LOCK TABLE " + strings.Join(tables, ", ") + " IN " + mode + " MODE"
}

// createView makes a view again from what the catalogue had of it.
func createView(v *view) string {
	name := qualified(v.schema, v.name)
	var options string
	if len(v.options) > 0 {
		options = " WITH (" + strings.Join(v.options, ", ") + ")"
	}
	definition := strings.TrimSuffix(strings.TrimSpace(v.definition), ";")
	if v.kind != "m" {
		return "CREATE VIEW " + name + options + " AS " + definition
	}
	b := "CREATE MATERIALIZED VIEW " + name
	if v.method != "" {
		b += " USING " + quote(v.method)
	}
	b += options + " AS " + definition
	if !v.populated {
		b += " WITH NO DATA"
	}
	return b
}

func dropView(v *view) string {
	if v.kind == "m" {
		return "DROP MATERIALIZED VIEW " + qualified(v.schema, v.name)
	}
	return "DROP VIEW " + qualified(v.schema, v.name)
}

// viewOwner and viewComment are what createView leaves to be said afterwards.
func viewOwner(v *view) string {
	return "ALTER TABLE " + qualified(v.schema, v.name) + " OWNER TO " + quote(v.owner)
}

func viewComment(v *view) string {
	kind := "VIEW"
	if v.kind == "m" {
		kind = "MATERIALIZED VIEW"
	}
	return "COMMENT ON " + kind + " " + qualified(v.schema, v.name) + " IS " + literal(v.comment)
}

// fitName cuts a name to what the server takes; a cut name ends in eight digits of a hash.
func fitName(name string) string {
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:maxName-9], "") + "_" + hex.EncodeToString(sum[:4])
}

// setupStatements are what an administrator runs for a login with the least rights.
func setupStatements(role, database string, schemas []string) string {
	b := []string{
		"CREATE ROLE " + quote(role) + " LOGIN PASSWORD '<password>';",
		"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE " + quote(database) + " TO " + quote(role) + ";",
	}
	sorted := slices.Clone(schemas)
	slices.Sort(sorted)
	if len(sorted) > 0 {
		b = append(b,
			"",
			"-- Firth makes the schemas "+strings.Join(quoteAll(sorted), ", ")+" itself. Where one is there already, with tables to be taken",
			"-- over, connect to the database and run these for it too; OWNER is who owns the tables (\\dt shows it).",
		)
	}
	for _, s := range sorted {
		b = append(b,
			"-- GRANT USAGE, CREATE ON SCHEMA "+quote(s)+" TO "+quote(role)+";",
			"-- GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA "+quote(s)+" TO "+quote(role)+";",
			"-- GRANT OWNER TO "+quote(role)+"; -- so that it may add columns",
		)
	}
	return strings.Join(b, "\n") + "\n"
}
