package lake

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Defaults of [MergeOptions].
const (
	DefaultSmallEvery  = 30 * time.Second
	DefaultSmallBytes  = 10 << 20
	DefaultSmallFiles  = 100
	DefaultLargeEvery  = 10 * time.Minute
	DefaultLargeBytes  = 100 << 20
	DefaultMergeMemory = 128 << 20
)

// MergeOptions say what the two mergers do. The zero value of a field stands for its default.
type MergeOptions struct {
	// The small merger takes the newest day first and makes one file of up to SmallFiles files of a day that are below SmallBytes.
	SmallEvery time.Duration
	SmallBytes int64
	SmallFiles int
	// The large merger takes the oldest day first and makes files of up to LargeBytes.
	LargeEvery time.Duration
	LargeBytes int64

	Memory int64  // about how much one merge may take
	Temp   string // folder for what does not fit into it; empty: the system's
	Nice   int    // niceness of the merging threads; 0 leaves it as it is
}

func (o MergeOptions) withDefaults() MergeOptions {
	o.SmallEvery = or(o.SmallEvery, DefaultSmallEvery)
	o.SmallBytes = or(o.SmallBytes, DefaultSmallBytes)
	o.SmallFiles = or(o.SmallFiles, DefaultSmallFiles)
	o.LargeEvery = or(o.LargeEvery, DefaultLargeEvery)
	o.LargeBytes = or(o.LargeBytes, DefaultLargeBytes)
	o.Memory = or(o.Memory, DefaultMergeMemory)
	return o
}

// MergeKind names mergers.
type MergeKind uint8

// The mergers. MergeAll stands for both.
const (
	MergeAll MergeKind = iota
	MergeSmall
	MergeLarge
)

func (k MergeKind) String() string { return [...]string{"all", "small", "large"}[k] }

// Merger makes few large files of many small ones, beside the writer and readers, who see the same rows before, during and after.
// Of rows with one message id, within a day and within what is merged, the first stays. It never removes a file: those that no
// snapshot names any more are the sweeper's.
//
// Run is called once; the other methods are safe for concurrent use, beside it and without it. One merge is made at a time.
type Merger struct {
	l *Lake
	o MergeOptions

	one sync.Mutex // held by the merge that is being made

	mu      sync.Mutex
	state   State
	stats   MergeStats
	damaged map[string]string // inputs that are left alone, with the reason
	last    time.Time         // when the last error was logged
}

// Merger returns mergers of the lake's tables. A lake has one.
func (l *Lake) Merger(o MergeOptions) *Merger {
	return &Merger{l: l, o: o.withDefaults(), state: State{Name: "merge", State: StateStarting}, damaged: map[string]string{}}
}

// Run merges until the context ends. Errors are shown by State and the merge is tried again.
func (m *Merger) Run(ctx context.Context) error {
	return m.apart(func() error { return m.run(ctx) })
}

// apart runs fn in a goroutine of its own, with a thread of low priority.
func (m *Merger) apart(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				m.l.o.Log.Error("the mergers came to a sudden end", "panic", r, "stack", string(debug.Stack()))
				done <- fmt.Errorf("mergers: %v", r)
			}
		}()
		m.thread(func() { done <- fn() })
	}()
	return <-done
}

// thread gives the calling goroutine a thread of low priority, which ends with the goroutine.
func (m *Merger) thread(run func()) {
	if m.o.Nice > 0 {
		runtime.LockOSThread()
		if err := beNice(m.o.Nice); err != nil {
			m.l.o.Log.Warn("merge at normal priority", "error", err)
		}
	}
	run()
}

