package mysql

import (
	"context"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firth/internal/name"
	"firth/internal/source"
	"firth/internal/vector"
)

//go:embed sql/columns.sql
var columnsSQL string

//go:embed sql/tables.sql
var tablesSQL string

//go:embed sql/key.sql
var keySQL string

// description is what is known of what is read.
type description struct {
	relation relation // of a table
	all      []field  // every column that there is
	fields   []field  // those that leave the source
	key      []string
	rows     int64
	bytes    int64
}

func (d *description) find(name string) *field { return findField(d.all, name) }

// findField compares as the server does: without regard to case.
func findField(fields []field, name string) *field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	for i := range fields {
		if strings.EqualFold(fields[i].Name, name) {
			return &fields[i]
		}
	}
	return nil
}

// Describe asks for columns, key and size. Generated and invisible columns are columns as others are.
func (t *Table) Describe(ctx context.Context) (*source.Info, error) {
	d, err := t.describe(ctx)
	if err != nil {
		return nil, err
	}
	info := &source.Info{Key: d.key, Rows: d.rows, Bytes: d.bytes}
	for _, f := range d.fields {
		info.Columns = append(info.Columns, f.Column)
	}
	return info, nil
}

// describe asks once a reading.
func (t *Table) describe(ctx context.Context) (*description, error) {
	t.mu.Lock()
	known, reading := t.described, t.reading != nil
	t.mu.Unlock()
	if known != nil && reading {
		return known, nil
	}
	var d *description
	err := t.with(ctx, func(s *session) (err error) {
		if t.spec.Table != "" {
			d, err = t.describeTable(ctx, s)
		} else {
			d, err = t.describeQuery(ctx, s)
		}
		return err
	})
	if err == nil {
		err = t.choose(d)
	}
	if err != nil {
		return nil, t.fail("read", err)
	}
	t.mu.Lock()
	t.described = d
	t.mu.Unlock()
	return d, nil
}

// current is the description that a reading uses.
func (t *Table) current(ctx context.Context) (*description, error) {
	t.mu.Lock()
	d := t.described
	t.mu.Unlock()
	if d != nil {
		return d, nil
	}
	return t.describe(ctx)
}

