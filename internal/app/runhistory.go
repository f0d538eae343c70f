package app

import (
	"context"
	"database/sql"
	_ "embed" // the statement
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"firth/internal/load"
	"firth/internal/warehouse"
)

// runHistory takes the runs of warehouses that are servers and writes them into firth.runs of the embedded one. Nobody waits for
// that: what it cannot take now (it is not open, it is busy, it is broken) is held in memory and written later. It is safe for
// use by several goroutines.
type runHistory struct {
	log *slog.Logger
	// told gets every run that has ended, once for each time it is recorded so; and one that goes on and has rows in, as a success:
	// loads that follow closely are one run, and what was wrong before it is well. A run of a mirror that goes on is not told.
	told func(warehouse.Run)

	flushing sync.Mutex // held while entries are written, so that they are written in order

	mu      sync.Mutex
	into    load.History // nil while the embedded warehouse is not open
	waiting []historyEntry
	wake    chan struct{}            // of capacity 1
	last    map[string]warehouse.Run // by lastKey
	noted   string
}

// historyEntry is a run to be written, or runs of an earlier process to be ended.
type historyEntry struct {
	run *warehouse.Run
	end *endOfRuns
}

type endOfRuns struct {
	kind, name, reason, hint string
	forget                   time.Time
}

// heldRuns is how many runs are held while they cannot be written; beyond that the oldest are forgotten.
const heldRuns = 1000

func newRunHistory(log *slog.Logger, told func(warehouse.Run)) *runHistory {
	return &runHistory{log: log, told: told, wake: make(chan struct{}, 1), last: map[string]warehouse.Run{}}
}

// RecordRun implements load.History. It never fails and never waits.
func (h *runHistory) RecordRun(_ context.Context, r *warehouse.Run) error {
	run := copyRun(r)
	h.mu.Lock()
	h.last[lastKey(run)] = *run
	at := slices.IndexFunc(h.waiting, func(e historyEntry) bool { return e.run != nil && e.run.ID == run.ID })
	if at >= 0 {
		h.waiting[at].run = run
	} else {
		h.hold(historyEntry{run: run})
	}
	h.mu.Unlock()
	h.signal()
	if told := copyRun(r); h.told != nil {
		// Rows that a mirror has read are not in its table before the run ends.
		if told.State == warehouse.RunRunning && told.Rows > 0 && told.Kind != mirrorKind {
			told.State = warehouse.RunSuccess
		}
		if told.State != warehouse.RunRunning {
			h.told(*told)
		}
	}
	return nil
}

// lastKey is what the last run is remembered by: the warehouse, or the mirror behind a word. A run by hand may name a source behind the
// warehouse, and a mirror has lists and gets.
func lastKey(r *warehouse.Run) string {
	name, _, _ := strings.Cut(r.Name, "/")
	if r.Kind == mirrorKind {
		return mirrorKey(name)
	}
	return name
}

// mirrorKind is the kind of the runs of mirrors.
const mirrorKind = "mirror"

func mirrorKey(name string) string { return mirrorKind + " " + name }

// EndRuns implements load.History.
func (h *runHistory) EndRuns(_ context.Context, kind, name, reason, hint string, forget time.Time) error {
	h.mu.Lock()
	h.hold(historyEntry{end: &endOfRuns{kind, name, reason, hint, forget}})
	h.mu.Unlock()
	h.signal()
	return nil
}

// hold keeps an entry for writing; mu is held.
func (h *runHistory) hold(e historyEntry) {
	h.waiting = append(h.waiting, e)
	if len(h.waiting) > heldRuns {
		h.waiting = slices.Delete(h.waiting, 0, len(h.waiting)-heldRuns)
	}
}

func (h *runHistory) signal() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func copyRun(r *warehouse.Run) *warehouse.Run {
	run := *r
	run.Tables = map[string]int64{}
	for name, n := range r.Tables {
		run.Tables[name] = n
	}
	run.Notices = slices.Clone(r.Notices)
	return &run
}

// attach names the open embedded warehouse; nil: it is closed.
func (h *runHistory) attach(into load.History) {
	h.mu.Lock()
	h.into = into
	h.mu.Unlock()
	h.signal()
}

//go:embed sql/last_runs.sql
var lastRunsSQL string

// recall reads the last runs of an earlier process from the embedded warehouse.
func (h *runHistory) recall(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, lastRunsSQL)
	if err != nil {
		return fmt.Errorf("read the last runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var finished sql.NullTime
		var r warehouse.Run
		if err := rows.Scan(&name, &r.ID, &r.State, &r.StartedAt, &finished, &r.Rows); err != nil {
			return fmt.Errorf("read the last runs: %w", err)
		}
		r.Name, r.FinishedAt = name, finished.Time
		h.mu.Lock()
		if _, known := h.last[name]; !known {
			h.last[name] = r
		}
		h.mu.Unlock()
	}
	return rows.Err()
}

// lastRun is the latest run of a warehouse that is known.
func (h *runHistory) lastRun(name string) (warehouse.Run, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.last[name]
	return r, ok
}

// historyRetry is how long the history waits after it could not write.
const historyRetry = time.Second

// Run writes what comes until ctx ends.
func (h *runHistory) Run(ctx context.Context) error {
	for {
		var again <-chan time.Time
		if !h.flush(ctx) {
			again = time.After(historyRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		case <-again:
		}
	}
}

// flush writes what waits, and reports whether nothing is left that should be tried again soon.
func (h *runHistory) flush(ctx context.Context) bool {
	h.flushing.Lock()
	defer h.flushing.Unlock()
	for ctx.Err() == nil {
		h.mu.Lock()
		into := h.into
		if into == nil || len(h.waiting) == 0 {
			h.mu.Unlock()
			return true
		}
		e := h.waiting[0]
		h.waiting = h.waiting[1:]
		h.mu.Unlock()
		var err error
		if e.run != nil {
			err = into.RecordRun(ctx, e.run)
		} else {
			err = into.EndRuns(ctx, e.end.kind, e.end.name, e.end.reason, e.end.hint, e.end.forget)
		}
		if !h.written(e, err) {
			return false
		}
	}
	return true
}

// written takes what came of writing an entry: one that failed comes in front again, unless it was recorded anew meanwhile.
func (h *runHistory) written(e historyEntry, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.noted = ""
		return true
	}
	newer := e.run != nil && slices.ContainsFunc(h.waiting, func(o historyEntry) bool { return o.run != nil && o.run.ID == e.run.ID })
	if !newer && len(h.waiting) < heldRuns {
		h.waiting = slices.Insert(h.waiting, 0, e)
	}
	if err.Error() != h.noted {
		h.noted = err.Error()
		h.log.Warn("runs of warehouses cannot be recorded now; they are held and recorded later", "error", err)
	}
	return false
}
