package warehousetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/table"
	"firth/internal/warehouse"
)

var forgets = []behaviour{
	{"forget a person", testForget},
	{"forget message ids", testForgetRows},
	{"forget discards", testForgetDiscards},
	{"forget in a rebuild", testForgetRebuild},
	{"forget ids that are odd", testForgetOdd},
	{"forget many ids", testForgetMany},
	{"forget keeps what people made", testForgetKeeps},
	{"forget beside readers", testForgetReaders},
	{"forget is broken off", testForgetSteps},
	{"forget leaves no byte", testForgetBytes},
}

func (b *bench) forgetter() load.Forgetter {
	b.t.Helper()
	f, ok := b.Warehouse.(load.Forgetter)
	if !ok {
		b.t.Fatal("the warehouse is no load.Forgetter")
	}
	return f
}

// forget removes people; no position may move by it.
func (b *bench) forget(f warehouse.Forget) *warehouse.Forgotten {
	b.t.Helper()
	f.Source, f.Schema = b.source, b.schema
	before := b.position()
	out, err := b.forgetter().Forget(b.t.Context(), f)
	if err != nil {
		b.t.Fatalf("forget: %v", err)
	}
	if after := b.position(); after != before {
		b.t.Errorf("the position moved from %d to %d", before, after)
	}
	if !out.Erased && len(out.Notices) == 0 {
		b.t.Error("something is left, and no notice says where")
	}
	return out
}

func anonymous(c *event.Call, id string) *event.Call {
	c.AnonymousID = id
	return c
}

func groupOf(id, user, account string, traits map[string]any) *event.Call {
	return &event.Call{MessageID: id, Type: "group", UserID: user, Properties: document(traits), Payload: []byte(`{"groupId":"` + account + `"}`)}
}

func aliasOf(id, user, previous string) *event.Call {
	return &event.Call{MessageID: id, Type: "alias", UserID: user, Properties: []byte("{}"), Payload: []byte(`{"previousId":"` + previous + `"}`)}
}

// company loads what three people did.
func (b *bench) company() {
	b.t.Helper()
	b.real(
		anonymous(track("t0", "Clicked", "", map[string]any{"n": 1}), "anon-ann"),
		anonymous(identify("i0", "ann", map[string]any{"email": "ann@example.org", "plan": "free"}), "anon-ann"),
		track("t1", "Clicked", "ann", map[string]any{"n": 2}),
		aliasOf("al0", "ann", "anon-ann"), aliasOf("al1", "bob", "ann"), aliasOf("al2", "bob", "anon-bob"),
		groupOf("g0", "ann", "acme", map[string]any{"name": "Acme"}),
		identify("i1", "bob", map[string]any{"email": "bob@example.org", "plan": "free"}),
	)
	b.real(
		anonymous(identify("i2", "bob", map[string]any{"plan": "team"}), "anon-ann"),
		anonymous(identify("i3", "cat", map[string]any{"plan": "team"}), "anon-cat"),
		track("t2", "Clicked", "bob", map[string]any{"n": 3}), anonymous(track("t3", "Opened", "cat", nil), "anon-cat"),
		groupOf("g1", "bob", "acme", map[string]any{"name": "Acme Ltd", "size": 3}), groupOf("g2", "cat", "umbra", map[string]any{"name": "Umbra"}),
	)
}

func (b *bench) ids(tableName string) string {
	b.t.Helper()
	var out []string
	for _, r := range b.rows(tableName, "id") {
		out = append(out, r[0])
	}
	return strings.Join(out, " ")
}

func (b *bench) wantIDs(want map[string]string) {
	b.t.Helper()
	for name, ids := range want {
		if got := b.ids(name); got != ids {
			b.t.Errorf("%s holds %q, want %q", name, got, ids)
		}
	}
}

