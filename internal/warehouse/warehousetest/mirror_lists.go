package warehousetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

var mirrorLists = []mirrorBehaviour{
	{"list", testMirrorList},
	{"list of a table", testMirrorListDeletes},
	{"list of texts", testMirrorListTexts},
	{"get", testMirrorGet},
	{"get nothing new", testMirrorGetSame},
}

var mirrorHistories = []mirrorBehaviour{
	{"history", testMirrorHistory},
	{"history of a replaced table", testMirrorHistoryReplace},
	{"history by key", testMirrorHistoryKey},
	{"history of groups", testMirrorHistoryGroups},
}

// allIDs pages through the ids.
func (b *mirrorBench) allIDs(limit int) []vector.Value {
	b.t.Helper()
	var out []vector.Value
	var after vector.Value
	for {
		page, err := b.Target.IDs(b.t.Context(), b.at, after, limit)
		if err != nil {
			b.t.Fatalf("ids: %v", err)
		}
		if len(page) > limit {
			b.t.Fatalf("%d ids where %d were asked for", len(page), limit)
		}
		if len(page) == 0 {
			return out
		}
		out, after = append(out, page...), page[len(page)-1]
	}
}

func testMirrorList(t *testing.T, b *mirrorBench) {
	if ids, err := b.Target.IDs(t.Context(), b.at, vector.Value{}, 10); err != nil || len(ids) > 0 {
		t.Errorf("ids before there is a list: %v, %v", ids, err)
	}
	p := warehouse.Publication{Mode: warehouse.PublishIDs, Deletes: 0.1}
	columns := persons()[:1]
	var rows [][]any
	var want []vector.Value
	for i := range 25 {
		rows = append(rows, []any{24 - i})
		want = append(want, from(int64(i)))
	}
	rows = append(rows, []any{3}) // a source may name an id twice
	b.publish(p, columns, rows...)
	b.MirrorTarget = b.Reopen(t)
	if got := b.allIDs(10); !slices.Equal(got, want) {
		t.Errorf("ids: %v", got)
	}
	b.wantState(`{"run": 1}`)
	if s := b.state(); s.Columns != nil {
		t.Errorf("a list makes a table of %v", s.Columns)
	}
	b.publish(p, columns, rows[20:]...)
	if got := b.allIDs(3); !slices.Equal(got, want[:5]) {
		t.Errorf("ids: %v", got)
	}
	if _, err := b.try(p, columns, []any{nil}, []any{1}); warehouse.KindOf(err) != warehouse.NoKey {
		t.Errorf("an id that is NULL: kind %s, %v", warehouse.KindOf(err), err)
	}
}

func idsOf(from, to int) [][]any {
	var out [][]any
	for i := from; i < to; i++ {
		out = append(out, []any{i})
	}
	return out
}

func testMirrorListDeletes(t *testing.T, b *mirrorBench) {
	asked := vector.New(number())
	for i := range 20 {
		asked.AppendNum(int64(i))
	}
	b.publish(warehouse.Publication{Mode: warehouse.PublishGroups, Asked: asked, Synced: true}, persons(), rowsOf(0, 20, "a")...)
	p := warehouse.Publication{Mode: warehouse.PublishIDs, Deletes: 0.1}
	columns := persons()[:1]
	got := b.publish(p, columns, idsOf(0, 20)...)
	if got.Deleted != 0 {
		t.Errorf("%d deleted", got.Deleted)
	}
	got = b.publish(p, columns, idsOf(1, 30)...)
	if got.Deleted != 1 {
		t.Errorf("%d deleted", got.Deleted)
	}
	b.want(persons(), lines(1, 20, "a")...)
	for _, rows := range [][][]any{idsOf(10, 30), nil} {
		if _, err := b.try(p, columns, rows...); warehouse.KindOf(err) != warehouse.TooManyDeletes {
			t.Errorf("%d ids: kind %s, %v", len(rows), warehouse.KindOf(err), err)
		}
	}
	b.want(persons(), lines(1, 20, "a")...)
	if n := len(b.allIDs(7)); n != 29 {
		t.Errorf("%d ids after lists that were refused", n)
	}
	p.Deletes = 1
	b.publish(p, columns)
	b.want(persons())
	if n := len(b.allIDs(7)); n != 0 {
		t.Errorf("%d ids after an empty list", n)
	}
}

func testMirrorListTexts(t *testing.T, b *mirrorBench) {
	texts := []string{"", "a", "a'b", `a\b`, "b", "ü", "日本"}
	var rows [][]any
	for _, s := range texts {
		rows = append(rows, []any{s})
	}
	b.publish(warehouse.Publication{Mode: warehouse.PublishIDs}, []vector.Column{columnOf("id", text())}, rows...)
	got := b.allIDs(2)
	var have []string
	for _, v := range got {
		if v.Kind != vector.Text {
			t.Errorf("%q has the kind %d", v.Text, v.Kind)
		}
		have = append(have, v.Text)
	}
	slices.Sort(have)
	if !slices.Equal(have, texts) {
		t.Errorf("ids: %q", have)
	}
}

// groups publishes the rows of ids.
func (b *mirrorBench) groups(p warehouse.Publication, asked []int, rows ...[]any) *warehouse.Published {
	b.t.Helper()
	p.Mode, p.Asked = warehouse.PublishGroups, vector.New(number())
	for _, id := range asked {
		p.Asked.AppendNum(int64(id))
	}
	return b.publish(p, persons(), rows...)
}

