package app

import (
	"context"
	"sync"
	"time"

	"firth/internal/event"
	"firth/internal/warehouse"
)

// loadPace makes lags and rates of what the loader says of itself from time to time. It is safe for use by several goroutines.
type loadPace struct {
	mu      sync.Mutex
	sources map[string]*sourcePace
}

type sourcePace struct {
	at      time.Time // of the last look
	held    int64     // rows of the lake that were in the tables then
	loaded  int64     // rows that came into the tables since the first look
	rate    float64   // rows a second, smoothed
	waiting time.Time // since when rows have been waiting; zero: none do
}

// look takes what the loader says of a source, with the rows that the lake has of it.
func (p *loadPace) look(f warehouse.Freshness, rows int64, now time.Time) loadFigures {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sources == nil {
		p.sources = map[string]*sourcePace{}
	}
	s := p.sources[f.Source]
	held := max(0, rows-f.PendingRows)
	if s == nil {
		s = &sourcePace{at: now, held: held}
		p.sources[f.Source] = s
	}
	if step := now.Sub(s.at).Seconds(); step > 0 {
		came := max(0, held-s.held) // fewer rows than before are days that were dropped
		s.loaded += came
		s.rate = 0.7*s.rate + 0.3*float64(came)/step
		s.at, s.held = now, held
	}
	out := loadFigures{Source: f.Source, Warehouse: f.Warehouse, PendingRows: f.PendingRows, LoadedRows: s.loaded, RowsASecond: s.rate}
	if f.PendingRows <= 0 {
		s.waiting = time.Time{}
		return out
	}
	if s.waiting.IsZero() {
		s.waiting = now
	}
	// What waits came after the last row that was loaded, which may be long ago, but not before it was first seen to wait.
	lag := now.Sub(s.waiting)
	if f.LoadedThrough != event.NoTime {
		lag = min(lag, now.Sub(time.UnixMicro(f.LoadedThrough)))
	}
	out.LagSeconds = max(0, lag.Seconds())
	return out
}

// loading says how far the warehouse is behind the lake.
func (a *answer) loading(ctx context.Context, now time.Time) []loadFigures {
	var out []loadFigures
	for _, f := range a.loader.Freshness() {
		snap, err := a.reader.Snapshot(ctx, f.Source)
		if err != nil { // the loader says so itself
			continue
		}
		out = append(out, a.pace.look(f, snap.Rows, now))
	}
	return out
}
