package warehousetest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/table"
	"firth/internal/warehouse"
)

var rebuilds = []behaviour{
	{"rebuild", testRebuild},
	{"rebuild of calls", testRebuildOfCalls},
	{"rebuild that is elsewhere", testRebuildMoved},
	{"rebuild of some tables", testRebuildSome},
	{"rebuild keeps what people made", testRebuildKeeps},
	{"rebuild beside readers", testRebuildReaders},
}

func (b *bench) rebuilder() load.Rebuilder {
	b.t.Helper()
	r, ok := b.Warehouse.(load.Rebuilder)
	if !ok {
		b.t.Fatal("the warehouse is no load.Rebuilder")
	}
	return r
}

// asRebuild runs fn with the source and schema of the bench's rebuild.
func (b *bench) asRebuild(fn func()) {
	source, schema := b.source, b.schema
	b.source, b.schema = source+"#rebuild", warehouse.RebuildPrefix+schema
	fn()
	b.source, b.schema = source, schema
}

func (b *bench) swapOf(tables ...string) *warehouse.Swap {
	return &warehouse.Swap{Source: b.source, Schema: b.schema, RebuildSource: b.source + "#rebuild", RebuildSchema: warehouse.RebuildPrefix + b.schema, Tables: tables}
}

func (b *bench) swap(tables ...string) *warehouse.Result {
	b.t.Helper()
	r, err := b.rebuilder().Swap(b.t.Context(), b.swapOf(tables...))
	if err != nil {
		b.t.Fatalf("swap: %v", err)
	}
	return r
}

// wantNoRebuild looks for what a rebuild may have left.
func (b *bench) wantNoRebuild() {
	b.t.Helper()
	b.asRebuild(func() {
		if c, err := b.Warehouse.Catalogue(b.t.Context(), b.source); err != nil || len(c) > 0 {
			b.t.Errorf("catalogue of the rebuild: %v, %v", c, err)
		}
		if p, err := b.Warehouse.Positions(b.t.Context(), b.source); err != nil || len(p) > 0 {
			b.t.Errorf("positions of the rebuild: %v, %v", p, err)
		}
		for _, name := range []string{"clicks", warehouse.Discards} {
			if rows, err := b.ask(b.t.Context(), "SELECT count(*) FROM "+b.qualified(name)); err == nil {
				b.t.Errorf("%s of the rebuild is there still: %v", name, rows)
			}
		}
	})
}

// fill loads rows [from, to) of clicks and opens, with a value in the column n, and a discard of each table.
func (b *bench) fill(from, to uint64, kind table.Type) {
	b.t.Helper()
	columns := []table.Column{column("n", kind)}
	w := b.batch(to - from)
	w.Tables = []*table.Batch{tableOf("clicks", columns), tableOf("opens", columns)}
	for o := from; o < to; o++ {
		v, ok := table.Int(int64(o)).Cast(kind)
		if !ok {
			b.t.Fatalf("no %v of an integer", kind)
		}
		for _, t := range w.Tables {
			t.Rows = append(t.Rows, tableOf(t.Name, columns, at(o, v)).Rows...)
		}
	}
	w.Upserts = []*table.Batch{tableOf("users", columns, row{"ann", from, []table.Value{w.Tables[0].Rows[0].Cells[2].Value}})}
	reason := "first"
	if kind != table.Integer {
		reason = "rebuilt"
	}
	for _, name := range []string{"clicks", "opens"} {
		d := discard(from, reason)
		d.TableName = name
		w.Discards = append(w.Discards, d)
	}
	b.load(w)
}

// refill fills the rebuild from the start with texts.
func (b *bench) refill(ends ...uint64) {
	b.t.Helper()
	next := b.next
	b.asRebuild(func() {
		b.next = 0
		for _, end := range ends {
			b.fill(b.next, end, table.String)
		}
	})
	b.next = next
}

func testRebuild(t *testing.T, b *bench) {
	b.fill(0, 2, table.Integer)
	b.fill(2, 3, table.Integer)
	b.refill(1, 3)
	want := [][]string{{"id-000000", "0"}, {"id-000001", "1"}, {"id-000002", "2"}}
	b.want(b.rows("clicks", "id", "n"), want)
	b.wantCatalogue("clicks", standard(column("n", table.Integer)))
	b.reopen() // as after a kill before the swap
	if r := b.swap("clicks", "users"); len(r.Rows) == 0 || r.Rows["clicks"] != 3 {
		t.Errorf("result %+v", r)
	}
	check := func() {
		t.Helper()
		b.want(b.rows("clicks", "id", "n"), want)
		b.want(b.rows("users", "id", "n"), [][]string{{"ann", "1"}})
		b.wantCatalogue("clicks", standard(column("n", table.String)))
		b.wantCatalogue("users", standard(column("n", table.String)))
		b.wantCatalogue("opens", standard(column("n", table.Integer)))
		b.want(b.rows(warehouse.Discards, "table_name", "reason", "row_id"), [][]string{
			{"clicks", "rebuilt", "id-000000"}, {"clicks", "rebuilt", "id-000001"}, {"opens", "first", "id-000000"}, {"opens", "first", "id-000002"},
		})
		if p := b.position(); p != 3 {
			t.Errorf("position %d, want 3", p)
		}
		b.wantNoRebuild()
	}
	check()
	// Again there is nothing to swap, and nothing changes.
	for range 2 {
		if r, err := b.rebuilder().Swap(t.Context(), b.swapOf("clicks", "users")); warehouse.KindOf(err) != warehouse.Moved {
			t.Errorf("swapped again: %+v, %v; want kind %s", r, err, warehouse.Moved)
		}
		b.reopen()
		check()
	}
	// Loads go on with the new type.
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column("n", table.String)}, at(3, table.Text("three")))}
	b.load(w)
	b.want(b.rows("clicks", "id", "n"), append(want, []string{"id-000003", "three"}))
}

