package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"firth/internal/source"
	"firth/test/server"
)

// odd are columns, what they become, and values as the server reads them. Every value must come as the server prints it, or be listed.
var odd = []struct {
	sql, kind string
	from      int // the first version that has it
	values    []string
}{
	{"boolean", "boolean", 0, []string{"true", "false"}},
	{"smallint", "int16", 0, []string{"-32768", "0", "32767"}},
	{"integer", "int32", 0, []string{"-2147483648", "-1", "2147483647"}},
	{"bigint", "integer", 0, []string{"-9223372036854775808", "9007199254740993", "9223372036854775807"}},
	{"oid", "uint32", 0, []string{"0", "4294967295"}},
	{"xid8", "uint64", 13, []string{"0", "18446744073709551615"}},
	{"real", "float32", 0, []string{"0.1", "-0", "1e-45", "3.4028235e+38", "NaN", "Infinity", "-Infinity", "16777217", "1234567.9"}},
	{"double precision", "float", 0, []string{"0.1", "-0", "5e-324", "1.7976931348623157e+308", "NaN", "Infinity", "-Infinity", "9007199254740993", "123456789012345680", "1e15", "0.0001", "0.00001"}},
	{"numeric", "decimal", 0, []string{"0", "-0.00", "1.10", "NaN", strings.Repeat("9", 60) + "." + strings.Repeat("1", 40), "-10000", "0.0001", "10000.0001", "1e100", "-1e-100", "123456789.000000000",
		strings.Repeat("9", 1000), "0." + strings.Repeat("0", 999) + "1", "99990000", "9999.9999", "100000000"}},
	{"numeric", "decimal", 14, []string{"Infinity", "-Infinity"}},
	{"numeric(14,4)", "decimal(14,4)", 0, []string{"9999999999.9999", "-0.0001", "0", "NaN", "1"}},
	{"numeric(38,38)", "decimal(38,38)", 0, []string{"0.12345678901234567890123456789012345678", "0"}},
	{"numeric(40,10)", "decimal", 0, []string{"123456789012345678901234567890.0123456789", "-0.5"}},
	{"numeric(3,-2)", "decimal(5,0)", 15, []string{"99900", "-100", "149"}},
	{"numeric(2,4)", "decimal(4,4)", 15, []string{"0.0099", "-0.0001"}},
	{"money", "decimal(19,2)", 0, []string{"-92233720368547758.08", "92233720368547758.07", "0.01"}},
	{"text", "text", 0, []string{"", "a'b\\c\"d|\n\t", "Zürich – 東京 🌊", "NULL", `\N`, strings.Repeat("x", 100_000)}},
	{"varchar(5)", "text", 0, []string{"", "äöü"}},
	{"char(5)", "text", 0, []string{"ab", "", "abcde"}},
	{`"char"`, "text", 0, []string{"x", ""}},
	{"name", "text", 0, []string{"pg_class", ""}},
	{"citext", "text", 0, []string{"MiXed"}},
	{"uuid", "uuid", 0, []string{"00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
	{"bytea", "blob", 0, []string{"", `\x00ff5c27`, `\xdeadbeef`}},
	{"date", "date", 0, []string{"2000-01-01", "1970-01-01", "1969-12-31", "4714-11-24 BC", "0001-01-01", "0001-12-31 BC", "5874897-12-31", "infinity", "-infinity", "2024-02-29", "1900-03-01"}},
	{"timestamp", "timestamp", 0, []string{"2000-01-01 00:00:00", "1970-01-01 00:00:00", "1969-12-31 23:59:59.999999", "4714-11-24 00:00:00 BC", "294247-01-10 04:00:54.775806", "infinity", "-infinity", "2024-02-29 12:34:56.7"}},
	{"timestamptz", "timestamptz", 0, []string{"2024-03-31 02:30:00+02", "4714-11-24 00:00:00+00 BC", "0044-03-15 12:00:00+00 BC", "infinity", "-infinity", "1969-12-31 23:59:59.5+00"}},
	{"time", "time", 0, []string{"00:00:00", "24:00:00", "23:59:59.999999", "12:00:00.5"}},
	{"timetz", "timetz", 0, []string{"24:00:00+00", "00:00:00-15:59:59", "12:34:56.789+05:30", "12:00:00-08", "01:02:03+01:02:03"}},
	{"json", "json", 0, []string{`{"a":1,"a":2}`, ` {"b" : 1.0e400} `, `null`, `"x"`, `12345678901234567890.12345678901234567890`}},
	{"jsonb", "json", 0, []string{`{"a": [1, 2.50, null], "b": "\"ü"}`, `null`, `12345678901234567890.12345678901234567890`, `{}`, `[]`}},
	{"mood", "text", 0, []string{"sad", "a'b", "größer"}},
	{"inet", "text", 0, []string{"10.0.0.1", "10.0.0.0/8", "::1", "fe80::1/64"}},
	{"cidr", "text", 0, []string{"10.0.0.0/8", "10.0.0.1/32", "2001:db8::/32"}},
	{"macaddr", "text", 0, []string{"08:00:2b:01:02:03"}},
	{"bit(3)", "text", 0, []string{"101"}},
	{"varbit", "text", 0, []string{"", "101010101"}},
	{"xml", "text", 0, []string{`<a b="c">ü</a>`}},
	{"tsvector", "text", 0, []string{"'a':1 'b':2B"}},
	{"int4range", "text", 0, []string{"[1,10)", "empty", "(,)"}},
	{"tstzrange", "text", 0, []string{`["2024-01-01 00:00:00+00","2024-01-02 00:00:00+00")`}},
	{"int4multirange", "text", 14, []string{"{[1,3),[5,7)}"}},
	{"point", "text", 0, []string{"(1.5,-2)"}},
	{"box", "text", 0, []string{"(2,2),(1,1)"}},
	{"polygon", "text", 0, []string{"((0,0),(1,1),(1,0))"}},
	{"regclass", "text", 0, []string{"pg_class"}},
	{"pg_lsn", "text", 0, []string{"16/B374D848"}},
	{"int2vector", "text", 0, []string{"1 2 3"}},
	{"price", "decimal(10,2)", 0, []string{"12.50", "-0.01"}},
	{"deeper", "decimal(10,2)", 0, []string{"1.00"}},
	{"tags", "text", 0, []string{`<<`}},
}

const oddTypes = `CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'a''b', 'größer'); CREATE DOMAIN price AS numeric(10,2);
CREATE DOMAIN deeper AS price CHECK (VALUE > 0); CREATE DOMAIN tags AS varchar(10); CREATE TYPE pair AS (a int, "B c" text, t timestamptz); CREATE DOMAIN codes AS int[]`

// TestTorture round-trips each odd value against the server's own text.
func TestTorture(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		url, database := owner(pg)
		admin := pg.Connect(database)
		run(t, admin, "ALTER DATABASE "+database+" SET extra_float_digits = -10", "ALTER DATABASE "+database+" SET IntervalStyle = sql_standard",
			"ALTER DATABASE "+database+" SET DateStyle = 'German'", "ALTER DATABASE "+database+" SET TimeZone = 'Asia/Kathmandu'", "ALTER DATABASE "+database+" SET bytea_output = escape")
		admin = pg.Connect(database)
		run(t, admin, strings.Split(oddTypes, ";")...)
		run(t, admin, "SET DateStyle = 'ISO'", "SET TimeZone = 'UTC'", "SET bytea_output = hex", "SET extra_float_digits = 3")
		for i, o := range odd {
			if n := 0; o.from > 0 {
				if _, err := fmt.Sscan(pg.Version, &n); err != nil || n < o.from {
					continue
				}
			}
			table := fmt.Sprintf("odd_%d", i)
			run(t, admin, fmt.Sprintf("CREATE TABLE %s (n int, v %s)", table, o.sql), fmt.Sprintf("INSERT INTO %s VALUES (-1, NULL)", table), "GRANT SELECT ON "+table+" TO PUBLIC")
			for n, v := range o.values {
				if _, err := admin.Exec(t.Context(), fmt.Sprintf("INSERT INTO %s SELECT $1::int, $2::text::%s", table, o.sql), n, v); err != nil {
					t.Fatalf("%s %s: %v", o.sql, v, err)
				}
			}
			text := "format('%s', v)" // what the server prints, which is not the cast to text for all types
			switch o.sql {
			case "boolean":
				text = "v::text"
			case "money":
				text = "v::numeric::text"
			}
			expected, err := pgx.CollectRows(must(admin.Query(t.Context(), fmt.Sprintf("SELECT n || '|' || coalesce(CASE WHEN v IS NOT NULL THEN %s END, '~') FROM %s ORDER BY n", text, table))), pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, url, source.Spec{Table: table}, source.Options{})
			info, err := s.Describe(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", o.sql, err)
			}
			if got := info.Columns[1].Type.String(); got != o.kind {
				t.Errorf("%s becomes %s, not %s", o.sql, got, o.kind)
			}
			got, rejects := read(t, s, source.Request{})
			slices.Sort(got)
			slices.Sort(expected)
			if !slices.Equal(got, expected) || len(rejects) > 0 {
				t.Errorf("%s: got %.2000q, want %.2000q; %v", o.sql, got, expected, rejects)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func must(rows pgx.Rows, err error) pgx.Rows {
	if err != nil {
		panic(err)
	}
	return rows
}

// TestListsAndParts are arrays, composites and what else becomes a list or JSON, and what is listed instead.
func TestListsAndParts(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		url, database := owner(pg)
		admin := pg.Connect(database)
		run(t, admin, strings.Split(oddTypes, ";")...)
		for i, c := range []struct {
			sql, kind string
			values    []string // SQL, then the text
			reject    string
		}{
			{sql: "int[]", kind: "int32[]", values: []string{"'{1,NULL,3}'", "[1,null,3]", "'{}'", "[]", "'[5:6]={7,8}'", "[7,8]"}},
			{sql: "bigint[]", kind: "integer[]", values: []string{"'{9223372036854775807}'", `["9223372036854775807"]`}},
			{sql: "text[]", kind: "text[]", values: []string{`'{"a,b",NULL,"NULL","",ü}'`, `["a,b",null,"NULL","","ü"]`}},
			{sql: "numeric(5,2)[]", kind: "decimal(5,2)[]", values: []string{"'{1.5,NaN}'", `["1.50","NaN"]`}},
			{sql: "timestamptz[]", kind: "timestamptz[]", values: []string{"'{2024-01-01 00:00:00+00,infinity}'", `["2024-01-01 00:00:00+00","infinity"]`}},
			{sql: "uuid[]", kind: "uuid[]", values: []string{"'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", `["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]`}},
			{sql: "bool[]", kind: "boolean[]", values: []string{"'{t,f,NULL}'", "[true,false,null]"}},
			{sql: "bytea[]", kind: "blob[]", values: []string{`ARRAY['\x00ff'::bytea]`, `["\\x00ff"]`}},
			{sql: "mood[]", kind: "text[]", values: []string{"'{sad,größer}'", `["sad","größer"]`}},
			{sql: "inet[]", kind: "text[]", values: []string{"'{10.0.0.1,NULL}'", `["10.0.0.1",null]`}},
			{sql: "int4range[]", kind: "text[]", values: []string{`'{"[1,3)"}'`, `["[1,3)"]`}},
			{sql: "money[]", kind: "decimal(19,2)[]", values: []string{"'{1.5}'", `["1.50"]`}},
			{sql: "price[]", kind: "decimal(10,2)[]", values: []string{"'{1.5}'", `["1.50"]`}},
			{sql: "codes", kind: "int32[]", values: []string{"'{1}'", "[1]"}},
			{sql: "int[][]", kind: "json", values: []string{"'{{1,2},{3,4}}'", "[[1,2],[3,4]]", "'{}'", "[]"}},
			{sql: "int[]", kind: "int32[]", values: []string{"'{{1,2},{3,NULL}}'", "~"}, reject: "[[1,2],[3,null]]: an array of 2 dimensions in a list"},
			{sql: "text[]", kind: "text[]", values: []string{`'{{a},{"<\""}}'`, "~"}, reject: `[["a"],["<\""]]: an array of 2 dimensions in a list`},
			{sql: "timestamp[]", kind: "timestamp[]", values: []string{"'{294276-12-31 23:59:59.999999}'", "~"}, reject: `["294276-12-31 23:59:59.999999"]: the time lies after 294247-01-10 04:00:54.775806`},
			{sql: "timestamp", kind: "timestamp", values: []string{"'294247-01-10 04:00:54.775807'", "~"}, reject: "294247-01-10 04:00:54.775807: the time lies after 294247-01-10 04:00:54.775806"},
			{sql: "jsonb[]", kind: "json", values: []string{`ARRAY['{"a":1}'::jsonb]`, `[{"a": 1}]`}},
			{sql: "pair", kind: "json", values: []string{"ROW(1, 'x', '2024-01-01 00:00:00+00')", `{"a":1,"B c":"x","t":"2024-01-01T00:00:00+00:00"}`}},
			{sql: "pair[]", kind: "json", values: []string{"ARRAY[ROW(1, 'x', NULL)::pair]", `[{"a":1,"B c":"x","t":null}]`}},
			{sql: "hstore", kind: "json", values: []string{"'a=>1,b=>NULL'", `{"a": "1", "b": null}`}},
			{sql: "box[]", kind: "json", values: []string{"'{(2,2),(1,1)}'", `["(2,2),(1,1)"]`}},
			{sql: "interval", kind: "interval", values: []string{"'1 year 2 mons 3 days 04:05:06.7'", "P1Y2M3DT4H5M6.7S", "'-178000000 years'", "P-178000000Y", "'1 mon -1 day 24:00:00'", "P1M-1DT24H"}},
		} {
			table := fmt.Sprintf("list_%d", i)
			run(t, admin, fmt.Sprintf("CREATE TABLE %s (v %s)", table, c.sql), "GRANT SELECT ON "+table+" TO PUBLIC")
			var texts []string
			for n := 0; n < len(c.values); n += 2 {
				run(t, admin, fmt.Sprintf("INSERT INTO %s VALUES (%s)", table, c.values[n]))
				texts = append(texts, c.values[n+1])
			}
			s := open(t, url, source.Spec{Table: table}, source.Options{})
			info, err := s.Describe(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", c.sql, err)
			}
			if got := info.Columns[0].Type.String(); got != c.kind {
				t.Errorf("%s becomes %s, not %s", c.sql, got, c.kind)
			}
			got, rejects := read(t, s, source.Request{})
			if !slices.Equal(got, texts) {
				t.Errorf("%s: got %q, want %q", c.sql, got, texts)
			}
			told := ""
			for _, r := range rejects {
				told += r.Value + ": " + r.Reason
			}
			if told != c.reject {
				t.Errorf("%s: rejects %q, want %q", c.sql, told, c.reject)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
