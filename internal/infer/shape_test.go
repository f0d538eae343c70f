package infer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"firth/internal/document"
	"firth/internal/vector"
)

func TestAFieldThatIsAnObjectSometimes(t *testing.T) {
	docs := parse(t, `{"a":5}`, `{"a":{"b":1}}`, `{"a":[1]}`, `{"a":{}}`, `{"a":null}`)
	_, c := load(t, Options{}, docs)
	same(t, "rows", types(c.Columns)+"\n"+table(c), `a integer, a_json json, a_b integer
a=5
a_b=1
a_json=[1]
a_json={}`)
	// Met one after the other, without a plan.
	s := NewShaper(&Plan{}, Options{})
	c = s.Chunk()
	if grown, err := s.Shape(docs, c); !grown || err != nil {
		t.Fatal(grown, err)
	}
	same(t, "rows", types(c.Columns)+"\n"+table(c), `a integer, a_b integer, a_json json
a=5
a_b=1
a_json=[1]
a_json={}`)
	// An array first: its column is JSON and takes everything.
	s = NewShaper(&Plan{}, Options{})
	c = s.Chunk()
	if _, err := s.Shape(parse(t, `{"a":[1]}`, `{"a":5}`, `{"a":"x"}`), c); err != nil {
		t.Fatal(err)
	}
	same(t, "rows", types(c.Columns)+"\n"+table(c), "a json\na=[1]\na=5\na=\"x\"")
}

func TestObjectsBelowTheDepthAreJSON(t *testing.T) {
	docs := parse(t, `{"a":{"b":{"c":{"d":{"e":1}}}}}`)
	for depth, want := range map[int]string{
		0:  `a_b_c_d json a_b_c_d={"e":1}`,
		1:  `a_b json a_b={"c":{"d":{"e":1}}}`,
		-1: `a json a={"b":{"c":{"d":{"e":1}}}}`,
		9:  `a_b_c_d_e integer a_b_c_d_e=1`,
	} {
		_, c := load(t, Options{Depth: depth}, docs)
		same(t, fmt.Sprint("depth ", depth), types(c.Columns)+" "+table(c), want)
	}
}

func TestArraysAsTables(t *testing.T) {
	docs := parse(t, `{"_id":"x","items":[{"sku":"a","n":1,"secret":1},{"sku":"b","deep":{"q":2.5},"l":[1]}],"tags":["t1",null]}`,
		`{"_id":"y","items":[],"tags":"t3"}`, `{"_id":"z"}`)
	o := Options{ArraysAsTables: []string{"items"}, Overrides: map[string]Override{"tags": {Arrays: "table"}, "items.n": {As: "amount"}},
		Exclude: []string{"items.secret"}}
	s, c := load(t, o, docs)
	same(t, "rows", types(c.Columns)+"\n"+table(c), "_id text, tags text\n_id=x\n_id=y tags=t3\n_id=z")
	want := map[string]string{
		"items": `_parent text, _ordinal integer, sku text, amount integer, deep_q float, l json
_parent=x _ordinal=1 sku=a amount=1
_parent=x _ordinal=2 sku=b deep_q=2.5 l=[1]`,
		"tags": `_parent text, _ordinal integer, value text
_parent=x _ordinal=1 value=t1
_parent=x _ordinal=2`,
	}
	check := func(s *Shaper) {
		t.Helper()
		if len(s.Children()) != 2 {
			t.Fatalf("%d tables", len(s.Children()))
		}
		for _, child := range s.Children() {
			same(t, child.Path, types(child.Chunk.Columns)+"\n"+table(child.Chunk), want[child.Name])
		}
	}
	check(s)
	// The plan of it is stored and gone on with.
	b, _ := json.Marshal(s.Plan())
	p, err := ParsePlan(b)
	if err != nil {
		t.Fatal(err)
	}
	again := NewShaper(p, o)
	if grown, err := again.Shape(docs, again.Chunk()); grown || err != nil {
		t.Fatal(grown, err)
	}
	check(again)
	// A late field of an element grows the table of the elements.
	if grown, _ := again.Shape(parse(t, `{"_id":"w","items":[{"late":true}]}`), again.Chunk()); !grown {
		t.Error("nothing grew")
	}
	for _, child := range again.Children() {
		if child.Name == "items" {
			same(t, "late", table(child.Chunk), "_parent=w _ordinal=1 late=true")
		}
	}
	// Without a plan the table is made when the first array comes.
	fresh := NewShaper(&Plan{}, o)
	if _, err := fresh.Shape(docs, fresh.Chunk()); err != nil {
		t.Fatal(err)
	}
	check(fresh)
	if text := count(o, docs).Report().Text(); !strings.Contains(text, "table __items of the array items: 2 documents") {
		t.Errorf("the report:\n%s", text)
	}
}

