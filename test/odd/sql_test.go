package odd_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver sqlite

	"firth/internal/mirror"
	"firth/internal/source"
	source_mysql "firth/internal/source/mysql"
	source_postgres "firth/internal/source/postgres"
	"firth/internal/source/sqlite"
	"firth/internal/vector"
	"firth/test/server"
)

// odds is one column of a table of odd values: its type, how its texts are compared, and values in SQL.
type odds struct {
	sql, class string
	from       int // the first version of the server that has it
	values     []string
}

// cells reads what a server prints of a table m with the columns c00, c01 ...
func cells(list []odds, read func(query string) [][]*string, text func(o odds, column string) string) (out []gridColumn) {
	for i, o := range list {
		name := fmt.Sprintf("c%02d", i)
		c := gridColumn{name: name, about: o.sql, class: o.class}
		for _, r := range read("SELECT " + text(o, name) + " FROM m ORDER BY id") {
			c.cells = append(c.cells, r[0])
		}
		out = append(out, c)
	}
	return out
}

// tableOf writes the table m of the columns: row i has the value i of each, and NULL behind its last.
func tableOf(list []odds, exec func(statement string)) {
	rows, columns := 0, []string{"id int PRIMARY KEY"}
	for i, o := range list {
		columns = append(columns, fmt.Sprintf("c%02d %s", i, o.sql))
		rows = max(rows, len(o.values))
	}
	exec("CREATE TABLE m (" + strings.Join(columns, ", ") + ")")
	for row := range rows + 1 { // the last is NULL throughout
		names, values := []string{"id"}, []string{fmt.Sprint(row + 1)}
		for i, o := range list {
			if row < len(o.values) {
				names, values = append(names, fmt.Sprintf("c%02d", i)), append(values, o.values[row])
			}
		}
		exec("INSERT INTO m (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(values, ", ") + ")")
	}
}

var nines = strings.Repeat("9", 60) + "." + strings.Repeat("1", 40)

