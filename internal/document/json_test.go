package document

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestNumbersAreExact(t *testing.T) {
	for _, c := range []struct {
		text string
		kind Kind
	}{
		{"0", Int64}, {"-1", Int64}, {"9007199254740993", Int64}, {"9223372036854775807", Int64}, {"-9223372036854775808", Int64},
		{"9223372036854776000", Double},  // how a double is written
		{"9223372036854775808", Decimal}, // the power of two that it is
		{"18446744073709551615", Decimal},
		{"-0", Double}, {"1.0", Double}, {"0.1", Double}, {"1.50", Double}, {"1e3", Double}, {"1e22", Double}, {"1e400", Decimal},
		{"1e-400", Decimal}, {"5e-324", Double}, {"2e-324", Decimal}, {"0e5", Double}, {"0.1000000000000000055511151231257827", Decimal},
		{"0.30000000000000004", Double}, {"123456789.123456789123", Decimal}, {"1E+2", Double},
	} {
		var a Arena
		v, err := Parse([]byte(c.text), &a)
		if err != nil || v.Kind != c.kind {
			t.Errorf("%s: kind %d, %v; want %d", c.text, v.Kind, err, c.kind)
			continue
		}
		switch v.Kind {
		case Int64:
			if strconv.FormatInt(v.Num, 10) != c.text {
				t.Errorf("%s became %d", c.text, v.Num)
			}
		case Decimal:
			if string(v.Bytes) != c.text {
				t.Errorf("%s became %s", c.text, v.Bytes)
			}
		}
	}
	var a Arena
	if v, _ := Parse([]byte("-0"), &a); !math.Signbit(math.Float64frombits(uint64(v.Num))) {
		t.Error("-0 lost its sign")
	}
}

func TestDocumentsAreReadWhole(t *testing.T) {
	var a Arena
	v, err := Parse([]byte(` {"a":1, "a":[true,null,{"b":"\u00e9\ud83d\ude00\n\"\/é"}], "":{}} `), &a)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Fields) != 3 || v.Fields[0].Name != "a" || v.Fields[1].Name != "a" || v.Fields[2].Name != "" {
		t.Fatalf("fields %+v", v.Fields)
	}
	if got := string(v.Fields[1].Value.Items[2].Find("b").Bytes); got != "é😀\n\"/é" {
		t.Errorf("text %q", got)
	}
	if got := string(AppendJSON(nil, &v)); got != `{"a":1,"a":[true,null,{"b":"é😀\n\"/é"}],"":{}}` {
		t.Errorf("written %s", got)
	}
}

