package infer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"firth/internal/document"
	"firth/internal/vector"
)

// parse reads documents as JSON.
func parse(t testing.TB, texts ...string) []document.Value {
	t.Helper()
	var a document.Arena
	out := make([]document.Value, len(texts))
	for i, text := range texts {
		v, err := document.Parse([]byte(text), &a)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		out[i] = v
	}
	return out
}

// count makes a Counter that has seen documents.
func count(o Options, docs []document.Value) *Counter {
	c := NewCounter(o)
	for i := range docs {
		c.Add(&docs[i])
	}
	return c
}

// table is a chunk as text: a line a row, column=value, NULLs left out; then the rejects.
func table(c *vector.Chunk) string {
	var b strings.Builder
	for row := range c.Rows {
		var parts []string
		for i, col := range c.Columns {
			if c.Vectors[i].Len() != c.Rows {
				parts = append(parts, fmt.Sprintf("%s has %d values", col.Name, c.Vectors[i].Len()))
			} else if c.Vectors[i].Valid[row] {
				parts = append(parts, col.Name+"="+c.Vectors[i].Text(row))
			}
		}
		b.WriteString(strings.Join(parts, " ") + "\n")
	}
	for _, r := range c.Rejects {
		fmt.Fprintf(&b, "! %d %s %s: %s\n", r.Row, r.Column, r.Value, r.Reason)
	}
	return b.String()
}

// types are the columns with their types.
func types(columns []vector.Column) string {
	var out []string
	for _, c := range columns {
		out = append(out, c.Name+" "+c.Type.String())
	}
	return strings.Join(out, ", ")
}

// load plans from documents and shapes them.
func load(t testing.TB, o Options, docs []document.Value) (*Shaper, *vector.Chunk) {
	t.Helper()
	s := NewShaper(count(o, docs).Plan(), o)
	c := s.Chunk()
	grown, err := s.Shape(docs, c)
	if err != nil || grown {
		t.Fatalf("grown %v, err %v, columns now %s", grown, err, types(c.Columns))
	}
	return s, c
}

func same(t testing.TB, what, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

func TestPlainDocuments(t *testing.T) {
	docs := parse(t, `{"_id": 1, "name": "a", "plan": {"tier": "pro", "seats": 5}, "tags": ["x", 1]}`,
		`{"_id": 2, "name": null, "late": 1.5}`)
	s, c := load(t, Options{}, docs)
	same(t, "types", types(c.Columns), "_id integer, name text, plan_tier text, plan_seats integer, tags json, late float")
	same(t, "rows", table(c), "_id=1 name=a plan_tier=pro plan_seats=5 tags=[\"x\",1]\n_id=2 late=1.5\n")
	b, err := json.Marshal(s.Plan())
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePlan(b)
	if err != nil {
		t.Fatal(err)
	}
	again := NewShaper(p, Options{})
	c2 := again.Chunk()
	if grown, _ := again.Shape(docs, c2); grown || table(c2) != table(c) {
		t.Errorf("a stored plan shapes otherwise:\n%s", table(c2))
	}
	t.Log("\n" + count(Options{}, docs).Report().Text())
}
