package warehousetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

var mirrorModes = []mirrorBehaviour{
	{"nothing yet", testMirrorNothing},
	{"replace", testMirrorReplace},
	{"resume", testMirrorResume},
	{"other run", testMirrorOtherRun},
	{"stale stage", testMirrorStale},
	{"discard", testMirrorDiscard},
	{"append", testMirrorAppend},
	{"append by key", testMirrorAppendKey},
	{"upsert", testMirrorUpsert},
	{"upsert the last of a key", testMirrorLastOfKey},
	{"upsert by two columns", testMirrorTwoKeys},
	{"delete missing", testMirrorDeleteMissing},
	{"keys apart", testMirrorKeys},
	{"too many deletes", testMirrorTooMany},
	{"key is null", testMirrorNullKey},
	{"rejects", testMirrorRejects},
}

func testMirrorNothing(t *testing.T, b *mirrorBench) {
	s := b.state()
	if s.Columns != nil || s.State != nil || s.Staged != nil || s.Rows != 0 {
		t.Errorf("of a mirror that never ran there is %+v", s)
	}
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, persons())
	b.want(persons())
	if s := b.state(); len(s.Columns) != 2 {
		t.Errorf("columns of an empty table: %v", s.Columns)
	}
}

func testMirrorReplace(t *testing.T, b *mirrorBench) {
	s := b.stage(persons())
	b.write(s, chunkOf(persons(), rowsOf(0, 5000, "a")...))
	turned := []vector.Column{persons()[1], persons()[0]}
	b.write(s, chunkOf(turned, []any{"b 5000", 5000}))
	if b.state().Columns != nil {
		t.Error("staged rows make a table before they are published")
	}
	got, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: moment(1), State: json.RawMessage(`{"a": 1}`)})
	if err != nil {
		t.Fatal(err)
	}
	b.wantDone(got, 5001, 0, 0, 0)
	b.want(persons(), append(lines(0, 5000, "a"), "5000|b 5000")...)
	b.wantState(`{"a": 1}`)
	if s := b.state(); s.Staged != nil || !slices.EqualFunc(s.Columns, persons(), func(a, b vector.Column) bool { return a.Name == b.Name && a.Path == b.Path && a.Type.Equal(b.Type) }) {
		t.Errorf("after publishing: %+v", s)
	}
	columns := append(persons(), columnOf("age", number()))[1:]
	got = b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, columns, []any{"c", 3}, []any{nil, nil})
	b.wantDone(got, 2, 0, 5001, 0)
	b.want(columns, "c|3", "~|~")
	b.MirrorTarget = b.Reopen(t)
	b.want(columns, "c|3", "~|~")
	b.wantState(`{"run": 2}`)
}

func testMirrorResume(t *testing.T, b *mirrorBench) {
	o := warehouse.StageOptions{Run: "one", Resume: true, Columns: persons()}
	s, err := b.Target.Stage(t.Context(), b.at, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := s.Write(t.Context(), chunkOf(persons(), rowsOf(i*10, i*10+10, "a")...), json.RawMessage(`{"done": `+string(rune('1'+i))+`}`)); err != nil {
			t.Fatal(err)
		}
	}
	b.MirrorTarget = b.Reopen(t)
	staged := b.state().Staged
	if staged == nil || staged.Run != "one" || staged.Rows != 30 || len(staged.Columns) != 2 || strings.ReplaceAll(string(staged.Progress), " ", "") != `{"done":3}` {
		t.Fatalf("staged: %+v", staged)
	}
	if s, err = b.Target.Stage(t.Context(), b.at, o); err != nil {
		t.Fatal(err)
	}
	b.write(s, chunkOf(persons(), rowsOf(30, 40, "a")...))
	if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: moment(1)}); err != nil {
		t.Fatal(err)
	}
	b.want(persons(), lines(0, 40, "a")...)
}