func TestWhatIsNotJSON(t *testing.T) {
	deep := strings.Repeat("[", 251) + strings.Repeat("]", 251)
	for _, text := range []string{
		"", " ", "{", "[", `{"a"}`, `{"a":}`, `{"a":1,}`, "[1,]", "[1 2]", "01", "1.", ".5", "1e", "+1", "-", "nul", "True", "'a'", `"a`,
		"\"\x01\"", "\"\xff\"", `"\x"`, `"\ud800"`, `"\ud800\u0041"`, `"\udc00"`, `"\u12"`, `"\`, "{} {}", "1 2", "\x00", deep, "\ufeff1", `{1:2}`,
		"NaN", "Infinity", "\"\\\x01\"",
	} {
		var a Arena
		if v, err := Parse([]byte(text), &a); err == nil {
			t.Errorf("%q is %+v", text, v)
		} else if !strings.Contains(err.Error(), "at byte") {
			t.Errorf("%q: %v does not say where", text, err)
		}
	}
	var a Arena
	if _, err := Parse([]byte(deep[1:len(deep)-1]), &a); err != nil {
		t.Error(err)
	}
}

func TestAnArenaIsUsedAgain(t *testing.T) {
	var a Arena
	text := []byte(`{"name": "a\tb", "list": [1, 2.5, {"x": "y"}], "n": 1}`)
	if _, err := Parse(text, &a); err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(100, func() {
		a.Reset()
		for range 10 {
			if _, err := Parse(text, &a); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 1 {
		t.Errorf("%.1f allocations for ten documents", allocs)
	}
	// Values of before stay whole while others are parsed into the same arena, however many.
	a.Reset()
	first, _ := Parse(text, &a)
	for range 5000 {
		if _, err := Parse([]byte(`{"name": "\u0041", "list": [9, 9, 9]}`), &a); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(AppendJSON(nil, &first)); got != `{"name":"a\tb","list":[1,2.5,{"x":"y"}],"n":1}` {
		t.Errorf("the first became %s", got)
	}
}

func TestExtendedJSON(t *testing.T) {
	double := func(f float64) Value { return Value{Kind: Double, Num: int64(math.Float64bits(f))} }
	id := []byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c")
	for _, c := range []struct {
		v    Value
		want string
	}{
		{Value{Kind: Null}, "null"},
		{Value{Kind: Bool, Num: 1}, "true"},
		{Value{Kind: Int32, Num: -5}, "-5"},
		{Value{Kind: Int64, Num: 1 << 53}, "9007199254740992"},
		{Value{Kind: Int64, Num: 1<<53 + 1}, `"9007199254740993"`},
		{Value{Kind: Int64, Num: math.MinInt64}, `"-9223372036854775808"`},
		{double(1), "1.0"}, {double(-0.5), "-0.5"}, {double(math.Copysign(0, -1)), "-0.0"}, {double(1e21), "1e+21"}, {double(1e-7), "1e-07"},
		{double(1e20), "100000000000000000000.0"},
		{double(math.NaN()), `{"$numberDouble":"NaN"}`},
		{double(math.Inf(1)), `{"$numberDouble":"Infinity"}`},
		{double(math.Inf(-1)), `{"$numberDouble":"-Infinity"}`},
		{Value{Kind: Decimal, Bytes: []byte("1.10E+6")}, `"1.10E+6"`},
		{Value{Kind: String, Bytes: []byte("a\"\\\x00é")}, `"a\"\\\u0000é"`},
		{Value{Kind: String, Bytes: []byte("\xff")}, `{"$binary":{"base64":"/w==","subType":"00"}}`},
		{Value{Kind: ObjectID, Bytes: id}, `"0102030405060708090a0b0c"`},
		{Value{Kind: DateTime, Num: 1704164645678}, `"2024-01-02T03:04:05.678Z"`},
		{Value{Kind: DateTime, Num: -1}, `"1969-12-31T23:59:59.999Z"`},
		{Value{Kind: DateTime, Num: math.MaxInt64}, `{"$date":{"$numberLong":"9223372036854775807"}}`},
		{Value{Kind: DateTime, Num: minRFC3339}, `"0000-01-01T00:00:00.000Z"`},
		{Value{Kind: DateTime, Num: maxRFC3339}, `"9999-12-31T23:59:59.999Z"`},
		{Value{Kind: Timestamp, Num: -1}, `{"$timestamp":{"t":4294967295,"i":4294967295}}`},
		{Value{Kind: Binary, Sub: 4, Bytes: []byte("0123456789abcdef")}, `"30313233-3435-3637-3839-616263646566"`},
		{Value{Kind: Binary, Sub: 3, Bytes: []byte("0123456789abcdef")}, `{"$binary":{"base64":"MDEyMzQ1Njc4OWFiY2RlZg==","subType":"03"}}`},
		{Value{Kind: Object, Fields: []Field{}}, "{}"},
		{Value{Kind: Array, Items: []Value{{Kind: Null}, {Kind: Object}}}, "[null,{}]"},
		{Value{Kind: Regex, Bytes: []byte("^a"), Extra: "i"}, `{"$regularExpression":{"pattern":"^a","options":"i"}}`},
		{Value{Kind: JavaScript, Bytes: []byte("x")}, `{"$code":"x"}`},
		{Value{Kind: JavaScript, Bytes: []byte("x"), Fields: []Field{}}, `{"$code":"x","$scope":{}}`},
		{Value{Kind: Symbol, Bytes: []byte("s")}, `{"$symbol":"s"}`},
		{Value{Kind: DBPointer, Bytes: id, Extra: "db.c"}, `{"$dbPointer":{"$ref":"db.c","$id":{"$oid":"0102030405060708090a0b0c"}}}`},
		{Value{Kind: Undefined}, `{"$undefined":true}`},
		{Value{Kind: MinKey}, `{"$minKey":1}`},
		{Value{Kind: MaxKey}, `{"$maxKey":1}`},
	} {
		got := AppendJSON(nil, &c.v)
		if string(got) != c.want || !json.Valid(got) {
			t.Errorf("kind %d: %s, want %s", c.v.Kind, got, c.want)
		}
	}
}

// What is parsed is what the standard library takes for JSON, but for text that is not UTF-8, and is written so that it reads the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.50,-0,1e400,"\ud83d\ude00",null,true],"a":{}}`, `"\u0000"`, "[[[]]]", "123456789012345678901234567890", "1e-7", " 1 ",
		"\"\xff\"", `{"a":`, "0.1000000000000000055511151231257827021181583404541015625",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var a Arena
		before := bytes.Clone(text)
		v, err := Parse(text, &a)
		if !bytes.Equal(text, before) {
			t.Fatal("the text was changed")
		}
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is not JSON", text)
		}
		once := AppendJSON(nil, &v)
		if !json.Valid(once) {
			t.Fatalf("%q is written %q", text, once)
		}
		var b Arena
		w, err := Parse(once, &b)
		if err != nil {
			t.Fatalf("%q is written %q: %v", text, once, err)
		}
		if twice := AppendJSON(nil, &w); !bytes.Equal(once, twice) {
			t.Fatalf("%q is written %q and then %q", text, once, twice)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(`{"_id":"65a1b2c3d4e5f60718293a4b","name":"Acme Ltd","active":true,"seats":25,"price":49.9,"plan":{"tier":"pro","since":` +
		`"2024-01-02T03:04:05Z"},"tags":["a","b"],"note":null}`)
	var a Arena
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		a.Reset()
		if _, err := Parse(text, &a); err != nil {
			b.Fatal(err)
		}
	}
}
