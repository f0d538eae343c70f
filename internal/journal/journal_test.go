package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"firth/internal/disk"
	"firth/internal/disk/disktest"
	"firth/internal/journal"
)

const dir = "/data/journal"

// clock is a clock that stands still unless it is set or has a step.
type clock struct {
	mu   sync.Mutex
	at   time.Time
	step time.Duration
}

func newClock() *clock { return &clock{at: time.UnixMicro(1_700_000_000_000_000).UTC()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(c.step)
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// running is a journal with its writer.
type running struct {
	*journal.Journal
	stop func() error // ends Run, closes the journal and gives what Run returned
}

// start opens a journal and runs it. What is not stopped by the test is stopped at its end.
func start(t testing.TB, fsys disk.FS, o journal.Options) running {
	t.Helper()
	r, err := tryStart(fsys, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.stop() })
	return r
}

func tryStart(fsys disk.FS, o journal.Options) (running, error) {
	j, err := journal.Open(fsys, dir, o)
	if err != nil {
		return running{}, err
	}
	return run(j), nil
}

func run(j *journal.Journal) running {
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- j.Run(ctx) }()
	return running{Journal: j, stop: sync.OnceValue(func() error {
		cancel()
		err := <-ran
		if closing := j.Close(); err == nil {
			err = closing
		}
		return err
	})}
}

func mustAppend(t testing.TB, j *journal.Journal, payload string, count int) journal.Entry {
	t.Helper()
	e, err := j.Append(t.Context(), []byte(payload), count)
	if err != nil {
		t.Fatalf("append %.20q: %v", payload, err)
	}
	return e
}

// read gives all frames from an offset on, with payloads of their own.
func read(j *journal.Journal, from uint64) (frames []journal.Frame, err error) {
	r := j.Read(from)
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
	}
}

