package infer

import (
	"encoding/json"
	"strings"
	"testing"

	"firth/internal/vector"
)

// The faults that inference by counting cells is known for, a test each.

func TestFaultBlanksAreNoNumbers(t *testing.T) {
	// Whole numbers with one blank: no number type holds all, so it is text, with nothing lost.
	docs := parse(t, `{"_id":1,"n":5}`, `{"_id":2,"n":""}`, `{"_id":3,"n":7}`)
	_, c := load(t, Options{}, docs)
	same(t, "types", types(c.Columns), "_id integer, n text")
	same(t, "rows", table(c), "_id=1 n=5\n_id=2 n=\n_id=3 n=7")

	// With a lower threshold it is an integer, and the blank is listed, not made 0 or NULL unseen.
	o := Options{Threshold: 0.6}
	_, c = load(t, o, docs)
	same(t, "types", types(c.Columns), "_id integer, n integer")
	same(t, "rows", table(c), "_id=1 n=5\n_id=2\n_id=3 n=7\n! 1 n : a string is not an integer")
	r := count(o, docs).Report()
	if f := field(t, r, "n"); f.Probability > 0.67 || len(f.Losing) != 1 || f.Losing[0].Examples[0].ID != "2" {
		t.Errorf("the report says %+v", f)
	}

	// One text among two blanks is text.
	_, c = load(t, Options{}, parse(t, `{"n":""}`, `{"n":"x"}`, `{"n":" "}`))
	same(t, "types", types(c.Columns), "n text")
	same(t, "rows", table(c), "n=\nn=x\nn= ")
	// And blanks alone are text, too.
	_, c = load(t, Options{}, parse(t, `{"n":""}`, `{"n":""}`))
	same(t, "types", types(c.Columns), "n text")
}

func TestFaultAllOnesIsATieThatAPersonDecides(t *testing.T) {
	docs := parse(t, `{"flag":1}`, `{"flag":1}`, `{"flag":0}`)
	_, c := load(t, Options{}, docs)
	same(t, "types", types(c.Columns), "flag integer")
	r := count(Options{}, docs).Report()
	if !strings.Contains(r.Override, "flag: integer # all values are 0 or 1: boolean would hold them, too") {
		t.Errorf("nobody is asked:\n%s", r.Text())
	}
	_, c = load(t, Options{Overrides: map[string]Override{"flag": {Type: &vector.Type{Kind: vector.Bool}}}}, docs)
	same(t, "types", types(c.Columns), "flag boolean")
	same(t, "rows", table(c), "flag=true\nflag=true\nflag=false")
}

func TestFaultAMajorityTakesNoTypeThatTheMinorityIsNotIn(t *testing.T) {
	docs := parse(t, `{"_id":"a","v":1}`, `{"_id":"b","v":2}`, `{"_id":"c","v":3}`, `{"_id":"d","v":"four"}`)
	_, c := load(t, Options{}, docs)
	same(t, "types", types(c.Columns), "_id text, v text")
	same(t, "rows", table(c), "_id=a v=1\n_id=b v=2\n_id=c v=3\n_id=d v=four")
	// What a majority decides is said: which value, of which document.
	r := count(Options{Threshold: 0.75}, docs).Report()
	f := field(t, r, "v")
	if f.Type != "integer" || f.Probability != 0.75 || len(f.Losing) != 1 || f.Losing[0].Examples[0] != (Example{ID: "d", Value: `"four"`}) {
		t.Errorf("the report says %+v", f)
	}
	if text := r.Text(); !strings.Contains(text, `! 1 string would be rejected: "four" (d)`) || !strings.Contains(text, "75.0%") {
		t.Errorf("the text does not say it:\n%s", text)
	}
}

