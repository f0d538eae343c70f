package warehousetest

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/table"
	"firth/internal/warehouse"
)

func testEmpty(t *testing.T, b *bench) {
	if p, err := b.Warehouse.Positions(t.Context(), "production"); err != nil || len(p) > 0 {
		t.Errorf("positions of an empty warehouse: %v, %v", p, err)
	}
	if c, err := b.Warehouse.Catalogue(t.Context(), "production"); err != nil || len(c) > 0 {
		t.Errorf("catalogue of an empty warehouse: %v, %v", c, err)
	}
}

// testPrepare makes the tables of a source before there are rows, and again when some are there.
func testPrepare(t *testing.T, b *bench) {
	p, ok := b.Warehouse.(load.Preparer)
	if !ok {
		t.Fatal("the warehouse is no load.Preparer")
	}
	all := event.Standard(b.Rules)
	if err := p.Prepare(t.Context(), b.source, b.schema, all[:3]); err != nil {
		t.Fatal(err)
	}
	first := all[0].Name
	w := b.batch(1)
	w.Tables = []*table.Batch{{Name: first, Columns: append(slices.Clone(all[0].Columns), column("n", table.Integer), column("later", table.Null)),
		Rows: []table.Row{{Cells: []table.Cell{{Col: 0, Value: table.Text("a")}, {Col: int32(len(all[0].Columns)), Value: table.Int(1)}}}}}}
	if r := b.load(w); len(r.Notices) > 0 {
		t.Errorf("notices %q of a table that was empty", r.Notices)
	}
	for range 2 {
		b.reopen()
		if err := b.Warehouse.(load.Preparer).Prepare(t.Context(), b.source, b.schema, all); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range all {
		want, rows := s.Columns, "0"
		if s.Name == first {
			want, rows = append(slices.Clone(want), column("n", table.Integer)), "1"
		}
		b.wantCatalogue(s.Name, want)
		if n := b.count(s.Name); n != rows {
			t.Errorf("%s rows in %s, want %s", n, s.Name, rows)
		}
	}
	if p := b.position(); p != 1 {
		t.Errorf("position %d, want 1", p)
	}
}

func testCreate(t *testing.T, b *bench) {
	columns := []table.Column{
		column("s", table.String), column("i", table.Integer), column("f", table.Float), column("b", table.Boolean), column("t", table.Timestamp),
	}
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", columns, at(0, table.Text("x"), table.Int(-7), table.Float64(1.5), table.Bool(true), table.Time(1_600_000_000_123_456)))}
	r := b.load(w)
	if r.Duplicate || r.Rows["clicks"] != 1 {
		t.Errorf("result %+v", r)
	}
	b.want(b.rows("clicks", "id", "received_at", "s", "i", "f", "t"), [][]string{
		{"id-000000", "2023-11-14T22:13:20Z", "x", "-7", "1.5", "2020-09-13T12:26:40.123456Z"},
	})
	b.want(b.query("SELECT count(*) FROM "+b.qualified("clicks")+" WHERE "+b.Quote("b")+" AND uuid_ts = loaded_at"), [][]string{{"1"}})
	b.wantCatalogue("clicks", standard(columns...))
	if n := b.count(warehouse.Discards); n != "0" {
		t.Errorf("%s rows of discards", n)
	}
	if p := b.position(); p != 1 {
		t.Errorf("position %d, want 1", p)
	}
}

func testAppend(t *testing.T, b *bench) {
	columns := []table.Column{column("s", table.String), column("i", table.Integer)}
	w := b.batch(2)
	w.Tables = []*table.Batch{tableOf("clicks", columns, at(0, table.Text("x"), null), at(1, null, table.Int(1)))}
	b.load(w)
	b.reopen()
	w = b.batch(2)
	w.Tables = []*table.Batch{tableOf("clicks", columns, at(2), at(3, table.Text(""), table.Int(0)))}
	b.load(w)
	b.want(b.rows("clicks", "id", "s", "i"), [][]string{
		{"id-000000", "x", "NULL"}, {"id-000001", "NULL", "1"}, {"id-000002", "NULL", "NULL"}, {"id-000003", "", "0"},
	})
	p, err := b.Warehouse.Positions(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	if p[journal].Next != 4 || p[journal].LoadedThrough != received(3) || p[journal].LoadedAt.IsZero() {
		t.Errorf("position %+v", p[journal])
	}
}

func testAddColumn(t *testing.T, b *bench) {
	one := []table.Column{column("s", table.String)}
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", one, at(0, table.Text("x")))}
	b.load(w)
	two := []table.Column{column("s", table.String), column("i", table.Integer), {Name: "_overflow", Type: table.String}}
	w = b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", two, at(1, null, table.Int(5)))}
	b.load(w)
	b.want(b.rows("clicks", "id", "s", "i", "_overflow"), [][]string{{"id-000000", "x", "NULL", "NULL"}, {"id-000001", "NULL", "5", "NULL"}})
	b.wantCatalogue("clicks", standard(two...))
	b.reopen()
	b.wantCatalogue("clicks", standard(two...))
}

func testWiden(t *testing.T, b *bench) {
	w := b.batch(4)
	w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column("n", table.Integer)},
		at(0, table.Int(3)), at(1, table.Int(1<<53+1)), at(2, table.Int(1<<53)), at(3, table.Int(-9223372036854775808)))}
	b.load(w)
	w = b.batch(2)
	w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column("n", table.Float), column("more", table.String)}, at(4, table.Float64(1.25)), at(5, table.Int(7)))}
	r := b.load(w)
	if len(r.Notices) == 0 || r.Discards != 1 {
		t.Errorf("result %+v, want a notice and the one value that no float holds", r)
	}
	b.want(b.rows("clicks", "id", "n"), [][]string{
		{"id-000000", "3"}, {"id-000001", "9.007199254740992e+15"}, {"id-000002", "9.007199254740992e+15"},
		{"id-000003", "-9.223372036854776e+18"}, {"id-000004", "1.25"}, {"id-000005", "7"},
	})
	b.want(b.rows(warehouse.Discards, "table_name", "column_name", "value", "value_type", "column_type", "row_id"), [][]string{
		{"clicks", "n", "9007199254740993", "integer", "float", "id-000001"},
	})
	b.wantCatalogue("clicks", standard(column("n", table.Float), column("more", table.String)))
	// What was widened stays so for a batch that knows nothing of it.
	b.reopen()
	w = b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column("n", table.Float)}, at(6, table.Float64(-0.5)))}
	b.load(w)
	if n := b.count("clicks"); n != "7" {
		t.Errorf("%s rows, want 7", n)
	}
}

