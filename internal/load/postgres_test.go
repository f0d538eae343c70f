package load_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/schedule"
	"firth/internal/state"
	"firth/internal/warehouse/postgres"
	"firth/test/server"
)

// intoPostgres is a runner for a database.
func intoPostgres(t *testing.T, l load.Lake, url string, s schedule.Schedule) *load.Runner {
	rules := name.Postgres()
	return load.NewRunner(load.RunnerOptions{
		Loader: load.Options{
			Name: "pg", Lake: l, Rules: rules, Standard: event.Standard(rules), Rows: 100, TempDir: t.TempDir(),
			NewShaper: load.Segment(rules, event.ShapeOptions{}), NewSurvey: load.Survey(rules, event.ShapeOptions{}),
		},
		Open: func(ctx context.Context) (load.Warehouse, error) {
			return postgres.Open(ctx, url, postgres.Options{Name: "pg"})
		},
		Schedule: s,
	})
}

// pgContents are all rows of a schema but for the times of the load.
func pgContents(t *testing.T, c *pgx.Conn, schema string) (out []string) {
	t.Helper()
	ask := func(question string) []string {
		rows, err := c.Query(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", question, err)
		}
		return list
	}
	for _, tableName := range ask("SELECT table_name::text FROM information_schema.tables WHERE table_schema = '" + schema + "' ORDER BY 1") {
		out = append(out, ask(fmt.Sprintf(`SELECT '%[2]s ' || column_name || ' ' || data_type FROM information_schema.columns
			WHERE table_schema = '%[1]s' AND table_name = '%[2]s' ORDER BY column_name`, schema, tableName))...)
		out = append(out, ask(fmt.Sprintf(`SELECT '%[2]s ' || (to_jsonb(t) - 'uuid_ts' - 'loaded_at')::text FROM "%[1]s"."%[2]s" t ORDER BY 1`, schema, tableName))...)
	}
	return out
}

