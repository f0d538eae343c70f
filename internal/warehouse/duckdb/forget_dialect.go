package duckdb

import (
	"fmt"
	"strings"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Everything in this file builds SQL text and does nothing else.

// Tables of the writer's session while people are forgotten: their ids by kind, the ids of the rows that go, and the users and accounts
// that those rows had made.
const (
	forgetIDs      = "temp._firth_forget_ids"
	forgetRows     = "temp._firth_forget_rows"
	forgetUsers    = "temp._firth_forget_users"
	forgetAccounts = "temp._firth_forget_accounts"
)

// Kinds of ids in forgetIDs.
const (
	kindUser      = "user"
	kindAnonymous = "anonymous"
	kindRow       = "row"
)

// forgetTables make the tables of the session anew; dropForget drops them.
func forgetTables() string {
	return "CREATE OR REPLACE TEMP TABLE _firth_forget_ids (kind VARCHAR, id VARCHAR); CREATE OR REPLACE TEMP TABLE _firth_forget_rows (id VARCHAR); " +
		"CREATE OR REPLACE TEMP TABLE _firth_forget_users (id VARCHAR); CREATE OR REPLACE TEMP TABLE _firth_forget_accounts (id VARCHAR)"
}

func dropForget() string {
	var list []string
	for _, t := range []string{forgetIDs, forgetRows, forgetUsers, forgetAccounts} {
		list = append(list, "DROP TABLE IF EXISTS "+t)
	}
	return strings.Join(list, "; ")
}

// addForgetIDs adds ids of one kind; $1 is the kind, $2 a JSON array of texts.
const addForgetIDs = "INSERT INTO " + forgetIDs + ` SELECT DISTINCT $1, unnest(from_json($2::JSON, '["VARCHAR"]'))`

// textOf is a column as text, whatever type somebody gave it.
func textOf(column string, r *relation) string {
	if r.types[column] == table.String {
		return quote(column)
	}
	return "CAST(" + quote(column) + " AS VARCHAR)"
}

// isOf is the condition that a text is an id of one of the kinds.
func isOf(text string, kinds ...string) string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = literal(k)
	}
	return text + " IN (SELECT id FROM " + forgetIDs + " WHERE kind IN (" + strings.Join(list, ", ") + "))"
}

// ofCalls is the condition that a row of a table of calls goes; "" where the table has no column that says whose it is.
func ofCalls(r *relation) string {
	var list []string
	for _, c := range []struct {
		column string
		kinds  []string
	}{
		{"user_id", []string{kindUser}}, {"anonymous_id", []string{kindAnonymous}}, {"previous_id", []string{kindUser, kindAnonymous}}, {"id", []string{kindRow}},
	} {
		if _, ok := r.types[c.column]; ok {
			list = append(list, isOf(textOf(c.column, r), c.kinds...))
		}
	}
	return strings.Join(list, " OR ")
}

// collect adds the texts of a column of those rows for which the condition holds.
func collect(into, schema, name, text, condition string) string {
	return "INSERT INTO " + into + " SELECT DISTINCT " + text + " FROM " + qualified(schema, name) + " WHERE (" + condition + ") AND " + text + " IS NOT NULL"
}

func deleteWhere(schema, name, condition string) string {
	return "DELETE FROM " + qualified(schema, name) + " WHERE " + condition
}

// ofDiscards is the condition that a discard goes: its row does, or it is of a person, or it says who.
func ofDiscards() string {
	return "row_id IN (SELECT id FROM " + forgetRows + ") OR " + isOf("row_id", kindUser, kindAnonymous, kindRow) + " OR " + isOf("value", kindUser, kindAnonymous)
}

