package mysql_test

import (
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/mysql"
	"firth/test/server"
)

// oneColumn is a batch of a table with an id and a column, one value a row.
func oneColumn(name string, c table.Column, from uint64, values ...table.Value) *warehouse.Batch {
	b := &table.Batch{Name: name, Columns: []table.Column{{Name: "id", Type: table.String}, c}}
	for i, v := range values {
		row := table.Row{Cells: []table.Cell{{Col: 0, Value: table.Text(fmt.Sprintf("%06d", i))}}}
		if v.Type != table.Null {
			row.Cells = append(row.Cells, table.Cell{Col: 1, Value: v})
		}
		b.Rows = append(b.Rows, row)
	}
	return &warehouse.Batch{Source: "production", Schema: "production", Log: testLog, From: from, To: from + uint64(len(values)), Tables: []*table.Batch{b}}
}

// TestExact sends values by streams and by statements, and has them back bit by bit.
func TestExact(t *testing.T) {
	m := server.MariaDB(t, version())
	floats := []float64{0, math.Copysign(0, -1), 5e-324, -5e-324, 1e308, math.MaxFloat64, -math.MaxFloat64, 0.1, 1 << 53, 2.2250738585072014e-308, 1e21, 123456789012345680}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		f := math.Float64frombits(random.Uint64())
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			floats = append(floats, f)
		}
	}
	var every strings.Builder
	for r := range rune(0x300) {
		every.WriteRune(r)
	}
	texts := []string{"", " ", "  x  ", "\x00", "a\x00b", `\`, `\N`, `\n`, "\\\n", "\t", "\n", "\r\n", "\x1a", "'", `"`, "`", "NULL", every.String(), "🚀", "\U0010FFFF", "\u2028", strings.Repeat("x\t\\", 70_000)}
	times := []int64{-62135596800000000, -62135596799999999, -30609792000000001, -30609792000000000, -1, 0, 1, 253402300799999999, 1_700_000_000_123_456}
	for _, insert := range []bool{false, true} {
		t.Run(fmt.Sprintf("insert %v", insert), func(t *testing.T) {
			m.Wipe()
			db, read := open(t, m.Admin), reader(t, m)
			if insert {
				db.SetInsert()
			}
			var values []table.Value
			load := func(name string, kind table.Type) {
				t.Helper()
				p, err := db.Positions(t.Context(), "production")
				if err != nil {
					t.Fatal(err)
				}
				r, err := db.Load(t.Context(), oneColumn(name, table.Column{Name: "v", Type: kind, Path: "properties.v"}, p[testLog].Next, values...))
				if err != nil || r.Discards > 0 || r.Rows[name] != int64(len(values)) {
					t.Fatalf("%s: %+v, %v", name, r, err)
				}
				values = nil
			}
			for _, f := range floats {
				values = append(values, table.Float64(f))
			}
			load("floats", table.Float)
			for _, s := range texts {
				values = append(values, table.Text(s))
			}
			load("texts", table.String)
			for _, us := range times {
				values = append(values, table.Time(us))
			}
			load("times", table.Timestamp)
			for i, f := range column[float64](t, read, "floats") {
				if f == 0 && floats[i] == 0 && version() == "10.11" {
					continue // which keeps no negative zero
				}
				if math.Float64bits(f) != math.Float64bits(floats[i]) {
					t.Errorf("%v came back as %v", floats[i], f)
				}
			}
			for i, s := range column[string](t, read, "texts") {
				if s != texts[i] {
					t.Errorf("%.50q came back as %.50q", texts[i], s)
				}
			}
			for i, s := range column[sql.NullTime](t, read, "times") {
				if !s.Valid || s.Time.UnixMicro() != times[i] {
					t.Errorf("%d came back as %v", times[i], s)
				}
			}
		})
	}
}

// column reads the column v of a table.
func column[T any](t *testing.T, db *sql.DB, name string) []T {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT v FROM production."+name+" ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil || len(out) == 0 {
		t.Fatalf("no rows of %s: %v", name, err)
	}
	return out
}

// discards reads reasons by row.
func discards(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT row_id, reason FROM production.firth_discards")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, reason string
		if err := rows.Scan(&id, &reason); err != nil {
			t.Fatal(err)
		}
		out[id] = reason
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestForeignTypes loads into columns that others made with types of their own. What they hold exactly is there; a column that can
// grow has grown; the rest is NULL and listed.
func TestForeignTypes(t *testing.T) {
	m := server.MariaDB(t, version())
	text := func(s string) table.Value { return table.Text(s) }
	micros := int64(1_700_000_000_123_456)
	for _, c := range []struct {
		kind string
		want table.Type
		v    table.Value
		get  string // "": discarded
		now  string // the type afterwards, "": as before
	}{
		{"decimal(10,2)", table.Float, table.Float64(1.25), "1.25", ""},
		{"decimal(10,2)", table.Float, table.Float64(1.255), "1.255", "double"},
		{"decimal(10,2)", table.Float, table.Float64(1e12), "1000000000000", "double"},
		{"float", table.Float, table.Float64(0.5), "0.5", ""},
		{"float", table.Float, table.Float64(0.1), "0.1", "double"},
		{"int", table.Integer, table.Int(math.MaxInt32), "2147483647", ""},
		{"int", table.Integer, table.Int(math.MaxInt32 + 1), "2147483648", "bigint(20)"},
		{"tinyint unsigned", table.Integer, table.Int(-1), "-1", "bigint(20)"},
		{"bigint unsigned", table.Integer, table.Int(5), "5", ""},
		{"tinyint(1)", table.Boolean, table.Bool(true), "1", ""},
		{"datetime", table.Timestamp, table.Time(1_700_000_000_000_000), "2023-11-14 22:13:20", ""},
		{"datetime", table.Timestamp, table.Time(micros), "2023-11-14 22:13:20.123456", "datetime(6)"},
		{"timestamp NULL", table.Timestamp, table.Time(0), "1970-01-01 00:00:00.000000", "datetime(6)"},
		{"date", table.Timestamp, table.Time(86_400_000_000), "1970-01-02", ""},
		{"date", table.Timestamp, table.Time(micros), "2023-11-14 22:13:20.123456", "datetime(6)"},
		{"char(5)", table.String, text("abc"), "abc", ""},
		{"char(5)", table.String, text("abc "), "abc ", "longtext"},
		{"varchar(5)", table.String, text("naïve"), "naïve", ""},
		{"varchar(5)", table.String, text("longer"), "longer", "longtext"},
		{"varchar(5) CHARACTER SET latin1", table.String, text("🚀"), "🚀", "longtext"},
		{"varchar(5) CHARACTER SET utf8mb3", table.String, text("日本"), "日本", ""},
		{"tinytext", table.String, text(strings.Repeat("x", 256)), strings.Repeat("x", 256), "longtext"},
		{"varchar(5)", table.Integer, table.Int(12345), "12345", ""},
		{"enum('a','b')", table.String, text("a"), "", ""},
		{"int", table.String, text("no number"), "", ""},
		{"double", table.Integer, table.Int(1<<53 + 1), "", ""},
		{"int GENERATED ALWAYS AS (1) VIRTUAL", table.Integer, table.Int(7), "", ""},
		{"varchar(5), KEY (v)", table.String, text("longer"), "longer", "longtext"},
		{"varchar(5), UNIQUE KEY (v)", table.String, text("longer"), "longer", "longtext"},
		{"varchar(5), PRIMARY KEY (v)", table.String, text("longer"), "longer", "varchar(768)"},
	} {
		t.Run(fmt.Sprintf("%s %.20s", c.kind, c.v), func(t *testing.T) {
			m.Wipe()
			m.Exec("CREATE DATABASE production CHARACTER SET utf8mb4", "CREATE TABLE production.t (id varchar(36), received_at datetime(6), v "+c.kind+")")
			db, read := open(t, m.Admin), reader(t, m)
			r, err := db.Load(t.Context(), oneColumn("t", table.Column{Name: "v", Type: c.want, Path: "properties.v"}, 0, c.v))
			if err != nil {
				t.Fatal(err)
			}
			var got sql.NullString
			var kind, before string
			if err := read.QueryRowContext(t.Context(), "SELECT CAST(v AS CHAR), (SELECT column_type FROM information_schema.columns WHERE table_schema = 'production' "+
				"AND table_name = 't' AND column_name = 'v') FROM production.t").Scan(&got, &kind); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(c.kind, "GENERATED") {
				got = sql.NullString{}
			}
			if listed := discards(t, read)["000000"] != ""; got.String != c.get || listed != (c.get == "") || listed != (r.Discards == 1) {
				t.Errorf("%q, listed %v (%+v); want %q", got.String, listed, r, c.get)
			}
			if before, _, _ = strings.Cut(c.kind, " "); c.now != "" && kind != c.now || c.now == "" && !strings.HasPrefix(kind, strings.TrimSuffix(before, ",")) {
				t.Errorf("the column is %s now, want %s", kind, c.now)
			}
		})
	}
}

// TestWideRows: what InnoDB cannot keep in a row of so many columns is listed, and the rest is there.
func TestWideRows(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	db, read := open(t, m.Admin), reader(t, m)
	for round, length := range []int{40, 41, 7, 100_000} {
		name := fmt.Sprint("t", round)
		b := &table.Batch{Name: name, Columns: []table.Column{{Name: "id", Type: table.String}}}
		row := table.Row{Cells: []table.Cell{{Col: 0, Value: table.Text("a")}}}
		for i := range 1000 {
			b.Columns = append(b.Columns, table.Column{Name: fmt.Sprintf("c%04d", i), Type: table.String, Path: "x"})
			if length < 1000 || i < 50 {
				row.Cells = append(row.Cells, table.Cell{Col: int32(i + 1), Value: table.Text(strings.Repeat("x", length))})
			}
		}
		b.Rows = []table.Row{row}
		w := &warehouse.Batch{Source: "production", Schema: "production", Log: testLog, From: uint64(round), To: uint64(round + 1), Tables: []*table.Batch{b}}
		r, err := db.Load(t.Context(), w)
		if err != nil {
			t.Fatalf("texts of %d: %v", length, err)
		}
		stored := filled(t, read, name) - 1
		if stored+int(r.Discards) != len(row.Cells)-1 || stored < 150 && length < 1000 || length > 1000 && stored != 50 {
			t.Errorf("texts of %d: %d stored, %d listed", length, stored, r.Discards)
		}
	}
}

// filled counts the values of the one row of a table.
func filled(t *testing.T, db *sql.DB, name string) (n int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM production."+name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	values, into := make([]any, 1001), make([]any, 1001)
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if v != nil {
			n++
		}
	}
	return n
}

// TestStreamRefused: a server without LOAD DATA LOCAL gets statements, and that is said once.
func TestStreamRefused(t *testing.T) {
	m := server.OwnMariaDB(t, version(), "local_infile = OFF")
	db, read := open(t, m.Admin), reader(t, m)
	for i := range uint64(3) {
		r, err := db.Load(t.Context(), rowsFrom(i*5000, 5000))
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(strings.Join(r.Notices, " "), "local_infile"); said != (i == 0) {
			t.Errorf("load %d: notices %q", i, r.Notices)
		}
	}
	wantRows(t, read, 15000)
}

// TestLeastRights does all that a loader does as the user that Setup makes, whom Check finds fine.
func TestLeastRights(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	url := m.URL("loader's", "pass@word/%", "")
	statements, err := mysql.Setup(url, []string{"production"})
	if err != nil {
		t.Fatal(err)
	}
	m.Exec("CREATE USER 'loader''s'@'%' IDENTIFIED BY 'pass@word/%'")
	wrong := 0
	for _, f := range mysql.Check(t.Context(), url, mysql.Options{}, []string{"production"}) {
		if !f.OK {
			wrong++
			if strings.HasPrefix(f.Hint, "GRANT") {
				continue
			}
			t.Errorf("%+v", f)
		}
	}
	if wrong != 3 {
		t.Errorf("%d findings, want one of each database", wrong)
	}
	for s := range strings.SplitSeq(strings.TrimSpace(statements), "\n") {
		m.Exec(strings.ReplaceAll(s, "<password>", "pass@word/%"))
	}
	db := open(t, url)
	load := func(w *warehouse.Batch) {
		t.Helper()
		if _, err := db.Load(t.Context(), w); err != nil {
			t.Fatalf("%v (%s)", err, warehouse.HintOf(err))
		}
	}
	load(rowsFrom(0, 10))
	if _, err := db.Replay(t.Context(), rowsFrom(0, 10)); err != nil {
		t.Errorf("replay: %v", err)
	}
	w := rowsFrom(0, 10)
	w.Source, w.Schema = "production#rebuild", "_firth_rebuild_production"
	load(w)
	if _, err := db.Swap(t.Context(), &warehouse.Swap{Source: "production", Schema: "production", RebuildSource: w.Source, RebuildSchema: w.Schema, Tables: []string{"clicks"}}); err != nil {
		t.Errorf("swap: %v (%s)", err, warehouse.HintOf(err))
	}
	wantRows(t, reader(t, m), 10)
	for _, f := range mysql.Check(t.Context(), url, mysql.Options{}, []string{"production"}) {
		if !f.OK {
			t.Errorf("%+v", f)
		}
	}
}
