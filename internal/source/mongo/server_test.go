package mongo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/vector"
	"firth/test/server"
)

// lacking are the types that a server does not pass, so that the scripted peer alone proves them: see docs/sources/mongodb.md.
func lacking(d *server.Documents, name string) bool {
	not := map[string][]string{
		"FerretDB": {
			"double NaN with a payload", "double -Infinity", "double -0", "object with a name twice", "array in arrays", "undefined", "dbPointer", "javascript", "symbol",
			"javascript with scope", "javascript with an empty scope", "minKey", "maxKey", "string that is not UTF-8", "regex empty", "date least", "date greatest",
		},
		"mongo-java-server": {
			"object with a name twice", "undefined", "dbPointer", "symbol", "javascript", "javascript with scope", "javascript with an empty scope", "string that is not UTF-8",
			"binary function", "binary old", "binary md5", "binary encrypted", "binary column", "binary sensitive", "binary vector", "binary of a user", "decimal -0",
		},
	}[d.Name]
	return slices.Contains(not, name) || d.Name == "FerretDB" && strings.HasPrefix(name, "decimal")
}

// read is all documents of a request, decoded into memory of its own.
func read(t testing.TB, table *Table, r source.Request) []document.Value {
	t.Helper()
	rows, err := table.Scan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return keepAll(t, rows)
}

func keepAll(t testing.TB, r source.Rows) (out []document.Value) {
	t.Helper()
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	for {
		var b source.Batch
		if err := r.Next(t.Context(), &b); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return out
		}
		for _, d := range b.Docs {
			out = append(out, cloned(d))
		}
	}
}

func cloned(v document.Value) document.Value {
	v.Bytes = slices.Clone(v.Bytes)
	v.Fields = slices.Clone(v.Fields)
	v.Items = slices.Clone(v.Items)
	for i := range v.Fields {
		v.Fields[i].Value = cloned(v.Fields[i].Value)
	}
	for i := range v.Items {
		v.Items[i] = cloned(v.Items[i])
	}
	return v
}

func TestTypesOnServers(t *testing.T) {
	both(t, func(t *testing.T, d *server.Documents) {
		database := d.Database()
		c := d.Client(database).Collection("odd")
		fill(t, c)
		want := map[string]document.Value{}
		for _, o := range oddities() {
			if lacking(d, o.name) {
				continue
			}
			want[o.name] = o.want
			doc := bson.D{{Key: "_id", Value: o.name}, {Key: "v", Value: bson.RawValue{Type: bson.Type(o.kind), Value: unhexed(t, o.bytes)}}}
			if _, err := c.InsertOne(t.Context(), doc); err != nil {
				t.Errorf("%s is not taken: %v", o.name, err)
			}
		}
		got := read(t, open(t, d.URL(database), source.Spec{Collection: "odd"}), source.Request{})
		if len(got) != len(want) {
			t.Errorf("%d documents, want %d", len(got), len(want))
		}
		for _, doc := range got {
			name := string(doc.Find("_id").Bytes)
			if !same(*doc.Find("v"), want[name]) {
				t.Errorf("%s is %+v, want %+v", name, *doc.Find("v"), want[name])
			}
		}
	})
}

