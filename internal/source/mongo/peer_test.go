package mongo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/vector"
	"firth/test/peer"
)

// ids reads what a request asks for and returns the _ids as Extended JSON, in the order in which they came.
func ids(t testing.TB, table *Table, r source.Request) ([]string, error) {
	t.Helper()
	rows, err := table.Scan(t.Context(), r)
	if err != nil {
		return nil, err
	}
	return idsOf(t, rows)
}

func idsOf(t testing.TB, rows source.Rows) (out []string, err error) {
	t.Helper()
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b source.Batch
	for {
		err := rows.Next(t.Context(), &b)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if len(b.Docs) == 0 {
			t.Fatal("an empty batch")
		}
		for i := range b.Docs {
			out = append(out, string(document.AppendJSON(nil, b.Docs[i].Find("_id"))))
		}
	}
}

// mixed are documents whose _ids are of every type that an _id may be of, in the order of a server: several of each where there can be.
func mixed(t testing.TB) (out []bson.Raw) {
	decimal := func(s string) bson.Decimal128 {
		d, err := bson.ParseDecimal128(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, id := range []any{
		bson.MinKey{}, nil, math.NaN(), math.Inf(-1), int64(math.MinInt64), -1.5, int32(0), decimal("0.1"), int64(1 << 60), decimal("1E+6000"), math.Inf(1),
		"", "a", bson.Symbol("b"), "c", bson.D{}, bson.D{{Key: "a", Value: 1}}, bson.D{{Key: "a", Value: 2}}, bson.Binary{}, bson.Binary{Data: slices.Repeat([]byte{1}, 16)},
		bson.Binary{Subtype: 4, Data: make([]byte, 16)}, bson.ObjectID{1}, bson.ObjectID{2}, false, true, bson.DateTime(math.MinInt64), bson.DateTime(-1), bson.DateTime(math.MaxInt64),
		bson.Timestamp{}, bson.Timestamp{T: 1, I: 2}, bson.Timestamp{T: math.MaxUint32}, bson.DBPointer{DB: "a", Pointer: bson.ObjectID{1}}, bson.JavaScript("x"), bson.JavaScript("y"),
		bson.CodeWithScope{Code: "x", Scope: bson.D{}}, bson.MaxKey{},
	} {
		out = append(out, marshal(t, bson.D{{Key: "_id", Value: id}, {Key: "n", Value: len(out)}}))
	}
	return out
}

func idTexts(docs []bson.Raw) (out []string) {
	for _, d := range docs {
		a := newArena()
		if a.add(d) == nil {
			out = append(out, string(document.AppendJSON(nil, a.docs[0].Find("_id"))))
		}
	}
	return out
}

func quick(context.Context, int) error { return nil }

// TestLostAtEveryBatch: whatever the fault, and between whichever documents, nothing is lost or comes twice.
func TestLostAtEveryBatch(t *testing.T) {
	t.Parallel()
	docs := mixed(t)
	shuffled := slices.Clone(docs)
	slices.Reverse(shuffled)
	want := idTexts(docs)
	for name, fault := range map[string]peer.Fault{
		"forgotten":     {Forget: true},
		"disconnected":  {Cut: true},
		"cut within":    {Cut: true, Within: 40},
		"stepping down": {Code: 189, Message: "primary stepped down"},
		"shutting down": {Code: 11600, Message: "interrupted at shutdown"},
		"killed":        {Code: 237, Message: "cursor was killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the driver waits a lot
			p := peer.Start(t)
			p.Put("mixed", kindCollection, shuffled...)
			p.BatchLimit = 1
			step := 1
			if fault.Cut || fault.Code != 0 && fault.Code != 237 {
				step = 9 // the driver takes half a second to look at a server again
			}
			for at := 1; at < len(docs); at += step {
				p.Script(func(command string, n int) *peer.Fault {
					if command == "getMore" && n == at {
						return &fault
					}
					return nil
				})
				table := open(t, p.URL("app", nil), source.Spec{Collection: "mixed"})
				table.pause = quick
				got, err := ids(t, table, source.Request{})
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("lost at %d: %v\n%d: %v\n%d: %v", at, err, len(got), got, len(want), want)
				}
				if err := table.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestLostAlways: a reading that gets nowhere ends, with an error that may be tried again; one that cannot go on does so at once.
func TestLostAlways(t *testing.T) {
	p := peer.Start(t)
	docs := mixed(t)
	p.BatchLimit = 5
	p.Put("mixed", kindCollection, docs...)
	p.Put("view", kindView, docs...)
	for name, spec := range map[string]source.Spec{
		"by _id": {Collection: "mixed"}, "view": {Collection: "view"}, "sorted": {Collection: "mixed", Sort: json.RawMessage(`{"n": 1}`)},
		"pipeline": {Collection: "mixed", Pipeline: json.RawMessage(`[{"$match": {}}]`)}, "without _id": {Collection: "mixed", Exclude: []string{"_id"}},
		"projected": {Collection: "mixed", Projection: json.RawMessage(`{"_id": 0, "n": 1}`)},
	} {
		t.Run(name, func(t *testing.T) {
			table := open(t, p.URL("app", nil), spec)
			table.pause = quick
			lost := false
			p.Script(func(command string, n int) *peer.Fault {
				lost = lost || command == "getMore" && n == 2
				if lost {
					return &peer.Fault{Code: 43, Message: "cursor id 7 not found"}
				}
				return nil
			})
			got, err := ids(t, table, source.Request{})
			var e *source.Error
			if !errors.As(err, &e) || !e.Retry || e.Hint() == "" || len(got) != 10 {
				t.Errorf("%d documents, then %v", len(got), err)
			}
			if n := len(p.Commands("find", "aggregate")); name == "by _id" && n < mostTries || name != "by _id" && n > 2 {
				t.Errorf("it was tried %d times", n)
			}
		})
	}
}

// TestCutIsNoEnd: a connection that is lost is never taken for the end of the rows, whatever is read; it can be tried again.
func TestCutIsNoEnd(t *testing.T) {
	p := peer.Start(t)
	p.Put("mixed", kindCollection, mixed(t)...)
	p.Put("view", kindView, mixed(t)...)
	p.BatchLimit = 5
	for _, command := range []string{"find", "getMore"} {
		for _, collection := range []string{"mixed", "view"} {
			table := open(t, p.URL("app", nil)+"?serverSelectionTimeoutMS=2000&retryReads=false", source.Spec{Collection: collection, Key: "n"})
			table.pause = func(context.Context, int) error { return errors.New("it goes on") }
			if _, err := table.Describe(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.Script(func(name string, _ int) *peer.Fault { return &peer.Fault{Cut: name == command} })
			var numbers []vector.Value
			for i := range 20 {
				numbers = append(numbers, vector.Value{Kind: vector.Int, Bits: 64, Num: int64(i)})
			}
			rows, err := table.Get(t.Context(), numbers)
			if collection == "view" {
				rows, err = table.Scan(t.Context(), source.Request{})
			}
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				var b source.Batch
				err = rows.Next(t.Context(), &b)
			}
			if errors.Is(err, io.EOF) || !source.CanRetry(err) || !strings.Contains(err.Error(), "the connection was lost") {
				t.Errorf("%s of a %s cut: %v", command, collection, err)
			}
			p.Script(nil)
			if err := errors.Join(rows.Close(), table.Close()); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestRangesOfMixed: pieces hold every document once, also when each of them is lost on its way, and hold what appears in new brackets.
func TestRangesOfMixed(t *testing.T) {
	p := peer.Start(t)
	docs := mixed(t)
	for i := range 50 {
		docs = append(docs, marshal(t, bson.D{{Key: "_id", Value: bson.ObjectID{3, byte(i)}}}), marshal(t, bson.D{{Key: "_id", Value: int64(10 + i)}}))
	}
	p.Put("mixed", kindCollection, docs...)
	p.BatchLimit = 3
	table := open(t, p.URL("app", nil), source.Spec{Collection: "mixed"})
	table.pause, table.least = quick, 1
	ranges, err := table.Ranges(t.Context(), 4)
	if err != nil || len(ranges) < len(brackets)+1 {
		t.Fatalf("%d ranges, %v", len(ranges), err)
	}
	stored, err := json.Marshal(ranges)
	if err != nil {
		t.Fatal(err)
	}
	ranges = nil
	if err := json.Unmarshal(stored, &ranges); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range ranges {
		p.Script(func(command string, n int) *peer.Fault {
			return &peer.Fault{Forget: command == "getMore" && n%2 == 1}
		})
		some, err := ids(t, table, source.Request{Range: r})
		if err != nil {
			t.Fatalf("%s: %v", r.Label, err)
		}
		got = append(got, some...)
	}
	want := idTexts(docs)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d documents, want %d: %v\n%v", len(got), len(want), got, want)
	}
	if r := ranges[len(ranges)-1]; !strings.HasPrefix(r.Text, rest) {
		t.Errorf("the last is %+v", r)
	}
}

// TestChanging: documents that come and go while a collection is read are there once or not at all, and the others once.
func TestChanging(t *testing.T) {
	p := peer.Start(t)
	p.BatchLimit = 10
	at := func(from, to, step int) (out []bson.Raw) {
		for i := from; i < to; i += step {
			out = append(out, marshal(t, bson.D{{Key: "_id", Value: i}}))
		}
		return out
	}
	p.Put("c", kindCollection, at(0, 200, 2)...)
	p.Script(func(command string, n int) *peer.Fault {
		if command != "getMore" || n%3 != 0 {
			return nil
		}
		return &peer.Fault{Forget: true, Do: func() { p.Put("c", kindCollection, at(0, 200+n, 1+n%2)...) }}
	})
	table := open(t, p.URL("app", nil), source.Spec{Collection: "c"})
	table.pause = quick
	got, err := ids(t, table, source.Request{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, id := range got {
		seen[id]++
	}
	for id, n := range seen {
		if n > 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	for i := 0; i < 200; i += 2 {
		if seen[fmt.Sprint(i)] != 1 {
			t.Errorf("%d is missing", i)
		}
	}
}

// TestBroken: a document that is not BSON is named, after all that came before it were handed out.
func TestBroken(t *testing.T) {
	p := peer.Start(t)
	good := mixed(t)[11:14]
	bad := framed(field(2, "_id", []byte{5, 0, 0, 0, 'c', 'c', 'c', 'c', 0}), field(3, "a", framed(field(8, "b", []byte{9}))))
	p.Put("c", kindCollection, append(good, bad)...)
	table := open(t, p.URL("app", nil), source.Spec{Collection: "c"})
	got, err := ids(t, table, source.Request{})
	if err == nil || !strings.Contains(err.Error(), `_id "cccc", field a.b, is not BSON: a boolean is 9`) || source.CanRetry(err) || len(got) != 3 {
		t.Errorf("%d documents, then %v", len(got), err)
	}
}

// TestErrors: what a server refuses is said in words, with what to do, and without the password.
func TestErrors(t *testing.T) {
	p := peer.Start(t)
	p.Put("people", kindCollection, mixed(t)...)
	for name, c := range map[string]struct {
		fault      peer.Fault
		says, hint string
		retry      bool
	}{
		"unauthorized": {peer.Fault{Code: 13, Message: "not authorized on app to execute command"}, "not authorized", "the server wants a user", false},
		"bad filter":   {peer.Fault{Code: 2, Message: "unknown operator: $foo"}, "unknown operator", "look at the filter", false},
		"time limit":   {peer.Fault{Code: 50, Message: "operation exceeded time limit"}, "time limit", "defaultMaxTimeMS", true},
		"dropped":      {peer.Fault{Code: 175, Message: "collection dropped"}, "dropped", "try again", true},
		"shutdown":     {peer.Fault{Code: 11600, Message: "interrupted at shutdown"}, "shutdown", "try again", true},
	} {
		t.Run(name, func(t *testing.T) {
			p.Script(func(command string, _ int) *peer.Fault {
				if command == "find" {
					return &c.fault
				}
				return nil
			})
			table := open(t, p.URL("app", nil), source.Spec{Collection: "people"})
			table.pause = quick
			_, err := table.Describe(t.Context())
			var e *source.Error
			if !errors.As(err, &e) || e.Retry != c.retry || !strings.Contains(err.Error()+e.Hint(), c.says) && name != "unauthorized" || !strings.Contains(err.Error()+e.Hint(), c.hint) {
				t.Errorf("%v; %+v", err, e)
			}
		})
	}
	t.Run("password", func(t *testing.T) {
		p.Script(nil)
		u := p.URL("app", url.UserPassword("firth", "s3cret/ü"))
		for _, err := range []error{describe(t, u), fmt.Errorf("%+v", Check(t.Context(), u, source.Options{}))} {
			if !strings.Contains(err.Error(), "refuses the user firth of the database app or its password") {
				t.Error(err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("it tells the password: %v", err)
			}
		}
	})
	t.Run("grant", func(t *testing.T) {
		a, err := parseAddress("mongodb://firth:x@h,i:1/app?authSource=admin")
		if err != nil {
			t.Fatal(err)
		}
		if want := `db.getSiblingDB("admin").grantRolesToUser("firth", [{ role: "read", db: "app" }])`; a.grant() != want {
			t.Errorf("%s", a.grant())
		}
	})
}

func describe(t testing.TB, u string) error {
	t.Helper()
	_, err := open(t, u, source.Spec{Collection: "people"}).Describe(t.Context())
	if err == nil {
		t.Fatal("it is described")
	}
	return err
}

// TestAskedFor: what is not wanted is not asked for, so that it never leaves the server.
func TestAskedFor(t *testing.T) {
	p := peer.Start(t)
	p.Put("c", kindCollection, marshal(t, bson.D{{Key: "_id", Value: 1}}))
	for _, c := range []struct {
		spec source.Spec
		only []string
		want string
	}{
		{source.Spec{}, nil, ``},
		{source.Spec{Columns: []string{"_id", "a.b"}}, nil, `{"_id": 1, "a.b": 1}`},
		{source.Spec{Columns: []string{"a.b", "a", "a.c"}}, nil, `{"a": 1, "_id": 1}`},
		{source.Spec{Exclude: []string{"email", "card.number", "card"}}, nil, `{"email": 0, "card": 0}`},
		{source.Spec{Columns: []string{"a", "b"}, Exclude: []string{"b", "c"}}, nil, `{"a": 1, "_id": 1}`},
		{source.Spec{Columns: []string{"a"}, Exclude: []string{"_id"}}, nil, `{"a": 1, "_id": 0}`},
		{source.Spec{Columns: []string{"a"}, Exclude: []string{"a.secret"}}, nil, `[{"$sort": {"_id": 1}}, {"$project": {"a": 1, "_id": 1}}, {"$project": {"a.secret": 0}}]`},
		{source.Spec{Exclude: []string{"$odd", "a..b", "c"}}, nil, `{"c": 0}`},
		{source.Spec{Columns: []string{"a.$odd"}}, nil, `{"a": 1, "_id": 1}`},
		{source.Spec{Exclude: []string{"x"}}, []string{"k"}, `{"k": 1, "_id": 1}`},
		{source.Spec{ID: "k"}, nil, `{"k": 1, "_id": 1}`},
		{source.Spec{Projection: json.RawMessage(`{"a": {"$slice": 2}}`), Exclude: []string{"b"}}, nil, `[{"$sort": {"_id": 1}}, {"$project": {"a": {"$slice": 2}}}, {"$project": {"b": 0}}]`},
		{source.Spec{Pipeline: json.RawMessage(`[{"$match": {"z": 1, "a": 2}}]`), Exclude: []string{"b"}}, nil, `[{"$match": {"z": 1, "a": 2}}, {"$project": {"b": 0}}]`},
	} {
		p.Script(nil)
		c.spec.Collection = "c"
		if _, err := ids(t, open(t, p.URL("app", nil), c.spec), source.Request{Only: c.only}); err != nil {
			t.Errorf("%+v: %v", c.spec, err)
		}
		commands := p.Commands("find", "aggregate")
		last := commands[len(commands)-1]
		got := last.Lookup("projection")
		if got.Type == 0 {
			got = last.Lookup("pipeline")
		}
		if want := strings.ReplaceAll(c.want, " ", ""); plainJSON(got) != want {
			t.Errorf("%+v %v asks for %s, want %s", c.spec, c.only, plainJSON(got), want)
		}
	}
}

// plainJSON is a value as relaxed Extended JSON; empty where there is none.
func plainJSON(v bson.RawValue) string {
	if v.Type == 0 {
		return ""
	}
	b, err := bson.MarshalExtJSON(bson.D{{Key: "v", Value: v}}, false, false)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(b), `{"v":`), "}")
}

// TestNotAReading: what writes, or cannot be read, is refused before anything is connected to.
func TestNotAReading(t *testing.T) {
	for name, c := range map[string]struct {
		url  string
		spec source.Spec
		says string
	}{
		"$out":        {"mongodb://h/app", source.Spec{Collection: "c", Pipeline: json.RawMessage(`[{"$match": {}}, {"$out": "x"}]`)}, "stage 2 of the pipeline is $out, which writes"},
		"$merge":      {"mongodb://h/app", source.Spec{Collection: "c", Pipeline: json.RawMessage(`[{"$merge": {"into": "x"}}]`)}, "$merge"},
		"two":         {"mongodb://h/app", source.Spec{Collection: "c", Pipeline: json.RawMessage(`[{"$match": {}, "$sort": {}}]`)}, "2 operators"},
		"filter":      {"mongodb://h/app", source.Spec{Collection: "c", Filter: json.RawMessage(`{"a": `)}, "the filter is not JSON"},
		"extended":    {"mongodb://h/app", source.Spec{Collection: "c", Filter: json.RawMessage(`{"a": {"$oid": "x"}}`)}, "the filter is not Extended JSON"},
		"collection":  {"mongodb://h/app", source.Spec{}, "no collection"},
		"database":    {"mongodb://h/", source.Spec{Collection: "c"}, "names no database"},
		"scheme":      {"h/app", source.Spec{Collection: "c"}, "begins with mongodb://"},
		"option":      {"mongodb://u:s3cret@h/app?ssl=perhaps", source.Spec{Collection: "c"}, "URL"},
		"certificate": {"mongodb://u:s3cret@h/app?tls=true&tlsCAFile=/nowhere", source.Spec{Collection: "c"}, "nowhere"},
	} {
		_, err := Open(t.Context(), c.url, c.spec, source.Options{Name: "app"})
		var e *source.Error
		if !errors.As(err, &e) || e.Hint() == "" || !strings.Contains(err.Error(), c.says) || strings.Contains(fmt.Sprint(err, e.Advice), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
