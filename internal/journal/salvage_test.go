package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/internal/disk/disktest"
	"firth/internal/journal"
)

func salvage(t testing.TB, fsys *disktest.FS, dry bool) journal.Salvaged {
	t.Helper()
	s, err := journal.Salvage(fsys, dir, journal.Options{Now: newClock().Now}, dry)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kept reads a salvaged journal and checks it against what was written: every frame is as it was or a note in place of lost ones,
// which the report names; offsets have no gap.
func kept(t testing.TB, fsys *disktest.FS, all []journal.Frame, s journal.Salvaged) (whole int) {
	t.Helper()
	_, frames, err := openAndRead(t, fsys)
	if err != nil {
		t.Fatalf("after the salvage: %v", err)
	}
	lost := func(offset uint64) bool {
		return slices.ContainsFunc(s.Lost, func(l journal.Loss) bool { return l.From <= offset && offset < l.To })
	}
	next := all[0].Offset
	for _, f := range frames {
		if f.Offset != next {
			t.Fatalf("offset %d follows %d", f.Offset, next)
		}
		next += uint64(f.Count)
		i := slices.IndexFunc(all, func(a journal.Frame) bool { return a.Offset == f.Offset })
		if lost(f.Offset) {
			if !strings.HasPrefix(string(f.Payload), "lost: journal segment") {
				t.Fatalf("offset %d is lost, and yet there: %q", f.Offset, f.Payload)
			}
			continue
		}
		if i < 0 || cmp.Diff(all[i], f) != "" {
			t.Fatalf("frame at offset %d is none that was written: %+v", f.Offset, f)
		}
		whole++
	}
	for _, f := range all {
		if f.Offset >= next && !lost(f.Offset) {
			t.Fatalf("offset %d is neither there nor said to be lost", f.Offset)
		}
	}
	if end := all[len(all)-1]; next < end.Offset+uint64(end.Count) {
		t.Fatalf("the next offset to be given is %d: %d was given before", next, end.Offset)
	}
	j := start(t, fsys, journal.Options{})
	if e := mustAppend(t, j.Journal, "on", 1); e.Offset != next {
		t.Fatalf("the next append got offset %d, want %d", e.Offset, next)
	}
	_ = j.stop()
	return whole
}

// A flipped bit, wherever it is, is refused by Open and put right by Salvage, and nothing is lost by it.
func TestSalvageFlippedBits(t *testing.T) {
	fsys, all := written(t)
	for n := 1; n <= 3; n++ {
		content := fsys.Content(segment(n))
		for at := range content {
			damaged := fsys.Crash(nil, 0)
			bad := slices.Clone(content)
			bad[at] ^= 1 << (at % 8)
			damaged.SetContent(segment(n), bad)
			if _, _, err := openAndRead(t, damaged); !isDamage(err, segment(n)) {
				t.Fatalf("segment %d, byte %d: %v", n, at, err)
			}
			s := salvage(t, damaged, false)
			if len(s.Lost) > 0 || len(s.Mended) != 1 || s.Mended[0].Path != segment(n) || len(s.Aside) != 1 {
				t.Fatalf("segment %d, byte %d: %+v", n, at, s)
			}
			if at >= 80 && s.Mended[0].Byte != int64(at) {
				t.Fatalf("segment %d, byte %d: byte %d is said to be mended", n, at, s.Mended[0].Byte)
			}
			if got := kept(t, damaged, all, s); got != len(all) {
				t.Fatalf("segment %d, byte %d: %d frames of %d", n, at, got, len(all))
			}
			if !bytes.Equal(damaged.Content(segment(n)+".damaged"), bad) {
				t.Fatalf("segment %d, byte %d: the damaged file was not kept", n, at)
			}
		}
	}
}

// Parts of any length are lost: every frame outside of them is kept.
func TestSalvageRuins(t *testing.T) {
	fsys, all := written(t)
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 600 {
		damaged := fsys.Crash(nil, 0)
		n := 1 + r.IntN(3)
		content := damaged.Content(segment(n))
		from := r.IntN(len(content))
		to := min(len(content), from+2+r.IntN(250))
		if from >= 76 && to <= 80 {
			continue
		}
		for i := from; i < to; i++ {
			content[i] = byte(r.Uint32())
		}
		damaged.SetContent(segment(n), content)
		if _, _, err := openAndRead(t, damaged.Crash(nil, 0)); err == nil {
			continue // the end of the last segment: taken for a write that was cut short, as it must be
		}
		name := fmt.Sprintf("round %d: segment %d, bytes %d to %d", round, n, from, to)
		s := salvage(t, damaged, false)
		whole := kept(t, damaged, all, s)
		touched := 0
		for at, i := 80, first(n); at < len(content) && i < len(all); i++ {
			size := 40 + len(all[i].Payload)
			if at < to && at+size > from {
				touched++
			}
			at += size
		}
		if whole < len(all)-touched {
			t.Fatalf("%s: %d frames of %d are kept, %d were touched: %+v", name, whole, len(all), touched, s)
		}
	}
}

// first is the index of the first frame of a segment of [written].
func first(n int) int { return []int{0, 3, 6}[n-1] }

func TestSalvage(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, fsys *disktest.FS)
		whole int
		lost  string
	}{
		{"nothing", func(*testing.T, *disktest.FS) {}, 8, ""},
		{"a torn write", func(_ *testing.T, fsys *disktest.FS) {
			b := fsys.Content(segment(3))
			fsys.SetContent(segment(3), append(b, b[80:100]...))
		}, 8, ""},
		{"a header of zeros", func(_ *testing.T, fsys *disktest.FS) {
			b := fsys.Content(segment(2))
			clear(b[:80])
			fsys.SetContent(segment(2), b)
		}, 8, ""},
		{"a header and a frame of zeros", func(_ *testing.T, fsys *disktest.FS) {
			b := fsys.Content(segment(2))
			clear(b[:100])
			fsys.SetContent(segment(2), b)
		}, 7, "offsets 6 to 6"},
		{"the first header of zeros", func(_ *testing.T, fsys *disktest.FS) {
			b := fsys.Content(segment(1))
			clear(b[:80])
			fsys.SetContent(segment(1), b)
		}, 8, ""},
		{"a missing file", func(t *testing.T, fsys *disktest.FS) {
			if err := fsys.Remove(segment(2)); err != nil {
				t.Fatal(err)
			}
		}, 5, "offsets 6 to 11"},
		{"a file cut short", func(_ *testing.T, fsys *disktest.FS) {
			fsys.SetContent(segment(1), fsys.Content(segment(1))[:230])
		}, 6, "offsets 1 to 5"},
		{"an empty last file", func(_ *testing.T, fsys *disktest.FS) {
			fsys.SetContent(segment(3), []byte{1})
		}, 6, fmt.Sprintf("offsets 12 to %d", 12+1<<24-1)},
		{"a part that the disk does not give", func(_ *testing.T, fsys *disktest.FS) {
			fsys.Fault(func(op disktest.Op) error {
				if op.Kind == disktest.Read && op.Path == segment(2) {
					return syscall.EIO
				}
				return nil
			})
		}, 5, "offsets 6 to 11"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys, all := written(t)
			tt.spoil(t, fsys)
			before := contents(fsys)
			dry := salvage(t, fsys, true)
			if diff := cmp.Diff(before, contents(fsys)); diff != "" {
				t.Fatalf("a dry run changed files:\n%s", diff)
			}
			s := salvage(t, fsys, false)
			fsys.Fault(nil)
			if diff := cmp.Diff(fmt.Sprint(dry), fmt.Sprint(s)); diff != "" {
				t.Errorf("the dry run told otherwise:\n%s", diff)
			}
			if got := kept(t, fsys, all, s); got != tt.whole {
				t.Errorf("%d whole frames, want %d", got, tt.whole)
			}
			if got := fmt.Sprint(s.Lost); (tt.lost == "") != (len(s.Lost) == 0) || !strings.Contains(got, tt.lost) {
				t.Errorf("lost is %s, want %q", got, tt.lost)
			}
			if again := salvage(t, fsys, false); len(again.Lost)+len(again.Mended)+len(again.Aside) > 0 {
				t.Errorf("a second salvage finds %+v", again)
			}
		})
	}
}

