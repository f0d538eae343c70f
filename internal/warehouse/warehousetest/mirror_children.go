package warehousetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

var mirrorChildren = []mirrorBehaviour{
	{"children", testMirrorChildren},
	{"children of rows that come twice", testMirrorChildrenTwice},
	{"children that cannot be published", testMirrorChildrenFail},
	{"children and rows at once", testMirrorChildrenAtOnce},
}

// parts are the columns of a table of arrays.
func parts() []vector.Column {
	return []vector.Column{columnOf("_parent", number()), columnOf("_ordinal", number()), columnOf("part", text())}
}

// family publishes persons with their parts.
func (b *mirrorBench) family(p warehouse.Publication, rows, items [][]any, rejects ...warehouse.MirrorReject) error {
	b.t.Helper()
	at := warehouse.MirrorTable{Name: b.at.Name + "/parts", Schema: b.at.Schema, Table: b.at.Table + "__parts"}
	s, err := b.Target.Stage(b.t.Context(), at, warehouse.StageOptions{Run: "parts", Columns: parts(), Key: []string{"_parent"}})
	if err != nil {
		b.t.Fatalf("stage: %v", err)
	}
	if len(items) > 0 {
		b.write(s, chunkOf(parts(), items...))
	}
	p.Children = []warehouse.Child{{Table: at, Parent: "_parent", Rejects: rejects}}
	p.Key, p.Deletes = []string{"id"}, 1
	_, err = b.try(p, persons(), rows...)
	return err
}

func (b *mirrorBench) mustFamily(p warehouse.Publication, rows, items [][]any, rejects ...warehouse.MirrorReject) {
	b.t.Helper()
	if err := b.family(p, rows, items, rejects...); err != nil {
		b.t.Fatalf("publish: %v (%s)", err, warehouse.HintOf(err))
	}
}

func testMirrorChildren(t *testing.T, b *mirrorBench) {
	replace, upsert, add := warehouse.Publication{Mode: warehouse.PublishReplace}, warehouse.Publication{Mode: warehouse.PublishUpsert}, warehouse.Publication{Mode: warehouse.PublishAppend}
	bad := warehouse.MirrorReject{Key: "1", Column: "part", Value: "v", Reason: "odd", At: moment(1)}
	rejects := func(want ...string) {
		t.Helper()
		b.wantIn(b.table("__parts__rejects"), warehouse.RejectColumns()[:1], want...)
	}
	b.mustFamily(replace, [][]any{{1, "a"}, {2, "b"}}, [][]any{{1, 1, "x"}, {1, 2, "y"}, {2, 1, "z"}}, bad)
	b.wantIn(b.table("__parts"), parts(), "1|1|x", "1|2|y", "2|1|z")
	rejects("1")
	b.mustFamily(upsert, [][]any{{1, "a2"}, {3, "c"}}, [][]any{{3, 1, "w"}})
	b.want(persons(), "1|a2", "2|b", "3|c")
	b.wantIn(b.table("__parts"), parts(), "2|1|z", "3|1|w")
	rejects()
	upsert.DeleteMissing = true
	b.mustFamily(upsert, [][]any{{2, "b"}, {3, "c"}}, [][]any{{2, 1, "new"}})
	b.wantIn(b.table("__parts"), parts(), "2|1|new")
	b.mustFamily(add, [][]any{{3, "c"}, {4, "d"}}, [][]any{{2, 1, "new"}, {4, 1, "p"}, {4, 2, "p"}})
	b.want(persons(), "2|b", "3|c", "4|d")
	b.wantIn(b.table("__parts"), parts(), "2|1|new", "4|1|p", "4|2|p")
	b.mustFamily(replace, [][]any{{9, "i"}}, nil)
	b.wantIn(b.table("__parts"), parts())
	b.MirrorTarget = b.Reopen(t)
	b.want(persons(), "9|i")
}

func testMirrorChildrenTwice(t *testing.T, b *mirrorBench) {
	upsert := warehouse.Publication{Mode: warehouse.PublishUpsert}
	b.mustFamily(upsert, [][]any{{1, "a"}}, [][]any{{1, 1, "x"}})
	err := b.family(upsert, [][]any{{1, "b"}, {1, "c"}}, [][]any{{1, 1, "y"}, {1, 1, "z"}})
	if warehouse.KindOf(err) != warehouse.NoKey || warehouse.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	b.want(persons(), "1|a")
	b.wantIn(b.table("__parts"), parts(), "1|1|x")
}

func testMirrorChildrenFail(t *testing.T, b *mirrorBench) {
	replace := warehouse.Publication{Mode: warehouse.PublishReplace}
	b.mustFamily(replace, [][]any{{1, "a"}}, [][]any{{1, 1, "x"}})
	for _, mode := range []warehouse.PublishMode{warehouse.PublishReplace, warehouse.PublishUpsert, warehouse.PublishAppend} {
		p := warehouse.Publication{Mode: mode, Key: []string{"id"}, Deletes: 1}
		p.Children = []warehouse.Child{{Table: warehouse.MirrorTable{Name: "people/none", Schema: b.at.Schema, Table: "people__none"}, Parent: "_parent"}}
		if _, err := b.try(p, persons(), []any{2, "b"}); err == nil {
			t.Error("what nobody staged was published")
		}
	}
	b.want(persons(), "1|a")
	b.wantIn(b.table("__parts"), parts(), "1|1|x")
}

// testMirrorChildrenAtOnce reads while states are published: every part carries the name of its parent.
func testMirrorChildrenAtOnce(t *testing.T, b *mirrorBench) {
	for _, mode := range []warehouse.PublishMode{warehouse.PublishUpsert, warehouse.PublishReplace} {
		state := func(n int) (rows, items [][]any) {
			for i := range 200 {
				rows, items = append(rows, []any{i, fmt.Sprint("v", n)}), append(items, []any{i, 1, fmt.Sprint("v", n)})
			}
			return rows, items
		}
		rows, items := state(0)
		b.mustFamily(warehouse.Publication{Mode: mode}, rows, items)
		query := "SELECT count(*), coalesce(sum(CASE WHEN p." + b.Quote("name") + " = c." + b.Quote("part") + " THEN 0 ELSE 1 END), 0) FROM " + b.table("__parts") + " c LEFT JOIN " + b.table("") + " p ON p." + b.Quote("id") + " = c." + b.Quote("_parent")
		ctx, stop := context.WithCancel(t.Context())
		var reads atomic.Int64
		done := make(chan error, 1)
		glimpses := 0
		go func() {
			for ctx.Err() == nil {
				var n, odd int
				if err := b.DB.QueryRowContext(t.Context(), query).Scan(&n, &odd); err != nil {
					continue // the server asks for another try where names change
				}
				if reads.Add(1); n != 200 || odd > 0 {
					if glimpses++; glimpses <= b.Glimpses {
						t.Logf("a reader saw %d parts, %d of them of another state, and is let off", n, odd)
						continue
					}
					done <- fmt.Errorf("a reader sees %d parts, %d of them of another state", n, odd)
					return
				}
			}
			done <- nil
		}()
		for n := 1; n <= 8 || reads.Load() < 20 && n < 200 && len(done) == 0; n++ {
			rows, items := state(n)
			b.mustFamily(warehouse.Publication{Mode: mode}, rows, items)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("mode %d: %v", mode, err)
		}
		if reads.Load() == 0 {
			t.Error("nobody read")
		}
	}
}
