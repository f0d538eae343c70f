package iceberg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/iceberg-go"

	"firth/internal/disk"
	"firth/internal/lake/catalog"
	"firth/internal/name"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/internal/warehouse/warehousetest"
)

func TestConformance(t *testing.T) {
	warehousetest.Run(t, func(t *testing.T) *warehousetest.Target { return newStand(t, t.TempDir()).target() })
}

// stand is a warehouse in a folder, with a reader's engine beside it.
type stand struct {
	*DB
	t       testing.TB
	dir     string
	catalog *catalog.Catalog
	reader  *sql.DB

	mu    sync.Mutex
	shown map[string]string // metadata location by view
}

func newStand(t testing.TB, dir string) *stand { return newStandOn(t, dir, disk.OS{}, nil) }

func newStandOn(t testing.TB, dir string, fsys disk.FS, step func(string) error) *stand {
	t.Helper()
	s := &stand{t: t, dir: dir, shown: map[string]string{}}
	s.DB, s.catalog = openIn(t, dir, fsys, step)
	var err error
	if s.reader, err = sql.Open("duckdb", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.reader.Close() })
	if _, err := s.reader.ExecContext(t.Context(), "SET GLOBAL TimeZone = 'UTC'; SET threads = 2; SET memory_limit = '256MB'"); err != nil {
		t.Fatal(err)
	}
	s.refresh()
	return s
}

