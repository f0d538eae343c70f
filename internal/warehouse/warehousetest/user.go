package warehousetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// users are tests of what people do to the tables beside the loads.
var users = []behaviour{
	{"a table was dropped", testDroppedTable},
	{"a column was dropped", testDroppedColumn},
	{"the schema was dropped", testDroppedSchema},
	{"a column was added", testUsersColumn},
	{"a column of another type", testForeignColumn},
	{"views and indexes", testViewsAndIndexes},
	{"a view in the place of a table", testViewInPlace},
	{"a table of Segment's", testSegmentsTable},
	{"a table of Segment's with ids", testSegmentsUsers},
}

// soon loads a batch after a person changed something. What the warehouse remembers may be stale then: it may fail once.
func (b *bench) soon(w *warehouse.Batch) *warehouse.Result {
	b.t.Helper()
	r, err := b.Warehouse.Load(b.t.Context(), w)
	if err == nil {
		return r
	}
	b.t.Logf("the first load after the change: %v", err)
	return b.load(w)
}

func noticed(notices []string, word string) bool {
	for _, n := range notices {
		if strings.Contains(n, word) {
			return true
		}
	}
	return false
}

func testDroppedTable(t *testing.T, b *bench) {
	n := []table.Column{column("n", table.Integer)}
	fill := func(o uint64) *warehouse.Result {
		w := b.batch(1)
		w.Tables = []*table.Batch{tableOf("clicks", n, at(o, table.Int(int64(o)))), tableOf("opens", n, at(o, table.Int(int64(o))))}
		w.Upserts = []*table.Batch{tableOf("users", n, row{fmt.Sprint("user ", o), o, []table.Value{table.Int(int64(o))}})}
		return b.soon(w)
	}
	fill(0)
	b.user("DROP TABLE "+b.qualified("clicks"), "DROP TABLE "+b.qualified("users"), "DROP TABLE "+b.qualified(warehouse.Discards))
	r := fill(1)
	if !noticed(r.Notices, "clicks") || !noticed(r.Notices, "users") {
		t.Errorf("notices %q, want one of each table that was made again", r.Notices)
	}
	if r := fill(2); len(r.Notices) > 0 {
		t.Errorf("notices %q of a load like any other", r.Notices)
	}
	b.reopen()
	b.want(b.rows("clicks", "id", "n"), [][]string{{"id-000001", "1"}, {"id-000002", "2"}})
	b.want(b.rows("users", "id", "n"), [][]string{{"user 1", "1"}, {"user 2", "2"}})
	b.want([][]string{{b.count("opens"), b.count(warehouse.Discards)}}, [][]string{{"3", "0"}})
	b.wantCatalogue("clicks", standard(n...))
	b.wantCatalogue("users", standard(n...))
	if p := b.position(); p != 3 {
		t.Errorf("position %d, want 3", p)
	}
}

// testDroppedSchema: with the position kept, loads go on into tables that are made again.
func testDroppedSchema(t *testing.T, b *bench) {
	fill := func() *warehouse.Result {
		w := b.batch(1)
		w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column("n", table.Integer)}, at(w.From, table.Int(1)))}
		w.Upserts = []*table.Batch{tableOf("users", nil, row{"ann", w.From, nil})}
		w.Discards = []event.Discard{discard(w.From, "test")}
		return b.soon(w)
	}
	fill()
	statement := "DROP SCHEMA " + b.Quote(b.schema) + " CASCADE"
	if b.Rules.Target == "mysql" {
		statement = "DROP DATABASE " + b.Quote(b.schema)
	}
	b.user(statement)
	if r := fill(); !noticed(r.Notices, "clicks") {
		t.Errorf("notices %q, want one of each table that was made again", r.Notices)
	}
	fill()
	b.reopen()
	b.want(b.rows("clicks", "id", "n"), [][]string{{"id-000001", "1"}, {"id-000002", "1"}})
	b.want([][]string{{b.count("users"), b.count(warehouse.Discards)}}, [][]string{{"1", "2"}})
	b.wantCatalogue("clicks", standard(column("n", table.Integer)))
}

