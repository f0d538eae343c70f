package query

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Parser parses statements. A *sql.Conn is one.
type Parser interface {
	QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row
}

// Mergeable says why the rows that a statement made of some events cannot be merged by it with what further events contribute, "" where
// they can. No trial shows that for every event there may be, since a bound such as HAVING sum(n) > 1000 may lie beyond all that is
// tried; hence these forms alone, in which it always holds:
//
//   - groups by columns, with sum, min, max, bool_and, bool_or, bit_and, bit_or, bit_xor of a column under its own name, and with
//     arg_max_null and arg_min_null where what they compare is a column of the result under the same rule;
//   - rows as they are, filtered by their own columns, of which a row_number, or DISTINCT, by their own columns takes the first ones.
//
// Seed must look at one event at a time. Both statements have passed [CheckDerived].
func Mergeable(ctx context.Context, conn Parser, seed, merge string) (string, error) {
	var names string
	if err := conn.QueryRowContext(ctx, "SELECT string_agg(DISTINCT lower(function_name), ' ') FROM duckdb_functions() WHERE function_type = 'aggregate'").Scan(&names); err != nil {
		return "", fmt.Errorf("list aggregates: %w", err)
	}
	f := &form{aggregates: strings.Fields(names)}
	if seed != "" {
		node, err := selectNode(ctx, conn, seed)
		if err != nil {
			return "", err
		}
		if why := f.seed(node); why != "" {
			return "seed_sql " + why, nil
		}
	}
	node, err := selectNode(ctx, conn, merge)
	if err != nil {
		return "", err
	}
	// The tree leaves out the empty set of groups.
	if slices.ContainsFunc(tokenize(merge), func(t token) bool { return t.is("rollup", "cube", "grouping") }) {
		return "merge_sql has several sets of groups", nil
	}
	if why := f.merge(node); why != "" {
		return "merge_sql " + why, nil
	}
	return "", nil
}

func selectNode(ctx context.Context, conn Parser, statement string) (map[string]any, error) {
	tree, err := parse(ctx, conn, statement)
	if err != nil {
		return nil, err
	}
	top, _ := tree.(map[string]any)
	node, _ := top["node"].(map[string]any)
	return node, nil
}

// form looks at one SELECT.
type form struct {
	aggregates []string
	items      []map[string]any
	star       bool
	left       []string // out of the star
	names      []string // of the columns of the result
}

// plainSelect says why a node is no SELECT from one table with these parts alone.
func (f *form) plainSelect(node map[string]any, parts ...string) string {
	if text(node, "type") != "SELECT_NODE" {
		return "is more than one SELECT"
	}
	if from, _ := node["from_table"].(map[string]any); text(from, "type") != "BASE_TABLE" || from["column_name_alias"] != nil {
		return "reads more than source_files"
	}
	words := map[string]string{
		"cte_map": "has a WITH", "having": "has a HAVING", "qualify": "has a QUALIFY", "where_clause": "has a WHERE beside aggregates", "modifiers": "has a DISTINCT or a LIMIT",
		"group_expressions": "groups", "group_sets": "groups",
	}
	for key := range node {
		if slices.Contains([]string{"type", "aggregate_handling", "from_table", "select_list"}, key) || slices.Contains(parts, key) {
			continue
		}
		if word := words[key]; word != "" {
			return word
		}
		return "has a clause that cannot be merged: " + key
	}
	if f.has(node, "SUBQUERY") {
		return "has a subquery"
	}
	return ""
}

// has says whether a class of expression is somewhere in the tree; AGGREGATE is any call of an aggregate.
func (f *form) has(v any, class string) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return f.has(item, class) })
	case map[string]any:
		if text(v, "class") == class || class == "AGGREGATE" && text(v, "class") == "FUNCTION" && slices.Contains(f.aggregates, lower(text(v, "function_name"))) {
			return true
		}
		for _, item := range v {
			if f.has(item, class) {
				return true
			}
		}
	}
	return false
}

func (f *form) seed(node map[string]any) string {
	if why := f.plainSelect(node, "where_clause"); why != "" {
		return why
	}
	if text(node, "aggregate_handling") == "FORCE_AGGREGATES" || f.has(node, "AGGREGATE") || f.has(node, "WINDOW") {
		return "looks at more than one event at a time"
	}
	return ""
}

