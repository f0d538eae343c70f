package journal_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"firth/internal/disk"
	"firth/internal/disk/disktest"
	"firth/internal/journal"
)

// fill appends until an append is refused and counts those that were taken.
func fill(t *testing.T, j *journal.Journal, payload string) (n int, err error) {
	t.Helper()
	for n < 10_000 {
		if _, err = j.Append(t.Context(), []byte(payload), 1); err != nil {
			return n, err
		}
		n++
	}
	t.Fatal("it never fills up")
	return n, nil
}

func TestFullDiskHeals(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{SegmentBytes: 4 << 10}.WithTend(time.Millisecond))
	payload := strings.Repeat("x", 1000)
	fsys.SetCapacity(10_500)
	n, err := fill(t, j.Journal, payload)
	if !errors.Is(err, journal.ErrFull) || !errors.Is(err, syscall.ENOSPC) || journal.Hint(err) == "" {
		t.Errorf("on a full disk: %v", err)
	}
	s := j.Stats()
	if s.State != journal.StateFull || s.Err == nil || s.Hint == "" || s.Bytes != fsys.Used() {
		t.Errorf("%+v with %d bytes used", s, fsys.Used())
	}
	if frames := mustRead(t, j.Journal, 0); len(frames) != n {
		t.Errorf("%d frames of the %d that were taken", len(frames), n)
	}

	fsys.SetCapacity(1 << 20)
	eventually(t, "it heals without an append", func() bool { return j.Stats().State == journal.StateReady })
	if e := mustAppend(t, j.Journal, payload, 1); e.Offset != uint64(n) {
		t.Errorf("offset %d after %d appends", e.Offset, n)
	}
	if s := j.Stats(); s.Bytes != fsys.Used() {
		t.Errorf("the partial write or the probe was left: %d bytes counted, %d used", s.Bytes, fsys.Used())
	}
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	j = start(t, fsys, journal.Options{})
	if frames := mustRead(t, j.Journal, 0); len(frames) != n+1 {
		t.Errorf("%d frames after a restart, %d were acknowledged", len(frames), n+1)
	}
}

// A full disk heals by the next append as well, before anybody looks after it.
func TestFullDiskHealsByAppend(t *testing.T) {
	for _, errno := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		fsys := disktest.New()
		j := start(t, fsys, journal.Options{}.WithTend(time.Hour))
		fsys.Fault(disktest.FailNth(disktest.Write, 0, &disktest.Torn{Keep: 50, Err: errno}))
		if _, err := j.Append(t.Context(), []byte("refused"), 1); !errors.Is(err, journal.ErrFull) || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
		mustAppend(t, j.Journal, "taken", 1)
		if s := j.Stats(); s.State != journal.StateReady || s.Err != nil {
			t.Errorf("%v: %+v", errno, s)
		}
		if frames := mustRead(t, j.Journal, 0); len(frames) != 1 || string(frames[0].Payload) != "taken" {
			t.Errorf("%v: read %v", errno, frames)
		}
	}
}

// A journal on a full disk can be opened, so that the lake can take over what is in it.
func TestOpenOnFullDisk(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{})
	mustAppend(t, j.Journal, "kept", 1)
	after := fsys.Crash(nil, 1)
	after.SetCapacity(0)
	j = start(t, after, journal.Options{})
	if _, err := j.Append(t.Context(), []byte("refused"), 1); !errors.Is(err, journal.ErrFull) {
		t.Errorf("append: %v", err)
	}
	if frames := mustRead(t, j.Journal, 0); len(frames) != 1 {
		t.Errorf("%d frames", len(frames))
	}
	if err := j.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestBudget(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{MaxBytes: 20_000}.WithTend(time.Hour))
	payload := strings.Repeat("x", 1000)
	n, err := fill(t, j.Journal, payload)
	if !errors.Is(err, journal.ErrFull) || !strings.Contains(err.Error(), "journal.max_bytes") {
		t.Errorf("beyond the budget: %v", err)
	}
	if s := j.Stats(); s.State != journal.StateFull || s.Bytes > s.MaxBytes || n < 17 || s.Segments < 4 {
		t.Errorf("after %d appends: %+v", n, s)
	}
	if err := j.Trim(uint64(n)); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.State != journal.StateReady || s.Bytes > 5000 {
		t.Errorf("after the trim: %+v", s)
	}
	mustAppend(t, j.Journal, payload, 1)
}

func TestMinFree(t *testing.T) {
	fsys := disktest.New()
	fsys.SetCapacity(100_000)
	j := start(t, fsys, journal.Options{MinFree: 50_000}.WithTend(time.Millisecond))
	if _, err := fill(t, j.Journal, strings.Repeat("x", 1000)); !errors.Is(err, journal.ErrFull) {
		t.Errorf("append: %v", err)
	}
	if free := 100_000 - fsys.Used(); free < 50_000 || free > 52_000 {
		t.Errorf("%d bytes are free", free)
	}
	fsys.SetCapacity(300_000)
	eventually(t, "it heals", func() bool { return j.Stats().State == journal.StateReady })
}

// A new segment that cannot be begun refuses for now, whatever the reason; the tail stays usable.
func TestRotationFails(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{SegmentBytes: 1000}.WithTend(time.Hour))
	for range 2 {
		mustAppend(t, j.Journal, strings.Repeat("x", 400), 1)
	}
	fsys.Fault(disktest.FailNth(disktest.Create, 0, syscall.EMFILE))
	if _, err := j.Append(t.Context(), make([]byte, 400), 1); !errors.Is(err, journal.ErrFull) || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("append: %v", err)
	}
	if e := mustAppend(t, j.Journal, strings.Repeat("y", 400), 1); e.Offset != 2 {
		t.Errorf("offset %d", e.Offset)
	}
}

