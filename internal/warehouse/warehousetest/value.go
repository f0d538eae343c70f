package warehousetest

import (
	"fmt"
	"math"
	"strings"
	"testing"

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

// testOddValues loads a value a row. Each must come back as it was, or be listed as discarded with its row and NULL in its place.
func testOddValues(t *testing.T, b *bench) {
	micros := func(y, days int64) int64 { return ((y-1970)*365 + days) * 86_400_000_000 }
	var rows []row
	var want []string
	columns := []table.Column{column("s", table.String), column("i", table.Integer), column("f", table.Float), column("t", table.Timestamp)}
	add := func(at int, v table.Value, text string) {
		values := make([]table.Value, len(columns))
		values[at] = v
		o := uint64(len(rows))
		rows, want = append(rows, row{fmt.Sprintf("id-%06d", o), o, values}), append(want, text)
	}
	for _, s := range []string{"", " ", "\x00", "a\x00b", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "NULL", "\\N", "\t\r\n", `"'\`, "🚀", "\uFFFD", "\U0010FFFF", "e\u0301", "$1", "%s", "{}", "[1,2]"} {
		add(0, table.Text(s), s)
	}
	// No warehouse can hold what is no text; nothing but a broken caller sends it.
	add(0, table.Text("broken \xff text, of some length"), "none")
	for _, n := range []int64{0, -1, math.MaxInt64, math.MinInt64, 1<<53 + 1, -(1<<53 + 1), math.MaxInt32 + 1} {
		add(1, table.Int(n), fmt.Sprint(n))
	}
	// Negative zero is left out: it is equal to zero, and stores may keep one for the other.
	for _, f := range []float64{0, 0.1, 1e308, -1e308, 5e-324, math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 1<<53 + 2} {
		add(2, table.Float64(f), fmt.Sprint(f))
	}
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
	} {
		add(3, table.Time(m.us), m.text)
	}
	w := b.batch(uint64(len(rows)))
	w.Tables = []*table.Batch{tableOf("clicks", columns, rows...)}
	b.load(w)
	b.reopen()
	listed := map[string]bool{}
	for _, r := range b.rows(warehouse.Discards, "row_id", "reason") {
		listed[r[0]] = r[1] != ""
	}
	for i, got := range b.rows("clicks", "id", "s", "i", "f", "t") {
		for c, v := range rows[i].values {
			switch {
			case v.Type == table.Null:
				if got[c+1] != "NULL" {
					t.Errorf("row %d column %d: %q, want NULL", i, c, got[c+1])
				}
			case got[c+1] == want[i]:
			case got[c+1] == "NULL" && listed[got[0]]:
			default:
				t.Errorf("row %d: %q, want %q, or NULL and a discard", i, got[c+1], want[i])
			}
		}
	}
}

func testLongText(t *testing.T, b *bench) {
	for i, n := range []int{12, 13, 255, 256, 65_535, 65_536, 1 << 20} {
		w := b.batch(1)
		s := strings.Repeat("x", n-1) + "é"
		w.Tables = []*table.Batch{tableOf("clicks", []table.Column{column("s", table.String)}, at(uint64(i), table.Text(s)))}
		b.load(w)
		if got := b.query("SELECT s FROM " + b.Quote(b.schema) + "." + b.Quote("clicks") + fmt.Sprintf(" WHERE id = 'id-%06d'", i)); got[0][0] != s {
			t.Errorf("text of %d bytes came back with %d", len(s), len(got[0][0]))
		}
	}
}
