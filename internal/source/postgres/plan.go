package postgres

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"firth/internal/source"
	"firth/internal/vector"
)

var (
	//go:embed sql/relation.sql
	relationSQL string
	//go:embed sql/columns.sql
	columnsSQL string
	//go:embed sql/key.sql
	keySQL string
)

// plan is what is read, as the catalogue had it at one moment.
type plan struct {
	from   string // what stands behind FROM
	where  string // of the configuration, in parentheses; empty: none
	locks  bool   // from can be locked by LOCK TABLE
	oid    int64  // of the table; 0: a query
	schema string
	table  string
	kind   string            // of pg_class.relkind
	all    map[string]string // every column, read or not, and how SQL names it
	fields []field
	key    []string
	ids    []mark // where a query has :ids
	query  string
}

// describe asks the catalogue.
func (t *Table) describe(ctx context.Context, l *link) (*plan, error) {
	if t.spec.Query != "" {
		return t.describeQuery(ctx, l)
	}
	if t.spec.Table == "" {
		return nil, errors.New("neither a table nor a query is named")
	}
	p, err := t.findTable(ctx, l)
	if err != nil {
		return nil, err
	}
	columns, err := l.columns(ctx, p.oid)
	if err != nil {
		return nil, err
	}
	known, err := l.loadTypes(ctx, columns)
	if err != nil {
		return nil, err
	}
	all := make([]field, len(columns))
	for i, c := range columns {
		all[i] = known.field(c, quote(c.name))
	}
	if strings.TrimSpace(t.spec.Where) != "" {
		p.where = "(\n" + t.spec.Where + "\n)"
	}
	if p.key, err = l.key(ctx, p.oid); err != nil {
		return nil, err
	}
	return p, t.choose(p, all)
}

// findTable finds the table that the spec names: as it is written, or in lower case as SQL reads it.
func (t *Table) findTable(ctx context.Context, l *link) (*plan, error) {
	schema, name, err := splitName(t.spec.Table, t.config.Database)
	if err != nil {
		return nil, err
	}
	p := &plan{}
	var schemas []string
	if schema.text != "" {
		schemas = schema.forms()
	}
	err = l.conn.QueryRow(ctx, relationSQL, name.forms(), schemas, name.text, schema.text).Scan(&p.oid, &p.schema, &p.table, &p.kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, t.missing(ctx, l, name.text)
	}
	if err != nil {
		return nil, fmt.Errorf("find the table %s: %w", t.spec.Table, err)
	}
	p.from, p.locks = quote(p.schema)+"."+quote(p.table), p.kind != "f"
	return p, nil
}

// columns are those of a table, in its order.
func (l *link) columns(ctx context.Context, oid int64) ([]described, error) {
	rows, err := l.conn.Query(ctx, columnsSQL, oid)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []described
	for rows.Next() {
		var c described
		var typ int64
		if err := rows.Scan(&c.name, &typ, &c.mod, &c.dims, &c.source); err != nil {
			return nil, err
		}
		c.oid = uint32(typ)
		out = append(out, c)
	}
	return out, rows.Err()
}

