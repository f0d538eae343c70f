package load_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// cutDB is a real warehouse whose connection is cut now and then: before a load's work, or after it.
type cutDB struct {
	*duckdb.DB
	cut func() error
}

func (d *cutDB) around(do func() (*warehouse.Result, error)) (*warehouse.Result, error) {
	if err := d.cut(); err != nil {
		return nil, err
	}
	r, err := do()
	if err == nil {
		err = d.cut()
	}
	return r, err
}

func (d *cutDB) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	return d.around(func() (*warehouse.Result, error) { return d.DB.Load(ctx, b) })
}

func (d *cutDB) Replay(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	return d.around(func() (*warehouse.Result, error) { return d.DB.Replay(ctx, b) })
}

func (d *cutDB) Prepare(ctx context.Context, source, schema string, tables []*table.Batch) error {
	return d.DB.Prepare(ctx, source, schema, tables)
}

// realRunner loads into a DuckDB file as if it were a server.
func realRunner(l load.Lake, path string, cut func() error) *load.Runner {
	o := options(nil, nil, nil)
	o.Name, o.Lake, o.Warehouse, o.Rows = "remote", l, nil, 50
	o.Standard = event.Standard(o.Rules)
	o.NewSurvey = load.Survey(o.Rules, event.ShapeOptions{})
	return load.NewRunner(load.RunnerOptions{Loader: o, Open: func(ctx context.Context) (load.Warehouse, error) {
		db, err := duckdb.Open(ctx, path, duckdb.Options{Memory: 256 << 20, Threads: 1, LakeDir: filepath.Dir(path), TempDir: filepath.Dir(path)})
		if err != nil {
			return nil, err
		}
		return &cutDB{db, cut}, nil
	}})
}

func never() error { return nil }

// opened does something with the file's database.
func opened(t *testing.T, path string, do func(*sql.DB)) {
	t.Helper()
	db, err := duckdb.Open(t.Context(), path, duckdb.Options{Memory: 256 << 20, Threads: 1, LakeDir: filepath.Dir(path), TempDir: filepath.Dir(path)})
	if err != nil {
		t.Fatal(err)
	}
	do(db.SQL())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// texts are the rows of a question, cells parted by |.
func texts(t *testing.T, db *sql.DB, question string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), question)
	if err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		cells := make([]any, len(columns))
		at := make([]any, len(columns))
		for i := range cells {
			at[i] = &cells[i]
		}
		if err := rows.Scan(at...); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Trim(strings.ReplaceAll(fmt.Sprint(cells...), "<nil>", "-"), " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// contents are all rows of a schema but for the times of the load.
func contents(t *testing.T, path, schema string) (out []string) {
	t.Helper()
	opened(t, path, func(db *sql.DB) {
		for _, name := range texts(t, db, "SELECT table_name FROM information_schema.tables WHERE table_schema = '"+schema+"' ORDER BY 1") {
			columns := texts(t, db, fmt.Sprintf(`SELECT '"' || column_name || '"' FROM information_schema.columns WHERE table_schema = '%s' AND table_name = '%s'
				AND column_name NOT IN ('uuid_ts', 'loaded_at') ORDER BY column_name`, schema, name))
			out = append(out, name+" "+strings.Join(columns, " "))
			for _, row := range texts(t, db, fmt.Sprintf("SELECT %s FROM %s.%s ORDER BY ALL", strings.Join(columns, ", "), schema, name)) {
				out = append(out, name+" "+row)
			}
		}
	})
	return out
}

// TestAnyInterleavingIntoARealWarehouse is TestAnyInterleavingGivesTheSameTables where every order opens and closes a DuckDB file.
func TestAnyInterleavingIntoARealWarehouse(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 2))
			l, path := newFakeLake(), filepath.Join(t.TempDir(), "remote.duckdb")
			cuts := true
			r := realRunner(l, path, func() error {
				if cuts && rng.IntN(30) == 0 {
					return &warehouse.Error{Op: "load", Kind: warehouse.Denied, Err: errLost.Err}
				}
				return nil
			})
			var at uint64
			swapped := 0
			for range 14 {
				var o load.Order
				switch rng.IntN(5) {
				case 0, 1:
					n := 1 + rng.IntN(120)
					l.commit("a", journal, at+uint64(n), mixed(rng, at, n)...)
					at += uint64(n)
					continue
				case 2:
					o.Rebuild = true
				case 3:
					if at > 0 {
						opened(t, path, func(db *sql.DB) {
							if len(texts(t, db, "SELECT 1 FROM information_schema.tables WHERE table_schema = 'a' AND table_name = 'clicked'")) > 0 {
								texts(t, db, "DELETE FROM a.clicked WHERE hash(id) % 3 = 0")
							}
						})
					}
					o.From = time.Unix(1, 0)
				}
				_, err := r.Do(t.Context(), o, nil)
				if err != nil && warehouse.KindOf(err) != warehouse.Denied {
					t.Fatalf("seed %d: %+v: %v", seed, o, err)
				}
				if o.Rebuild && err == nil {
					swapped++
				}
			}
			cuts = false
			for _, o := range []load.Order{{}, {From: time.Unix(1, 0)}, {Rebuild: true}} {
				do(t, r, o)
			}
			want := filepath.Join(t.TempDir(), "plain.duckdb")
			do(t, realRunner(l, want, never), load.Order{})
			if diff := cmp.Diff(contents(t, want, "a"), contents(t, path, "a")); diff != "" {
				t.Errorf("seed %d, %d swaps: tables differ from those of one load (-want +got):\n%s", seed, swapped, diff)
			}
			opened(t, path, func(db *sql.DB) {
				left := texts(t, db, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '\\_firth\\_rebuild%' ESCAPE '\\'")
				left = append(left, texts(t, db, "SELECT source FROM _firth.positions WHERE source LIKE '%#%'")...)
				if len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		})
	}
}

