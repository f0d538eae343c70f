package redshift

import (
	"strings"
)

// Everything in this file builds SQL text and does nothing else.

// Temporary tables of a session that forgets: the people's ids by kind; in a transaction, the ids of the rows that go, and of the users or
// accounts that these had made. Each has the length of an id beside it: texts that differ by blanks at their end are equal to the server.
const (
	forgetIDs  = "firth_forget_ids"
	forgetRows = "firth_forget_rows"
	forgetKeys = "firth_forget_keys"

	createForget = "CREATE TEMP TABLE " + forgetIDs + " (kind varchar(16), c0 varchar(65535), w integer)"
)

// Kinds of ids.
const (
	kindUser      = "user"
	kindAnonymous = "anonymous"
	kindRow       = "row"
)

func dropTemp(name string) string { return "DROP TABLE IF EXISTS " + name }

func dropForget() string { return dropTemp(forgetIDs) }

func insertForget(kind string, ids []string) string {
	rows := make([]string, len(ids))
	for i, id := range ids {
		l := literal(id)
		rows[i] = "(" + literal(kind) + ", " + l + ", octet_length(" + l + "))"
	}
	return "INSERT INTO " + forgetIDs + " VALUES " + strings.Join(rows, ", ")
}

// likeRebuild is the pattern of the keys of a source's rebuilds.
func likeRebuild(source string) string {
	escaped := strings.NewReplacer("|", "||", "%", "|%", "_", "|_").Replace(source)
	return literal(escaped+"#%") + " ESCAPE '|'"
}

// within is the condition that a text column is an id of a temporary table.
func within(column, of string) string {
	q := quote(column)
	return "(" + q + ", octet_length(" + q + ")) IN (SELECT c0, w FROM " + of + ")"
}

// ofColumns is the condition that a column is an id of one of the kinds; "" where there is no such column, or one that holds no texts.
func ofColumns(rel *relation, name string, kinds ...string) string {
	c := rel.find(name)
	if c == nil || c.foreign {
		return ""
	}
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = literal(k)
	}
	text := quote(c.name)
	if c.physical != "varchar" && c.physical != "bpchar" && c.physical != "text" {
		text = "CAST(" + text + " AS varchar(64))"
	}
	return "(" + text + ", octet_length(" + text + ")) IN (SELECT c0, w FROM " + forgetIDs + " WHERE kind IN (" + strings.Join(list, ", ") + "))"
}

// ofCalls is the condition that a row of a table of calls goes; "" where no column says whose it is.
func ofCalls(rel *relation) string {
	var list []string
	for _, one := range []string{
		ofColumns(rel, "user_id", kindUser), ofColumns(rel, "anonymous_id", kindAnonymous), ofColumns(rel, "previous_id", kindUser, kindAnonymous), ofColumns(rel, "id", kindRow),
	} {
		if one != "" {
			list = append(list, one)
		}
	}
	return strings.Join(list, " OR ")
}

// collect notes the texts of a column of the rows for which the condition holds.
func collect(into, schema, name, column, condition string) string {
	q := quote(column)
	return "CREATE TEMP TABLE " + into + " AS SELECT DISTINCT " + q + " AS c0, octet_length(" + q + ") AS w FROM " + qualified(schema, name) + " WHERE (" + condition + ") AND " + q + " IS NOT NULL"
}

// orphans is the condition that a noted row of users (accounts) is one of which no call is left.
func orphans(schema, from, key string) string {
	q := quote(key)
	return within("id", forgetKeys) + ` AND ("id", octet_length("id")) NOT IN (SELECT ` + q + ", octet_length(" + q + ") FROM " + qualified(schema, from) + " WHERE " + q + " IS NOT NULL)"
}

// updateAnew gives rows the values of lastSaid, NULL where there is none; where the table was taken over what is stored stays there.
func updateAnew(schema, name, again string, columns, stamps []string, now string, adopted bool) string {
	received := "s.received"
	if adopted {
		received = `CASE WHEN t."received_at" IS NULL OR s.received > t."received_at" THEN s.received ELSE t."received_at" END`
	}
	set := []string{`"received_at" = ` + received}
	for i, c := range columns {
		value := "s." + stageColName(i+1)
		if adopted {
			value = "COALESCE(" + value + ", t." + quote(c) + ")"
		}
		set = append(set, quote(c)+" = "+value)
	}
	for _, c := range stamps {
		set = append(set, quote(c)+" = "+now)
	}
	return "UPDATE " + qualified(schema, name) + " AS t SET " + strings.Join(set, ", ") + " FROM " + again + ` s WHERE t."id" = s.c0 AND octet_length(t."id") = octet_length(s.c0)`
}

// vacuum frees all that deleted rows take of a table, which is quoted already.
func vacuum(target string) string { return "VACUUM DELETE ONLY " + target + " TO 100 PERCENT" }
