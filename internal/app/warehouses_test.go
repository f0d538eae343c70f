package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firth/internal/api"
	"firth/internal/collect"
	"firth/internal/config"
	"firth/internal/disk"
	"firth/internal/journal"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/state"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// seeded makes a data folder whose lake has n calls of the source production, and the configuration of it with the warehouses given.
func seeded(t *testing.T, n int, warehouses string) (*config.Config, folders) {
	t.Helper()
	root := t.TempDir()
	cfg, err := config.Parse("firth.yaml", []byte("data: "+root+"\nsources: { production: { write_key: key } }\nwarehouses:\n"+warehouses))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "firth.yaml")
	if err := os.WriteFile(path, cfg.Text, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Path = path
	dir := folders{root}
	sow(t, cfg, dir, n)
	if err := settleJournal(t.Context(), cfg, dir, slog.New(slog.DiscardHandler), func(progress) {}); err != nil {
		t.Fatal(err)
	}
	return cfg, dir
}

// sow brings calls into the journal, as the collecting half does.
func sow(t *testing.T, cfg *config.Config, dir folders, n int) {
	t.Helper()
	j, err := journal.Open(disk.OS{}, dir.journal(), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	door, err := collect.New(j, collectOptions(cfg, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		body := fmt.Sprintf(`{"userId":"u%d","event":"Order Completed","messageId":"%s-%d","properties":{"total":%d}}`, i%7, t.Name(), i, i)
		r := httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(body))
		r.SetBasicAuth("key", "")
		w := httptest.NewRecorder()
		if door.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	stop()
	if err := errors.Join(<-done, j.Close()); err != nil {
		t.Fatal(err)
	}
}

// stand stands for a server: its tables lie in a DuckDB file; while down is set it refuses.
type stand struct {
	path string
	down atomic.Bool
}

func (s *stand) open(ctx context.Context, _ *remote) (load.Warehouse, error) {
	if s.down.Load() {
		return nil, &warehouse.Error{Op: "connect to", Object: "db.example.com", Kind: warehouse.Down, Hint: "start it", Err: errors.New("connection refused")}
	}
	return duckdb.Open(ctx, s.path, duckdb.Options{Memory: 256 << 20})
}

func (s *stand) kinds() map[string]serverKind {
	return map[string]serverKind{config.Postgres: {rules: name.Postgres, open: s.open}}
}

// count is the number of rows of a table in the file of a stand.
func (s *stand) count(t *testing.T, table string) int {
	t.Helper()
	db, err := duckdb.Open(t.Context(), s.path, duckdb.Options{Memory: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	err = db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}

// serving runs the answering half on a folder until the test ends or stop is called.
func serving(t *testing.T, cfg *config.Config, dir folders, kinds map[string]serverKind) (w *worker, stop func()) {
	t.Helper()
	lock, err := lockFolder(dir.root)
	if err != nil {
		t.Fatal(err)
	}
	w = newWorker(cfg, dir, slog.New(slog.DiscardHandler), kinds, newMirrorKinds())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.serve(ctx) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the answering half: %v", err)
		}
		lock.release()
	}
	t.Cleanup(stop)
	within(t, "the socket", func() bool { _, err := os.Stat(dir.socket()); return err == nil })
	return w, stop
}

// exchanged is what the answering half says of itself.
func exchanged(t *testing.T, dir folders) answerState {
	t.Helper()
	c := newChildState(dir.socket(), func() int64 { return 0 }, func() upstream { return upstream{} }, slog.New(slog.DiscardHandler))
	return c.ask(t.Context())
}

func componentNamed(list []state.Component, name string) state.Component {
	for _, c := range list {
		if c.Name == name {
			return c
		}
	}
	return state.Component{}
}

// listed asks the answering half for a list.
func listed[T any](t *testing.T, dir folders, name string) []T {
	t.Helper()
	transport := socketTransport(dir.socket())
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://firth/api/"+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	reply := map[string][]T{}
	if r.StatusCode != http.StatusOK {
		return nil
	}
	if err := json.NewDecoder(r.Body).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	name, _, _ = strings.Cut(name, "?")
	return reply[name]
}

const onePostgres = "  pg: { type: postgres, url: 'postgres://firth:topsecret@db.example.com/analytics', every: 1s }\n"

func TestServersAreLoadedBesideTheEmbeddedWarehouse(t *testing.T) {
	t.Parallel()
	cfg, dir := seeded(t, 20, onePostgres)
	s := &stand{path: filepath.Join(t.TempDir(), "pg.duckdb")}
	_, end := serving(t, cfg, dir, s.kinds())
	within(t, "both warehouses to be loaded", func() bool {
		loaded := map[string]int64{}
		out := exchanged(t, dir)
		for _, f := range out.Load {
			loaded[f.Warehouse] = f.PendingRows
		}
		pg, hasPG := loaded["pg"]
		local, hasLocal := loaded["local"]
		return hasPG && hasLocal && pg == 0 && local == 0 && componentNamed(out.Components, "warehouse pg").State == state.OK
	})
	type row struct {
		Source, Warehouse string
		PendingRows       int64 `json:"pending_rows"`
	}
	within(t, "both to be in firth.freshness", func() bool {
		return slices.Equal(listed[row](t, dir, "freshness"), []row{{"production", "local", 0}, {"production", "pg", 0}})
	})
	within(t, "the listing", func() bool {
		list := listed[api.Warehouse](t, dir, "warehouses")
		return len(list) == 2 && list[0].Name == "local" && list[0].Schedule == "continuous" && list[1].Name == "pg" && list[1].Type == "postgres" &&
			list[1].Schedule == "every 1s" && list[1].NextRun != nil && len(list[1].Freshness) == 1 && list[1].Freshness[0].LoadedThrough != nil
	})
	end()
	if n := s.count(t, "production.order_completed"); n != 20 {
		t.Errorf("%d rows in the server, want 20", n)
	}
	// The run that was under way at the stop is in the history of the embedded warehouse.
	var out bytes.Buffer
	err := Query(t.Context(), QueryOptions{Config: cfg.Path, Format: "csv", Stdout: &out, Stderr: &out, SQL: "SELECT kind, name, state, rows > 0 AS some FROM firth.runs WHERE name = 'pg'"})
	if err != nil || out.String() != "kind,name,state,some\nload,pg,success,true\n" {
		t.Errorf("the history: %v\n%s", err, &out)
	}
	// The next process knows of it.
	w, stop := serving(t, cfg, dir, map[string]serverKind{})
	within(t, "the last run of the first process", func() bool {
		r, ok := w.history.lastRun("pg")
		return ok && r.State == warehouse.RunSuccess && !r.FinishedAt.IsZero()
	})
	stop()
	if _, err := os.Stat(dir.warehouseTemp("pg")); err != nil {
		t.Errorf("its folder for what is on its way: %v", err)
	}
}

func TestServerThatIsDownHarmsNobodyAndIsCaughtUp(t *testing.T) {
	t.Parallel()
	cfg, dir := seeded(t, 10, onePostgres+"  other: { type: postgres, url: 'postgres://h/d', every: 1s }\n")
	good, bad := &stand{path: filepath.Join(t.TempDir(), "good.duckdb")}, &stand{path: filepath.Join(t.TempDir(), "bad.duckdb")}
	bad.down.Store(true)
	kinds := map[string]serverKind{config.Postgres: {rules: name.Postgres, open: func(ctx context.Context, r *remote) (load.Warehouse, error) {
		if r.name == "pg" {
			return bad.open(ctx, r)
		}
		return good.open(ctx, r)
	}}}
	w, stop := serving(t, cfg, dir, kinds)
	p := &parent{poll: newChildState(dir.socket(), func() int64 { return 0 }, func() upstream { return upstream{} }, slog.New(slog.DiscardHandler))}
	within(t, "the good ones to be loaded and the bad one to be told", func() bool {
		out := exchanged(t, dir)
		c := componentNamed(out.Components, "warehouse pg")
		return c.State == state.Failed && strings.Contains(c.Error, "connection refused") && c.Hint != "" && !strings.Contains(c.Error+c.Hint, "topsecret") &&
			componentNamed(out.Components, "warehouse other").State == state.OK && componentNamed(out.Components, "load local").State == state.OK
	})
	within(t, "the failure in the history", func() bool {
		type run struct{ Name, State, Hint string }
		return slices.ContainsFunc(listed[run](t, dir, "runs?name=pg"), func(r run) bool { return r.State == "failure" && r.Hint == "start it" })
	})
	within(t, "the figures of both", func() bool {
		out := exchanged(t, dir)
		return slices.ContainsFunc(out.Load, func(f loadFigures) bool { return f.Warehouse == "other" })
	})
	out := exchanged(t, dir)
	p.poll.replace(out.Components, out)
	scrape := httptest.NewRecorder()
	figures := append(p.warehouseMetrics(), p.loadGauge("firth_load_pending_rows", "", false, func(f loadFigures) float64 { return float64(f.PendingRows) }))
	metricsHandler(figures).ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		`firth_warehouse_rows_total{warehouse="other"} 10`, `firth_warehouse_rows_total{warehouse="pg"} 0`,
		`firth_warehouse_failing{warehouse="pg"} 1`, `firth_warehouse_failing{warehouse="other"} 0`, `firth_warehouse_last_run_state{state="failure",warehouse="pg"} 1`,
		`firth_warehouse_next_run_timestamp_seconds{warehouse="pg"}`, `firth_warehouse_last_run_timestamp_seconds{warehouse="pg"}`, `firth_load_pending_rows{source="production",warehouse="other"} 0`,
	} {
		if !strings.Contains(scrape.Body.String(), line) {
			t.Errorf("the figures lack %s", line)
		}
	}
	bad.down.Store(false)
	within(t, "the bad one to be caught up", func() bool {
		f := w.fleet.find("pg").runner.Freshness()
		return len(f) == 1 && f[0].PendingRows == 0 && componentNamed(exchanged(t, dir).Components, "warehouse pg").State == state.OK
	})
	stop()
	for _, s := range []*stand{good, bad} {
		if n := s.count(t, "production.order_completed"); n != 10 {
			t.Errorf("%s has %d rows, want 10", s.path, n)
		}
	}
}

// TestEmbeddedWarehouseThatCannotBeOpened finds the warehouses that are servers at work all the same.
func TestEmbeddedWarehouseThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	cfg, dir := seeded(t, 5, onePostgres)
	if err := os.WriteFile(dir.warehouse(), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &stand{path: filepath.Join(t.TempDir(), "pg.duckdb")}
	_, stop := serving(t, cfg, dir, s.kinds())
	within(t, "the server to be loaded", func() bool {
		list := listed[api.Warehouse](t, dir, "warehouses")
		return len(list) == 2 && list[0].State == state.Failed && list[0].Error != "" && list[1].State == state.OK &&
			len(list[1].Freshness) == 1 && list[1].Freshness[0].PendingRows == 0
	})
	stop()
	if n := s.count(t, "production.order_completed"); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}

// breaking is a runner that breaks off, or ends for no reason.
type breaking struct {
	unable
	how func()
}

func (b *breaking) Run(context.Context) error { b.how(); return nil }

func TestRunnerThatBreaksOffTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]string{"breaks": "loading broke off: no such thing", "ends": "loading ended by itself"} {
		m := &member{remote: &remote{name: "pg", log: slog.New(slog.DiscardHandler)}, runner: &breaking{unable{err: errors.New("unused")}, func() {
			if how == "breaks" {
				panic("no such thing")
			}
		}}}
		m.run(t.Context())
		if c := m.component(); c.Name != "warehouse pg" || c.State != state.Failed || c.Error != want || c.Hint == "" {
			t.Errorf("%s: %+v", how, c)
		}
	}
}

