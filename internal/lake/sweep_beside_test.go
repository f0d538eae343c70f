package lake

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"firth/internal/event"
)

// TestTendingBesideAWriter sweeps without pause, with hardly a grace, while a writer flushes and mergers merge and a reader counts: no
// count is ever wrong, and in the end nothing is left over.
func TestTendingBesideAWriter(t *testing.T) {
	e := newEnv(t)
	e.o.Sources = []string{"production"}
	e.o.Every = time.Millisecond
	ctx := t.Context()
	l, err := Open(ctx, e.o)
	if err != nil {
		t.Fatal(err)
	}
	d := &tended{lakeEnv: e, l: l, tender: l.Tender(TendOptions{Grace: 100 * time.Millisecond, Every: time.Millisecond})}
	defer func() { d.close() }()
	r, err := OpenReader(ctx, e.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	total := uint64(3000)
	if testing.Short() {
		total = 800
	}
	var wait sync.WaitGroup
	run := func(fn func(context.Context) error) context.CancelFunc {
		ctx, cancel := context.WithCancel(ctx)
		wait.Go(func() {
			if err := fn(ctx); err != nil {
				t.Error(err)
			}
		})
		return cancel
	}
	stop := run(l.Writer(e.journal, e.journal).Run)
	stopTender := run(d.tender.Run)
	merger := l.Merger(MergeOptions{SmallEvery: 5 * time.Millisecond, LargeEvery: 20 * time.Millisecond, Temp: t.TempDir()})
	stopMerger := run(merger.Run)
	c := newCorpus(95, testStart)
	wait.Go(func() {
		for e.journal.end() < total {
			e.journal.calls("production", c.calls(5)...)
			time.Sleep(time.Millisecond) // so that there are many flushes
		}
	})
	for seen := uint64(0); seen < total; {
		snap, err := r.Snapshot(ctx, "production")
		if err != nil {
			t.Fatal(err)
		}
		rows, position := uint64(0), snap.Positions[testLog]
		err = r.Calls(ctx, snap, testLog, 0, 1<<62, func(*event.Call) error { rows++; return nil })
		if errors.Is(err, ErrFileGone) {
			continue // this reader was slower than the grace: a newer snapshot does without the file
		}
		if err != nil {
			t.Fatal(err)
		}
		if rows != position || rows < seen {
			t.Fatalf("%d rows at position %d, after %d", rows, position, seen)
		}
		seen = rows
	}
	stop()
	stopMerger()
	waitFor(t, func() bool { return d.tender.Stats().SweptFiles > 0 })
	stopTender()
	wait.Wait()
	if s := d.tender.State(); s.State != StateOK {
		t.Errorf("the tender says %+v", s)
	}
	d.mustRound()
	time.Sleep(150 * time.Millisecond) // the grace
	d.mustRound()
	d.wantClean("production")
	d.wantClean(DeadLetters)
	if n := len(e.rows("production")); n != int(total) {
		t.Errorf("%d rows, want %d", n, total)
	}
}