func testForget(t *testing.T, b *bench) {
	b.company()
	// Another source has the same ids.
	source, schema, next := b.source, b.schema, b.next
	b.source, b.schema, b.next = "staging", b.Rules.Schema("staging"), 0
	b.company()
	b.source, b.schema, b.next = source, schema, next
	out := b.forget(warehouse.Forget{UserIDs: []string{"ann"}, AnonymousIDs: []string{"anon-ann"}})
	want := map[string]string{
		"tracks": "t2 t3", "clicked": "t2", "opened": "t3", "identifies": "i1 i3", "aliases": "al2", "groups": "g1 g2", "users": "bob cat", "accounts": "acme umbra",
	}
	b.wantIDs(want)
	for name, n := range map[string]int64{"tracks": 2, "clicked": 2, "identifies": 2, "aliases": 2, "groups": 1, "users": 1, "accounts": 0, "opened": 0} {
		if got := out.Rows[b.schema+"."+name]; got != n {
			t.Errorf("%d rows of %s are said to be removed, want %d", got, name, n)
		}
	}
	// bob's second identify was made on ann's device: what it said of bob is gone. Rows of accounts are not hers.
	people := [][]string{{"bob", "bob@example.org", "free"}, {"cat", "NULL", "team"}}
	b.want(b.rows("users", "id", "email", "plan"), people)
	b.want(b.rows("accounts", "id", "name", "size"), [][]string{{"acme", "Acme Ltd", "3"}, {"umbra", "Umbra", "NULL"}})
	again := b.forget(warehouse.Forget{UserIDs: []string{"ann"}, AnonymousIDs: []string{"anon-ann"}})
	for name, n := range again.Rows {
		t.Errorf("%d rows of %s were removed when nothing was left", n, name)
	}
	b.reopen()
	b.wantIDs(want)
	b.want(b.rows("users", "id", "email", "plan"), people)
	b.real(track("t9", "Clicked", "bob", map[string]any{"n": 9}), identify("i9", "bob", map[string]any{"plan": "pro"}))
	people[0][2] = "pro"
	b.want(b.rows("users", "id", "email", "plan"), people)
	b.schema = b.Rules.Schema("staging")
	b.wantIDs(map[string]string{"tracks": "t0 t1 t2 t3", "users": "ann bob cat", "identifies": "i0 i1 i2 i3", "groups": "g0 g1 g2"})
}

// testForgetRows: users and accounts that calls had made are what the other calls say, or gone where there are none.
func testForgetRows(t *testing.T, b *bench) {
	b.company()
	out := b.forget(warehouse.Forget{RowIDs: []string{"t1", "i2", "i3", "g1", "g2", "bob", "acme", "no such id"}})
	for range 2 {
		b.wantIDs(map[string]string{
			"tracks": "t0 t2 t3", "clicked": "t0 t2", "identifies": "i0 i1", "groups": "g0", "aliases": "al0 al1 al2", "users": "ann bob", "accounts": "acme",
		})
		b.want(b.rows("users", "id", "email", "plan"), [][]string{{"ann", "ann@example.org", "free"}, {"bob", "bob@example.org", "free"}})
		b.want(b.rows("accounts", "id", "name", "size"), [][]string{{"acme", "Acme", "NULL"}})
		b.want(b.rows("users", "id", "received_at")[1:], [][]string{{"bob", "2023-11-14T22:13:20.007Z"}})
		b.forget(warehouse.Forget{RowIDs: []string{"t1", "i2", "i3", "g1", "g2"}})
		b.reopen()
	}
	if n := out.Rows[b.schema+".users"] + out.Rows[b.schema+".accounts"]; n != 2 {
		t.Errorf("rows %v, want one of users and one of accounts that nothing is left of", out.Rows)
	}
}

func testForgetDiscards(_ *testing.T, b *bench) {
	w := b.shaped(b.shaper(), track("m0", "Clicked", "ann", nil), track("m1", "Clicked", "bob", nil), identify("m2", "ann", nil))
	add := func(tableName, rowID, value string) {
		w.Discards = append(w.Discards, event.Discard{TableName: tableName, ColumnName: "n", Value: value, ValueType: "string", ColumnType: "integer", Reason: "test", RowID: rowID, ReceivedAt: received(1)})
	}
	add("clicked", "m0", "x")
	add("clicked", "m1", "y")
	add("clicked", "m1", "ann")
	add("clicked", "m1", "anna")
	add("users", "ann", "z")
	add("clicked", "m7", "of a row that is not there")
	b.load(w)
	b.forget(warehouse.Forget{UserIDs: []string{"ann"}, RowIDs: []string{"m7"}})
	b.want(b.rows(warehouse.Discards, "table_name", "row_id", "value"), [][]string{{"clicked", "m1", "anna"}, {"clicked", "m1", "y"}})
}