func testMirrorOtherRun(t *testing.T, b *mirrorBench) {
	b.write(b.stage(persons()), chunkOf(persons(), rowsOf(0, 10, "a")...))
	s, err := b.Target.Stage(t.Context(), b.at, warehouse.StageOptions{Run: "another", Resume: true, Columns: persons()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	if staged := b.state().Staged; staged == nil || staged.Run != "another" || staged.Rows != 0 || len(staged.Columns) != 1 || staged.Progress != nil {
		t.Errorf("staged: %+v", staged)
	}
	b.write(s, chunkOf(persons()[:1], []any{7}))
	if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: moment(1)}); err != nil {
		t.Fatal(err)
	}
	b.want(persons()[:1], "7")
}

func testMirrorStale(t *testing.T, b *mirrorBench) {
	b.write(b.stage(persons()), chunkOf(persons(), rowsOf(0, 10, "a")...))
	old := b.table("")
	b.at.Table = "persons"
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, persons(), rowsOf(0, 1, "b")...)
	b.want(persons(), lines(0, 1, "b")...)
	if _, err := b.tryRead(old, "", persons()...); err == nil {
		t.Error("the table that was never published is there")
	}
	if _, err := b.tryRead(b.Quote("company")+"."+b.Quote(warehouse.StagePrefix+"people"), "", persons()...); err == nil {
		t.Error("the stage of the table that the mirror had before is there still")
	}
}

func testMirrorDiscard(t *testing.T, b *mirrorBench) {
	s := b.stage(persons())
	b.write(s, chunkOf(persons(), rowsOf(0, 10, "a")...))
	if err := s.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.state().Staged != nil {
		t.Error("the stage is there after it was discarded")
	}
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, persons(), rowsOf(0, 1, "b")...)
	b.want(persons(), lines(0, 1, "b")...)
}

func from(n int64) vector.Value { return vector.Value{Kind: vector.Int, Bits: 64, Num: n} }

func testMirrorAppend(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishAppend, Cursor: "id"}
	columns := append(persons(), columnOf("data", vector.Type{Kind: vector.JSON}))
	got := b.publish(p, columns, []any{1, "a", `{}`}, []any{2, "b", `{"a":1,"a":2}`}, []any{2, "b", `{"a":1,"a":2}`}, []any{3, nil, nil})
	b.wantDone(got, 4, 0, 0, 0)
	p.From = from(2)
	// Two of the three are there already, as is the row with NULLs; the JSON of the last differs as text.
	got = b.publish(p, columns, []any{2, "b", `{"a":1,"a":2}`}, []any{2, "b", `{"a":1,"a":2}`}, []any{2, "b", `{"a":1,"a":2}`}, []any{3, nil, nil}, []any{2, "b", `{"a":2,"a":2}`})
	b.wantDone(got, 2, 0, 0, 3)
	b.want(columns, "1|a|{}", `2|b|{"a":1,"a":2}`, `2|b|{"a":1,"a":2}`, `2|b|{"a":1,"a":2}`, `2|b|{"a":2,"a":2}`, "3|~|~")
	got = b.publish(p, columns, []any{3, nil, nil})
	b.wantDone(got, 0, 0, 0, 1)
	got = b.publish(p, columns)
	b.wantDone(got, 0, 0, 0, 0)
	p.From = from(9)
	got = b.publish(p, columns, []any{3, nil, nil})
	b.wantDone(got, 1, 0, 0, 0)
}

func testMirrorAppendKey(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishAppend, Cursor: "id", Key: []string{"id"}}
	b.publish(p, persons(), rowsOf(0, 3, "a")...)
	p.From = from(1)
	got := b.publish(p, persons(), rowsOf(1, 5, "b")...)
	b.wantDone(got, 2, 0, 0, 2)
	b.want(persons(), "0|a 0", "1|a 1", "2|a 2", "3|b 3", "4|b 4")
}