var postgresOdds = []odds{
	{"smallint", "number", 0, []string{"-32768", "32767"}},
	{"integer", "number", 0, []string{"-2147483648", "2147483647"}},
	{"bigint", "number", 0, []string{"-9223372036854775808", "9007199254740993", "9223372036854775807"}},
	{"oid", "number", 0, []string{"4294967295"}},
	{"xid8", "number", 13, []string{"'18446744073709551615'"}},
	{"numeric", "number", 0, []string{"'NaN'", nines, "-0.00", "1e100", "-1e-100", strings.Repeat("9", 1000), "0." + strings.Repeat("0", 999) + "1"}},
	{"numeric", "number", 14, []string{"'Infinity'", "'-Infinity'"}},
	{"numeric(14,4)", "number", 0, []string{"9999999999.9999", "-0.0001", "'NaN'"}},
	{"numeric(38,38)", "number", 0, []string{"0.12345678901234567890123456789012345678", "'NaN'"}},
	{"numeric(40,10)", "number", 0, []string{"123456789012345678901234567890.0123456789", "'NaN'"}},
	{"numeric(65,30)", "number", 0, []string{strings.Repeat("9", 35) + "." + strings.Repeat("9", 30)}},
	{"numeric(80,40)", "number", 0, []string{strings.Repeat("9", 40) + "." + strings.Repeat("9", 40)}},
	{"numeric(3,-2)", "number", 15, []string{"99900", "-100"}},
	{"real", "float32", 0, []string{"0.1", "'-0'", "1e-45", "3.4028235e38", "'NaN'", "'Infinity'", "'-Infinity'", "16777217"}},
	{"double precision", "float", 0, []string{"0.1", "'-0'", "5e-324", "1.7976931348623157e308", "'NaN'", "'Infinity'", "'-Infinity'", "9007199254740993"}},
	{"money", "number", 0, []string{"'-92233720368547758.08'", "'0.01'"}},
	{"boolean", "boolean", 0, []string{"true", "false"}},
	{"text", "text", 0, []string{"''", `E'a''b\\c"d|\n\t\r'`, "'Zürich 東京 🌊'", "'NULL'", `'\N'`, "repeat('ü', 100000)", "'a '", "E'\\x01\\x7f'", "'e\u0301'"}},
	{"varchar(5)", "text", 0, []string{"''", "'äöü '"}},
	{"char(5)", "text", 0, []string{"'ab'", "''"}},
	{`"char"`, "text", 0, []string{"'x'", "''"}},
	{"name", "text", 0, []string{"'pg_class'"}},
	{"citext", "text", 0, []string{"'MiXed'"}},
	{"xml", "text", 0, []string{"'<a b=\"c\">ü</a>'"}},
	{"tsvector", "text", 0, []string{"'a:1 b:2B'"}},
	{"uuid", "text", 0, []string{"'00000000-0000-0000-0000-000000000000'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}},
	{"bytea", "bytes", 0, []string{"''", `'\x00ff5c27'`, `'\xdeadbeef'`}},
	{"date", "time", 0, []string{"'infinity'", "'-infinity'", "'4714-11-24 BC'", "'0001-01-01'", "'0001-12-31 BC'", "'5874897-12-31'", "'2024-02-29'", "'9999-12-31'", "'10000-01-01'"}},
	{"timestamp", "time", 0, []string{"'infinity'", "'-infinity'", "'4714-11-24 00:00:00 BC'", "'294247-01-10 04:00:54.775806'", "'294247-01-10 04:00:54.775807'", "'294276-12-31 23:59:59.999999'",
		"'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'", "'0001-01-01 00:00:00'"}},
	{"timestamptz", "time", 0, []string{"'infinity'", "'-infinity'", "'2024-03-31 02:30:00+02'", "'0044-03-15 12:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'", "'1969-12-31 23:59:59.5+00'"}},
	{"time", "time", 0, []string{"'00:00:00'", "'24:00:00'", "'23:59:59.999999'"}},
	{"timetz", "time", 0, []string{"'24:00:00+00'", "'00:00:00-15:59:59'", "'12:34:56.789+05:30'", "'01:02:03+01:02:03'"}},
	{"interval", "span", 0, []string{"'1 year 2 mons 3 days 04:05:06.7'", "'-178000000 years'", "'1 mon -1 day 24:00:00'", "'-00:00:00.000001'", "'0'"}},
	{"json", "json", 0, []string{`'{"a":1,"a":2}'`, `' {"b" : 1.0e400} '`, "'null'", `'"x"'`, "'12345678901234567890.12345678901234567890'", `'{"a":"\u0000"}'`}},
	{"jsonb", "json", 0, []string{`'{"b": "\"ü", "a": [1, 2.50, null]}'`, "'null'", "'12345678901234567890.12345678901234567890'", "'{}'"}},
	{"mood", "text", 0, []string{"'sad'", "'größer'"}},
	{"int[]", "list", 0, []string{"'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'"}},
	{"text[]", "list", 0, []string{`ARRAY['a"b\c', NULL, 'NULL', '', 'ü']`, "'{}'"}},
	{"numeric[]", "list", 0, []string{"'{1.10,NULL,NaN}'", "'{123456789012345678901234567890123456789012345.5}'"}},
	{"bool[]", "list", 0, []string{"'{t,f,NULL}'"}},
	{"float8[]", "list", 0, []string{"'{0.1,NULL,1e300}'"}},
	{"bigint[]", "list", 0, []string{"'{9007199254740993}'"}},
	{"hstore", "json", 0, []string{"'a=>1,b=>NULL'"}},
	{"int4range", "text", 0, []string{"'[1,10)'", "'empty'", "'(,)'"}},
	{"tstzrange", "text", 0, []string{`'["2024-01-01 00:00:00+00",)'`}},
	{"int4multirange", "text", 14, []string{"'{[1,3),[5,7)}'"}},
	{"inet", "text", 0, []string{"'10.0.0.1'", "'fe80::1/64'"}},
	{"cidr", "text", 0, []string{"'10.0.0.0/8'"}},
	{"macaddr", "text", 0, []string{"'08:00:2b:01:02:03'"}},
	{"bit(3)", "text", 0, []string{"'101'"}},
	{"varbit", "text", 0, []string{"''", "'101010101'"}},
	{"point", "text", 0, []string{"'(1.5,-2)'"}},
	{"polygon", "text", 0, []string{"'((0,0),(1,1),(1,0))'"}},
}

func postgresGrid(t *testing.T, version string) *grid {
	pg := server.Postgres(t, version)
	url, database := pg.Loader()
	var list []odds
	for _, o := range postgresOdds {
		n := 0
		if _, err := fmt.Sscan(version, &n); err == nil && n >= o.from {
			list = append(list, o)
		}
	}
	conn := pg.Connect(database)
	exec := func(q string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), q); err != nil {
			t.Fatalf("%.200s: %v", q, err)
		}
	}
	for _, q := range append([]string{"CREATE EXTENSION citext", "CREATE EXTENSION hstore", "CREATE TYPE mood AS ENUM ('sad', 'größer')"}, plainPostgres...) {
		exec(q)
	}
	tableOf(list, exec)
	exec("GRANT SELECT ON m TO PUBLIC")
	text := func(o odds, c string) string {
		switch o.class {
		case "bytes":
			return "encode(" + c + ", 'hex')"
		case "span":
			return postgresText(vector.Type{Kind: vector.Interval}, c)
		case "list":
			return "array_to_json(" + c + ")::text"
		}
		switch o.sql {
		case "money":
			return c + "::numeric::text"
		case "char(5)":
			return "rpad(" + c + "::text, 5)" // a cast takes the blanks away that the server prints
		case "inet", "cidr":
			return "CASE WHEN " + c + " IS NOT NULL THEN format('%s', " + c + ") END" // a cast adds /32
		case "hstore":
			return "hstore_to_json(" + c + ")::text"
		}
		return c + "::text"
	}
	return &grid{
		columns: cells(list, func(q string) [][]*string { return readPostgres(t, conn, q) }, text),
		from: func(ctx context.Context) (mirror.Source, error) {
			return source_postgres.Open(ctx, url, source.Spec{Table: "public.m"}, source.Options{Name: "source"})
		},
	}
}