// testConflict: no row of a batch is in whose columns do not fit, and no position has moved. Empty tables and columns may be left.
func testConflict(t *testing.T, b *bench) {
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column("n", table.Boolean)}, at(0, table.Bool(true)))}
	b.load(w)
	w = b.batch(1)
	w.Tables = []*table.Batch{
		tableOf("opens", nil, at(1)),
		tableOf("clicks", []table.Column{column("n", table.Timestamp), column("new", table.String)}, at(1, table.Time(0))),
	}
	w.Discards = []event.Discard{discard(1, "test")}
	_ = b.refuse(w)
	b.want(b.rows("clicks", "id"), [][]string{{"id-000000"}})
	if c := b.catalogue("clicks"); len(c) < 5 || c[4] != column("n", table.Boolean) {
		t.Errorf("catalogue %v", c)
	}
	if b.catalogue("opens") != nil && b.count("opens") != "0" {
		t.Error("rows of the batch are in another table")
	}
	if n := b.count(warehouse.Discards); n != "0" {
		t.Errorf("%s rows of discards", n)
	}
	if p := b.position(); p != 1 {
		t.Errorf("position %d, want 1", p)
	}
}

func testThousandColumns(t *testing.T, b *bench) {
	most := 1000
	if b.MostColumns > 0 {
		most = b.MostColumns
		t.Logf("a table of this warehouse holds %d integer columns", most)
	}
	var columns []table.Column
	values := make([]table.Value, most)
	for i := range most {
		columns = append(columns, column(fmt.Sprintf("c%04d", i), table.Integer))
		values[i] = table.Int(int64(i))
	}
	w := b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", columns[:10], at(0, values[:10]...))}
	b.load(w)
	w = b.batch(1)
	w.Tables = []*table.Batch{tableOf("clicks", columns, at(1, values...))}
	b.load(w)
	w = b.batch(1)
	w.Tables = []*table.Batch{tableOf("opens", columns, at(2, values...))}
	b.load(w)
	b.wantCatalogue("clicks", standard(columns...))
	b.wantCatalogue("opens", standard(columns...))
	last := strconv.Itoa(most - 1)
	b.want(b.rows("clicks", "id", "c0009", columns[most-1].Name), [][]string{{"id-000000", "9", "NULL"}, {"id-000001", "9", last}})
	b.want(b.rows("opens", "id", "c0000", "c0500"), [][]string{{"id-000002", "0", "500"}})
}

func testManyRows(t *testing.T, b *bench) {
	const n = 5000 // more than two vectors of any engine
	columns := []table.Column{column("i", table.Integer), column("s", table.String)}
	w := b.batch(n)
	rows := make([]row, n)
	for i := range rows {
		rows[i] = at(uint64(i), table.Int(int64(i)), null)
		if i%3 == 0 {
			rows[i].values[1] = table.Text("text of a row, long enough not to be kept inline " + strconv.Itoa(i))
		}
	}
	w.Tables = []*table.Batch{tableOf("clicks", columns, rows...)}
	b.load(w)
	b.want(b.query("SELECT count(*), count(s), min(i), max(i), count(DISTINCT id) FROM "+b.qualified("clicks")),
		[][]string{{"5000", "1667", "0", "4999", "5000"}})
	last := b.rows("clicks", "id", "s")[4998]
	if want := "text of a row, long enough not to be kept inline 4998"; last[1] != want {
		t.Errorf("row 4998 has %q, want %q", last[1], want)
	}
}
