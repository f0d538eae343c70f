package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"firth/internal/source"
	"firth/internal/vector"
)

var (
	//go:embed sql/find.sql
	findSQL string
	//go:embed sql/names.sql
	namesSQL string
)

// field is one column that is read.
type field struct {
	vector.Column
	ref  string // how SQL names it
	expr string // what is selected
}

// plan is what is read, as it was at one moment.
type plan struct {
	from   string
	where  string // in parentheses; empty: none
	fields []field
	all    map[string]string // every column, read or not, and how SQL names it
	key    []string
	rowid  string // what the rows can be cut by: the row's id, or an integer key; empty: nothing
	query  string
	ids    []mark
}

// declared is a column as the schema has it.
type declared struct{ name, typ string }

func (t *Table) describe(ctx context.Context, q querier) (*plan, error) {
	p := &plan{all: map[string]string{}}
	var columns []declared
	var err error
	switch {
	case t.spec.Query != "":
		columns, err = t.describeQuery(ctx, q, p)
	case t.spec.Table != "":
		columns, err = t.describeTable(ctx, q, p)
	default:
		err = errors.New("neither a table nor a query is named")
	}
	if err != nil {
		return nil, err
	}
	for _, c := range columns {
		p.all[c.name] = quote(c.name)
	}
	if err := t.choose(p, columns); err != nil {
		return nil, err
	}
	return p, p.decide(ctx, q)
}

