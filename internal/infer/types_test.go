package infer

import (
	"math"
	"strings"
	"testing"

	"firth/internal/document"
	"firth/internal/vector"
)

func val(k document.Kind, n int64, text string) document.Value {
	return document.Value{Kind: k, Num: n, Bytes: []byte(text)}
}

func dbl(f float64) document.Value {
	return document.Value{Kind: document.Double, Num: int64(math.Float64bits(f))}
}

// doc makes a document of names and values.
func doc(parts ...any) document.Value {
	d := document.Value{Kind: document.Object, Fields: []document.Field{}}
	for i := 0; i < len(parts); i += 2 {
		d.Fields = append(d.Fields, document.Field{Name: parts[i].(string), Value: parts[i+1].(document.Value)})
	}
	return d
}

func bin(sub byte, b string) document.Value {
	return document.Value{Kind: document.Binary, Sub: sub, Bytes: []byte(b)}
}

const sixteen = "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"

// Every type of BSON has a column of its own type, and is in it as it should be.
func TestEveryTypeOfBSON(t *testing.T) {
	id := "\x65\xa1\xb2\xc3\xd4\xe5\xf6\x07\x18\x29\x3a\x4b"
	for _, c := range []struct {
		v          document.Value
		typ, value string
	}{
		{val(document.Bool, 1, ""), "boolean", "true"},
		{val(document.Int32, -5, ""), "int32", "-5"},
		{val(document.Int64, math.MaxInt64, ""), "integer", "9223372036854775807"},
		{dbl(1.5), "float", "1.5"}, {dbl(math.NaN()), "float", "NaN"}, {dbl(math.Inf(-1)), "float", "-Infinity"},
		{dbl(math.Copysign(0, -1)), "float", "-0"},
		{val(document.Decimal, 0, "12.50"), "decimal(20,2)", "12.50"},
		{val(document.Decimal, 0, "1E+3"), "decimal(18,0)", "1000"},
		{val(document.Decimal, 0, "NaN"), "decimal", "NaN"},
		{val(document.Decimal, 0, "-Infinity"), "decimal", "-Infinity"},
		{val(document.Decimal, 0, "9.999999999999999999999999999999999E+6144"), "decimal", "9999999999999999999999999999999999" + strings.Repeat("0", 6111)},
		{val(document.Decimal, 0, "1E-6176"), "decimal", "0." + strings.Repeat("0", 6175) + "1"},
		{val(document.String, 0, "2024-01-02"), "text", "2024-01-02"},
		{val(document.String, 0, "5"), "text", "5"},
		{val(document.ObjectID, 0, id), "text", "65a1b2c3d4e5f60718293a4b"},
		{val(document.DateTime, 1704164645678, ""), "timestamptz", "2024-01-02 03:04:05.678+00"},
		{val(document.DateTime, -62135596800001, ""), "timestamptz", "0001-12-31 23:59:59.999+00 BC"},
		{bin(4, sixteen), "uuid", "00112233-4455-6677-8899-aabbccddeeff"},
		{bin(3, sixteen), "blob", `\x00112233445566778899aabbccddeeff`},
		{bin(0, "\x00\xff"), "blob", `\x00ff`},
		{bin(5, sixteen), "blob", `\x00112233445566778899aabbccddeeff`},
		{bin(9, "\x27\x00\x00\x00\xc0\x3f\x00\x00\x00\xbf"), "float32[]", "[1.5,-0.5]"},
		{bin(9, "\x03\x00\xff\x7f"), "float32[]", "[-1,127]"},
		{bin(9, "\x10\x03\xff"), "blob", `\x1003ff`},
		{document.Value{Kind: document.Regex, Bytes: []byte("^a"), Extra: "i"}, "text", `{"$regularExpression":{"pattern":"^a","options":"i"}}`},
		{val(document.JavaScript, 0, "x()"), "text", `{"$code":"x()"}`},
		{document.Value{Kind: document.JavaScript, Bytes: []byte("x"), Fields: []document.Field{{Name: "a", Value: val(document.Int32, 1, "")}}}, "text",
			`{"$code":"x","$scope":{"a":1}}`},
		{val(document.Symbol, 0, "s"), "text", `{"$symbol":"s"}`},
		{document.Value{Kind: document.DBPointer, Extra: "db.c", Bytes: []byte(id)}, "text",
			`{"$dbPointer":{"$ref":"db.c","$id":{"$oid":"65a1b2c3d4e5f60718293a4b"}}}`},
		{document.Value{Kind: document.Array, Items: []document.Value{val(document.Int64, math.MaxInt64, ""), val(document.MinKey, 0, "")}}, "json",
			`["9223372036854775807",{"$minKey":1}]`},
		{document.Value{Kind: document.Array, Items: []document.Value{}}, "json", "[]"},
	} {
		d := []document.Value{doc("_id", val(document.Int32, 1, ""), "v", c.v)}
		planned := count(Options{}, d).Plan()
		for _, p := range []*Plan{planned, {}} { // planned for, and met without a plan
			s := NewShaper(p, Options{})
			chunk := s.Chunk()
			if _, err := s.Shape(d, chunk); err != nil {
				t.Fatal(err)
			}
			i := chunk.Find("v")
			if i < 0 || chunk.Columns[i].Type.String() != c.typ || chunk.Vectors[i].Text(0) != c.value || len(chunk.Rejects) > 0 {
				t.Errorf("kind %d: %s\n%swant %s %s", c.v.Kind, types(chunk.Columns), table(chunk), c.typ, c.value)
			}
		}
	}
}

