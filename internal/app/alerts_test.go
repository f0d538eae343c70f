package app

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/internal/config"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// listening is a web hook that remembers what it was told.
func listening(t *testing.T) (address string, told func() []string) {
	t.Helper()
	var mu sync.Mutex
	var events []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct{ Event, State, Name, Error, Hint string }
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("the web hook was sent something else: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		events = append(events, m.Event+" "+m.State+" "+m.Name+" "+m.Error)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), events...)
	}
}

func TestRunThatFailsIsToldOnce(t *testing.T) {
	t.Parallel()
	hook, told := listening(t)
	cfg, dir := seeded(t, 3, onePostgres+"alerts: { webhook: '"+hook+"' }\n")
	s := &stand{path: dir.root + "/pg.duckdb"}
	s.down.Store(true)
	_, stop := serving(t, cfg, dir, s.kinds())
	within(t, "the alert", func() bool { return len(told()) > 0 })
	within(t, "a second failure", func() bool {
		return strings.Contains(componentNamed(exchanged(t, dir).Components, "warehouse pg").Error, "tried")
	})
	if c := componentNamed(exchanged(t, dir).Components, "alerts"); c.State != state.OK {
		t.Errorf("alerts are %+v", c)
	}
	stop()
	if got := told(); len(got) != 1 || !strings.HasPrefix(got[0], "run_failed firing pg ") || !strings.Contains(got[0], "connection refused") {
		t.Errorf("told %q", got)
	}
	if text, err := os.ReadFile(dir.alerts()); err != nil || bytes.Contains(text, []byte(hook)) {
		t.Errorf("what was told is kept: %v", err)
	}
}

// remembering is an alerter that keeps what it is given.
type remembering struct {
	noAlerts
	mu   sync.Mutex
	rows []warehouse.Freshness
	last map[string]time.Time
}

func (r *remembering) Freshness(rows []warehouse.Freshness) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = rows
}

func (r *remembering) Sources(last map[string]time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = last
}

func TestAlerterIsToldHowThingsAre(t *testing.T) {
	t.Parallel()
	cfg, dir := seeded(t, 3, onePostgres)
	s := &stand{path: dir.root + "/pg.duckdb"}
	w, stop := serving(t, cfg, dir, s.kinds())
	defer stop()
	within(t, "both warehouses", func() bool { return len(w.freshness()) == 2 })
	var heard remembering
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	watched := &worker{cfg: cfg, fleet: w.fleet, alerts: &heard}
	watched.answer.Store(w.answer.Load())
	go func() { done <- watched.watch(ctx, time.Millisecond) }()
	within(t, "freshness and sources", func() bool {
		heard.mu.Lock()
		defer heard.mu.Unlock()
		return len(heard.rows) == 2 && time.Since(heard.last["production"]) < time.Minute
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPatienceGrowsWithTheSchedule(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		w    config.Warehouse
		want time.Duration
	}{
		{config.Warehouse{Every: config.Duration(time.Hour)}, time.Hour},
		{config.Warehouse{Cron: "0 9 * * 1-5"}, 72 * time.Hour},
		{config.Warehouse{Cron: "@hourly"}, time.Hour},
	} {
		s, err := scheduleOf(&c.w)
		if err != nil {
			t.Fatal(err)
		}
		if got := longestGap(s, now); got != c.want {
			t.Errorf("%+v: %s, want %s", c.w, got, c.want)
		}
	}
	if patience(config.Never) != 0 || patience(config.Patience(time.Minute)) != time.Minute {
		t.Error("patience")
	}
	if _, ok := newAlerter(config.Default(), folders{t.TempDir()}, slog.New(slog.DiscardHandler)).(noAlerts); !ok {
		t.Error("without a web hook there is an alerter")
	}
}