func testForgetRebuild(_ *testing.T, b *bench) {
	if _, ok := b.Warehouse.(load.Rebuilder); !ok {
		b.t.Skip("nothing is rebuilt in this warehouse")
	}
	b.company()
	b.asRebuild(func() { next := b.next; b.next = 0; b.company(); b.next = next })
	b.forget(warehouse.Forget{UserIDs: []string{"ann"}, AnonymousIDs: []string{"anon-ann"}})
	want := map[string]string{"tracks": "t2 t3", "identifies": "i1 i3", "users": "bob cat"}
	b.wantIDs(want)
	b.asRebuild(func() { b.wantIDs(want) })
}

// testForgetOdd: an id is itself and no other, whatever is in it.
func testForgetOdd(_ *testing.T, b *bench) {
	odd := []string{"ann", "ANN", "ann ", " ann", "änn", "an%", "a_n", `o'neil "x"`, `back\slash`, "🚀", "17", "017", strings.Repeat("long-id-", 60), "ann\x1f", "a,b", "NULL", "null"}
	var calls []*event.Call
	for i, id := range odd {
		calls = append(calls, track(fmt.Sprint("t", i), "Clicked", id, nil), identify(fmt.Sprint("i", i), id, map[string]any{"n": i}), anonymous(track(fmt.Sprint("a", i), "Clicked", "", nil), id))
	}
	b.real(calls...)
	left := func(gone ...string) [][]string {
		var out [][]string
		for _, id := range odd {
			if !slices.Contains(gone, id) {
				out = append(out, []string{id})
			}
		}
		slices.SortFunc(out, slices.Compare)
		return out
	}
	b.forget(warehouse.Forget{UserIDs: []string{"ann"}, AnonymousIDs: []string{"17"}})
	b.want(b.rows("users", "id"), left("ann"))
	b.want(b.rows("identifies", "user_id"), left("ann"))
	var gone []string
	for i, id := range odd {
		if i%2 == 1 {
			gone = append(gone, id)
		}
	}
	b.forget(warehouse.Forget{UserIDs: gone})
	gone = append(gone, "ann")
	b.want(b.rows("users", "id"), left(gone...))
	b.want(b.rows("identifies", "user_id"), left(gone...))
	b.want(b.query("SELECT count(*) FROM "+b.qualified("clicked")+" WHERE anonymous_id IS NOT NULL"), [][]string{{fmt.Sprint(len(odd) - 1)}})
}

func testForgetMany(t *testing.T, b *bench) {
	const n = 12_000
	columns := []table.Column{column("n", table.Integer)}
	w := b.batch(n)
	clicks := tableOf("clicks", columns)
	var odd []string
	for o := range uint64(n) {
		r := at(o, table.Int(int64(o)))
		clicks.Rows = append(clicks.Rows, tableOf("clicks", columns, r).Rows...)
		if o%2 == 1 {
			odd = append(odd, r.id)
		}
	}
	w.Tables = []*table.Batch{clicks}
	b.load(w)
	if out := b.forget(warehouse.Forget{RowIDs: odd}); out.Rows[b.schema+".clicks"] != n/2 {
		t.Errorf("rows %v, want %d", out.Rows, n/2)
	}
	b.want(b.query("SELECT count(*), sum(n) FROM "+b.qualified("clicks")), [][]string{{fmt.Sprint(n / 2), fmt.Sprint((n/2 - 1) * n / 2)}})
}

// testForgetKeeps: columns that people added, indexes and views are there afterwards, and so are tables of theirs in the schema.
func testForgetKeeps(_ *testing.T, b *bench) {
	b.company()
	name := b.qualified("users")
	statements := []string{
		"ALTER TABLE " + name + " ADD COLUMN " + b.Quote("note") + " varchar(20)", "UPDATE " + name + " SET note = 'by hand'",
		"CREATE TABLE " + b.qualified("mine") + " (user_id varchar(20))", "INSERT INTO " + b.qualified("mine") + " VALUES ('ann')",
	}
	if !b.lacks(LacksIndexes) {
		statements = append(statements, "CREATE INDEX "+b.Quote("by_email")+" ON "+b.qualified("opened")+" (received_at)")
	}
	if !b.lacks(LacksViews) {
		statements = append(statements, "CREATE VIEW "+b.qualified("everybody")+" AS SELECT id FROM "+name)
	}
	b.user(statements...)
	b.forget(warehouse.Forget{UserIDs: []string{"ann"}, RowIDs: []string{"i2"}})
	b.want(b.rows("users", "id", "plan", "note"), [][]string{{"bob", "free", "by hand"}, {"cat", "team", "by hand"}})
	b.want(b.rows("mine", "user_id"), [][]string{{"ann"}})
	if b.Lacks[LacksViews] == "" {
		b.want(b.rows("everybody", "id"), [][]string{{"bob"}, {"cat"}})
	}
	b.real(track("t9", "Opened", "bob", nil))
	b.wantIDs(map[string]string{"opened": "t3 t9"})
}

