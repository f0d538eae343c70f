package warehousetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firth/internal/event"
	"firth/internal/table"
)

var people = []behaviour{
	{"upsert", testUpsert},
	{"upsert new and known in one batch", testUpsertMixed},
	{"what replaces in an upsert", testUpsertValues},
	{"many ids", testManyIDs},
	{"ids that differ by little", testCloseIDs},
	{"users of calls", testUsersOfCalls},
}

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

// testUpsertValues: every value replaces, also those that other languages take for nothing.
func testUpsertValues(t *testing.T, b *bench) {
	columns := []table.Column{column("s", table.String), column("i", table.Integer), column("f", table.Float), column("t", table.Timestamp), column("flag", table.Boolean)}
	full := []table.Value{table.Text("x"), table.Int(5), table.Float64(2.5), table.Time(1_000_000), table.Bool(true)}
	nothing := []table.Value{table.Text(""), table.Int(0), table.Float64(0), table.Time(0), table.Bool(false)}
	w := b.batch(1)
	w.Upserts = []*table.Batch{tableOf("users", columns, row{"ann", 0, full}, row{"bob", 0, full}, row{"cat", 0, nil}, row{"dan", 0, nothing})}
	b.load(w)
	w = b.batch(2)
	w.Upserts = []*table.Batch{tableOf("users", columns, row{"ann", 1, nothing}, row{"bob", 1, nil}, row{"cat", 1, full}, row{"dan", 1, []table.Value{null, table.Int(7), null, null, null}})}
	b.load(w)
	b.want(b.rows("users", "id", "s", "i", "f", "t"), [][]string{
		{"ann", "", "0", "0", "1970-01-01T00:00:00Z"},
		{"bob", "x", "5", "2.5", "1970-01-01T00:00:01Z"},
		{"cat", "x", "5", "2.5", "1970-01-01T00:00:01Z"},
		{"dan", "", "7", "0", "1970-01-01T00:00:00Z"},
	})
	b.want(b.query("SELECT id FROM "+b.qualified("users")+" WHERE flag ORDER BY id"), [][]string{{"bob"}, {"cat"}})
	b.want(b.query("SELECT count(*) FROM "+b.qualified("users")+" WHERE uuid_ts IS NULL OR loaded_at IS NULL"), [][]string{{"0"}})
	// A column that is wider than before, and one that is new.
	columns[1].Type = table.Float
	columns = append(columns, column("more", table.String))
	w = b.batch(1)
	w.Upserts = []*table.Batch{tableOf("users", columns, row{"ann", 2, []table.Value{null, table.Float64(0.5), null, null, null, table.Text("m")}})}
	b.load(w)
	b.want(b.rows("users", "id", "i", "more"), [][]string{{"ann", "0.5", "m"}, {"bob", "5", "NULL"}, {"cat", "5", "NULL"}, {"dan", "7", "NULL"}})
}

// testManyIDs upserts more ids than a statement could name one by one, half of them known.
func testManyIDs(t *testing.T, b *bench) {
	const n = 20_000
	columns := []table.Column{column("n", table.Integer), column("s", table.String)}
	for round := range 2 {
		w := b.batch(n)
		rows := make([]row, n)
		for i := range rows {
			id := i + round*n/2
			rows[i] = row{fmt.Sprintf("user-%06d", id), w.From, []table.Value{table.Int(int64(round)), null}}
			if i%2 == round {
				rows[i].values[1] = table.Text(fmt.Sprint("round ", round))
			}
		}
		w.Upserts = []*table.Batch{tableOf("users", columns, rows...), tableOf("accounts", columns, rows[:n/2]...)}
		if r := b.load(w); r.Rows["users"] != n || r.Rows["accounts"] != n/2 {
			t.Errorf("rows %v", r.Rows)
		}
	}
	count := func(what string) string {
		return b.query("SELECT count(*) FROM " + b.qualified("users") + " WHERE " + what)[0][0]
	}
	for what, want := range map[string]string{
		"1 = 1": "30000", "n = 0": "10000", "n = 1": "20000", "s = 'round 0'": "10000", "s = 'round 1'": "10000", "s IS NULL": "10000",
	} {
		if got := count(what); got != want {
			t.Errorf("%s rows where %s, want %s", got, what, want)
		}
	}
	b.want(b.query("SELECT count(*), count(DISTINCT id) FROM "+b.qualified("accounts")), [][]string{{"20000", "20000"}})
}

// testCloseIDs upserts ids that a lenient comparison takes for one.
func testCloseIDs(t *testing.T, b *bench) {
	long := strings.Repeat("long", 250)
	ids := []string{
		"ann", "Ann", "ANN", "ann ", " ann", "ann  ", "ann\t", "ann\n", "a\u0301nn", "\u00e1nn", "änn", "strasse", "straße", "ﬀ", "ff", "1", "01", "1.0", "1e0", "١", "", " ",
		"null", "NULL", "%", "_", "\\", "'", `"`, "🚀", "🚁", "\u200bann", long, long[:999] + "h", long[:999] + "G", long + "r",
	}
	for round := range 2 {
		w := b.batch(1)
		var rows []row
		for i, id := range ids {
			rows = append(rows, row{id, w.From, []table.Value{table.Int(int64(100*round + i))}})
		}
		w.Upserts = []*table.Batch{tableOf("users", []table.Column{column("n", table.Integer)}, rows...)}
		b.load(w)
	}
	var want [][]string
	for i, id := range ids {
		want = append(want, []string{id, fmt.Sprint(100 + i)})
	}
	slices.SortFunc(want, slices.Compare)
	b.want(b.rows("users", "id", "n"), want)
}

// testUsersOfCalls sends the calls of a person over time, with a load now and again.
func testUsersOfCalls(t *testing.T, b *bench) {
	b.real(identify("m0", "ann", map[string]any{"email": "a@x.org", "plan": "free", "age": 30}))
	b.real(identify("m1", "ann", map[string]any{"plan": "pro"}), identify("m2", "bob", map[string]any{"plan": "free"}), identify("m3", "ann", map[string]any{"plan": "team", "age": nil}))
	b.reopen()
	late := identify("m4", "ann", map[string]any{"age": 31.5, "address": map[string]any{"city": "Ulm"}})
	late.ReceivedAt = received(1) // of another journal, say
	b.real(late)
	b.real(&event.Call{MessageID: "m5", Type: "group", UserID: "ann", Properties: document(map[string]any{"name": "Acme"}), Payload: []byte(`{"groupId":"acme"}`)})
	b.want(b.rows("users", "id", "email", "plan", "age", "address_city", "received_at"), [][]string{
		{"ann", "a@x.org", "team", "31.5", "Ulm", "2023-11-14T22:13:20.003Z"},
		{"bob", "NULL", "free", "NULL", "NULL", "2023-11-14T22:13:20.002Z"},
	})
	b.want(b.rows("accounts", "id", "name"), [][]string{{"acme", "Acme"}})
	b.want(b.rows("identifies", "id", "user_id", "age"), [][]string{{"m0", "ann", "30"}, {"m1", "ann", "NULL"}, {"m2", "bob", "NULL"}, {"m3", "ann", "NULL"}, {"m4", "ann", "31.5"}})
}
