package mirror_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/internal/mirror"
	"firth/internal/source"
	source_postgres "firth/internal/source/postgres"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/test/server"
)

// everyType is a table of many types, filled with so many rows.
const everyType = `CREATE TABLE public.every (
	id bigint PRIMARY KEY, u uuid NOT NULL, name text, state text, ok boolean, n integer, f double precision, amount numeric(14,4), big numeric,
	tags text[], doc jsonb, raw json, at timestamptz, local timestamp, day date, bytes bytea, span interval, clock time);
INSERT INTO public.every SELECT i, md5(i::text)::uuid, CASE WHEN i %% 7 > 0 THEN 'name ' || i END, (ARRAY['new', 'paid', 'sent'])[1 + i %% 3], i %% 2 = 0,
	i %% 1000, i / 7.0, i / 3.0, CASE WHEN i %% 5 > 0 THEN (i::numeric ^ 5) / 7 END, ARRAY['a' || i, NULL, 'b'], jsonb_build_object('i', i, 'text', 'x'), '{"a": 1, "a": 1.50}',
	'2024-01-01'::timestamptz + i * interval '1 second', '2024-01-01'::timestamp + i * interval '1 second', '2024-01-01'::date + i %% 1000,
	decode(md5(i::text), 'hex'), i * interval '1 minute', '00:00'::time + (i %% 86400) * interval '1 second'
FROM generate_series(1, %d) AS i`

// stand is a source of PostgreSQL beside a warehouse.
type stand struct {
	t     *testing.T
	conn  *pgx.Conn
	url   string
	table string
	raws  atomic.Int64 // ranges that were passed through
}

// counted counts the ranges that are passed through.
type counted struct {
	*source_postgres.Table
	n *atomic.Int64
}

func (c counted) ScanRaw(ctx context.Context, r source.Request, w io.Writer) error {
	c.n.Add(1)
	return c.Table.ScanRaw(ctx, r, w)
}

func newStand(t *testing.T, rows int) *stand {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	name, password := pg.Role(database, "SUPERUSER")
	s := &stand{t: t, conn: pg.Connect(database), url: pg.URL(name, password, database), table: "public.every"}
	s.exec(fmt.Sprintf(everyType, rows), "ANALYZE public.every")
	return s
}

func (s *stand) exec(statements ...string) {
	s.t.Helper()
	for _, q := range statements {
		if _, err := s.conn.Exec(s.t.Context(), q); err != nil {
			s.t.Fatalf("%s: %v", q, err)
		}
	}
}

func (s *stand) text(query string) string {
	s.t.Helper()
	var out string
	if err := s.conn.QueryRow(s.t.Context(), query).Scan(&out); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return out
}

func (s *stand) mirror(target mirror.Target, pg bool, c mirror.Config) *mirror.Mirror {
	c.Name, c.Table = "every", warehouse.MirrorTable{Name: "every", Schema: "copied", Table: "every"}
	spec := source.Spec{Table: s.table, Cursor: c.Cursor}
	spec.Columns, spec.Exclude = c.Selection()
	return mirror.New(mirror.Options{
		Config: c, Target: target, Lower: pg, Unbounded: pg,
		From: func(ctx context.Context) (mirror.Source, error) {
			table, err := source_postgres.Open(ctx, s.url, spec, source.Options{Name: "source"})
			return counted{table, &s.raws}, err
		},
	})
}

func run(t *testing.T, m *mirror.Mirror) *mirror.Report {
	t.Helper()
	began := time.Now()
	rep, err := m.Copy(t.Context(), mirror.RunOptions{}, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, rep.Text())
	}
	t.Logf("%d rows in %s", rep.Rows, time.Since(began))
	return rep
}

func TestPostgresToDuckDB(t *testing.T) {
	s := newStand(t, 30_000)
	dir := t.TempDir()
	db, err := duckdb.Open(t.Context(), filepath.Join(dir, "w.duckdb"), duckdb.Options{LakeDir: dir, TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	target := mirror.Adapt(db.Mirrors())
	value := func(query string) string {
		t.Helper()
		var out string
		if err := db.SQL().QueryRowContext(t.Context(), query).Scan(&out); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return out
	}
	rep := run(t, s.mirror(target, false, mirror.Config{Mode: mirror.ModeReplace}))
	both := func(duck, pg string) {
		t.Helper()
		if got, want := value("SELECT "+duck+" FROM copied.every"), s.text("SELECT "+pg+" FROM public.every"); got != want {
			t.Errorf("%s is %s, wanted %s", duck, got, want)
		}
	}
	both("count(*)::VARCHAR", "count(*)::text")
	both("sum(amount)::VARCHAR", "sum(amount)::text")
	both("count(name)::VARCHAR", "count(name)::text")
	both("md5(string_agg(big, ',' ORDER BY id))", "md5(string_agg(big::text, ',' ORDER BY id))")
	both("md5(string_agg(hex(bytes), ',' ORDER BY id))", "md5(string_agg(upper(encode(bytes, 'hex')), ',' ORDER BY id))")
	both(`sum(epoch_us("at"))::VARCHAR`, "sum((extract(epoch from at) * 1000000)::bigint)::text")
	both("max(raw::VARCHAR)", "max(raw::text)")
	for _, c := range rep.Columns {
		if c.Rejected > 0 || c.Exact+c.Null != 30_000 {
			t.Errorf("%+v", c)
		}
	}
	c := mirror.Config{Mode: mirror.ModeAppend, Cursor: "id", Late: &mirror.Late{Count: 10}}
	s.exec("INSERT INTO public.every (id, u) VALUES (40000, gen_random_uuid()), (40001, gen_random_uuid())")
	run(t, s.mirror(target, false, c))
	run(t, s.mirror(target, false, c))
	both("count(*)::VARCHAR", "count(*)::text")
	s.exec("INSERT INTO public.every (id, u) VALUES (40002, gen_random_uuid())", "INSERT INTO public.every (id, u) VALUES (39999, gen_random_uuid())")
	run(t, s.mirror(target, false, c))
	both("count(*)::VARCHAR", "count(*)::text")
	if rep := run(t, s.mirror(target, false, c)); rep.Unchanged != rep.Rows || strings.Contains(rep.Text(), "inserted") {
		t.Errorf("%s", rep.Text())
	}
}