func contents(fsys *disktest.FS) map[string]string {
	out := map[string]string{}
	for _, name := range fsys.Names() {
		out[name] = string(fsys.Content(name))
	}
	return out
}

// A crash at any moment of a salvage leaves what can be salvaged.
func TestSalvageSurvivesCrashes(t *testing.T) {
	spoiled := func() (*disktest.FS, []journal.Frame) {
		fsys, all := written(t)
		for n, at := range map[int]int{1: 90, 2: 10, 3: 100} {
			b := fsys.Content(segment(n))
			clear(b[at : at+30])
			fsys.SetContent(segment(n), b)
		}
		return fsys, all
	}
	fsys, all := spoiled()
	before := fsys.Ops()
	s := salvage(t, fsys, false)
	want := kept(t, fsys.Crash(nil, 0), all, s)
	for at := range fsys.Ops() - before {
		for i, keep := range []float64{0, 0.5, 1} {
			fsys, all := spoiled()
			fsys.Fault(disktest.PowerOffAt(fsys.Ops() + at))
			if _, err := journal.Salvage(fsys, dir, journal.Options{}, false); !errors.Is(err, disktest.ErrPowerOff) {
				t.Fatalf("the power did not go at change %d: %v", at, err)
			}
			after := fsys.Crash(rand.New(rand.NewPCG(uint64(at), uint64(i))), keep)
			again := salvage(t, after, false)
			again.Lost = append(again.Lost, s.Lost...) // what the first attempt had done already
			if got := kept(t, after, all, again); got != want {
				t.Fatalf("change %d, keep %v: %d frames, want %d", at, keep, got, want)
			}
		}
	}
}

func TestSalvageWithoutAnyHeader(t *testing.T) {
	fsys, _ := written(t)
	for n := 1; n <= 3; n++ {
		b := fsys.Content(segment(n))
		clear(b[:80])
		fsys.SetContent(segment(n), b)
	}
	if _, err := journal.Salvage(fsys, dir, journal.Options{}, false); !isDamage(err, segment(1)) {
		t.Errorf("%v", err)
	}
	newer := disktest.New()
	newer.SetContent(segment(1), journal.NewerSegment())
	var version *journal.VersionError
	if _, err := journal.Salvage(newer, dir, journal.Options{}, false); !errors.As(err, &version) {
		t.Errorf("a newer format: %v", err)
	}
}
