package warehousetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// odd are names that people send; what becomes of them is for the naming rules, that they work is for the warehouse.
var odd = []string{
	"select", "order", "group", "user", "table", "Mixed Case", "camelCaseName", "3doctors", "101_account_update", "_leading", "trailing_",
	strings.Repeat("a", 63), strings.Repeat("b", 64), strings.Repeat("c", 65), strings.Repeat("d", 127), strings.Repeat("e", 128), strings.Repeat("f", 300),
	strings.Repeat("b", 63) + "x", "🚀 launched", "🚀", "naïve", "日本 plan", "id", "received_at", "loaded_at", "uuid_ts", "_id", "a.b", `quo"te`, "semi;colon",
}

func testNames(t *testing.T, b *bench) {
	source := "9 Lives & More 🚀"
	b.schema = b.Rules.Schema(source)
	tables := b.Rules.NewTables()
	names := b.Rules.NewColumns("id", "received_at", "uuid_ts", "loaded_at")
	columns, seen := []table.Column{}, map[string]bool{}
	for _, path := range odd {
		if c, ok := names.Name("properties." + path); ok && !seen[c] {
			seen[c] = true
			columns = append(columns, table.Column{Name: c, Type: table.String, Path: "properties." + path})
		}
	}
	values := make([]table.Value, len(columns))
	for i := range values {
		values[i] = table.Text(columns[i].Path)
	}
	w := b.batch(1)
	made := map[string]bool{}
	for _, e := range odd {
		if _, name := tables.Table(e); name != "" && !made[name] {
			made[name] = true
			w.Tables = append(w.Tables, tableOf(name, columns, at(0, values...)))
		}
	}
	b.load(w)
	b.reopen()
	for name := range made {
		for _, c := range columns {
			b.want(b.rows(name, c.Name), [][]string{{c.Path}})
		}
		b.wantCatalogue(name, standard(columns...))
	}
	if len(made) < 20 || len(columns) < 20 {
		t.Errorf("%d tables, %d columns: fewer than the names give", len(made), len(columns))
	}
}

// testQuoting uses names that the rules never give: whatever is named, nothing is executed.
func testQuoting(t *testing.T, b *bench) {
	b.schema = `it's "mine"; --`
	columns := []table.Column{column(`a"b`, table.Integer), column(`a b; drop table x`, table.String), column("ключ", table.String), column("it's", table.Boolean)}
	name := `Täble "x"`
	w := b.batch(2)
	w.Tables = []*table.Batch{tableOf(name, columns[:1], at(0, table.Int(1<<60+1)))}
	w.Upserts = []*table.Batch{tableOf(`us"ers`, columns, row{"ann", 0, []table.Value{table.Int(1), table.Text("x")}})}
	b.load(w)
	columns[0].Type = table.Float
	w = b.batch(1)
	w.Tables = []*table.Batch{tableOf(name, columns, at(1, table.Float64(0.5), table.Text("y"), table.Text("z")))}
	b.load(w)
	b.want(b.rows(name, "id", `a"b`, "a b; drop table x", "ключ"), [][]string{
		{"id-000000", "1.152921504606847e+18", "NULL", "NULL"}, {"id-000001", "0.5", "y", "z"},
	})
	b.want(b.rows(`us"ers`, "id", "a b; drop table x"), [][]string{{"ann", "x"}})
	b.want(b.rows(warehouse.Discards, "table_name", "column_name"), [][]string{{name, `a"b`}})
}

// oddRow is a value in one of the columns of oddColumns, and how it reads when it comes back.
type oddRow struct {
	column int
	value  table.Value
	text   string
}

var oddColumns = []table.Column{column("s", table.String), column("i", table.Integer), column("f", table.Float), column("t", table.Timestamp)}

