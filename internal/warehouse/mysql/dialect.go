package mysql

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// Everything in this file builds SQL text and does nothing else. It keeps to what MySQL 8.0 and MariaDB 10.6 both take.

// bookkeeping is the database of positions, catalogue and format.
const bookkeeping = "_firth"

// reserved are the databases that no source may have as its schema.
var reserved = []string{bookkeeping, "information_schema", "mysql", "performance_schema", "sys"}

// keyName is the index on the id that tables have whose rows are looked up by it.
const keyName = "firth_id"

// keyChars is how many characters of an id are indexed, so that the column can grow to any length.
const keyChars = 191

// quote makes an identifier of any name.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// literal makes a string constant for sessions whose sql_mode lacks NO_BACKSLASH_ESCAPES, as those of this package do.
func literal(s string) string { return string(appendLiteral(nil, s)) }

func appendLiteral(b []byte, s string) []byte {
	b = append(b, '\'')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case 0:
			b = append(b, '\\', '0')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case 26:
			b = append(b, '\\', 'Z')
		case '\'', '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '\'')
}

func qualified(schema, name string) string { return quote(schema) + "." + quote(name) }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}

// isID tells the standard columns that hold ids: they are short texts and often looked up, so they are of a type that an index
// can hold whole.
func isID(c table.Column) bool {
	if c.Path != "" {
		return false
	}
	switch c.Name {
	case "id", "anonymous_id", "user_id", "group_id", "previous_id", "row_id":
		return true
	}
	return false
}

// typeName is the physical type of a column.
func typeName(c table.Column) (string, error) {
	switch c.Type {
	case table.Boolean:
		return "TINYINT(1)", nil
	case table.Integer:
		return "BIGINT", nil
	case table.Float:
		return "DOUBLE", nil
	case table.Timestamp:
		return "DATETIME(6)", nil
	case table.String:
		if isID(c) {
			return "VARCHAR(255)", nil
		}
		return "LONGTEXT", nil
	}
	return "", fmt.Errorf("column %s: no column type for %v", c.Name, c.Type)
}

// tableOptions are what every table of this package is made with.
func tableOptions(collation string) string {
	return "ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE " + collation
}

func createSchema(schema, collation string) string {
	return "CREATE DATABASE IF NOT EXISTS " + quote(schema) + " DEFAULT CHARACTER SET utf8mb4 COLLATE " + collation
}

// createTable makes a table; key names the column that gets an index, "" for none.
func createTable(schema, name string, columns []table.Column, key, collation string) (string, error) {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + qualified(schema, name) + " (")
	for i, c := range columns {
		t, err := typeName(c)
		if err != nil {
			return "", err
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(c.Name) + " " + t + " NULL")
	}
	if key != "" {
		b.WriteString(", KEY " + quote(keyName) + " (" + quote(key) + "(" + strconv.Itoa(keyChars) + "))")
	}
	b.WriteString(") " + tableOptions(collation))
	return b.String(), nil
}

// addColumns adds columns to a table, all or none. The collation is named for tables that have another default.
func addColumns(schema, name string, columns []table.Column, collation string) (string, error) {
	list := make([]string, len(columns))
	for i, c := range columns {
		t, err := typeName(c)
		if err != nil {
			return "", err
		}
		list[i] = "ADD COLUMN " + quote(c.Name) + " " + t
		if c.Type == table.String {
			list[i] += " CHARACTER SET utf8mb4 COLLATE " + collation
		}
		list[i] += " NULL"
	}
	return "ALTER TABLE " + qualified(schema, name) + " " + strings.Join(list, ", "), nil
}

// modifyColumn gives a column another type.
func modifyColumn(schema, name, column, kind string, nullable bool) string {
	s := "ALTER TABLE " + qualified(schema, name) + " MODIFY COLUMN " + quote(column) + " " + kind
	if !nullable {
		return s + " NOT NULL"
	}
	return s + " NULL"
}

// addKey makes the index on the id where a table lacks one; prefix is for columns that may be long.
func addKey(schema, name, column string, prefix bool) string {
	s := "ALTER TABLE " + qualified(schema, name) + " ADD INDEX " + quote(keyName) + " (" + quote(column)
	if prefix {
		s += "(" + strconv.Itoa(keyChars) + ")"
	}
	return s + ")"
}

// inexact is a condition that holds for the integers of a column that no double is equal to: those of more than 53 bits whose
// last bits are not zero. It is arithmetic on integers alone, for the server's own casts round.
func inexact(column string) string {
	var cases strings.Builder
	for bits := 54; bits < 64; bits++ {
		limit := uint64(1) << bits
		if bits == 63 {
			break
		}
		fmt.Fprintf(&cases, " WHEN %s BETWEEN -%d AND %d THEN %d", column, limit, limit, uint64(1)<<(bits-53))
	}
	return fmt.Sprintf("(%s > 9007199254740992 OR %[1]s < -9007199254740992) AND %[1]s %% CASE%s ELSE 1024 END <> 0", column, cases.String())
}