// TestAnyInterleavingIntoPostgres cuts the connection at random places while a real server is loaded, replayed and rebuilt.
func TestAnyInterleavingIntoPostgres(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	proxy := server.Fault(t, pg.Addr())
	rng := rand.New(rand.NewPCG(7, 7))
	l := newFakeLake()
	url, database := pg.Loader()
	r := intoPostgres(t, l, server.Via(url, proxy.Addr), nil)
	check := pg.Connect(database)
	var at uint64
	for i := range 12 {
		var o load.Order
		switch i % 4 {
		case 0, 2:
			n := 1 + rng.IntN(300)
			l.commit("a", journal, at+uint64(n), mixed(rng, at, n)...)
			at += uint64(n)
		case 1:
			o.Rebuild = true
		case 3:
			if _, err := check.Exec(t.Context(), "DELETE FROM a.clicked WHERE hashtext(id) % 3 = 0"); err != nil {
				t.Fatal(err)
			}
			o.From = time.Unix(1, 0)
		}
		proxy.CutAfter(rng.Int64N(60_000))
		if _, err := r.Do(t.Context(), o, nil); err != nil {
			t.Logf("order %d: %v", i, err) // what it left must not matter
		}
		proxy.CutAfter(-1)
	}
	cuts := proxy.Cuts()
	for _, o := range []load.Order{{}, {From: time.Unix(1, 0)}, {Rebuild: true}} {
		do(t, r, o)
	}
	plainURL, plainDatabase := pg.Loader()
	do(t, intoPostgres(t, l, plainURL, nil), load.Order{})
	if diff := cmp.Diff(pgContents(t, pg.Connect(plainDatabase), "a"), pgContents(t, check, "a")); diff != "" {
		t.Errorf("after %d cuts the tables differ from those of one load (-want +got):\n%s", cuts, diff)
	}
	if cuts < 4 {
		t.Errorf("the connection was cut %d times", cuts)
	}
	var left int
	if err := check.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE '\_firth\_rebuild%')
		+ (SELECT count(*) FROM _firth.positions WHERE source LIKE '%#%')`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d things are left behind; %v", left, err)
	}
}

// TestAPostgresThatStallsHoldsNothingUp: its connections stand still, while another is loaded, and the stop is prompt.
func TestAPostgresThatStallsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	proxy := server.Fault(t, pg.Addr())
	l := newFakeLake()
	l.commit("a", journal, 10, calls(0, 10, 1)...)
	url, database := pg.Loader()
	otherURL, otherDatabase := pg.Loader()
	every := schedule.Every(50 * time.Millisecond)
	stalled, fine := intoPostgres(t, l, server.Via(url, proxy.Addr), every), intoPostgres(t, l, otherURL, every)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 2)
	for _, r := range []*load.Runner{stalled, fine} {
		go func() { ended <- r.Run(ctx) }()
	}
	count := func(c *pgx.Conn) (n int) {
		_ = c.QueryRow(t.Context(), "SELECT count(*) FROM a.tracks").Scan(&n) // the table may not be there yet
		return n
	}
	until := func(what string, met func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !met(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: not in time; %+v, %+v", what, stalled.State(), fine.State())
			}
		}
	}
	mine, others := pg.Connect(database), pg.Connect(otherDatabase)
	until("the first rows", func() bool { return count(mine) == 10 && count(others) == 10 })
	proxy.Stall(true)
	l.commit("a", journal, 30, calls(10, 20, 1)...)
	until("the other's rows", func() bool { return count(others) == 30 })
	if n := count(mine); n != 10 {
		t.Errorf("%d rows through a connection that stands still", n)
	}
	proxy.Stall(false)
	until("the rows that waited", func() bool { return count(mine) == 30 })
	until("a quiet state", func() bool { return stalled.State().State == state.OK })
	proxy.Stall(true)
	l.commit("a", journal, 40, calls(30, 10, 1)...)
	until("the other's last rows", func() bool { return count(others) == 40 })
	began := time.Now()
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > 45*time.Second {
		t.Errorf("the stop took %s", took)
	}
	proxy.Stall(false)
	if text := strings.TrimSpace(pg.Log()); strings.Contains(text, "PANIC") {
		t.Error(text)
	}
}

// TestAPostgresRestartedBetweenRuns finds the kept connection dead, and a table dropped: no run fails, and the table can be had again.
func TestAPostgresRestartedBetweenRuns(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	proxy := server.Fault(t, pg.Addr())
	l, v := newFakeLake(), &states{}
	l.commit("a", journal, 10, calls(0, 10, 1)...)
	url, database := pg.Loader()
	rules := name.Postgres()
	r := load.NewRunner(load.RunnerOptions{
		Loader: load.Options{
			Name: "pg", Lake: l, Rules: rules, Rows: 100, History: v,
			NewShaper: load.Segment(rules, event.ShapeOptions{}), NewSurvey: load.Survey(rules, event.ShapeOptions{}),
		},
		Open: func(ctx context.Context) (load.Warehouse, error) {
			return postgres.Open(ctx, server.Via(url, proxy.Addr), postgres.Options{Name: "pg"})
		},
		Schedule: schedule.Every(200 * time.Millisecond),
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	check := pg.Connect(database)
	rows := func(table string, want int) {
		t.Helper()
		n := -1
		for end := time.Now().Add(20 * time.Second); n != want; time.Sleep(20 * time.Millisecond) {
			_ = check.QueryRow(t.Context(), "SELECT count(*) FROM a."+table).Scan(&n) // the table may not be there
			if time.Now().After(end) {
				t.Fatalf("%d rows of %s, want %d; %+v", n, table, want, r.State())
			}
		}
	}
	rows("clicked", 10)
	for i := range 5 {
		for r.Stats().Loads <= int64(i) { // rows are seen before the loader is told that they are in
			time.Sleep(time.Millisecond)
		}
		proxy.Cut()
		l.commit("a", journal, uint64(20+10*i), calls(uint64(10+10*i), 10, 1)...)
		rows("clicked", 20+10*i)
	}
	for _, o := range []load.Order{{Rebuild: true, Tables: []string{"clicked"}}, {From: time.Unix(1, 0), Tables: []string{"a.clicked"}}} {
		if _, err := check.Exec(t.Context(), "DROP TABLE a.clicked"); err != nil {
			t.Fatal(err)
		}
		proxy.Cut()
		do(t, r, o)
		rows("clicked", 60)
	}
	rows("tracks", 60)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(strings.Join(v.seen, " "), "failure") || strings.Contains(strings.Join(v.seen, " "), "partial") {
		t.Errorf("runs were %v: %q", v.seen, v.history())
	}
}
