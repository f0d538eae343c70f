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
// for FIRTH_LONG, or ten seconds: every reader's count is right at every moment, and the end equals the input.
func TestEverythingAtOnce(t *testing.T) {
	length := lengthOfTest(t)
	e := newEnv(t)
	e.o.Every, e.o.Sources = 50*time.Millisecond, []string{"production", "staging"}
	l := mustOpen(t, e.o)
	defer closeIt(t, l)
	to := &together{
		lakeEnv: e, l: l, journal: &rollJournal{start: time.Now(), grown: make(chan struct{})},
		merger: l.Merger(MergeOptions{SmallEvery: 200 * time.Millisecond, LargeEvery: time.Second, SmallBytes: 200 << 10, LargeBytes: 2 << 20, Temp: t.TempDir()}),
		tender: l.Tender(TendOptions{Every: 300 * time.Millisecond, Grace: 5 * time.Second, Keep: sweepKeep}),
	}
	w := l.Writer(to.journal, to.journal)
	to.run(w, length)
	if _, err := to.tender.Expire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	to.wantEnd()
	m, s := to.merger.Stats(), to.tender.Stats()
	t.Logf("%d events, %d flushes, %d counts; mergers %+v; tender %+v", to.journal.next.Load(), w.Stats().Flushes, to.counts.Load(), m, s)
	if to.counts.Load() == 0 || m.Merges == 0 || s.DroppedFiles == 0 || w.Stats().Flushes < 3 || s.SweptFiles == 0 && length >= 10*time.Second {
		t.Error("not everything was going on")
	}
}

// lengthOfTest is how long everything goes on.
func lengthOfTest(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("FIRTH_LONG")
	switch {
	case text != "":
		length, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("FIRTH_LONG is to be a span such as 10m: %v", err)
		}
		return length
	case testing.Short():
		return 3 * time.Second
	default:
		return 10 * time.Second
	}
}

// together is a lake at which everything goes on at once.
type together struct {
	*lakeEnv
	l       *Lake
	journal *rollJournal
	merger  *Merger
	tender  *Tender
	counts  atomic.Int64 // of readers, all right
}

// run has events come in, and all else go on beside, for as long as is said; the writer ends last.
func (to *together) run(w *Writer, length time.Duration) {
	to.t.Helper()
	work, stop := context.WithCancel(context.Background()) // of all but the writer
	defer stop()
	g, work := errgroup.WithContext(work)
	to.tend(g, work)
	to.read(g, work)
	writing, rest := context.WithCancel(context.Background())
	defer rest()
	wrote := make(chan error, 1)
	go func() { wrote <- w.Run(writing) }()
	for end := time.Now().Add(length); time.Now().Before(end) && work.Err() == nil; {
		to.journal.grow(10)
		sleep(work, 100*time.Millisecond)
	}
	stop()
	if err := g.Wait(); err != nil {
		to.t.Fatal(err)
	}
	rest()
	if err := <-wrote; err != nil {
		to.t.Fatal(err)
	}
}

// tend starts what changes the lake beside its writer, and backups.
func (to *together) tend(g *errgroup.Group, work context.Context) {
	g.Go(func() error { return to.merger.Run(work) })
	g.Go(func() error { return to.tender.Run(work) })
	// Retention by hand drops what has just been received, too; the sweeper of both is one.
	loop(g, work, 700*time.Millisecond, func() error { _, err := to.tender.Expire(work, nil); return err })
	loop(g, work, 3*time.Second, func() error { _, err := to.l.Backup(work, to.dir+"/backup", nil); return err })
}

// read starts the readers, one of which scrubs as well.
func (to *together) read(g *errgroup.Group, work context.Context) {
	for i, source := range []string{"production", "production", "staging"} {
		r := newReader(to.t, to.lakeEnv)
		if i == 0 {
			g.Go(func() error {
				return r.Scrub(work, 100<<20, func(err error) { to.t.Error(err) })
			})
		}
		last := uint64(0) // owned by the loop
		loop(g, work, 10*time.Millisecond, func() (err error) {
			last, err = to.count(work, r, source, last)
			return err
		})
	}
}

// belongs says which of the calls belong to a source.
func belongs(source string) rolled {
	if source == "staging" {
		return rolledElse
	}
	return rolledOnce
}

// count counts the rows of a source's present snapshot, and returns its position, which is not below the last.
func (to *together) count(work context.Context, r *Reader, source string, last uint64) (uint64, error) {
	snap, err := r.Snapshot(work, source)
	if err != nil {
		return last, err
	}
	p := snap.Positions[testLog]
	if p < last {
		return last, fmt.Errorf("%s: the position went back from %d to %d", source, last, p)
	}
	if p == 0 {
		return p, nil
	}
	began := time.Now()
	err = to.journal.count(r, snap, belongs(source), false)
	if errors.Is(err, ErrFileGone) && time.Since(began) > 4*time.Second {
		return p, nil // longer than the grace: the machine was busy
	}
	if err != nil {
		return p, fmt.Errorf("%s, snapshot %d: %w", source, snap.ID, err)
	}
	to.counts.Add(1)
	return p, nil
}

// wantEnd compares what is there in the end with what came in.
func (to *together) wantEnd() {
	to.t.Helper()
	r := newReader(to.t, to.lakeEnv)
	for _, source := range []string{"production", "staging"} {
		snap, err := r.Snapshot(context.Background(), source)
		if err != nil {
			to.t.Fatal(err)
		}
		if err := to.journal.count(r, snap, belongs(source), true); err != nil {
			to.t.Errorf("in the end, %s: %v", source, err)
		}
		if p := snap.Positions[testLog]; p+2*rollRecord < to.journal.next.Load() {
			to.t.Errorf("%s: the position is %d of %d", source, p, to.journal.next.Load())
		}
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
