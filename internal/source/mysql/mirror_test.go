package mysql_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/source/mysql"
	"firth/internal/warehouse"
	mywarehouse "firth/internal/warehouse/mysql"
	"firth/test/server"
)

// TestMirror copies odd values from one database of MariaDB to another: all exact, or rejected.
func TestMirror(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	from, into := m.Database(), m.Database()
	m.Exec("CREATE TABLE "+from+".odd (id INT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(65,30), dt DATETIME(6), day DATE, tm TIME(6), j JSON, b BIT(9), y YEAR, g GEOMETRY, f FLOAT, bl BLOB, e ENUM('a','b'), at TIMESTAMP NULL)",
		"SET sql_mode = ''; INSERT INTO "+from+".odd VALUES (1, 18446744073709551615, '-99999999999999999999999999999999999.999999999999999999999999999999', '0000-00-00', '2025-00-15', '-838:59:59.999999', '{\"a\":1, \"a\":2}', 511, 0, ST_GeomFromText('POINT(1 2)'), 16777216, x'00ff', '', 0),"+
			"(2, 1, 1.5, '2024-02-29 01:02:03', '2024-02-29', '01:00:00', '[]', 1, 2024, NULL, 0.1, '', 'a', '2024-02-29 01:02:03')")
	target, err := mywarehouse.OpenMirrors(t.Context(), m.Admin, mywarehouse.Options{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, target)
	for _, mode := range []string{mirror.ModeReplace, mirror.ModeUpsert} {
		c := mirror.Config{Name: from + mode, Table: warehouse.MirrorTable{Name: from + mode, Schema: into, Table: mode}, Mode: mode}
		if mode == mirror.ModeUpsert {
			c.Key, c.Cursor = []string{"id"}, "id"
		}
		mirrored := mirror.New(mirror.Options{Config: c, Target: mirror.Adapt(target), From: func(ctx context.Context) (mirror.Source, error) {
			return mysql.Open(ctx, strings.Replace(m.Admin, "/mysql", "/"+from, 1), source.Spec{Table: "odd", Cursor: c.Cursor}, source.Options{Name: "shop"})
		}})
		for range 2 {
			if r, err := mirrored.Sync(t.Context(), mirror.RunOptions{}, nil); err != nil || r.Rows != 2 {
				t.Fatalf("%s: %+v, %v", mode, r, err)
			}
		}
		got := readAll(t, m, "SELECT id, u, d, dt, day, tm, j, b, y, g, CAST(f AS DOUBLE), HEX(bl), e, at FROM "+into+"."+mode)
		want := []string{
			`1|18446744073709551615|-99999999999999999999999999999999999.999999999999999999999999999999|~|~|PT-838H-59M-59.999999S|{"a":1, "a":2}|511|0|POINT(1 2)|1.6777216e+07|00FF||~`,
			`2|1|1.500000000000000000000000000000|2024-02-29 01:02:03.000000|2024-02-29|PT1H|[]|1|2024|~|0.10000000149011612||a|2024-02-29 01:02:03.000000`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mode, diff)
		}
		got = readAll(t, m, "SELECT `key`, column_name, value, reason FROM "+into+"."+mode+"__rejects")
		want = []string{"1|at|0000-00-00 00:00:00|zero date", "1|day|2025-00-15|2025-00-15 has no month", "1|dt|0000-00-00 00:00:00.000000|zero date"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rejects of %s (-want +got):\n%s", mode, diff)
		}
	}
}

// readAll gives rows as text, sorted, with ~ for NULL.
func readAll(t *testing.T, m *server.Maria, query string) (out []string) {
	t.Helper()
	rows, err := m.Open("mysql").QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		cells, into := make([]*string, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = "~"
			if c != nil {
				texts[i] = *c
			}
		}
		out = append(out, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}
