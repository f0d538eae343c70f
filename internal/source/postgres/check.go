package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"firth/internal/name"
	"firth/internal/source"
)

//go:embed sql/rights.sql
var rightsSQL string

// Check connects to a database and says what it is.
func Check(ctx context.Context, url string, o source.Options) []source.Finding {
	t, err := Open(ctx, url, source.Spec{}, o)
	if err != nil {
		return []source.Finding{finding("connection", err)}
	}
	defer func() { _ = t.Close() }() // it only read
	return []source.Finding{t.checkConnection(ctx)}
}

// finding is an error as what was found.
func finding(what string, err error) source.Finding {
	f := source.Finding{What: what, Found: err.Error()}
	var e *source.Error
	if errors.As(err, &e) {
		f.Found, f.Hint = e.Err.Error(), e.Advice
	}
	return f
}

func (t *Table) checkConnection(ctx context.Context) source.Finding {
	out := source.Finding{What: "connection", OK: true}
	err := t.use(ctx, func(l *link) error {
		var standby bool
		if err := l.conn.QueryRow(ctx, "SELECT pg_catalog.pg_is_in_recovery()").Scan(&standby); err != nil {
			return err
		}
		out.Found = "PostgreSQL " + l.conn.PgConn().ParameterStatus("server_version")
		if standby {
			out.Found += ", a standby: what is read may be some moments old"
		}
		return nil
	})
	if err != nil {
		return finding(out.What, t.fail("connect", err))
	}
	return out
}

// Check says what is missing before anything is read: the connection, the table or query, rights, and what would leave rows out.
func (t *Table) Check(ctx context.Context) []source.Finding {
	first := t.checkConnection(ctx)
	out := []source.Finding{first}
	if !first.OK {
		return out
	}
	what := "query"
	if t.spec.Query == "" {
		what = "table " + t.spec.Table
	}
	var p *plan
	var info *source.Info
	err := t.use(ctx, func(l *link) error {
		var err error
		if p, err = t.describe(ctx, l); err != nil {
			return err
		}
		if p.oid != 0 {
			found, err := t.checkRights(ctx, l, p)
			if out = append(out, found...); err != nil || len(found) > 0 && !found[0].OK {
				return err
			}
		}
		info, err = p.info(ctx, l)
		return err
	})
	switch {
	case err != nil:
		return append(out, finding(what, t.fail("read", err)))
	case info != nil:
		out = append(out, source.Finding{What: what, OK: true, Found: fmt.Sprintf("%d columns, about %d rows", len(info.Columns), info.Rows)})
	}
	return append(out, t.checkNames(p)...)
}

// checkRights looks at the rights of the role; the first finding is not OK where one is missing.
func (t *Table) checkRights(ctx context.Context, l *link, p *plan) ([]source.Finding, error) {
	var schema, table, hidden bool
	var refused []string
	if err := l.conn.QueryRow(ctx, rightsSQL, p.oid).Scan(&schema, &table, &hidden, &refused); err != nil {
		return nil, err
	}
	name := p.schema + "." + p.table
	if !schema {
		return []source.Finding{{What: "rights on " + name, Found: "the schema " + p.schema + " is closed to " + t.config.User,
			Hint: fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s;", quote(p.schema), t.role())}}, nil
	}
	if !table {
		var missing, quotedNames []string
		for _, f := range p.fields {
			if slices.Contains(refused, f.Path) {
				missing, quotedNames = append(missing, f.Path), append(quotedNames, quote(f.Path))
			}
		}
		switch {
		case len(missing) == 0:
		case len(missing) == len(p.fields):
			return []source.Finding{{What: "rights on " + name, Found: "the role " + t.config.User + " may not read it",
				Hint: fmt.Sprintf("GRANT SELECT ON %s TO %s;", p.from, t.role())}}, nil
		default:
			return []source.Finding{{What: "rights on " + name, Found: "the role " + t.config.User + " may not read the columns " + strings.Join(missing, ", "),
				Hint: fmt.Sprintf("GRANT SELECT (%s) ON %s TO %s; or leave them out: exclude", strings.Join(quotedNames, ", "), p.from, t.role())}}, nil
		}
	}
	if hidden {
		return []source.Finding{{What: "row-level security on " + name, OK: true,
			Found: "policies of the table decide which rows " + t.config.User + " sees: rows may be missing",
			Hint:  fmt.Sprintf("ALTER ROLE %s BYPASSRLS; where all rows are wanted", t.role())}}, nil
	}
	return nil, nil
}

// checkNames looks for names of the configuration that mean nothing; a typing error under exclude would let a column out.
func (t *Table) checkNames(p *plan) []source.Finding {
	var out []source.Finding
	for key, names := range map[string][]string{"columns": t.spec.Columns, "exclude": t.spec.Exclude} {
		for _, name := range names {
			top, _, _ := strings.Cut(name, ".")
			if p.all[name] == "" && p.all[top] == "" {
				out = append(out, source.Finding{What: key, Found: "there is no column " + name, Hint: p.nearestColumn(name)})
			}
		}
	}
	slices.SortFunc(out, func(a, b source.Finding) int { return strings.Compare(a.What+a.Found, b.What+b.Found) })
	return out
}

func (t *Table) noColumn(p *plan, name string) error {
	return &advised{fmt.Errorf("there is no column %s", name), p.nearestColumn(name)}
}

func (p *plan) nearestColumn(wrong string) string {
	names := make([]string, 0, len(p.all))
	for n := range p.all {
		names = append(names, n)
	}
	slices.Sort(names)
	if near := name.Nearest(wrong, names); near != "" {
		return "did you mean " + near + "?"
	}
	if len(names) > 20 {
		return fmt.Sprintf("it has %d columns: %s, ...", len(names), strings.Join(names[:20], ", "))
	}
	return "its columns are " + strings.Join(names, ", ")
}

// missing is that there is no such table, with the one that may be meant.
func (t *Table) missing(ctx context.Context, l *link, wrong string) error {
	err := fmt.Errorf("there is no table %s", t.spec.Table)
	rows, queryErr := l.conn.Query(ctx, namesSQL)
	if queryErr != nil {
		return errors.Join(err, queryErr)
	}
	defer rows.Close()
	var names []string
	full := map[string]string{}
	for rows.Next() {
		var schema, table string
		if err := rows.Scan(&schema, &table); err != nil {
			return err
		}
		names = append(names, table)
		if full[table] == "" {
			full[table] = schema + "." + table
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	hint := "correct the name, with its schema"
	switch near := name.Nearest(wrong, names); {
	case near != "":
		hint = "did you mean " + full[near] + "?"
	case len(names) == 0:
		hint = "there is no table in the database " + t.config.Database + ": correct the url"
	}
	return &advised{err, hint}
}