func (l *link) key(ctx context.Context, oid int64) ([]string, error) {
	rows, err := l.conn.Query(ctx, keySQL, oid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// describeQuery lets the server say what the columns of a query are. The query is prepared by itself first, so that it cannot be
// several statements.
func (t *Table) describeQuery(ctx context.Context, l *link) (*plan, error) {
	p := &plan{query: withoutEnd(t.spec.Query)}
	p.ids = findIDs(p.query)
	sd, err := l.conn.PgConn().Prepare(ctx, "", p.bind(nil), nil)
	if err != nil {
		return nil, fmt.Errorf("prepare the query: %w", err)
	}
	if len(sd.Fields) == 0 {
		return nil, &advised{errors.New("the query returns no columns"), "write a SELECT"}
	}
	columns := make([]described, len(sd.Fields))
	seen := map[string]bool{}
	for i, f := range sd.Fields {
		columns[i] = described{name: f.Name, oid: f.DataTypeOID, mod: f.TypeModifier}
		if seen[columns[i].name] {
			return nil, &advised{fmt.Errorf("the query returns two columns called %s", columns[i].name), "give one of them another name: AS " + quote(columns[i].name+"_2")}
		}
		seen[columns[i].name] = true
	}
	known, err := l.loadTypes(ctx, columns)
	if err != nil {
		return nil, err
	}
	if err := l.formats(ctx, columns); err != nil {
		return nil, err
	}
	all := make([]field, len(columns))
	for i, c := range columns {
		all[i] = known.field(c, quote(c.name))
	}
	p.from = "(\n" + p.bind(nil) + "\n) AS q"
	return p, t.choose(p, all)
}

// choose keeps the columns that are wanted.
func (t *Table) choose(p *plan, all []field) error {
	p.all = make(map[string]string, len(all))
	for _, f := range all {
		p.all[f.Name] = f.ref
	}
	wanted := t.spec.Columns
	if t.spec.ID != "" && len(wanted) == 0 {
		wanted = []string{t.spec.ID}
	}
	if len(wanted) > 0 && t.spec.Key != "" && !slices.Contains(wanted, t.spec.Key) {
		wanted = append(slices.Clip(wanted), t.spec.Key)
	}
	for _, must := range []string{t.spec.ID, t.spec.Cursor, t.spec.Key} {
		if _, ok := p.all[must]; must != "" && !ok {
			return t.noColumn(p, must)
		}
	}
	for _, f := range all {
		if len(wanted) > 0 {
			p.choosePaths(f, wanted)
		} else {
			p.fields = append(p.fields, f)
		}
	}
	if len(p.fields) == 0 && len(wanted) > 0 {
		return t.noColumn(p, wanted[0])
	}
	kept := p.fields[:0]
	for _, f := range p.fields {
		if !slices.Contains(t.spec.Exclude, f.Name) {
			kept = append(kept, f.without(t.spec.Exclude))
		}
	}
	if p.fields = kept; len(kept) == 0 {
		return &advised{errors.New("no column is left to be read"), "name fewer of them under exclude"}
	}
	return nil
}

// choosePaths keeps a column that is named, or the parts of a JSON column that are.
func (p *plan) choosePaths(f field, wanted []string) {
	if slices.Contains(wanted, f.Name) {
		p.fields = append(p.fields, f)
		return
	}
	if !f.isJSON() {
		return
	}
	for _, w := range wanted {
		if path, ok := strings.CutPrefix(w, f.Name+"."); ok {
			part := f
			part.Name, part.Path, part.Source = w, w, f.Source
			part.expr = "(" + f.ref + " OPERATOR(pg_catalog.#>) " + pathLiteral(strings.Split(path, ".")) + ")"
			p.fields = append(p.fields, part)
		}
	}
}

// isJSON reports whether the column itself is json or jsonb.
func (f *field) isJSON() bool { return f.Type.Kind == vector.JSON && f.expr == f.ref }

// without takes the excluded paths out of a JSON column. Where a path leads into a list the list goes as a whole: what is excluded must not
// leave the server.
func (f field) without(exclude []string) field {
	for _, e := range exclude {
		rest, ok := strings.CutPrefix(e, f.Name+".")
		if !ok || f.Type.Kind != vector.JSON || f.form == formArray {
			continue
		}
		path := strings.Split(rest, ".")
		x := "(" + f.expr + ")"
		if f.form == formText {
			x += "::pg_catalog.jsonb"
		}
		var b strings.Builder
		b.WriteString("CASE WHEN pg_catalog.jsonb_typeof(" + x + ") = 'array' THEN NULL")
		for i := 1; i < len(path); i++ {
			b.WriteString(" WHEN pg_catalog.jsonb_typeof(" + x + " OPERATOR(pg_catalog.#>) " + pathLiteral(path[:i]) + ") = 'array' THEN " +
				x + " OPERATOR(pg_catalog.#-) " + pathLiteral(path[:i]))
		}
		b.WriteString(" WHEN pg_catalog.jsonb_typeof(" + x)
		if len(path) > 1 {
			b.WriteString(" OPERATOR(pg_catalog.#>) " + pathLiteral(path[:len(path)-1]))
		}
		b.WriteString(") = 'object' THEN " + x + " OPERATOR(pg_catalog.#-) " + pathLiteral(path) + " ELSE " + x + " END")
		f.expr, f.form, f.raw = b.String(), formJSONB, "jsonb"
	}
	return f
}

// pathLiteral is a path as an array of texts.
func pathLiteral(path []string) string { return literal(arrayText(path)) + "::pg_catalog.text[]" }

// differs says what is not as it was when it was described; empty: nothing.
func (p *plan) differs(now *plan) string {
	if p.oid != now.oid {
		return "it is another table now"
	}
	for _, f := range now.fields {
		i := slices.IndexFunc(p.fields, func(g field) bool { return g.Name == f.Name })
		if i < 0 {
			return "the column " + f.Name + " is new"
		}
		if g := p.fields[i]; g.expr != f.expr || g.form != f.form || g.elem != f.elem || !g.Type.Equal(f.Type) {
			return fmt.Sprintf("the column %s was %s and is %s", f.Name, g.Source, f.Source)
		}
	}
	for _, g := range p.fields {
		if !slices.ContainsFunc(now.fields, func(f field) bool { return g.Name == f.Name }) {
			return "the column " + g.Name + " is gone"
		}
	}
	return ""
}

// info makes what mirrors want to know, with the planner's estimate: it knows of rows that came since statistics were made, and of
// conditions. To plan it is also to be told of a right that is missing.
func (p *plan) info(ctx context.Context, l *link) (*source.Info, error) {
	out := &source.Info{Key: p.key, Rows: -1, Bytes: -1}
	for _, f := range p.fields {
		out.Columns = append(out.Columns, f.Column)
	}
	var text []byte
	if err := l.conn.QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+p.selection(p.fields, p.where)).Scan(&text); err != nil {
		return nil, fmt.Errorf("plan the reading: %w", err)
	}
	var explained []struct {
		Plan struct {
			Rows  float64 `json:"Plan Rows"`
			Width float64 `json:"Plan Width"`
		}
	}
	if err := json.Unmarshal(text, &explained); err == nil && len(explained) == 1 {
		out.Rows = int64(explained[0].Plan.Rows)
		out.Bytes = int64(explained[0].Plan.Rows * explained[0].Plan.Width)
	}
	return out, nil
}
