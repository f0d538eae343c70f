package journal_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"firth/internal/disk/disktest"
	"firth/internal/journal"
)

func TestTrimDeletesWholeSegments(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{SegmentBytes: 1000})
	for range 10 { // two to a segment
		mustAppend(t, j.Journal, strings.Repeat("x", 400), 1)
	}
	for _, step := range []struct {
		before, oldest uint64
		segments       int
	}{{0, 0, 5}, {1, 0, 5}, {2, 2, 4}, {3, 2, 4}, {7, 6, 2}, {5, 6, 2}, {9, 8, 1}} {
		if err := j.Trim(step.before); err != nil {
			t.Fatal(err)
		}
		s := j.Stats()
		if s.Oldest != step.oldest || s.Segments != step.segments || len(fsys.Names()) != step.segments {
			t.Errorf("trim to %d: oldest %d, %d segments, files %v; want oldest %d and %d segments",
				step.before, s.Oldest, s.Segments, fsys.Names(), step.oldest, step.segments)
		}
		if frames := mustRead(t, j.Journal, s.Oldest); len(frames) != 10-int(step.oldest) {
			t.Errorf("trim to %d: %d frames are left", step.before, len(frames))
		}
		if s.Bytes != fsys.Used() {
			t.Errorf("trim to %d: %d bytes are counted, %d used", step.before, s.Bytes, fsys.Used())
		}
	}
	if _, err := read(j.Journal, 7); !errors.Is(err, journal.ErrTrimmed) {
		t.Errorf("read what is gone: %v", err)
	}
	if err := j.Trim(11); !errors.Is(err, journal.ErrBeyond) {
		t.Errorf("trim beyond the end: %v", err)
	}
	if err := j.Trim(10); err != nil { // the tail goes as well: it is as large as half a segment
		t.Fatal(err)
	}
	if s := j.Stats(); s.Oldest != 10 || s.Bytes > 100 {
		t.Errorf("after a full trim: %+v", s)
	}
}

// A small tail stays at first, for an exchange costs syncs, and goes when the journal is idle.
func TestIdleJournalShrinks(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{}.WithTend(time.Millisecond))
	mustAppend(t, j.Journal, strings.Repeat("x", 100_000), 1)
	if err := j.Trim(1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the journal shrinks", func() bool { return j.Stats().Bytes < 4096 && fsys.Used() < 4096 })
	if e := mustAppend(t, j.Journal, "on", 1); e.Offset != 1 {
		t.Errorf("offset %d", e.Offset)
	}
}

// A reader that is slower than the trim keeps what it has open and is told what it missed.
func TestTrimUnderReader(t *testing.T) {
	j := start(t, disktest.New(), journal.Options{SegmentBytes: 1000})
	for range 10 {
		mustAppend(t, j.Journal, strings.Repeat("x", 400), 1)
	}
	r := j.Read(0)
	defer func() { _ = r.Close() }()
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if err := j.Trim(6); err != nil {
		t.Fatal(err)
	}
	if f, err := r.Next(); err != nil || f.Offset != 1 {
		t.Errorf("the rest of the open segment: offset %d, %v", f.Offset, err)
	}
	if _, err := r.Next(); !errors.Is(err, journal.ErrTrimmed) {
		t.Errorf("behind it: %v", err)
	}
}

func TestTrimFails(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{SegmentBytes: 1000})
	for range 6 {
		mustAppend(t, j.Journal, strings.Repeat("x", 400), 1)
	}
	fsys.Fault(disktest.FailNth(disktest.Remove, 0, syscall.EACCES))
	if err := j.Trim(4); !errors.Is(err, syscall.EACCES) {
		t.Errorf("trim: %v", err)
	}
	mustAppend(t, j.Journal, "on", 1)
	if err := j.Trim(4); err != nil {
		t.Errorf("the next trim: %v", err)
	}
	if s := j.Stats(); s.Oldest != 4 || s.State != journal.StateReady {
		t.Errorf("%+v", s)
	}
}
