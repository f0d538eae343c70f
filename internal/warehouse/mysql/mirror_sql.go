package mysql

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Everything in this file builds SQL text and does nothing else.

const (
	// rowColumn is the primary key of every table of a mirror: it tells rows apart that are the same, and which came last.
	rowColumn = "_firth_row"
	// mirrorKey is the index on the key of a mirror.
	mirrorKey = "_firth_key"
	// keyLength is how many characters a key has room for before its column becomes a long text.
	keyLength = 255
	// mostName is how many characters the servers take for a name.
	mostName = 64
	// Bounds of DECIMAL that both kinds of server have.
	mostDigits, mostScale = 65, 30
)

// short makes a name of a prefix, a table's name and a suffix that is no longer than the servers take.
func short(prefix, name, suffix string) string {
	text := []rune(prefix + name + suffix)
	if len(text) <= mostName {
		return string(text)
	}
	sum := sha256.Sum256([]byte(name))
	mark := "_" + hex.EncodeToString(sum[:4]) + suffix
	return string(text[:mostName-len(mark)]) + mark
}

// bounded reports whether a decimal is one of the server's; others are texts.
func bounded(t vector.Type) bool {
	return t.Kind == vector.Decimal && t.Width > 0 && t.Width <= mostDigits && t.Scale <= mostScale
}

// mirrorType is the server's type for a column. short: it is a key whose values are short.
func mirrorType(t vector.Type, short bool) string {
	switch t.Kind {
	case vector.Null, vector.Bool:
		return "TINYINT(1)"
	case vector.Int:
		return intName(t.Bits)
	case vector.Uint:
		return intName(t.Bits) + " UNSIGNED"
	case vector.Float:
		if t.Bits == 32 {
			return "FLOAT"
		}
		return "DOUBLE"
	case vector.Decimal:
		if bounded(t) {
			return "DECIMAL(" + strconv.Itoa(int(t.Width)) + "," + strconv.Itoa(int(t.Scale)) + ")"
		}
	case vector.UUID:
		return "CHAR(36)"
	case vector.Date:
		return "DATE"
	case vector.Time:
		return "TIME(6)"
	case vector.Timestamp, vector.TimestampTZ:
		return "DATETIME(6)"
	case vector.TimeTZ, vector.Interval:
		return "VARCHAR(100)"
	case vector.Blob:
		return "LONGBLOB"
	}
	if short {
		return "VARCHAR(" + strconv.Itoa(keyLength) + ")"
	}
	return "LONGTEXT"
}

func intName(bits uint8) string {
	switch bits {
	case 8:
		return "TINYINT"
	case 16:
		return "SMALLINT"
	case 32:
		return "INT"
	}
	return "BIGINT"
}

// isLong tells types of which an index holds a part only.
func isLong(name string) bool { return strings.HasPrefix(strings.ToUpper(name), "LONG") }

// mirrorColumn is the definition of a column, whatever the table's default.
func mirrorColumn(name, kind, collation string) string {
	s := quote(name) + " " + kind
	if strings.Contains(kind, "CHAR") || kind == "LONGTEXT" {
		s += " CHARACTER SET utf8mb4 COLLATE " + collation
	}
	return s + " NULL"
}

// physical is a column of a table of a mirror as it is on the server.
type physical struct{ name, kind string }

// createMirror makes a table of a mirror. Its primary key is not seen by SELECT *, where the server can do that.
func createMirror(name string, columns []physical, invisible bool, collation string) string {
	b := "CREATE TABLE " + name + " (" + quote(rowColumn) + " BIGINT UNSIGNED NOT NULL AUTO_INCREMENT"
	if invisible {
		b += " INVISIBLE"
	}
	for _, c := range columns {
		b += ", " + mirrorColumn(c.name, c.kind, collation)
	}
	return b + ", PRIMARY KEY (" + quote(rowColumn) + ")) " + tableOptions(collation)
}

// keyList is the columns of an index, those of long types by their beginning.
func keyList(columns []physical) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = quote(c.name)
		if isLong(c.kind) {
			list[i] += "(" + strconv.Itoa(keyChars) + ")"
		}
	}
	return strings.Join(list, ", ")
}

// sameColumns holds for two rows that are the same in some columns, NULLs and negative zeros included.
func sameColumns(a, b string, columns []vector.Column) string {
	parts := []string{"TRUE"}
	for _, c := range columns {
		l, r := a+"."+quote(c.Name), b+"."+quote(c.Name)
		if c.Type.Kind == vector.Decimal && !bounded(c.Type) {
			l, r = decimalText(l), decimalText(r)
		}
		parts = append(parts, l+" <=> "+r)
		if c.Type.Kind == vector.Float {
			parts = append(parts, "CAST("+l+" AS CHAR) <=> CAST("+r+" AS CHAR)")
		}
	}
	return strings.Join(parts, " AND ")
}

