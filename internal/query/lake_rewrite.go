package query

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// place is where a statement's text names the lake.
type place struct {
	start, end int // of the name, or of the whole call
	clause     edit
	value      span // of the AT clause
	arguments  []argument
	bare       bool // no alias may follow: DESCRIBE t, TABLE t
}

// argument is one of a call; name is "" where it is given by position.
type argument struct {
	name  string
	value span
}

// span is a part of a statement's text.
type span struct{ start, end int }

func (s span) has(t token) bool { return s.start <= t.start && t.end <= s.end }

// astray is for a tree that does not match its text, which no statement is known to bring about.
func astray(name string) error {
	return fail(CodeFailed, "write it as SELECT ... FROM "+name+" alias", "the place of %s in the statement was not found", name)
}

// place finds the tokens of a reference by its position in the tree.
func (r *lakeRun) place(ref *lakeRef) (*place, error) {
	name := ref.call
	parts := []string{ref.call}
	if ref.call == "" {
		parts = nil
		for _, key := range []string{"catalog_name", "schema_name", "table_name"} {
			if part := text(ref.node, key); part != "" {
				parts = append(parts, part)
			}
		}
		name = strings.Join(parts, ".")
	}
	location, ok := ref.node["query_location"].(float64)
	if !ok {
		location = 0 // left out by the engine as the default
	}
	i := slices.IndexFunc(r.tokens, func(t token) bool { return t.start == int(location) })
	if i < 0 {
		return nil, astray(name)
	}
	out := &place{start: r.tokens[i].start, bare: i > 0 && r.tokens[i-1].is("describe", "desc", "show", "summarize", "table")}
	s := speller{text: r.text, tokens: r.tokens}
	for n, part := range parts {
		if n > 0 {
			if !s.sign(i, ".") {
				return nil, astray(name)
			}
			i++
		}
		if i >= len(r.tokens) {
			return nil, astray(name)
		}
		if spelled, ok := r.tokens[i].name(); !ok || lower(spelled) != lower(part) {
			return nil, astray(name)
		}
		i++
	}
	out.end = r.tokens[i-1].end
	switch {
	case ref.call != "":
		return out, r.call(&s, i, ref, out)
	case ref.node["at_clause"] != nil:
		return out, r.clause(&s, i, name, out)
	}
	return out, nil
}

// clause finds the AT clause of a table, behind its alias.
func (r *lakeRun) clause(s *speller, i int, name string, out *place) error {
	i = s.alias(i)
	end := s.balanced(i + 1)
	if !s.word(i, "at") || end < i+6 || !s.sign(i+3, "=") || !s.sign(i+4, ">") {
		return astray(name)
	}
	out.clause = edit{start: r.tokens[i].start, end: r.tokens[end-1].end}
	out.value = span{r.tokens[i+5].start, r.tokens[end-2].end}
	return nil
}

// call finds the arguments of a call.
func (r *lakeRun) call(s *speller, i int, ref *lakeRef, out *place) error {
	end := s.balanced(i)
	if !s.sign(i, "(") || end == i {
		return astray(ref.call)
	}
	out.end = r.tokens[end-1].end
	for i++; i < end-1; i++ {
		var a argument
		if name, ok := r.tokens[i].name(); ok && (s.sign(i+1, ":") && s.sign(i+2, "=") || s.sign(i+1, "=") && s.sign(i+2, ">")) {
			a.name = lower(name)
			i += 3
		}
		first := i
		for i < end-1 && !s.sign(i, ",") {
			i = max(i+1, s.balanced(i))
		}
		if first == i {
			return astray(ref.call)
		}
		a.value = span{r.tokens[first].start, r.tokens[i-1].end}
		out.arguments = append(out.arguments, a)
	}
	return nil
}

// moved are members that a rewritten tree has where the original has others.
const moved = "_firth_moved"

// rewrite makes the statement name relations of its own in the place of the lake's. The engine parses the result, and it must be the
// tree of the original but for these names: what was judged is what runs.
func (r *lakeRun) rewrite(ctx context.Context, tree any) (string, error) {
	var edits []edit
	used := map[string]bool{}
	tables := map[string]bool{} // that columns may be qualified by
	for _, ref := range r.refs {
		p, err := r.place(ref)
		if err != nil {
			return "", err
		}
		ref.relate = relationName(ref, used)
		alias := text(ref.node, "alias")
		name := quoted(ref.relate)
		if alias == "" && !p.bare {
			if alias = ref.call; alias == "" {
				alias = text(ref.node, "table_name")
				tables[lower(alias)] = true
			}
			name += " AS " + quoted(alias)
		}
		edits = append(edits, edit{p.start, p.end, name})
		if p.clause.end > 0 {
			edits = append(edits, p.clause)
		}
		ref.node[moved] = map[string]any{"table_name": ref.relate, "alias": alias}
	}
	edits = append(edits, r.columns(tree, tables)...)
	left, params, numbers := r.parameters(func(t token) bool {
		return !slices.ContainsFunc(edits, func(e edit) bool { return span{e.start, e.end}.has(t) })
	})
	out := apply(r.text, append(edits, left...))
	again, err := parse(ctx, r.conn, out)
	if err != nil {
		return "", fmt.Errorf("read a statement of the lake: %w", err)
	}
	if !reflect.DeepEqual(canonical(tree, tables, numbers), canonical(again, tables, nil)) {
		return "", astray(r.refs[0].relate)
	}
	r.params = params
	return out, nil
}