// TestARealRebuildMendsAFirstType: a wrong first type, a column that a person added and one nobody sends any more.
func TestARealRebuildMendsAFirstType(t *testing.T) {
	l, path := newFakeLake(), filepath.Join(t.TempDir(), "remote.duckdb")
	l.commit("a", journal, 1, call(0, `{"plan": 5}`))
	r := realRunner(l, path, never)
	do(t, r, load.Order{})
	rest := calls(1, 120, 1)
	for i := range rest {
		rest[i].Properties = fmt.Appendf(nil, `{"plan": "pro %d"}`, i)
	}
	l.commit("a", journal, 121, rest...)
	do(t, r, load.Order{})
	opened(t, path, func(db *sql.DB) {
		texts(t, db, "ALTER TABLE a.clicked ADD COLUMN note VARCHAR")
		texts(t, db, "UPDATE a.clicked SET note = 'mine' WHERE id = 'm000007'")
		if got := texts(t, db, "SELECT count(*) FROM a.firth_discards"); got[0] != "120" {
			t.Fatalf("%s discards before", got)
		}
	})
	report := do(t, r, load.Order{Rebuild: true, Source: "a", Tables: []string{"clicked"}})
	if report.Run.Tables["a.clicked"] != 121 {
		t.Errorf("%+v", report.Run)
	}
	l.commit("a", journal, 130, call(125, `{"plan": "new", "seats": 2}`))
	do(t, r, load.Order{})
	opened(t, path, func(db *sql.DB) {
		for question, want := range map[string][]string{
			"SELECT plan FROM a.clicked WHERE id IN ('m000000', 'm000001', 'm000125') ORDER BY id": {"5", "pro 0", "new"},
			"SELECT count(*), count(DISTINCT id), count(seats) FROM a.clicked":                     {"122 122 1"},
			"SELECT note FROM a.clicked WHERE id = 'm000007'":                                      {"mine"},
			"SELECT count(*) FROM a.tracks":                                                        {"122"},
			"SELECT count(*) FROM a.firth_discards":                                                {"0"},
		} {
			if got := texts(t, db, question); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", question, got, want)
			}
		}
	})
}
