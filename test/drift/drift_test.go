package drift_test

import (
	"slices"
	"strings"
	"testing"

	"firth/internal/mirror"
)

// change is what happens to a table between two runs. Before it is d (id, seq, a, n) with three rows; after it the rows are other ones.
type change struct {
	name       string
	postgres   []string
	mysql      []string
	columns    []string            // of the source afterwards
	rows       map[string][]string // of the source afterwards, by id, in the order of columns; those of 2 and 4 are new
	told       string              // a word of what the run says where the policy lets it
	stays      map[string]string   // values that a table cannot hold whose type stays, and what becomes of them: ~
	staysEvery bool                // they stay in evolve, too, where the table is not replaced
}

var before = map[string][]string{"1": {"1", "1", "one", "10"}, "2": {"2", "2", "two", "20"}, "3": {"3", "3", "~", "30"}}

const (
	newRows = "UPDATE d SET seq = 11 WHERE id = 2"
	newRow  = "INSERT INTO d (id, seq) VALUES (4, 12)"
)

func changes() []change {
	return []change{
		{
			name: "add", postgres: []string{"ALTER TABLE d ADD COLUMN b text", newRows, "INSERT INTO d VALUES (4, 12, 'four', 40, 'new')"},
			columns: []string{"id", "seq", "a", "n", "b"}, told: "column b",
			rows: map[string][]string{"1": {"1", "1", "one", "10", "~"}, "2": {"2", "11", "two", "20", "~"}, "3": {"3", "3", "~", "30", "~"}, "4": {"4", "12", "four", "40", "new"}},
		},
		{
			name: "drop", postgres: []string{"ALTER TABLE d DROP COLUMN a", newRows, "INSERT INTO d VALUES (4, 12, 40)"},
			columns: []string{"id", "seq", "n"}, told: "column a",
			rows: map[string][]string{"1": {"1", "1", "10"}, "2": {"2", "11", "20"}, "3": {"3", "3", "30"}, "4": {"4", "12", "40"}},
		},
		{
			name: "rename", postgres: []string{"ALTER TABLE d RENAME COLUMN a TO z", newRows, newRow},
			columns: []string{"id", "seq", "z", "n"}, told: "column z",
			rows: map[string][]string{"1": {"1", "1", "one", "10"}, "2": {"2", "11", "two", "20"}, "3": {"3", "3", "~", "30"}, "4": {"4", "12", "~", "~"}},
		},
		{
			name: "widen", postgres: []string{"ALTER TABLE d ALTER COLUMN n TYPE bigint", newRows, "INSERT INTO d VALUES (4, 12, NULL, 5000000000)"},
			mysql:   []string{"ALTER TABLE d MODIFY COLUMN n BIGINT", newRows, "INSERT INTO d VALUES (4, 12, NULL, 5000000000)"},
			columns: []string{"id", "seq", "a", "n"}, told: "column n", stays: map[string]string{"5000000000": "~"},
			rows: map[string][]string{"1": {"1", "1", "one", "10"}, "2": {"2", "11", "two", "20"}, "3": {"3", "3", "~", "30"}, "4": {"4", "12", "~", "5000000000"}},
		},
		{
			name: "to text", postgres: []string{"ALTER TABLE d ALTER COLUMN n TYPE text", newRows, "INSERT INTO d VALUES (4, 12, NULL, 'many')"},
			mysql:   []string{"ALTER TABLE d MODIFY COLUMN n TEXT", newRows, "INSERT INTO d VALUES (4, 12, NULL, 'many')"},
			columns: []string{"id", "seq", "a", "n"}, told: "column n", stays: map[string]string{"many": "~"},
			rows: map[string][]string{"1": {"1", "1", "one", "10"}, "2": {"2", "11", "two", "20"}, "3": {"3", "3", "~", "30"}, "4": {"4", "12", "~", "many"}},
		},
		{
			name: "from text", postgres: []string{"UPDATE d SET a = id", "ALTER TABLE d ALTER COLUMN a TYPE int USING a::int", newRows, "INSERT INTO d VALUES (4, 12, 4, 40)", "UPDATE d SET seq = 13 WHERE id = 1", "UPDATE d SET seq = 14 WHERE id = 3"},
			mysql:   []string{"UPDATE d SET a = id", "ALTER TABLE d MODIFY COLUMN a INT", newRows, "INSERT INTO d VALUES (4, 12, 4, 40)", "UPDATE d SET seq = 13 WHERE id = 1", "UPDATE d SET seq = 14 WHERE id = 3"},
			columns: []string{"id", "seq", "a", "n"}, told: "column a",
			rows: map[string][]string{"1": {"1", "13", "1", "10"}, "2": {"2", "11", "2", "20"}, "3": {"3", "14", "3", "30"}, "4": {"4", "12", "4", "40"}},
		},
		{
			name: "apart", postgres: []string{"ALTER TABLE d ALTER COLUMN n TYPE jsonb USING to_jsonb(n)", newRows, `INSERT INTO d VALUES (4, 12, NULL, '[1]')`},
			mysql:   []string{"ALTER TABLE d MODIFY COLUMN n JSON", newRows, `INSERT INTO d VALUES (4, 12, NULL, '[1]')`},
			columns: []string{"id", "seq", "a", "n"}, told: "column n", stays: map[string]string{"[1]": "~"}, staysEvery: true,
			rows: map[string][]string{"1": {"1", "1", "one", "10"}, "2": {"2", "11", "two", "20"}, "3": {"3", "3", "~", "30"}, "4": {"4", "12", "~", "[1]"}},
		},
	}
}