func TestLoadByHand(t *testing.T) {
	t.Parallel()
	cfg, dir := seeded(t, 12, "  pg: { type: postgres, url: 'postgres://firth:topsecret@db.example.com/analytics' }\n")
	s := &stand{path: filepath.Join(t.TempDir(), "pg.duckdb")}
	loads := func(o LoadOptions) (report loadReport, said string, err error) {
		t.Helper()
		var out, shown bytes.Buffer
		o.Config, o.Output, o.Stdout, o.Stderr, o.kinds = cfg.Path, "json", &out, &shown, s.kinds()
		err = Load(t.Context(), o)
		if out.Len() > 0 {
			if jerr := json.Unmarshal(out.Bytes(), &report); jerr != nil {
				t.Fatalf("%v: %s", jerr, &out)
			}
		}
		return report, shown.String(), err
	}
	// Without a server the command does it.
	r, said, err := loads(LoadOptions{Warehouse: "pg"})
	if err != nil || r.State != warehouse.RunSuccess || r.Tables["production.order_completed"] != 12 {
		t.Fatalf("%+v, %v", r, err)
	}
	if !strings.Contains(said, "connect to pg") || !strings.Contains(said, "load production") {
		t.Errorf("progress: %s", said)
	}
	if r, _, err := loads(LoadOptions{Warehouse: "pg"}); err != nil || r.Rows != 0 {
		t.Errorf("again: %+v, %v", r, err)
	}
	if r, _, err := loads(LoadOptions{Warehouse: "local"}); err != nil || r.Tables["production.order_completed"] != 12 {
		t.Errorf("the embedded one: %+v, %v", r, err)
	}
	if _, _, err := loads(LoadOptions{Warehouse: "pq"}); !IsUsage(err) || !strings.Contains(hintOf(err), "local, pg") {
		t.Errorf("an unknown one: %v, %s", err, hintOf(err))
	}
	// What a server that was killed left in the journal comes along.
	sow(t, cfg, dir, 15)
	if r, _, err := loads(LoadOptions{Warehouse: "pg"}); err != nil || r.Tables["production.order_completed"] != 3 {
		t.Errorf("after a kill: %+v, %v", r, err)
	}
	s.down.Store(true)
	if _, _, err := loads(LoadOptions{Warehouse: "pg"}); err == nil || IsUsage(err) || hintOf(err) == "" {
		t.Errorf("while it is down: %v", err)
	}
	s.down.Store(false)

	// With a server it is told to.
	_, stop := serving(t, cfg, dir, s.kinds())
	if r, said, err := loads(LoadOptions{Warehouse: "pg", From: "1h"}); err != nil || r.State != warehouse.RunSuccess || !strings.Contains(said, "replay production") {
		t.Errorf("a replay: %+v, %v, %s", r, err, said)
	}
	if r, said, err := loads(LoadOptions{Warehouse: "pg", Rebuild: true, Tables: []string{"order_completed"}}); err != nil || r.Tables["production.order_completed"] != 15 || !strings.Contains(said, "rebuild production") {
		t.Errorf("a rebuild: %+v, %v, %s", r, err, said)
	}
	if r, _, err := loads(LoadOptions{Warehouse: "local"}); err != nil || r.State != warehouse.RunSuccess {
		t.Errorf("the embedded one: %+v, %v", r, err)
	}
	if _, _, err := loads(LoadOptions{Warehouse: "pq"}); !IsUsage(err) || !strings.Contains(hintOf(err), "local, pg") {
		t.Errorf("an unknown one: %v, %s", err, hintOf(err))
	}
	if _, _, err := loads(LoadOptions{Warehouse: "pg", Source: "staging"}); err == nil || hintOf(err) == "" {
		t.Errorf("an unknown source: %v, %q", err, hintOf(err))
	}
	s.down.Store(true)
	r, _, err = loads(LoadOptions{Warehouse: "pg"})
	if err == nil || !strings.Contains(err.Error(), "connection refused") || hintOf(err) == "" || r.State != warehouse.RunFailure {
		t.Errorf("while it is down: %+v, %v, %q", r, err, hintOf(err))
	}
	stop()
	if n := s.count(t, "production.order_completed"); n != 15 {
		t.Errorf("%d rows, want 15", n)
	}
}

func TestSchedulesInWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		w    config.Warehouse
		want string
	}{
		{config.Warehouse{}, "on demand"},
		{config.Warehouse{Cron: "0 * * * *"}, "cron 0 * * * *"},
		{config.Warehouse{Every: config.Duration(time.Hour)}, "every 1h"},
		{config.Warehouse{Every: config.Duration(90 * time.Minute)}, "every 90m"},
		{config.Warehouse{Every: config.Duration(48 * time.Hour)}, "every 2d"},
		{config.Warehouse{Every: config.Duration(1500 * time.Millisecond)}, "every 1.5s"},
	} {
		if got := scheduleText(&c.w); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if _, err := scheduleOf(&c.w); err != nil {
			t.Error(err)
		}
	}
}

func TestRudderStackNames(t *testing.T) {
	t.Parallel()
	r := &remote{name: "pg", Warehouse: config.Warehouse{Type: config.Postgres, Naming: "rudderstack"}}
	if rules := r.rules(serverKind{rules: name.Postgres}); rules.Mode != name.RudderStack {
		t.Error("the naming is Segment's")
	}
}