// decimalText is a decimal that is a text without the zeros at its end, which it has when it comes from a column of another type.
func decimalText(e string) string {
	return "IF(" + e + " LIKE '%.%', TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM " + e + ")), " + e + ")"
}

// sameKeys holds for two rows of the same key.
func sameKeys(a, b string, key []string) string {
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = a + "." + quote(k) + " = " + b + "." + quote(k)
	}
	return strings.Join(parts, " AND ")
}

// rowHash is the same for rows that are the same in all of the columns, and for no others.
func rowHash(alias string, columns []vector.Column) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		name := alias + "." + quote(c.Name)
		switch c.Type.Kind {
		case vector.Float:
			// The first tells a negative zero, the second all digits of a FLOAT.
			parts[i] = "IFNULL(CONCAT(CAST(" + name + " AS CHAR), ' ', CAST(" + name + " + 0e0 AS CHAR)), '~')"
		case vector.Null, vector.Bool, vector.Int, vector.Uint, vector.Date, vector.Time, vector.Timestamp, vector.TimestampTZ, vector.UUID:
			parts[i] = "IFNULL(CAST(" + name + " AS CHAR), '~')"
		default:
			if c.Type.Kind == vector.Decimal && !bounded(c.Type) {
				name = decimalText(name)
			}
			parts[i] = "IFNULL(SHA2(" + name + ", 256), '~')"
		}
	}
	return "SHA2(CONCAT_WS('|', " + strings.Join(parts, ", ") + "), 256)"
}

// textOf is the canonical text of a column, as rejects name keys.
func textOf(c vector.Column, alias string) string {
	name := alias + "." + quote(c.Name)
	switch c.Type.Kind {
	case vector.Bool:
		return "CASE " + name + " WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
	case vector.Blob:
		return "CONCAT('\\\\x', LOWER(HEX(" + name + ")))"
	case vector.Timestamp:
		return trimFraction(name)
	case vector.TimestampTZ:
		return "CONCAT(" + trimFraction(name) + ", '+00')"
	}
	return "CAST(" + name + " AS CHAR)"
}

func trimFraction(name string) string {
	return "TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST(" + name + " AS CHAR)))"
}

// keyText is the key of a row as rejects name it.
func keyText(columns []vector.Column, key []string, alias, collation string) string {
	var parts []string
	for _, k := range key {
		if i := findColumn(columns, k); i >= 0 {
			parts = append(parts, textOf(columns[i], alias))
		}
	}
	return "CONVERT(CONCAT_WS(',', " + strings.Join(parts, ", ") + ") USING utf8mb4) COLLATE " + collation
}

// findColumn compares names as the servers do.
func findColumn(columns []vector.Column, name string) int {
	return slices.IndexFunc(columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, name) })
}

// loadMirror reads rows from the client's stream of the name. Blobs come as hexadecimal digits.
func loadMirror(stream, target string, columns []vector.Column) string {
	var list, set []string
	for i, c := range columns {
		if c.Type.Kind != vector.Blob {
			list = append(list, quote(c.Name))
			continue
		}
		v := "@c" + strconv.Itoa(i)
		list = append(list, v)
		set = append(set, quote(c.Name)+" = UNHEX("+v+")")
	}
	s := "LOAD DATA LOCAL INFILE 'Reader::" + stream + "' INTO TABLE " + target +
		" CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' (" + strings.Join(list, ", ") + ")"
	if len(set) > 0 {
		s += " SET " + strings.Join(set, ", ")
	}
	return s
}

// names are the columns' names.
func columnNames(columns []vector.Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return out
}

// prefixed quotes names behind an alias.
func prefixed(alias string, names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = alias + "." + quote(n)
	}
	return strings.Join(list, ", ")
}

// live is the condition for rows that are so at present.
func live(alias string, history bool) string {
	if !history {
		return "TRUE"
	}
	return alias + "." + quote(warehouse.ValidTo) + " IS NULL"
}

// dedupeStage drops all rows of a key but the last.
func dedupeStage(stage string, key []string) string {
	row := quote(rowColumn)
	return "DELETE s FROM " + stage + " s JOIN (SELECT " + row + ", ROW_NUMBER() OVER (PARTITION BY " + quoteAll(key) + " ORDER BY " + row +
		" DESC) AS n FROM " + stage + ") d ON d." + row + " = s." + row + " WHERE d.n > 1"
}