// describeTable finds the table and reads what it is made of.
func (t *Table) describeTable(ctx context.Context, q querier, p *plan) ([]declared, error) {
	name := bare(t.spec.Table)
	var kind string
	err := q.QueryRowContext(ctx, findSQL, name).Scan(&name, &kind)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, t.missing(ctx, q, name)
	}
	if err != nil {
		return nil, err
	}
	p.from = quote(name)
	if strings.TrimSpace(t.spec.Where) != "" {
		p.where = "(\n" + t.spec.Where + "\n)"
	}
	if kind == "view" {
		return resultColumns(ctx, q, p.from) // the schema gives what is computed in a view a type by which nothing was stored
	}
	rows, err := q.QueryContext(ctx, "SELECT name, upper(type), pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid", name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []declared
	keys := map[int]declared{}
	for rows.Next() {
		var c declared
		var pk, hidden int
		if err := rows.Scan(&c.name, &c.typ, &pk, &hidden); err != nil {
			return nil, err
		}
		if hidden == 1 {
			continue // of a virtual table, no column of its rows
		}
		out = append(out, c)
		if pk > 0 {
			keys[pk] = c
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := 1; i <= len(keys); i++ {
		p.key = append(p.key, keys[i].name)
	}
	return out, p.chooseRowid(ctx, q, name, out, keys)
}

// chooseRowid finds what the rows of a table can be cut by.
func (p *plan) chooseRowid(ctx context.Context, q querier, name string, columns []declared, keys map[int]declared) error {
	var withoutRowid bool
	var tableType string
	if err := q.QueryRowContext(ctx, "SELECT wr, type FROM pragma_table_list WHERE schema = 'main' AND name = ?1", name).Scan(&withoutRowid, &tableType); err != nil {
		return err
	}
	switch {
	case tableType == "virtual":
	case !withoutRowid:
		for _, alias := range []string{"rowid", "_rowid_", "oid"} {
			if !slices.ContainsFunc(columns, func(c declared) bool { return strings.EqualFold(c.name, alias) }) {
				p.rowid = alias
				break
			}
		}
	case len(keys) == 1 && affinity(keys[1].typ) == "INTEGER":
		p.rowid = quote(keys[1].name)
	}
	return nil
}

// bare takes the schema and quotes off a table's name.
func bare(name string) string {
	name = strings.TrimSpace(name)
	if rest, ok := strings.CutPrefix(name, "main."); ok {
		name = rest
	}
	if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return name
}

// describeQuery lets SQLite say what the columns of a query are.
func (t *Table) describeQuery(ctx context.Context, q querier, p *plan) ([]declared, error) {
	p.query = strings.TrimRight(strings.TrimSpace(t.spec.Query), "; \t\r\n")
	p.ids = findIDs(p.query)
	p.from = "(\n" + p.bind(0) + "\n)"
	return resultColumns(ctx, q, p.from)
}

// resultColumns are the columns of what stands behind FROM; what is computed has no type.
func resultColumns(ctx context.Context, q querier, from string) ([]declared, error) {
	rows, err := q.QueryContext(ctx, "SELECT * FROM "+from+" LIMIT 0")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	var out []declared
	for _, c := range types {
		if slices.ContainsFunc(out, func(o declared) bool { return strings.EqualFold(o.name, c.Name()) }) {
			return nil, &advised{fmt.Errorf("the query returns two columns called %s", c.Name()), "give one of them another name: AS " + quote(c.Name()+"_2")}
		}
		out = append(out, declared{c.Name(), strings.ToUpper(c.DatabaseTypeName())})
	}
	return out, rows.Err()
}

// choose keeps the columns that are wanted.
func (t *Table) choose(p *plan, columns []declared) error {
	wanted := t.spec.Columns
	if t.spec.ID != "" && len(wanted) == 0 {
		wanted = []string{t.spec.ID}
	}
	if len(wanted) > 0 && t.spec.Key != "" && !slices.Contains(wanted, t.spec.Key) {
		wanted = append(slices.Clip(wanted), t.spec.Key)
	}
	for _, must := range []string{t.spec.ID, t.spec.Cursor, t.spec.Key} {
		if must != "" && p.all[must] == "" {
			return p.noColumn(must)
		}
	}
	for _, c := range columns {
		// The sign keeps the driver from making times of texts by the declared type.
		f := field{Column: vector.Column{Name: c.name, Path: c.name, Source: strings.ToLower(c.typ)}, ref: quote(c.name), expr: "+" + quote(c.name)}
		if slices.Contains(t.spec.Exclude, c.name) || len(wanted) > 0 && !slices.Contains(wanted, c.name) {
			if !slices.Contains(t.spec.Exclude, c.name) {
				p.chooseParts(f, wanted)
			}
			continue
		}
		p.fields = append(p.fields, f.without(t.spec.Exclude))
	}
	if len(p.fields) == 0 {
		if len(wanted) > 0 {
			return p.noColumn(wanted[0])
		}
		return &advised{errors.New("no column is left to be read"), "name fewer of them under exclude"}
	}
	return nil
}

// chooseParts keeps the parts of a column's JSON that are named.
func (p *plan) chooseParts(f field, wanted []string) {
	for _, w := range wanted {
		if path, ok := strings.CutPrefix(w, f.Name+"."); ok {
			part := f
			part.Name, part.Path, part.Source = w, w, "json"
			part.expr = "CASE WHEN json_valid(" + f.ref + ") THEN " + f.ref + " -> " + literal(jsonPath(strings.Split(path, "."))) + " END"
			p.fields = append(p.fields, part)
		}
	}
}

// without takes the excluded paths out of a column's JSON. Where a path leads into a list the list goes as a whole, and where it is no JSON the
// value: what is excluded must not get out.
func (f field) without(exclude []string) field {
	for _, e := range exclude {
		rest, ok := strings.CutPrefix(e, f.Name+".")
		if !ok {
			continue
		}
		path := strings.Split(rest, ".")
		x := "(" + f.expr + ")"
		var b strings.Builder
		b.WriteString("CASE WHEN NOT json_valid(" + x + ") OR json_type(" + x + ") = 'array' THEN NULL")
		for i := 1; i < len(path); i++ {
			at := literal(jsonPath(path[:i]))
			b.WriteString(" WHEN json_type(" + x + ", " + at + ") = 'array' THEN json_remove(" + x + ", " + at + ")")
		}
		b.WriteString(" ELSE json_remove(" + x + ", " + literal(jsonPath(path)) + ") END")
		f.expr, f.Source = b.String(), "json"
	}
	return f
}

// jsonPath is a path as SQLite's JSON functions take it.
func jsonPath(path []string) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, p := range path {
		b.WriteString(`."` + strings.ReplaceAll(p, `"`, `\"`) + `"`)
	}
	return b.String()
}

func (p *plan) differs(now *plan) string {
	for _, f := range now.fields {
		i := slices.IndexFunc(p.fields, func(g field) bool { return g.Name == f.Name })
		switch {
		case i < 0:
			return "the column " + f.Name + " is new"
		case p.fields[i].Source != f.Source:
			return fmt.Sprintf("the column %s was %s and is %s", f.Name, p.fields[i].Source, f.Source)
		}
	}
	for _, g := range p.fields {
		if !slices.ContainsFunc(now.fields, func(f field) bool { return f.Name == g.Name }) {
			return "the column " + g.Name + " is gone"
		}
	}
	return ""
}

// selection is the SELECT of some fields, where all conditions hold; an empty one is none.
func (p *plan) selection(fields []field, conditions ...string) string {
	expressions := make([]string, len(fields))
	for i, f := range fields {
		expressions[i] = f.expr
	}
	var holds []string
	for _, c := range conditions {
		if c != "" {
			holds = append(holds, c)
		}
	}
	out := "SELECT " + strings.Join(expressions, ", ") + " FROM " + p.from
	if len(holds) > 0 {
		out += " WHERE " + strings.Join(holds, " AND ")
	}
	return out
}

// bounds are the least and the greatest number that the rows are cut by; nil: there is no row.
func (p *plan) bounds(ctx context.Context, q querier) (lo, hi *int64, err error) {
	// Two queries: SQLite goes to the ends of the tree for each alone.
	if err = q.QueryRowContext(ctx, "SELECT min("+p.rowid+") FROM "+p.from).Scan(&lo); err == nil {
		err = q.QueryRowContext(ctx, "SELECT max("+p.rowid+") FROM "+p.from).Scan(&hi)
	}
	return lo, hi, err
}

// Ranges cuts a table by its row ids, or by an integer key where it has none. The first and the last piece are open.
func (t *Table) Ranges(ctx context.Context, pieces int) ([]source.Range, error) {
	p, err := t.planned(ctx)
	if err != nil {
		return nil, t.fail("read", err)
	}
	if pieces < 2 || p.rowid == "" {
		return []source.Range{{}}, nil
	}
	lo, hi, err := p.bounds(ctx, t.querier())
	if err != nil {
		return nil, t.fail("read", err)
	}
	if lo == nil || hi == nil || *lo == *hi {
		return []source.Range{{}}, nil
	}
	return cut(strings.Trim(p.rowid, `"`), *lo, *hi, pieces), nil
}

// cut makes pieces of equal width.
func cut(name string, lo, hi int64, pieces int) []source.Range {
	width := uint64(hi) - uint64(lo) // right also where the difference is beyond an int64
	if uint64(pieces) > width {
		pieces = int(width)
	}
	out := make([]source.Range, max(1, pieces))
	step := width/uint64(len(out)) + 1
	at := func(i int) vector.Value {
		return vector.Value{Kind: vector.Int, Bits: 64, Num: int64(uint64(lo) + uint64(i)*step)}
	}
	last := 0
	for i := range out {
		out[i].Text = "rows"
		if i > 0 {
			out[i].Lo = at(i)
		}
		if i+1 < len(out) && uint64(i+1)*step <= width {
			out[i].Hi = at(i + 1)
		}
		out[i].Label = fmt.Sprintf("%s from %d", name, at(i).Num)
		last = i
		if out[i].Hi.Kind == vector.Null {
			break
		}
	}
	return out[:last+1]
}