var mariaOdds = []odds{
	{"TINYINT", "number", 0, []string{"-128", "127"}},
	{"TINYINT UNSIGNED", "number", 0, []string{"255"}},
	{"TINYINT(1)", "number", 0, []string{"5", "-128", "1", "0"}},
	{"SMALLINT UNSIGNED", "number", 0, []string{"65535"}},
	{"MEDIUMINT UNSIGNED", "number", 0, []string{"16777215"}},
	{"INT UNSIGNED", "number", 0, []string{"4294967295"}},
	{"INT(8) ZEROFILL", "number", 0, []string{"42"}},
	{"BIGINT", "number", 0, []string{"-9223372036854775808", "9007199254740993"}},
	{"BIGINT UNSIGNED", "number", 0, []string{"18446744073709551615", "9223372036854775808", "0"}},
	{"BIT(1)", "boolean", 0, []string{"b'1'", "b'0'"}},
	{"BIT(9)", "number", 0, []string{"b'111111111'"}},
	{"BIT(64)", "number", 0, []string{"0xFFFFFFFFFFFFFFFF"}},
	{"DECIMAL(10,2)", "number", 0, []string{"-12345678.90"}},
	{"DECIMAL(38,0)", "number", 0, []string{strings.Repeat("9", 38)}},
	{"DECIMAL(65,30)", "number", 0, []string{strings.Repeat("9", 35) + "." + strings.Repeat("9", 30)}},
	{"DOUBLE", "float", 0, []string{"0.1", "-1.7976931348623157e308", "5e-324", "9007199254740993", "3.3333333333333335", "-0e0"}},
	{"FLOAT", "float32", 0, []string{"16777216", "3.4028234e38", "0.1", "1.2345678"}},
	{"DATE", "time", 0, []string{"'0000-00-00'", "'2025-00-15'", "'2025-01-00'", "'2025-02-31'", "'9999-12-31'", "'2024-02-29'", "'0001-01-01'"}},
	{"DATETIME(6)", "time", 0, []string{"'0000-00-00 00:00:00'", "'2025-00-15 01:02:03'", "'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'", "'0001-01-01 00:00:00.000001'"}},
	{"DATETIME NOT NULL", "time", 0, []string{"'0000-00-00 00:00:00'"}},
	{"TIMESTAMP(3) NULL", "time", 0, []string{"'0000-00-00 00:00:00'", "'2038-01-19 03:14:07.999'", "'2025-03-30 02:30:00.123'", "'1970-01-01 00:00:01'"}},
	{"TIME(6)", "span", 0, []string{"'838:59:59.999999'", "'-838:59:59.999999'", "'-00:00:00.000001'", "'24:00:00'"}},
	{"YEAR", "number", 0, []string{"0", "2155"}},
	{"ENUM('a','b''c','ü')", "text", 0, []string{"'ü'", "0", "'b''c'"}},
	{"SET('a','b','c')", "text", 0, []string{"'a,c'", "''"}},
	{"JSON", "json", 0, []string{`'{"a":1, "a":2,"n":1.000}'`, "'[]'", "'12345678901234567890.12345678901234567890'"}},
	{"CHAR(5)", "text", 0, []string{"'ab '", "''"}},
	{"VARCHAR(20) CHARACTER SET latin1", "text", 0, []string{"'Zoë €'", "'a '"}},
	{"TEXT CHARACTER SET utf8mb4", "text", 0, []string{"'😀\\\\x'", "'a\\0b'", "''"}},
	{"BINARY(4)", "bytes", 0, []string{"x'FF'"}},
	{"VARBINARY(9)", "bytes", 0, []string{"x'00FF'", "''"}},
	{"LONGBLOB", "bytes", 0, []string{"x'DEADBEEF'"}},
	{"GEOMETRY", "geometry", 0, []string{"ST_GeomFromText('POINT(0.1 -2)')", "ST_GeomFromText('POINT(1 2)', 4326)"}},
	{"UUID", "text", 0, []string{"'123e4567-e89b-12d3-a456-426655440000'"}},
	{"INET6", "text", 0, []string{"'::ffff:1.2.3.4'"}},
}

