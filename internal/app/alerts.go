package app

import (
	"context"
	"log/slog"
	"time"

	"firth/internal/alert"
	"firth/internal/config"
	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/schedule"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// alerter tells somebody what is wrong. *alert.Alerter is one. All methods but Run return at once.
type alerter interface {
	Run(ctx context.Context) error
	RunEnded(r warehouse.Run)
	Freshness(rows []warehouse.Freshness)
	Sources(last map[string]time.Time)
	// State says whether what is told arrives.
	State() state.Component
}

// noAlerts is for a configuration that names nobody to tell.
type noAlerts struct{}

func (noAlerts) Run(ctx context.Context) error   { <-ctx.Done(); return nil }
func (noAlerts) State() state.Component          { return state.Component{} }
func (noAlerts) RunEnded(warehouse.Run)          {}
func (noAlerts) Freshness([]warehouse.Freshness) {}
func (noAlerts) Sources(map[string]time.Time)    {}

// newAlerter makes what tells the web hook of the configuration.
func newAlerter(cfg *config.Config, dir folders, log *slog.Logger) alerter {
	if cfg.Alerts.Webhook == "" {
		return noAlerts{}
	}
	o := alert.Options{
		Webhook: string(cfg.Alerts.Webhook), StateFile: dir.alerts(), Log: log.With("component", "alerts"),
		Lag: patience(cfg.Alerts.Lag), LagBy: map[string]time.Duration{},
		Quiet: patience(cfg.Alerts.Quiet), QuietBy: map[string]time.Duration{},
	}
	for name, s := range cfg.Sources {
		if s.Quiet != 0 {
			o.QuietBy[name] = patience(s.Quiet)
		}
	}
	now := time.Now()
	for _, name := range cfg.Remote() {
		w := cfg.Warehouses[name]
		s, err := scheduleOf(&w)
		switch {
		case err != nil || s == nil || o.Lag == 0: // on demand it may be behind for as long as somebody likes
			o.LagBy[name] = 0
		default:
			o.LagBy[name] = o.Lag + longestGap(s, now)
		}
	}
	return alert.New(o)
}

// patience is how long the alerter waits; zero, for never, is what it never tells.
func patience(p config.Patience) time.Duration {
	if p == config.Never {
		return 0
	}
	return time.Duration(p)
}

// gaps is how many runs ahead the longest gap of a schedule is looked for: weekends and nights are among them.
const gaps = 200

// longestGap is the longest time between two of the runs that come next.
func longestGap(s schedule.Schedule, now time.Time) time.Duration {
	var longest time.Duration
	for range gaps {
		next := s.Next(now)
		if next.IsZero() {
			break
		}
		longest, now = max(longest, next.Sub(now)), next
	}
	return longest
}

// alertEvery is how often freshness and sources are looked at.
const alertEvery = 5 * time.Second

// watch tells the alerter how things are, again and again until ctx ends.
func (w *worker) watch(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		w.alerts.Freshness(w.freshness())
		if last := w.lastCalls(ctx); len(last) > 0 {
			w.alerts.Sources(last)
		}
	}
}

// freshness is how far every warehouse is.
func (w *worker) freshness() []warehouse.Freshness {
	rows := w.fleet.freshness()
	if a := w.answer.Load(); a != nil {
		rows = append(rows, a.loader.Freshness()...)
	}
	return rows
}

// lastCalls is when each configured source last sent something that is in the lake, which a restart does not change.
func (w *worker) lastCalls(ctx context.Context) map[string]time.Time {
	reader := w.fleet.reader.Load()
	if reader == nil {
		return nil
	}
	out := map[string]time.Time{}
	for name := range w.cfg.Sources {
		snap, err := reader.Snapshot(ctx, name)
		if err != nil { // a table that is not there yet, or a lake that says itself what is wrong
			continue
		}
		if last := lastReceived(snap); last != event.NoTime {
			out[name] = time.UnixMicro(last)
		}
	}
	return out
}

func lastReceived(snap *lake.Snapshot) int64 {
	last := int64(event.NoTime)
	for _, f := range snap.Files {
		last = max(last, f.MaxReceived)
	}
	return last
}

// toldHistory tells of the runs that have ended, beside recording them.
type toldHistory struct {
	load.History
	told func(warehouse.Run)
}

// RecordRun implements load.History.
func (t toldHistory) RecordRun(ctx context.Context, r *warehouse.Run) error {
	if r.State != warehouse.RunRunning {
		t.told(*copyRun(r))
	}
	return t.History.RecordRun(ctx, r)
}
