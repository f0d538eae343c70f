package drift_test

import (
	"slices"
	"strings"
	"testing"

	"firth/internal/mirror"
)

// TestPeople lets a column change that people have an index and a view on: the run publishes, and both are there; or it says what stands in its
// way, and the table is as it was.
func TestPeople(t *testing.T) {
	s := newPostgres(t, "15")
	for _, to := range []string{"duckdb", "postgres", "mysql"} {
		w := newTarget(t, to)
		for _, c := range changes() {
			if !slices.Contains([]string{"drop", "widen", "to text"}, c.name) {
				continue
			}
			for _, mode := range []string{"replace", "upsert"} {
				t.Run(to+"/"+c.name+"/"+mode, func(t *testing.T) {
					s.t, w.t = t, t
					w.people(s, c, mode)
				})
			}
		}
	}
}

func (w *stand) people(s *side, c change, mode string) {
	t := w.t
	s.baseTable()
	schema := schemaOf(t)
	m := w.mirror(s, schema, "d", driftModes[mode])
	w.mustRun(m)
	table, view := w.name(schema)+"."+w.name("d"), w.name(schema)+"."+w.name("v")
	w.exec("CREATE INDEX people ON "+table+" (n)", "CREATE VIEW "+view+" AS SELECT id, a, n FROM "+table)
	before := w.content(schema, "d", "id", "seq", "a", "n")
	s.exec(c.postgres...)
	r, err := w.run(m)
	if err != nil {
		t.Logf("%s", r.Text())
		if mode != "replace" || c.name != "drop" || !strings.Contains(r.Text(), "hint:") {
			t.Fatal(err)
		}
		same(t, "the table", w.content(schema, "d", "id", "seq", "a", "n"), before...)
		return
	}
	if strings.Contains(r.Text(), "it stays, with NULLs") {
		same(t, "the table", w.content(schema, "d", "id", "seq", "a", "n"), "1|1|~|10", "2|11|~|20", "3|3|~|30", "4|12|~|40")
		same(t, "the view", w.content(schema, "v", "id", "a", "n"), "1|~|10", "2|~|20", "3|~|30", "4|~|40")
		return
	}
	c.compare(w, schema, mode, mirror.DriftEvolve, r)
	if mode == "replace" && c.name == "drop" {
		return // the view names a column that the source has no longer
	}
	if got := w.content(schema, "v", "id", "n"); len(got) != 4 {
		t.Errorf("the view has %v", got)
	}
	indexes := map[string]string{
		"duckdb": "SELECT index_name FROM duckdb_indexes() WHERE index_name = 'people' AND schema_name = '" + schema + "'",
		"mysql":  "SELECT DISTINCT index_name FROM information_schema.statistics WHERE index_name = 'people' AND table_schema = '" + schema + "'",
	}[w.kind]
	if w.kind == "postgres" {
		indexes = "SELECT indexname FROM pg_indexes WHERE indexname = 'people' AND schemaname = '" + schema + "'"
	}
	same(t, "the indexes", w.rows(indexes), "people")
}