func TestFieldsBeyondTheLastColumnGoToExtra(t *testing.T) {
	o := Options{MaxColumns: 3}
	docs := parse(t, `{"_id":1,"rare":1,"a":{"b":2,"c":[3]}}`, `{"_id":2,"a":{"b":3},"odd":"x","n":null}`)
	s, c := load2(t, o, docs)
	same(t, "rows", types(c.Columns)+"\n"+table(c), `_id integer, a_b integer, _extra json
_id=1 a_b=2 _extra={"rare":1,"a.c":[3]}
_id=2 a_b=3 _extra={"odd":"x"}`)
	r := count(o, docs).Report()
	if strings.Join(r.Extra, " ") != "rare a.c odd" {
		t.Errorf("the report says %v", r.Extra)
	}
	// A later run knows the column, and a field of that name is not in its way.
	again := NewShaper(s.Plan(), o)
	c = again.Chunk()
	if grown, _ := again.Shape(parse(t, `{"_id":3,"_extra":5}`), c); grown {
		t.Error("the plan grew")
	}
	same(t, "rows", table(c), `_id=3 _extra={"_extra":5}`)
}

// load2 is load where the plan may grow.
func load2(t testing.TB, o Options, docs []document.Value) (*Shaper, *vector.Chunk) {
	t.Helper()
	s := NewShaper(count(o, docs).Plan(), o)
	c := s.Chunk()
	if _, err := s.Shape(docs, c); err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestExcludedValuesAreNowhere(t *testing.T) {
	texts := []string{
		`{"_id":1,"ok":1,"pw":"SECRET","a":{"pw":"SECRET","b":{"c":{"d":{"pw":"SECRET","e":1}}}},"l":[{"pw":"SECRET","x":1},[{"pw":"SECRET"}]]}`,
		`{"_id":2,"late":{"pw":"SECRET"},"a.pw":"SECRET","l":5,"a":[{"pw":"SECRET","y":2}]}`,
	}
	docs := parse(t, texts...)
	for _, o := range []Options{
		{Exclude: []string{"pw", "a.pw", "a.b.c.d.pw", "l.pw", "late.pw"}},
		{Columns: []string{"ok", "a.b.c.d.e", "l.x", "a.y"}, Key: []string{"_id"}},
		{Exclude: []string{"pw", "a", "l", "late"}},
		{Exclude: []string{"pw", "a.pw", "a.b.c.d.pw", "l.pw", "late"}, MaxColumns: 2},
		{Exclude: []string{"pw", "a.pw", "a.b.c.d.pw", "l.pw", "late"}, ArraysAsTables: []string{"l", "a"}},
		{Overrides: map[string]Override{"pw": {Drop: true}, "a": {Drop: true}, "l": {Drop: true}, "late": {Drop: true}, `a\.pw`: {Drop: true}}},
	} {
		for _, planned := range []bool{true, false} {
			c := count(o, docs)
			p := &Plan{}
			if planned {
				p = c.Plan()
			}
			s := NewShaper(p, o)
			chunk := s.Chunk()
			if _, err := s.Shape(docs, chunk); err != nil {
				t.Fatal(err)
			}
			all := types(chunk.Columns) + "\n" + table(chunk)
			for _, child := range s.Children() {
				all += types(child.Chunk.Columns) + "\n" + table(child.Chunk)
			}
			report, _ := json.Marshal(c.Report())
			plan, _ := json.Marshal(s.Plan())
			for _, text := range []string{all, string(report), string(plan), c.Report().Text()} {
				if strings.Contains(text, "SECRET") || strings.Contains(text, "pw") {
					t.Errorf("%+v shows what it must not:\n%s", o, text)
				}
			}
		}
	}
	// Nor where a value is rejected, or shown as an example.
	integer, list := vector.Type{Kind: vector.Int, Bits: 64}, vector.Type{Kind: vector.List, Elem: &vector.Type{Kind: vector.Text}}
	o := Options{Exclude: []string{"a.pw", "a.b.c.d.pw", "l.pw", "pw", "late"}, Overrides: map[string]Override{"a": {Type: &integer}, "l": {Type: &list}}}
	_, c := load2(t, o, docs)
	report, _ := json.Marshal(count(o, docs).Report())
	if all := table(c) + string(report); strings.Contains(all, "SECRET") || !strings.Contains(all, `! 0 a {"b":{"c":{"d":{"e":1}}}}: an object`) {
		t.Errorf("shown:\n%s", all)
	}
	_, c = load2(t, Options{Columns: []string{"ok", "a.b.c.d.e", "l.x", "a.y"}, Key: []string{"_id"}}, docs)
	same(t, "rows", types(c.Columns)+"\n"+table(c), `_id integer, ok integer, a json, a_b_c_d json, l json
_id=1 ok=1 a_b_c_d={"e":1} l=[{"x":1},[{}]]
_id=2 a=[{"y":2}]`)
}

func TestANameThatComesTwice(t *testing.T) {
	_, c := load(t, Options{}, parse(t, `{"a":1,"a":2,"o":{"x":1},"o":{"y":2}}`))
	same(t, "rows", table(c), "a=1 o_x=1 o_y=2\n! 0 a 2: the field comes twice in the document; the column holds the first")
}

func TestSingleValuesAreDocuments(t *testing.T) {
	_, c := load(t, Options{}, parse(t, `1`, `2`))
	same(t, "rows", types(c.Columns)+"\n"+table(c), "value integer\nvalue=1\nvalue=2")
}

// Chunks that were made before the plan grew, and are still filled, get what they lack.
func TestAnOlderChunkGetsTheColumnsItLacks(t *testing.T) {
	s := NewShaper(&Plan{}, Options{})
	old, other := s.Chunk(), s.Chunk()
	steps := []struct {
		c    *vector.Chunk
		text string
	}{
		{old, `{"a":1}`}, {other, `{"a":1.5,"b":"x"}`}, {old, `{"c":[]}`}, {other, `{"a":2}`},
	}
	for _, step := range steps {
		if _, err := s.Shape(parse(t, step.text), step.c); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "old", types(old.Columns)+"\n"+table(old), "a float, b text, c json\na=1\nc=[]")
	same(t, "other", types(other.Columns)+"\n"+table(other), "a float, b text, c json\na=1.5 b=x\na=2")
	fresh := s.Chunk()
	fresh.Reset()
	same(t, "fresh", types(fresh.Columns), "a float, b text, c json")
}

func TestFiveThousandFields(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `,"f%d":%d`, i, i)
	}
	docs := parse(t, `{"_id":1`+b.String()+`}`)
	_, c := load2(t, Options{}, docs)
	if len(c.Columns) != DefaultMaxColumns || c.Columns[999].Name != Extra {
		t.Fatalf("%d columns, the last %s", len(c.Columns), c.Columns[len(c.Columns)-1].Name)
	}
	var extra map[string]int
	if err := json.Unmarshal(c.Vectors[999].Bytes(0), &extra); err != nil || len(extra) != 5001-999 || extra["f4999"] != 4999 {
		t.Errorf("%d fields in extra, %v", len(extra), err)
	}
}

