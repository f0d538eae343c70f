package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/source/sourcetest"
	"firth/internal/vector"
	"firth/test/server"
)

// stand is a database of the shared server.
func stand(t *testing.T) (client *goredis.Client, url string) {
	t.Helper()
	s := server.Redis(t)
	db := s.Database()
	return s.Client(db), s.URL(db)
}

func open(t *testing.T, url string, spec source.Spec) *Table {
	t.Helper()
	return openWith(t, url, spec, source.Options{Name: "usage"})
}

func openWith(t *testing.T, url string, spec source.Spec, o source.Options) *Table {
	t.Helper()
	s, err := Open(t.Context(), url, spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// lines are the documents of a reading as JSON, in order.
func lines(ctx context.Context, rows source.Rows) (out []string, err error) {
	var b source.Batch
	for {
		if err := rows.Next(ctx, &b); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return out, errors.Join(err, rows.Close())
		}
		for i := range b.Docs {
			out = append(out, string(document.AppendJSON(nil, &b.Docs[i])))
		}
	}
}

func scan(t *testing.T, s *Table, r source.Request) []string {
	t.Helper()
	rows, err := s.Scan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	out, err := lines(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func texts(ids ...string) (out []vector.Value) {
	for _, id := range ids {
		out = append(out, vector.Value{Kind: vector.Text, Text: id})
	}
	return out
}

func get(t *testing.T, s *Table, ids ...string) []string {
	t.Helper()
	rows, err := s.Get(t.Context(), texts(ids...))
	if err != nil {
		t.Fatal(err)
	}
	out, err := lines(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestBehaviours(t *testing.T) {
	own := server.OwnRedis(t, "requirepass geheim-7")
	client := own.Client(0)
	proxy := server.Fault(t, own.Addr())
	sourcetest.Documents(t, sourcetest.Stand{
		Fill: func(t *testing.T, people []sourcetest.Person) {
			must(t, client.FlushDB(t.Context()).Err())
			p := client.Pipeline()
			for _, x := range people {
				values := []any{"name", x.Name}
				if x.Age != 0 {
					values = append(values, "age", x.Age)
				}
				p.HSet(t.Context(), fmt.Sprintf("person:%d", x.ID), values...)
			}
			if len(people) > 0 {
				_, err := p.Exec(t.Context())
				must(t, err)
			}
		},
		Open: func(t *testing.T, spec source.Spec, get bool) sourcetest.Source {
			spec.Hash = "person:{id}"
			if !get {
				spec.Keys = spec.Hash
			}
			s, err := Open(t.Context(), own.URL(0), spec, source.Options{Name: "people"})
			must(t, err)
			return s
		},
		Missing: func(t *testing.T) sourcetest.Source {
			must(t, client.Set(t.Context(), "no:set", "x", 0).Err())
			s, err := Open(t.Context(), own.URL(0), source.Spec{Set: "no:set"}, source.Options{})
			must(t, err)
			return s
		},
		Cut: func(t *testing.T, bytes int64) { proxy.CutAfter(bytes) },
		OpenCut: func(t *testing.T, spec source.Spec) sourcetest.Source {
			spec.Keys, spec.Hash = "person:{id}", "person:{id}"
			s, err := Open(t.Context(), server.Via(own.URL(0), proxy.Addr), spec, source.Options{Name: "people"})
			must(t, err)
			return s
		},
		Secret: "geheim-7",
		Lacks:  []string{"cursor", "snapshot"},
	})
}

func TestListOfKeys(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	p := c.Pipeline()
	var want []string
	for i := range 5000 {
		p.Set(ctx, fmt.Sprintf("project:%d:usage", i), i, 0)
		p.Set(ctx, fmt.Sprintf("project:%d:other", i), i, 0)
		want = append(want, fmt.Sprintf(`{"id":%d}`, i))
	}
	for _, odd := range []string{"007", "a:b", "", "5f0c0a7e9d3e2a0001a1b2c3", "ü*[x]?", "18446744073709551615"} {
		p.Set(ctx, "project:"+odd+":usage", 1, 0)
		want = append(want, `{"id":"`+odd+`"}`)
	}
	p.Set(ctx, "project:\xff\xfe:usage", 1, 0)
	_, err := p.Exec(ctx)
	must(t, err)
	want = append(want, `{"id":{"$binary":{"base64":"//4=","subType":"00"}}}`)
	slices.Sort(want)
	same(t, scan(t, open(t, url, source.Spec{Keys: "project:{id}:usage"}), source.Request{Only: []string{"id"}}), want...)
	same(t, scan(t, open(t, url, source.Spec{Keys: "project:{project}:usage", ID: "project"}), source.Request{Only: []string{"project"}})[:1],
		strings.Replace(want[0], "id", "project", 1))
}

func TestPatternOfKeysIsEscaped(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	must(t, c.MSet(ctx, "a*b[1]?:x", 1, "aXb[1]Y:y", 1, "a*b[1]?:z", 2, `{t}\k:1`, 1, "{t}k:2", 1).Err())
	same(t, scan(t, open(t, url, source.Spec{Keys: "a*b[1]?:{id}"}), source.Request{Only: []string{"id"}}), `{"id":"x"}`, `{"id":"z"}`)
	same(t, scan(t, open(t, url, source.Spec{Keys: `{{t}}\k:{id}`}), source.Request{Only: []string{"id"}}), `{"id":1}`)
}

func TestListOfMembers(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	members, fields := []any{}, []any{}
	var scores []goredis.Z
	var want []string
	for i := range 3000 {
		members, fields = append(members, i), append(fields, i, "x")
		scores = append(scores, goredis.Z{Member: i, Score: float64(i)})
		want = append(want, fmt.Sprintf(`{"id":%d}`, i))
	}
	slices.Sort(want)
	must(t, c.SAdd(ctx, "s", members...).Err(), c.HSet(ctx, "h", fields...).Err(), c.ZAdd(ctx, "z", scores...).Err())
	for _, spec := range []source.Spec{{Set: "s"}, {Hash: "h"}, {ZSet: "z"}} {
		s := open(t, url, spec)
		info, err := s.Describe(ctx)
		must(t, err)
		if info.Rows != 3000 {
			t.Errorf("%+v: %d rows are announced", spec, info.Rows)
		}
		same(t, scan(t, s, source.Request{Only: []string{"id"}}), want...)
	}
	same(t, scan(t, open(t, url, source.Spec{Set: "not there"}), source.Request{Only: []string{"id"}}))
}

func TestOddValues(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	must(t, c.HSet(ctx, "u:1", "empty", "", "int", "42", "max", "9223372036854775807", "min", "-9223372036854775808", "over", "9223372036854775808",
		"under", "-9223372036854775809", "padded", "007", "plus", "+1", "minus0", "-0", "float", "3.25", "zeros", "1.10", "third", "0.3333333333333333",
		"long", "0.1234567890123456789", "huge", "1e400", "absurd", "1e999999999", "inf", "inf", "nan", "nan", "space", " 1", "hex", "0x10", "dot", "1.",
		"point", ".5", "bytes", "\xff\x00\x01", "nul", "a\x00b", "text", "grüß", "id", "mine", "exp", "1e+21", "comma", "1,5").Err())
	s := open(t, url, source.Spec{Hash: "u:{id}"})
	rows, err := s.Get(ctx, texts("1"))
	must(t, err)
	var b source.Batch
	must(t, rows.Next(ctx, &b))
	double := func(f float64) document.Value {
		return document.Value{Kind: document.Double, Num: int64(math.Float64bits(f))}
	}
	bytes := func(k document.Kind, text string) document.Value { return document.Value{Kind: k, Bytes: []byte(text)} }
	for name, want := range map[string]document.Value{
		"id": whole(1), "id_2": bytes(document.String, "mine"),
		"empty": bytes(document.String, ""), "int": whole(42), "max": whole(math.MaxInt64), "min": whole(math.MinInt64),
		"over": bytes(document.Decimal, "9223372036854775808"), "under": bytes(document.Decimal, "-9223372036854775809"),
		"padded": bytes(document.String, "007"), "plus": bytes(document.String, "+1"), "minus0": bytes(document.String, "-0"),
		"float": double(3.25), "zeros": bytes(document.Decimal, "1.10"), "third": double(1.0 / 3),
		"long": bytes(document.Decimal, "0.1234567890123456789"), "huge": bytes(document.Decimal, "1e400"), "absurd": bytes(document.String, "1e999999999"),
		"inf": bytes(document.String, "inf"), "nan": bytes(document.String, "nan"), "space": bytes(document.String, " 1"),
		"hex": bytes(document.String, "0x10"), "dot": bytes(document.String, "1."), "point": bytes(document.String, ".5"),
		"bytes": bytes(document.Binary, "\xff\x00\x01"), "nul": bytes(document.String, "a\x00b"), "text": bytes(document.String, "grüß"),
		"exp": double(1e21), "comma": bytes(document.String, "1,5"),
	} {
		got := b.Docs[0].Find(name)
		if got.Kind != want.Kind || got.Num != want.Num || string(got.Bytes) != string(want.Bytes) {
			t.Errorf("%s: %d %d %q, want %d %d %q", name, got.Kind, got.Num, got.Bytes, want.Kind, want.Num, want.Bytes)
		}
	}
}

func TestGetOfEveryType(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	must(t, c.Set(ctx, "str:1", "12", 0).Err(), c.Set(ctx, "str:2", "x", 0).Err(),
		c.Set(ctx, "json:1", `{"a": {"b": 1}, "c": [1, 2.50]}`, 0).Err(), c.Set(ctx, "json:2", `[1]`, 0).Err(), c.Set(ctx, "json:3", `{oh`, 0).Err(),
		c.SAdd(ctx, "set:1", "a").Err(), c.RPush(ctx, "list:1", "a", 2, "a").Err(),
		c.ZAdd(ctx, "zset:1", goredis.Z{Member: "low", Score: math.Inf(-1)}, goredis.Z{Member: "one", Score: 1.5}, goredis.Z{Member: "high", Score: math.Inf(1)}).Err(),
		c.XAdd(ctx, &goredis.XAddArgs{Stream: "stream:1", ID: "1700000000123-7", Values: []any{"ts", "5", "calls", "3"}}).Err(),
		c.HSet(ctx, "hash:1", "a", 1, "b", "x").Err())
	same(t, get(t, open(t, url, source.Spec{String: "str:{id}"}), "1", "3", "2"), `{"id":1,"value":12}`, `{"id":2,"value":"x"}`)
	same(t, get(t, open(t, url, source.Spec{JSON: "json:{id}"}), "1", "2", "3"),
		`{"id":1,"a":{"b":1},"c":[1,2.5]}`, `{"id":2,"value":[1]}`, `{"id":3,"value":"{oh"}`)
	same(t, get(t, open(t, url, source.Spec{JSON: "json:{id}", Columns: []string{"a.b"}}), "1"), `{"id":1,"a":{"b":1}}`)
	same(t, get(t, open(t, url, source.Spec{JSON: "json:{id}", Exclude: []string{"a.b", "c"}}), "1"), `{"id":1,"a":{}}`)
	same(t, get(t, open(t, url, source.Spec{Set: "set:{id}"}), "1", "2"), `{"id":1,"member":"a"}`)
	same(t, get(t, open(t, url, source.Spec{List: "list:{id}"}), "1"),
		`{"id":1,"ordinal":0,"value":"a"}`, `{"id":1,"ordinal":1,"value":2}`, `{"id":1,"ordinal":2,"value":"a"}`)
	same(t, get(t, open(t, url, source.Spec{ZSet: "zset:{id}"}), "1"), `{"id":1,"member":"low","score":{"$numberDouble":"-Infinity"},"rank":0}`,
		`{"id":1,"member":"one","score":1.5,"rank":1}`, `{"id":1,"member":"high","score":{"$numberDouble":"Infinity"},"rank":2}`)
	same(t, get(t, open(t, url, source.Spec{Stream: "stream:{id}"}), "1"),
		`{"id":1,"stream_id":"1700000000123-7","ts":"2023-11-14T22:13:20.123Z","seq":7,"ts_2":5,"calls":3}`)
	same(t, get(t, open(t, url, source.Spec{Hash: "hash:{id}", Columns: []string{"b", "zz"}}), "1", "2"), `{"id":1,"b":"x"}`)
	must(t, c.HSet(ctx, "dots:1", "a.b", 1, `a\c`, 2, "d", 3).Err())
	same(t, get(t, open(t, url, source.Spec{Hash: "dots:{id}", Columns: []string{`a\.b`, `a\\c`}}), "1"), `{"id":1,"a.b":1,"a\\c":2}`)
	same(t, get(t, open(t, url, source.Spec{Hash: "dots:{id}", Exclude: []string{`a\.b`, `d`}}), "1"), `{"id":1,"a\\c":2}`)
	same(t, get(t, open(t, url, source.Spec{Hash: "hash:{id}", Exclude: []string{"b"}, Key: "project"}), "1"), `{"project":1,"a":1}`)
	same(t, get(t, open(t, url, source.Spec{Fields: []source.Field{
		{Name: "calls", Spec: source.Spec{String: "str:{id}"}}, {Name: "all", Spec: source.Spec{Hash: "hash:{id}"}},
		{Name: "in", Spec: source.Spec{Set: "set:{id}"}}, {Name: "ranked", Spec: source.Spec{ZSet: "zset:{id}"}}, {Name: "doc", Spec: source.Spec{JSON: "json:{id}"}},
		{Name: "log", Spec: source.Spec{Stream: "stream:{id}"}},
	}, Exclude: []string{"ranked"}}), "1", "9", "2"),
		`{"id":1,"calls":12,"all":{"a":1,"b":"x"},"in":["a"],"doc":{"a":{"b":1},"c":[1,2.5]},"log":[{"stream_id":"1700000000123-7","ts":5,"calls":3}]}`,
		`{"id":2,"calls":"x","doc":[1]}`)
}

func TestLargeKeysComeInPages(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	p := c.Pipeline()
	const n = 25_000
	for i := range n {
		p.HSet(ctx, "hash:1", fmt.Sprintf("f%d", i), i)
		p.SAdd(ctx, "set:1", fmt.Sprintf("m%d", i))
		p.ZAdd(ctx, "zset:1", goredis.Z{Member: fmt.Sprintf("m%d", i), Score: float64(i)})
		p.RPush(ctx, "list:1", i)
		p.XAdd(ctx, &goredis.XAddArgs{Stream: "stream:1", ID: fmt.Sprintf("%d-1", i+1), Values: []any{"n", i}})
	}
	_, err := p.Exec(ctx)
	must(t, err)
	one := get(t, open(t, url, source.Spec{Hash: "hash:{id}"}), "1", "2")
	if len(one) != 1 || strings.Count(one[0], `"f`) != n || !strings.Contains(one[0], `"f24999":24999`) {
		t.Errorf("%d documents of a large hash", len(one))
	}
	for spec, last := range map[*source.Spec]string{
		{ZSet: "zset:{id}"}: `{"id":1,"member":"m24999","score":24999.0,"rank":24999}`, {List: "list:{id}"}: `{"id":1,"ordinal":24999,"value":24999}`,
		{Stream: "stream:{id}"}: `{"id":1,"stream_id":"25000-1","ts":"1970-01-01T00:00:25.000Z","seq":1,"n":24999}`, {Set: "set:{id}"}: "",
	} {
		got := get(t, open(t, url, *spec), "1")
		if len(got) != n {
			t.Fatalf("%+v: %d rows", *spec, len(got))
		}
		if last != "" && got[n-1] != last {
			t.Errorf("the last row: %s, want %s", got[n-1], last)
		}
		slices.Sort(got)
		if len(slices.Compact(got)) != n {
			t.Errorf("%+v: rows come twice", *spec)
		}
	}
	if got := scan(t, open(t, url, source.Spec{Hash: "hash:1"}), source.Request{}); len(got) != n || got[0] != `{"field":"f0","value":0}` {
		t.Errorf("%d fields of one hash, the first %s", len(got), got[0])
	}
	from := vector.Value{Kind: vector.TimestampTZ, Num: 24_999_000}
	if got := scan(t, open(t, url, source.Spec{Stream: "stream:1"}), source.Request{From: from}); len(got) != 2 {
		t.Errorf("from an instant: %v", got)
	}
	from = vector.Value{Kind: vector.Text, Text: "24999-2"}
	if got := scan(t, open(t, url, source.Spec{Stream: "stream:1"}), source.Request{From: from}); len(got) != 1 {
		t.Errorf("from an entry: %v", got)
	}
}

func TestRepliesBeyondTheMemoryAreAskedAgain(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	var ids []string
	for i := range 60 {
		must(t, c.Set(ctx, fmt.Sprintf("big:%d", i), strings.Repeat("x", 1<<20), 0).Err())
		ids = append(ids, fmt.Sprint(i))
	}
	for _, spec := range []source.Spec{{String: "big:{id}"}, {Fields: []source.Field{{Name: "value", Spec: source.Spec{String: "big:{id}"}}}}} {
		rows, err := open(t, url, spec).Get(ctx, texts(ids...))
		must(t, err)
		n, most := 0, 0
		for {
			var b source.Batch
			err := rows.Next(ctx, &b)
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			most = max(most, len(b.Docs))
			for i := range b.Docs {
				if got := b.Docs[i].Find("id").Num; got != int64(n) || len(b.Docs[i].Find("value").Bytes) != 1<<20 {
					t.Fatalf("document %d is that of %d", n, got)
				}
				n++
			}
		}
		if n != 60 || most > 20 {
			t.Errorf("%d documents, at most %d at once", n, most)
		}
	}
}

func TestCopyOfKeys(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	must(t, c.Set(ctx, "p:a:calls:2024-01", 5, 0).Err(), c.Set(ctx, "p:b:calls:2024-02", "x", 0).Err(), c.HSet(ctx, "p:c:calls:h", "n", 1).Err(),
		c.SAdd(ctx, "p:d:calls:s", "m").Err())
	same(t, scan(t, open(t, url, source.Spec{Keys: "p:{project}:calls:{month}"}), source.Request{}),
		`{"key":"p:a:calls:2024-01","project":"a","month":"2024-01","value":5}`, `{"key":"p:b:calls:2024-02","project":"b","month":"2024-02","value":"x"}`,
		`{"key":"p:c:calls:h","project":"c","month":"h","n":1}`, `{"key":"p:d:calls:s","project":"d","month":"s","member":"m"}`)
	s := open(t, url, source.Spec{Keys: "p:{project}:calls:2024-{month}", String: "p:{project}:calls:2024-{month}", Columns: []string{"project", "value"}})
	same(t, scan(t, s, source.Request{}), `{"project":"a","value":5}`, `{"project":"b","value":"x"}`)
	if _, err := lines(ctx, first(s.Scan(ctx, source.Request{Only: []string{"project", "month"}}))); err != nil {
		t.Error(err)
	}
	rows, err := open(t, url, source.Spec{Keys: "p:{project}:calls:{month}", String: "p:{project}:calls:{month}"}).Scan(ctx, source.Request{})
	must(t, err)
	if _, err = lines(ctx, rows); err == nil || !strings.Contains(err.Error(), "is a ") {
		t.Errorf("a copy of keys of another type: %v", err)
	}
}

func first(r source.Rows, _ error) source.Rows { return r }
