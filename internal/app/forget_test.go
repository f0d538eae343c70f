package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/config"
	"firth/internal/warehouse"
)

// rowsOf are the rows of a person in the embedded warehouse.
func rowsOf(t *testing.T, cfg *config.Config, user string) string {
	t.Helper()
	return asked(t, cfg, "SELECT (SELECT count(*) FROM production.tracks WHERE user_id = '"+user+"') + (SELECT count(*) FROM production.order_completed WHERE user_id = '"+user+"') AS n")
}

// TestForgetEverywhere makes two warehouses forget, one of which is down at first, while the server runs and after it has stopped.
func TestForgetEverywhere(t *testing.T) {
	t.Parallel()
	cfg, dir := seeded(t, 70, onePostgres)
	s := &stand{path: filepath.Join(t.TempDir(), "pg.duckdb")}
	_, stop := serving(t, cfg, dir, s.kinds())
	within(t, "the rows", func() bool {
		return rowsOf(t, cfg, "u3") == "n\n20\n" && asked(t, cfg, "SELECT pending_rows FROM firth.freshness WHERE warehouse = 'pg'") == "pending_rows\n0\n"
	})
	s.down.Store(true)
	// The connection that it has is kept for its next run, and closed by the one that fails.
	place := forgetPlace{cfg: cfg, dir: dir, log: slog.New(slog.DiscardHandler), served: true}
	var stages []string
	report, err := forgetEverywhere(t.Context(), place, forgetOrder{UserIDs: []string{"u3"}}, func(p progress) { stages = append(stages, p.Stage) })
	if err != nil && !errors.Is(err, errNotForgotten) {
		t.Fatal(err)
	}
	if len(report.Warehouses) != 2 || report.Warehouses[0].Warehouse != config.Local || report.Warehouses[0].Error != "" || !report.Warehouses[0].Erased {
		t.Fatalf("%+v, want the embedded one complete", report)
	}
	if rows := report.Warehouses[0].Rows; rows["production.tracks"] != 10 || rows["production.order_completed"] != 10 {
		t.Errorf("rows %v", rows)
	}
	if got := rowsOf(t, cfg, "u3") + rowsOf(t, cfg, "u4"); got != "n\n0\nn\n20\n" {
		t.Errorf("rows of the person and of another: %q", got)
	}
	if !slices.ContainsFunc(stages, func(s string) bool { return strings.HasPrefix(s, "local: forget") }) {
		t.Errorf("progress %q", stages)
	}
	s.down.Store(false)
	req := forgetOrder{UserIDs: []string{"u3"}, Done: []string{config.Local}}
	if report, err = forgetEverywhere(t.Context(), place, req, func(progress) {}); err != nil || len(report.Warehouses) != 1 || report.Warehouses[0].Warehouse != "pg" {
		t.Fatalf("%+v, %v: want pg alone", report, err)
	}
	stop()
	if n := s.count(t, "production.tracks WHERE user_id = 'u3'"); n != 0 {
		t.Errorf("%d rows are left in pg", n)
	}

	place.served, place.kinds = false, s.kinds()
	s.down.Store(true)
	report, err = forgetEverywhere(t.Context(), place, forgetOrder{UserIDs: []string{"u4"}}, func(progress) {})
	if !errors.Is(err, errNotForgotten) || !strings.Contains(err.Error(), "warehouse pg: ") || !strings.Contains(hintOf(err), "start it") || !strings.Contains(hintOf(err), "tried again") {
		t.Fatalf("%v: %s", err, hintOf(err))
	}
	if done := report.complete(); len(done) != 1 || done[0] != config.Local {
		t.Errorf("complete: %q", done)
	}
	if text := report.text(); !strings.Contains(text, "local  20 rows of 2 tables in ") || !strings.Contains(text, "pg  not complete: ") {
		t.Errorf("%s", text)
	}
	s.down.Store(false)
	if report, err = forgetEverywhere(t.Context(), place, forgetOrder{UserIDs: []string{"u4"}, Done: report.complete()}, func(progress) {}); err != nil || report.Warehouses[0].Rows["production.tracks"] != 10 {
		t.Errorf("%+v, %v", report, err)
	}
	if n := s.count(t, "production.tracks"); n != 50 {
		t.Errorf("%d rows in pg, want those of five people", n)
	}
}

func TestForgetIsRefused(t *testing.T) {
	t.Parallel()
	cfg, dir := seeded(t, 1, "  local: { type: duckdb }\n")
	place := forgetPlace{cfg: cfg, dir: dir, log: slog.New(slog.DiscardHandler), served: true}
	if _, err := forgetEverywhere(t.Context(), place, forgetOrder{UserIDs: []string{"somebody"}}, func(progress) {}); !errors.Is(err, errNotForgotten) || strings.Contains(err.Error(), "somebody") {
		t.Errorf("%v where nobody listens", err)
	}
	serving(t, cfg, dir, nil)
	if _, err := forgetEverywhere(t.Context(), place, forgetOrder{}, func(progress) {}); err == nil || !strings.Contains(err.Error(), "no ids") {
		t.Errorf("%v of an order without ids", err)
	}
	client := &http.Client{Transport: socketTransport(dir.socket())}
	defer client.CloseIdleConnections()
	r, err := client.Post("http://firth"+forgetPath, "application/json", strings.NewReader(`{"which":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusBadRequest {
		t.Errorf("%s of an order that is none", r.Status)
	}
}

// TestNamelessTexts: what is told of a purge names nobody.
func TestNamelessTexts(t *testing.T) {
	t.Parallel()
	ids := []string{"bob@example.org", "x"}
	w := &forgottenWarehouse{Warehouse: "pg", Rows: map[string]int64{}}
	w.fail(&warehouse.Error{Op: "delete", Object: "bob@example.org", Kind: warehouse.Down, Hint: "look for bob@example.org, x", Err: errors.New("no row 'bob@example.org'")}, ids)
	if text := w.Error + w.Hint; strings.Contains(text, "bob") || !strings.Contains(text, warehouse.Removed) {
		t.Errorf("%s", text)
	}
	h := newRunHistory(slog.New(slog.DiscardHandler), nil)
	run := warehouse.Run{ID: "1", Name: "pg", Error: "no row 'bob@example.org'", Notices: []string{"of bob@example.org"}, StartedAt: time.Now()}
	if err := h.RecordRun(t.Context(), &run); err != nil {
		t.Fatal(err)
	}
	h.forget(ids)
	last, _ := h.lastRun("pg")
	if text := fmt.Sprint(last, *h.waiting[0].run); strings.Contains(text, "bob") {
		t.Errorf("%s", text)
	}
	if run.Notices[0] != "of bob@example.org" {
		t.Error("the caller's own run was changed")
	}
}
