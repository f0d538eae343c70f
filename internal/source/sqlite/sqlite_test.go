package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firth/internal/source"
	"firth/internal/source/sourcetest"
	"firth/internal/source/sqlite"
	"firth/internal/vector"
)

// file makes a database file and returns its path and a connection that writes to it.
func file(t *testing.T, statements ...string) (string, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a b%20c?.db")
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", " ", "%20").Replace(path)+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // the folder goes anyway
	run(t, db, statements...)
	return path, db
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func open(t *testing.T, path string, spec source.Spec) *sqlite.Table {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, spec, source.Options{Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func drain(ctx context.Context, rows source.Rows) (lines []string, rejects []string, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b source.Batch
	for {
		if err := rows.Next(ctx, &b); errors.Is(err, io.EOF) {
			return lines, rejects, nil
		} else if err != nil {
			return lines, rejects, err
		}
		for _, r := range b.Chunk.Rejects {
			rejects = append(rejects, fmt.Sprintf("%d %s %s: %s", r.Row+len(lines), r.Column, r.Value, r.Reason))
		}
		for i := range b.Chunk.Rows {
			cells := make([]string, len(b.Chunk.Vectors))
			for j, v := range b.Chunk.Vectors {
				if cells[j] = "~"; v.Valid[i] {
					cells[j] = v.Text(i)
				}
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
	}
}

func read(t *testing.T, s *sqlite.Table, r source.Request) (lines, rejects []string) {
	t.Helper()
	rows, err := s.Scan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	lines, rejects, err = drain(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	return lines, rejects
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if !slices.Equal(got, lines) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func TestSuite(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		for _, rowid := range []string{"", " WITHOUT ROWID"} {
			t.Run(mode+rowid, func(t *testing.T) {
				path, db := file(t, "PRAGMA journal_mode = "+mode, "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age INT)"+rowid)
				var lacks []string
				if mode == "delete" {
					lacks = []string{"snapshot"} // a reader keeps writers out
				}
				sourcetest.Relational(t, sourcetest.Stand{
					Fill: func(t *testing.T, people []sourcetest.Person) {
						tx, err := db.BeginTx(t.Context(), nil)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := tx.ExecContext(t.Context(), "DELETE FROM people"); err != nil {
							t.Fatal(err)
						}
						for _, p := range people {
							if _, err := tx.ExecContext(t.Context(), "INSERT INTO people VALUES (?, ?, nullif(?, 0))", p.ID, p.Name, p.Age); err != nil {
								t.Fatal(err)
							}
						}
						if err := tx.Commit(); err != nil {
							t.Fatal(err)
						}
					},
					Open: func(t *testing.T, spec source.Spec, _ bool) sourcetest.Source {
						spec.Table = "people"
						s, err := sqlite.Open(t.Context(), path, spec, source.Options{Name: "app"})
						if err != nil {
							t.Fatal(err)
						}
						return s
					},
					Missing: func(t *testing.T) sourcetest.Source {
						s, err := sqlite.Open(t.Context(), path, source.Spec{Table: "poeple"}, source.Options{Name: "app"})
						if err != nil {
							t.Fatal(err)
						}
						return s
					},
					Lacks: lacks,
				})
			})
		}
	}
}

// TestTypes maps declared types and storage classes.
func TestTypes(t *testing.T) {
	path, db := file(t)
	for i, c := range []struct {
		declared string
		values   []string // SQL
		kind     string
		lines    []string
		rejects  []string
	}{
		{"INTEGER", []string{"9223372036854775807", "-9223372036854775808", "1.5", "'x'", "x'00ff'", "'12'", "NULL"}, "integer",
			[]string{"9223372036854775807", "-9223372036854775808", "~", "~", "~", "12", "~"},
			[]string{"2 v 1.5: a real number in a column of type integer", "3 v x: a text in a column of type integer", `4 v \x00ff: a blob in a column of type integer`}},
		{"TINYINT(1)", []string{"5", "1"}, "integer", []string{"5", "1"}, nil},
		{"REAL", []string{"1", "1e300", "9e999", "'x'", "0.1", "-0.0"}, "float", []string{"1", "1e+300", "Infinity", "~", "0.1", "0"}, []string{"3 v x: a text in a column of type float"}},
		{"VARCHAR(10)", []string{"'longer than ten'", "1", "2.50", "x'00'", "''", "'a' || char(0) || 'b'"}, "text", []string{"longer than ten", "1", "2.5", "~", "", "a\x00b"}, []string{`3 v \x00: a blob in a column of type text`}},
		{"TEXT", []string{"CAST(x'ff41' AS TEXT)"}, "text", []string{"~"}, []string{`0 v "\xffA": the text is not UTF-8`}},
		{"BLOB", []string{"x'00ff'", "x''", "'text'", "1"}, "blob", []string{`\x00ff`, `\x`, `\x74657874`, "~"}, []string{"3 v 1: an integer in a column of type blob"}},
		{"BOOLEAN", []string{"0", "1", "NULL", "'true'"}, "boolean", []string{"false", "true", "~", "true"}, nil},
		{"BOOLEAN", []string{"0", "2"}, "integer", []string{"0", "2"}, nil},
		{"DATE", []string{"'2024-02-29'", "NULL"}, "date", []string{"2024-02-29", "~"}, nil},
		{"DATE", []string{"'2024-02-29'", "'2024-02-30'"}, "text", []string{"2024-02-29", "2024-02-30"}, nil},
		{"DATETIME", []string{"'2024-02-29 12:00:00'", "'2024-02-29T12:00:00.123456'"}, "timestamp", []string{"2024-02-29 12:00:00", "2024-02-29 12:00:00.123456"}, nil},
		{"DATETIME", []string{"'2024-02-29T12:00:00Z'", "'2024-02-29 12:00:00+02:00'"}, "timestamptz", []string{"2024-02-29 12:00:00+00", "2024-02-29 10:00:00+00"}, nil},
		{"DATETIME", []string{"1709208000", "1709208001"}, "integer", []string{"1709208000", "1709208001"}, nil},
		{"TIMESTAMP", []string{"'2024-02-29 12:00:00.1234567'"}, "text", []string{"2024-02-29 12:00:00.1234567"}, nil},
		{"TIMESTAMP", []string{"2460370.5"}, "float", []string{"2460370.5"}, nil},
		{"TIME", []string{"'12:34:56'"}, "time", []string{"12:34:56"}, nil},
		{"DECIMAL(10,2)", []string{"1.10", "3", "'12345678.99'"}, "decimal(10,2)", []string{"1.1", "3", "12345678.99"}, nil},
		{"DECIMAL(10,2)", []string{"1.105"}, "decimal", []string{"1.105"}, nil},
		{"NUMERIC", []string{"1", "1.5", "9223372036854775807"}, "decimal", []string{"1", "1.5", "9223372036854775807"}, nil},
		{"DECIMAL(10,2)", []string{"'n/a'", "1.5"}, "text", []string{"n/a", "1.5"}, nil},
		{"JSON", []string{`'{"a":1,"a":2}'`, "'[1]'", "5"}, "json", []string{`{"a":1,"a":2}`, "[1]", "5"}, nil},
		{"UUID", []string{"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "x'a0eebc999c0b4ef8bb6d6bb9bd380a11'"}, "uuid", []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}, nil},
		{"", []string{"1", "2"}, "integer", []string{"1", "2"}, nil},
		{"", []string{"1", "2.5"}, "float", []string{"1", "2.5"}, nil},
		{"", []string{"9007199254740993", "2.5"}, "decimal", []string{"9007199254740993", "2.5"}, nil},
		{"", []string{"'x'", "2.5", "7"}, "text", []string{"x", "2.5", "7"}, nil},
		{"", []string{"x'00'", "NULL"}, "blob", []string{`\x00`, "~"}, nil},
		{"", nil, "text", nil, nil},
	} {
		table := fmt.Sprintf("t%d", i)
		run(t, db, fmt.Sprintf("CREATE TABLE %s (v %s)", table, c.declared))
		for _, v := range c.values {
			run(t, db, fmt.Sprintf("INSERT INTO %s VALUES (%s)", table, v))
		}
		s := open(t, "sqlite:"+strings.NewReplacer("%", "%25", "?", "%3F").Replace(path), source.Spec{Table: table})
		info, err := s.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Columns[0].Type.String(); got != c.kind {
			t.Errorf("%s %v: %s, want %s", c.declared, c.values, got, c.kind)
		}
		lines, rejects := read(t, s, source.Request{})
		if !slices.Equal(lines, c.lines) || !slices.Equal(rejects, c.rejects) {
			t.Errorf("%s %v: %q %q, want %q %q", c.declared, c.values, lines, rejects, c.lines, c.rejects)
		}
	}
}

// TestLateValue: a value behind those that were looked at, which does not fit, is listed.
func TestLateValue(t *testing.T) {
	path, _ := file(t, "CREATE TABLE t (d DATE, x INT)",
		"INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT CASE i WHEN 10000 THEN 'soon' ELSE '2024-01-01' END, i FROM n")
	s := open(t, path, source.Spec{Table: "t"})
	lines, rejects := read(t, s, source.Request{})
	if len(lines) != 20000 || lines[9999] != "~|10000" || lines[19999] != "2024-01-01|20000" {
		t.Errorf("%d lines, %q", len(lines), lines[9999])
	}
	want(t, rejects, "9999 d soon: a text in a column of type date")
}

// TestTables reads what is no plain table.
func TestTables(t *testing.T) {
	path, _ := file(t, "CREATE TABLE s (id INTEGER PRIMARY KEY, a ANY, g TEXT GENERATED ALWAYS AS (a || '!') VIRTUAL, h TEXT GENERATED ALWAYS AS (a || '?') STORED) STRICT",
		"INSERT INTO s (id, a) VALUES (1, 'x'), (2, 'y')", `CREATE TABLE "Od""d N'ame" ("rowid" TEXT, "a.b" INT, "Ü" DATE, PRIMARY KEY ("a.b", "rowid")) WITHOUT ROWID`,
		`INSERT INTO "Od""d N'ame" VALUES ('r', 1, '2024-01-01')`, "CREATE VIEW v AS SELECT id * 2 AS twice, a FROM s", "CREATE TABLE shadow (rowid TEXT, _rowid_ INT)", "INSERT INTO shadow VALUES ('a', 5), ('b', 6)")
	for table, lines := range map[string][]string{
		"s": {"1|x|x!|x?", "2|y|y!|y?"}, `Od"d N'ame`: {"r|1|2024-01-01"}, `"Od""d N'ame"`: {"r|1|2024-01-01"}, "main.V": {"2|x", "4|y"}, "shadow": {"a|5", "b|6"},
	} {
		s := open(t, path, source.Spec{Table: table})
		if err := s.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		ranges, err := s.Ranges(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range ranges {
			l, _ := read(t, s, source.Request{Range: r})
			got = append(got, l...)
		}
		want(t, got, lines...)
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, path, source.Spec{Query: "select id as k, a, ':ids' as x from s where id in (:ids) -- :ids", Key: "k"})
	rows, err := s.Get(t.Context(), []vector.Value{{Kind: vector.Int, Bits: 64, Num: 2}, {Kind: vector.Text, Text: "1"}, {Kind: vector.Text, Text: "'; drop table s"}})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := drain(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, "1|x|:ids", "2|y|:ids")
}

// TestCursors are compared by value, in whatever form times were written.
func TestCursors(t *testing.T) {
	path, _ := file(t, "CREATE TABLE t (at DATETIME, n DECIMAL(5,2))",
		"INSERT INTO t VALUES ('2024-01-01T23:30:00-02:00', 1.5), ('2024-01-02 01:00:00Z', 2), ('2024-01-02T02:00:00+00:00', 2.25), (NULL, NULL), ('2024-01-03 00:00:00Z', 10)")
	s := open(t, path, source.Spec{Table: "t", Cursor: "at", Columns: []string{"n"}})
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := int64(1704159000_000000) // 2024-01-02 01:30:00 UTC, the first row's
	lines, _ := read(t, s, source.Request{From: vector.Value{Kind: vector.TimestampTZ, Num: at}})
	want(t, lines, "1.5", "2.25", "10")
	s = open(t, path, source.Spec{Table: "t", Cursor: "n", Columns: []string{"n"}})
	lines, _ = read(t, s, source.Request{From: vector.Value{Kind: vector.Decimal, Text: "2.00"}})
	want(t, lines, "2", "2.25", "10")
}

// TestExcludedPathsStay: an excluded value leaves the file in no way.
func TestExcludedPathsStay(t *testing.T) {
	path, _ := file(t, "CREATE TABLE t (id INT, j TEXT)",
		`INSERT INTO t VALUES (1, '{"a":1,"p":{"ssn":"secret","b":2}}'), (2, '{"p":[{"ssn":"secret"}],"c":3}'), (3, '[{"p":{"ssn":"secret"}}]'), (4, 'secret'), (5, NULL), (6, '{"p":{"ssn":["secret"]}}')`)
	s := open(t, path, source.Spec{Table: "t", Exclude: []string{"j.p.ssn"}})
	lines, _ := read(t, s, source.Request{})
	want(t, lines, `1|{"a":1,"p":{"b":2}}`, `2|{"c":3}`, "3|~", "4|~", "5|~", `6|{"p":{}}`)
	s = open(t, path, source.Spec{Table: "t", Columns: []string{"id", "j.p.b"}})
	lines, _ = read(t, s, source.Request{})
	want(t, lines, "1|2", "2|~", "3|~", "4|~", "5|~", "6|~")
}

// TestFaults are told in words.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.db")
	if _, err := sqlite.Open(t.Context(), missing, source.Spec{Table: "t"}, source.Options{}); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file was made")
	}
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database, ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := sqlite.Check(t.Context(), garbage, source.Options{}); len(f) != 1 || f[0].OK || !strings.Contains(f[0].Hint, "no SQLite database") {
		t.Errorf("%+v", f)
	}
	if f := sqlite.Check(t.Context(), dir, source.Options{}); len(f) != 1 || f[0].OK || f[0].Hint == "" {
		t.Errorf("%+v", f)
	}
	path, db := file(t, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)")
	for _, spec := range []source.Spec{{Table: "t", Cursor: "b"}, {Table: "t", Columns: []string{"b"}}, {Query: "SELECT nothing FROM t"}, {Table: "t", Exclude: []string{"a"}}, {Query: "DELETE FROM t"}} {
		_, err := open(t, path, spec).Describe(t.Context())
		var e *source.Error
		if !errors.As(err, &e) || e.Hint() == "" {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	s := open(t, path, source.Spec{Table: "t"})
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, db, "ALTER TABLE t ADD COLUMN c TEXT")
	var e *source.Error
	if err := s.Begin(t.Context()); !errors.As(err, &e) || !e.Changed {
		t.Errorf("a new column since Describe: %v", err)
	}
}