// TestShapes: large documents, many fields, names that are alike, nothing in objects and arrays.
func TestShapes(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *server.Documents) {
		database := d.Database()
		c := d.Client(database).Collection("shapes")
		many := bson.D{{Key: "_id", Value: "many"}}
		for i := range 5000 {
			many = append(many, bson.E{Key: fmt.Sprint("field", i), Value: int64(i)})
		}
		alike := bson.D{{Key: "_id", Value: "alike"}, {Key: "a_b", Value: 1}, {Key: "a", Value: bson.D{{Key: "b", Value: 2}}}}
		fill(t, c, many, alike, bson.D{{Key: "_id", Value: "empty"}, {Key: "o", Value: bson.D{}}, {Key: "a", Value: bson.A{}}})
		large := bson.D{{Key: "_id", Value: "large"}, {Key: "x", Value: strings.Repeat("x", 16<<20-100)}}
		if _, err := c.InsertOne(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		table := open(t, d.URL(database), source.Spec{Collection: "shapes"})
		if _, err := table.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
		byID := map[string]document.Value{}
		for _, doc := range read(t, table, source.Request{}) {
			byID[string(doc.Find("_id").Bytes)] = doc
		}
		if n := len(byID["many"].Fields); n != 5001 {
			t.Errorf("%d of 5,001 fields", n)
		}
		doc := byID["large"]
		if n := len(doc.Find("x").Bytes); n != 16<<20-100 {
			t.Errorf("%d bytes of 16 MB", n)
		}
		for id, want := range map[string]string{
			"alike": `{"_id":"alike","a_b":1,"a":{"b":2}}`, "empty": `{"_id":"empty","o":{},"a":[]}`,
		} {
			doc := byID[id]
			if got := string(document.AppendJSON(nil, &doc)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	})
}

// TestExcluded: nested fields, in objects and in arrays of them, and what the server cannot be asked to leave out.
func TestExcluded(t *testing.T) {
	both(t, func(t *testing.T, d *server.Documents) {
		database := d.Database()
		c := d.Client(database).Collection("people")
		doc := bson.D{
			{Key: "_id", Value: 1}, {Key: "name", Value: "Ann"}, {Key: "card", Value: bson.D{{Key: "number", Value: "4111"}, {Key: "kind", Value: "visa"}}},
			{Key: "orders", Value: bson.A{bson.D{{Key: "id", Value: 7}, {Key: "pin", Value: "0000"}}, 5}},
		}
		fill(t, c, doc)
		for _, x := range []struct {
			spec source.Spec
			want string
		}{
			{source.Spec{Exclude: []string{"card.number", "orders.pin"}}, `{"_id":1,"name":"Ann","card":{"kind":"visa"},"orders":[{"id":7},5]}`},
			{source.Spec{Columns: []string{"name", "card.kind"}}, `{"name":"Ann","card":{"kind":"visa"}}`},
			{source.Spec{Columns: []string{"_id", "card"}, Exclude: []string{"card.number"}}, `{"_id":1,"card":{"kind":"visa"}}`},
			{source.Spec{Columns: []string{"name"}, Exclude: []string{"_id"}}, `{"name":"Ann"}`},
			{source.Spec{Pipeline: json.RawMessage(`[{"$match": {"name": "Ann"}}]`), Columns: []string{"_id", "card"}, Exclude: []string{"card.number"}}, `{"_id":1,"card":{"kind":"visa"}}`},
		} {
			x.spec.Collection = "people"
			got := read(t, open(t, d.URL(database), x.spec), source.Request{})
			if len(got) != 1 {
				t.Fatalf("%+v: %d documents", x.spec, len(got))
			}
			if text := string(document.AppendJSON(nil, &got[0])); text != x.want {
				t.Errorf("%v but %v: %s, want %s", x.spec.Columns, x.spec.Exclude, text, x.want)
			}
		}
	})
}

// TestTypedBounds: a bound is compared as what it is, and ids are found as what they are.
func TestTypedBounds(t *testing.T) {
	both(t, func(t *testing.T, d *server.Documents) {
		database := d.Database()
		c := d.Client(database).Collection("events")
		uuid := bson.Binary{Subtype: 4, Data: unhexDigits("00112233445566778899aabbccddeeff")}
		old := bson.Binary{Subtype: 3, Data: unhexDigits("33221100554477668899aabbccddeeff")} // as C# wrote it
		oid := bson.ObjectID{0x65, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		fill(t, c,
			bson.D{{Key: "_id", Value: 1}, {Key: "k", Value: oid}, {Key: "at", Value: bson.NewDateTimeFromTime(at)}},
			bson.D{{Key: "_id", Value: 2}, {Key: "k", Value: oid.Hex()}, {Key: "at", Value: bson.NewDateTimeFromTime(at.Add(-time.Millisecond))}},
			bson.D{{Key: "_id", Value: 3}, {Key: "k", Value: int32(7)}, {Key: "at", Value: bson.NewDateTimeFromTime(at.Add(time.Hour))}},
			bson.D{{Key: "_id", Value: 4}, {Key: "k", Value: int64(1<<53 + 1)}, {Key: "at", Value: bson.Timestamp{T: uint32(at.Unix()), I: 1}}},
			bson.D{{Key: "_id", Value: 5}, {Key: "k", Value: uuid}, {Key: "at", Value: "ISODate(2026)"}},
			bson.D{{Key: "_id", Value: 6}, {Key: "k", Value: old}},
			bson.D{{Key: "_id", Value: 7}, {Key: "k", Value: "x"}},
			bson.D{{Key: "_id", Value: 8}, {Key: "k", Value: "7"}},
			bson.D{{Key: "_id", Value: 9}, {Key: "k", Value: bson.D{{Key: "a", Value: 1}, {Key: "b", Value: "x"}}}},
			bson.D{{Key: "_id", Value: 10}, {Key: "k", Value: 1.5}},
			bson.D{{Key: "_id", Value: 11}, {Key: "k", Value: bson.NewDateTimeFromTime(at)}},
		)
		table := open(t, d.URL(database), source.Spec{Collection: "events", Cursor: "at", Key: "k"})
		got, err := ids(t, table, source.Request{From: vector.Value{Kind: vector.TimestampTZ, Num: at.UnixMicro()}})
		if err != nil || fmt.Sprint(got) != "[1 3 4]" {
			t.Errorf("from %s: %v, %v", at, got, err)
		}
		text := func(s string) vector.Value { return vector.Value{Kind: vector.Text, Text: s} }
		for want, id := range map[string]vector.Value{
			"[1 2]": text(oid.Hex()), "[3]": {Kind: vector.Int, Bits: 64, Num: 7}, "[4]": {Kind: vector.Int, Bits: 64, Num: 1<<53 + 1},
			"[5 6]": {Kind: vector.UUID, Text: string(uuid.Data)}, "[7]": text("x"), "[]": text("y"), "[3 8]": text("7"), "[9]": text(`{"a": 1, "b": "x"}`),
			"[10]": text("1.5"), "[6]": {Kind: vector.Blob, Text: string(old.Data)}, "[11]": text("2026-03-01T12:00:00Z"),
		} {
			rows, err := table.Get(t.Context(), []vector.Value{id, text("nobody")})
			if err != nil {
				t.Fatal(err)
			}
			got, err := idsOf(t, rows)
			if slices.Sort(got); err != nil || fmt.Sprint(got) != want {
				t.Errorf("%+v finds %v, want %s; %v", id, got, want, err)
			}
		}
	})
}

// TestPieces: a collection of ObjectIDs, integers and texts in pieces, read at the same time through connections that break.
func TestPieces(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *server.Documents) {
		database := d.Database()
		c := d.Client(database).Collection("big")
		var docs []any
		for i := range 600 {
			var id bson.ObjectID
			id[0], id[2], id[3], id[11] = 0x60, byte(i>>8), byte(i), 1
			docs = append(docs, bson.D{{Key: "_id", Value: id}}, bson.D{{Key: "_id", Value: i * 1000}}, bson.D{{Key: "_id", Value: fmt.Sprint("text", i)}})
		}
		fill(t, c, docs...)
		proxy := server.Fault(t, d.Addr())
		table := open(t, "mongodb://"+proxy.Addr+"/"+database, source.Spec{Collection: "big"})
		if err := table.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		table.least, table.batch = 10, 37
		ranges, err := table.Ranges(t.Context(), 5)
		if err != nil || len(ranges) != 5+5+1+1 {
			t.Fatalf("%d ranges, %v: %+v", len(ranges), err, ranges)
		}
		seen := map[string]int{}
		for i, r := range ranges {
			if i%4 == 1 {
				proxy.CutAfter(500)
			}
			got, err := ids(t, table, source.Request{Range: r})
			if err != nil {
				t.Fatalf("%s: %v", r.Label, err)
			}
			for _, id := range got {
				seen[id]++
			}
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s came %d times", id, n)
			}
		}
		if len(seen) != len(docs) || proxy.Cuts() == 0 {
			t.Errorf("%d of %d documents, cut %d times", len(seen), len(docs), proxy.Cuts())
		}
	})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	d := server.FerretTLS(t, "")
	database := d.Database()
	fill(t, d.Client(database).Collection("c"), bson.D{{Key: "_id", Value: 1}})
	good := source.Options{Name: "app", CA: d.CA}
	if f := Check(t.Context(), "mongodb://"+d.Addr()+"/"+database, good); !f[0].OK {
		t.Errorf("with the authority's certificate: %+v", f)
	}
	f := Check(t.Context(), d.URL(database)+"&serverSelectionTimeoutMS=1500", source.Options{Name: "app"})
	if f[0].OK || !strings.Contains(f[0].Found, "certificate") {
		t.Errorf("without it: %+v", f)
	}
	wrong := server.NewAuthority(t)
	f = Check(t.Context(), d.URL(database)+"&serverSelectionTimeoutMS=1500", source.Options{Name: "app", CA: wrong.File})
	if f[0].OK || !strings.Contains(f[0].Found, "certificate") {
		t.Errorf("with that of another: %+v", f)
	}
}