func testDroppedColumn(t *testing.T, b *bench) {
	columns := []table.Column{column("gone", table.Integer), column("kept", table.String)}
	fill := func(o uint64, columns ...table.Column) *warehouse.Result {
		values := []table.Value{table.Text("x"), table.Text("x")}
		for i, c := range columns {
			if c.Type == table.Integer {
				values[i] = table.Int(int64(o))
			}
		}
		w := b.batch(1)
		w.Tables = []*table.Batch{tableOf("clicks", columns, at(o, values[:len(columns)]...))}
		w.Upserts = []*table.Batch{tableOf("users", columns, row{"ann", o, values[:len(columns)]})}
		return b.soon(w)
	}
	fill(0, columns...)
	for _, name := range []string{"clicks", "users"} {
		b.user("ALTER TABLE " + b.qualified(name) + " DROP COLUMN " + b.Quote("gone"))
	}
	b.reopen()
	b.wantCatalogue("clicks", standard(columns[1]))
	b.wantCatalogue("users", standard(columns[1]))
	if r := fill(1, columns[1], columns[0]); !noticed(r.Notices, "gone") {
		t.Errorf("notices %q, want one of the column that was made again", r.Notices)
	}
	b.want(b.rows("clicks", "id", "gone", "kept"), [][]string{{"id-000000", "NULL", "x"}, {"id-000001", "1", "x"}})
	b.want(b.rows("users", "id", "gone", "kept"), [][]string{{"ann", "1", "x"}})
	b.wantCatalogue("clicks", standard(columns[1], columns[0]))
	// Dropped while the warehouse is open and remembers it, and made again with another type.
	b.user("ALTER TABLE " + b.qualified("clicks") + " DROP COLUMN " + b.Quote("gone"))
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", []table.Column{columns[1], column("gone", table.Integer)}, at(2, table.Text("x"), table.Int(2)))}
	b.soon(w)
	b.want(b.rows("clicks", "id", "gone"), [][]string{{"id-000000", "NULL"}, {"id-000001", "NULL"}, {"id-000002", "2"}})
}

// testUsersColumn: a column that a person added is left alone, and has its default in new rows.
func testUsersColumn(t *testing.T, b *bench) {
	columns := []table.Column{column("n", table.Integer)}
	fill := func(o uint64, kind table.Type) {
		v := table.Int(int64(o))
		if kind == table.Float {
			v = table.Float64(float64(o) + 0.5)
		}
		columns[0].Type = kind
		w := b.batch(1)
		w.Tables = []*table.Batch{tableOf("clicks", columns, at(o, v))}
		w.Upserts = []*table.Batch{tableOf("users", columns, row{"ann", o, []table.Value{v}}, row{fmt.Sprint("user ", o), o, []table.Value{v}})}
		b.soon(w)
	}
	fill(0, table.Integer)
	for _, name := range []string{"clicks", "users"} {
		b.user("ALTER TABLE "+b.qualified(name)+" ADD COLUMN mine varchar(20) DEFAULT 'default'", "UPDATE "+b.qualified(name)+" SET mine = 'set by hand'")
	}
	fill(1, table.Integer)
	b.reopen()
	fill(2, table.Float)
	columns = append(columns, column("more", table.String))
	fill(3, table.Float)
	b.want(b.rows("clicks", "id", "n", "mine"), [][]string{
		{"id-000000", "0", "set by hand"}, {"id-000001", "1", "default"}, {"id-000002", "2.5", "default"}, {"id-000003", "3.5", "default"},
	})
	b.want(b.rows("users", "id", "n", "mine"), [][]string{
		{"ann", "3.5", "set by hand"}, {"user 0", "0", "set by hand"}, {"user 1", "1", "default"}, {"user 2", "2.5", "default"}, {"user 3", "3.5", "default"},
	})
}