func (t *Table) describeTable(ctx context.Context, s *session) (*description, error) {
	r, ok := parseRelation(t.spec.Table, t.login.database)
	if !ok {
		return nil, &source.Error{Op: "read", Name: t.subject(), Err: errors.New("this names no table"), Advice: "write table or schema.table, in back quotes where a name has a point in it: `a.b`"}
	}
	if r.schema == "" {
		return nil, &source.Error{Op: "read", Name: t.subject(), Err: errors.New("no database is chosen"), Advice: "name the table as schema.table, or the database in the url: mysql://.../database"}
	}
	d := &description{relation: r, rows: -1, bytes: -1}
	view, err := t.findTable(ctx, s, d)
	if err != nil {
		return nil, err
	}
	if err := t.readColumns(ctx, s, d, view); err != nil {
		return nil, err
	}
	err = s.each(ctx, fill(keySQL, d.relation), func(row []driver.Value) error {
		if asText(row[0]) == d.relation.name {
			d.key = append(d.key, asText(row[1]))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the key: %w", err)
	}
	if t.spec.Where != "" {
		d.rows, d.bytes = -1, -1
	}
	return d, t.probe(ctx, s, d)
}

// findTable sets the exact name and the estimates.
func (t *Table) findTable(ctx context.Context, s *session, d *description) (view bool, err error) {
	var others []string
	found := ""
	err = s.each(ctx, fill(tablesSQL, d.relation), func(row []driver.Value) error {
		name := asText(row[0])
		if name == d.relation.name || found == "" && strings.EqualFold(name, d.relation.name) {
			found, view = name, strings.Contains(asText(row[1]), "VIEW")
			d.rows, d.bytes = estimate(row[2]), estimate(row[3])
		}
		others = append(others, name)
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for the table: %w", err)
	}
	if found != "" {
		wanted := d.relation
		d.relation.name = found
		if found == wanted.name {
			return view, nil
		}
		// Where names are compared exactly this fails, and tells which there is.
		if err = s.each(ctx, "SELECT 1 FROM "+wanted.quoted()+" LIMIT 0", ignoreRow); err == nil {
			return view, nil
		}
	} else {
		err = s.each(ctx, "SELECT 1 FROM "+d.relation.quoted()+" LIMIT 0", ignoreRow)
	}
	switch number(err) {
	case errNoTable, errUnknownDatabase:
		return false, t.noTable(d.relation, others, err)
	case errTableDenied, errDatabaseDenied:
		// Servers say so of tables that are not there, too.
		return false, t.noTable(d.relation, others, err)
	}
	return view, err
}

func ignoreRow([]driver.Value) error { return nil }

func estimate(v driver.Value) int64 {
	n, err := strconv.ParseInt(asText(v), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (t *Table) noTable(r relation, others []string, err error) error {
	e := &source.Error{Op: "read", Name: t.subject(), Err: fmt.Errorf("there is no table %s that %s may see: %w", r, t.login.user, err), Changed: true}
	if near := nearest(t.spec.Table, others, r.schema); near != "" {
		e.Advice = "did you mean " + near + "? Where there is one of that name: "
	}
	e.Advice += "GRANT SELECT ON " + r.quoted() + " TO " + t.login.account()
	return e
}

// nearest is the name that is written most alike, as the specification would have it.
func nearest(wanted string, names []string, schema string) string {
	prefix := ""
	if p, rest, ok := strings.Cut(wanted, "."); ok && schema != "" && p == schema {
		prefix, wanted = p+".", rest
	}
	best := name.Nearest(wanted, names)
	if best == "" {
		return ""
	}
	return prefix + best
}

func (t *Table) readColumns(ctx context.Context, s *session, d *description, view bool) error {
	checks := ""
	if !view {
		// MariaDB has no type for JSON: the definition alone tells. Whoever may see single columns only gets text.
		err := s.each(ctx, "SHOW CREATE TABLE "+d.relation.quoted(), func(row []driver.Value) error {
			checks = asText(row[1])
			return nil
		})
		if err != nil && number(err) == 0 {
			return err
		}
	}
	err := s.each(ctx, fill(columnsSQL, d.relation), func(row []driver.Value) error {
		if asText(row[0]) != d.relation.name {
			return nil
		}
		name, column := asText(row[1]), asText(row[3])
		json := strings.Contains(checks, "CHECK (json_valid("+quote(name)+"))")
		f := field{Column: vector.Column{Name: name, Path: name, Source: column}}
		f.Type, f.parse = tableType(asText(row[2]), column, json)
		if json {
			f.Source = "json"
		}
		d.all = append(d.all, f)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ask for the columns: %w", err)
	}
	return nil
}

// probe asks what a statement that reads all chosen columns says of them: whether it is allowed, and what a later one is compared with.
func (t *Table) probe(ctx context.Context, s *session, d *description) error {
	if err := t.choose(d); err != nil {
		return err
	}
	rows, done, err := s.query(ctx, reading{from: d.relation.quoted(), columns: fieldNames(d.fields)}.statement()+" LIMIT 0", false)
	if err != nil {
		if n := number(err); n == errTableDenied || n == errColumnDenied {
			return &source.Error{Op: "read", Name: t.subject(), Err: err, Advice: t.login.grantFor(err, d.relation)}
		}
		return err
	}
	defer done()
	if m, ok := rows.(metadata); ok {
		for i := range d.fields {
			if f := findField(d.all, d.fields[i].Name); f != nil {
				f.meta = describeColumn(m, i)
			}
		}
	}
	return s.see(rows.Close())
}

func (t *Table) describeQuery(ctx context.Context, s *session) (*description, error) {
	query, _ := fillIDs(t.spec.Query, "NULL")
	if query == "" {
		return nil, &source.Error{Op: "read", Name: t.subject(), Err: errors.New("neither a table nor a query is named"), Advice: "add table: or query: to the block"}
	}
	rows, done, err := s.query(ctx, "SELECT * FROM (\n"+query+"\n) AS firth LIMIT 0", false)
	if err != nil {
		return nil, err
	}
	defer done()
	d := &description{rows: -1, bytes: -1}
	m, ok := rows.(metadata)
	for i, name := range rows.Columns() {
		f := field{Column: vector.Column{Name: name, Path: name}}
		if ok {
			f.Type, f.parse, f.Source = queryType(m, i)
		}
		d.all = append(d.all, f)
	}
	return d, s.see(rows.Close())
}

// choose sets the columns that leave the source: those that are named, none of those that never do, and always those of ids and cursor.
func (t *Table) choose(d *description) error {
	d.fields = nil
	wanted := t.spec.Columns
	if len(wanted) > 0 {
		for _, id := range []string{t.spec.ID, t.spec.Key, t.spec.Cursor} {
			if id != "" && !slices.ContainsFunc(wanted, func(c string) bool { return strings.EqualFold(c, id) }) {
				wanted = append(slices.Clone(wanted), id)
			}
		}
	}
	for _, name := range slices.Concat(wanted, []string{t.spec.ID, t.spec.Key, t.spec.Cursor}) {
		if name != "" && d.find(name) == nil {
			return t.noColumn(d, name)
		}
	}
	out := func(f field) bool {
		same := func(name string) bool { c := d.find(name); return c != nil && c.Name == f.Name }
		return len(wanted) > 0 && !slices.ContainsFunc(wanted, same) || slices.ContainsFunc(t.spec.Exclude, same)
	}
	for _, f := range d.all {
		if !out(f) {
			d.fields = append(d.fields, f)
		}
	}
	if len(d.fields) == 0 {
		return &source.Error{Op: "read", Name: t.subject(), Err: errors.New("no column is left to read"), Advice: "see columns: and exclude:, and that the user may read the table: GRANT SELECT ON ... TO " + t.login.account()}
	}
	return nil
}

func (t *Table) noColumn(d *description, name string) error {
	all := fieldNames(d.all)
	e := &source.Error{Op: "read", Name: t.subject(), Err: fmt.Errorf("there is no column %s that %s may read", name, t.login.user), Changed: true}
	if near := nearest(name, all, ""); near != "" {
		e.Advice = "did you mean " + near + "? "
	}
	e.Advice += "There are: " + names(all, 30)
	return e
}

func fieldNames(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}