func testMirrorGet(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Synced: true}
	columns := append(persons(), columnOf(warehouse.SyncedAt, vector.Type{Kind: vector.TimestampTZ}))
	got := b.groups(p, []int{1, 2, 3, 4}, []any{1, "a"}, []any{2, "b"}, []any{2, "c"}, []any{2, "c"}, []any{4, nil})
	b.wantDone(got, 5, 0, 0, 0)
	b.want(columns, "1|a|"+momentText(1), "2|b|"+momentText(1), "2|c|"+momentText(1), "2|c|"+momentText(1), "4|~|"+momentText(1))
	// 1 is as it was, one row of 2 goes, 3 comes, 4 changes.
	got = b.groups(p, []int{1, 2, 3, 4}, []any{1, "a"}, []any{2, "b"}, []any{2, "c"}, []any{3, "x"}, []any{4, "y"})
	b.wantDone(got, 1, 1, 1, 3)
	b.want(columns, "1|a|"+momentText(1), "2|b|"+momentText(1), "2|c|"+momentText(1), "3|x|"+momentText(2), "4|y|"+momentText(2))
	// What was not asked for stays; what was and has no rows goes.
	got = b.groups(p, []int{2, 9}, []any{9, "z"})
	b.wantDone(got, 1, 0, 2, 0)
	b.want(columns, "1|a|"+momentText(1), "3|x|"+momentText(2), "4|y|"+momentText(2), "9|z|"+momentText(3))
	if s := b.state(); len(s.Columns) != 2 && len(s.Columns) != 3 {
		t.Errorf("columns: %v", s.Columns)
	}
}

func testMirrorGetSame(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Synced: true}
	var asked []int
	for i := range 3000 {
		asked = append(asked, i)
	}
	b.groups(p, asked, rowsOf(0, 3000, "a")...)
	got := b.groups(p, asked, rowsOf(0, 3000, "a")...)
	b.wantDone(got, 0, 0, 0, 3000)
	columns := append(persons(), columnOf(warehouse.SyncedAt, vector.Type{Kind: vector.TimestampTZ}))
	if n := len(b.read(b.table(""), "", columns...)); n != 3000 {
		t.Errorf("%d rows", n)
	}
	b.wantState(`{"run": 2}`)
}

func histories(columns ...vector.Column) []vector.Column {
	at := vector.Type{Kind: vector.TimestampTZ}
	return append(slices.Clone(columns), columnOf(warehouse.ValidFrom, at), columnOf(warehouse.ValidTo, at))
}

// valid writes the times in which a row was so; 0 is the present.
func valid(row string, from, to int) string {
	end := "~"
	if to > 0 {
		end = momentText(to)
	}
	return fmt.Sprintf("%s|%s|%s", row, momentText(from), end)
}

func testMirrorHistory(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, History: true, DeleteMissing: true, Deletes: 1}
	b.publish(p, persons(), []any{1, "a"}, []any{2, "b"}, []any{3, "c"})
	got := b.publish(p, persons(), []any{1, "a"}, []any{2, "B"}, []any{4, "d"})
	b.wantDone(got, 1, 1, 1, 1)
	b.publish(p, persons(), []any{1, "a"}, []any{2, "B"}, []any{3, "c"}, []any{4, "d"})
	b.want(histories(persons()...), valid("1|a", 1, 0), valid("2|b", 1, 2), valid("2|B", 2, 0), valid("3|c", 1, 2), valid("3|c", 3, 0), valid("4|d", 2, 0))
	got = b.publish(p, persons(), []any{1, "a"}, []any{2, "B"}, []any{3, "c"}, []any{4, "d"})
	b.wantDone(got, 0, 0, 0, 4)
	p.Deletes = 0.1
	if _, err := b.try(p, persons(), []any{1, "a"}); warehouse.KindOf(err) != warehouse.TooManyDeletes {
		t.Errorf("three of four: kind %s, %v", warehouse.KindOf(err), err)
	}
}

func testMirrorHistoryReplace(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishReplace, History: true}
	b.publish(p, persons(), []any{1, "a"}, []any{1, "a"}, []any{2, nil})
	got := b.publish(p, persons(), []any{1, "a"}, []any{2, nil}, []any{3, "c"})
	if got.Unchanged != 2 {
		t.Errorf("%d unchanged", got.Unchanged)
	}
	b.want(histories(persons()...), valid("1|a", 1, 0), valid("1|a", 1, 2), valid("2|~", 1, 0), valid("3|c", 2, 0))
	if s := b.state(); len(s.Columns) != 2 && len(s.Columns) != 4 {
		t.Errorf("columns: %v", s.Columns)
	}
}

func testMirrorHistoryKey(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishReplace, Key: []string{"id"}, History: true}
	b.publish(p, persons(), []any{1, "a"}, []any{2, "b"})
	got := b.publish(p, persons(), []any{1, "x"})
	b.wantDone(got, 0, 1, 1, 0)
	b.want(histories(persons()...), valid("1|a", 1, 2), valid("1|x", 2, 0), valid("2|b", 1, 2))
}

func testMirrorHistoryGroups(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{History: true}
	b.groups(p, []int{1, 2}, []any{1, "a"}, []any{2, "b"})
	b.groups(p, []int{1, 2}, []any{1, "x"}, []any{2, "b"})
	b.want(histories(persons()...), valid("1|a", 1, 2), valid("1|x", 2, 0), valid("2|b", 1, 0))
	b.publish(warehouse.Publication{Mode: warehouse.PublishIDs, Deletes: 1, History: true}, persons()[:1], []any{1})
	b.want(histories(persons()...), valid("1|a", 1, 2), valid("1|x", 2, 0), valid("2|b", 1, 3))
	s := b.state()
	var any map[string]int
	if json.Unmarshal(s.State, &any) != nil || any["run"] != 3 {
		t.Errorf("state %s", s.State)
	}
}
