package query

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// volatile are functions that do not compute from their arguments alone, or not the same at every time and for everybody.
var volatile = []string{ //nolint:gochecknoglobals // a constant list
	"current_catalog", "current_database", "current_date", "current_localtime", "current_localtimestamp", "current_role", "current_schema", "current_schemas",
	"current_user", "gen_random_uuid", "get_current_time", "get_current_timestamp", "now", "random", "reservoir_quantile", "session_user", "today",
	"transaction_timestamp", "user", "uuid", "uuidv4", "uuidv7", "pg_conf_load_time", "pg_postmaster_start_time", "pg_my_temp_schema",
	"duckdb_columns", "duckdb_constraints", "duckdb_functions", "duckdb_indexes", "duckdb_schemas", "duckdb_tables", "duckdb_types", "duckdb_views",
	"in_search_path", "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port",
}

// derivedOf are the tables that others are made of, by name.
type derivedOf map[string]string

// source is the table that says who may read one of the lake.
func (d derivedOf) source(table string) string {
	for name, from := range d {
		if SchemaKey(name) == SchemaKey(table) {
			return from
		}
	}
	return table
}

// wordsOfNow are calls that are written like columns.
var wordsOfNow = []string{ //nolint:gochecknoglobals // a constant list
	"current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp", "current_user", "localtime", "localtimestamp",
	"session_user", "user",
}

// DerivedFiles is how a statement that makes a derived table calls what it reads.
const DerivedFiles = "source_files"

// CheckDerived judges a statement that makes a derived table of a source: one SELECT, over the source and nothing else, that gives the
// same rows of the same events whenever it is run. Conn parses; nothing is run. The error is an *Error.
func CheckDerived(ctx context.Context, conn Parser, from, statement string) error {
	if strings.ContainsRune(statement, 0) || !utf8.ValidString(statement) {
		return fail(CodeSyntax, "", "the statement is not UTF-8 text, or holds a NUL")
	}
	if conjunctions(statement) > maxConjunctions {
		return tooComplex()
	}
	if strings.TrimSpace(strings.TrimRight(strings.TrimSpace(statement), ";")) != strings.TrimSpace(statement) {
		return fail(CodeSyntax, "remove the ; at the end", "the statement ends with a ;, and Firth puts it into statements of its own")
	}
	if word := lower(firstWord(statement)); slices.Contains([]string{"describe", "desc", "show", "summarize", "explain", "pivot", "unpivot"}, word) {
		return fail(CodeNotReadOnly, "write SELECT ... FROM "+DerivedFiles, "%s makes no table", strings.ToUpper(word))
	}
	tree, err := parse(ctx, conn, statement)
	if err != nil {
		return err
	}
	w := walker{functions: parseFunctions(functionsText).steady()}
	if err := once(tree); err != nil {
		return err
	}
	if err := w.walk(tree, &scope{}); err != nil {
		return err
	}
	for _, t := range w.tables {
		n := t.name
		own := lower(n.table) == DerivedFiles || lower(n.table) == "source" || lower(n.table) == lower(from)
		switch {
		case t.node["at_clause"] != nil:
			return fail(CodeForbidden, "remove AT (...)", "%s is read as it is, not as it was", n)
		case n.catalog != "" || n.schema != "" || !own:
			return fail(CodeUnknownTable, "write FROM "+DerivedFiles+", which are the events of "+from, "a derived table is made of its source alone, and the statement reads %s", n)
		}
	}
	if len(w.tables) == 0 {
		return fail(CodeForbidden, "write SELECT ... FROM "+DerivedFiles, "the statement does not read %s", DerivedFiles)
	}
	return nil
}

// steady are the functions without those whose answers change.
func (f *functions) steady() *functions {
	out := &functions{maps.Clone(f.scalar), maps.Clone(f.table), f.catalogue, f.known, nil}
	for _, name := range volatile {
		delete(out.scalar, name)
		delete(out.table, name)
	}
	out.names = slices.DeleteFunc(slices.Clone(f.names), func(n string) bool { return slices.Contains(volatile, n) })
	return out
}

// once refuses what gives another answer each time: functions of the clock and of chance, samples; and parameters, which nobody gives.
func once(v any) error {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := once(item); err != nil {
				return err
			}
		}
	case map[string]any:
		name := lower(text(v, "function_name"))
		if names, _ := v["column_names"].([]any); len(names) == 1 && slices.Contains(wordsOfNow, column(v)) {
			return fail(CodeForbidden, "take columns of the events, as received_at for the time; a column of this name needs another", "%s gives another answer each time", column(v))
		}
		children, _ := v["children"].([]any)
		switch {
		case slices.Contains(volatile, name):
			return fail(CodeForbidden, "take columns of the events, as received_at for the time", "%s gives another answer each time, and a derived table is to be the same of the same events", name)
		case name == "age" && len(children) < 2:
			return fail(CodeForbidden, "write age(later, earlier)", "age of one argument depends on the day")
		case v["sample"] != nil:
			return fail(CodeForbidden, "remove the sample; WHERE hash(message_id) % 10 = 0 takes the same tenth each time", "a sample takes other rows each time")
		case text(v, "class") == "PARAMETER":
			return fail(CodeForbidden, "write the value", "the statement has a parameter, and nobody gives its value")
		}
		for _, item := range v {
			if err := once(item); err != nil {
				return err
			}
		}
	}
	return nil
}
