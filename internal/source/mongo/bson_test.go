package mongo

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/document"
	"firth/internal/infer"
)

func marshal(t testing.TB, v any) bson.Raw {
	t.Helper()
	b, err := bson.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhexed(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// framed is a document of the elements given.
func framed(elements ...[]byte) bson.Raw {
	b := make([]byte, 4)
	for _, e := range elements {
		b = append(b, e...)
	}
	b = append(b, 0)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

func field(kind byte, name string, value []byte) []byte {
	return slices.Concat([]byte{kind}, []byte(name), []byte{0}, value)
}

// odd is one value of BSON and what it is read as. The bytes are those of bsonspec.org's types, written by hand, so that no encoder
// stands between.
type odd struct {
	name  string
	kind  byte
	bytes string // hexadecimal
	want  document.Value
}

func oddities() []odd {
	oid := []byte("abcdefghijkl")
	uuid := unhexDigits("00112233445566778899aabbccddeeff")
	num := func(k document.Kind, n int64) document.Value { return document.Value{Kind: k, Num: n} }
	str := func(k document.Kind, s string) document.Value { return document.Value{Kind: k, Bytes: []byte(s)} }
	double := func(f float64) document.Value { return num(document.Double, int64(math.Float64bits(f))) }
	one := []document.Field{{Name: "a", Value: num(document.Int32, 1)}}
	return []odd{
		{"double", 1, "0000000000000440", double(2.5)},
		{"double -0", 1, "0000000000000080", double(math.Copysign(0, -1))},
		{"double NaN with a payload", 1, "010000000000f87f", num(document.Double, 0x7ff8000000000001)},
		{"double -Infinity", 1, "000000000000f0ff", double(math.Inf(-1))},
		{"string", 2, "04000000 c3a962 00", str(document.String, "éb")},
		{"string empty", 2, "01000000 00", str(document.String, "")},
		{"string with a zero", 2, "04000000 610062 00", str(document.String, "a\x00b")},
		{"string that is not UTF-8", 2, "03000000 ff62 00", document.Value{Kind: document.Binary, Bytes: []byte{0xff, 'b'}}},
		{"object", 3, "0c000000 10 6100 01000000 00", document.Value{Kind: document.Object, Fields: one}},
		{"object empty", 3, "05000000 00", document.Value{Kind: document.Object}},
		{"object with a name twice", 3, "13000000 10 6100 01000000 10 6100 01000000 00", document.Value{Kind: document.Object, Fields: append(one, one...)}},
		{"array", 4, "0f000000 10 3000 01000000 0a 3100 00", document.Value{Kind: document.Array, Items: []document.Value{num(document.Int32, 1), {Kind: document.Null}}}},
		{"array empty", 4, "05000000 00", document.Value{Kind: document.Array}},
		{"array in arrays", 4, "15000000 04 3000 0d000000 04 3000 05000000 00 00 00", document.Value{Kind: document.Array, Items: []document.Value{
			{Kind: document.Array, Items: []document.Value{{Kind: document.Array}}},
		}}},
		{"binary", 5, "02000000 00 ff00", document.Value{Kind: document.Binary, Bytes: []byte{0xff, 0}}},
		{"binary function", 5, "01000000 01 61", document.Value{Kind: document.Binary, Sub: 1, Bytes: []byte("a")}},
		{"binary old", 5, "06000000 02 02000000 6162", document.Value{Kind: document.Binary, Sub: 2, Bytes: []byte("ab")}},
		{"uuid old", 5, "10000000 03 00112233445566778899aabbccddeeff", document.Value{Kind: document.Binary, Sub: 3, Bytes: uuid}},
		{"uuid", 5, "10000000 04 00112233445566778899aabbccddeeff", document.Value{Kind: document.Binary, Sub: 4, Bytes: uuid}},
		{"binary md5", 5, "01000000 05 61", document.Value{Kind: document.Binary, Sub: 5, Bytes: []byte("a")}},
		{"binary encrypted", 5, "01000000 06 61", document.Value{Kind: document.Binary, Sub: 6, Bytes: []byte("a")}},
		{"binary column", 5, "01000000 07 61", document.Value{Kind: document.Binary, Sub: 7, Bytes: []byte("a")}},
		{"binary sensitive", 5, "01000000 08 61", document.Value{Kind: document.Binary, Sub: 8, Bytes: []byte("a")}},
		{"binary vector", 5, "03000000 09 0300fe", document.Value{Kind: document.Binary, Sub: 9, Bytes: []byte{3, 0, 0xfe}}},
		{"binary of a user", 5, "00000000 80", document.Value{Kind: document.Binary, Sub: 0x80}},
		{"undefined", 6, "", document.Value{Kind: document.Undefined}},
		{"objectId", 7, "6162636465666768696a6b6c", document.Value{Kind: document.ObjectID, Bytes: oid}},
		{"false", 8, "00", num(document.Bool, 0)},
		{"true", 8, "01", num(document.Bool, 1)},
		{"date", 9, "0100000000000000", num(document.DateTime, 1)},
		{"date least", 9, "0000000000000080", num(document.DateTime, math.MinInt64)},
		{"date greatest", 9, "ffffffffffffff7f", num(document.DateTime, math.MaxInt64)},
		{"null", 10, "", document.Value{Kind: document.Null}},
		{"regex", 11, "615e24 00 696d78 00", document.Value{Kind: document.Regex, Bytes: []byte("a^$"), Extra: "imx"}},
		{"regex empty", 11, "00 00", document.Value{Kind: document.Regex}},
		{"dbPointer", 12, "04000000 622e63 00 6162636465666768696a6b6c", document.Value{Kind: document.DBPointer, Bytes: oid, Extra: "b.c"}},
		{"javascript", 13, "02000000 78 00", str(document.JavaScript, "x")},
		{"symbol", 14, "02000000 78 00", str(document.Symbol, "x")},
		{"javascript with scope", 15, "16000000 02000000 7800 0c000000 10 6100 01000000 00", document.Value{Kind: document.JavaScript, Bytes: []byte("x"), Fields: one}},
		{"javascript with an empty scope", 15, "0f000000 02000000 7800 05000000 00", document.Value{Kind: document.JavaScript, Bytes: []byte("x"), Fields: []document.Field{}}},
		{"int32 least", 16, "00000080", num(document.Int32, math.MinInt32)},
		{"timestamp", 17, "02000000 ffffffff", num(document.Timestamp, -1<<32|2)},
		{"int64 beyond 2^53", 18, "0100000000002000", num(document.Int64, 1<<53+1)},
		{"int64 least", 18, "0000000000000080", num(document.Int64, math.MinInt64)},
		{"decimal", 19, "d2040000000000000000000000003c30", str(document.Decimal, "12.34")},
		{"decimal 34 digits", 19, "ffffffff638e8d37c087adbe09ed4130", str(document.Decimal, "9999999999999999999999999999999999")},
		{"decimal greatest", 19, "ffffffff638e8d37c087adbe09edff5f", str(document.Decimal, "9.999999999999999999999999999999999E+6144")},
		{"decimal least exponent", 19, "01000000000000000000000000000000", str(document.Decimal, "1E-6176")},
		{"decimal -0", 19, "000000000000000000000000000040b0", str(document.Decimal, "-0")},
		{"decimal NaN", 19, "0000000000000000000000000000007c", str(document.Decimal, "NaN")},
		{"decimal -Infinity", 19, "000000000000000000000000000000f8", str(document.Decimal, "-Infinity")},
		{"minKey", 0xff, "", document.Value{Kind: document.MinKey}},
		{"maxKey", 0x7f, "", document.Value{Kind: document.MaxKey}},
	}
}

func unhexDigits(s string) []byte {
	b, _ := hex.DecodeString(s)
	return b
}

// same compares values; no fields and an empty list of them differ in a scope alone.
func same(a, b document.Value) bool {
	if a.Kind != b.Kind || a.Sub != b.Sub || a.Num != b.Num || a.Extra != b.Extra || !bytes.Equal(a.Bytes, b.Bytes) || len(a.Fields) != len(b.Fields) || len(a.Items) != len(b.Items) {
		return false
	}
	if a.Kind == document.JavaScript && (a.Fields == nil) != (b.Fields == nil) {
		return false
	}
	for i := range a.Fields {
		if a.Fields[i].Name != b.Fields[i].Name || !same(a.Fields[i].Value, b.Fields[i].Value) {
			return false
		}
	}
	for i := range a.Items {
		if !same(a.Items[i], b.Items[i]) {
			return false
		}
	}
	return true
}

func TestEveryType(t *testing.T) {
	a := newArena()
	for range 2 { // the second time in memory that held other values
		a.reset()
		for _, o := range oddities() {
			// By itself, in an object, and in an array.
			value := unhexed(t, o.bytes)
			inner := framed(field(o.kind, "0", value))
			raw := framed(field(o.kind, "v", value), field(3, "o", inner), field(4, "a", inner))
			if err := a.add(raw); err != nil {
				t.Errorf("%s: %v", o.name, err)
				continue
			}
			clear(raw) // the arena has bytes of its own
			d := a.docs[len(a.docs)-1]
			for where, got := range map[string]document.Value{"alone": *d.Find("v"), "in an object": *d.Find("o").Find("0"), "in an array": d.Find("a").Items[0]} {
				if !same(got, o.want) {
					t.Errorf("%s %s is %+v, want %+v", o.name, where, got, o.want)
				}
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	id := field(7, "_id", []byte("abcdefghijkl"))
	deep := framed()
	for range maxNesting {
		deep = framed(field(3, "x", deep))
	}
	for name, c := range map[string]struct {
		raw  bson.Raw
		says string
	}{
		"nothing":               {nil, "without a readable _id"},
		"short":                 {bson.Raw{5, 0, 0}, "too early"},
		"length too great":      {bson.Raw{6, 0, 0, 0, 0}, "length"},
		"length negative":       {bson.Raw{0xff, 0xff, 0xff, 0xff, 0}, "length"},
		"no end":                {bson.Raw{5, 0, 0, 0, 1}, "no end"},
		"unknown type":          {framed(id, field(0x20, "x", nil)), `_id ObjectId("6162636465666768696a6b6c"), field x, is not BSON: there is no type 0x20`},
		"name without end":      {framed(id, []byte{1, 'x'}), "too early"},
		"number cut":            {framed(id, field(1, "x", []byte{1, 2})), "field x"},
		"string length":         {framed(id, field(2, "x", []byte{9, 0, 0, 0, 'a', 0})), "too early"},
		"string length 0":       {framed(id, field(2, "x", []byte{0, 0, 0, 0})), "length"},
		"string without end":    {framed(id, field(2, "x", []byte{2, 0, 0, 0, 'a', 'b'})), "length"},
		"string negative":       {framed(id, field(2, "x", []byte{0xff, 0xff, 0xff, 0xff, 0})), "length"},
		"boolean 2":             {framed(id, field(8, "x", []byte{2})), "a boolean is 2"},
		"old binary":            {framed(id, field(5, "x", []byte{4, 0, 0, 0, 2, 9, 0, 0, 0})), "length"},
		"regex":                 {framed(id, field(11, "x", []byte("abc"))), "too early"},
		"scope":                 {framed(id, field(15, "x", []byte{5, 0, 0, 0, 1})), "too early"},
		"inside":                {framed(field(16, "_id", []byte{7, 0, 0, 0}), field(3, "a", framed(field(4, "b", framed(field(8, "0", []byte{7})))))), "_id 7, field a.b.0"},
		"deep":                  {framed(id, field(3, "x", deep)), "nested"},
		"an _id of a text":      {framed(field(2, "_id", []byte{2, 0, 0, 0, 'k', 0}), field(8, "x", []byte{7})), `_id "k"`},
		"an _id behind the bad": {framed(field(8, "x", []byte{7}), field(18, "_id", []byte{7, 0, 0, 0, 0, 0, 0, 0})), `_id 7`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArena()
			err := a.add(c.raw)
			var bad *badDocument
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if len(a.docs) != 0 {
				t.Error("it is among the documents")
			}
		})
	}
}

// TestNames: what is not UTF-8, dotted, empty, or data.
func TestNames(t *testing.T) {
	a := newArena()
	if err := a.add(framed(field(10, "\xff", nil), field(10, "", nil), field(10, "a.b", nil), field(10, "a_b", nil), field(10, "$x", nil))); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range a.docs[0].Fields {
		names = append(names, f.Name)
	}
	if want := []string{"\uFFFD", "", "a.b", "a_b", "$x"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	for i := range maxNames + 100 {
		a.reset()
		if err := a.add(framed(field(10, fmt.Sprint("key", i), nil))); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.names) > maxNames {
		t.Errorf("%d names are kept", len(a.names))
	}
}

// TestLarge: documents of 16 MB and of 5,000 fields, whose memory is not kept.
func TestLarge(t *testing.T) {
	var many bson.D
	for i := range 5000 {
		many = append(many, bson.E{Key: fmt.Sprint("field", i), Value: i})
	}
	big := marshal(t, bson.D{{Key: "_id", Value: 1}, {Key: "x", Value: strings.Repeat("ä", 8<<20)}})
	a := newArena()
	for _, raw := range []bson.Raw{big, marshal(t, many)} {
		a.reset()
		if err := a.add(raw); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.docs[0].Fields); n != 5000 || a.docs[0].Fields[4999].Value.Num != 4999 {
		t.Errorf("%d fields", n)
	}
	a.reset()
	for _, b := range a.bytes.blocks {
		if len(b) > 4*blockBytes {
			t.Errorf("a block of %d bytes is kept", len(b))
		}
	}
}

// FuzzDecode: whatever comes is read or refused, never a panic; and what the driver takes for sound BSON is read as the driver reads it.
func FuzzDecode(f *testing.F) {
	for _, o := range oddities() {
		f.Add([]byte(framed(field(o.kind, "v", unhexDigits(strings.ReplaceAll(o.bytes, " ", ""))))))
	}
	f.Add([]byte{5, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		a := newArena()
		err := a.add(b)
		if bson.Raw(b).Validate() == nil {
			compareNames(t, a, b, err)
		}
		if err == nil && len(a.docs) != 1 {
			t.Error("no document, and no error")
		}
	})
}

// compareNames compares the fields with those that the driver finds. It takes what this package is stricter about.
func compareNames(t *testing.T, a *arena, b []byte, err error) {
	t.Helper()
	elements, _ := bson.Raw(b).Elements()
	if err != nil || len(elements) != len(a.docs[0].Fields) {
		if err == nil {
			t.Errorf("%d fields, not %d", len(a.docs[0].Fields), len(elements))
		}
		return
	}
	for i, e := range elements {
		got := a.docs[0].Fields[i]
		if got.Name != strings.ToValidUTF8(e.Key(), "\uFFFD") {
			t.Errorf("%q is read as %q", e.Key(), got.Name)
		}
		if n, ok := e.Value().Int64OK(); ok && !reflect.DeepEqual(got.Value, document.Value{Kind: document.Int64, Num: n}) {
			t.Errorf("%d is read as %+v", n, got.Value)
		}
	}
}

// small is a document as applications have them: 12 fields, 300 bytes.
func small(t testing.TB) []bson.Raw {
	out := make([]bson.Raw, 1000)
	for i := range out {
		out[i] = marshal(t, bson.D{
			{Key: "_id", Value: bson.NewObjectID()}, {Key: "name", Value: fmt.Sprint("Project ", i)}, {Key: "deleted", Value: i%7 == 0}, {Key: "seats", Value: int32(i)},
			{Key: "created_at", Value: bson.DateTime(1700000000000 + i)}, {Key: "score", Value: float64(i) / 3}, {Key: "owner", Value: bson.NewObjectID()},
			{Key: "plan", Value: bson.D{{Key: "name", Value: "team"}, {Key: "price", Value: int64(4900)}, {Key: "currency", Value: "EUR"}}},
			{Key: "tags", Value: bson.A{"a", "b"}}, {Key: "country", Value: "DE"}, {Key: "note", Value: nil},
		})
	}
	return out
}

func BenchmarkDecode(b *testing.B) {
	docs := small(b)
	a := newArena()
	b.SetBytes(int64(len(docs[0])))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%len(docs) == 0 {
			a.reset()
		}
		if err := a.add(docs[n%len(docs)]); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "docs/s")
}

// BenchmarkColumns is the whole way of a document: from the bytes of a server's batch to columns.
func BenchmarkColumns(b *testing.B) {
	docs := small(b)
	a := newArena()
	for _, raw := range docs {
		if err := a.add(raw); err != nil {
			b.Fatal(err)
		}
	}
	o := infer.Options{}
	counter := infer.NewCounter(o)
	for i := range a.docs {
		counter.Add(&a.docs[i])
	}
	shaper := infer.NewShaper(counter.Plan(), o)
	chunk := shaper.Chunk()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		a.reset()
		for _, raw := range docs {
			if err := a.add(raw); err != nil {
				b.Fatal(err)
			}
		}
		chunk.Reset()
		if _, err := shaper.Shape(a.docs, chunk); err != nil {
			b.Fatal(err)
		}
		n += len(docs)
	}
	if chunk.Rows != len(docs) || len(chunk.Rejects) != 0 {
		b.Errorf("%d rows, %d rejects", chunk.Rows, len(chunk.Rejects))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "docs/s")
}