// A failed sync or write is final: nothing is tried again, nothing more is acknowledged, what was can still be read.
func TestFailsForGood(t *testing.T) {
	eio := syscall.EIO
	for name, fault := range map[string]func(disktest.Op) error{
		"sync":           disktest.FailNth(disktest.Sync, 0, eio),
		"write":          disktest.FailNth(disktest.Write, 0, &disktest.Torn{Keep: 30, Err: eio}),
		"disk full sync": disktest.FailNth(disktest.Sync, 0, syscall.ENOSPC),
		"undo": func(o disktest.Op) error {
			switch o.Kind {
			case disktest.Write:
				return syscall.ENOSPC
			case disktest.Truncate:
				return eio
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := disktest.New()
			j := start(t, fsys, journal.Options{}.WithTend(time.Millisecond))
			mustAppend(t, j.Journal, "before", 1)
			fsys.Fault(fault)
			_, err := j.Append(t.Context(), []byte("lost"), 1)
			if !errors.Is(err, journal.ErrFailed) || journal.Hint(err) == "" {
				t.Errorf("append: %v", err)
			}
			fsys.Fault(nil)
			ops := fsys.Ops()
			if _, err := j.Append(t.Context(), []byte("refused"), 1); !errors.Is(err, journal.ErrFailed) {
				t.Errorf("the next append: %v", err)
			}
			if s := j.Stats(); s.State != journal.StateFailed || s.Err == nil || s.Hint == "" || s.Next != 1 {
				t.Errorf("%+v", s)
			}
			if frames := mustRead(t, j.Journal, 0); len(frames) != 1 {
				t.Errorf("%d frames", len(frames))
			}
			if err := j.stop(); !errors.Is(err, journal.ErrFailed) {
				t.Errorf("run: %v", err)
			}
			if n := fsys.Ops() - ops; n != 0 {
				t.Errorf("%d operations after the failure", n)
			}
		})
	}
}

func TestRotationSyncFails(t *testing.T) {
	for _, kind := range []disktest.Kind{disktest.Sync, disktest.SyncDir} {
		fsys := disktest.New()
		j := start(t, fsys, journal.Options{SegmentBytes: 1000})
		for range 2 {
			mustAppend(t, j.Journal, strings.Repeat("x", 400), 1)
		}
		fsys.Fault(disktest.FailNth(kind, 0, syscall.EIO))
		if _, err := j.Append(t.Context(), make([]byte, 400), 1); !errors.Is(err, journal.ErrFailed) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// After a failed sync the data can be read but is not on the disk. A new start must not hand it to a reader before it is:
// the reader would take over offsets that a power cut frees again.
func TestRestartAfterFailedSync(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{})
	mustAppend(t, j.Journal, "acknowledged", 1)
	fsys.Fault(disktest.FailNth(disktest.Sync, 0, syscall.EIO))
	if _, err := j.Append(t.Context(), []byte("not acknowledged"), 1); !errors.Is(err, journal.ErrFailed) {
		t.Fatalf("append: %v", err)
	}
	_ = j.stop()

	j = start(t, fsys, journal.Options{})
	seen := mustRead(t, j.Journal, 0)
	if len(seen) != 2 {
		t.Fatalf("%d frames", len(seen))
	}
	j = start(t, fsys.Crash(nil, 0), journal.Options{})
	if frames := mustRead(t, j.Journal, 0); len(frames) != len(seen) {
		t.Errorf("%d frames after the power cut; a reader had seen %d", len(frames), len(seen))
	}
}

// A panic under the writer fails the journal instead of leaving its callers to wait.
func TestPanicFails(t *testing.T) {
	fsys := disktest.New()
	var armed atomic.Bool
	j, err := journal.Open(fsys, dir, journal.Options{Now: func() time.Time {
		if armed.Load() {
			panic("no time")
		}
		return time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := run(j)
	armed.Store(true)
	if _, err := j.Append(context.Background(), nil, 1); !errors.Is(err, journal.ErrFailed) {
		t.Errorf("append: %v", err)
	}
	if err := r.stop(); !errors.Is(err, journal.ErrFailed) || !strings.Contains(err.Error(), "no time") {
		t.Errorf("run: %v", err)
	}
}

// Open says what is wrong and leaves nothing open when the file system fails it.
func TestOpenFails(t *testing.T) {
	base := disktest.New()
	j := start(t, base, journal.Options{})
	mustAppend(t, j.Journal, "x", 1)
	for _, kind := range []disktest.Kind{disktest.ReadDir, disktest.Open, disktest.Read, disktest.Sync, disktest.SyncDir, disktest.Stat} {
		fsys := base.Crash(nil, 1)
		fsys.Fault(disktest.FailNth(kind, 0, syscall.EIO))
		if _, err := journal.Open(fsys, dir, journal.Options{}); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	random := journal.Options{Random: strings.NewReader("short")}
	if _, err := journal.Open(disktest.New(), dir, random); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without randomness: %v", err)
	}
	var file disk.FS = base
	if _, err := journal.Open(file, segment(1), journal.Options{}); err == nil {
		t.Error("a file was opened as a journal")
	}
}
