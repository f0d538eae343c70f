package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"firth/internal/source"
	"firth/internal/source/postgres"
	"firth/internal/vector"
	"firth/test/server"
)

// stand is a database with a role that may read what it is granted.
func stand(t *testing.T, pg *server.PG, statements ...string) (url string, admin *pgx.Conn, role string) {
	t.Helper()
	url, database := owner(pg)
	admin = pg.Connect(database)
	run(t, admin, statements...)
	return url, admin, strings.Split(strings.TrimPrefix(url, "postgres://"), ":")[0]
}

// all reads every range in one reading, several at once.
func all(t *testing.T, s *postgres.Table, pieces int, r source.Request) []string {
	t.Helper()
	if err := s.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ranges, err := s.Ranges(t.Context(), pieces)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var out []string
	for _, piece := range ranges {
		wait.Go(func() {
			q := r
			q.Range = piece
			rows, err := s.Scan(t.Context(), q)
			if err != nil {
				t.Error(err)
				return
			}
			lines, _, err := drain(t.Context(), rows)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, lines...)
		})
	}
	wait.Wait()
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// closing opens what is closed at the end of the test.
func closing(t *testing.T, url string, spec source.Spec) *postgres.Table {
	t.Helper()
	s := open(t, url, spec, source.Options{Name: "users"})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestKindsOfTables reads everything that stands behind FROM, whatever it is called.
func TestKindsOfTables(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		long := strings.Repeat("ü", 31) + "x" // 63 bytes
		url, admin, role := stand(t, pg,
			`CREATE SCHEMA "Sch.ema"`, `CREATE TABLE "Sch.ema"."Ta""ble '1\" ("Id" int PRIMARY KEY, "a.b" text, "`+long+`" int, "drop ""me" int, gone int, "select" int GENERATED ALWAYS AS ("Id" * 2) STORED, ctid2 int)`,
			`INSERT INTO "Sch.ema"."Ta""ble '1\" VALUES (1, 'x', 5, 6, 7, DEFAULT, 8)`, `ALTER TABLE "Sch.ema"."Ta""ble '1\" DROP COLUMN gone`,
			"CREATE TABLE parts (id bigint, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)", "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
			"CREATE TABLE parts_2 PARTITION OF parts DEFAULT", "INSERT INTO parts SELECT i, date '2024-01-01' + i % 60, repeat('x', 500) FROM generate_series(1, 3000) i",
			"CREATE TABLE mother (id int PRIMARY KEY)", "CREATE TABLE child (more int) INHERITS (mother)", "INSERT INTO mother VALUES (1)", "INSERT INTO child VALUES (2, 3)",
			"CREATE VIEW seen AS SELECT id * 2 AS twice, v FROM parts WHERE id < 3", "CREATE MATERIALIZED VIEW held AS SELECT id FROM parts", "CREATE TABLE \"Mixed\" (\"userId\" int)", "INSERT INTO \"Mixed\" VALUES (1)",
			"CREATE TABLE empty (id int)", "CREATE TABLE uuids (id uuid PRIMARY KEY, n int)", "INSERT INTO uuids SELECT md5(i::text)::uuid, i FROM generate_series(1, 2000) i")
		run(t, admin, `GRANT USAGE ON SCHEMA "Sch.ema" TO `+role, `GRANT SELECT ON ALL TABLES IN SCHEMA "Sch.ema", public TO `+role)
		for _, c := range []struct {
			table, columns, key string
			rows                int
			first               string
		}{
			{`"Sch.ema"."Ta""ble '1\"`, `Id a.b ` + long + ` drop "me select ctid2`, "Id", 1, "1|x|5|6|2|8"},
			{"parts", "id at v", "id at", 3000, ""},
			{"public.mother", "id", "id", 2, "1"},
			{"seen", "twice v", "", 2, ""},
			{"held", "id", "", 3000, "1"},
			{"Mixed", "userId", "", 1, "1"},
			{"EMPTY", "id", "", 0, ""},
			{"uuids", "id n", "id", 2000, ""},
		} {
			s := closing(t, url, source.Spec{Table: c.table})
			info, err := s.Describe(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", c.table, err)
			}
			var names []string
			for _, column := range info.Columns {
				names = append(names, column.Name)
			}
			if strings.Join(names, " ") != c.columns || strings.Join(info.Key, " ") != c.key || info.Rows < 0 {
				t.Errorf("%s: columns %q, key %q, %d rows", c.table, names, info.Key, info.Rows)
			}
			for _, pieces := range []int{1, 5} {
				lines := all(t, s, pieces, source.Request{})
				if len(lines) != c.rows || len(slices.Compact(lines)) != c.rows || c.first != "" && lines[0] != c.first {
					t.Errorf("%s in %d pieces: %d rows, %.200q", c.table, pieces, len(lines), lines[:min(1, len(lines))])
				}
			}
		}
	})
}

