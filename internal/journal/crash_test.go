package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"firth/internal/disk/disktest"
	"firth/internal/journal"
)

// ledger is what a journal's users know: what was acknowledged, what a reader has seen, what was given up.
type ledger struct {
	mu      sync.Mutex
	tried   map[string]bool          // payloads, each tried once
	acked   map[string]journal.Entry // by payload
	seen    map[uint64]string        // by offset
	next    uint64                   // behind the last frame seen
	trimmed uint64
	seq     int
	pause   func() // what work does before each shutdown
}

func newLedger() *ledger {
	return &ledger{tried: map[string]bool{}, acked: map[string]journal.Entry{}, seen: map[uint64]string{}}
}

// append appends a payload never used before.
func (l *ledger) append(t testing.TB, j *journal.Journal, size, count int) error {
	l.mu.Lock()
	l.seq++
	payload := fmt.Sprintf("%d:%s", l.seq, strings.Repeat("z", size))
	l.tried[payload] = true
	l.mu.Unlock()
	e, err := j.Append(t.Context(), []byte(payload), count)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[payload] = e
	return nil
}

// read notes what a reader sees, which must stay true from then on.
func (l *ledger) read(j *journal.Journal) error {
	frames, err := read(j, j.Stats().Oldest)
	for _, f := range frames {
		l.seen[f.Offset] = string(f.Payload)
		l.next = f.Offset + uint64(f.Count)
	}
	return err
}

// trim gives up what was read.
func (l *ledger) trim(j *journal.Journal) error {
	l.trimmed = max(l.trimmed, l.next)
	return j.Trim(l.trimmed)
}

// check holds a journal against the ledger: every acknowledged append is there once, in order, where it was said to be, and
// whatever a reader saw is still there.
func (l *ledger) check(j *journal.Journal) error {
	frames, err := read(j, j.Stats().Oldest)
	if err != nil {
		return err
	}
	found := map[string]journal.Frame{}
	offsets := map[uint64]string{}
	var next uint64
	var last int64
	for i, f := range frames {
		payload := string(f.Payload)
		if _, twice := found[payload]; twice || !l.tried[payload] {
			return fmt.Errorf("frame %d at offset %d: %.30q is there twice or was never appended", i, f.Offset, payload)
		}
		if i > 0 && f.Offset != next || f.ReceivedAt < last {
			return fmt.Errorf("frame %d: offset %d after %d, received %d after %d", i, f.Offset, next, f.ReceivedAt, last)
		}
		next, last = f.Offset+uint64(f.Count), f.ReceivedAt
		found[payload], offsets[f.Offset] = f, payload
	}
	for payload, e := range l.acked {
		f, ok := found[payload]
		switch {
		case !ok && e.Offset >= l.trimmed:
			return fmt.Errorf("%.30q, acknowledged at offset %d, is lost", payload, e.Offset)
		case ok && (f.Offset != e.Offset || f.ReceivedAt != e.ReceivedAt):
			return fmt.Errorf("%.30q was acknowledged as %+v and is found as %d, %d", payload, e, f.Offset, f.ReceivedAt)
		}
	}
	for offset, payload := range l.seen {
		if offsets[offset] != payload && offset >= l.trimmed {
			return fmt.Errorf("a reader saw %.30q at offset %d; now %.30q is there", payload, offset, offsets[offset])
		}
	}
	if s := j.Stats(); s.Next < l.trimmed {
		return fmt.Errorf("the next offset is %d, but %d were trimmed", s.Next, l.trimmed)
	}
	return nil
}