// Keys that are data must not fill the memory, of the counter or the shaper.
func TestMemoryIsBoundedWhateverTheKeys(t *testing.T) {
	c := NewCounter(Options{})
	s := NewShaper(&Plan{}, Options{})
	chunk := s.Chunk()
	long := strings.Repeat("k", 5000)
	for i := range 2500 {
		var b strings.Builder
		for j := range 10 {
			fmt.Fprintf(&b, `"%s%d":{"x":null,"y":{"%d":null}},`, long[:i%5000], i*10+j, j)
		}
		d := parse(t, `{`+b.String()+`"z":1}`)
		c.Add(&d[0])
		chunk.Reset()
		if _, err := s.Shape(d, chunk); err != nil {
			t.Fatal(err)
		}
	}
	if c.paths > maxPaths || c.pathBytes > maxPathBytes || c.cut == 0 {
		t.Errorf("%d paths of %d bytes, %d cut", c.paths, c.pathBytes, c.cut)
	}
	if s.slots > maxSlots+2*DefaultMaxColumns || len(chunk.Columns) > DefaultMaxColumns {
		t.Errorf("%d slots, %d columns", s.slots, len(chunk.Columns))
	}
	if text := c.Report().Text(); !strings.Contains(text, "were not counted") {
		t.Error("nobody is told")
	}
}