func TestWhatIsNullInEveryColumn(t *testing.T) {
	docs := []document.Value{
		doc("a", val(document.Undefined, 0, ""), "n", val(document.Int32, 1, "")), doc("a", val(document.MinKey, 0, "")),
		doc("a", val(document.MaxKey, 0, "")), doc("a", val(document.Null, 0, "")), doc(),
	}
	_, c := load(t, Options{}, docs)
	same(t, "rows", types(c.Columns)+"\n"+table(c), "n int32\nn=1\n\n\n\n\n")
	f := field(t, count(Options{}, docs).Report(), "a")
	if f.Counts["undefined"] != 1 || f.Counts["minKey"] != 1 || f.Counts["maxKey"] != 1 || f.Counts["null"] != 1 || f.Missing != 1 || f.Column != "" {
		t.Errorf("the report says %+v", f)
	}
}

func TestTimestampsOfTheOplogKeepTheirOrder(t *testing.T) {
	docs := []document.Value{doc("ts", val(document.Timestamp, 1704164645<<32|7, "")), doc("ts", val(document.Timestamp, int64(-1), ""))}
	_, c := load(t, Options{}, docs)
	same(t, "rows", types(c.Columns)+"\n"+table(c),
		"ts timestamptz, ts_ord integer\nts=2024-01-02 03:04:05+00 ts_ord=7\nts=2106-02-07 06:28:15+00 ts_ord=4294967295")
}

func TestOldUUIDsByTheDriverThatWroteThem(t *testing.T) {
	for driver, want := range map[string]string{
		"java":   "77665544-3322-1100-ffee-ddccbbaa9988",
		"csharp": "33221100-5544-7766-8899-aabbccddeeff",
		"python": "00112233-4455-6677-8899-aabbccddeeff",
	} {
		_, c := load(t, Options{UUIDSubtype3: driver}, []document.Value{doc("u", bin(3, sixteen))})
		same(t, driver, types(c.Columns)+" "+table(c), "u uuid u="+want)
	}
	r := count(Options{}, []document.Value{doc("u", bin(3, sixteen))}).Report()
	if !strings.Contains(r.Text(), "depends on the driver") {
		t.Errorf("nobody is asked:\n%s", r.Text())
	}
}

func TestValuesThatNoColumnHolds(t *testing.T) {
	docs := []document.Value{
		doc("_id", val(document.Int32, 1, ""), "at", val(document.DateTime, 0, ""), "s", val(document.String, 0, "ok")),
		doc("_id", val(document.Int32, 2, ""), "at", val(document.DateTime, math.MaxInt64, ""), "s", val(document.String, 0, "\xff")),
	}
	_, c := load(t, Options{}, docs)
	same(t, "rows", table(c), `_id=1 at=1970-01-01 00:00:00+00 s=ok
_id=2
! 1 at {"$date":{"$numberLong":"9223372036854775807"}}: is a date outside the years that a timestamp holds
! 1 s \xff: is not UTF-8`)
	r := count(Options{}, docs).Report()
	if f := field(t, r, "at"); f.Probability != 0.5 || f.Losing[0].Count != 1 {
		t.Errorf("the report says %+v", f)
	}
	if f := field(t, r, "s"); f.Probability != 0.5 {
		t.Errorf("the report says %+v", f)
	}
}