// testRebuildOfCalls mends a wrong first type as the loader does: a survey, a second pass into the rebuild, the swap.
func testRebuildOfCalls(t *testing.T, b *bench) {
	history := func() []*event.Call {
		return []*event.Call{
			track("m0", "Order Completed", "ann", map[string]any{"total": 7, "sku": "x"}), identify("m1", "ann", map[string]any{"age": 30}),
			track("m2", "Order Completed", "ann", map[string]any{"total": "12 EUR", "gift": true}), identify("m3", "ann", map[string]any{"age": "thirty"}),
		}
	}
	for _, c := range history() {
		b.real(c)
	}
	b.want(b.rows("order_completed", "id", "total"), [][]string{{"m0", "7"}, {"m2", "NULL"}})
	if n := b.count(warehouse.Discards); n != "3" { // the order, identifies and users
		t.Errorf("%s discards, want 3", n)
	}
	survey := event.NewShaper(b.source, b.Rules, event.ShapeOptions{Survey: true})
	for _, c := range history() {
		if err := survey.Add(c); err != nil {
			t.Fatal(err)
		}
		survey.Take()
	}
	next := b.next
	b.asRebuild(func() {
		b.next = 0
		if err := b.Warehouse.(load.Preparer).Prepare(t.Context(), b.source, b.schema, event.Standard(b.Rules)); err != nil {
			t.Fatal(err)
		}
		shaper := b.shaper()
		for _, s := range survey.Columns() {
			shaper.Restore(s.Name, s.Columns)
		}
		for _, c := range history() {
			b.load(b.shaped(shaper, c))
		}
	})
	b.next = next
	b.swap("order_completed", "users", "identifies")
	b.want(b.rows("order_completed", "id", "total", "sku", "user_id"), [][]string{{"m0", "7", "x", "ann"}, {"m2", "12 EUR", "NULL", "ann"}})
	b.want(b.rows("users", "id", "age"), [][]string{{"ann", "thirty"}})
	b.want([][]string{{b.count("tracks"), b.count("identifies"), b.count(warehouse.Discards)}}, [][]string{{"2", "2", "0"}})
	b.wantNoRebuild()
	b.real(track("m4", "Order Completed", "ann", map[string]any{"total": "free"}))
	b.want(b.rows("order_completed", "id", "total"), [][]string{{"m0", "7"}, {"m2", "12 EUR"}, {"m4", "free"}})
}

func testRebuildMoved(t *testing.T, b *bench) {
	b.fill(0, 3, table.Integer)
	refused := func() {
		t.Helper()
		if r, err := b.rebuilder().Swap(t.Context(), b.swapOf("clicks")); warehouse.KindOf(err) != warehouse.Moved {
			t.Errorf("swapped: %+v, %v; want kind %s", r, err, warehouse.Moved)
		}
		b.want(b.rows("clicks", "id", "n"), [][]string{{"id-000000", "0"}, {"id-000001", "1"}, {"id-000002", "2"}})
		b.wantCatalogue("clicks", standard(column("n", table.Integer)))
	}
	refused() // there is no rebuild
	b.refill(2)
	refused() // it is behind
	b.asRebuild(func() { b.want([][]string{{b.count("clicks")}}, [][]string{{"2"}}) })
	w := b.swapOf()
	for range 2 {
		if err := b.rebuilder().DropRebuild(t.Context(), w.RebuildSource, w.RebuildSchema); err != nil {
			t.Fatal(err)
		}
		b.wantNoRebuild()
	}
	refused()
	// The source has a journal more than the rebuild.
	b.refill(3)
	other := &warehouse.Batch{Source: b.source, Schema: b.schema, Log: "0b0e9fe0-0000-4000-8000-000000000009", To: 1, ReceivedThrough: event.NoTime}
	b.load(other)
	refused()
	other.Source, other.Schema = w.RebuildSource, w.RebuildSchema
	b.load(other)
	b.swap("clicks")
	b.wantCatalogue("clicks", standard(column("n", table.String)))
	b.wantNoRebuild()
}

