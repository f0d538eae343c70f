package app

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"firth/internal/api"
	"firth/internal/config"
	"firth/internal/state"
)

// asked is the answer to a question as CSV, or what is said in its place.
func asked(t *testing.T, cfg *config.Config, question string) string {
	t.Helper()
	var out bytes.Buffer
	if err := Query(t.Context(), QueryOptions{Config: cfg.Path, Format: "csv", Stdout: &out, Stderr: &out, SQL: question}); err != nil {
		return err.Error()
	}
	return out.String()
}

// TestEmbeddedWarehouseSwitchedOff answers SQL over the lake; tables go into the server alone.
func TestEmbeddedWarehouseSwitchedOff(t *testing.T) {
	t.Parallel()
	cfg, dir := seeded(t, 20, onePostgres+"  local: false\n")
	s := &stand{path: filepath.Join(t.TempDir(), "pg.duckdb")}
	_, stop := serving(t, cfg, dir, s.kinds())
	within(t, "the server to be loaded", func() bool {
		list := listed[api.Warehouse](t, dir, "warehouses")
		return len(list) == 2 && list[0].Name == "local" && list[0].State == state.OK && list[0].Schedule == "off" && len(list[0].Freshness) == 0 &&
			strings.Contains(list[0].Hint, "switched off") && len(list[1].Freshness) == 1 && list[1].Freshness[0].PendingRows == 0
	})
	within(t, "the freshness", func() bool {
		return asked(t, cfg, "SELECT warehouse, pending_rows FROM firth.freshness") == "warehouse,pending_rows\npg,0\n"
	})
	out := exchanged(t, dir)
	if c := componentNamed(out.Components, "load local"); c.State != state.OK || c.Error != "" || !strings.Contains(c.Hint, "switched off") {
		t.Errorf("%+v", c)
	}
	p := &parent{poll: newChildState(dir.socket(), func() int64 { return 0 }, func() upstream { return upstream{} }, slog.New(slog.DiscardHandler))}
	p.poll.replace(out.Components, out)
	scrape := httptest.NewRecorder()
	metricsHandler(p.lagMetrics()[3:]).ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if text := scrape.Body.String(); strings.Contains(text, `warehouse="local"`) || !strings.Contains(text, `firth_load_pending_rows{source="production",warehouse="pg"} 0`) {
		t.Errorf("figures:\n%s", text)
	}
	load := func(name string) error {
		var out bytes.Buffer
		return Load(t.Context(), LoadOptions{Warehouse: name, Config: cfg.Path, Output: "text", Stdout: &out, Stderr: &out, kinds: s.kinds()})
	}
	if err := load("local"); !IsUsage(err) || !strings.Contains(err.Error(), "warehouses.local is false") || !strings.Contains(hintOf(err), "or load pg") {
		t.Errorf("%v: %s", err, hintOf(err))
	}
	stop()
	if err := load("local"); !IsUsage(err) || !strings.Contains(err.Error(), "warehouses.local is false") || !strings.Contains(hintOf(err), "or load pg") {
		t.Errorf("without a server: %v: %s", err, hintOf(err))
	}
	if err := load("lokal"); !IsUsage(err) || !strings.HasSuffix(hintOf(err), "the configuration has pg") {
		t.Errorf("%v: %s", err, hintOf(err))
	}
	if err := load("pg"); err != nil {
		t.Error(err)
	}
	if n := s.count(t, "production.order_completed"); n != 20 {
		t.Errorf("%d rows in the server, want 20", n)
	}
	for question, want := range map[string]string{
		"SELECT count(*) AS n FROM lake.production":                                             "n\n20\n",
		"SELECT count(*) AS n FROM information_schema.tables WHERE table_schema = 'production'": "n\n0\n",
		"SELECT DISTINCT name FROM firth.runs":                                                  "name\npg\n",
	} {
		if got := asked(t, cfg, question); got != want {
			t.Errorf("%s: %q, want %q", question, got, want)
		}
	}
}

// TestEmbeddedWarehouseSwitchedOffAndOn leaves the tables that are there as they are, and loads what is pending once it is on again.
func TestEmbeddedWarehouseSwitchedOffAndOn(t *testing.T) {
	t.Parallel()
	cfg, dir := seeded(t, 8, "  local: { type: duckdb }\n")
	loaded := func(want string) func() bool {
		return func() bool {
			return asked(t, cfg, "SELECT (SELECT count(*) FROM lake.production) AS lake, (SELECT count(*) FROM production.tracks) AS typed") == "lake,typed\n"+want+"\n"
		}
	}
	turn := func(off bool, want string) {
		w := cfg.Warehouses[config.Local]
		w.Off = off
		cfg.Warehouses[config.Local] = w
		_, stop := serving(t, cfg, dir, nil)
		within(t, "the rows "+want, loaded(want))
		stop()
	}
	turn(false, "8,8")
	sow(t, cfg, dir, 11)
	if err := settleJournal(t.Context(), cfg, dir, slog.New(slog.DiscardHandler), func(progress) {}); err != nil {
		t.Fatal(err)
	}
	turn(true, "11,8")
	turn(false, "11,11")
}

func TestConfigurationInWords(t *testing.T) {
	t.Parallel()
	const one, pg = "sources: { a: { write_key: k } }\n", "pg: { type: postgres, url: 'postgres://h/d' }"
	for text, want := range map[string]string{
		one: "f: 1 source, 0 users",
		one + "users: { ana: { password: p } }\nwarehouses: { " + pg + " }":                               "f: 1 source, 1 user, 1 warehouse beside the embedded one",
		one + "warehouses: { local: false }":                                                              "f: 1 source, 0 users, no warehouse: the lake alone",
		"sources: { a: { write_key: k }, b: { write_key: l } }\nwarehouses: { local: false, " + pg + " }": "f: 2 sources, 0 users, 1 warehouse, the embedded one is switched off",
	} {
		cfg, err := config.Parse("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := configured(cfg); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestLogNamesAWarehouseOnce in every line.
func TestLogNamesAWarehouseOnce(t *testing.T) {
	t.Parallel()
	cfg, _ := seeded(t, 1, onePostgres)
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	for _, r := range remotes(cfg, serverKinds(), log) {
		for _, l := range []*slog.Logger{r.postgres().Log, r.mysql().Log, r.redshift().Log} {
			l.Info("x", "warehouse", r.name) // as those packages do
		}
		m := &member{remote: r, runner: &breaking{how: func() { panic("no such thing") }}}
		m.run(t.Context())
	}
	for line := range strings.Lines(out.String()) {
		if strings.Count(line, "warehouse=") != 1 {
			t.Error(line)
		}
	}
	if strings.Count(out.String(), "\n") != 5 {
		t.Errorf("the log is\n%s", &out)
	}
}