func TestTheNarrowestTypeThatLosesNothing(t *testing.T) {
	big := val(document.Int64, 1<<60, "")
	i32, i64 := val(document.Int32, 7, ""), val(document.Int64, 8, "")
	text, yes, at := val(document.String, 0, "x"), val(document.Bool, 1, ""), val(document.DateTime, 0, "")
	for _, c := range []struct {
		values []document.Value
		typ    string
		rows   string
	}{
		{[]document.Value{i32, i64}, "integer", "7 8"},
		{[]document.Value{i32, dbl(1.5)}, "float", "7 1.5"},
		{[]document.Value{i64, dbl(2)}, "float", "8 2"},
		{[]document.Value{big, dbl(2)}, "integer", "1152921504606846976 2"},
		{[]document.Value{big, dbl(1.5)}, "decimal", "1152921504606846976 1.5"},
		{[]document.Value{i32, val(document.Decimal, 0, "1.25")}, "decimal(21,2)", "7 1.25"},
		{[]document.Value{dbl(0.1), val(document.Decimal, 0, "1.25")}, "decimal", "0.1 1.25"},
		{[]document.Value{dbl(1), dbl(2)}, "float", "1 2"},
		{[]document.Value{i32, yes}, "text", "7 true"},
		{[]document.Value{i32, text}, "text", "7 x"},
		{[]document.Value{at, text}, "text", "1970-01-01 00:00:00+00 x"},
		{[]document.Value{yes, text, big, dbl(0.5)}, "text", "true x 1152921504606846976 0.5"},
		{[]document.Value{bin(4, sixteen), bin(0, "\x01")}, "blob", `\x00112233445566778899aabbccddeeff \x01`},
		{[]document.Value{bin(4, sixteen), text}, "text", `00112233-4455-6677-8899-aabbccddeeff x`},
		{[]document.Value{val(document.String, 0, "5"), val(document.String, 0, "2024-01-01")}, "text", "5 2024-01-01"},
	} {
		var docs []document.Value
		for _, v := range c.values {
			docs = append(docs, doc("v", v))
		}
		_, chunk := load(t, Options{}, docs)
		var rows []string
		for row := range chunk.Rows {
			rows = append(rows, chunk.Vectors[0].Text(row))
		}
		if got := chunk.Columns[0].Type.String(); got != c.typ || strings.Join(rows, " ") != c.rows || len(chunk.Rejects) > 0 {
			t.Errorf("%s %v, want %s %s; rejects %v", got, rows, c.typ, c.rows, chunk.Rejects)
		}
		if f := field(t, count(Options{}, docs).Report(), "v"); f.Probability != 1 || len(f.Losing) > 0 {
			t.Errorf("%s: the report says %+v", c.typ, f)
		}
	}
}

// What a column does with a value that its plan did not foresee.
func TestConflictsWhileLoading(t *testing.T) {
	i32, i64 := val(document.Int32, 7, ""), val(document.Int64, 8, "")
	big := val(document.Int64, 1<<53+1, "")
	text := val(document.String, 0, "x")
	for _, c := range []struct {
		planned, late document.Value
		typ, rows     string
	}{
		{i32, val(document.Int64, 1<<40, ""), "integer", "v=7\nv=1099511627776"},
		{i32, i64, "int32", "v=7\nv=8"},
		{i32, dbl(5), "int32", "v=7\nv=5"},
		{i32, dbl(1.5), "float", "v=7\nv=1.5"},
		{i64, dbl(1.5), "float", "v=8\nv=1.5"},
		{i64, dbl(math.NaN()), "float", "v=8\nv=NaN"},
		{big, dbl(1.5), "decimal(20,1)", "v=9007199254740993\nv=1.5"},
		{big, dbl(math.NaN()), "integer", "v=9007199254740993\n\n! 1 v {\"$numberDouble\":\"NaN\"}: is not a whole number"},
		{dbl(1.5), i64, "float", "v=1.5\nv=8"},
		{dbl(1.5), big, "float", "v=1.5\n\n! 1 v 9007199254740993: is an integer that no float holds exactly"},
		{i64, val(document.Decimal, 0, "2.50"), "decimal(21,2)", "v=8\nv=2.50"},
		{val(document.Decimal, 0, "2.50"), val(document.Decimal, 0, "2.505"), "decimal(21,3)", "v=2.50\nv=2.505"},
		{val(document.Decimal, 0, "2.50"), val(document.Decimal, 0, "1E+40"), "decimal", "v=2.50\nv=1" + strings.Repeat("0", 40)},
		{val(document.Decimal, 0, "2.50"), val(document.Decimal, 0, "NaN"), "decimal(20,2)", "v=2.50\n\n! 1 v NaN: NaN is in no decimal(20,2)"},
		{val(document.Decimal, 0, "2.50"), dbl(0.125), "decimal(21,3)", "v=2.50\nv=0.125"},
		{i64, text, "integer", "v=8\n\n! 1 v x: a string is not an integer"},
		{i64, val(document.Bool, 1, ""), "integer", "v=8\n\n! 1 v true: a boolean is not an integer"},
		{text, i64, "text", "v=x\nv=8"},
		{text, val(document.DateTime, 0, ""), "text", "v=x\nv=1970-01-01 00:00:00+00"},
		{val(document.DateTime, 0, ""), text, "timestamptz", "v=1970-01-01 00:00:00+00\n\n! 1 v x: a string is not a timestamptz"},
		{bin(4, sixteen), bin(0, "\x01"), "uuid", "v=00112233-4455-6677-8899-aabbccddeeff\n\n! 1 v {\"$binary\":{\"base64\":\"AQ==\",\"subType\":\"00\"}}: a binary is not a uuid"},
	} {
		s := NewShaper(count(Options{}, []document.Value{doc("v", c.planned)}).Plan(), Options{})
		chunk := s.Chunk()
		before := chunk.Columns[0].Type
		grown, err := s.Shape([]document.Value{doc("v", c.planned), doc("v", c.late)}, chunk)
		if err != nil || grown != !before.Equal(chunk.Columns[0].Type) {
			t.Errorf("grown %v, %v, from %s to %s", grown, err, before, chunk.Columns[0].Type)
		}
		same(t, before.String()+" meets "+kindName(c.late.Kind), chunk.Columns[0].Type.String()+"\n"+table(chunk), c.typ+"\n"+c.rows)
		if !Widens(before, chunk.Columns[0].Type) {
			t.Errorf("%s became %s", before, chunk.Columns[0].Type)
		}
	}
}