// anewFrom brings those rows of users (accounts) whose ids are in touched to what is left of identifies (groups), and deletes those of
// which nothing is left. Of each column it is the last value that is not NULL, in the order of received_at and id; where none is left the
// column is NULL, since what it held came from a call that went.
func anewFrom(schema, name, touched, calls, key string, columns []table.Column, now time.Time) ([]string, error) {
	stamp := literal(now.UTC().Format("2006-01-02 15:04:05.999999-07")) + "::TIMESTAMPTZ"
	picked := []string{"c." + quote(key) + " AS id", "max(c.received_at) AS received_at"}
	set := []string{"received_at = s.received_at", "uuid_ts = " + stamp, "loaded_at = " + stamp}
	for _, c := range columns {
		kind, err := typeName(c.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		q := quote(c.Name)
		picked = append(picked, "arg_max(TRY_CAST(c."+q+" AS "+kind+"), (c.received_at, c.id)) FILTER (WHERE TRY_CAST(c."+q+" AS "+kind+") IS NOT NULL) AS "+q)
		set = append(set, q+" = s."+q)
	}
	left := "SELECT c." + quote(key) + " FROM " + qualified(schema, calls) + " AS c WHERE c." + quote(key) + " IS NOT NULL"
	return []string{
		deleteWhere(schema, name, "id IN (SELECT id FROM "+touched+") AND id NOT IN ("+left+")"),
		"UPDATE " + qualified(schema, name) + " AS t SET " + strings.Join(set, ", ") + " FROM (SELECT " + strings.Join(picked, ", ") + " FROM " + qualified(schema, calls) +
			" AS c WHERE c." + quote(key) + " IN (SELECT id FROM " + touched + ") GROUP BY c." + quote(key) + ") AS s WHERE t.id = s.id",
	}, nil
}

// freshCatalog is the name of a file that is being made to take the place of the warehouse's.
const freshCatalog = "_firth_fresh"

// attachFresh opens or makes a file beside the warehouse's.
func attachFresh(path string) string {
	return fmt.Sprintf("ATTACH %s AS %s (RECOVERY_MODE no_wal_writes, ROW_GROUP_SIZE %d, STORAGE_VERSION '%s')", literal(path), quote(freshCatalog), rowGroup, storageVersion)
}

// replaceFile lets the catalog be another file from the next transaction on; those that are under way keep the one that they began with.
func replaceFile(path, catalog string) string {
	return fmt.Sprintf("ATTACH OR REPLACE %s AS %s (RECOVERY_MODE no_wal_writes, ROW_GROUP_SIZE %d, STORAGE_VERSION '%s')", literal(path), quote(catalog), rowGroup, storageVersion)
}

// ofValues is the condition that a column of a mirror's table is equal to an id. ids is a relation with the text column id. Numbers are
// equal to ids that are written as integers; "" for a column of a type that holds no ids.
func ofValues(column, dataType string) string {
	q := quote(column)
	base, _, _ := strings.Cut(strings.ToUpper(dataType), "(")
	switch base {
	case "VARCHAR", "BLOB":
		return q + "::VARCHAR IN (SELECT id FROM " + forgetIDs + ")"
	case "UUID":
		return q + "::VARCHAR IN (SELECT lower(id) FROM " + forgetIDs + ")"
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "DECIMAL", "FLOAT", "DOUBLE":
		return q + " IN (SELECT TRY_CAST(id AS " + dataType + ") FROM " + forgetIDs + " WHERE regexp_full_match(id, '-?[0-9]{1,38}') AND TRY_CAST(id AS " + dataType + ") IS NOT NULL)"
	}
	return ""
}

// ofRejects is the condition that a reject goes: its key is an id, or has one among its parts, or the value is one.
func ofRejects() string {
	return `"key" IN (SELECT id FROM ` + forgetIDs + ") OR value IN (SELECT id FROM " + forgetIDs + ") OR EXISTS (SELECT 1 FROM " + forgetIDs +
		` AS f WHERE list_contains(string_split("key", ', '), f.id))`
}

// present is the condition that a row of a table with history is one of the present.
const present = `"` + warehouse.ValidTo + `" IS NULL`
