package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// rollJournal is a journal whose records are worked out from their offsets, so that it may be as long as it likes: twenty calls a
// record, of today and the two days before, some of them far too old, some sent twice.
type rollJournal struct {
	start time.Time
	next  atomic.Uint64

	mu      sync.Mutex
	trimmed uint64
	grown   chan struct{}
}

const rollRecord = 20

// rolled says what the call at an offset is.
type rolled uint8

const (
	rolledOnce    rolled = iota // it must be there once
	rolledDoomed                // retention drops it, some time
	rolledAgain                 // an earlier call is sent again: it must not be there
	rolledElse                  // it belongs to another table
	rolledRefused               // it is a dead letter
)

func roll(offset uint64) rolled {
	switch {
	case offset%97 == 96:
		return rolledDoomed
	case offset%89 == 88:
		return rolledAgain
	case offset%13 == 12:
		return rolledElse
	case offset%211 == 210:
		return rolledRefused
	}
	return rolledOnce
}

func (j *rollJournal) call(offset uint64, received int64) *event.Call {
	c := &event.Call{
		MessageID: "id-" + strconv.FormatUint(offset, 36), Type: "track", Event: "Event " + strconv.Itoa(int(offset*7%23)), UserID: "user " + strconv.Itoa(int(offset%101)),
		TS: received - int64(offset%3)*microsPerDay - int64(offset%1000)*1000, ReceivedAt: received, SentAt: event.NoTime, OriginalTimestamp: event.NoTime,
		Properties: fmt.Appendf(nil, `{"n":%d}`, offset), Payload: fmt.Appendf(nil, `{"event":"Event","n":%d}`, offset), Log: testLog, Offset: offset,
	}
	switch roll(offset) {
	case rolledDoomed:
		c.TS -= 40 * microsPerDay
	case rolledAgain:
		before := offset - 1
		for roll(before) != rolledOnce {
			before--
		}
		again := j.call(before, received)
		again.Offset = offset
		return again
	}
	return c
}

func (j *rollJournal) grow(records int) {
	j.next.Add(uint64(records) * rollRecord)
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.grown)
	j.grown = make(chan struct{})
}

func (j *rollJournal) Log() string { return testLog }

func (j *rollJournal) Read(from uint64) Cursor {
	return &rollCursor{j: j, at: from / rollRecord * rollRecord}
}

func (j *rollJournal) Extent() (oldest, next uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.trimmed, j.next.Load()
}

