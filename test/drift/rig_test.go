// Package drift_test lets tables change while they are mirrored, with real databases on both sides.
package drift_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/source/exec"
	"firth/internal/source/mysql"
	"firth/internal/source/postgres"
	"firth/internal/source/sqlite"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	mywarehouse "firth/internal/warehouse/mysql"
	pgwarehouse "firth/internal/warehouse/postgres"
	"firth/test/server"
)

// TestMain is also the program that documents are read from: it prints a file.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "print" {
		text, err := os.ReadFile(os.Args[2])
		if err == nil {
			_, err = os.Stdout.Write(text)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// side is a database, as source or target.
type side struct {
	t     *testing.T
	kind  string // postgres, mysql, duckdb, sqlite, program
	url   string
	db    *sql.DB
	quote string
	dir   string
}

func (s *side) exec(statements ...string) {
	s.t.Helper()
	for _, q := range statements {
		if _, err := s.db.ExecContext(s.t.Context(), q); err != nil {
			s.t.Fatalf("%s: %s: %v", s.kind, q, err)
		}
	}
}

// rows are the rows of a query as texts, sorted, with ~ for NULL.
func (s *side) rows(query string) []string {
	s.t.Helper()
	rows, err := s.db.QueryContext(s.t.Context(), query)
	if err != nil {
		s.t.Fatalf("%s: %s: %v", s.kind, query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		s.t.Fatal(err)
	}
	out := []string{}
	for rows.Next() {
		cells, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			s.t.Fatalf("%s: %v", query, err)
		}
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = "~"
			if c.Valid {
				texts[i] = c.String
			}
		}
		out = append(out, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// text is an expression as text.
func (s *side) text(column string) string {
	q := s.name(column)
	switch s.kind {
	case "mysql":
		return "CAST(" + q + " AS CHAR)"
	case "duckdb":
		return q + "::VARCHAR"
	}
	return q + "::text"
}

func (s *side) name(n string) string { return s.quote + n + s.quote }

// columns are those of a table, sorted, without those that the mirror adds.
func (s *side) columns(schema, table string) []string {
	s.t.Helper()
	rows, err := s.db.QueryContext(s.t.Context(), "SELECT column_name FROM information_schema.columns WHERE table_schema = '"+schema+"' AND table_name = '"+table+"' ORDER BY ordinal_position")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			s.t.Fatal(err)
		}
		if !strings.HasPrefix(name, "_valid_") && !strings.HasPrefix(name, "_firth_") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// typeOf is the type of a column as the database has it.
func (s *side) typeOf(schema, table, column string) string {
	s.t.Helper()
	what := "data_type"
	if s.kind == "mysql" {
		what = "column_type"
	}
	return strings.ToLower(strings.Join(s.rows("SELECT "+what+" FROM information_schema.columns WHERE table_schema = '"+schema+"' AND table_name = '"+table+"' AND lower(column_name) = lower('"+column+"')"), ","))
}

func opened(t *testing.T, driver, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newPostgres(t *testing.T, version string) *side {
	t.Helper()
	pg := server.Postgres(t, version)
	database := pg.Database()
	name, password := pg.Role(database, "SUPERUSER")
	url := pg.URL(name, password, database)
	return &side{t: t, kind: "postgres", url: url, db: opened(t, "pgx", url), quote: `"`}
}

func newMaria(t *testing.T) *side {
	t.Helper()
	m := server.MariaDB(t, "11.4")
	database := m.Database()
	return &side{t: t, kind: "mysql", url: strings.Replace(m.Admin, "/mysql", "/"+database, 1), db: m.Open(database), quote: "`"}
}

func newSQLite(t *testing.T) *side {
	t.Helper()
	file := filepath.Join(t.TempDir(), "s.db")
	return &side{t: t, kind: "sqlite", url: file, db: opened(t, "sqlite", file), quote: `"`}
}

func newProgram(t *testing.T) *side {
	t.Helper()
	return &side{t: t, kind: "program", dir: t.TempDir()}
}

// documents are what the program prints from now on.
func (s *side) documents(lines ...string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "rows"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// source opens what is read of a side.
func (s *side) source(ctx context.Context, spec source.Spec) (mirror.Source, error) {
	o := source.Options{Name: "source"}
	switch s.kind {
	case "postgres":
		return postgres.Open(ctx, s.url, spec, o)
	case "mysql":
		return mysql.Open(ctx, s.url, spec, o)
	case "sqlite":
		return sqlite.Open(ctx, s.url, spec, o)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec.Table, spec.Exec, spec.Dir = "", []string{self, "print", filepath.Join(s.dir, "rows")}, s.dir
	return exec.Open(ctx, "", spec, o)
}

// stand is a target with the clock of its runs.
type stand struct {
	*side
	target mirror.Target
	now    time.Time
}

func newTarget(t *testing.T, kind string) *stand {
	t.Helper()
	s := &stand{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	switch kind {
	case "duckdb":
		dir := t.TempDir()
		db, err := duckdb.Open(t.Context(), filepath.Join(dir, "w.duckdb"), duckdb.Options{LakeDir: dir, TempDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		s.side, s.target = &side{t: t, kind: kind, db: db.SQL(), quote: `"`}, mirror.Adapt(db.Mirrors())
	case "postgres":
		s.side = newPostgres(t, "15")
		m, err := pgwarehouse.OpenMirrors(t.Context(), s.url, pgwarehouse.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		s.target = mirror.Adapt(m)
	case "mysql":
		s.side = newMaria(t)
		m, err := mywarehouse.OpenMirrors(t.Context(), server.MariaDB(t, "11.4").Admin, mywarehouse.Options{Name: "w"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		s.target = mirror.Adapt(m)
	}
	return s
}

// schemaOf is where a test's tables go: schemas are shared by the tests of one server of MariaDB.
func schemaOf(t *testing.T) string {
	return "w" + fmt.Sprintf("%08x", hash(t.Name()))
}

func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// mirror makes one; each run is a minute after the one before.
func (s *stand) mirror(from *side, schema, table string, c mirror.Config) *mirror.Mirror {
	c.Name, c.Table = schema+"."+table, warehouse.MirrorTable{Name: schema + "." + table, Schema: schema, Table: table}
	spec := source.Spec{Table: table, Cursor: c.Cursor}
	spec.Columns, spec.Exclude = c.Selection()
	pg := s.kind == "postgres"
	o := mirror.Options{
		Config: c, Target: s.target, Lower: pg, Unbounded: pg, Lists: s.kind != "mysql", Now: func() time.Time { return s.now },
		Wait: func(context.Context, time.Duration) error { return nil },
		From: func(ctx context.Context) (mirror.Source, error) { return from.source(ctx, spec) },
	}
	if s.kind == "mysql" {
		o.Digits, o.Scale = 65, 30
	}
	return mirror.New(o)
}

// run runs a mirror once.
func (s *stand) run(m *mirror.Mirror) (*mirror.Report, error) {
	s.now = s.now.Add(time.Minute)
	return m.Copy(s.t.Context(), mirror.RunOptions{}, nil)
}

func (s *stand) mustRun(m *mirror.Mirror) *mirror.Report {
	s.t.Helper()
	r, err := s.run(m)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, r.Text())
	}
	return r
}

// content is a table as texts.
func (s *stand) content(schema, table string, columns ...string) []string {
	s.t.Helper()
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = s.text(c)
	}
	return s.rows("SELECT " + strings.Join(list, ", ") + " FROM " + s.name(schema) + "." + s.name(table))
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwanted\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