// testForgetReaders: whoever reads sees the rows of others all the time.
func testForgetReaders(t *testing.T, b *bench) {
	b.company()
	statement := "SELECT count(*) FROM " + b.qualified("tracks") + " WHERE user_id = 'bob'"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		var err error
		for ctx.Err() == nil && err == nil {
			var rows [][]string
			if rows, err = b.ask(ctx, statement); err == nil && rows[0][0] != "1" {
				err = fmt.Errorf("a reader saw %s rows of bob", rows[0][0])
			}
		}
		if ctx.Err() != nil {
			err = nil
		}
		failed <- err
	}()
	for i := range 5 {
		b.forget(warehouse.Forget{UserIDs: []string{"ann"}, AnonymousIDs: []string{fmt.Sprint("anon-", i)}})
	}
	cancel()
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// testForgetSteps: whatever step it fails at, the next call completes it.
func testForgetSteps(t *testing.T, b *bench) {
	b.company()
	var steps []string
	b.forget(warehouse.Forget{UserIDs: []string{"nobody"}, Step: func(name string) error { steps = append(steps, name); return nil }})
	if len(steps) < 2 {
		t.Fatalf("steps %q, want those that it takes", steps)
	}
	broken := errors.New("broken off by the test")
	for i, step := range slices.Compact(slices.Clone(steps)) {
		user := fmt.Sprint("dan-", i)
		b.real(identify(fmt.Sprint("d", i), user, map[string]any{"plan": "free"}), track(fmt.Sprint("e", i), "Clicked", user, nil))
		order := warehouse.Forget{Source: b.source, Schema: b.schema, UserIDs: []string{user}, Step: func(name string) error {
			if name == step {
				return broken
			}
			return nil
		}}
		if _, err := b.forgetter().Forget(t.Context(), order); !errors.Is(err, broken) {
			t.Fatalf("step %s: %v, want the failure of the test", step, err)
		}
		b.reopen()
		b.forget(warehouse.Forget{UserIDs: []string{user}})
		b.wantIDs(map[string]string{"users": "ann bob cat", "clicked": "t0 t1 t2", "identifies": "i0 i1 i2 i3"})
	}
}

// testForgetBytes looks for ids in the files of the warehouse. They are among many others, so that they are packed as those are; they
// were written by several loads, changed, and listed.
func testForgetBytes(t *testing.T, b *bench) {
	if b.Files == nil {
		t.Skip("the suite cannot read the files of this warehouse")
	}
	ids := []string{"zq7-X", "someone-who-is-to-be-forgotten-8c1f", "a.b.c@forgotten.example"}
	for round := range 4 {
		var calls []*event.Call
		for i := range 3000 {
			user := fmt.Sprintf("user-%05d", (i*7919+round)%4000)
			if i%500 == 3 {
				user = ids[i/500%len(ids)]
			}
			calls = append(calls, track(fmt.Sprintf("m-%d-%d-%s", round, i, user), "Clicked", user, map[string]any{"who": user, "n": i}))
			if i%10 == 3 {
				calls = append(calls, anonymous(identify(fmt.Sprintf("i-%d-%d", round, i), user, map[string]any{"plan": fmt.Sprint(round), "mail": user}), "of "+user))
			}
		}
		b.real(calls...)
		b.reopen()
	}
	found := func() (out []string) {
		for _, path := range b.Files(t) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if bytes.Contains(text, []byte(id)) {
					out = append(out, id)
				}
			}
		}
		return out
	}
	if len(found()) == 0 {
		t.Fatal("none of the ids is in the files while they are in the tables: the search proves nothing")
	}
	if out := b.forget(warehouse.Forget{UserIDs: ids}); !out.Erased {
		t.Errorf("not erased: %q", out.Notices)
	}
	if left := found(); len(left) > 0 {
		t.Errorf("%q are in the files still", left)
	}
	b.reopen()
	if left := found(); len(left) > 0 {
		t.Errorf("%q are in the files after it was opened again", left)
	}
	b.want(b.query("SELECT count(*) FROM "+b.qualified("users")+" WHERE id NOT LIKE 'user-%'"), [][]string{{"0"}})
}
