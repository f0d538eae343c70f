package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/test/engine/stand"
)

// Engines that attach by URL and token see what Firth's own SQL sees, join a mirrored company table with events, see a column that comes later and
// none of a person who was forgotten, before and after merges and retention, and cannot change anything.
func TestEnginesAttach(t *testing.T) {
	python(t) // installed once, before two ask for it at a time
	for name, onStore := range map[string]bool{"disk": false, "store": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // much of it is waiting
			company := stand.NewCompany(t)
			story(t, newAsker(t), stand.New(t, onStore, company.Config()), company)
		})
	}
}

func story(t *testing.T, a *asker, s *stand.Stand, company *stand.Company) {
	const part, parts = 100, 3
	for range parts {
		s.Send("production", part, "")
	}
	s.Send("staging", 40, "")
	run(t, s, "sync", "companies")
	run(t, s, "load", "tables")
	sameAnswers(t, a, s, "at first")
	checkSnapshots(t, a, s, part, parts)
	snippets(t, a, s)
	want := [][2]any{{"Acme", 60.0}, {"Größer", 60.0}, {"It's", 60.0}, {"日本", 60.0}}
	joined(t, a, s, "at first", want)
	table(t, a, s, "production.tracks", part*parts, "later", false)
	table(t, a, s, "crm.companies", 5, "country", false)

	s.Send("production", 5, `, "later": "a new column"`) // every company gets one more
	company.Change("ALTER TABLE companies ADD COLUMN country TEXT", "INSERT INTO companies VALUES (4, 'Later', 'DE')")
	run(t, s, "sync", "companies")
	run(t, s, "load", "tables")
	for i := range want {
		want[i][1] = 61.0
	}
	want = slices.Insert(want, 3, [2]any{"Later", 61.0})
	joined(t, a, s, "with more events", want)
	table(t, a, s, "production.opened", 77, "later", true)
	table(t, a, s, "crm.companies", 6, "country", true)
	run(t, s, "lake", "merge")
	sameAnswers(t, a, s, "merged")

	run(t, s, "lake", "purge", "--user", "user 3", "--grace", "0s")
	left := s.MustAsk("SELECT count(*), count(*) FILTER (user_id = 'user 3') FROM lake.production")[0]
	if left[1] != "0" || left[0] == "305" {
		t.Errorf("after a purge: %q", left)
	}
	sameAnswers(t, a, s, "after a purge")
	for _, engine := range engines {
		if rows, _ := countOf(t, a, s, engine, "production.tracks"); fmt.Sprint(rows) != left[0] {
			t.Errorf("%s: %d tracks after a purge, want %s", engine, rows, left[0])
		}
	}
	refuseWrites(t, a, s)
	sameAnswers(t, a, s, "after retention, and writes that were refused")
}

// joined lets the engines count events by the name of their company.
func joined(t *testing.T, a *asker, s *stand.Stand, when string, want [][2]any) {
	t.Helper()
	for _, engine := range engines {
		got := attached[[][2]any](t, a, s.Catalog(), engine, "join", "lake.production", "crm.companies")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %s: %s", when, engine, diff)
		}
	}
}

// table compares the rows that the engines see in a table, and whether there is a column.
func table(t *testing.T, a *asker, s *stand.Stand, name string, want int, column string, has bool) {
	t.Helper()
	for _, engine := range engines {
		if rows, columns := countOf(t, a, s, engine, name); rows != want || slices.Contains(columns, column) != has {
			t.Errorf("%s: %d rows of %s, want %d; %q", engine, rows, name, want, columns)
		}
	}
}

// countOf is how many rows an engine finds in a table, and the names of its columns.
func countOf(t *testing.T, a *asker, s *stand.Stand, engine, table string) (int, []string) {
	t.Helper()
	got := attached[[2]any](t, a, s.Catalog(), engine, "count", table)
	n, _ := got[0].(float64)
	return int(n), strings.Fields(strings.Trim(fmt.Sprint(got[1]), "[]"))
}

// snippets runs the code of the page as it stands there.
func snippets(t *testing.T, a *asker, s *stand.Stand) {
	t.Helper()
	if got := attached[int](t, a, s.Catalog(), "pyiceberg", "snippet", s.Snippet("PyIceberg")); got != 75 {
		t.Errorf("the page's code for PyIceberg finds %d rows, want 75", got)
	}
	snapshot := attached[[][2]int64](t, a, s.Catalog(), "duckdb", "snapshots", "lake.production")[0]
	code := strings.ReplaceAll(s.Snippet("DuckDB"), "4711", fmt.Sprint(snapshot[0]))
	got := attached[[]int64](t, a, s.Catalog(), "duckdb", "snippet", strings.ReplaceAll(code, "'TOKEN'", "'"+stand.Token+"'"))
	if diff := cmp.Diff([]int64{300, snapshot[1]}, got); diff != "" {
		t.Errorf("the page's code for DuckDB: %s", diff)
	}
}