// run alternates: all small merges that are due, for at most one interval, then one large one, so that neither waits long for
// the other.
func (m *Merger) run(ctx context.Context) error {
	small, large := time.NewTimer(0), time.NewTimer(0)
	defer small.Stop()
	defer large.Stop()
	more := false // of the large ones
	for {
		if !more {
			select {
			case <-ctx.Done():
				return nil
			case <-small.C:
				small.Reset(m.o.SmallEvery)
				if err := m.pass(ctx, MergeSmall); err != nil {
					return err
				}
				continue
			case <-large.C:
				large.Reset(m.o.LargeEvery)
			}
		}
		did, err := m.step(ctx, MergeLarge, "", false, nil)
		if err = m.show(err); err != nil {
			return err
		}
		more = did
		select {
		case <-small.C:
			small.Reset(m.o.SmallEvery)
			if err := m.pass(ctx, MergeSmall); err != nil {
				return err
			}
		default:
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// pass merges until nothing is due, or for one interval.
func (m *Merger) pass(ctx context.Context, kind MergeKind) error {
	end, stop := context.WithTimeout(ctx, m.o.SmallEvery)
	defer stop()
	for end.Err() == nil {
		did, err := m.step(ctx, kind, "", false, nil)
		if err = m.show(err); err != nil {
			return err
		}
		if !did {
			break
		}
	}
	return nil
}

// maxHold is how long a merge waits for a writer that is behind its journal, each time.
const maxHold = 20 * time.Second

// yield lets a writer catch up that has more to flush than it can in its interval.
func (m *Merger) yield(ctx context.Context) {
	for held := time.Duration(0); m.l.behind.Load() && held < maxHold && sleep(ctx, time.Second); held += time.Second {
	}
}

// step makes one merge, if there is one to be made. By hand the rules that keep files from being written too often are left out.
func (m *Merger) step(ctx context.Context, kind MergeKind, source string, byHand bool, done func(unit, *merged)) (did bool, err error) {
	if !byHand {
		m.yield(ctx)
	}
	m.one.Lock()
	defer m.one.Unlock()
	defer m.l.beginMerge()()
	if err := ctx.Err(); err != nil {
		return false, nil //nolint:nilerr // the end is no failure
	}
	u, err := m.next(ctx, kind, source, byHand)
	if err != nil || u.store == nil {
		return false, m.unlessEnded(ctx, err)
	}
	began := m.l.o.Now()
	out, err := m.merge(ctx, u)
	if err != nil {
		if err = m.unlessEnded(ctx, err); err == nil {
			return false, nil
		}
		return false, fmt.Errorf("merge table %s, day %s: %w", u.store.name, dayTime(u.day).Format(time.DateOnly), err)
	}
	if out == nil { // the inputs are gone, or cannot be merged: another look tells
		return true, nil
	}
	m.count(out, m.l.o.Now().Sub(began))
	if done != nil {
		done(u, out)
	}
	return true, nil
}

// unlessEnded is nil for what the end of ctx brings about: that is no failure of a merge.
func (m *Merger) unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && !m.l.o.final(err) {
		return nil
	}
	return err
}

// MergeProgress tells of one merge that was made by hand.
type MergeProgress struct {
	Table      string
	Day        time.Time
	Files      int // that became one
	Rows       int64
	Duplicates int64
	Bytes      int64 // of the new file
	Left       int   // files of the days that are not done yet
}

// MergeReport sums up merges.
type MergeReport struct {
	Merges            int
	FilesIn, FilesOut int
	RowsIn, RowsOut   int64
	Duplicates        int64 // rows left out
	BytesIn, BytesOut int64
	Took              time.Duration
}

// Merge merges until nothing is left to do, whatever the intervals say, and also files that would otherwise wait for more: which
// is MergeSmall for files below SmallBytes, else it makes files of up to LargeBytes. Source is a table; "" is all of them. An
// unknown one is [ErrNoTable]. Progress, when not nil, is told of each merge.
func (m *Merger) Merge(ctx context.Context, which MergeKind, source string, progress func(MergeProgress)) (MergeReport, error) {
	var r MergeReport
	began := m.l.o.Now()
	err := m.apart(func() error { return m.byHand(ctx, which, source, &r, progress) })
	r.Took = m.l.o.Now().Sub(began)
	return r, err
}

func (m *Merger) byHand(ctx context.Context, which MergeKind, source string, r *MergeReport, progress func(MergeProgress)) error {
	if source != "" {
		tables, err := m.l.catalog.Tables(ctx)
		if err != nil {
			return err
		}
		if _, ok := tables[source]; !ok {
			return fmt.Errorf("%w: %s", ErrNoTable, source)
		}
	}
	for {
		did, err := m.step(ctx, which, source, true, func(u unit, out *merged) {
			r.add(out)
			if progress != nil {
				progress(MergeProgress{
					Table: u.store.name, Day: dayTime(u.day), Files: out.filesIn, Rows: out.rowsOut, Duplicates: out.rowsIn - out.rowsOut,
					Bytes: out.bytesOut, Left: u.left - out.filesIn,
				})
			}
		})
		if err = errors.Join(err, ctx.Err()); err != nil || !did {
			return err
		}
	}
}

func (r *MergeReport) add(out *merged) {
	r.Merges++
	r.FilesIn += out.filesIn
	r.FilesOut++
	r.RowsIn += out.rowsIn
	r.RowsOut += out.rowsOut
	r.Duplicates += out.rowsIn - out.rowsOut
	r.BytesIn += out.bytesIn
	r.BytesOut += out.bytesOut
}
