package warehousetest

import (
	"fmt"
	"testing"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/table"
	"firth/internal/warehouse"
)

var replays = []behaviour{
	{"replay", testReplay},
	{"replay of discards", testReplayDiscards},
	{"replay of users", testReplayUsers},
	{"replay of many rows", testReplayMany},
}

// replay takes a batch in again; no position may move by it.
func (b *bench) replay(w *warehouse.Batch) *warehouse.Result {
	b.t.Helper()
	r, ok := b.Warehouse.(load.Replayer)
	if !ok {
		b.t.Fatal("the warehouse is no load.Replayer")
	}
	before := b.position()
	out, err := r.Replay(b.t.Context(), w)
	if err != nil {
		b.t.Fatalf("replay: %v", err)
	}
	if after := b.position(); after != before {
		b.t.Errorf("the position moved from %d to %d", before, after)
	}
	return out
}

// again is a batch for Replay.
func (b *bench) again(from, to uint64) *warehouse.Batch {
	return &warehouse.Batch{Source: b.source, Schema: b.schema, Log: journal, From: from, To: to, ReceivedThrough: received(to - 1)}
}

func testReplay(t *testing.T, b *bench) {
	columns := []table.Column{column("n", table.Integer)}
	w := b.batch(10)
	clicks := tableOf("clicks", columns)
	for o := range uint64(10) {
		if o != 3 {
			clicks.Rows = append(clicks.Rows, tableOf("clicks", columns, at(o, table.Int(int64(o)))).Rows...)
		}
	}
	w.Tables = []*table.Batch{clicks}
	b.load(w)
	columns = append(columns, column("more", table.String))
	w = b.again(2, 6)
	w.Tables = []*table.Batch{
		tableOf("clicks", columns, at(2, table.Int(99), table.Text("x")), at(3, table.Int(3), table.Text("x")), at(3, table.Int(3), table.Text("x")), at(4, null, null), row{"id-00000", 5, nil}, row{"ID-000005", 5, nil}),
		tableOf("opens", columns, at(2, table.Int(1), null), at(3)),
	}
	if r := b.replay(w); r.Rows["clicks"] != 3 || r.Rows["opens"] != 2 {
		t.Errorf("rows %v, want those that were missing", r.Rows)
	}
	b.want(b.query("SELECT count(*) FROM "+b.qualified("clicks")+" WHERE uuid_ts IS NULL OR loaded_at IS NULL"), [][]string{{"0"}})
	for range 2 {
		if r := b.replay(w); r.Rows["clicks"]+r.Rows["opens"] != 0 {
			t.Errorf("rows %v of a second replay", r.Rows)
		}
		b.reopen()
	}
	b.want(b.rows("clicks", "id", "n", "more")[:6], [][]string{
		{"ID-000005", "NULL", "NULL"}, {"id-00000", "NULL", "NULL"}, {"id-000000", "0", "NULL"}, {"id-000001", "1", "NULL"}, {"id-000002", "2", "NULL"}, {"id-000003", "3", "x"},
	})
	b.want([][]string{{b.count("clicks"), b.count("opens")}}, [][]string{{"12", "2"}})
	b.wantCatalogue("clicks", standard(columns...))
	// Loads go on.
	w = b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", columns, at(10))}
	b.load(w)
	b.want([][]string{{b.count("clicks")}}, [][]string{{"13"}})
}

func testReplayDiscards(t *testing.T, b *bench) {
	columns := []table.Column{column("s", table.String)}
	broken := table.Text("broken \xff text")
	w := b.batch(3)
	w.Tables = []*table.Batch{tableOf("clicks", columns, at(0, broken), at(1, table.Text("x")))}
	w.Discards = []event.Discard{discard(1, "test")}
	b.load(w)
	w = b.again(0, 3)
	w.Tables = []*table.Batch{tableOf("clicks", columns, at(0, broken), at(1, table.Text("x")), at(2, broken))}
	w.Discards = []event.Discard{discard(1, "test"), discard(1, "another"), discard(2, "test"), discard(2, "test")}
	if r := b.replay(w); r.Discards != 3 || r.Rows["clicks"] != 1 {
		t.Errorf("result %+v, want three discards and one row", r)
	}
	if r := b.replay(w); r.Discards != 0 || r.Rows["clicks"] != 0 {
		t.Errorf("result %+v of a second replay", r)
	}
	b.want(b.rows(warehouse.Discards, "row_id", "column_name", "reason"), [][]string{
		{"id-000000", "s", NotUTF8}, {"id-000001", "n", "another"}, {"id-000001", "n", "test"}, {"id-000002", "n", "test"}, {"id-000002", "s", NotUTF8},
	})
}

