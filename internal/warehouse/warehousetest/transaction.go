package warehousetest

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

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
	b.want(b.query("SELECT count(*) FROM "+b.qualified(warehouse.Discards)+" WHERE loaded_at IS NULL"), [][]string{{"0"}})
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

// testCancelledMidway ends loads at odd moments; whoever asks for the position and goes on from there has every row once.
func testCancelledMidway(t *testing.T, b *bench) {
	const batches, size = 8, 50
	patience := 100 * time.Microsecond
	cancelled, columns := 0, []table.Column{column("n", table.Integer)}
	for i := range batches {
		w := b.batch(size)
		columns = append(columns, column("c"+strconv.Itoa(i), table.String))
		values := make([]table.Value, len(columns))
		values[0], values[i+1] = table.Int(1), table.Text("x")
		clicks := tableOf("clicks", columns)
		users := tableOf("users", []table.Column{column("n", table.Integer)}, row{"ann", w.From, []table.Value{table.Int(int64(w.To))}})
		for o := w.From; o < w.To; o++ {
			clicks.Rows = append(clicks.Rows, tableOf("clicks", columns, at(o, values...)).Rows...)
		}
		w.Tables, w.Upserts, w.Discards = []*table.Batch{clicks}, []*table.Batch{users}, []event.Discard{discard(w.From, "test")}
		for b.position() < w.To {
			if b.position() != w.From {
				t.Fatalf("position %d within a batch from %d to %d", b.position(), w.From, w.To)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if _, err := b.Warehouse.Load(ctx, w); err != nil {
				cancelled++
				patience += patience / 2
			} else if patience > 2*time.Millisecond {
				patience /= 4
			}
			cancel()
		}
	}
	if cancelled == 0 {
		t.Error("no load was cancelled")
	}
	b.want(b.query("SELECT count(*), count(DISTINCT id), sum(n) FROM "+b.qualified("clicks")), [][]string{{"400", "400", "400"}})
	b.want(b.rows("users", "id", "n"), [][]string{{"ann", "400"}})
	b.want([][]string{{b.count(warehouse.Discards)}}, [][]string{{"8"}})
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
	// The columns have changed between the failure and the next attempt.
	w.Tables[0].Columns[4].Type = table.Float
	w.Tables[0].Rows[0].Cells[2].Value = table.Float64(1.5)
	w.Tables[1] = tableOf("opens", []table.Column{column("n", table.Integer), column("more", table.String)}, at(1, table.Int(7), table.Text("x")))
	b.load(w)
	b.want(b.rows("clicks", "id", "n"), [][]string{{"id-000000", "1.5"}})
	b.want(b.rows("opens", "id", "n", "more"), [][]string{{"id-000001", "7", "x"}})
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
	statement := "SELECT (SELECT count(*) FROM " + b.qualified("clicks") + "), (SELECT count(*) FROM " + b.qualified("opens") +
		"), (SELECT max(n) FROM " + b.qualified("users") + ")"
	var done atomic.Bool
	var looks atomic.Int64
	g, ctx := errgroup.WithContext(t.Context())
	for range 2 {
		g.Go(func() error {
			for !done.Load() {
				rows, err := b.ask(ctx, statement)
				if err != nil {
					return err
				}
				looks.Add(1)
				if r := rows[0]; r[0] != r[1] || r[0] != r[2] || !strings.HasSuffix(r[0], "0") {
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
