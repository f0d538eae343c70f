package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/test/server"
)

var errKilled = errors.New("killed")

// at returns a step that fails when it is reached.
func at(step string, fn func() error) func(string) error {
	return func(name string) error {
		if name == step {
			return fn()
		}
		return nil
	}
}

// wantRows compares the rows of clicks and the value of the one user with what n rows give, and looks for leftovers.
func wantRows(t *testing.T, db *sql.DB, n uint64) {
	t.Helper()
	var rows, ids, user uint64
	err := db.QueryRowContext(t.Context(), "SELECT count(*), count(DISTINCT id), (SELECT n FROM production.users) FROM production.clicks").Scan(&rows, &ids, &user)
	if err != nil {
		t.Fatal(err)
	}
	if rows != n || ids != n || user != n {
		t.Errorf("%d rows of %d ids, and the user has %d; want %d", rows, ids, user, n)
	}
	var left string
	err = db.QueryRowContext(t.Context(), "SELECT coalesce(group_concat(table_schema, '.', table_name), '') FROM information_schema.tables "+
		"WHERE table_schema LIKE '\\_firth%' AND (table_schema <> '_firth' OR table_name NOT IN ('format', 'positions', 'tables', 'columns', 'swaps'))").Scan(&left)
	if err != nil || left != "" {
		t.Errorf("left behind: %s, %v", left, err)
	}
}

// TestKilledLoad ends a load at each of its steps, opens the warehouse anew and loads again.
func TestKilledLoad(t *testing.T) {
	m := server.MariaDB(t, version())
	for _, step := range []string{"change firth_discards", "change clicks", "change users", "begin", "commit"} {
		t.Run(step, func(t *testing.T) {
			m.Wipe()
			read := reader(t, m)
			db := open(t, m.Admin)
			db.SetStep(at(step, func() error { return errKilled }))
			if _, err := db.Load(t.Context(), rowsFrom(0, 10)); !errors.Is(err, errKilled) {
				t.Fatalf("load: %v", err)
			}
			db = open(t, m.Admin)
			r, err := db.Load(t.Context(), rowsFrom(0, 10))
			if err != nil || len(r.Notices) > 0 {
				t.Fatalf("load: %+v, %v", r, err)
			}
			wantRows(t, read, 10)
			tables, err := db.Catalogue(t.Context(), "production")
			if err != nil || len(tables) != 2 || len(tables[0].Columns) != 5 || tables[0].Columns[4].Path != "properties.n" {
				t.Errorf("catalogue %+v, %v", tables, err)
			}
		})
	}
}

// TestKilledSwap ends a swap at each of its steps and opens the warehouse anew, or goes on with it: the tables are the old ones or the
// new ones, and the swap that was undone can be done again.
func TestKilledSwap(t *testing.T) {
	m := server.MariaDB(t, version())
	swap := &warehouse.Swap{Source: "production", Schema: "production", RebuildSource: "production#rebuild", RebuildSchema: "_firth_rebuild_production", Tables: []string{"clicks", "users"}}
	for _, step := range []string{"swap recorded", "swap renamed", "swap settled", "swap dropped"} {
		for _, anew := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, opened anew %v", step, anew), func(t *testing.T) {
				m.Wipe()
				read := reader(t, m)
				db := open(t, m.Admin)
				load := func(w *warehouse.Batch) {
					t.Helper()
					if _, err := db.Load(t.Context(), w); err != nil {
						t.Fatal(err)
					}
				}
				load(rowsFrom(0, 10))
				w := rowsFrom(0, 10)
				w.Source, w.Schema = swap.RebuildSource, swap.RebuildSchema
				for _, b := range slices.Concat(w.Tables, w.Upserts) {
					b.Columns[4].Type = table.String
				}
				load(w)
				db.SetStep(at(step, func() error { return errKilled }))
				if _, err := db.Swap(t.Context(), swap); !errors.Is(err, errKilled) {
					t.Fatalf("swap: %v", err)
				}
				db.SetStep(func(string) error { return nil })
				if anew {
					db = open(t, m.Admin)
				}
				kind := func() table.Type {
					t.Helper()
					tables, err := db.Catalogue(t.Context(), "production")
					if err != nil || len(tables) != 2 {
						t.Fatalf("catalogue %+v, %v", tables, err)
					}
					return tables[0].Columns[4].Type
				}
				if undone := kind() == table.Integer; undone != (step == "swap recorded") {
					t.Errorf("undone: %v", undone)
				} else if undone {
					if _, err := db.Swap(t.Context(), swap); err != nil {
						t.Fatal(err)
					}
				}
				if kind() != table.String {
					t.Errorf("the column is %v", kind())
				}
				wantRows(t, read, 10)
				next := rowsFrom(10, 5)
				for _, b := range slices.Concat(next.Tables, next.Upserts) {
					b.Columns[4].Type = table.String
				}
				load(next)
				wantRows(t, read, 15)
			})
		}
	}
}