// A float column is only made of integers while all of them are floats, too, also those of an earlier run.
func TestIntegersBeyondAFloatAreRemembered(t *testing.T) {
	s := NewShaper(count(Options{}, []document.Value{doc("v", val(document.Int64, 1, ""))}).Plan(), Options{})
	grown, _ := s.Shape([]document.Value{doc("v", val(document.Int64, 1<<60, ""))}, s.Chunk())
	if !grown {
		t.Error("nobody would store that there was a large integer")
	}
	next := NewShaper(s.Plan(), Options{})
	c := next.Chunk()
	if _, err := next.Shape([]document.Value{doc("v", dbl(0.5))}, c); err != nil {
		t.Fatal(err)
	}
	same(t, "type", types(c.Columns), "v decimal(20,1)")
}

func TestOverridesOfTypes(t *testing.T) {
	docs := parse(t, `{"_id":1,"n":"5","at":"2024-01-02T03:04:05+01:00","ok":"t","l":[1,2,null],"o":{"a":1},"u":"00112233445566778899aabbccddeeff","x":5}`,
		`{"_id":2,"n":"five","at":"yesterday","ok":0,"l":[1,"x"],"o":[1],"u":"","x":{"y":1}}`)
	over := map[string]Override{}
	for path, name := range map[string]string{
		"n": "integer", "at": "timestamptz", "ok": "boolean", "l": "integer[]", "o": "json", "u": "uuid", "x": "text",
	} {
		typ, _ := vector.ParseType(name)
		over[path] = Override{Type: &typ}
	}
	over["_id"] = Override{As: "Number"}
	o := Options{Overrides: over}
	_, c := load(t, o, docs)
	same(t, "rows", types(c.Columns)+"\n"+table(c), `Number integer, n integer, at timestamptz, ok boolean, l integer[], o json, u uuid, x text
Number=1 n=5 at=2024-01-02 02:04:05+00 ok=true l=[1,2,null] o={"a":1} u=00112233-4455-6677-8899-aabbccddeeff x=5
Number=2 ok=false o=[1] x={"y":1}
! 1 n five: the text is not an integer
! 1 at yesterday: the text is not a timestamptz
! 1 l [1,"x"]: element 2: the text is not an integer
! 1 u : is empty text, not a uuid`)
	f := field(t, count(o, docs).Report(), "n")
	if f.Probability != 0.5 || !f.Fixed || len(f.Losing) != 1 || f.Losing[0].Examples[1].Value != `"five"` {
		t.Errorf("the report says %+v", f)
	}
}

// With a low threshold the largest family wins, and text, which loses nothing, wins a tie.
func TestTheThresholdNeverFavoursTheFew(t *testing.T) {
	for texts, want := range map[string]string{
		`true true 1 2 3`: "integer", `true true true 1 2`: "boolean", `"a" "b" 1`: "text", `"a" 1`: "text", `1 2 "a"`: "integer",
		`1 1 1 1 2.5`: "float", `1.5 9007199254740993 true`: "decimal",
	} {
		var docs []document.Value
		for v := range strings.FieldsSeq(texts) {
			docs = append(docs, parse(t, `{"v":`+v+`}`)...)
		}
		s, c := load(t, Options{Threshold: 0.3}, docs)
		if got := s.Columns()[0].Type.String(); got != want {
			t.Errorf("%s: %s, want %s\n%s", texts, got, want, table(c))
		}
	}
}