// TestForeignTables have no blocks and no lock.
func TestForeignTables(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, admin, role := stand(t, pg, "CREATE EXTENSION file_fdw", "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw")
	run(t, admin, "CREATE FOREIGN TABLE far (n int, s text) SERVER files OPTIONS (program 'echo 1,x; echo 2,y', format 'csv')", "GRANT SELECT ON far TO "+role)
	s := closing(t, url, source.Spec{Table: "far"})
	want(t, all(t, s, 4, source.Request{}), "1|x", "2|y")
}

// TestWideTable has as many columns as there can be.
func TestWideTable(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "18")
	var columns, values []string
	for i := range 1600 {
		columns, values = append(columns, fmt.Sprintf("c%d bool", i)), append(values, "true")
	}
	url, admin, role := stand(t, pg, "CREATE TABLE wide ("+strings.Join(columns, ", ")+")", "INSERT INTO wide VALUES ("+strings.Join(values, ", ")+")", "INSERT INTO wide DEFAULT VALUES")
	run(t, admin, "GRANT SELECT ON wide TO "+role)
	lines := all(t, closing(t, url, source.Spec{Table: "wide"}), 2, source.Request{})
	want(t, lines, strings.Repeat("true|", 1599)+"true", strings.Repeat("~|", 1599)+"~")
}

// TestChoice: conditions, queries, chosen and excluded columns and parts of JSON; what is not asked for is not in the statement.
func TestChoice(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		url, admin, role := stand(t, pg, "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, j jsonb, k json, secret text, note text)",
			`INSERT INTO t VALUES (1, '2024-01-01 00:00:00.000001+00', '{"a":1,"p":{"ssn":"secret","b":2}}', '{"p": {"ssn":1, "x":1}}', 's', 'it''s \n'),
			(2, '2024-01-02', '{"p":[{"ssn":"secret"}],"c":3}', NULL, 's', ''), (3, 'infinity', '[{"p":{"ssn":"secret"}}]', '5', 's', NULL), (4, NULL, '"p"', '{"p":5}', 's', 'x')`)
		run(t, admin, "GRANT SELECT (id, at, j, k, note) ON t TO "+role)
		for _, c := range []struct {
			spec  source.Spec
			r     source.Request
			lines []string
		}{
			{source.Spec{Table: "t", Columns: []string{"note", "id"}, Where: "id < 3 -- no more"}, source.Request{}, []string{`1|it's \n`, "2|"}},
			{source.Spec{Table: "t", Exclude: []string{"secret", "note", "at", "nothing"}, Where: "t.id = 4 or t.id < 0"}, source.Request{}, []string{`4|"p"|{"p":5}`}},
			{source.Spec{Table: "t", Columns: []string{"id", "j", "k"}, Exclude: []string{"j.p.ssn", "k.p.ssn"}}, source.Request{},
				[]string{`1|{"a": 1, "p": {"b": 2}}|{"p": {"x": 1}}`, `2|{"c": 3}|~`, "3|~|5", `4|"p"|{"p": 5}`}},
			{source.Spec{Table: "t", Columns: []string{"id", "j.p.b", "j.c"}}, source.Request{}, []string{"1|2|~", "2|~|3", "3|~|~", "4|~|~"}},
			{source.Spec{Table: "t", ID: "id"}, source.Request{}, []string{"1", "2", "3", "4"}},
			{source.Spec{Table: "t", Cursor: "at", Columns: []string{"id", "at"}}, source.Request{From: vector.Value{Kind: vector.TimestampTZ, Num: 1704067200_000001}, Only: []string{"id"}}, []string{"1", "2", "3"}},
			{source.Spec{Table: "t", Cursor: "at", Columns: []string{"id", "at"}}, source.Request{From: vector.Value{Kind: vector.TimestampTZ, Num: 1704067200_000002}, Only: []string{"id"}}, []string{"2", "3"}},
			{source.Spec{Query: `WITH x AS (SELECT id, at FROM t) SELECT id AS "Id", id + 0.5 AS half, 'x' AS word, NULL AS nothing, now() - now() AS span, ARRAY[id] AS ids FROM x WHERE id > 2; -- end`, Cursor: "Id"},
				source.Request{From: vector.Value{Kind: vector.Int, Bits: 64, Num: 4}}, []string{"4|4.5|x|~|PT0S|[4]"}},
		} {
			got := all(t, closing(t, url, c.spec), 3, c.r)
			if !slices.Equal(got, c.lines) {
				t.Errorf("%+v: %q, want %q", c.spec, got, c.lines)
			}
		}
		for _, spec := range []source.Spec{
			{Table: "t", Cursor: "nope"}, {Table: "t", Columns: []string{"nope"}}, {Query: "SELECT 1; SELECT 2"}, {Query: "SELECT id, id FROM t"}, {Query: "DELETE FROM t"}, {Table: "t", Where: "nope = 1", Columns: []string{"id"}}, {Table: "t"}, {Table: "a.b.c.d"}, {},
			{Query: "SELECT 1) q) TO STDOUT; COMMIT; DROP TABLE t; --"},
		} {
			_, err := closing(t, url, spec).Describe(t.Context())
			var e *source.Error
			if !errors.As(err, &e) || spec.Table != "" && e.Hint() == "" {
				t.Errorf("%+v: %v", spec, err)
			}
		}
	})
}