func mustRead(t testing.TB, j *journal.Journal, from uint64) []journal.Frame {
	t.Helper()
	frames, err := read(j, from)
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestAppendAndRead(t *testing.T) {
	fsys, clock := disktest.New(), newClock()
	o := journal.Options{Now: clock.Now}
	j := start(t, fsys, o)
	var want []journal.Frame
	put := func(payload string, count int) {
		e := mustAppend(t, j.Journal, payload, count)
		want = append(want, journal.Frame{Offset: e.Offset, Count: count, ReceivedAt: e.ReceivedAt, Payload: []byte(payload)})
	}
	put("one", 1)
	clock.add(time.Millisecond)
	put("a batch of three", 3)
	put("", 1)
	log := j.Log()
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}

	j = start(t, fsys, o)
	put("after a restart", 2)
	if j.Log() != log {
		t.Errorf("the log was %s and is %s", log, j.Log())
	}
	if offsets := []uint64{want[0].Offset, want[1].Offset, want[2].Offset, want[3].Offset}; !cmp.Equal(offsets, []uint64{0, 1, 4, 5}) {
		t.Errorf("offsets %v", offsets)
	}
	for from, first := range []int{0, 1, 1, 1, 2, 3, 3, 4} { // the frame that holds the offset comes first
		if diff := cmp.Diff(want[first:], mustRead(t, j.Journal, uint64(from)), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("read from %d (-want +got):\n%s", from, diff)
		}
	}
	if _, err := read(j.Journal, 8); !errors.Is(err, journal.ErrBeyond) {
		t.Errorf("read beyond the end: %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	j := start(t, disktest.New(), journal.Options{})
	if _, err := j.Append(t.Context(), make([]byte, journal.MaxPayload+1), 1); !errors.Is(err, journal.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	for _, count := range []int{0, -1} {
		if _, err := j.Append(t.Context(), nil, count); err == nil {
			t.Errorf("count %d was taken", count)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Append(ended, nil, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), nil, 1); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("after Run: %v", err)
	}
	if err := j.Wait(t.Context(), 0); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("wait after Run: %v", err)
	}
	if s := j.Stats().State; s != journal.StateClosed {
		t.Errorf("state %v", s)
	}
}

// An append whose context ends before the writer takes it leaves no trace; the ones beside it go on.
func TestAppendGivenUp(t *testing.T) {
	j, err := journal.Open(disktest.New(), dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		journal.Entry
		err error
	}
	given, stays := make(chan result, 1), make(chan result, 1)
	ctx, cancel := context.WithCancel(t.Context())
	appendTo := func(ctx context.Context, payload string, to chan result) {
		before := j.Stats().PendingAppends
		go func() {
			e, err := j.Append(ctx, []byte(payload), 1)
			to <- result{e, err}
		}()
		eventually(t, "the append waits", func() bool { return j.Stats().PendingAppends > before })
	}
	appendTo(ctx, "given up", given)
	appendTo(t.Context(), "stays", stays)
	cancel()
	if r := <-given; !errors.Is(r.err, context.Canceled) {
		t.Errorf("given up: %v", r.err)
	}
	r := run(j)
	defer func() { _ = r.stop() }()
	if r := <-stays; r.err != nil || r.Offset != 0 {
		t.Errorf("stays: offset %d, %v", r.Offset, r.err)
	}
	if frames := mustRead(t, j, 0); len(frames) != 1 || string(frames[0].Payload) != "stays" {
		t.Errorf("read %v", frames)
	}
}

// What was accepted before the shutdown is written, and its callers get their answer.
func TestShutdownDrains(t *testing.T) {
	fsys := disktest.New()
	j, err := journal.Open(fsys, dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if _, err := j.Append(context.Background(), fmt.Append(nil, i), 1); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	eventually(t, "all appends wait", func() bool { return j.Stats().PendingAppends == 100 })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Run(ended); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if n := len(mustRead(t, j, 0)); n != 100 {
		t.Errorf("%d frames", n)
	}
	s := j.Stats()
	if s.Syncs != 1 {
		t.Errorf("%d syncs for what waited together", s.Syncs)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// Readers follow beside appends of all sizes, rotations and trims, and see each frame once, in order.
func TestReadersBesideAppendsAndTrims(t *testing.T) {
	const callers, each = 8, 150
	j := start(t, disktest.New(), journal.Options{SegmentBytes: 32 << 10})
	var appends sync.WaitGroup
	sent := make([]map[uint64]string, callers)
	for c := range callers {
		sent[c] = map[uint64]string{}
		appends.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(c)))
			for i := range each {
				payload := fmt.Sprintf("%d/%d/%s", c, i, bytes.Repeat([]byte{'x'}, rng.IntN(2000)))
				e, err := j.Append(t.Context(), []byte(payload), 1+rng.IntN(5))
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				sent[c][e.Offset] = payload
			}
		})
	}
	got := map[uint64]string{}
	var readers sync.WaitGroup
	readers.Go(func() { follow(t, j.Journal, callers*each, 50, got) })
	appends.Wait()
	readers.Wait()
	want := map[uint64]string{}
	for _, m := range sent {
		for offset, payload := range m {
			want[offset] = payload
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("appended and read (-want +got):\n%s", diff)
	}
	if s := j.Stats(); s.Oldest == 0 || s.Bytes > 300<<10 {
		t.Errorf("not trimmed: %+v", s)
	}
}

// follow reads n frames and trims behind every so many.
func follow(t *testing.T, j *journal.Journal, n, every int, got map[uint64]string) {
	r := j.Read(0)
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	var next uint64
	var last int64
	for len(got) < n {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			if err := j.Wait(t.Context(), next); err != nil {
				t.Error(err)
				return
			}
			continue
		}
		if err != nil || f.Offset != next || f.ReceivedAt < last {
			t.Errorf("offset %d (want %d), received %d (after %d): %v", f.Offset, next, f.ReceivedAt, last, err)
			return
		}
		got[f.Offset] = string(f.Payload)
		next, last = f.Offset+uint64(f.Count), f.ReceivedAt
		if len(got)%every == 0 {
			if err := j.Trim(next); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestReceivedAtNeverGoesBack(t *testing.T) {
	fsys, clock := disktest.New(), newClock()
	o := journal.Options{Now: clock.Now}
	j := start(t, fsys, o)
	first := mustAppend(t, j.Journal, "at noon", 1).ReceivedAt
	clock.add(-time.Hour)
	if e := mustAppend(t, j.Journal, "the clock was set back", 1); e.ReceivedAt != first {
		t.Errorf("received_at %d after %d", e.ReceivedAt, first)
	}
	restart := func() {
		t.Helper()
		if err := j.stop(); err != nil {
			t.Fatal(err)
		}
		j = start(t, fsys, o)
		if got := j.Stats().LastReceivedAt; got != first {
			t.Errorf("after a restart the last received_at is %d, not %d", got, first)
		}
	}
	restart()
	if e := mustAppend(t, j.Journal, "still", 1); e.ReceivedAt != first {
		t.Errorf("received_at %d after %d", e.ReceivedAt, first)
	}
	restart()
	if err := j.Trim(3); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.Oldest != 3 || s.Segments != 1 {
		t.Errorf("not trimmed: %+v", s)
	}
	restart()
	clock.add(time.Hour + time.Microsecond)
	if e := mustAppend(t, j.Journal, "the clock caught up", 1); e.ReceivedAt != first+1 || e.Offset != 3 {
		t.Errorf("received_at %d after %d, offset %d", e.ReceivedAt, first, e.Offset)
	}
}