func mariaGrid(t *testing.T) *grid {
	m := server.MariaDB(t, "11.4")
	name := m.Database()
	db := m.Open(name)
	db.SetMaxOpenConns(1)
	exec := func(q string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%.200s: %v", q, err)
		}
	}
	exec("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
	tableOf(mariaOdds, exec)
	text := func(o odds, c string) string {
		switch {
		case o.class == "float", o.class == "float32":
			return "CAST(CAST(" + c + " AS DOUBLE) AS CHAR)"
		case o.class == "bytes":
			return "LOWER(HEX(" + c + "))"
		case o.class == "span":
			return "CONCAT('0 0 ', CAST(TIME_TO_SEC(" + c + ") * 1000000 AS SIGNED))"
		case o.class == "geometry":
			return "CONCAT(IF(ST_SRID(" + c + ") > 0, CONCAT('SRID=', ST_SRID(" + c + "), ';'), ''), ST_AsText(" + c + "))"
		case strings.HasPrefix(o.sql, "BIT"):
			return "CAST(" + c + " + 0 AS CHAR)"
		case strings.HasPrefix(o.sql, "TIMESTAMP"):
			return "IF(" + c + " = 0, CAST(" + c + " AS CHAR), CONCAT(" + c + ", '+00'))"
		}
		return "CAST(" + c + " AS CHAR)"
	}
	url := strings.Replace(m.Admin, "/mysql", "/"+name, 1)
	return &grid{
		columns: cells(mariaOdds, func(q string) [][]*string { return readAll(t, db, q) }, text),
		from: func(ctx context.Context) (mirror.Source, error) {
			return source_mysql.Open(ctx, url, source.Spec{Table: "m"}, source.Options{Name: "source"})
		},
	}
}