var driftModes = map[string]mirror.Config{
	"replace": {Mode: "replace"},
	"append":  {Mode: "append", Cursor: "seq", Late: &mirror.Late{Count: 0}},
	"upsert":  {Mode: "upsert", Key: []string{"id"}},
	"cursor":  {Mode: "upsert", Key: []string{"id"}, Cursor: "seq", Late: &mirror.Late{Count: 0}},
}

// TestDrift changes tables between runs, in each mode, for each target and policy, and compares with what docs/mirrors.md says becomes of them.
func TestDrift(t *testing.T) {
	for _, from := range []string{"postgres", "mysql"} {
		for _, to := range []string{"duckdb", "postgres", "mysql"} {
			if from == "mysql" && to != "mysql" {
				continue // the same code as the others
			}
			t.Run(from+"/"+to, func(t *testing.T) {
				t.Parallel()
				s, w := newSource(t, from), newTarget(t, to)
				for _, c := range changes() {
					for mode := range driftModes {
						for _, policy := range []string{"evolve", "freeze", "report"} {
							if policy != "evolve" && (mode == "append" || mode == "upsert") {
								continue // as the other two
							}
							t.Run(c.name+"/"+mode+"/"+policy, func(t *testing.T) {
								s.t, w.t = t, t
								w.drift(s, c, mode, policy)
							})
						}
					}
				}
			})
		}
	}
}

func newSource(t *testing.T, kind string) *side {
	if kind == "mysql" {
		return newMaria(t)
	}
	return newPostgres(t, "15")
}

func (s *side) baseTable() {
	text := map[string]string{"mysql": "varchar(50)", "postgres": "text"}[s.kind]
	s.exec("DROP TABLE IF EXISTS d", "CREATE TABLE d (id int PRIMARY KEY, seq bigint, a "+text+", n int)", "INSERT INTO d VALUES (1, 1, 'one', 10), (2, 2, 'two', 20), (3, 3, NULL, 30)")
}

func (w *stand) drift(s *side, c change, mode, policy string) {
	t := w.t
	s.baseTable()
	schema := schemaOf(t)
	config := driftModes[mode]
	config.Drift = policy
	m := w.mirror(s, schema, "d", config)
	w.mustRun(m)
	first := w.content(schema, "d", "id", "seq", "a", "n")
	statements := c.postgres
	if s.kind == "mysql" && c.mysql != nil {
		statements = c.mysql
	}
	if s.kind == "mysql" && c.name == "add" {
		statements = append([]string{"ALTER TABLE d ADD COLUMN b varchar(50)"}, statements[1:]...)
	}
	s.exec(statements...)
	r, err := w.run(m)
	if policy == "freeze" {
		if err == nil || !strings.Contains(err.Error(), c.told) || !strings.Contains(err.Error(), "freeze") {
			t.Fatalf("the run says %v\n%s", err, r.Text())
		}
		same(t, "the columns", w.columns(schema, "d"), "a", "id", "n", "seq")
		same(t, "the table", w.content(schema, "d", "id", "seq", "a", "n"), first...)
		config.Drift = "evolve" // as the advice says
		m = w.mirror(s, schema, "d", config)
		r, err = w.run(m)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Text())
	}
	if !strings.Contains(r.Text(), c.told) {
		t.Errorf("the run does not tell of %s:\n%s", c.told, r.Text())
	}
	c.compare(w, schema, mode, policy, r)
	again := w.mustRun(m)
	if mode == "replace" {
		again.Inserted, again.Deleted = 0, 0
	}
	if again.Inserted+again.Updated+again.Deleted != 0 || policy != "report" && strings.Contains(again.Text(), "column ") {
		t.Errorf("nothing has changed, and the run says %s", again.Text())
	}
	c.compare(w, schema, mode, policy, r)
}

// compare compares a table with what it has to be after the second run.
func (c *change) compare(w *stand, schema, mode, policy string, r *mirror.Report) {
	w.t.Helper()
	columns := []string{"id", "seq", "a", "n"}
	if policy != "report" {
		if mode == "replace" {
			columns = c.columns
		}
		for _, name := range c.columns {
			if !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	same(w.t, "the columns", w.columns(schema, "d"), slices.Clone(columns)...)
	if w.t.Failed() {
		return
	}
	var want []string
	rejects := 0
	old := []string{"id", "seq", "a", "n"}
	for id, row := range c.rows {
		was := before[id]
		read := mode == "replace" || mode == "upsert" || was == nil || was[1] != row[1]
		if was != nil && (!read || mode == "append") {
			want = append(want, cells(columns, old, was, nil, nil))
		}
		if !read {
			continue
		}
		var stays map[string]string
		if policy == "report" || c.staysEvery && mode != "replace" {
			stays = c.stays
		}
		want = append(want, cells(columns, c.columns, row, stays, &rejects))
	}
	got := w.content(schema, "d", columns...)
	same(w.t, "the table", got, want...)
	if int(r.Rejects) != rejects {
		w.t.Errorf("%d rejects, wanted %d: %s", r.Rejects, rejects, r.Text())
	}
	if rejects > 0 {
		same(w.t, "the rejects", w.content(schema, "d__rejects", "value"), c.rejected())
	}
}

func (c *change) rejected() string {
	for value := range c.stays {
		return value
	}
	return ""
}

// cells is a row in other columns.
func cells(columns, of, row []string, stays map[string]string, rejects *int) string {
	out := make([]string, len(columns))
	for i, name := range columns {
		out[i] = "~"
		if at := slices.Index(of, name); at >= 0 {
			out[i] = row[at]
			if instead, ok := stays[row[at]]; ok {
				out[i] = instead
				*rejects++
			}
		}
	}
	return strings.Join(out, "|")
}