// work does all that can be done to a journal, twice; the first time that something fails is the last one.
func (l *ledger) work(t testing.TB, fsys *disktest.FS, o journal.Options) error {
	for range 2 {
		j, err := tryStart(fsys, o)
		if err != nil {
			return err
		}
		steps := []func() error{
			func() error { return l.append(t, j.Journal, 10, 1) },
			func() error { return l.append(t, j.Journal, 1500, 3) },
			func() error { return l.read(j.Journal) },
			func() error { return l.append(t, j.Journal, 700, 1) }, // a new segment
			func() error { return l.append(t, j.Journal, 900, 2) },
			func() error { return l.append(t, j.Journal, 900, 1) }, // a new segment
			func() error { return l.read(j.Journal) },
			func() error { return l.trim(j.Journal) }, // two segments go, and the tail
			func() error { return l.append(t, j.Journal, 600, 1) },
		}
		var failed error
		for _, step := range steps {
			failed = errors.Join(failed, step())
		}
		if l.pause != nil {
			l.pause()
		}
		if failed != nil {
			return errors.Join(failed, j.stop())
		}
		if err := j.stop(); err != nil {
			return err
		}
	}
	return nil
}

// crashes are some of the ways in which the unsynced part of a disk may be found after the power went.
func crashes(fsys *disktest.FS, seed int) map[string]*disktest.FS {
	found := map[string]*disktest.FS{
		"nothing unsynced kept": fsys.Crash(nil, 0),
		"all kept":              fsys.Crash(nil, 1),
	}
	for i := range 5 {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
		found[fmt.Sprint("some kept ", i)] = fsys.Crash(rng, rng.Float64())
	}
	return found
}

// afterCrash opens what a crash left, checks it, works on, and checks again after another crash.
func (l *ledger) afterCrash(t *testing.T, fsys *disktest.FS, o journal.Options) {
	t.Helper()
	l = l.clone()
	j, err := tryStart(fsys, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer func() { _ = j.stop() }()
	if err := l.check(j.Journal); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return l.read(j.Journal) },
		func() error { return l.append(t, j.Journal, 300, 1) },
		func() error { return l.append(t, j.Journal, 800, 2) },
	} {
		if err := step(); err != nil {
			t.Fatalf("after the crash: %v", err)
		}
	}
	again, err := tryStart(fsys.Crash(nil, 0), o)
	if err != nil {
		t.Fatalf("open after a second crash: %v", err)
	}
	defer func() { _ = again.stop() }()
	if err := l.check(again.Journal); err != nil {
		t.Fatalf("after a second crash: %v", err)
	}
}

func (l *ledger) clone() *ledger {
	c := newLedger()
	c.next, c.trimmed, c.seq = l.next, l.trimmed, l.seq
	for k := range l.tried {
		c.tried[k] = true
	}
	for k, v := range l.acked {
		c.acked[k] = v
	}
	for k, v := range l.seen {
		c.seen[k] = v
	}
	return c
}

func crashOptions() journal.Options {
	clock := newClock()
	clock.step = 10
	return journal.Options{SegmentBytes: 2000, Now: clock.Now}
}

// The power goes at every single operation that changes the disk.
func TestCrashAtEveryOperation(t *testing.T) {
	whole := disktest.New()
	if err := newLedger().work(t, whole, crashOptions()); err != nil {
		t.Fatal(err)
	}
	total := whole.Ops()
	t.Logf("%d operations", total)
	for at := range total {
		fsys, l := disktest.New(), newLedger()
		fsys.Fault(disktest.PowerOffAt(at))
		if err := l.work(t, fsys, crashOptions()); err != nil && !errors.Is(err, disktest.ErrPowerOff) {
			t.Fatalf("operation %d: %v", at, err)
		}
		for how, found := range crashes(fsys, at) {
			t.Run(fmt.Sprintf("%d/%s", at, how), func(t *testing.T) { l.afterCrash(t, found, crashOptions()) })
		}
	}
}