// Whatever documents come, planned for or not: every value is in a column, in extra, or among the rejects.
func TestNoValueIsLost(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		docs := make([]document.Value, 30)
		for i := range docs {
			docs[i] = randomObject(r, 0)
		}
		o := Options{MaxColumns: 3 + r.IntN(60), Depth: r.IntN(4) - 1, Threshold: []float64{1, 0.5}[r.IntN(2)]}
		s := NewShaper(count(o, docs[:r.IntN(30)]).Plan(), o)
		c := s.Chunk()
		for from := 0; from < len(docs); from += 10 {
			if _, err := s.Shape(docs[from:from+10], c); err != nil {
				t.Fatal(err)
			}
		}
		lines := strings.Split(table(c), "\n")
		rejected := map[int]string{}
		for _, x := range c.Rejects {
			rejected[x.Row] += x.Value + "\n"
		}
		for i := range docs {
			for _, mark := range marks(nil, &docs[i]) {
				if !strings.Contains(lines[i], mark) && !strings.Contains(rejected[i], mark) {
					t.Fatalf("seed %d: %s of\n%s\nis lost in\n%s\nrejects %s", seed, mark, document.AppendJSON(nil, &docs[i]), lines[i], rejected[i])
				}
			}
		}
	}
}

// randomObject has texts and numbers that are found again by their digits.
func randomObject(r *rand.Rand, depth int) document.Value {
	d := document.Value{Kind: document.Object, Fields: []document.Field{}}
	for range r.IntN(6) {
		name := []string{"a", "b", "a_b", "a.b", "_extra", "ünï", "1"}[r.IntN(7)]
		if d.Find(name).Kind == document.Missing {
			d.Fields = append(d.Fields, document.Field{Name: name, Value: randomValue(r, depth)})
		}
	}
	return d
}

func randomValue(r *rand.Rand, depth int) document.Value {
	n := 100_000_000 + r.Int64N(900_000_000)
	switch r.IntN(9) {
	case 0:
		return val(document.Int64, n, "")
	case 1:
		return dbl(float64(n) + 0.5)
	case 2:
		return val(document.Decimal, 0, fmt.Sprintf("%d.%d", n, r.IntN(1000)))
	case 3:
		return val(document.String, 0, fmt.Sprint("s", n))
	case 4:
		return val(document.ObjectID, 0, fmt.Sprint("abc", n))
	case 5:
		return val(document.Null, 0, "")
	case 6:
		v := document.Value{Kind: document.Array, Items: []document.Value{}}
		for range r.IntN(3) {
			v.Items = append(v.Items, randomValue(r, depth+3))
		}
		return v
	}
	if depth > 4 {
		return val(document.Bool, 1, "")
	}
	return randomObject(r, depth+1)
}

// marks are what must be found of a document's values.
func marks(out []string, v *document.Value) []string {
	switch v.Kind {
	case document.Int64:
		out = append(out, fmt.Sprint(v.Num))
	case document.Double, document.Decimal, document.String, document.ObjectID:
		out = append(out, strings.TrimRight(valueText(v, filter{}), "0"))
	case document.Object:
		for i := range v.Fields {
			out = marks(out, &v.Fields[i].Value)
		}
	case document.Array:
		for i := range v.Items {
			out = marks(out, &v.Items[i])
		}
	}
	return out
}