// listInexact copies those integers of a column into the discards that no double is equal to, once; now is a literal.
// rowID and receivedAt say whether the table has those columns.
func listInexact(schema, name, column string, rowID, receivedAt bool, now, collation string) string {
	text := func(expr string) string { return "CONVERT(" + expr + " USING utf8mb4) COLLATE " + collation }
	c, id, at := "t."+quote(column), "NULL", "NULL"
	same := "d.row_id IS NULL AND d.value = " + text(c)
	if rowID {
		id, same = "t.id", "d.row_id = "+text("t.id")
	}
	if receivedAt {
		at = "t.received_at"
	}
	return "INSERT INTO " + qualified(schema, warehouse.Discards) +
		" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at)" +
		" SELECT " + literal(name) + ", " + literal(column) + ", CAST(" + c + " AS CHAR), 'integer', 'float', " + literal(warehouse.ReasonInexact) +
		", " + id + ", " + at + ", " + now + " FROM " + qualified(schema, name) + " t WHERE " + inexact(c) +
		" AND NOT EXISTS (SELECT 1 FROM " + qualified(schema, warehouse.Discards) + " d WHERE " + same + " AND d.table_name = " + literal(name) +
		" AND d.column_name = " + literal(column) + " AND d.reason = " + literal(warehouse.ReasonInexact) + ")"
}

// createStage makes a temporary table of columns that are typed like those of the table the rows go to, with an index on the first.
func createStage(stage string, columns []*column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = quote(c.name) + " " + c.definition() + " NULL"
	}
	key := quote(columns[0].name)
	if columns[0].typ == table.String {
		key += "(" + strconv.Itoa(min(keyChars, max(columns[0].keyChars(), 1))) + ")"
	}
	return "CREATE TEMPORARY TABLE " + stage + " (" + strings.Join(list, ", ") + ", KEY (" + key + ")) ENGINE = InnoDB ROW_FORMAT = DYNAMIC"
}

func dropStage(stage string) string { return "DROP TEMPORARY TABLE IF EXISTS " + stage }

// sameKey compares an id of two tables byte by byte; the first half is for the index, which may be of a collation that takes more
// for equal.
func sameKey(a, b, column string) string {
	q := quote(column)
	return fmt.Sprintf("%[1]s.%[3]s = %[2]s.%[3]s AND CAST(%[1]s.%[3]s AS BINARY) = CAST(%[2]s.%[3]s AS BINARY)", a, b, q)
}

// sameText compares a column byte by byte with a text whose collation may be another. It is put in terms of the column, so that its
// index serves.
func sameText(name string, c *column, other string) string {
	if c.charset == "" { // no text
		return "CAST(" + name + " AS CHAR) = CAST(" + other + " AS CHAR)"
	}
	return fmt.Sprintf("%s = CONVERT(%s USING %s) COLLATE %s AND CAST(CONVERT(%[1]s USING utf8mb4) AS BINARY) = CAST(CONVERT(%[2]s USING utf8mb4) AS BINARY)",
		name, other, c.charset, c.collate)
}

// updateFromStage updates the rows that the stage has by its first column: NULL in the stage leaves what is stored (anew: takes its
// place), received_at only grows.
func updateFromStage(target, stage string, columns []string, anew bool) string {
	var set []string
	for _, c := range columns[1:] {
		q := quote(c)
		switch {
		case c == "received_at":
			set = append(set, fmt.Sprintf("t.%s = GREATEST(COALESCE(t.%[1]s, s.%[1]s), COALESCE(s.%[1]s, t.%[1]s))", q))
		case anew:
			set = append(set, fmt.Sprintf("t.%s = s.%[1]s", q))
		default:
			set = append(set, fmt.Sprintf("t.%s = COALESCE(s.%[1]s, t.%[1]s)", q))
		}
	}
	if len(set) == 0 {
		return ""
	}
	return "UPDATE " + target + " t JOIN " + stage + " s ON " + sameKey("t", "s", columns[0]) + " SET " + strings.Join(set, ", ")
}

// insertMissing inserts the rows of the stage whose first column the target does not hold; unless is a further condition under which
// a row is inserted all the same, "" for none.
func insertMissing(target, stage string, columns []string, unless string) string {
	list := quoteAll(columns)
	where := "NOT EXISTS (SELECT 1 FROM " + target + " t WHERE " + sameKey("t", "s", columns[0]) + ")"
	if unless != "" {
		where = unless + " OR " + where
	}
	return "INSERT INTO " + target + " (" + list + ") SELECT " + list + " FROM " + stage + " s WHERE " + where
}

// loadInfile reads rows from the client's stream of the name.
func loadInfile(stream, target string, columns []string, stamps []string, now string) string {
	s := "LOAD DATA LOCAL INFILE 'Reader::" + stream + "' INTO TABLE " + target +
		" CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' (" + quoteAll(columns) + ")"
	for i, c := range stamps {
		if i == 0 {
			s += " SET "
		} else {
			s += ", "
		}
		s += quote(c) + " = " + now
	}
	return s
}

// appendTime appends a datetime(6) without quotes; micros are Unix microseconds of the years 1 to 9999.
func appendTime(b []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(b, "2006-01-02 15:04:05.000000")
}

// timeLiteral is a datetime(6) constant; event.NoTime is NULL.
func timeLiteral(micros int64) string {
	if micros == event.NoTime {
		return "NULL"
	}
	return "'" + string(appendTime(nil, micros)) + "'"
}