func (f *form) merge(node map[string]any) string {
	list, _ := node["select_list"].([]any)
	for _, item := range list {
		m, _ := item.(map[string]any)
		f.items = append(f.items, m)
	}
	if text(node, "aggregate_handling") == "FORCE_AGGREGATES" || node["group_expressions"] != nil || f.has(node["select_list"], "AGGREGATE") {
		return f.groups(node)
	}
	return f.rows(node)
}

// column is the name of a column that an expression is, "" for another expression.
func column(v any) string {
	m, _ := v.(map[string]any)
	names, _ := m["column_names"].([]any)
	if text(m, "class") != "COLUMN_REF" || len(names) == 0 {
		return ""
	}
	name, _ := names[len(names)-1].(string)
	return lower(name)
}

// selfNamed is the name of a column that is selected under its own name.
func selfNamed(m map[string]any) string {
	name := column(m)
	if alias := lower(text(m, "alias")); alias != "" && alias != name {
		return ""
	}
	return name
}

func (f *form) groups(node map[string]any) string {
	if why := f.plainSelect(node, "group_expressions", "group_sets"); why != "" {
		return why
	}
	groups, _ := node["group_expressions"].([]any)
	if sets, _ := node["group_sets"].([]any); len(sets) > 1 {
		return "has several sets of groups"
	}
	var plain []string
	for _, m := range f.items {
		if name := selfNamed(m); name != "" {
			plain = append(plain, name)
			continue
		}
		if why := f.aggregate(m); why != "" {
			return why
		}
	}
	for _, g := range groups {
		if name := column(f.position(g)); name == "" || !slices.Contains(plain, name) {
			return "groups by what is no column of the result under its own name: compute it in seed_sql"
		}
	}
	return ""
}

// position is what a group stands for: GROUP BY 1 is the first of the list.
func (f *form) position(g any) any {
	m, _ := g.(map[string]any)
	value, _ := m["value"].(map[string]any)
	if n, ok := value["value"].(float64); ok && text(m, "class") == "CONSTANT" && n >= 1 && int(n) <= len(f.items) {
		return f.items[int(n)-1]
	}
	return g
}

// aggregate says why a column of the result cannot be aggregated again.
func (f *form) aggregate(m map[string]any) string {
	name, alias := lower(text(m, "function_name")), text(m, "alias")
	children, _ := m["children"].([]any)
	orders, _ := m["order_bys"].(map[string]any)
	if text(m, "class") != "FUNCTION" || !slices.Contains(f.aggregates, name) {
		return "computes from aggregates or columns: do it in seed_sql, or in the query that reads the table"
	}
	if m["distinct"] != nil || m["filter"] != nil || orders["orders"] != nil {
		return "has " + name + " with DISTINCT, FILTER or ORDER BY"
	}
	switch name {
	case "sum", "min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor":
		if len(children) != 1 || column(children[0]) == "" || column(children[0]) != lower(alias) {
			return "has " + name + " of what is not called as the column that it makes: write " + name + "(x) AS x, and compute x in seed_sql"
		}
		return ""
	case "arg_max_null", "arg_min_null":
		if len(children) != 2 || column(children[0]) == "" || column(children[0]) != lower(alias) {
			return "has " + name + " of what is not called as the column that it makes: write " + name + "(x, key) AS x"
		}
		return f.keys(name, children[1])
	case "arg_max", "max_by", "argmax", "arg_min", "min_by", "argmin":
		return "has " + name + ", which passes over rows where the value is NULL: write arg_max_null or arg_min_null"
	}
	return "has " + name + ", of which the parts do not give the whole"
}

// keys says why what arg_max_null compares cannot be compared again: it must be in the result, as it was of the row that won.
func (f *form) keys(name string, key any) string {
	parts, row := []any{key}, false
	if m, _ := key.(map[string]any); lower(text(m, "function_name")) == "row" {
		row = true
		parts, _ = m["children"].([]any)
	}
	for i, p := range parts {
		c := column(p)
		ok := slices.ContainsFunc(f.items, func(m map[string]any) bool {
			children, _ := m["children"].([]any)
			if lower(text(m, "alias")) != c || len(children) == 0 || column(children[0]) != c {
				return false
			}
			switch by := lower(text(m, "function_name")); {
			case by == strings.TrimSuffix(strings.TrimPrefix(name, "arg_"), "_null"):
				return i == 0
			case row && by == name && len(children) == 2:
				return reflect.DeepEqual(canonical(children[1], nil, nil), canonical(key, nil, nil))
			}
			return false
		})
		if c == "" || !ok {
			return "has " + name + " by what is not in the result as it was of the row that won: add " + name + "(c, key) AS c for every column c of its key"
		}
	}
	return ""
}