// relationName is unlike any table's: it has a point.
func relationName(ref *lakeRef, used map[string]bool) string {
	base := "lake." + ref.table
	switch {
	case ref.call != "":
		base = ref.call + "." + ref.table
	case ref.at != nil && ref.at.Snapshot != 0:
		base += "@" + strconv.FormatInt(ref.at.Snapshot, 10)
	case ref.at != nil:
		base += "@" + ref.at.Time.Format("2006-01-02 15:04:05.999999")
	}
	name := base
	for n := 2; used[name]; n++ {
		name = base + " " + strconv.Itoa(n)
	}
	used[name] = true
	return name
}

// qualified is how many names stand before the table in a column's name such as lake.production.event; 0 where it is none of the tables'.
func qualified(names []any, tables map[string]bool) int {
	at := func(i int) string {
		if i >= len(names)-1 {
			return ""
		}
		s, _ := names[i].(string)
		return lower(s)
	}
	switch {
	case at(0) != lakeCatalog && at(0) != firthCatalog:
		return 0
	case tables[at(1)]:
		return 1
	case at(1) == "main" && tables[at(2)]:
		return 2
	}
	return 0
}

// columns are the edits that take catalog and schema from the front of columns' names, since the relations are elsewhere.
func (r *lakeRun) columns(v any, tables map[string]bool) []edit {
	var out []edit
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			out = append(out, r.columns(item, tables)...)
		}
	case map[string]any:
		if names, _ := v["column_names"].([]any); text(v, "class") == "COLUMN_REF" {
			location, _ := v["query_location"].(float64)
			i := slices.IndexFunc(r.tokens, func(t token) bool { return t.start == int(location) })
			if n := qualified(names, tables); n > 0 && i >= 0 && i+2*n < len(r.tokens) {
				out = append(out, edit{start: r.tokens[i].start, end: r.tokens[i+2*n].start})
			}
			return out
		}
		for _, item := range v {
			out = append(out, r.columns(item, tables)...)
		}
	}
	return out
}

// parameters numbers those of a part of the statement anew, since the engine knows none with gaps between: it returns edits that do
// so, the values, and the new numbers by the old.
func (r *lakeRun) parameters(in func(token) bool) (edits []edit, values []any, numbers map[string]string) {
	numbers = map[string]string{}
	marks := 0
	for _, t := range r.tokens {
		if t.kind != kindParam {
			continue
		}
		id := t.text[1:]
		if id == "" {
			marks++
			id = strconv.Itoa(marks)
		}
		n, err := strconv.Atoi(id)
		if !in(t) || err != nil || n < 1 || n > len(r.params) {
			continue // one without a value: the engine says so
		}
		if numbers[id] == "" {
			values = append(values, r.params[n-1])
			numbers[id] = strconv.Itoa(len(values))
		}
		edits = append(edits, edit{t.start, t.end, "$" + numbers[id]})
	}
	return edits, values, numbers
}

// canonical is a tree without places in the text and the list of parameters, some of which AS OF has taken, and with the names that a rewritten one has.
func canonical(v any, tables map[string]bool, numbers map[string]string) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = canonical(item, tables, numbers)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for key, item := range v {
			if key != "query_location" && key != "named_param_map" && key != moved {
				out[key] = canonical(item, tables, numbers)
			}
		}
		if names, ok := v["column_names"].([]any); ok && text(v, "class") == "COLUMN_REF" {
			out["column_names"] = names[qualified(names, tables):]
		}
		if number := numbers[text(v, "identifier")]; number != "" && text(v, "class") == "PARAMETER" {
			out["identifier"] = number
		}
		if to, ok := v[moved].(map[string]any); ok {
			for _, key := range []string{"catalog_name", "schema_name", "at_clause", "function", "with_ordinality"} {
				delete(out, key)
			}
			out["type"] = "BASE_TABLE"
			maps.Copy(out, to)
			if to["alias"] == "" {
				delete(out, "alias")
			}
		}
		return out
	default:
		return v
	}
}

// plan is a node of what EXPLAIN (FORMAT json) prints.
type plan struct {
	Name     string                     `json:"name"`
	Extra    map[string]json.RawMessage `json:"extra_info"`
	Children []*plan                    `json:"children"`
}

// texts is a member of the node's details, a text or a list of its lines, as one text.
func (p *plan) texts(key string) string {
	var one string
	if json.Unmarshal(p.Extra[key], &one) == nil {
		return one
	}
	var lines []string
	_ = json.Unmarshal(p.Extra[key], &lines) // neither: nothing is known of it
	return strings.Join(lines, "\n")
}