func testMirrorUpsert(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}}
	columns := append(persons(), columnOf("n", vector.Type{Kind: vector.Float, Bits: 64}))
	got := b.publish(p, columns, []any{1, "a", 1.5}, []any{2, nil, nil}, []any{3, "c", 0.0})
	b.wantDone(got, 3, 0, 0, 0)
	got = b.publish(p, columns, []any{1, "a", 1.5}, []any{2, nil, 2.5}, []any{3, "c", 0.0}, []any{4, "d", nil})
	b.wantDone(got, 1, 1, 0, 2)
	b.want(columns, "1|a|1.5", "2|~|2.5", "3|c|0", "4|d|~")
	got = b.publish(p, columns, []any{4, nil, nil})
	b.wantDone(got, 0, 1, 0, 0)
	b.wantState(`{"run": 3}`)
	got = b.publish(p, columns)
	b.wantDone(got, 0, 0, 0, 0)
	b.wantState(`{"run": 4}`)
	b.MirrorTarget = b.Reopen(t)
	b.want(columns, "1|a|1.5", "2|~|2.5", "3|c|0", "4|~|~")
}

func testMirrorLastOfKey(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}}
	b.publish(p, persons(), rowsOf(0, 2, "a")...)
	s := b.stage(persons(), "id")
	b.write(s, chunkOf(persons(), []any{1, "first"}, []any{2, "first"}, []any{1, "second"}))
	b.write(s, chunkOf(persons(), []any{1, "third"}, []any{3, "x"}, []any{3, "y"}))
	got, err := s.Publish(t.Context(), &p)
	if err != nil {
		t.Fatal(err)
	}
	b.wantDone(got, 2, 1, 0, 0)
	b.want(persons(), "0|a 0", "1|third", "2|first", "3|y")
}

func testMirrorTwoKeys(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id", "kind"}, DeleteMissing: true, Deletes: 1}
	columns := []vector.Column{columnOf("kind", text()), columnOf("id", number()), columnOf("v", text())}
	b.publish(p, columns, []any{"a", 1, "x"}, []any{"b", 1, "x"}, []any{"a", 2, "x"})
	got := b.publish(p, columns, []any{"a", 1, "y"}, []any{"b", 1, "x"}, []any{"b", 2, "x"})
	b.wantDone(got, 1, 1, 1, 1)
	b.want(columns, "a|1|y", "b|1|x", "b|2|x")
}

func testMirrorDeleteMissing(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, DeleteMissing: true, Deletes: 0.1}
	b.publish(p, persons(), rowsOf(0, 20, "a")...)
	got := b.publish(p, persons(), rowsOf(1, 19, "a")...)
	b.wantDone(got, 0, 0, 2, 18)
	b.want(persons(), lines(1, 19, "a")...)
	// The keys alone are enough to see what is gone.
	p.Deletes = 1
	got = b.publish(p, persons()[:1], []any{4}, []any{5})
	b.wantDone(got, 0, 0, 16, 2)
	b.want(persons(), lines(4, 6, "a")...)
}

// testMirrorKeys: the complete keys come apart from the rows, which are only those that are new.
func testMirrorKeys(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, DeleteMissing: true, Deletes: 0.5}
	b.publish(p, persons(), rowsOf(0, 20, "a")...)
	stage := func(keys [][]any, rows ...[]any) (*warehouse.Published, error) {
		s := b.stage(persons(), "id")
		k, ok := s.(interface {
			WriteKeys(ctx context.Context, c *vector.Chunk) error
		})
		if !ok {
			t.Skip("the stage takes no keys apart")
		}
		for _, part := range [][][]any{keys[:len(keys)/2], keys[len(keys)/2:]} {
			if err := k.WriteKeys(t.Context(), chunkOf(persons()[:1], part...)); err != nil {
				t.Fatal(err)
			}
		}
		if len(rows) > 0 {
			b.write(s, chunkOf(persons(), rows...))
		}
		return s.Publish(t.Context(), &p)
	}
	got, err := stage(idsOf(2, 21), []any{5, "x"}, []any{20, "y"})
	if err != nil {
		t.Fatal(err)
	}
	b.wantDone(got, 1, 1, 2, 0)
	want := append(lines(2, 5, "a"), lines(6, 20, "a")...)
	b.want(persons(), append(want, "5|x", "20|y")...)
	if _, err := stage(idsOf(2, 4)); warehouse.KindOf(err) != warehouse.TooManyDeletes {
		t.Errorf("kind %s: %v", warehouse.KindOf(err), err)
	}
	b.want(persons(), append(want, "5|x", "20|y")...)
}