func (j *rollJournal) Wait(ctx context.Context, beyond uint64) error {
	for {
		j.mu.Lock()
		grown := j.grown
		j.mu.Unlock()
		if j.next.Load() > beyond {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

func (j *rollJournal) Trim(before uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trimmed = max(j.trimmed, before)
	return nil
}

func (j *rollJournal) Decode(f Frame, _ string, call func(string, *event.Call) error, dead func(*event.DeadLetter) error) error {
	for offset := f.Offset; offset < f.Offset+rollRecord; offset++ {
		var err error
		switch roll(offset) {
		case rolledRefused:
			err = dead(&event.DeadLetter{ReceivedAt: f.ReceivedAt, Reason: "missing_event", Log: testLog, Offset: offset})
		case rolledElse:
			err = call("staging", j.call(offset, f.ReceivedAt))
		default:
			err = call("production", j.call(offset, f.ReceivedAt))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type rollCursor struct {
	j  *rollJournal
	at uint64
}

func (c *rollCursor) Next() (Frame, error) {
	if c.at >= c.j.next.Load() {
		return Frame{}, io.EOF
	}
	f := Frame{Offset: c.at, Count: rollRecord, ReceivedAt: c.j.start.UnixMicro() + int64(c.at)*100}
	c.at += rollRecord
	return f, nil
}

// count reads the offsets of a table's rows and compares them with what the position says: each that belongs there is there once,
// but those that retention may have dropped, and none else is.
func (j *rollJournal) count(r *Reader, snap *Snapshot, of rolled, dropped bool) error {
	position := snap.Positions[testLog]
	seen := make([]uint8, position)
	for _, f := range snap.Files {
		err := withFile(r.verifier, r.calls, f, func(file *rowfile.File[event.Call]) error {
			return file.Scan(rowfile.Scan{Columns: []string{colOffset}}, nil, func(c *event.Call) error {
				if c.Offset >= position {
					return fmt.Errorf("offset %d is there, and the position is %d", c.Offset, position)
				}
				seen[c.Offset]++
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	for offset, n := range seen {
		what := roll(uint64(offset))
		switch {
		case n > 1:
			return fmt.Errorf("offset %d is there %d times; the position is %d", offset, n, position)
		case n == 0 && what == of:
			return fmt.Errorf("offset %d is not there; the position is %d", offset, position)
		case n == 1 && what != of && (what != rolledDoomed || of == rolledElse || dropped):
			return fmt.Errorf("offset %d is there and should not be; the position is %d", offset, position)
		}
	}
	return nil
}

// TestEverythingAtOnce flushes, merges with both mergers, drops old days, expires, sweeps, scrubs, backs up and reads, all at once,
// for FIRTH_LONG minutes, or ten seconds: every reader's count is right at every moment, and the end equals the input.
func TestEverythingAtOnce(t *testing.T) {
	length := 10 * time.Second
	if testing.Short() {
		length = 3 * time.Second
	}
	if text := os.Getenv("FIRTH_LONG"); text != "" {
		minutes, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("FIRTH_LONG is to be a number of minutes: %v", err)
		}
		length = time.Duration(minutes * float64(time.Minute))
	}
	e := newEnv(t)
	e.o.Every, e.o.Sources = 50*time.Millisecond, []string{"production", "staging"}
	ctx := t.Context()
	l, err := Open(ctx, e.o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, l)
	j := &rollJournal{start: time.Now(), grown: make(chan struct{})}
	w := l.Writer(j, j)
	merger := l.Merger(MergeOptions{SmallEvery: 200 * time.Millisecond, LargeEvery: time.Second, SmallBytes: 200 << 10, LargeBytes: 2 << 20, Temp: t.TempDir()})
	tender := l.Tender(TendOptions{Every: 300 * time.Millisecond, Grace: 5 * time.Second, Keep: sweepKeep})

	work, stop := context.WithCancel(ctx) // of all but the writer
	g, work := errgroup.WithContext(work)
	g.Go(func() error { return merger.Run(work) })
	g.Go(func() error { return tender.Run(work) })
	// Retention by hand drops what has just been received, too; the sweeper of both is one.
	loop(g, work, 700*time.Millisecond, func() error { _, err := tender.Expire(work, nil); return err })
	loop(g, work, 3*time.Second, func() error { _, err := l.Backup(work, e.dir+"/backup", nil); return err })
	var counts atomic.Int64
	for i, source := range []string{"production", "production", "staging"} {
		r := newReader(t, e)
		of := rolledOnce
		if source == "staging" {
			of = rolledElse
		}
		if i == 0 {
			g.Go(func() error {
				return r.Scrub(work, 100<<20, func(err error) { t.Error(err) })
			})
		}
		last := uint64(0) // owned by the loop
		loop(g, work, 10*time.Millisecond, func() error {
			snap, err := r.Snapshot(work, source)
			if err != nil {
				return err
			}
			if p := snap.Positions[testLog]; p < last {
				return fmt.Errorf("%s: the position went back from %d to %d", source, last, p)
			} else if last = p; p == 0 {
				return nil
			}
			began := time.Now()
			err = j.count(r, snap, of, false)
			if errors.Is(err, ErrFileGone) && time.Since(began) > 4*time.Second {
				return nil // longer than the grace: the machine was busy
			}
			if err != nil {
				return fmt.Errorf("%s, snapshot %d: %w", source, snap.ID, err)
			}
			counts.Add(1)
			return nil
		})
	}
	writing, rest := context.WithCancel(ctx)
	defer rest()
	wrote := make(chan error, 1)
	go func() { wrote <- w.Run(writing) }()
	for end := time.Now().Add(length); time.Now().Before(end) && work.Err() == nil; {
		j.grow(10)
		sleep(work, 100*time.Millisecond)
	}
	stop()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	rest()
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if _, err := tender.Expire(ctx, nil); err != nil {
		t.Fatal(err)
	}
	r := newReader(t, e)
	for source, of := range map[string]rolled{"production": rolledOnce, "staging": rolledElse} {
		snap, err := r.Snapshot(ctx, source)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.count(r, snap, of, true); err != nil {
			t.Errorf("in the end, %s: %v", source, err)
		}
		if p := snap.Positions[testLog]; p+2*rollRecord < j.next.Load() {
			t.Errorf("%s: the position is %d of %d", source, p, j.next.Load())
		}
	}
	m, s := merger.Stats(), tender.Stats()
	t.Logf("%d events, %d flushes, %d counts; mergers %+v; tender %+v", j.next.Load(), w.Stats().Flushes, counts.Load(), m, s)
	if counts.Load() == 0 || m.Merges == 0 || s.DroppedFiles == 0 || w.Stats().Flushes < 3 || s.SweptFiles == 0 && length >= 10*time.Second {
		t.Error("not everything was going on")
	}
}

// loop calls fn again and again until the context ends.
func loop(g *errgroup.Group, ctx context.Context, pause time.Duration, fn func() error) {
	g.Go(func() error {
		for sleep(ctx, pause) {
			if err := fn(); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	})
}