// openIn opens a warehouse whose catalog and files are in a folder.
func openIn(t testing.TB, dir string, fsys disk.FS, step func(string) error) (*DB, *catalog.Catalog) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "lake"), 0o755); err != nil {
		t.Fatal(err)
	}
	lake, err := catalog.NewFileIO(fsys, filepath.Join(dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Open(t.Context(), catalog.Options{Path: filepath.Join(dir, "catalog.db"), Name: "firth", Namespace: "lake", IO: lake, Step: step})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	tables, err := lake.Below("_tables")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), Options{
		Name: "ice", Catalog: c, IO: tables, Grace: time.Hour, Step: step, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Workshop: func(ctx context.Context) (*duckdb.Workshop, error) {
			return duckdb.OpenWorkshop(ctx, duckdb.WorkshopOptions{Memory: 256 << 20, TempDir: filepath.Join(dir, "tmp"), Dirs: []string{dir}})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

// refresh shows the reader the tables as they are, all at once.
func (s *stand) refresh() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx := context.Background()
	statements := []string{"BEGIN"}
	there := map[string]bool{}
	schemas, err := s.present(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, schema := range schemas {
		names, err := s.tables(ctx, schema)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, n := range names {
			tbl, err := s.load(ctx, schema, n)
			if err != nil {
				s.t.Fatal(err)
			}
			view := quote(schema) + "." + quote(n)
			there[view] = true
			if s.shown[view] == tbl.t.MetadataLocation() {
				continue
			}
			s.shown[view] = tbl.t.MetadataLocation()
			statements = append(statements, "CREATE SCHEMA IF NOT EXISTS "+quote(schema), "CREATE OR REPLACE VIEW "+view+" AS SELECT * FROM "+s.relation(tbl))
		}
	}
	for view := range s.shown {
		if !there[view] {
			delete(s.shown, view)
			statements = append(statements, "DROP VIEW "+view)
		}
	}
	if len(statements) == 1 {
		return
	}
	if _, err := s.reader.ExecContext(ctx, strings.Join(append(statements, "COMMIT"), "; ")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) relation(tbl *tbl) string {
	var paths []string
	for _, f := range tbl.files {
		paths = append(paths, f.path)
	}
	expr, err := empty(tbl.fields)
	if len(paths) > 0 {
		expr, err = readFiles(tbl.fields, paths)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return expr
}

func (s *stand) target() *warehousetest.Target {
	return &warehousetest.Target{
		Warehouse: s, Rules: name.DuckDB(), DB: s.reader, Quote: quote,
		Reopen: func(t *testing.T) *warehousetest.Target {
			if err := errors.Join(s.Close(), s.catalog.Close()); err != nil {
				t.Fatal(err)
			}
			return newStand(t, s.dir).target()
		},
		User: func(t *testing.T, statements ...string) *warehousetest.Target {
			for _, statement := range statements {
				s.person(t, statement)
			}
			s.refresh()
			return s.target()
		},
		Files: func(t *testing.T) []string {
			var out []string
			err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					out = append(out, path)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return out
		},
		Lacks: map[string]string{
			"forget beside readers":          "files with rows of people go at once: who reads one at that moment fails, and reads again",
			"the schema was dropped":         "the positions are in the schema: who drops it has everything loaded again",
			"a column was added":             "columns of format 2 have no defaults",
			"rebuild keeps what people made": "columns of format 2 have no defaults",
			"a view in the place of a table": "a namespace of the catalog has no views",
			"a table of Segment's":           "Segment loads into no such tables",
			"a table of Segment's with ids":  "Segment loads into no such tables",
			warehousetest.LacksIndexes:       "Iceberg has none",
			warehousetest.LacksViews:         "readers keep views in their own engines",
		},
	}
}

// The calls of the suite: the reader sees what they did.

func (s *stand) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	defer s.refresh()
	return s.DB.Load(ctx, b)
}

func (s *stand) Prepare(ctx context.Context, source, schema string, tables []*table.Batch) error {
	defer s.refresh()
	return s.DB.Prepare(ctx, source, schema, tables)
}

func (s *stand) Replay(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	defer s.refresh()
	return s.DB.Replay(ctx, b)
}

func (s *stand) Swap(ctx context.Context, w *warehouse.Swap) (*warehouse.Result, error) {
	defer s.refresh()
	return s.DB.Swap(ctx, w)
}

func (s *stand) Forget(ctx context.Context, f warehouse.Forget) (*warehouse.Forgotten, error) {
	defer s.refresh()
	return s.DB.Forget(ctx, f)
}

func (s *stand) DropRebuild(ctx context.Context, source, schema string) error {
	defer s.refresh()
	return s.DB.DropRebuild(ctx, source, schema)
}

var statementOf = regexp.MustCompile(`^(?:ALTER TABLE|CREATE TABLE|DROP TABLE|INSERT INTO|UPDATE|DELETE FROM) "((?:[^"]|"")+)"\."((?:[^"]|"")+)"`)

// person does to a table what somebody does with an engine that writes to it: the statement runs on a copy of the table, and what it then
// has becomes a commit.
func (s *stand) person(t *testing.T, statement string) {
	t.Helper()
	ctx := t.Context()
	m := statementOf.FindStringSubmatch(statement)
	if m == nil {
		t.Fatalf("nothing here does %s", statement)
	}
	schema, name := strings.ReplaceAll(m[1], `""`, `"`), strings.ReplaceAll(m[2], `""`, `"`)
	if strings.HasPrefix(statement, "CREATE TABLE") {
		made, err := s.fresh(ctx, schema, name, []iceberg.NestedField{{Name: "user_id", Type: iceberg.PrimitiveTypes.String}}, "", nil)
		if err == nil {
			err = s.commit(ctx, schema, []change{{table: made}})
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	tbl, err := s.load(ctx, schema, name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(statement, "DROP TABLE") {
		if err := s.commit(ctx, schema, []change{{table: tbl, drop: true}}); err != nil {
			t.Fatal(err)
		}
		return
	}
	err = s.inWorkshop(ctx, func(w *duckdb.Workshop) error {
		q := quote(schema) + "." + quote(name)
		if err := w.Exec(ctx, "CREATE SCHEMA "+quote(schema)+"; CREATE TABLE "+q+" AS SELECT * FROM "+s.relation(tbl)); err != nil {
			return err
		}
		if err := w.Exec(ctx, statement); err != nil {
			return err
		}
		rows, err := w.Query(ctx, "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $1 ORDER BY column_index", name)
		if err != nil {
			return err
		}
		old := tbl.fields
		tbl.fields = nil
		for rows.Next() {
			var column, kind string
			if err := rows.Scan(&column, &kind); err != nil {
				return err
			}
			if at := slices.IndexFunc(old, func(f iceberg.NestedField) bool { return f.Name == column }); at >= 0 {
				tbl.fields = append(tbl.fields, old[at])
				continue
			}
			tbl.add(column, personsType(t, kind), "")
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		files, err := s.write(ctx, w, tbl, "SELECT * FROM "+q)
		if err != nil {
			return err
		}
		return s.commit(ctx, schema, []change{{table: tbl, remove: tbl.files, add: files}})
	})
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func personsType(t *testing.T, kind string) iceberg.Type {
	switch kind {
	case "VARCHAR":
		return iceberg.PrimitiveTypes.String
	case "SMALLINT":
		return iceberg.PrimitiveTypes.Int32
	case "DATE":
		return iceberg.PrimitiveTypes.Date
	}
	var p, s int
	if _, err := fmt.Sscanf(kind, "DECIMAL(%d,%d)", &p, &s); err != nil {
		t.Fatalf("no type for %s", kind)
	}
	return iceberg.DecimalTypeOf(p, s)
}
