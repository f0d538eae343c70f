package warehousetest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

func testUpsert(t *testing.T, b *bench) {
	plan, seats := column("plan", table.String), column("seats", table.Integer)
	w := b.batch(2)
	w.Upserts = []*table.Batch{tableOf("users", []table.Column{plan, seats},
		row{"ann", 0, []table.Value{table.Text("free"), table.Int(1)}}, row{"bob", 1, []table.Value{table.Text("pro"), null}})}
	b.load(w)
	// A missing value leaves what is there, another replaces it.
	w = b.batch(1)
	w.Upserts = []*table.Batch{tableOf("users", []table.Column{plan, seats}, row{"ann", 2, []table.Value{null, table.Int(9)}})}
	b.load(w)
	b.reopen()
	want := [][]string{{"ann", "free", "9", "2023-11-14T22:13:20.002Z"}, {"bob", "pro", "NULL", "2023-11-14T22:13:20.001Z"}}
	b.want(b.rows("users", "id", "plan", "seats", "received_at"), want)
	// received_at never goes back.
	w = b.batch(1)
	w.Upserts = []*table.Batch{tableOf("users", []table.Column{plan, seats}, row{"ann", 1, []table.Value{table.Text("team"), null}})}
	b.load(w)
	want[0][1] = "team"
	b.want(b.rows("users", "id", "plan", "seats", "received_at"), want)
	b.wantCatalogue("users", standard(plan, seats))
}

func testUpsertMixed(t *testing.T, b *bench) {
	plan := column("plan", table.String)
	w := b.batch(1)
	w.Upserts = []*table.Batch{tableOf("users", []table.Column{plan}, row{"ann", 0, []table.Value{table.Text("free")}})}
	b.load(w)
	since := column("since", table.Timestamp)
	w = b.batch(3)
	w.Upserts = []*table.Batch{
		tableOf("users", []table.Column{plan, since},
			row{"ann", 1, []table.Value{null, table.Time(0)}}, row{"", 2, []table.Value{table.Text("empty id")}}, row{"cat", 3, nil}),
		tableOf("accounts", nil, row{"acme", 3, nil}),
	}
	r := b.load(w)
	if r.Rows["users"] != 3 || r.Rows["accounts"] != 1 {
		t.Errorf("rows %v", r.Rows)
	}
	b.want(b.rows("users", "id", "plan", "since"), [][]string{{"", "empty id", "NULL"}, {"ann", "free", "1970-01-01T00:00:00Z"}, {"cat", "NULL", "NULL"}})
	b.want(b.rows("accounts", "id"), [][]string{{"acme"}})
}

func testDiscards(t *testing.T, b *bench) {
	w := b.batch(2)
	w.Discards = []event.Discard{discard(0, "does_not_fit"), discard(1, "ts_in_future")}
	r := b.load(w)
	if r.Discards != 2 {
		t.Errorf("%d discards, want 2", r.Discards)
	}
	b.want(b.rows(warehouse.Discards, "row_id", "table_name", "column_name", "value", "value_type", "column_type", "reason", "received_at"), [][]string{
		{"id-000000", "clicks", "n", "x", "string", "integer", "does_not_fit", "2023-11-14T22:13:20Z"},
		{"id-000001", "clicks", "n", "x", "string", "integer", "ts_in_future", "2023-11-14T22:13:20.001Z"},
	})
	b.want(b.query("SELECT count(*) FROM "+b.Quote("production")+"."+b.Quote(warehouse.Discards)+" WHERE loaded_at IS NULL"), [][]string{{"0"}})
}

func testAgain(t *testing.T, b *bench) {
	w := b.batch(3)
	w.Tables = []*table.Batch{tableOf("clicks", nil, at(0), at(1), at(2))}
	w.Upserts = []*table.Batch{tableOf("users", nil, row{"ann", 0, nil})}
	w.Discards = []event.Discard{discard(0, "test")}
	b.load(w)
	for range 2 {
		if r := b.load(w); !r.Duplicate || len(r.Rows) > 0 || r.Discards > 0 {
			t.Errorf("loaded again: %+v", r)
		}
		for _, name := range []string{"users", warehouse.Discards} {
			if n := b.count(name); n != "1" {
				t.Errorf("%s rows in %s, want 1", n, name)
			}
		}
		if n := b.count("clicks"); n != "3" {
			t.Errorf("%s rows, want 3", n)
		}
		b.reopen()
	}
	// The first half of what is in already is in as well.
	w.To = 2
	if r := b.load(w); !r.Duplicate {
		t.Errorf("loaded again: %+v", r)
	}
}

func testMoved(t *testing.T, b *bench) {
	w := b.batch(3)
	w.Tables = []*table.Batch{tableOf("clicks", nil, at(0), at(1), at(2))}
	b.load(w)
	for _, from := range []uint64{1, 4} {
		w := &warehouse.Batch{Source: "production", Schema: b.schema, Log: journal, From: from, To: 10, Tables: []*table.Batch{tableOf("clicks", nil, at(5))}}
		if err := b.refuse(w); warehouse.KindOf(err) != warehouse.Moved {
			t.Errorf("a batch from %d: %v, want kind %s", from, err, warehouse.Moved)
		}
	}
	if n := b.count("clicks"); n != "3" {
		t.Errorf("%s rows, want 3", n)
	}
}