// TestGet reads by ids of any kind, by key and by query.
func TestGet(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		url, admin, role := stand(t, pg, "CREATE TABLE t (id int PRIMARY KEY, name text, u uuid)", "CREATE TABLE orders (user_id int, n int)",
			"INSERT INTO t VALUES (1, 'a''b\\', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), (2, '{x,\"y\"}', NULL), (3, 'c', NULL)", "INSERT INTO orders VALUES (1, 10), (1, 11), (3, 30)")
		run(t, admin, "GRANT SELECT ON t, orders TO "+role)
		ids := []vector.Value{{Kind: vector.Int, Bits: 64, Num: 1}, {Kind: vector.Text, Text: "3"}, {Kind: vector.Text, Text: "no number"}, {Kind: vector.Int, Bits: 64, Num: 1 << 40}, {}}
		names := []vector.Value{{Kind: vector.Text, Text: `a'b\`}, {Kind: vector.Text, Text: `{x,"y"}`}, {Kind: vector.Text, Text: "a\x00b"}, {Kind: vector.Text, Text: "\xff"}}
		for _, c := range []struct {
			spec  source.Spec
			ids   []vector.Value
			lines []string
		}{
			{source.Spec{Table: "t", Columns: []string{"name"}}, ids, []string{`1|a'b\`, "3|c"}},
			{source.Spec{Table: "t", Columns: []string{"id"}, Key: "name"}, names, []string{`1|a'b\`, `2|{x,"y"}`}},
			{source.Spec{Table: "t", Columns: []string{"id"}, Key: "u"}, []vector.Value{{Kind: vector.Text, Text: "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}, {Kind: vector.Text, Text: "x"}}, []string{"1|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
			{source.Spec{Query: "SELECT user_id AS id, count(*), sum(n) FROM orders WHERE user_id IN (:ids) GROUP BY 1"}, ids[:2], []string{"1|2|21", "3|1|30"}},
			{source.Spec{Query: "SELECT i AS id, ':ids' FROM unnest(:ids::int[]) i -- :ids", Key: "id"}, ids[:2], []string{"1|:ids", "3|:ids"}},
			{source.Spec{Query: "SELECT id, name FROM t WHERE id = any(:ids)", Key: "id"}, ids[:2], []string{`1|a'b\`, "3|c"}},
			{source.Spec{Query: "SELECT id, name FROM t", Key: "id"}, ids[:2], []string{`1|a'b\`, "3|c"}},
		} {
			if c.spec.Key == "" && c.spec.Table != "" {
				c.spec.Columns = append(c.spec.Columns, "id")
			}
			rows, err := closing(t, url, c.spec).Get(t.Context(), c.ids)
			if err != nil {
				t.Errorf("%+v: %v", c.spec, err)
				continue
			}
			got, _, err := drain(t.Context(), rows)
			slices.Sort(got)
			if err != nil || !slices.Equal(got, c.lines) {
				t.Errorf("%+v: %q, %v, want %q", c.spec, got, err, c.lines)
			}
		}
	})
}

// TestOneMoment reads while the table grows, shrinks and changes, with one connection, with several, and where snapshots cannot be shared.
func TestOneMoment(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		for _, shared := range []bool{true, false} {
			url, admin, role := stand(t, pg, "CREATE TABLE t (id int PRIMARY KEY, n int, pad text)", "INSERT INTO t SELECT i, 0, repeat('x', 200) FROM generate_series(1, 20000) i")
			run(t, admin, "GRANT SELECT ON t TO "+role)
			if !shared {
				run(t, admin, "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_export_snapshot() FROM PUBLIC")
			}
			s := closing(t, url, source.Spec{Table: "t", Columns: []string{"id", "n"}})
			if err := s.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			ranges, err := s.Ranges(t.Context(), 6)
			if err != nil || len(ranges) < 2 && shared || len(ranges) != 1 && !shared {
				t.Fatalf("%d ranges, %v", len(ranges), err)
			}
			seen := map[string]int{}
			for _, r := range ranges {
				run(t, admin, "UPDATE t SET n = n + 1 WHERE id % 3 = 0", "DELETE FROM t WHERE id % 7 = 0", "INSERT INTO t SELECT max(id) + 1, 5, 'y' FROM t")
				lines, _ := read(t, s, source.Request{Range: r})
				for _, l := range lines {
					seen[l]++
				}
			}
			if len(seen) != 20000 || seen["3|0"] != 1 || seen["7|0"] != 1 {
				t.Errorf("shared: %v: %d rows", shared, len(seen))
			}
			if err := s.End(); err != nil {
				t.Fatal(err)
			}
			// To change the table itself is to wait for the reading, and then to be seen.
			if err := s.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			run(t, admin, "SET lock_timeout = '50ms'")
			if shared {
				if _, err := admin.Exec(t.Context(), "TRUNCATE t"); err == nil {
					t.Error("the table was emptied under the snapshot")
				}
			}
			if err := s.End(); err != nil {
				t.Fatal(err)
			}
			run(t, admin, "ALTER TABLE t ADD COLUMN late int", "ALTER TABLE t ALTER COLUMN n TYPE bigint")
			var e *source.Error
			if err := s.Begin(t.Context()); !errors.As(err, &e) || !e.Changed {
				t.Errorf("another type since Describe: %v", err)
			}
			if _, err := s.Describe(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Begin(t.Context()), s.End()); err != nil {
				t.Error(err)
			}
			if !shared {
				run(t, admin, "GRANT EXECUTE ON FUNCTION pg_catalog.pg_export_snapshot() TO PUBLIC")
			}
		}
	})
}

// TestCut: wherever the connection ends, reading is an error that may be tried again, never a short end.
func TestCut(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, admin, role := stand(t, pg, "CREATE TABLE t (id int PRIMARY KEY, pad text)", "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i")
	run(t, admin, "GRANT SELECT ON t TO "+role)
	var complete bytes.Buffer
	if err := closing(t, url, source.Spec{Table: "t"}).ScanRaw(t.Context(), source.Request{}, &complete); err != nil {
		t.Fatal(err)
	}
	cuts := 0
	for _, at := range []int64{1, 100, 1000, 5000, 20_000, 100_000, int64(complete.Len()) / 2, int64(complete.Len()) - 1} {
		c := &cutter{}
		s := open(t, url, source.Spec{Table: "t"}, source.Options{Dial: c.dial})
		if _, err := s.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, raw := range []bool{false, true} {
			c.left.Store(at)
			var err error
			var lines []string
			var out bytes.Buffer
			if raw {
				err = s.ScanRaw(t.Context(), source.Request{}, &out)
			} else {
				var rows source.Rows
				if rows, err = s.Scan(t.Context(), source.Request{}); err == nil {
					lines, _, err = drain(t.Context(), rows)
				}
			}
			if err == nil && (len(lines) == 3000 || raw && bytes.Equal(out.Bytes(), complete.Bytes())) {
				c.left.Store(0)
				continue // cut before the statement was sent, it goes over another connection
			}
			cuts++
			if !source.CanRetry(err) {
				t.Errorf("cut after %d, raw: %v: %d rows, %v", at, raw, len(lines), err)
			}
			c.left.Store(0)
		}
		if lines := all(t, s, 1, source.Request{}); len(lines) != 3000 {
			t.Errorf("%d rows after that", len(lines))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if cuts < 12 {
		t.Errorf("only %d were cut", cuts)
	}
	// The server ends the session in the middle, with a reason.
	s := closing(t, url, source.Spec{Query: "SELECT id, pg_sleep(0.001) FROM t", Columns: []string{"id"}})
	rows, err := s.Scan(t.Context(), source.Request{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'firth' AND usename = '"+role+"'")
	if lines, _, err := drain(t.Context(), rows); !source.CanRetry(err) {
		t.Errorf("%d rows, %v", len(lines), err)
	}
	// A value that cannot be computed in the middle.
	s = closing(t, url, source.Spec{Query: "SELECT 1 / (id - 2500) AS n FROM t"})
	if err := s.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		rows, err = s.Scan(t.Context(), source.Request{})
		if err == nil {
			_, _, err = drain(t.Context(), rows)
		}
		if err == nil || source.CanRetry(err) || !strings.Contains(err.Error(), "division by zero") {
			t.Errorf("%v", err)
		}
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
}

// TestRaw copies a table into another by the bytes alone.
func TestRaw(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		url, admin, role := stand(t, pg, "CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN price AS numeric(10,2)",
			`CREATE TABLE t (id int PRIMARY KEY, a bigint, b numeric, c numeric(10,2), d text, e varchar(3), f char(4), g mood, h inet, i int4range, j jsonb, k json, l timestamptz, m interval, n int[], o mood[], p bytea, q uuid, r price,
			s money, u double precision, v real, w bool, x time, y timetz, z inet[])`,
			`INSERT INTO t SELECT n, n, 'NaN', 1.5, 'ü', 'abc', 'x', 'sad', '10.0.0.1', '[1,5)', '{"a": 1}', '{"a":1,"a":2}', '294276-12-31', '1 mon -2 days', '{1,NULL}', '{sad,ok}', '\x00ff', md5('x')::uuid, 5, 12.5, 'Infinity', 0.1, true, '24:00', '12:00+05:30', '{10.0.0.1}'
			FROM generate_series(1, 1000) n`, "INSERT INTO t (id) VALUES (2000)")
		run(t, admin, "GRANT SELECT ON t TO "+role)
		s := closing(t, url, source.Spec{Table: "t"})
		info, err := s.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		types, ok := s.RawColumns(t.Context())
		if !ok || len(types) != len(info.Columns) {
			t.Fatalf("%v, %v", types, ok)
		}
		var columns []string
		for i, c := range info.Columns {
			columns = append(columns, c.Name+" "+types[i])
		}
		run(t, admin, "CREATE TABLE copied ("+strings.Join(columns, ", ")+")")
		if err := s.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		ranges, err := s.Ranges(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range ranges {
			from, to := io.Pipe()
			var wait sync.WaitGroup
			wait.Go(func() { _ = to.CloseWithError(s.ScanRaw(t.Context(), source.Request{Range: r}, to)) }) // it returns nil
			if _, err := admin.PgConn().CopyFrom(t.Context(), from, "COPY copied FROM STDIN (FORMAT binary)"); err != nil {
				t.Error(err)
			}
			_ = from.Close() // it may have been left in the middle
			wait.Wait()
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
		// Text by text: what came as text has no type of its own any more.
		var differ int
		row := "format('%s', ROW(x.id, x.a, x.b, x.c, x.d, x.e, x.f::text, x.g, format('%s', x.h), x.i, x.j, x.k, x.l, x.m, x.n, x.o, x.p, x.q, x.r, x.s::numeric, x.u, x.v, x.w, x.x, x.y, x.z))"
		if err := admin.QueryRow(t.Context(), "SELECT count(*) FROM (SELECT "+row+" FROM t x EXCEPT ALL SELECT "+strings.ReplaceAll(row, "x.f::text", "rtrim(x.f)")+" FROM copied x) d").Scan(&differ); err != nil || differ != 0 {
			t.Errorf("%d rows differ, %v", differ, err)
		}
	})
}
