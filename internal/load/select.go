package load

import (
	"encoding/json"
	"slices"
	"strings"

	"firth/internal/event"
	"firth/internal/name"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// Selection says what of the lake a warehouse gets. What is not chosen is not loaded; what is there already stays as it is.
//
// In patterns * is any run of characters; upper and lower case are the same. Rows and columns that were passed by are not
// caught up when a choice changes: a replay or a rebuild brings them. A source that is chosen again goes on from its stored position.
type Selection struct {
	Sources []string // names or patterns; nil: all
	// Tables are patterns such as "tracks" or "production.tracks", with the schema in front.
	Tables Choice
	// Columns are patterns such as "users.email", "*.email", "production.users.email"; "email" alone is "*.email". Include narrows down
	// those tables that one of its patterns is about. The columns id and received_at and the first of users and accounts always stay;
	// uuid_ts and loaded_at stay unless they are excluded.
	Columns Choice
}

// Choice chooses by patterns: what Include names (everything where it is empty) but for what Exclude names.
type Choice struct{ Include, Exclude []string }

// match reports whether a text is as a pattern says; both are in lower case.
func match(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for _, p := range parts[1 : len(parts)-1] {
		at := strings.Index(text, p)
		if at < 0 {
			return false
		}
		text = text[at+len(p):]
	}
	return strings.HasSuffix(text, last)
}

// source reports whether a source is chosen.
func (s *Selection) source(source string) bool {
	return len(s.Sources) == 0 || slices.ContainsFunc(s.Sources, func(p string) bool {
		return match(strings.ToLower(p), strings.ToLower(source))
	})
}

// named reports whether a pattern of [schema.]table names the table.
func named(pattern, source, schema, tableName string) bool {
	pattern, tableName = strings.ToLower(pattern), strings.ToLower(tableName)
	if !strings.Contains(pattern, ".") {
		return match(pattern, tableName)
	}
	return match(pattern, strings.ToLower(schema)+"."+tableName) || match(pattern, strings.ToLower(source)+"."+tableName)
}

// table reports whether a table is chosen. The table of discards is, unless it is excluded by name.
func (s *Selection) table(source, schema, tableName string) bool {
	of := func(p string) bool { return named(p, source, schema, tableName) }
	if slices.ContainsFunc(s.Tables.Exclude, of) {
		return false
	}
	return len(s.Tables.Include) == 0 || tableName == warehouse.Discards || slices.ContainsFunc(s.Tables.Include, of)
}

// columnChoice is what the patterns say about one table.
type columnChoice struct {
	narrowed         bool // an Include is about the table
	include, exclude []string
}

// columns finds what the patterns say about a table; nil: nothing.
func (s *Selection) columns(source, schema, tableName string) *columnChoice {
	about := func(patterns []string) (out []string) {
		for _, p := range patterns {
			where, column := "*", p
			if at := strings.LastIndexByte(p, '.'); at >= 0 {
				where, column = p[:at], p[at+1:]
			}
			if named(where, source, schema, tableName) {
				out = append(out, strings.ToLower(column))
			}
		}
		return out
	}
	c := &columnChoice{include: about(s.Columns.Include), exclude: about(s.Columns.Exclude)}
	if len(c.include)+len(c.exclude) == 0 {
		return nil
	}
	c.narrowed = len(c.include) > 0
	return c
}

// keeps reports whether a column stays; one that is fixed does, whatever the patterns.
func (c *columnChoice) keeps(column string) bool {
	column = strings.ToLower(column)
	of := func(p string) bool { return match(p, column) }
	switch column {
	case "id", "received_at":
		return true
	case warehouse.UUIDTS, warehouse.LoadedAt, overflowName:
		return !slices.ContainsFunc(c.exclude, of)
	}
	return !slices.ContainsFunc(c.exclude, of) && (!c.narrowed || slices.ContainsFunc(c.include, of))
}

// overflowName is the column of values that have none of their own, a JSON object by path.
const overflowName = "_overflow"

// standard are the tables to be made ahead of rows.
func (s *Selection) standard(source, schema string, tables []*table.Batch) []*table.Batch {
	var out []*table.Batch
	for _, t := range tables {
		if !s.table(source, schema, t.Name) {
			continue
		}
		if c := s.columns(source, schema, t.Name); c != nil {
			kept := *t
			kept.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(col table.Column) bool { return !c.keeps(col.Name) })
			t = &kept
		}
		out = append(out, t)
	}
	return out
}

// apply takes out of the batch what is not chosen, whatever table it is in.
func (s *Selection) apply(rules name.Rules, source, schema string, b *warehouse.Batch) {
	if len(s.Tables.Include)+len(s.Tables.Exclude)+len(s.Columns.Include)+len(s.Columns.Exclude) == 0 {
		return
	}
	tables := func(list []*table.Batch) (out []*table.Batch) {
		for _, t := range list {
			if !s.table(source, schema, t.Name) {
				continue
			}
			if c := s.columns(source, schema, t.Name); c != nil {
				c.apply(rules, t)
			}
			out = append(out, t)
		}
		return out
	}
	b.Tables, b.Upserts = tables(b.Tables), tables(b.Upserts)
	var kept []event.Discard
	for _, d := range b.Discards {
		if !s.table(source, schema, warehouse.Discards) || !s.table(source, schema, d.TableName) {
			continue
		}
		if c := s.columns(source, schema, d.TableName); c != nil {
			if !c.keeps(d.ColumnName) {
				continue
			}
			if d.Reason == event.DiscardMalformed {
				d.Value = "" // a whole document, which may hold what was not chosen
			}
		}
		kept = append(kept, d)
	}
	b.Discards = kept
}

// apply takes the columns that are not chosen out of a table, with their cells.
func (c *columnChoice) apply(rules name.Rules, t *table.Batch) {
	to := make([]int32, len(t.Columns))
	columns := make([]table.Column, 0, len(t.Columns))
	overflow := int32(-1)
	for i, col := range t.Columns {
		if !c.keeps(col.Name) {
			to[i] = -1
			continue
		}
		if strings.EqualFold(col.Name, overflowName) {
			overflow = int32(i)
		}
		to[i] = int32(len(columns))
		columns = append(columns, col)
	}
	for r := range t.Rows {
		cells := t.Rows[r].Cells
		kept := cells[:0]
		for _, cell := range cells {
			if to[cell.Col] < 0 {
				continue
			}
			if cell.Col == overflow {
				if cell.Value = c.overflow(rules, cell.Value); cell.Value.Type == table.Null {
					continue
				}
			}
			cell.Col = to[cell.Col]
			kept = append(kept, cell)
		}
		t.Rows[r].Cells = kept
	}
	t.Columns = columns
}

// overflow takes out of an overflow object the members whose column is not chosen; Null where nothing is left.
func (c *columnChoice) overflow(rules name.Rules, v table.Value) table.Value {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(v.Text), &members) != nil {
		return table.Value{}
	}
	before := len(members)
	for path := range members {
		if !c.keeps(path) || !c.keeps(rules.ColumnSlug(path)) {
			delete(members, path)
		}
	}
	if len(members) == before {
		return v
	}
	text, err := json.Marshal(members)
	if err != nil || len(members) == 0 {
		return table.Value{}
	}
	return table.Text(string(text))
}