// testReplayUsers: the rows of users and accounts that were touched are those of their calls again.
func testReplayUsers(t *testing.T, b *bench) {
	group := func(id, account string, traits map[string]any) *event.Call {
		return &event.Call{MessageID: id, Type: "group", UserID: "ann", Properties: document(traits), Payload: []byte(`{"groupId":"` + account + `"}`)}
	}
	var history []*event.Call
	for i, traits := range []map[string]any{{"plan": "free", "age": 30, "vip": true}, {"plan": "pro"}, {"plan": "team", "since": "2024-01-01"}} {
		history = append(history, identify(fmt.Sprint("a", i), "ann", traits), identify(fmt.Sprint("b", i), "bob", traits), group(fmt.Sprint("g", i), "acme", traits))
	}
	b.real(history...)
	want := [][]string{
		{"ann", "team", "30", "2024-01-01T00:00:00Z", "2023-11-14T22:13:20.006Z"}, {"bob", "team", "30", "2024-01-01T00:00:00Z", "2023-11-14T22:13:20.007Z"},
	}
	read := func() [][]string { return b.rows("users", "id", "plan", "age", "since", "received_at") }
	b.want(read(), want)
	// Somebody spoilt the rows, and one call came late: in the order of receipt it is between the others.
	b.user("UPDATE "+b.qualified("users")+" SET plan = 'wrong', age = 7", "DELETE FROM "+b.qualified("accounts"))
	late := identify("a9", "ann", map[string]any{"age": 33, "plan": "late", "city": "Ulm"})
	late.ReceivedAt = received(3)
	next := b.next
	w := b.shaped(b.shaper(), append(history[:1:1], late, identify("a1", "ann", map[string]any{"plan": "pro"}), group("g0", "acme", map[string]any{"plan": "free"}))...)
	b.next = next
	if r := b.replay(w); r.Rows["identifies"] != 1 || r.Rows["groups"] != 0 || r.Rows["users"] != 1 || r.Rows["accounts"] != 1 {
		t.Errorf("rows %v", r.Rows)
	}
	want[0], want[1] = []string{"ann", "team", "33", want[0][3], want[0][4]}, []string{"bob", "wrong", "7", want[1][3], want[1][4]}
	for range 2 {
		b.want(read(), want)
		b.want(b.rows("users", "id", "city"), [][]string{{"ann", "Ulm"}, {"bob", "NULL"}})
		b.want(b.rows("accounts", "id", "plan", "age", "since", "received_at"), [][]string{{"acme", "team", "30", "2024-01-01T00:00:00Z", "2023-11-14T22:13:20.008Z"}})
		b.want(b.query("SELECT count(*) FROM "+b.qualified("users")+" WHERE vip"), [][]string{{"2"}})
		b.replay(w)
	}
}

func testReplayMany(t *testing.T, b *bench) {
	const n = 6000
	columns := []table.Column{column("n", table.Integer)}
	all := tableOf("clicks", columns)
	for o := range uint64(n) {
		all.Rows = append(all.Rows, tableOf("clicks", columns, at(o, table.Int(int64(o)))).Rows...)
	}
	w := b.batch(n)
	odd := &table.Batch{Name: all.Name, Columns: all.Columns}
	for i := 1; i < n; i += 2 {
		odd.Rows = append(odd.Rows, all.Rows[i])
	}
	w.Tables = []*table.Batch{odd}
	b.load(w)
	w = b.again(0, n)
	w.Tables = []*table.Batch{all}
	if r := b.replay(w); r.Rows["clicks"] != n/2 {
		t.Errorf("rows %v, want %d", r.Rows, n/2)
	}
	b.want(b.query("SELECT count(*), count(DISTINCT id), sum(n) FROM "+b.qualified("clicks")), [][]string{{fmt.Sprint(n), fmt.Sprint(n), fmt.Sprint(n * (n - 1) / 2)}})
}