func testMirrorTooMany(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, DeleteMissing: true, Deletes: 0.1}
	b.publish(p, persons(), rowsOf(0, 20, "a")...)
	for _, rows := range [][][]any{rowsOf(3, 20, "b"), nil} {
		_, err := b.try(p, persons(), rows...)
		if warehouse.KindOf(err) != warehouse.TooManyDeletes || warehouse.HintOf(err) == "" {
			t.Errorf("kind %s, hint %q: %v", warehouse.KindOf(err), warehouse.HintOf(err), err)
		}
	}
	b.want(persons(), lines(0, 20, "a")...)
	b.wantState(`{"run": 1}`)
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, persons(), rowsOf(0, 9, "a")...)
	got := b.publish(p, persons(), rowsOf(1, 9, "a")...)
	b.wantDone(got, 0, 0, 1, 8)
	if _, err := b.try(p, persons(), rowsOf(3, 9, "a")...); warehouse.KindOf(err) != warehouse.TooManyDeletes {
		t.Errorf("two of eight: kind %s, %v", warehouse.KindOf(err), err)
	}
	p.Deletes = 0
	if _, err := b.try(p, persons()); warehouse.KindOf(err) != warehouse.TooManyDeletes {
		t.Errorf("all of eight: kind %s, %v", warehouse.KindOf(err), err)
	}
}

func testMirrorNullKey(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}}
	b.publish(p, persons(), rowsOf(0, 3, "a")...)
	_, err := b.try(p, persons(), []any{nil, "x"}, []any{1, "x"}, []any{nil, "y"})
	if warehouse.KindOf(err) != warehouse.NoKey || warehouse.HintOf(err) == "" || !strings.Contains(err.Error(), "2 ") {
		t.Errorf("kind %s, hint %q: %v", warehouse.KindOf(err), warehouse.HintOf(err), err)
	}
	p.Key = []string{"gone"}
	if _, err := b.try(p, persons(), []any{1, "x"}); warehouse.KindOf(err) != warehouse.NoKey {
		t.Errorf("a key that is no column: kind %s: %v", warehouse.KindOf(err), err)
	}
	b.want(persons(), lines(0, 3, "a")...)
}

func testMirrorRejects(t *testing.T, b *mirrorBench) {
	columns := warehouse.RejectColumns()
	reject := func(key, value string) warehouse.MirrorReject {
		return warehouse.MirrorReject{Key: key, Column: "name", Value: value, Reason: "it is odd", At: moment(0)}
	}
	line := func(key, value string) string {
		return key + "|name|" + value + "|it is odd|" + momentText(0)
	}
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, DeleteMissing: true, Deletes: 1, Rejects: []warehouse.MirrorReject{reject("1", "x"), reject("2", "it's"), reject("3", "z")}}
	got := b.publish(p, persons(), []any{1, nil}, []any{2, nil}, []any{3, nil})
	if got.Rejects != 3 {
		t.Errorf("%d rejects", got.Rejects)
	}
	b.wantIn(b.table(warehouse.RejectsSuffix), columns, line("1", "x"), line("2", "it's"), line("3", "z"))
	// Row 1 is written anew and fits, row 2 does not again, row 3 is gone.
	p.Rejects = []warehouse.MirrorReject{reject("2", "y")}
	b.publish(p, persons(), []any{1, "a"}, []any{2, nil})
	b.wantIn(b.table(warehouse.RejectsSuffix), columns, line("2", "y"))
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace, Rejects: []warehouse.MirrorReject{reject("", "q")}}, persons(), []any{1, "a"})
	b.wantIn(b.table(warehouse.RejectsSuffix), columns, line("", "q"))
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, persons(), []any{1, "a"})
	b.wantIn(b.table(warehouse.RejectsSuffix), columns)
	if b.state().Rows > 1 {
		t.Errorf("%d rows", b.state().Rows)
	}
}