func TestFaultLaterFieldsAreNotLost(t *testing.T) {
	// In the sample.
	_, c := load(t, Options{}, parse(t, `{"a":1}`, `{"a":2,"b":"late"}`))
	same(t, "rows", table(c), "a=1\na=2 b=late")
	// And behind it.
	s := NewShaper(count(Options{}, parse(t, `{"a":1}`)).Plan(), Options{})
	c = s.Chunk()
	if grown, err := s.Shape(parse(t, `{"a":1}`, `{"a":2,"b":"late","c":{"d":true}}`, `{"b":"again"}`), c); !grown || err != nil {
		t.Fatalf("grown %v, %v", grown, err)
	}
	same(t, "types", types(s.Plan().Columns), "a integer, b text, c_d boolean")
	same(t, "rows", table(c), "a=1\na=2 b=late c_d=true\nb=again")
}

func TestFaultAnEmptyObjectIsKept(t *testing.T) {
	_, c := load(t, Options{}, parse(t, `{"_id":1,"o":{}}`, `{"_id":2}`, `{"_id":3,"o":null}`))
	same(t, "types", types(c.Columns), "_id integer, o json")
	same(t, "rows", table(c), "_id=1 o={}\n_id=2\n_id=3")
	// Beside objects with fields it is told from a missing one.
	_, c = load(t, Options{}, parse(t, `{"_id":1,"o":{"a":1}}`, `{"_id":2,"o":{}}`, `{"_id":3}`))
	same(t, "types", types(c.Columns), "_id integer, o json, o_a integer")
	same(t, "rows", table(c), "_id=1 o_a=1\n_id=2 o={}\n_id=3")
}

func TestFaultNamesThatCollideAreToldApart(t *testing.T) {
	docs := parse(t, `{"a_b":1,"a":{"b":2},"a.b":3,"A_B":4}`)
	_, c := load(t, Options{}, docs)
	same(t, "types", types(c.Columns), "a_b integer, a_b_2 integer, a_b_3 integer, A_B_4 integer")
	same(t, "rows", table(c), "a_b=1 a_b_2=2 a_b_3=3 A_B_4=4")
	r := count(Options{}, docs).Report()
	if len(r.Collisions) != 3 || r.Collisions[0] != (Collision{Path: "a.b", Name: "a_b_2", With: "a_b"}) {
		t.Errorf("collisions %+v", r.Collisions)
	}
	if text := r.Text(); !strings.Contains(text, `a\.b becomes a_b_3: its name is that of a_b`) {
		t.Errorf("the text does not say it:\n%s", text)
	}
	// The order of a later run changes nothing.
	s := NewShaper(count(Options{}, docs).Plan(), Options{})
	c = s.Chunk()
	if grown, _ := s.Shape(parse(t, `{"A_B":4,"a.b":3,"a":{"b":2},"a_b":1}`), c); grown {
		t.Error("the plan grew")
	}
	same(t, "rows", table(c), "a_b=1 a_b_2=2 a_b_3=3 A_B_4=4")
}

func TestFaultARunAgainMakesTheSameRows(t *testing.T) {
	docs := parse(t, `{"_id":1,"x":{"y":[1,{"z":2.50}]},"t":"5"}`, `{"_id":2,"x":{},"t":null}`, `{"_id":3,"late":1}`)
	s, c := load(t, Options{}, docs[:1])
	if _, err := s.Shape(docs[1:], c); err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(s.Plan())
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePlan(stored)
	if err != nil {
		t.Fatal(err)
	}
	again := NewShaper(p, Options{})
	d := again.Chunk()
	if grown, err := again.Shape(docs, d); grown || err != nil {
		t.Fatalf("grown %v, %v", grown, err)
	}
	if table(c) != table(d) {
		t.Errorf("the second run makes\n%snot\n%s", table(d), table(c))
	}
	for i, v := range c.Vectors {
		for row := range c.Rows {
			if v.Hash(row) != d.Vectors[i].Hash(row) {
				t.Errorf("row %d, column %s hashes otherwise", row, c.Columns[i].Name)
			}
		}
	}
}

// field finds a path in a report.
func field(t testing.TB, r *Report, path string) *FieldReport {
	t.Helper()
	for i := range r.Fields {
		if r.Fields[i].Path == path {
			return &r.Fields[i]
		}
	}
	t.Fatalf("no field %s in the report", path)
	return nil
}
