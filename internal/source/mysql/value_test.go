package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"firth/internal/source"
	"firth/internal/source/mysql"
	"firth/internal/vector"
	"firth/test/server"
)

// cell is what became of one value.
type cell struct {
	text   string // ~ for NULL
	reason string
}

// contents reads all of a source: cells by column, in the order of the rows, and the types.
func contents(t *testing.T, s *mysql.Table, req source.Request) (map[string][]cell, map[string]string) {
	t.Helper()
	rows, err := s.Scan(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	cells, types, err := drain(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	return cells, types
}

func drain(ctx context.Context, rows source.Rows) (map[string][]cell, map[string]string, error) {
	cells, types := map[string][]cell{}, map[string]string{}
	for {
		var b source.Batch
		err := rows.Next(ctx, &b)
		if errors.Is(err, io.EOF) {
			return cells, types, rows.Close()
		}
		if err != nil {
			return cells, types, errors.Join(err, rows.Close())
		}
		for i, c := range b.Chunk.Columns {
			types[c.Name] = c.Type.String()
			from := len(cells[c.Name])
			for row := range b.Chunk.Rows {
				text := "~"
				if b.Chunk.Vectors[i].Valid[row] {
					text = string(b.Chunk.Vectors[i].AppendText(nil, row))
				}
				cells[c.Name] = append(cells[c.Name], cell{text: text})
			}
			for _, r := range b.Chunk.Rejects {
				if r.Column == c.Name {
					cells[c.Name][from+r.Row].reason = r.Value + ": " + r.Reason
				}
			}
		}
	}
}

func open(t *testing.T, m *server.Maria, database string, spec source.Spec, o source.Options) *mysql.Table {
	t.Helper()
	o.Name = "shop"
	s, err := mysql.Open(t.Context(), strings.Replace(m.Admin, "/mysql", "/"+database, 1), spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// odd is a column with its values: as SQL, and what must come of each. want is the text, or "reject: value: reason".
type odd struct {
	definition, kind string
	queried          string // the type in a query, where it is another
	values, want     []string
}

func odds() map[string]odd {
	nines := strings.Repeat("9", 35) + "." + strings.Repeat("9", 30)
	geometry := "POLYGON((0 0,10 0,10 10.5,0 0),(1 1,2 1,2 2,1 1))"
	return map[string]odd{
		"t8":       {"TINYINT", "int8", "", []string{"-128", "127", "0"}, nil},
		"u8":       {"TINYINT UNSIGNED", "uint8", "", []string{"255"}, nil},
		"t1":       {"TINYINT(1)", "int8", "", []string{"5", "-128", "1"}, nil},
		"s16":      {"SMALLINT", "int16", "", []string{"-32768", "32767"}, nil},
		"u16":      {"SMALLINT UNSIGNED", "uint16", "", []string{"65535"}, nil},
		"m24":      {"MEDIUMINT", "int32", "", []string{"-8388608"}, nil},
		"um24":     {"MEDIUMINT UNSIGNED", "uint32", "", []string{"16777215"}, nil},
		"i32":      {"INT", "int32", "", []string{"-2147483648"}, nil},
		"zero":     {"INT(8) ZEROFILL", "uint32", "", []string{"42", "4294967295"}, nil},
		"u32":      {"INT UNSIGNED", "uint32", "", []string{"4294967295"}, nil},
		"i64":      {"BIGINT", "integer", "", []string{"-9223372036854775808", "9223372036854775807", "9007199254740993"}, nil},
		"u64":      {"BIGINT UNSIGNED", "uint64", "", []string{"18446744073709551615", "9223372036854775808"}, nil},
		"bit1":     {"BIT(1)", "boolean", "uint64", []string{"b'1'", "b'0'"}, []string{"true", "false"}},
		"bit9":     {"BIT(9)", "uint64", "", []string{"b'111111111'", "b'1'"}, []string{"511", "1"}},
		"bit64":    {"BIT(64)", "uint64", "", []string{"0xFFFFFFFFFFFFFFFF"}, []string{"18446744073709551615"}},
		"d10":      {"DECIMAL(10,2)", "decimal(10,2)", "decimal(11,2)", []string{"-12345678.90", "0"}, []string{"-12345678.90", "0.00"}},
		"d10z":     {"DECIMAL(10,2) ZEROFILL", "decimal(10,2)", "", []string{"12.5", "0"}, []string{"12.50", "0.00"}},
		"d38":      {"DECIMAL(38,0)", "decimal(38,0)", "", []string{strings.Repeat("9", 38)}, nil},
		"d65":      {"DECIMAL(65,30)", "decimal", "", []string{nines, "-" + nines}, nil},
		"dbl":      {"DOUBLE", "float", "", []string{"0.1", "-1.7976931348623157e308", "5e-324", "9007199254740993", "3.3333333333333335"}, []string{"0.1", "-1.7976931348623157e+308", "5e-324", "9.007199254740992e+15", "3.3333333333333335"}},
		"flt":      {"FLOAT", "float32", "", []string{"16777216", "3.4028234e38", "0.1", "1.2345678"}, []string{"1.6777216e+07", "3.4028235e+38", "0.1", "1.2345678"}},
		"day":      {"DATE", "date", "", []string{"'2024-02-29'", "'0000-00-00'", "'2025-00-15'", "'2025-01-00'", "'9999-12-31'", "'1000-01-01'", "'2025-02-31'"}, []string{"2024-02-29", "reject: 0000-00-00: zero date", "reject: 2025-00-15: 2025-00-15 has no month", "reject: 2025-01-00: 2025-01-00 has no day", "9999-12-31", "1000-01-01", "reject: 2025-02-31: 2025-02-31 is no day of the calendar"}},
		"dt":       {"DATETIME", "timestamp", "", []string{"'2024-02-29 23:59:59'", "'0000-00-00 00:00:00'", "'2025-00-15 01:02:03'"}, []string{"2024-02-29 23:59:59", "reject: 0000-00-00 00:00:00: zero date", "reject: 2025-00-15 01:02:03: 2025-00-15 has no month"}},
		"dt6":      {"DATETIME(6)", "timestamp", "", []string{"'1969-12-31 23:59:59.999999'", "'0001-01-01 00:00:00.000001'", "'0000-00-00 00:00:00'"}, []string{"1969-12-31 23:59:59.999999", "0001-01-01 00:00:00.000001", "reject: 0000-00-00 00:00:00.000000: zero date"}},
		"ts":       {"TIMESTAMP NULL", "timestamptz", "", []string{"'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'"}, []string{"2038-01-19 03:14:07+00", "reject: 0000-00-00 00:00:00: zero date", "1970-01-01 00:00:01+00"}},
		"ts3":      {"TIMESTAMP(3) NULL", "timestamptz", "", []string{"'2025-03-30 02:30:00.123'"}, []string{"2025-03-30 02:30:00.123+00"}},
		"tm":       {"TIME(6)", "interval", "", []string{"'838:59:59.999999'", "'-838:59:59.999999'", "'-00:00:00.000001'", "'24:00:00'"}, []string{"PT838H59M59.999999S", "PT-838H-59M-59.999999S", "PT-0.000001S", "PT24H"}},
		"tm0":      {"TIME", "interval", "", []string{"'00:00:00'", "'-100:00:01'"}, []string{"PT0S", "PT-100H-1S"}},
		"y":        {"YEAR", "int16", "", []string{"0", "2155", "1901"}, nil},
		"en":       {"ENUM('a','b''c','ü')", "text", "", []string{"'ü'", "0", "'b''c'"}, []string{"ü", "", "b'c"}},
		"st":       {"SET('a','b','c')", "text", "", []string{"'a,c'", "''"}, []string{"a,c", ""}},
		"js":       {"JSON", "json", "text", []string{`'{"a":1, "a":2,"n":1.000}'`, `'[]'`}, []string{`{"a":1, "a":2,"n":1.000}`, "[]"}},
		"ch":       {"CHAR(5)", "text", "", []string{"'ab '", "''"}, []string{"ab", ""}},
		"latin":    {"VARCHAR(20) CHARACTER SET latin1", "text", "", []string{"'Zoë €'"}, []string{"Zoë €"}},
		"emoji":    {"TEXT CHARACTER SET utf8mb4", "text", "", []string{"'😀\\0\\\\x'"}, []string{"😀\x00\\x"}},
		"bin":      {"BINARY(4)", "blob", "", []string{"x'FF'"}, []string{`\xff000000`}},
		"vbin":     {"VARBINARY(9)", "blob", "", []string{"x'00FF'", "''"}, []string{`\x00ff`, `\x`}},
		"blo":      {"LONGBLOB", "blob", "", []string{"x'DEADBEEF'"}, []string{`\xdeadbeef`}},
		"geo":      {"GEOMETRY", "text", "", []string{"ST_GeomFromText('POINT(0.1 -2)')", "ST_GeomFromText('" + geometry + "', 4326)", "ST_GeomFromText('GEOMETRYCOLLECTION(MULTIPOINT(1 1,2 2),LINESTRING(0 0,1 1))')"}, []string{"POINT(0.1 -2)", "SRID=4326;" + geometry, "GEOMETRYCOLLECTION(MULTIPOINT(1 1,2 2),LINESTRING(0 0,1 1))"}},
		"uid":      {"UUID", "uuid", "text", []string{"'123e4567-e89b-12d3-a456-426655440000'"}, []string{"123e4567-e89b-12d3-a456-426655440000"}},
		"ip":       {"INET6", "text", "", []string{"'::ffff:1.2.3.4'"}, []string{"::ffff:1.2.3.4"}},
		"select":   {"INT", "int32", "", []string{"7"}, nil},
		"日本 `x.y`": {"INT INVISIBLE", "int32", "", []string{"8"}, nil},
	}
}

// TestOddValues reads every odd value, by table and by query, in the text protocol and in the binary one.
func TestOddValues(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	database := m.Database()
	list := odds()
	var columns []string
	most := 0
	for _, name := range slices.Sorted(keys(list)) {
		columns = append(columns, quote(name))
		most = max(most, len(list[name].values))
	}
	definitions := []string{"id INT PRIMARY KEY"}
	for _, name := range slices.Sorted(keys(list)) {
		definitions = append(definitions, quote(name)+" "+list[name].definition)
	}
	script := []string{"SET NAMES utf8mb4", "SET sql_mode = 'ALLOW_INVALID_DATES'", "SET time_zone = '+00:00'", "CREATE TABLE " + database + ".odd (" + strings.Join(definitions, ", ") + ", gen BIGINT AS (id * 2) STORED) CHARACTER SET utf8mb4"}
	for row := range most + 1 {
		values := []string{fmt.Sprint(row)}
		for _, name := range slices.Sorted(keys(list)) {
			v := "NULL"
			if o := list[name]; row < len(o.values) {
				v = o.values[row]
			}
			values = append(values, v)
		}
		script = append(script, "INSERT INTO "+database+".odd (id, "+strings.Join(columns, ", ")+") VALUES ("+strings.Join(values, ", ")+")")
	}
	m.Exec(strings.Join(script, ";\n"))
	query := "SELECT id, " + strings.Join(columns, ", ") + " FROM odd ORDER BY id"
	for _, s := range []struct {
		name  string
		spec  source.Spec
		query bool
	}{
		{"table, binary", source.Spec{Table: "odd"}, false},
		{"table, text", source.Spec{Table: database + ".odd", Exclude: []string{"dbl", "flt"}}, false},
		{"query, binary", source.Spec{Query: query}, true},
		{"query, text", source.Spec{Query: query, Exclude: []string{"dbl", "flt"}}, true},
	} {
		t.Run(s.name, func(t *testing.T) {
			cells, types := contents(t, open(t, m, database, s.spec, source.Options{}), source.Request{})
			for name, o := range list {
				if slices.Contains(s.spec.Exclude, name) {
					if cells[name] != nil {
						t.Errorf("%s is read", name)
					}
					continue
				}
				kind := o.kind
				if s.query && o.queried != "" {
					kind = o.queried
				}
				if types[name] != kind {
					t.Errorf("%s (%s) is %s, want %s", name, o.definition, types[name], kind)
				}
				compare(t, name, o, cells[name], most, kind)
			}
		})
	}
}

func keys(m map[string]odd) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func compare(t *testing.T, name string, o odd, got []cell, most int, kind string) {
	t.Helper()
	if len(got) != most+1 {
		t.Errorf("%s: %d rows", name, len(got))
		return
	}
	for i, c := range got {
		want := cell{text: "~"}
		if i < len(o.values) {
			want.text = o.values[i]
			if o.want != nil {
				want.text = o.want[i]
			}
			if o.kind == "boolean" && kind != "boolean" {
				want.text = map[string]string{"true": "1", "false": "0"}[want.text]
			}
			if reason, ok := strings.CutPrefix(want.text, "reject: "); ok {
				want = cell{text: "~", reason: reason}
			}
		}
		if c != want {
			t.Errorf("%s %s: got %+v, want %+v", name, o.definition, c, want)
		}
	}
}

// TestGetTexts: the server takes texts for equal that are not, and texts for numbers; ids are exact.
func TestGetTexts(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	database := m.Database()
	m.Exec("CREATE TABLE "+database+".texts (id VARCHAR(20) COLLATE utf8mb4_general_ci, n INT)", "INSERT INTO "+database+".texts VALUES ('a', 1), ('A', 2), ('7', 3), ('7x', 4), ('b ', 5)",
		"CREATE TABLE "+database+".numbers (id INT, n INT)", "INSERT INTO "+database+".numbers VALUES (0, 1), (7, 2)")
	text := func(s string) vector.Value { return vector.Value{Kind: vector.Text, Text: s} }
	for _, c := range []struct {
		table string
		ids   []vector.Value
		want  string
	}{
		{"texts", []vector.Value{text("a"), {Kind: vector.Int, Bits: 64, Num: 7}, text("b")}, "[{1 } {3 }]"},
		{"numbers", []vector.Value{text("abc"), text("7"), text("7.0"), text("'")}, "[{2 }]"},
		{"numbers", []vector.Value{text("abc")}, "[]"},
	} {
		for _, spec := range []source.Spec{{Table: c.table}, {Table: c.table, Columns: []string{"n"}}, {Query: "SELECT * FROM " + c.table + " WHERE id IN (:ids) -- :ids and ':ids'"}} {
			rows, err := open(t, m, database, spec, source.Options{}).Get(t.Context(), c.ids)
			if err != nil {
				t.Fatal(err)
			}
			cells, _, err := drain(t.Context(), rows)
			if err != nil || fmt.Sprint(cells["n"]) != c.want {
				t.Errorf("%v of %+v: %v, %v; want %s", c.ids, spec, cells["n"], err, c.want)
			}
		}
	}
}
