package engine

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the database that is mirrored

	"firth/test/engine/stand"
)

// companies makes the database of a company, and returns what firth.yaml says of it and of the warehouse that its mirror goes into.
func companies(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "company.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		"CREATE TABLE companies (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
		"INSERT INTO companies VALUES (0, 'Acme'), (1, 'Größer'), (2, 'It''s'), (3, '日本'), (7, 'Nobody')",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf(`warehouses: { tables: { type: iceberg, every: 1s } }
databases: { company: { type: sqlite, url: %s } }
mirrors: { companies: { from: { database: company, table: companies }, into: { warehouse: tables, schema: crm } } }
`, path)
}

// Engines join a mirrored company table with events, see a column that comes later, and none of a person who was forgotten.
func TestEnginesJoinCompaniesWithEvents(t *testing.T) {
	a := newAsker(t)
	s := stand.New(t, false, companies(t))
	s.Send("production", 100, "")
	run(t, s, "sync", "companies")
	var want [][2]any
	for _, name := range []string{"Acme", "Größer", "It's", "日本"} {
		want = append(want, [2]any{name, float64(20)})
	}
	joined := func(when string, want [][2]any) {
		t.Helper()
		for _, engine := range engines {
			got := attached[[][2]any](t, a, s, engine, "join", "lake.production", "crm.companies")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: %s", when, engine, diff)
			}
		}
	}
	joined("at first", want)
	run(t, s, "load", "tables")
	for _, engine := range engines {
		rows, columns := countOf(t, a, s, engine, "production.tracks")
		if rows != 100 || slices.Contains(columns, "event_text_2") {
			t.Errorf("%s: %d tracks, %q", engine, rows, columns)
		}
	}
	s.Send("production", 5, `, "later": "a new column"`) // every company gets one more
	run(t, s, "load", "tables")
	for _, engine := range engines {
		rows, columns := countOf(t, a, s, engine, "production.opened")
		if rows != 27 || !slices.Contains(columns, "later") {
			t.Errorf("%s: %d rows of opened, %q", engine, rows, columns)
		}
	}
	for i := range want {
		want[i][1] = float64(21)
	}
	joined("with more events", want)
	if _, err := s.Run("lake", "purge", "--user", "user 3", "--grace", "0s"); err != nil {
		t.Fatal(err)
	}
	left := s.MustAsk("SELECT count(*), count(*) FILTER (user_id = 'user 3') FROM lake.production")[0]
	if left[1] != "0" || left[0] == "105" {
		t.Errorf("after a purge: %q", left)
	}
	from, to := stand.Start, stand.Start.Add(24*time.Hour)
	for _, engine := range engines {
		got := attached[map[string]found](t, a, s, engine, "tables", stand.Events[1], from.Format(isoTime), to.Format(isoTime))
		compare(t, map[string]found{"production": known(t, s, "production", stand.Events[1], from, to)}, map[string]found{"production": got["production"]})
		if rows, _ := countOf(t, a, s, engine, "production.tracks"); fmt.Sprint(rows) != left[0] {
			t.Errorf("%s: %d tracks after a purge, want %s", engine, rows, left[0])
		}
	}
}

// countOf is how many rows an engine finds in a table, and the names of its columns.
func countOf(t *testing.T, a *asker, s *stand.Stand, engine, table string) (int, []string) {
	t.Helper()
	got := attached[[2]any](t, a, s, engine, "count", table)
	n, _ := got[0].(float64)
	return int(n), strings.Fields(strings.Trim(fmt.Sprint(got[1]), "[]"))
}