func oddRows() []oddRow {
	var out []oddRow
	for _, s := range []string{
		"", " ", "trailing ", "\x00", "a\x00b", strings.Repeat("\x00", 13), "NULL", "\\N", "\\", "\t\r\n", `"'\`, "\x01\x1f\x7f", "\u0085\u2028", "🚀", "👩‍👩‍👧‍👦", "\uFFFD",
		"\U0010FFFF", "e\u0301", "\ufeff", "$1", "%s", "?", ":a", "{}", "[1,2]", "2024-01-01", "0x41", "12e999",
	} {
		out = append(out, oddRow{0, table.Text(s), s})
	}
	// No warehouse can hold what is no text; nothing but a broken caller sends it.
	out = append(out, oddRow{0, table.Text("broken \xff text, of some length"), ""})
	for _, n := range []int64{0, -1, math.MaxInt64, math.MinInt64, 1<<53 + 1, -(1<<53 + 1), math.MaxInt32 + 1} {
		out = append(out, oddRow{1, table.Int(n), fmt.Sprint(n)})
	}
	for _, f := range []float64{
		0, math.Copysign(0, -1), 0.1, 1.0 / 3, -123456.789e-7, 1e308, -1e308, 5e-324, 2.2250738585072014e-308, math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 1<<53 + 2, 1e15, 123456789012345680,
	} {
		out = append(out, oddRow{2, table.Float64(f), fmt.Sprint(f)})
	}
	micros := func(y, days int64) int64 { return ((y-1970)*365 + days) * 86_400_000_000 }
	for _, m := range []struct {
		us   int64
		text string
	}{
		{0, "1970-01-01T00:00:00Z"},
		{-1, "1969-12-31T23:59:59.999999Z"},
		{-62135596800000000, "0001-01-01T00:00:00Z"},
		{253402300799999999, "9999-12-31T23:59:59.999999Z"},
		{micros(2000, 7) + 123456, "2000-01-01T00:00:00.123456Z"},
		{-2208988800000000, "1900-01-01T00:00:00Z"},
		{1711846800000000, "2024-03-31T01:00:00Z"}, // an hour that clocks in Europe skip
		{2147483648000000, "2038-01-19T03:14:08Z"},
	} {
		out = append(out, oddRow{3, table.Time(m.us), m.text})
	}
	return out
}

// unfit is the reason under which a value must be discarded, "" where it must be stored.
func (b *bench) unfit(v table.Value) string {
	switch {
	case v.Type == table.String && !utf8.ValidString(v.Text):
		return NotUTF8
	case b.Unfit == nil:
		return ""
	}
	return b.Unfit(v)
}

// testOddValues loads a value a row. Each must come back as it was; those that the engine cannot hold are NULL and listed.
func testOddValues(t *testing.T, b *bench) {
	odd := oddRows()
	rows := make([]row, len(odd))
	for i, o := range odd {
		rows[i] = at(uint64(i), make([]table.Value, len(oddColumns))...)
		rows[i].values[o.column] = o.value
	}
	w := b.batch(uint64(len(rows)))
	w.Tables = []*table.Batch{tableOf("clicks", oddColumns, rows...)}
	discards := b.load(w).Discards
	b.reopen()
	reasons := map[string]string{}
	for _, r := range b.rows(warehouse.Discards, "row_id", "table_name", "column_name", "reason") {
		if r[1] != "clicks" || reasons[r[0]] != "" {
			t.Errorf("discard %v", r)
		}
		reasons[r[0]] = r[2] + " " + r[3]
	}
	if int(discards) != len(reasons) {
		t.Errorf("the result counts %d discards, %d are listed", discards, len(reasons))
	}
	for i, got := range b.rows("clicks", "id", "s", "i", "f", "t") {
		o := odd[i]
		want := []string{rows[i].id, "NULL", "NULL", "NULL", "NULL"}
		listed := ""
		if why := b.unfit(o.value); why != "" {
			listed = oddColumns[o.column].Name + " " + why
		} else {
			want[o.column+1] = o.text
		}
		if o.text == "-0" && got[o.column+1] == "0" { // equal, and stores may keep one for the other
			want[o.column+1] = "0"
		}
		if !slices.Equal(got, want) || reasons[got[0]] != listed {
			t.Errorf("row %d: %q, want %q; discarded as %q, want %q", i, got, want, reasons[got[0]], listed)
		}
	}
}

// testOddPlaces has texts that an engine may not hold where rows are told apart by them, and among the discards. The load goes on;
// rows that lose their id by it are told of, and the discards hold such a text in a form that can be read.
func testOddPlaces(t *testing.T, b *bench) {
	for _, bad := range []string{"nul\x00id", "broken \xff id"} {
		w := b.batch(2)
		w.Tables = []*table.Batch{tableOf("clicks", oddColumns[:1], row{bad, w.From, []table.Value{table.Text("of " + bad)}}, at(w.From, table.Text("good")))}
		w.Upserts = []*table.Batch{tableOf("users", oddColumns[:1], row{bad, w.From, []table.Value{table.Text("x")}}, row{"ann", w.From, []table.Value{table.Text("y")}})}
		d := discard(w.From, "test")
		d.Value, d.RowID = "value "+bad, "row "+bad
		w.Discards = []event.Discard{d}
		r := b.load(w)
		exact := b.unfit(table.Text(bad)) == ""
		if exact != (r.Discards == 1) {
			t.Errorf("%q: %d discards", bad, r.Discards)
		}
		if b.position() != w.To {
			t.Errorf("%q: the position is %d, want %d", bad, b.position(), w.To)
		}
		b.want(b.query("SELECT s FROM "+b.qualified("clicks")+fmt.Sprintf(" WHERE id = 'id-%06d'", w.From)), [][]string{{"good"}})
		found := slices.ContainsFunc(b.rows("users", "id"), func(r []string) bool { return r[0] == bad })
		if found != exact {
			t.Errorf("%q: the user is there: %v", bad, found)
		}
		b.want(b.query("SELECT s FROM "+b.qualified("users")+" WHERE id = 'ann'"), [][]string{{"y"}})
		if n := b.query("SELECT count(*) FROM " + b.qualified(warehouse.Discards) + " WHERE reason = 'test' AND row_id LIKE '%row %' AND value LIKE '%value %'" + fmt.Sprintf(" AND received_at = '%s'", stamp(w.From)))[0][0]; n != "1" {
			t.Errorf("%q: %s discards of the batch itself", bad, n)
		}
	}
	// Again, as after a replay, and beside users that are known.
	b.reopen()
	w := b.batch(1)
	w.Upserts = []*table.Batch{tableOf("users", oddColumns[:1], row{"nul\x00id", w.From, nil}, row{"ann", w.From, []table.Value{table.Text("z")}})}
	b.load(w)
	b.want(b.query("SELECT count(*), max(s) FROM "+b.qualified("users")+" WHERE id = 'ann'"), [][]string{{"1", "z"}})
}

// stamp is the time of receipt of an offset as a literal that every engine reads in UTC.
func stamp(offset uint64) string {
	return time.UnixMicro(received(offset)).UTC().Format("2006-01-02 15:04:05.999999")
}

func testLongText(t *testing.T, b *bench) {
	for i, n := range []int{12, 13, 255, 256, 65_535, 65_536, 1 << 20} {
		w := b.batch(1)
		s := strings.Repeat("x", n-1) + "é"
		w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column("s", table.String)}, at(uint64(i), table.Text(s)))}
		b.load(w)
		b.wantText(i, s)
	}
}

// wantText holds the text of row i of clicks to what was loaded, or to NULL and a discard where the engine cannot hold it.
func (b *bench) wantText(i int, s string) {
	b.t.Helper()
	id := fmt.Sprintf("'id-%06d'", i)
	got := b.query("SELECT " + b.Quote("s") + " FROM " + b.qualified("clicks") + " WHERE id = " + id)[0][0]
	if why := b.unfit(table.Text(s)); why != "" {
		listed := b.query("SELECT reason FROM " + b.qualified(warehouse.Discards) + " WHERE row_id = " + id)
		if got != "NULL" || len(listed) != 1 || listed[0][0] != why {
			b.t.Errorf("text of %d bytes: %.20s, discards %v; want NULL and %s", len(s), got, listed, why)
		}
	} else if got != s {
		b.t.Errorf("text of %d bytes came back with %d", len(s), len(got))
	}
}

// testTextGrows sends longer and longer texts for one column, of letters that take one, two and four bytes.
func testTextGrows(t *testing.T, b *bench) {
	var texts []string
	for _, n := range []int{1, 255, 256, 257, 511, 512, 4095, 16_384, 16_385, 21_846, 32_767, 65_534} {
		texts = append(texts, strings.Repeat("x", n), strings.Repeat("é", n/2+1), strings.Repeat("🚀", n/4+1))
	}
	for i, s := range texts {
		w := b.batch(2)
		// A short text beside it, for a user too.
		w.Tables = []*table.Batch{tableOf("clicks", oddColumns[:1], at(uint64(i), table.Text(s)), row{fmt.Sprintf("short-%d", i), w.From, []table.Value{table.Text("short")}})}
		w.Upserts = []*table.Batch{tableOf("users", oddColumns[:1], row{"ann", w.From, []table.Value{table.Text(s)}})}
		b.load(w)
	}
	for i, s := range texts {
		b.wantText(i, s)
	}
	last := texts[len(texts)-1]
	if b.unfit(table.Text(last)) == "" {
		b.want(b.rows("users", "id", "s"), [][]string{{"ann", last}})
	}
	b.want(b.query("SELECT count(*) FROM "+b.qualified("clicks")+" WHERE s = 'short'"), [][]string{{fmt.Sprint(len(texts))}})
}