// Documents of any shape, by any plan: nothing breaks, and what is stored of the plan makes the same rows.
func FuzzShape(f *testing.F) {
	f.Add(`{"a":1,"b":{"c":[1]}}`, `{"a":1.5,"b":{"c":{"d":{"e":{"f":1}}}},"a_b":"x"}`, uint8(3))
	f.Add(`{"":{"":1},"a.b":2,"\\":3}`, `{"":[],"$parent_id":1}`, uint8(0))
	f.Add(`[1]`, `5`, uint8(1))
	f.Add(`{"":{"":0}}`, `{}`, uint8(51))
	f.Fuzz(func(t *testing.T, first, second string, how uint8) {
		var a document.Arena
		x, err := document.Parse([]byte(first), &a)
		y, err2 := document.Parse([]byte(second), &a)
		if err != nil || err2 != nil {
			return
		}
		docs := []document.Value{x, y, x}
		o := Options{Depth: int(how%5) - 1, MaxColumns: int(how/5)%7 + 2, Lower: how&1 == 1, ArraysAsTables: []string{"a", "b.c", ""}}
		s := NewShaper(count(o, docs[:how%3]).Plan(), o)
		c := s.Chunk()
		if _, err := s.Shape(docs, c); err != nil {
			t.Fatal(err)
		}
		for i, v := range c.Vectors {
			if v.Len() != c.Rows || c.Rows != 3 || !v.Type.Equal(c.Columns[i].Type) {
				t.Fatalf("column %s has %d rows of %d", c.Columns[i].Name, v.Len(), c.Rows)
			}
		}
		stored, err := json.Marshal(s.Plan())
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePlan(stored)
		if err != nil {
			t.Fatal(err)
		}
		again := NewShaper(p, o)
		d := again.Chunk()
		if _, err := again.Shape(docs, d); err != nil {
			t.Fatal(err)
		}
		if types(c.Columns) != types(d.Columns) || len(d.Rejects) > len(c.Rejects) {
			t.Fatalf("by the stored plan:\n%s\n%snot\n%s\n%s", types(d.Columns), table(d), types(c.Columns), table(c))
		}
		_ = count(o, docs).Report().Text()
	})
}

func TestDeclaredColumnsAreThereBeforeTheirValues(t *testing.T) {
	integer := vector.Type{Kind: vector.Int, Bits: 64}
	o := Options{Overrides: map[string]Override{"calls.month": {Type: &integer, As: "calls"}, "gone": {Type: &integer}}, Exclude: []string{"gone"}}
	s := NewShaper(count(o, parse(t, `{"_id":1}`)).Plan(), o)
	c := s.Chunk()
	if grown, _ := s.Shape(parse(t, `{"_id":1,"calls":{"month":"7"}}`), c); grown {
		t.Error("the plan grew")
	}
	same(t, "rows", types(c.Columns)+"\n"+table(c), "_id integer, calls integer\n_id=1 calls=7")
}

func TestProposalsSayWhatWouldKeepTheValues(t *testing.T) {
	s := NewShaper(count(Options{}, parse(t, `{"a b":1}`)).Plan(), Options{})
	if _, err := s.Shape(parse(t, `{"a b":"x"}`, `{"a b":"y"}`, `{"a b":true}`), s.Chunk()); err != nil {
		t.Fatal(err)
	}
	same(t, "proposals", strings.Join(s.Proposals(), "\n"),
		`values of a b that do not fit integer were rejected: 1 boolean, 2 string; types: {"a b": text} in the mirror, and a full copy, would keep them`)
}

func TestArraysOfOneTypeAsLists(t *testing.T) {
	docs := parse(t, `{"n":[1,2,null],"s":["a"],"m":[1,"x"],"e":[],"o":[{}]}`, `{"n":[]}`)
	s, c := load(t, Options{Lists: true}, docs)
	same(t, "rows", types(c.Columns)+"\n"+table(c), `n integer[], s text[], m json, e json, o json
n=[1,2,null] s=["a"] m=[1,"x"] e=[] o=[{}]
n=[]`)
	// What does not fit is JSON beside it.
	c = s.Chunk()
	if _, err := s.Shape(parse(t, `{"n":[1,"x"],"s":["b",5]}`, `{"n":7,"s":["c"]}`, `{"n":{"a":1}}`), c); err != nil {
		t.Fatal(err)
	}
	same(t, "rows", table(c), `n_json=[1,"x"] s_json=["b",5]
s=["c"] n_json=7
n_a=1`)
}