func testRebuildSome(t *testing.T, b *bench) {
	b.fill(0, 3, table.Integer)
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("gone", nil, at(3))}
	b.load(w)
	b.refill(4)
	b.swap("gone", "opens", "never there")
	b.want([][]string{{b.count("gone"), b.count("clicks"), b.count("opens")}}, [][]string{{"1", "3", "4"}})
	b.wantCatalogue("gone", standard())
	b.wantCatalogue("clicks", standard(column("n", table.Integer)))
	b.wantCatalogue("opens", standard(column("n", table.String)))
	b.wantNoRebuild()
	// A rebuild of a table that the source lost.
	b.user("DROP TABLE " + b.qualified("clicks"))
	b.reopen()
	b.refill(4)
	b.swap("clicks")
	b.want([][]string{{b.count("clicks")}}, [][]string{{"4"}})
	b.wantCatalogue("clicks", standard(column("n", table.String)))
}

// testRebuildKeeps: columns that people added keep their values and defaults, views see the new rows, indexes are there.
func testRebuildKeeps(t *testing.T, b *bench) {
	b.fill(0, 3, table.Integer)
	b.user("ALTER TABLE "+b.qualified("clicks")+" ADD COLUMN mine varchar(20) DEFAULT 'default'",
		"UPDATE "+b.qualified("clicks")+" SET mine = 'set by hand' WHERE id = 'id-000001'", "UPDATE "+b.qualified("clicks")+" SET mine = NULL WHERE id = 'id-000002'")
	if !b.lacks(LacksIndexes) {
		b.user("CREATE INDEX clicks_received ON " + b.qualified("clicks") + " (received_at)")
	}
	if !b.lacks(LacksViews) {
		b.user("CREATE VIEW " + b.qualified("of_clicks") + " AS SELECT id, n FROM " + b.qualified("clicks"))
	}
	b.refill(3)
	b.swap("clicks", "opens", "users")
	b.want(b.rows("clicks", "id", "n", "mine"), [][]string{{"id-000000", "0", "default"}, {"id-000001", "1", "set by hand"}, {"id-000002", "2", "NULL"}})
	if b.Lacks[LacksViews] == "" {
		b.want(b.rows("of_clicks", "id", "n"), [][]string{{"id-000000", "0"}, {"id-000001", "1"}, {"id-000002", "2"}})
	}
	b.reopen()
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column("n", table.String)}, at(3, table.Text("x")))}
	b.load(w)
	b.want(b.rows("clicks", "id", "n", "mine")[3:], [][]string{{"id-000003", "x", "default"}})
	if b.Lacks[LacksViews] == "" {
		b.want(b.rows("of_clicks", "id", "n")[3:], [][]string{{"id-000003", "x"}})
	}
	if b.Lacks[LacksIndexes] == "" {
		b.user(b.dropIndex("clicks", "clicks_received"))
	}
	// And a second time.
	b.refill(4)
	b.swap("clicks")
	b.want(b.rows("clicks", "id", "n", "mine"), [][]string{{"id-000000", "0", "default"}, {"id-000001", "1", "set by hand"}, {"id-000002", "2", "NULL"}, {"id-000003", "3", "default"}})
}

// testRebuildReaders swaps a few times while others look on: they see the tables as before or as after, and never none.
func testRebuildReaders(t *testing.T, b *bench) {
	b.fill(0, 20, table.Integer)
	statement := "SELECT (SELECT count(*) FROM " + b.qualified("clicks") + "), (SELECT count(*) FROM " + b.qualified("opens") + ")"
	var done atomic.Bool
	var looks atomic.Int64
	g, ctx := errgroup.WithContext(t.Context())
	for range 3 {
		g.Go(func() error {
			for !done.Load() {
				rows, err := b.ask(ctx, statement)
				if err != nil {
					return fmt.Errorf("a reader beside a swap: %w", err)
				}
				looks.Add(1)
				if r := rows[0]; r[0] != r[1] || !slices.Contains([]string{"20", "15", "10", "5", "1"}, r[0]) {
					t.Errorf("a reader saw %v", r)
				}
			}
			return nil
		})
	}
	wait := func() {
		t.Helper()
		for seen, deadline := looks.Load(), time.Now().Add(20*time.Second); looks.Load() < seen+3; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) || ctx.Err() != nil {
				t.Error("nobody looks")
				return
			}
		}
	}
	for _, rows := range []uint64{15, 10, 5, 1} {
		wait()
		next := b.next
		b.asRebuild(func() {
			b.next = 0
			b.fill(0, rows, table.String)
			w := b.batch(next - rows) // the rows of these are gone
			b.load(w)
		})
		b.next = next
		b.swap("clicks", "opens", "users")
	}
	wait()
	done.Store(true)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	b.want([][]string{{b.count("clicks"), b.count("opens")}}, [][]string{{"1", "1"}})
	b.wantNoRebuild()
}
