package postgres

import (
	"fmt"
	"strings"

	"firth/internal/warehouse"
)

// Everything in this file builds SQL text and does nothing else.

// Stages of a transaction that forgets: the people's ids by kind, the ids of the rows that went, and of the users or accounts that these
// had made. Each has the column id, the first a column kind too.
const (
	forgetIDs = iota
	forgetRows
	forgetKeys
)

// Kinds of ids.
const (
	kindUser      = "user"
	kindAnonymous = "anonymous"
	kindRow       = "row"
)

// forgetAtOnce is how many rows a transaction deletes.
const forgetAtOnce = 50_000

// isOf is the condition that an expression is an id of one of the kinds.
func isOf(text string, kinds ...string) string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = literal(k)
	}
	return text + " IN (SELECT i.id FROM " + stage(forgetIDs) + " AS i WHERE i.kind IN (" + strings.Join(list, ", ") + "))"
}

// ofCalls is the condition that a row t of calls goes; "" where no column says whose it is.
func ofCalls(has func(string) bool) string {
	var list []string
	for _, c := range []struct {
		column string
		kinds  []string
	}{
		{"user_id", []string{kindUser}}, {"anonymous_id", []string{kindAnonymous}}, {"previous_id", []string{kindUser, kindAnonymous}}, {"id", []string{kindRow}},
	} {
		if has(c.column) {
			list = append(list, isOf("t."+quote(c.column)+"::text", c.kinds...))
		}
	}
	return strings.Join(list, " OR ")
}

// ofDiscards is the condition that a discard t goes: its row is a person, or it says who.
func ofDiscards() string {
	return isOf("t.row_id", kindUser, kindAnonymous, kindRow) + " OR " + isOf("t.value", kindUser, kindAnonymous)
}

// deleteTheirs deletes rows of the table, quoted already, for which the condition over t holds, some at a time where the table tells its
// rows by their place. rowID and key are expressions over t: those of the rows that went are kept in the stages. "" keeps nothing.
func deleteTheirs(target, condition string, bounded bool, rowID, key string) string {
	b := "DELETE FROM " + target + " AS t WHERE " + condition
	if bounded {
		b = "DELETE FROM " + target + fmt.Sprintf(" AS t WHERE t.ctid = ANY (ARRAY(SELECT t.ctid FROM %s AS t WHERE %s LIMIT %d))", target, condition, forgetAtOnce)
	}
	if rowID == "" {
		return b
	}
	if key == "" {
		key = "NULL::text"
	}
	return "WITH gone AS (" + b + " RETURNING " + rowID + " AS row_id, " + key + " AS key), keys AS (INSERT INTO " + stage(forgetKeys) +
		" SELECT DISTINCT g.key FROM gone AS g WHERE g.key IS NOT NULL) INSERT INTO " + stage(forgetRows) + " SELECT g.row_id FROM gone AS g"
}

// deleteTheirDiscards deletes the discards of rows that went.
func deleteTheirDiscards(schema string) string {
	return "DELETE FROM " + qualified(schema, warehouse.Discards) + " AS t WHERE t.row_id IN (SELECT r.id FROM " + stage(forgetRows) + " AS r)"
}

// deleteOrphans deletes rows of users (accounts) in the stage of keys of which no call is left.
func deleteOrphans(target, from, key string) string {
	return "DELETE FROM " + target + " AS t WHERE t." + quote("id") + "::text IN (SELECT k.id FROM " + stage(forgetKeys) + " AS k) AND NOT EXISTS (SELECT FROM " +
		from + " AS f WHERE f." + quote(key) + "::text = t." + quote("id") + "::text)"
}

// updateAnew gives rows the values of a query of recomputeStaged, NULL where it has none. $1 is the time.
func updateAnew(target, query string, columns, stamps []string) string {
	set := []string{quote("received_at") + " = n." + quote("received_at")}
	for _, c := range columns {
		set = append(set, quote(c)+" = n."+quote(c))
	}
	for _, c := range stamps {
		set = append(set, quote(c)+" = $1::timestamptz")
	}
	return "UPDATE " + target + " AS t SET " + strings.Join(set, ", ") + " FROM (" + query + ") AS n WHERE t." + quote("id") + "::text = n." + quote("id") +
		" AND $1::timestamptz IS NOT NULL"
}

// ofValues is the condition that a column of t, of a mirror's table, is equal to an id; "" for a column of a type that holds none. Numbers
// are equal to ids that are written as integers.
func ofValues(column, sqlType string) string {
	q := "t." + quote(column)
	base, _, _ := strings.Cut(sqlType, "(")
	ids := " IN (SELECT i.id FROM " + stage(forgetIDs) + " AS i)"
	switch strings.TrimSpace(base) {
	case "text", "character varying", "character", "uuid", "citext", "smallint", "integer", "bigint":
		if base == "uuid" {
			return q + "::text IN (SELECT lower(i.id) FROM " + stage(forgetIDs) + " AS i)"
		}
		return q + "::text" + ids
	case "numeric", "real", "double precision":
		return q + " IN (SELECT CASE WHEN i.id ~ '^-?[0-9]{1,38}$' THEN i.id::numeric END FROM " + stage(forgetIDs) + " AS i)"
	}
	return ""
}

// ofRejects is the condition that a reject t goes: its key is an id, or has one among its parts, or the value is one.
func ofRejects() string {
	ids := "(SELECT i.id FROM " + stage(forgetIDs) + " AS i)"
	return "t." + quote("key") + " IN " + ids + " OR t.value IN " + ids + " OR string_to_array(t." + quote("key") + ", ', ') && ARRAY" + ids
}
