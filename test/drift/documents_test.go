package drift_test

import (
	"strings"
	"testing"

	"firth/internal/mirror"
)

// field is what becomes of documents between two runs.
type field struct {
	name    string
	after   []string // the documents afterwards
	grows   bool     // the table would get a column, or a wider one
	evolve  []string // the columns afterwards
	rows    []string // in evolve
	rejects int
	left    bool     // in report it is left out of the columns, and kept in the one of extra fields
	report  []string // rows in report
}

var documents = []string{`{"id":1,"seq":1,"a":"one","n":10}`, `{"id":2,"seq":2,"a":"two","n":20}`}

func fields() []field {
	return []field{
		{name: "appears", after: append(documents[:2:2], `{"id":3,"seq":3,"a":"x","n":30,"b":"new"}`), grows: true,
			evolve: []string{"a", "b", "id", "n", "seq"}, rows: []string{"one|~|1|10|1", "two|~|2|20|2", "x|new|3|30|3"}, left: true, report: []string{"~|one|1|10|1", "~|two|2|20|2", `{"b":"new"}|x|3|30|3`}},
		{name: "vanishes", after: append(documents[:2:2], `{"id":3,"seq":3,"n":30}`),
			evolve: []string{"a", "id", "n", "seq"}, rows: []string{"one|1|10|1", "two|2|20|2", "~|3|30|3"}},
		{name: "widens", after: append(documents[:2:2], `{"id":3,"seq":3,"a":"x","n":30.5}`), grows: true,
			evolve: []string{"a", "id", "n", "seq"}, rows: []string{"one|1|10|1", "two|2|20|2", "x|3|30.5|3"}},
		{name: "conflicts", after: append(documents[:2:2], `{"id":3,"seq":3,"a":"x","n":"many"}`),
			evolve: []string{"a", "id", "n", "seq"}, rows: []string{"one|1|10|1", "two|2|20|2", "x|3|~|3"}, rejects: 1},
	}
}

// TestDocuments lets fields of documents appear, vanish and change their types.
func TestDocuments(t *testing.T) {
	for _, to := range []string{"duckdb", "postgres", "mysql"} {
		s, w := newProgram(t), newTarget(t, to)
		for _, f := range fields() {
			for mode, c := range driftModes {
				for _, policy := range []string{"evolve", "freeze", "report"} {
					if to != "duckdb" && policy != "evolve" {
						continue // decided before the target matters
					}
					t.Run(to+"/"+f.name+"/"+mode+"/"+policy, func(t *testing.T) {
						s.t, w.t = t, t
						c.Key, c.Drift = []string{"id"}, policy
						f.run(s, w, c)
					})
				}
			}
		}
	}
}

func (f *field) run(s *side, w *stand, c mirror.Config) {
	t := w.t
	schema := schemaOf(t)
	m := w.mirror(s, schema, "d", c)
	s.documents(documents...)
	w.mustRun(m)
	first := w.content(schema, "d", "a", "id", "n", "seq")
	s.documents(f.after...)
	r, err := w.run(m)
	if f.grows && c.Drift == "freeze" {
		if err == nil || !strings.Contains(err.Error(), "freeze") {
			t.Fatalf("the run says %v\n%s", err, r.Text())
		}
		same(t, "the table", w.content(schema, "d", "a", "id", "n", "seq"), first...)
		same(t, "the columns", w.columns(schema, "d"), "a", "id", "n", "seq")
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Text())
	}
	columns, rows, rejects := f.evolve, f.rows, f.rejects
	if c.Drift == "report" && f.left {
		columns, rows = []string{"_extra", "a", "id", "n", "seq"}, f.report
	}
	same(t, "the columns", w.columns(schema, "d"), columns...)
	if t.Failed() {
		t.Fatal(r.Text())
	}
	got := w.content(schema, "d", columns...)
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], ".0|", "|")
	}
	same(t, "the table", got, rows...)
	if int(r.Rejects) != rejects {
		t.Errorf("%d rejects: %s", r.Rejects, r.Text())
	}
	if c.Drift == "report" && f.grows && !strings.Contains(r.Text(), map[string]string{"appears": "_extra", "widens": "n"}[f.name]+" (") {
		t.Errorf("the run does not tell: %s", r.Text())
	}
}
