package query

import (
	"slices"
	"strings"
)

// walker goes through a syntax tree. It stops at the first thing that is not allowed for anyone and
// collects what depends on the catalogue and the user.
type walker struct {
	functions *functions
	tables    []*namedTable
	calls     []map[string]any // of the functions over files of the lake
	lakes     bool             // these functions are there
	showing   int              // how many DESCRIBEs are around
	metadata  bool             // the statement lists the catalogue
	weight    int              // of the tree so far
	selects   int
	joins     int
}

// Bounds of a statement. The engine cannot be interrupted while it plans, and plans in more than
// linear time: at these bounds it takes a few seconds.
const (
	maxWeight  = 40_000 // a constant weighs 1, every other expression 3
	maxSelects = 500    // of unions and subqueries
	maxJoins   = 100
	maxColumns = 2000 // of one SELECT's list

	// maxConjunctions bounds AND and OR before the text is parsed: the parser takes time by their square.
	maxConjunctions = 5000
)

func tooComplex() *Error {
	return fail(CodeFailed, "put long lists of values into a table or an IN list; select fewer columns, unions or joins at once", "the statement is too complex")
}

// weigh counts an object of the tree.
func (w *walker) weigh(m map[string]any, kind string) error {
	switch {
	case kind == "VALUE_CONSTANT":
		w.weight++
	case m["class"] != nil:
		w.weight += 3
	case kind == "SELECT_NODE":
		w.selects++
	case kind == "JOIN":
		w.joins++
	}
	list, _ := m["select_list"].([]any)
	if w.weight > maxWeight || w.selects > maxSelects || w.joins > maxJoins || len(list) > maxColumns {
		return tooComplex()
	}
	return nil
}

// tableName is a table as a statement names it; parts that it does not name are "".
type tableName struct {
	catalog, schema, table string
}

func (n tableName) String() string {
	parts := slices.DeleteFunc([]string{n.catalog, n.schema, n.table}, func(s string) bool { return s == "" })
	return strings.Join(parts, ".")
}

// namedTable is a place of the tree that names a table.
type namedTable struct {
	name  tableName
	node  map[string]any
	shown bool       // its columns are asked for, its rows are not
	found []relation // that it may mean
}

// scope is the names of common table expressions that a part of the tree can see.
type scope struct {
	outer *scope
	names []string
}

func (s *scope) has(name string) bool {
	return s != nil && (slices.Contains(s.names, lower(name)) || s.outer.has(name))
}

// The kinds of node that the gate knows; all others are refused.
var (
	queryNodes = []string{"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"}
	tableRefs  = []string{"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SHOW_REF"}
	classes    = []string{"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION",
		"LAMBDA", "LAMBDA_REF", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW"}
	harmless = []string{"_MODIFIER", "_TYPE_INFO", "ORDER_DEFAULT", "ASCENDING", "DESCENDING"}
)

// walk judges a value of the tree and all below it.
func (w *walker) walk(v any, s *scope) error {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := w.walk(item, s); err != nil {
				return err
			}
		}
	case map[string]any:
		return w.object(v, s)
	}
	return nil
}

func (w *walker) object(m map[string]any, s *scope) error {
	kind := text(m, "type")
	if err := w.weigh(m, kind); err != nil {
		return err
	}
	if class, ok := m["class"].(string); ok {
		if !slices.Contains(classes, class) {
			return unknownForm(class)
		}
		if err := w.function(m, class, w.functions.scalar); err != nil {
			return err
		}
		return w.below(m, s)
	}
	switch {
	case slices.Contains(queryNodes, kind):
		return w.query(m, kind, s)
	case kind == "BASE_TABLE":
		if err := w.table(m, s); err != nil {
			return err
		}
	case kind == "TABLE_FUNCTION":
		return w.tableFunction(m, s)
	case kind == "SHOW_REF":
		if err := w.show(m); err != nil {
			return err
		}
		if text(m, "show_type") == "DESCRIBE" {
			w.showing++
			defer func() { w.showing-- }()
		}
	case kind == "", slices.Contains(tableRefs, kind):
	case !slices.ContainsFunc(harmless, func(end string) bool { return strings.HasSuffix(kind, end) }):
		return unknownForm(kind)
	}
	return w.below(m, s)
}

// below walks the members of an object but those named.
func (w *walker) below(m map[string]any, s *scope, but ...string) error {
	for key, v := range m {
		if slices.Contains(but, key) {
			continue
		}
		if err := w.walk(v, s); err != nil {
			return err
		}
	}
	return nil
}