// Every single operation, reads among them, fails once, and everybody goes on as well as they can.
func TestFaultAtEveryOperation(t *testing.T) {
	errnos := []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EMFILE}
	if testing.Short() {
		errnos = errnos[:1]
	}
	for _, errno := range errnos {
		for at := 0; ; at++ {
			fsys, l := disktest.New(), newLedger()
			ops := 0
			fsys.Fault(func(o disktest.Op) error {
				if ops++; ops-1 != at {
					return nil
				}
				if o.Kind == disktest.Write {
					return &disktest.Torn{Keep: o.Len / 2, Err: errno}
				}
				return errno
			})
			l.pause = func() {
				found := fsys.Crash(nil, 0)
				t.Run(fmt.Sprintf("%v/%d", errno, at), func(t *testing.T) { l.afterCrash(t, found, crashOptions()) })
			}
			for range 3 { // each ends after an error
				_ = l.work(t, fsys, crashOptions())
			}
			if ops <= at {
				break
			}
		}
	}
}

// The process dies at every single operation that changes the disk, and only later the power goes: what the first process
// had written but not synced was there for the second one to see.
func TestKillAtEveryOperation(t *testing.T) {
	for at := 0; ; at++ {
		fsys, l := disktest.New(), newLedger()
		fsys.Fault(disktest.PowerOffAt(at))
		if err := l.work(t, fsys, crashOptions()); err != nil && !errors.Is(err, disktest.ErrPowerOff) {
			t.Fatalf("operation %d: %v", at, err)
		}
		if fsys.Ops() <= at {
			return
		}
		fsys.Fault(nil)
		t.Run(fmt.Sprint(at), func(t *testing.T) { l.afterCrash(t, fsys, crashOptions()) })
	}
}

// The power goes a second time, at every operation of the recovery from a torn write.
func TestCrashDuringRecovery(t *testing.T) {
	fsys, l := disktest.New(), newLedger()
	o := crashOptions()
	o.SegmentBytes = 1 << 20
	j := start(t, fsys, o)
	for range 3 {
		if err := l.append(t, j.Journal, 500, 1); err != nil {
			t.Fatal(err)
		}
	}
	fsys.Fault(disktest.PowerOffAt(fsys.Ops() + 1)) // the sync of the next append
	if err := l.append(t, j.Journal, 5000, 1); !errors.Is(err, journal.ErrFailed) {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		torn := fsys.Crash(rand.New(rand.NewPCG(seed, 0)), 0.6)
		for at := 0; ; at++ {
			again := torn.Crash(nil, 1)
			again.Fault(disktest.PowerOffAt(at))
			j, err := journal.Open(again, dir, crashOptions())
			if err == nil {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				break // the recovery has fewer operations
			}
			for how, found := range crashes(again, at) {
				t.Run(fmt.Sprintf("%d/%d/%s", seed, at, how), func(t *testing.T) { l.afterCrash(t, found, crashOptions()) })
			}
		}
	}
}

// Many callers at once, groups of all sizes, and the power goes at any moment.
func TestCrashUnderLoad(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		fsys, l := disktest.New(), newLedger()
		fsys.Fault(disktest.PowerOffAt(12 + rng.IntN(60)))
		o := journal.Options{SegmentBytes: 8000}
		if j, err := tryStart(fsys, o); err == nil {
			l.load(t, j.Journal, uint64(seed))
			_ = j.stop()
		}
		found := fsys.Crash(rng, rng.Float64())
		t.Run(fmt.Sprint(seed), func(t *testing.T) { l.afterCrash(t, found, o) })
	}
}

// load appends by several callers, beside a reader, until the journal fails.
func (l *ledger) load(t *testing.T, j *journal.Journal, seed uint64) {
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(c)))
			for l.append(t, j, rng.IntN(3000), 1+rng.IntN(3)) == nil {
			}
		})
	}
	var reader sync.WaitGroup
	done := make(chan struct{})
	reader.Go(func() {
		r := j.Read(0)
		defer func() { _ = r.Close() }()
		for {
			f, err := r.Next()
			if err == nil {
				l.seen[f.Offset] = string(bytes.Clone(f.Payload))
				continue
			}
			if !errors.Is(err, io.EOF) || j.Stats().State == journal.StateFailed {
				return // what cannot be read when the power is off
			}
			select {
			case <-done:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	wg.Wait()
	close(done)
	reader.Wait()
}