var sqliteOdds = []odds{
	{"INTEGER", "number", 0, []string{"9223372036854775807", "-9223372036854775808", "1.5", "'x'", "x'00ff'", "'12'"}},
	{"REAL", "float", 0, []string{"1", "1e300", "9e999", "-9e999", "'x'", "0.1", "3.3333333333333335"}},
	{"VARCHAR(10)", "text", 0, []string{"'longer than ten'", "1", "''", "'a' || char(0) || 'b'", "'a '"}},
	{"BLOB", "bytes", 0, []string{"x'00ff'", "x''", "'text'"}},
	{"BOOLEAN", "boolean", 0, []string{"0", "1"}},
	{"DATE", "time", 0, []string{"'2024-02-29'"}},
	{"DATE", "text", 0, []string{"'2024-02-29'", "'2024-02-30'"}},
	{"DATETIME", "time", 0, []string{"'2024-02-29 12:00:00'", "'2024-02-29T12:00:00.123456'"}},
	{"TIMESTAMP", "text", 0, []string{"'2024-02-29 12:00:00.1234567'"}},
	{"DECIMAL(10,2)", "number", 0, []string{"1.10", "3", "'12345678.99'"}},
	{"NUMERIC", "number", 0, []string{"1", "1.5", "9223372036854775807"}},
	{"JSON", "json", 0, []string{`'{"a":1,"a":2}'`, "'[1]'", "5"}},
	{"UUID", "text", 0, []string{"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}},
}

func sqliteGrid(t *testing.T) *grid {
	path := filepath.Join(t.TempDir(), "source.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tableOf(sqliteOdds, func(q string) {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	})
	text := func(o odds, c string) string {
		switch o.class {
		case "bytes":
			return "iif(" + c + " IS NULL, NULL, lower(hex(" + c + ")))"
		case "float":
			return "iif(typeof(" + c + ") = 'real', printf('%!.17g', " + c + "), CAST(" + c + " AS TEXT))"
		}
		return "iif(typeof(" + c + ") = 'blob', '\\x' || lower(hex(" + c + ")), CAST(" + c + " AS TEXT))"
	}
	return &grid{
		columns: cells(sqliteOdds, func(q string) [][]*string { return readAll(t, db, q) }, text),
		from: func(ctx context.Context) (mirror.Source, error) {
			return sqlite.Open(ctx, "sqlite:"+path, source.Spec{Table: "m"}, source.Options{Name: "source"})
		},
	}
}

// TestOddValuesOfTables copies every odd value of relational databases into every warehouse: as it is, or NULL and listed. Then once more by
// key, where nothing is different.
func TestOddValuesOfTables(t *testing.T) {
	for name, of := range map[string]func(*testing.T) *grid{
		"postgres 15": func(t *testing.T) *grid { return postgresGrid(t, "15") },
		"postgres 18": func(t *testing.T) *grid { return postgresGrid(t, "18") },
		"mariadb":     mariaGrid, "sqlite": sqliteGrid,
	} {
		t.Run(name, func(t *testing.T) {
			g := of(t)
			for _, b := range basins(t) {
				t.Run(b.name, func(t *testing.T) {
					b.carry(t, g, mirror.Config{Mode: mirror.ModeReplace})
					b.compare(t, g)
					rep := b.carry(t, g, mirror.Config{Mode: mirror.ModeUpsert, DeleteMissing: true})
					if rep.Inserted+rep.Updated+rep.Deleted > 0 {
						t.Errorf("nothing has changed: %s", rep.Text())
					}
					b.compare(t, g)
				})
			}
		})
	}
}