// query walks a query node. A common table expression sees those before it, and itself in the right
// half of a recursive one; the rest of the node sees all.
func (w *walker) query(m map[string]any, kind string, s *scope) error {
	s = &scope{outer: s}
	ctes, _ := m["cte_map"].(map[string]any)
	list, _ := ctes["map"].([]any)
	for _, item := range list {
		entry, _ := item.(map[string]any)
		if err := w.walk(entry["value"], s); err != nil {
			return err
		}
		s.names = append(s.names, lower(text(entry, "key")))
	}
	if kind != "RECURSIVE_CTE_NODE" {
		return w.below(m, s, "cte_map")
	}
	if err := w.below(m, s, "cte_map", "right"); err != nil {
		return err
	}
	return w.walk(m["right"], &scope{outer: s, names: []string{lower(text(m, "cte_name"))}})
}

// table judges a name in FROM. A name that looks like a file is refused even where a common table
// expression or a table carries it: the engine opens files by such names.
func (w *walker) table(m map[string]any, s *scope) error {
	name := tableName{text(m, "catalog_name"), text(m, "schema_name"), text(m, "table_name")}
	for _, part := range []string{name.catalog, name.schema, name.table} {
		if strings.ContainsAny(part, `./\:*?[]{}`) || strings.ContainsFunc(part, func(r rune) bool { return r < ' ' }) {
			return fail(CodeForbidden, "files and URLs cannot be read from SQL; a schema and a table are quoted one by one: \"schema\".\"table\"",
				"%q looks like a file", part)
		}
	}
	if name.table == "" {
		return unknownForm("table without a name")
	}
	if name.catalog == "" && name.schema == "" && s.has(name.table) {
		if m["at_clause"] != nil {
			return fail(CodeFailed, "write AS OF behind the table of the lake, within the WITH", "%s has no history: it is a common table expression", name)
		}
		return nil
	}
	w.tables = append(w.tables, &namedTable{name: name, node: m, shown: w.showing > 0})
	return nil
}

func (w *walker) tableFunction(m map[string]any, s *scope) error {
	call, _ := m["function"].(map[string]any)
	if text(call, "class") != "FUNCTION" {
		return unknownForm("TABLE_FUNCTION")
	}
	if w.lakes && isLakeCall(lower(text(call, "function_name"))) {
		w.calls = append(w.calls, m)
	} else if err := w.function(call, "FUNCTION", w.functions.table); err != nil {
		return err
	}
	if w.functions.catalogue[lower(text(call, "function_name"))] {
		w.metadata = true
	}
	if err := w.below(call, s); err != nil {
		return err
	}
	return w.below(m, s, "function")
}

// function judges the name of a call against the names that may be called where it stands. A schema
// before the name does not matter: x.lower() is the same as lower(x).
func (w *walker) function(m map[string]any, class string, allowed map[string]bool) error {
	name, ok := m["function_name"].(string)
	if !ok && class != "FUNCTION" && class != "WINDOW" {
		return nil
	}
	name = lower(name)
	if allowed[name] {
		return nil
	}
	if w.functions.known[name] {
		return fail(CodeForbidden, "files, the network, settings and the engine's internals cannot be reached from SQL", "the function %s may not be used here", name)
	}
	return fail(CodeUnknownFunction, nearest(name, w.functions.names), "there is no function %s", name)
}

// show judges DESCRIBE, SUMMARIZE and SHOW. The first two carry a query, which is walked as any other.
func (w *walker) show(m map[string]any) error {
	switch kind := text(m, "show_type"); {
	case (kind == "DESCRIBE" || kind == "SUMMARY") && m["query"] != nil && text(m, "table_name") == "":
		return nil
	case kind == "SHOW_FROM", kind == "SHOW_UNQUALIFIED" && slices.Contains([]string{`"tables"`, `"databases"`, "__show_tables_expanded"}, text(m, "table_name")):
		w.metadata = true
		return nil
	default:
		return fail(CodeForbidden, "SHOW TABLES, SHOW ALL TABLES, DESCRIBE and SUMMARIZE are allowed", "this SHOW is not allowed")
	}
}

func unknownForm(what string) *Error {
	return fail(CodeForbidden, "write it another way", "the statement uses a form that is not allowed here: %s", what)
}

// text is a string member of an object, or "".
func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}