// TestDial: every connection goes through the dialer that is given, those that watch the server included.
func TestDial(t *testing.T) {
	d := server.Ferret(t)
	database := d.Database()
	fill(t, d.Client(database).Collection("c"), bson.D{{Key: "_id", Value: 1}})
	var dialed atomic.Int64
	o := source.Options{Name: "app", Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "db.internal:27017" {
			t.Errorf("%s is dialed", address)
		}
		dialed.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, d.Addr())
	}}
	table, err := Open(t.Context(), "mongodb://db.internal/"+database, source.Spec{Collection: "c"}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = table.Close() }()
	if got, err := ids(t, table, source.Request{}); err != nil || len(got) != 1 || dialed.Load() < 2 {
		t.Errorf("%v, %v, %d connections", got, err, dialed.Load())
	}
}

// TestUnreachable: a server that is not there is said in words, soon.
func TestUnreachable(t *testing.T) {
	u := fmt.Sprintf("mongodb://firth:s3cret@127.0.0.1:%d/app?serverSelectionTimeoutMS=500", server.Port(t))
	f := Check(t.Context(), u, source.Options{Name: "app"})
	if f[0].OK || !strings.Contains(f[0].Found, "connection refused") || f[0].Hint == "" || strings.Contains(fmt.Sprint(f), "s3cret") {
		t.Errorf("%+v", f)
	}
}
