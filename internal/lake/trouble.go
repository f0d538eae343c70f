package lake

import (
	"context"
	"errors"
	"time"

	"firth/internal/disk"
)

// Pauses between attempts.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// retry calls fn until it succeeds. Trouble is shown by State. It gives up, with the last error, when the context has
// ended, or when the error is final.
func (w *Writer) retry(ctx context.Context, fn func() error) error {
	var cause error
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := fn()
		if err == nil {
			if cause != nil {
				w.setOK()
			}
			return nil
		}
		if cause == nil || ctx.Err() == nil { // what fails because the time is up explains nothing
			cause = err
		}
		w.fail(cause)
		if errors.Is(err, errJournalOlder) || w.l.o.final(err) || !sleep(ctx, pause) {
			return cause
		}
	}
}

// sleep returns false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (w *Writer) setOK() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = State{Name: "lake", State: StateOK}
}

// fail shows an error and logs it when it is a new one.
func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, hint := err.Error(), hintFor(err)
	if w.state.State != StateFailing || w.state.Hint != hint {
		w.l.o.Log.Error("the lake cannot be written; the journal keeps the events and it is tried again", "error", text, "hint", hint)
	}
	w.state = State{Name: "lake", State: StateFailing, Error: text, Hint: hint}
}

func hintFor(err error) string {
	var sync *disk.SyncError
	var advised interface{ Advice() string } // the file system below may know better
	switch {
	case errors.Is(err, errJournalOlder):
		return "a copy of the journal was put back that is older than the lake: put back the lake of the same time, or move the journal's folder away"
	case errors.Is(err, ErrDamaged):
		return DamageHint
	case disk.IsFull(err):
		return "make room on the disk of the lake: events are accepted until the journal's budget is full"
	case errors.As(err, &advised) && advised.Advice() != "":
		return advised.Advice()
	case errors.As(err, &sync):
		return "look at the disk: it did not take what was written"
	default:
		return "look at the folders of data: and lake.url:, their owner and their disk"
	}
}

// State says how the writer is doing. Safe for concurrent use.
func (w *Writer) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// Stats describe a writer's work: counters since the start, and gauges.
type Stats struct {
	Position    uint64        // first offset of the journal that is not yet in the lake
	Flushed     time.Time     // end of the last flush
	FlushTime   time.Duration // of the last flush
	Flushes     int64
	Rows        int64
	Duplicates  int64
	DeadLetters int64
	Suppressed  int64 // calls, and refused ones, of people whose calls are not stored
	Files       int64
	Bytes       int64 // of Parquet
	Sources     map[string]SourceStats
}

// SourceStats describe one table.
type SourceStats struct {
	Rows, Duplicates int64
	Late             int64 // calls older than the dedup window, which were looked up in the table
	WindowIDs        int64
	WindowSpan       time.Duration // how far back the dedup window really reaches
}

// Stats returns a copy. Safe for concurrent use.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.stats
	out.Sources = make(map[string]SourceStats, len(w.stats.Sources))
	for name, s := range w.stats.Sources {
		out.Sources[name] = s
	}
	return out
}

func (w *Writer) stat(fn func(*Stats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(&w.stats)
}
