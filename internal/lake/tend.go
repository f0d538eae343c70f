package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"firth/internal/lake/catalog"
)

// Defaults of [TendOptions].
const (
	DefaultTendEvery = time.Minute
	DefaultGrace     = 15 * time.Minute
	DefaultOrphans   = 24 * time.Hour
)

// TendOptions say how a lake is tended. The zero value of an optional field stands for its default.
type TendOptions struct {
	Every time.Duration // between two rounds
	// Grace is how long a file that nothing names stays on disk: longer than the longest query, whose files it keeps.
	Grace time.Duration
	// Orphans is how long a file stays that another engine left in a table's folder, by a write that failed; at least Grace.
	Orphans time.Duration
	// Keep is how long events are kept: a day (of ts; of received_at for dead letters) is dropped once all of it is older.
	// 0 keeps them for ever.
	Keep time.Duration

	// elapsed is a clock that nobody sets; for tests.
	elapsed func() time.Duration
}

// Tender keeps a lake small: it drops days that are older than is to be kept, merges manifests, and removes files that nothing
// names. It is the one that removes files of the lake. Safe for concurrent use; rounds follow one another.
type Tender struct {
	l *Lake
	o TendOptions

	round   sync.Mutex // held during a round; guards what follows
	watches map[string]*watch
	clock   tendClock

	mu    sync.Mutex
	state State
	stats TendStats
}

// Tender returns what tends the lake. A lake has one.
func (l *Lake) Tender(o TendOptions) *Tender {
	o.Every, o.Grace = or(o.Every, DefaultTendEvery), or(o.Grace, DefaultGrace)
	o.Orphans = max(or(o.Orphans, DefaultOrphans), o.Grace)
	if o.elapsed == nil {
		start := time.Now()
		o.elapsed = func() time.Duration { return time.Since(start) }
	}
	return &Tender{l: l, o: o, watches: map[string]*watch{}, state: State{Name: "tend", State: StateOK}}
}

// TendStats describe a tender's work: counters since the start, and what the last round saw.
type TendStats struct {
	Rounds       int64
	Last         time.Time     // end of the last round that came to its end
	Took         time.Duration // for it
	DroppedFiles int64         // by retention
	DroppedRows  int64
	SweptFiles   int64
	SweptBytes   int64

	CondemnedFiles int64 // nothing names them; they wait for the end of their grace
	CondemnedBytes int64
	Oldest         time.Time // since when the first of them waits; zero: none does
	ForeignFiles   int64     // named as no engine names files: they are left alone

	Files, Bytes                 int64 // of data, in the current snapshots
	MetadataFiles, MetadataBytes int64 // in use
	Snapshots, Manifests         int64 // snapshots that can be read, and manifests of the current ones
	CatalogBytes                 int64
}

// TendReport is what one call of [Tender.Expire] did.
type TendReport struct {
	DroppedDays, DroppedFiles, DroppedRows int64 // by retention
	ManifestsBefore, ManifestsAfter        int64
	SweptFiles, SweptBytes                 int64
	WaitingFiles, WaitingBytes             int64 // for the end of their grace
	ForeignFiles                           int64
}

// TendProgress says how far a round is.
type TendProgress struct {
	Step        string // "retain", "manifests", "look" or "sweep"
	Table       string
	Done, Total int64 // files, where the step is "sweep"; else 0
}

// Run tends the lake until the context ends; then it returns nil. Trouble is shown by State, and the next round tries again.
func (t *Tender) Run(ctx context.Context) error {
	for pause := t.o.Every / 10; sleep(ctx, pause); pause = t.o.Every {
		if _, err := t.tend(ctx, false, nil); err != nil && ctx.Err() == nil {
			t.fail(err)
			if t.l.o.final(err) {
				return err
			}
		}
	}
	return nil
}

// Expire does one round by hand, beside Run or without: days that are too old are dropped whenever they were received, manifests
// are merged however few there are, and files whose grace has passed are removed. progress may be nil.
func (t *Tender) Expire(ctx context.Context, progress func(TendProgress)) (TendReport, error) {
	report, err := t.tend(ctx, true, progress)
	if err != nil && ctx.Err() == nil {
		t.fail(err)
	}
	return report, err
}

// tend does a round. Retention and manifests may fail without holding up the sweep, and the other way round.
func (t *Tender) tend(ctx context.Context, byHand bool, progress func(TendProgress)) (TendReport, error) {
	t.round.Lock()
	defer t.round.Unlock()
	if progress == nil {
		progress = func(TendProgress) {}
	}
	began := t.o.elapsed()
	var report TendReport
	now, err := t.tick(ctx)
	if err != nil {
		return report, err
	}
	tables, err := t.l.catalog.Tables(ctx)
	if err != nil {
		return report, err
	}
	names := slices.Sorted(maps.Keys(tables))
	var errs []error
	for _, name := range names {
		if err := t.retain(ctx, name, now, byHand, progress, &report); err != nil {
			errs = append(errs, fmt.Errorf("drop old days of table %s: %w", name, err))
		}
		if err := t.forgetHistory(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("drop old snapshots of table %s: %w", name, err))
		}
		if err := t.pack(ctx, name, byHand, progress, &report); err != nil {
			errs = append(errs, fmt.Errorf("merge manifests of table %s: %w", name, err))
		}
	}
	if err := t.sweep(ctx, names, now, progress, &report); err != nil {
		errs = append(errs, fmt.Errorf("the sweeper removes nothing until it can go on: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return report, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = State{Name: "tend", State: StateOK}
	t.stats.Rounds++
	t.stats.Last, t.stats.Took = now, t.o.elapsed()-began
	return report, nil
}

// fail shows an error and logs it when it is a new one.
func (t *Tender) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text, hint := err.Error(), tendHint(err)
	if n := t.stats.CondemnedFiles; n > 0 {
		text += fmt.Sprintf(" (%d files with %d MB wait to be removed)", n, t.stats.CondemnedBytes>>20)
	}
	if t.state.State != StateFailing || t.state.Hint != hint {
		t.l.o.Log.Error("the lake is not tended; events are taken in all the same, and it is tried again", "error", err, "hint", hint)
	}
	t.state = State{Name: "tend", State: StateFailing, Error: text, Hint: hint}
}

func tendHint(err error) string {
	switch {
	case errors.Is(err, catalog.ErrDamaged):
		return "put the damaged file back from a backup: firth lake restore"
	case errors.Is(err, errOutside):
		return "start the server on the folder that the lake was moved to; nothing is removed as long as its tables name another"
	default:
		return hintFor(err)
	}
}

// State says how the tender is doing. Safe for concurrent use.
func (t *Tender) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// Stats returns a copy. Safe for concurrent use.
func (t *Tender) Stats() TendStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

func (t *Tender) stat(fn func(*TendStats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fn(&t.stats)
}