// TestCut cuts the connection after ever more bytes of a load; the next try loads what is missing.
func TestCut(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	read := reader(t, m)
	proxy := server.Fault(t, m.Addr())
	db := open(t, strings.Replace(m.Admin, m.Addr(), proxy.Addr, 1))
	var next uint64
	failed := 0
	for bytes := int64(100); bytes < 60_000; bytes = bytes*4/3 + 37 {
		w := rowsFrom(next, 500)
		if next%1000 == 0 { // now and again a column is new
			w.Tables[0].Columns = append(w.Tables[0].Columns, table.Column{Name: fmt.Sprintf("c%d", next), Type: table.String, Path: "properties.x"})
		}
		proxy.CutAfter(bytes)
		if _, err := db.Load(t.Context(), w); err != nil {
			failed++
			if k := warehouse.KindOf(err); k != warehouse.Down && k != warehouse.Timeout {
				t.Errorf("cut after %d bytes: %v of kind %s", bytes, err, k)
			}
		}
		proxy.CutAfter(-1)
		if _, err := db.Load(t.Context(), w); err != nil {
			t.Fatalf("after a cut: %v", err)
		}
		next += 500
		wantRows(t, read, next)
	}
	if failed < 10 {
		t.Errorf("only %d loads were cut", failed)
	}
}

// TestTerminated ends the session, the context and the server beneath a load that is about to commit.
func TestTerminated(t *testing.T) {
	m := server.OwnMariaDB(t, version())
	read := reader(t, m)
	var next uint64
	for _, c := range []struct {
		name string
		kind warehouse.Kind
		end  func(cancel func()) error
	}{
		{"KILL", warehouse.Down, func(func()) error {
			var id int64
			err := m.Open("mysql").QueryRowContext(t.Context(), "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx LIMIT 1").Scan(&id)
			if err == nil {
				m.Exec(fmt.Sprint("KILL ", id))
			}
			return err
		}},
		{"cancelled", warehouse.Unexpected, func(cancel func()) error { cancel(); return nil }},
		{"restarted", warehouse.Down, func(func()) error { m.Stop(); m.Start(); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := open(t, m.Admin)
			load := func(ctx context.Context) error {
				_, err := db.Load(ctx, rowsFrom(next, 100))
				return err
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			db.SetStep(at("commit", func() error { return c.end(cancel) }))
			err := load(ctx)
			if err == nil || warehouse.KindOf(err) != c.kind {
				t.Errorf("load: %v of kind %s, want %s", err, warehouse.KindOf(err), c.kind)
			}
			db.SetStep(func(string) error { return nil })
			// The server may take a while to notice that the session is gone.
			for deadline := time.Now().Add(time.Minute); ; {
				if err = load(t.Context()); err == nil {
					break
				}
				if time.Now().After(deadline) || warehouse.KindOf(err) != warehouse.Busy {
					t.Fatalf("load again: %v", err)
				}
			}
			next += 100
			wantRows(t, read, next)
		})
	}
}

// TestHalfStream: rows that end too early are not taken for all.
func TestHalfStream(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	read := reader(t, m)
	db := open(t, m.Admin)
	if _, err := db.Load(t.Context(), rowsFrom(0, 10)); err != nil {
		t.Fatal(err)
	}
	db.SetStream(func(r io.Reader) io.Reader { return io.MultiReader(io.LimitReader(r, 100), broken{}) })
	if _, err := db.Load(t.Context(), rowsFrom(10, 10)); err == nil {
		t.Error("loaded half a stream")
	}
	wantRows(t, read, 10)
	db.SetStream(func(r io.Reader) io.Reader { return io.LimitReader(r, 100) })
	if _, err := db.Load(t.Context(), rowsFrom(10, 10)); err == nil {
		t.Error("loaded a short stream")
	}
	wantRows(t, read, 10)
	db.SetStream(nil)
	if _, err := db.Load(t.Context(), rowsFrom(10, 10)); err != nil {
		t.Error(err)
	}
	wantRows(t, read, 20)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errKilled }
