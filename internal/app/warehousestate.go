package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"firth/internal/api"
	"firth/internal/config"
	"firth/internal/event"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// warehouseFigures are what /metrics says of a warehouse that is a server, beside its figures for each source.
type warehouseFigures struct {
	Name      string  `json:"name"`
	State     string  `json:"state"`              // as in /readyz
	LastState string  `json:"last_state"`         // of the last run; empty: none is known
	LastStart float64 `json:"last_start"`         // Unix seconds
	LastTook  float64 `json:"last_took"`          // seconds; of one that goes on, so far
	NextRun   float64 `json:"next_run,omitempty"` // Unix seconds; 0: on demand
	Rows      int64   `json:"rows"`               // calls loaded since the start
	Rate      float64 `json:"rate"`               // a second, of late
}

// loading says how far the members are behind the lake.
func (f *fleet) loading(ctx context.Context, now time.Time) []loadFigures {
	reader := f.reader.Load()
	if reader == nil {
		return nil
	}
	var out []loadFigures
	for _, m := range f.all() {
		for _, row := range m.runner.Freshness() {
			snap, err := reader.Snapshot(ctx, row.Source)
			if err != nil { // the runner says so itself
				continue
			}
			out = append(out, m.pace.look(row, snap.Rows, now))
		}
	}
	return out
}

// figures are those of the members.
func (f *fleet) figures() []warehouseFigures {
	now := f.now()
	var out []warehouseFigures
	for _, m := range f.all() {
		stats := m.runner.Stats()
		w := warehouseFigures{Name: m.name, State: m.component().State, Rows: stats.Rows, Rate: stats.RowsPerSec}
		if run, ok := f.history.lastRun(m.name); ok {
			end := run.FinishedAt
			if end.IsZero() {
				end = now
			}
			w.LastState, w.LastStart, w.LastTook = run.State, unixSeconds(run.StartedAt), end.Sub(run.StartedAt).Seconds()
		}
		if next := m.runner.Next(); !next.IsZero() {
			w.NextRun = unixSeconds(next)
		}
		out = append(out, w)
	}
	return out
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// warehouses tells how all warehouses are, the embedded one first.
func (w *worker) warehouses() []api.Warehouse {
	local := api.Warehouse{Name: config.Local, Type: config.DuckDB, Schedule: "continuous"}
	if w.cfg.Warehouses[config.Local].Off {
		local.Schedule = "off"
	}
	c := w.state.Get()
	if a := w.answer.Load(); a != nil {
		if c.State == state.OK {
			c = a.loader.State()
		}
		local.Freshness = apiFreshness(a.loader.Freshness())
	}
	local.State, local.Error, local.Hint = c.State, c.Error, c.Hint
	out := []api.Warehouse{local}
	members := w.fleet.all()
	for _, m := range members {
		c := m.component()
		one := api.Warehouse{
			Name: m.name, Type: m.Type, Schedule: scheduleText(&m.Warehouse), State: c.State, Error: c.Error, Hint: c.Hint,
			NextRun: optionalTime(m.runner.Next()), Freshness: apiFreshness(m.runner.Freshness()),
		}
		if run, ok := w.history.lastRun(m.name); ok {
			one.LastRun = &api.WarehouseRun{ID: run.ID, State: run.State, StartedAt: run.StartedAt.UTC(), FinishedAt: optionalTime(run.FinishedAt), Rows: run.Rows}
		}
		out = append(out, one)
	}
	if len(members) > 0 {
		return out
	}
	waiting := w.fleet.lake.Get()
	for _, name := range w.cfg.Remote() {
		r := w.cfg.Warehouses[name]
		out = append(out, api.Warehouse{Name: name, Type: r.Type, Schedule: scheduleText(&r), State: waiting.State, Error: waiting.Error, Hint: waiting.Hint})
	}
	return out
}

func apiFreshness(rows []warehouse.Freshness) []api.WarehouseFreshness {
	var out []api.WarehouseFreshness
	for _, f := range rows {
		row := api.WarehouseFreshness{
			Source: f.Source, ReceivedThrough: optionalMicros(f.ReceivedThrough), LoadedThrough: optionalMicros(f.LoadedThrough),
			LoadedAt: optionalTime(f.LoadedAt), PendingRows: f.PendingRows,
		}
		if f.PendingRows > 0 && row.ReceivedThrough != nil && row.LoadedThrough != nil {
			row.LagSeconds = max(0, row.ReceivedThrough.Sub(*row.LoadedThrough).Seconds())
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b api.WarehouseFreshness) int { return cmp.Compare(a.Source, b.Source) })
	return out
}

func optionalMicros(micros int64) *time.Time {
	if micros == event.NoTime {
		return nil
	}
	t := time.UnixMicro(micros).UTC()
	return &t
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