// testForeignColumn: a person has made columns for properties to come, of types that loads never make. Nothing gets stuck: a value
// is stored as it is, or discarded.
func testForeignColumn(t *testing.T, b *bench) {
	b.real(track("m0", "Order Completed", "ann", map[string]any{"sku": "x"}))
	name := b.qualified("order_completed")
	b.user("ALTER TABLE "+name+" ADD COLUMN price decimal(10,2)", "ALTER TABLE "+name+" ADD COLUMN small smallint", "ALTER TABLE "+name+" ADD COLUMN birthday date")
	b.reopen()
	for i, p := range []map[string]any{
		{"price": 1.5, "small": 7, "birthday": "2024-02-29"}, {"price": 2, "small": 70_000, "birthday": "none"}, {"price": "x", "small": "y", "birthday": true},
		{"price": 123456789.25, "small": 1.5, "birthday": 5},
	} {
		b.real(track(fmt.Sprint("m", i+1), "Order Completed", "ann", p))
	}
	discarded := map[string]bool{}
	for _, d := range b.rows(warehouse.Discards, "row_id", "column_name") {
		discarded[d[0]+" "+d[1]] = true
	}
	for i, want := range []map[string][]string{
		{"price": {"1.5", "1.50"}, "small": {"7"}, "birthday": {"2024-02-29T00:00:00Z", "2024-02-29"}},
		{"price": {"2", "2.00"}, "small": {"70000"}}, {}, {"price": {"123456789.25", "1.2345678925e+08"}, "small": {"1.5"}},
	} {
		id := fmt.Sprint("m", i+1)
		for _, c := range []string{"price", "small", "birthday"} {
			got := b.query("SELECT " + b.Quote(c) + " FROM " + name + " WHERE id = '" + id + "'")[0][0]
			if stored := slices.Contains(want[c], got); stored == discarded[id+" "+c] || !stored && got != "NULL" {
				t.Errorf("%s of %s is %s, want %q; discarded: %v", c, id, got, want[c], discarded[id+" "+c])
			}
		}
	}
	if n := b.count("order_completed"); n != "5" {
		t.Errorf("%s rows, want 5", n)
	}
}

// testViewsAndIndexes: what a person built on a table survives when a column below it is widened, and sees the new rows.
func testViewsAndIndexes(t *testing.T, b *bench) {
	columns := []table.Column{column("n", table.Integer), column("s", table.String)}
	w := b.batch(2)
	w.Tables = []*table.Batch{tableOf("clicks", columns, at(0, table.Int(1), table.Text("x")), at(1, table.Int(2), null))}
	b.load(w)
	if !b.lacks(LacksIndexes) {
		b.user("CREATE INDEX clicks_n ON " + b.qualified("clicks") + " (n)")
	}
	if !b.lacks(LacksViews) {
		b.user("CREATE VIEW "+b.qualified("of_clicks")+" AS SELECT id, n FROM "+b.qualified("clicks"),
			"CREATE VIEW "+b.qualified("of_view")+" AS SELECT count(*) AS rows_of_it, max(n) AS most FROM "+b.qualified("of_clicks"))
	}
	columns[0].Type = table.Float
	columns = append(columns, column("more", table.Boolean))
	w = b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", columns, at(2, table.Float64(2.5), table.Text("y"), table.Bool(true)))}
	b.soon(w)
	b.want(b.rows("clicks", "id", "n"), [][]string{{"id-000000", "1"}, {"id-000001", "2"}, {"id-000002", "2.5"}})
	if b.Lacks[LacksViews] == "" {
		b.want(b.rows("of_clicks", "id", "n"), [][]string{{"id-000000", "1"}, {"id-000001", "2"}, {"id-000002", "2.5"}})
		b.want(b.rows("of_view", "rows_of_it", "most"), [][]string{{"3", "2.5"}})
	}
	b.reopen()
	if b.Lacks[LacksIndexes] == "" {
		// An index of the name is there still: another cannot be made, this one can be dropped.
		b.user(b.dropIndex("clicks", "clicks_n"))
	}
}

// dropIndex is the statement in the two forms that engines have.
func (b *bench) dropIndex(tableName, index string) string {
	if b.Rules.Target == "mysql" {
		return "DROP INDEX " + b.Quote(index) + " ON " + b.qualified(tableName)
	}
	return "DROP INDEX " + b.qualified(index)
}

func testViewInPlace(t *testing.T, b *bench) {
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("opens", nil, at(0))}
	b.load(w)
	b.user("CREATE VIEW " + b.qualified("clicks") + " AS SELECT id FROM " + b.qualified("opens"))
	w = b.batch(1)
	w.Tables = []*table.Batch{tableOf("opens", nil, at(1)), tableOf("clicks", nil, at(1))}
	for range 2 {
		if err := b.refuse(w); warehouse.HintOf(err) == "" || !strings.Contains(err.Error()+warehouse.HintOf(err), "clicks") {
			t.Errorf("error %v with hint %q, want the name of the view and what to do", err, warehouse.HintOf(err))
		}
	}
	b.user("DROP VIEW " + b.qualified("clicks"))
	b.soon(w)
	b.want([][]string{{b.count("opens"), b.count("clicks")}}, [][]string{{"2", "1"}})
}