func testApart(t *testing.T, b *bench) {
	const other = "0b0e9fe0-0000-4000-8000-000000000002"
	for _, w := range []*warehouse.Batch{
		{Source: "production", Schema: "production", Log: journal, To: 5},
		{Source: "production", Schema: "production", Log: other, To: 7},
		{Source: "staging", Schema: "staging", Log: journal, To: 9},
	} {
		w.ReceivedThrough = event.NoTime
		w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column(w.Source, table.String)}, at(w.To, table.Text(w.Log)))}
		b.load(w)
	}
	b.want(b.rows("clicks", "id", "production"), [][]string{{"id-000005", journal}, {"id-000007", other}})
	b.schema = "staging"
	b.want(b.rows("clicks", "id", "staging"), [][]string{{"id-000009", journal}})
	p, err := b.Warehouse.Positions(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	if p[journal].Next != 5 || p[other].Next != 7 || len(p) != 2 {
		t.Errorf("positions %+v", p)
	}
	if p[other].LoadedThrough != event.NoTime {
		t.Errorf("loaded through %d, want none", p[other].LoadedThrough)
	}
	b.wantCatalogue("clicks", standard(column("production", table.String)))
}

func testPositionAlone(t *testing.T, b *bench) {
	b.load(b.batch(5))
	b.load(b.batch(5))
	b.reopen()
	if p := b.position(); p != 10 {
		t.Errorf("position %d, want 10", p)
	}
}

func testCancelled(t *testing.T, b *bench) {
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", nil, at(0))}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Warehouse.Load(ctx, w); err == nil {
		t.Fatal("loaded under a context that had ended")
	}
	if p := b.position(); p != 0 {
		t.Errorf("position %d, want 0", p)
	}
	b.load(w)
	b.want(b.rows("clicks", "id"), [][]string{{"id-000000"}})
}

func testAfterFailure(t *testing.T, b *bench) {
	w := b.batch(2)
	w.Tables = []*table.Batch{
		tableOf("clicks", []table.Column{column("n", table.Integer)}, at(0, table.Int(1))),
		// A value that is not of its column's type: the load fails when rows have been written.
		tableOf("opens", []table.Column{column("n", table.Integer)}, at(1, table.Text("not a number"))),
	}
	_ = b.refuse(w)
	if p := b.position(); p != 0 {
		t.Errorf("position %d, want 0", p)
	}
	w.Tables[0].Columns[4].Type = table.Float
	w.Tables[1] = tableOf("opens", []table.Column{column("n", table.String)}, at(1, table.Text("not a number")))
	b.load(w)
	b.want(b.rows("clicks", "id", "n"), [][]string{{"id-000000", "1"}})
	b.want(b.rows("opens", "id", "n"), [][]string{{"id-000001", "not a number"}})
}

// testNeverHalf looks on while batches of ten rows in two tables come in, columns being added all the while.
func testNeverHalf(t *testing.T, b *bench) {
	load := func(i int) {
		columns := []table.Column{column("n", table.Integer)}
		for c := range i / 5 {
			columns = append(columns, column("added_"+string(rune('a'+c)), table.String))
		}
		w := b.batch(10)
		clicks, opens := tableOf("clicks", columns), tableOf("opens", columns)
		for o := w.From; o < w.To; o++ {
			clicks.Rows = append(clicks.Rows, tableOf("clicks", columns, at(o, table.Int(1))).Rows...)
			opens.Rows = append(opens.Rows, tableOf("opens", columns, at(o, table.Int(1))).Rows...)
		}
		w.Tables = []*table.Batch{clicks, opens}
		w.Upserts = []*table.Batch{tableOf("users", []table.Column{column("n", table.Integer)}, row{"ann", w.From, []table.Value{table.Int(int64(w.To))}})}
		b.load(w)
	}
	load(0)
	q := b.Quote
	statement := "SELECT (SELECT count(*) FROM " + q("production") + "." + q("clicks") + "), (SELECT count(*) FROM " + q("production") + "." + q("opens") +
		"), (SELECT max(n) FROM " + q("production") + "." + q("users") + ")"
	var done atomic.Bool
	var looks atomic.Int64
	g, ctx := errgroup.WithContext(t.Context())
	for range 2 {
		g.Go(func() error {
			for !done.Load() {
				rows, err := query(ctx, b.DB, statement)
				if err != nil {
					return err
				}
				looks.Add(1)
				if r := rows[0]; r[0] != r[1] || r[0] != r[2] {
					t.Errorf("a reader saw %v", r)
				}
			}
			return nil
		})
	}
	deadline := time.Now().Add(30 * time.Second)
	for i := 1; i < 30 || (looks.Load() < 20 && time.Now().Before(deadline)); i++ {
		load(min(i, 30))
	}
	done.Store(true)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if looks.Load() == 0 {
		t.Error("nobody looked")
	}
}
