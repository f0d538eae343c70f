package mirror_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"firth/internal/mirror"
	"firth/internal/source"
	source_postgres "firth/internal/source/postgres"
	"firth/internal/source/redis"
	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/test/server"
)

// usage is a mirror of keys of Redis beside a warehouse.
type usage struct {
	t      *testing.T
	keys   *server.KeyStore
	client *goredis.Client
	url    string
	db     *duckdb.DB
	at     time.Time
}

func newUsage(t *testing.T) *usage {
	keys := server.OwnRedis(t)
	dir := t.TempDir()
	db, err := duckdb.Open(t.Context(), filepath.Join(dir, "w.duckdb"), duckdb.Options{LakeDir: dir, TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &usage{t: t, keys: keys, client: keys.Client(0), url: keys.URL(0), db: db, at: time.Unix(1_800_000_000, 0)}
}

func (u *usage) fill(n int, value func(i int) []any) {
	u.t.Helper()
	p := u.client.Pipeline()
	for i := range n {
		p.HSet(u.t.Context(), fmt.Sprintf("project:%d:usage", i), value(i)...)
	}
	if _, err := p.Exec(u.t.Context()); err != nil {
		u.t.Fatal(err)
	}
}

func (u *usage) mirror(list, get source.Spec, c mirror.Config) *mirror.Mirror {
	c.Name, c.Table = "project_usage", warehouse.MirrorTable{Name: "project_usage", Schema: "app", Table: "project_usage"}
	open := func(spec source.Spec) func(context.Context) (mirror.Source, error) {
		return func(ctx context.Context) (mirror.Source, error) {
			return redis.Open(ctx, u.url, spec, source.Options{Name: "usage"})
		}
	}
	u.at = u.at.Add(time.Minute)
	at := u.at
	return mirror.New(mirror.Options{
		Config: c, Target: mirror.Adapt(u.db.Mirrors()), List: open(list), Get: open(get), Now: func() time.Time { return at },
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
}

func (u *usage) run(m *mirror.Mirror, state string) *mirror.Report {
	u.t.Helper()
	rep, err := m.Sync(u.t.Context(), mirror.RunOptions{}, nil)
	if rep.State != state {
		u.t.Fatalf("%v\n%s", err, rep.Text())
	}
	return rep
}

// lines are the rows of a query as texts.
func (u *usage) lines(query string) []string {
	u.t.Helper()
	rows, err := u.db.SQL().QueryContext(u.t.Context(), query)
	if err != nil {
		u.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		u.t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			u.t.Fatal(err)
		}
		var parts []string
		for _, v := range values {
			parts = append(parts, fmt.Sprint(v))
		}
		out = append(out, strings.Join(parts, " "))
	}
	if err := rows.Err(); err != nil {
		u.t.Fatal(err)
	}
	return out
}

func (u *usage) want(query string, want ...string) {
	u.t.Helper()
	if got := u.lines(query); !slices.Equal(got, want) {
		u.t.Errorf("%s:\n%s\nwanted\n%s", query, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRedisListAndGet(t *testing.T) {
	u := newUsage(t)
	const n = 30_000
	u.fill(n, func(i int) []any { return []any{"calls_this_month", i, "calls_last_month", i * 2, "plan", "free"} })
	list, get := source.Spec{Keys: "project:{id}:usage"}, source.Spec{Hash: "project:{id}:usage"}
	integer := vector.Type{Kind: vector.Int, Bits: 64}
	c := mirror.Config{Missing: mirror.MissingNull, Columns: []mirror.ColumnRule{{Path: "calls_this_month", Type: &integer}, {Path: "unheard", Type: &integer}}}
	began := time.Now()
	rep := u.run(u.mirror(list, get, c), warehouse.RunSuccess)
	t.Logf("%d ids in %s", rep.Rows/2, time.Since(began))
	u.want("SELECT count(*), sum(calls_this_month), sum(calls_last_month), count(DISTINCT _firth_synced_at), count(unheard) FROM app.project_usage", "30000 449985000 899970000 1 0")
	u.want("SELECT column_name || ' ' || data_type FROM duckdb_columns() WHERE schema_name = 'app' AND table_name = 'project_usage' ORDER BY column_index",
		"id BIGINT", "calls_this_month BIGINT", "calls_last_month BIGINT", "plan VARCHAR", "unheard BIGINT", "_firth_synced_at TIMESTAMP WITH TIME ZONE")

	// One key changes its value, one its type, one goes between list and get, one has a value that does not fit, one has a new field.
	ctx := t.Context()
	if _, err := u.mirror(list, get, c).List(ctx, mirror.RunOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	p := u.client.Pipeline()
	p.HSet(ctx, "project:1:usage", "calls_this_month", 100_000)
	p.Del(ctx, "project:2:usage", "project:3:usage")
	p.Set(ctx, "project:2:usage", "x", 0)
	p.HSet(ctx, "project:4:usage", "calls_this_month", "9223372036854775808")
	p.HSet(ctx, "project:5:usage", "unheard", 7, "late", "1.5")
	if _, err := p.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	m := u.mirror(list, get, c)
	rep, err := m.Get(ctx, mirror.RunOptions{}, nil)
	if err != nil || rep.State != warehouse.RunPartial || len(rep.Failed) != 1 || rep.Failed[0].ID != "2" || !strings.Contains(rep.Failed[0].Error, "is a string") {
		t.Fatalf("%v\n%s", err, rep.Text())
	}
	if rep.Unchanged != n-5 {
		t.Errorf("%s", rep.Text())
	}
	u.want("SELECT id, calls_this_month, calls_last_month, unheard, late FROM app.project_usage WHERE id < 6 ORDER BY id",
		"0 0 0 <nil> <nil>", "1 100000 2 <nil> <nil>", "2 2 4 <nil> <nil>", "3 <nil> <nil> <nil> <nil>", "4 <nil> 8 <nil> <nil>", "5 5 10 7 1.5")
	u.want("SELECT count(*) FROM app.project_usage WHERE _firth_synced_at = (SELECT max(_firth_synced_at) FROM app.project_usage)", "4")
	u.want("SELECT key, column_name, value FROM app.project_usage__rejects", "4 calls_this_month 9223372036854775808")

	// The list loses an id; then far too many.
	u.client.Del(ctx, "project:6:usage", "project:2:usage")
	u.run(u.mirror(list, get, c), warehouse.RunSuccess)
	u.want("SELECT count(*), count(*) FILTER (id IN (2, 3, 6)) FROM app.project_usage", "29997 0")
	u.client.FlushDB(ctx)
	rep = u.run(u.mirror(list, get, c), warehouse.RunFailure)
	if !strings.Contains(rep.Hint, "max_delete") {
		t.Errorf("%s", rep.Text())
	}
	u.want("SELECT count(*) FROM app.project_usage", "29997")
}

func TestRedisGroupsOfRows(t *testing.T) {
	u := newUsage(t)
	ctx := t.Context()
	u.client.SAdd(ctx, "all", "a", "b", "c", 7)
	u.client.ZAdd(ctx, "rank:a", goredis.Z{Member: "x", Score: 1.5}, goredis.Z{Member: "y", Score: 2})
	u.client.ZAdd(ctx, "rank:7", goredis.Z{Member: "x", Score: 3})
	list, get := source.Spec{Set: "all"}, source.Spec{ZSet: "rank:{id}"}
	u.run(u.mirror(source.Spec{Set: "none"}, get, mirror.Config{}), warehouse.RunSuccess)
	u.want("SELECT count(id) FROM app.project_usage", "0")
	u.run(u.mirror(list, get, mirror.Config{}), warehouse.RunSuccess)
	u.want("SELECT id, member, score, rank FROM app.project_usage ORDER BY id, rank", "7 x 3 0", "a x 1.5 0", "a y 2 1")
	u.client.ZRem(ctx, "rank:a", "x")
	u.client.ZAdd(ctx, "rank:b", goredis.Z{Member: "z", Score: 1})
	u.run(u.mirror(list, get, mirror.Config{}), warehouse.RunSuccess)
	u.want("SELECT id, member, score, rank FROM app.project_usage ORDER BY id, rank", "7 x 3 0", "a y 2 0", "b z 1 0")
	m := u.mirror(list, get, mirror.Config{})
	u.client.ZAdd(ctx, "rank:c", goredis.Z{Member: "w", Score: 1})
	u.client.Del(ctx, "rank:7")
	if rep, err := m.Sync(ctx, mirror.RunOptions{IDs: []string{"c"}}, nil); err != nil || rep.Inserted != 1 {
		t.Errorf("%v\n%s", err, rep.Text())
	}
	u.want("SELECT DISTINCT id FROM app.project_usage ORDER BY id", "7", "a", "b", "c")
}

func TestRedisThatIsDownAndPostgresIDs(t *testing.T) {
	u := newUsage(t)
	s := newStand(t, 0)
	s.exec("CREATE TABLE public.projects (id text PRIMARY KEY, gone boolean)", "INSERT INTO public.projects SELECT i::text, false FROM generate_series(0, 2999) AS i")
	u.fill(3000, func(i int) []any { return []any{"n", i} })
	list := func(ctx context.Context) (mirror.Source, error) {
		return source_postgres.Open(ctx, s.url, source.Spec{Table: "public.projects", Where: "NOT gone", ID: "id", Columns: []string{"id"}}, source.Options{Name: "users"})
	}
	proxy := server.Fault(t, u.keys.Addr())
	get := func(ctx context.Context) (mirror.Source, error) {
		return redis.Open(ctx, server.Via(u.url, proxy.Addr)+"?read_timeout=500ms", source.Spec{Hash: "project:{id}:usage"}, source.Options{Name: "usage"})
	}
	m := mirror.New(mirror.Options{
		Config: mirror.Config{Name: "p", Table: warehouse.MirrorTable{Name: "p", Schema: "app", Table: "p"}, ListID: "id", Concurrency: 2},
		Target: mirror.Adapt(u.db.Mirrors()), List: list, Get: get,
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	u.run(m, warehouse.RunSuccess)
	u.want("SELECT count(*), sum(n), min(id) FROM app.p", "3000 4498500 0")
	u.fill(3000, func(i int) []any { return []any{"n", 1} })
	s.exec("UPDATE public.projects SET gone = true WHERE id = '17'")
	proxy.CutAfter(30_000)
	rep, err := m.Sync(t.Context(), mirror.RunOptions{}, nil)
	if err != nil || rep.State != warehouse.RunSuccess || proxy.Cuts() == 0 {
		t.Errorf("a connection that is cut once: %v, %d cuts\n%s", err, proxy.Cuts(), rep.Text())
	}
	u.want("SELECT count(*), sum(n) FROM app.p", "2999 2999")
	proxy.Refuse(true)
	rep, err = m.Sync(t.Context(), mirror.RunOptions{}, nil)
	if err == nil || rep.State != warehouse.RunFailure || rep.Hint == "" {
		t.Errorf("a server that is down: %v\n%s", err, rep.Text())
	}
	u.want("SELECT count(*), sum(n) FROM app.p", "2999 2999")
}