// segments makes a table as Segment does, with rows 0 to 2 in it.
func (b *bench) segments(name string, ids ...string) {
	b.t.Helper()
	var columns []string
	for _, c := range []string{"id", "received_at", "uuid_ts", "loaded_at", "n", "s"} {
		kind := b.Segment[c]
		if kind == "" {
			kind = map[string]string{"id": "varchar(256)", "s": "varchar(256)", "n": "double precision"}[c]
		}
		if kind == "" {
			kind = "timestamp"
		}
		columns = append(columns, b.Quote(c)+" "+kind)
	}
	statements := []string{"CREATE TABLE " + b.qualified(name) + " (" + strings.Join(columns, ", ") + ")"}
	for i, id := range ids {
		at := fmt.Sprintf("'2023-11-14 22:13:20.00%d'", i)
		statements = append(statements, fmt.Sprintf("INSERT INTO %s VALUES ('%s', %s, %s, %s, %d.5, 'segment')", b.qualified(name), id, at, at, at, i))
	}
	b.user(statements...)
}

// testSegmentsTable takes over a table that the bookkeeping does not know, and fills it back from before its first row.
func testSegmentsTable(t *testing.T, b *bench) {
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("opens", nil, at(0))}
	b.load(w)
	b.segments("clicks", "id-000000", "id-000001", "id-000002")
	b.reopen()
	columns := []table.Column{column("n", table.Float), column("s", table.String), column("more", table.Integer)}
	var rows []row
	for o := range uint64(5) {
		rows = append(rows, at(o, table.Float64(float64(o)+0.25), table.Text(strings.Repeat("é", 300)), table.Int(int64(o))))
	}
	w = b.batch(5)
	w.Tables = []*table.Batch{tableOf("clicks", columns, rows...)}
	if r := b.soon(w); r.Rows["clicks"] != 2 || !noticed(r.Notices, "clicks") {
		t.Errorf("result %+v, want two rows and a notice", r)
	}
	long := strings.Repeat("é", 300)
	want := [][]string{
		{"id-000000", "0.5", "segment", "NULL"}, {"id-000001", "1.5", "segment", "NULL"}, {"id-000002", "2.5", "segment", "NULL"},
		{"id-000003", "3.25", long, "3"}, {"id-000004", "4.25", long, "4"},
	}
	b.want(b.rows("clicks", "id", "n", "s", "more"), want)
	b.reopen()
	// A late row of before the take-over that Segment never had, one that it had, and one of after.
	w = b.batch(3)
	w.Tables = []*table.Batch{tableOf("clicks", columns, row{"late", 1, []table.Value{null, null, table.Int(1)}}, at(1, null, null, table.Int(1)), at(6, null, null, table.Int(6)))}
	if r := b.load(w); r.Rows["clicks"] != 2 || len(r.Notices) > 0 {
		t.Errorf("result %+v, want two rows", r)
	}
	b.want(b.rows("clicks", "id", "n", "s", "more"), append(want, []string{"id-000006", "NULL", "NULL", "6"}, []string{"late", "NULL", "NULL", "1"}))
	kinds := map[string]table.Type{}
	for _, c := range b.catalogue("clicks") {
		kinds[c.Name] = c.Type
	}
	for name, kind := range map[string]table.Type{"id": table.String, "received_at": table.Timestamp, "n": table.Float, "s": table.String, "more": table.Integer} {
		if kinds[name] != kind {
			t.Errorf("column %s is %v in the catalogue, want %v", name, kinds[name], kind)
		}
	}
}

// testSegmentsUsers takes over a table of users, which has no unique key.
func testSegmentsUsers(t *testing.T, b *bench) {
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("opens", nil, at(0))}
	b.load(w)
	b.segments("users", "ann", "bob", "cat")
	b.reopen()
	columns := []table.Column{column("n", table.Float), column("s", table.String)}
	for range 2 {
		w = b.batch(1)
		w.Upserts = []*table.Batch{tableOf("users", columns,
			row{"ann", 1, []table.Value{table.Float64(0.25), null}}, row{"cat", 1, []table.Value{null, table.Text("firth")}}, row{"dan", 1, nil})}
		b.soon(w)
	}
	b.want(b.rows("users", "id", "n", "s", "received_at"), [][]string{
		{"ann", "0.25", "segment", "2023-11-14T22:13:20.001Z"}, {"bob", "1.5", "segment", "2023-11-14T22:13:20.001Z"},
		{"cat", "2.5", "firth", "2023-11-14T22:13:20.002Z"}, {"dan", "NULL", "NULL", "2023-11-14T22:13:20.001Z"},
	})
}
