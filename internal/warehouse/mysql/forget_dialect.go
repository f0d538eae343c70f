package mysql

import (
	"strconv"
	"strings"
)

// Everything in this file builds SQL text and does nothing else.

// Temporary tables of a session that forgets: the people's ids by kind, the ids of the rows that go, and of the users or accounts that
// these had made. A statement names each once at most: MySQL opens a temporary table no more often.
const (
	forgetIDs  = "`_firth`.`forget_ids`"
	forgetRows = "`_firth`.`forget_rows`"
	forgetKeys = "`_firth`.`forget_keys`"
	// forgetTables lists the tables, in the bookkeeping, whose files are to be written anew.
	forgetTables = "`_firth`.`forgotten`"
)

// Kinds of ids.
const (
	kindUser      = "user"
	kindAnonymous = "anonymous"
	kindRow       = "row"
)

// forgetAtOnce is how many rows a transaction deletes, about.
const forgetAtOnce = 50_000

// createForget are the statements that make the tables; ids are compared as bytes.
func createForget(collation string) []string {
	out := []string{"CREATE TABLE IF NOT EXISTS " + forgetTables + " (schema_name VARCHAR(64) NOT NULL, table_name VARCHAR(64) NOT NULL, PRIMARY KEY (schema_name, table_name)) " + tableOptions(collation)}
	for _, t := range []string{forgetIDs, forgetRows, forgetKeys} {
		columns := "id LONGBLOB NOT NULL, KEY (id(255))"
		if t == forgetIDs {
			columns = "kind VARCHAR(16) NOT NULL, " + columns
		}
		out = append(out, "DROP TEMPORARY TABLE IF EXISTS "+t, "CREATE TEMPORARY TABLE "+t+" ("+columns+") "+tableOptions(collation))
	}
	return out
}

// dropForget drops the tables of the session.
func dropForget() string {
	return "DROP TEMPORARY TABLE IF EXISTS " + strings.Join([]string{forgetIDs, forgetRows, forgetKeys}, ", ")
}

// bytesOf is an expression as the bytes of its text in UTF-8.
func bytesOf(expr string) string { return "CAST(CONVERT(" + expr + " USING utf8mb4) AS BINARY)" }

// isOf is the condition that an expression is an id of one of the kinds.
func isOf(expr string, kinds ...string) string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = literal(k)
	}
	return bytesOf(expr) + " IN (SELECT i.id FROM " + forgetIDs + " i WHERE i.kind IN (" + strings.Join(list, ", ") + "))"
}

// ofCalls are the conditions under which a row of a table of calls goes, each with one column that says whose it is.
func ofCalls(r *relation) []string {
	var out []string
	for _, c := range []struct {
		column string
		kinds  []string
	}{
		{"user_id", []string{kindUser}}, {"anonymous_id", []string{kindAnonymous}}, {"previous_id", []string{kindUser, kindAnonymous}}, {"id", []string{kindRow}},
	} {
		if r.find(c.column) != nil {
			out = append(out, isOf(quote(c.column), c.kinds...))
		}
	}
	return out
}

// collectRows notes the ids of some rows for which the condition holds.
func collectRows(target, condition string) string {
	return "INSERT INTO " + forgetRows + " SELECT DISTINCT " + bytesOf("id") + " FROM " + target + " WHERE id IS NOT NULL AND " + condition + " LIMIT " + strconv.Itoa(forgetAtOnce)
}

// collectKeys notes the users (accounts) that the noted rows had made, of those for which the condition holds.
func collectKeys(target, key, condition string) string {
	return "INSERT INTO " + forgetKeys + " SELECT DISTINCT " + bytesOf(quote(key)) + " FROM " + target + " WHERE " + quote(key) + " IS NOT NULL AND " + ofNoted() + " AND " + condition
}

// ofNoted is the condition that a row is one of those noted.
func ofNoted() string { return bytesOf("id") + " IN (SELECT r.id FROM " + forgetRows + " r)" }

func deleteWhere(target, condition string) string {
	return "DELETE FROM " + target + " WHERE " + condition
}

// deleteSome deletes rows, so many at a time.
func deleteSome(target, condition string) string {
	return deleteWhere(target, condition) + " LIMIT " + strconv.Itoa(forgetAtOnce)
}

// ofKeys is the condition that a row t of users (accounts) is a noted one; ofOrphans that no call of it is left.
func ofKeys() string { return bytesOf("t.id") + " IN (SELECT k.id FROM " + forgetKeys + " k)" }

func ofOrphans(from, key string) string {
	return ofKeys() + " AND NOT EXISTS (SELECT 1 FROM " + from + " f WHERE " + bytesOf("f."+quote(key)) + " = " + bytesOf("t.id") + ")"
}

// rewriteTable writes the file of a table anew, beside its readers and writers.
func rewriteTable(target string) string {
	return "ALTER TABLE " + target + " FORCE, ALGORITHM = INPLACE, LOCK = NONE"
}

// ofValues is the condition that a column of a mirror's table is equal to an id; "" for a column of a type that holds none. Numbers are
// equal to ids that are written as integers.
func ofValues(column, columnType string) string {
	q := quote(column)
	base, _, _ := strings.Cut(strings.ToLower(columnType), "(")
	base, _, _ = strings.Cut(base, " ")
	ids := "(SELECT i.id FROM " + forgetIDs + " i)"
	switch base {
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "tinyint", "smallint", "mediumint", "int", "bigint":
		if columnType == "tinyint(1)" {
			return ""
		}
		if columnType != "char(36)" {
			return bytesOf(q) + " IN " + ids
		}
		return bytesOf("LOWER("+q+")") + " IN (SELECT CAST(LOWER(CONVERT(i.id USING utf8mb4)) AS BINARY) FROM " + forgetIDs + " i)"
	case "decimal", "float", "double":
		return q + " IN (SELECT CAST(CONVERT(i.id USING utf8mb4) AS DECIMAL(65, 0)) FROM " + forgetIDs + " i WHERE CONVERT(i.id USING utf8mb4) REGEXP '^-?[0-9]{1,38}$')"
	}
	return ""
}

// ofRejects are the conditions under which a reject goes: its key is an id, or has one among its parts, or the value is one.
func ofRejects() []string {
	ids := " IN (SELECT i.id FROM " + forgetIDs + " i)"
	parts := "LOCATE(CONCAT(CAST(', ' AS BINARY), i.id, CAST(', ' AS BINARY)), CONCAT(CAST(', ' AS BINARY), " + bytesOf("`key`") + ", CAST(', ' AS BINARY))) > 0"
	return []string{bytesOf("`key`") + ids, bytesOf("value") + ids, "EXISTS (SELECT 1 FROM " + forgetIDs + " i WHERE " + parts + ")"}
}
