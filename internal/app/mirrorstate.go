package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"firth/internal/api"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// mirrorFigures are what /metrics says of a mirror.
type mirrorFigures struct {
	Name        string           `json:"name"`
	State       string           `json:"state"` // as in /readyz
	Running     int              `json:"running"`
	Rows        int64            `json:"rows"` // read since the start
	Runs        map[string]int64 `json:"runs"` // ended since the start, by state
	LastState   string           `json:"last_state"`
	LastStart   float64          `json:"last_start"` // Unix seconds
	LastTook    float64          `json:"last_took"`  // seconds
	LastSuccess float64          `json:"last_success,omitempty"`
	NextRun     float64          `json:"next_run,omitempty"`
}

// figures are those of the members.
func (f *mirrorFleet) figures(history *runHistory) []mirrorFigures {
	now := f.now()
	var out []mirrorFigures
	for _, m := range f.members {
		c := m.counts()
		one := mirrorFigures{Name: m.name, State: m.component().State, Running: c.running, Rows: c.rows, Runs: c.runs}
		run, ok := c.last, c.last.ID != ""
		if !ok {
			run, ok = history.lastRun(mirrorKey(m.name))
		}
		if ok {
			end := run.FinishedAt
			if end.IsZero() {
				end = now
			}
			one.LastState, one.LastStart, one.LastTook = run.State, unixSeconds(run.StartedAt), end.Sub(run.StartedAt).Seconds()
			if c.success.IsZero() && run.State == warehouse.RunSuccess {
				c.success = run.FinishedAt
			}
		}
		if !c.success.IsZero() {
			one.LastSuccess = unixSeconds(c.success)
		}
		if next := m.runner.Next(); !next.IsZero() {
			one.NextRun = unixSeconds(next)
		}
		out = append(out, one)
	}
	return out
}

// mirrorList tells how all mirrors are.
func (w *worker) mirrorList() []api.Mirror {
	var out []api.Mirror
	for _, m := range w.mirrors.members {
		c := m.component()
		one := api.Mirror{
			Name: m.name, Warehouse: m.cfg.Into.Warehouse, Schema: m.cfg.Into.Schema, Table: mirrorTable(w.cfg, &m.cfg), Mode: m.cfg.Mode, Source: sourceText(&m.cfg),
			Schedule: whenText(&m.cfg), State: c.State, Error: c.Error, Hint: c.Hint, Running: m.counts().running > 0, NextRun: optionalTime(m.runner.Next()),
		}
		if one.Mode == "" {
			one.Mode = "list/get"
		}
		if last := m.runner.Last(); last != nil {
			one.Rows = &last.Rows
		}
		if run, ok := w.history.lastRun(mirrorKey(m.name)); ok {
			one.LastRun = &api.WarehouseRun{ID: run.ID, State: run.State, StartedAt: run.StartedAt.UTC(), FinishedAt: optionalTime(run.FinishedAt), Rows: run.Rows}
			if one.Rows == nil && run.State != warehouse.RunRunning {
				one.Rows = &run.Rows
			}
		}
		out = append(out, one)
	}
	return out
}

// mirrorMetrics are the figures of the mirrors.
func (p *parent) mirrorMetrics() []prometheus.Collector {
	value := func(name, help string, counter bool, figure func(mirrorFigures) (float64, bool)) *gauge {
		return &gauge{name: name, help: help, counter: counter, labels: []string{"mirror"}, read: func(set func(float64, ...string)) {
			for _, m := range p.poll.mirrors() {
				if v, ok := figure(m); ok {
					set(v, m.Name)
				}
			}
		}}
	}
	return []prometheus.Collector{
		value("firth_mirror_failing", "1 where the mirror's last run failed, in whole or in part.", false, func(m mirrorFigures) (float64, bool) {
			if m.State == state.Failed || m.State == state.Degraded {
				return 1, true
			}
			return 0, true
		}),
		value("firth_mirror_running", "Runs that go on.", false, func(m mirrorFigures) (float64, bool) { return float64(m.Running), true }),
		value("firth_mirror_rows_total", "Rows read since the answering half was started.", true, func(m mirrorFigures) (float64, bool) { return float64(m.Rows), true }),
		&gauge{name: "firth_mirror_runs_total", help: "Runs that have ended since the answering half was started.", counter: true, labels: []string{"mirror", "state"}, read: func(set func(float64, ...string)) {
			for _, m := range p.poll.mirrors() {
				for _, s := range []string{warehouse.RunSuccess, warehouse.RunPartial, warehouse.RunFailure} {
					set(float64(m.Runs[s]), m.Name, s)
				}
			}
		}},
		value("firth_mirror_last_run_timestamp_seconds", "When the last run began.", false, func(m mirrorFigures) (float64, bool) { return m.LastStart, m.LastState != "" }),
		value("firth_mirror_last_run_seconds", "How long the last run took.", false, func(m mirrorFigures) (float64, bool) { return m.LastTook, m.LastState != "" }),
		value("firth_mirror_last_success_timestamp_seconds", "When the last run that succeeded ended.", false, func(m mirrorFigures) (float64, bool) { return m.LastSuccess, m.LastSuccess > 0 }),
		value("firth_mirror_next_run_timestamp_seconds", "When the next run is due; no series where it runs on demand.", false, func(m mirrorFigures) (float64, bool) { return m.NextRun, m.NextRun > 0 }),
	}
}