func (f *form) rows(node map[string]any) string {
	if why := f.plainSelect(node, "where_clause", "qualify", "modifiers"); why != "" {
		return why
	}
	for _, m := range f.items {
		switch name := selfNamed(m); {
		case text(m, "class") == "STAR" && m["replace_list"] == nil && m["rename_list"] == nil && m["expr"] == nil:
			f.star = true
			list, _ := m["exclude_list"].([]any)
			for _, e := range list {
				s, _ := e.(string)
				f.left = append(f.left, lower(s))
			}
			if m["qualified_exclude_list"] != nil {
				return "leaves out columns by their table's name"
			}
		case name != "":
			f.names = append(f.names, name)
		default:
			return "computes columns: do it in seed_sql"
		}
	}
	if where := node["where_clause"]; where != nil && (f.has(where, "WINDOW") || !f.own(where)) {
		return "filters by columns that are not in the result"
	}
	firsts := node["qualify"] != nil
	if firsts && !f.firsts(node["qualify"]) {
		return "has a QUALIFY other than row_number() OVER (PARTITION BY ... ORDER BY ...) = 1 by columns of the result"
	}
	modifiers, _ := node["modifiers"].([]any)
	for _, item := range modifiers {
		m, _ := item.(map[string]any)
		switch kind := text(m, "type"); {
		case kind == "DISTINCT_MODIFIER" && firsts:
			return "has DISTINCT beside QUALIFY"
		case kind != "DISTINCT_MODIFIER" && kind != "ORDER_MODIFIER":
			return "has a LIMIT"
		case !f.columns(m["distinct_on_targets"]) || !f.ordered(m["orders"]):
			return "has DISTINCT or ORDER BY by what is no column of the result"
		}
	}
	return ""
}

// in says whether a column is in the result.
func (f *form) in(name string) bool {
	return name != "" && (slices.Contains(f.names, name) || f.star && !slices.Contains(f.left, name))
}

// own says whether all columns of an expression are in the result.
func (f *form) own(v any) bool {
	switch v := v.(type) {
	case []any:
		return !slices.ContainsFunc(v, func(item any) bool { return !f.own(item) })
	case map[string]any:
		if name := column(v); name != "" {
			return f.in(name)
		}
		for _, item := range v {
			if !f.own(item) {
				return false
			}
		}
	}
	return true
}

// columns says whether a list is of columns of the result alone.
func (f *form) columns(v any) bool {
	list, _ := v.([]any)
	return !slices.ContainsFunc(list, func(item any) bool { return !f.in(column(item)) })
}

func (f *form) ordered(v any) bool {
	list, _ := v.([]any)
	return !slices.ContainsFunc(list, func(item any) bool {
		m, _ := item.(map[string]any)
		return !f.in(column(m["expression"]))
	})
}

// firsts says whether a condition takes the first rows of each part by columns of the result.
func (f *form) firsts(v any) bool {
	m, _ := v.(map[string]any)
	w, _ := m["left"].(map[string]any)
	right, _ := m["right"].(map[string]any)
	value, _ := right["value"].(map[string]any)
	n, ok := value["value"].(float64)
	kind := text(m, "type")
	if !ok || text(right, "class") != "CONSTANT" || kind != "COMPARE_LESSTHAN" && kind != "COMPARE_LESSTHANOREQUALTO" && (kind != "COMPARE_EQUAL" || n != 1) {
		return false
	}
	if text(w, "class") != "WINDOW" || !slices.Contains([]string{"row_number", "rank", "dense_rank"}, lower(text(w, "function_name"))) {
		return false
	}
	for key := range w {
		if !slices.Contains([]string{"alias", "class", "type", "function_name", "schema", "catalog", "start", "end", "orders", "partitions", "query_location"}, key) {
			return false
		}
	}
	return f.columns(w["partitions"]) && f.ordered(w["orders"])
}
