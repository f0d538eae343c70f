package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"firth/internal/disk/disktest"
	"firth/internal/journal"
)

// segment gives the path of a segment by its number.
func segment(n int) string { return fmt.Sprintf("%s/%016d.seg", dir, n) }

// written makes a journal of groups of one frame each, two or three to a segment, and gives its frames. It ends without a
// shutdown, so that the last segment is the one that was being written.
func written(t testing.TB) (*disktest.FS, []journal.Frame) {
	t.Helper()
	fsys, clock := disktest.New(), newClock()
	clock.step = 1000
	j := start(t, fsys, journal.Options{SegmentBytes: 500, Now: clock.Now})
	for i, n := range []int{100, 100, 60, 150, 90, 0, 120, 30} {
		mustAppend(t, j.Journal, strings.Repeat(string(rune('a'+i)), n), 1+i%3)
	}
	frames := mustRead(t, j.Journal, 0)
	if n := j.Stats().Segments; n != 3 {
		t.Fatalf("%d segments", n)
	}
	return fsys.Crash(nil, 0), frames
}

func openAndRead(t testing.TB, fsys *disktest.FS) (s journal.Stats, frames []journal.Frame, err error) {
	t.Helper()
	j, err := journal.Open(fsys, dir, journal.Options{})
	if err != nil {
		return s, nil, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	frames, err = read(j, 0)
	return j.Stats(), frames, err
}

// The last segment may end anywhere: what is whole is kept, the rest is cut away for good, and appends go on behind it.
func TestTornTail(t *testing.T) {
	fsys, all := written(t)
	tail := fsys.Content(segment(3))
	kept := map[int]bool{}
	for size := 80; size <= len(tail); size++ {
		torn := fsys.Crash(nil, 0)
		torn.SetContent(segment(3), tail[:size])
		s, frames, err := openAndRead(t, torn)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if diff := cmp.Diff(all[:len(frames)], frames, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%d bytes (-want +got):\n%s", size, diff)
		}
		kept[len(frames)] = true
		if cut := size - len(torn.Content(segment(3))); int64(cut) != s.Recovered.Bytes || cut > 0 && s.Recovered.Reason == "" {
			t.Fatalf("%d bytes: %d were cut, %+v reported", size, cut, s.Recovered)
		}
		j := start(t, torn, journal.Options{})
		mustAppend(t, j.Journal, "on", 1)
		if n := len(mustRead(t, j.Journal, 0)); n != len(frames)+1 {
			t.Fatalf("%d bytes: %d frames after one more than %d", size, n, len(frames))
		}
		_ = j.stop()
	}
	if len(kept) < 3 || !kept[len(all)] {
		t.Errorf("the cuts left %v frames", kept)
	}
	for size := range 80 { // a segment gets its name with its header: a shorter file is no torn write
		short := fsys.Crash(nil, 0)
		short.SetContent(segment(3), tail[:size])
		if _, _, err := openAndRead(t, short); !isDamage(err, segment(3)) {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}

func isDamage(err error, path string) bool {
	var d *journal.DamageError
	return errors.As(err, &d) && d.Path == path && strings.Contains(err.Error(), path) && journal.Hint(err) != ""
}

// Any flipped bit is noticed, in the very last group too: the journal is refused, the error names the file, and nothing is changed.
func TestBitFlips(t *testing.T) {
	fsys, _ := written(t)
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
			if !bytes.Equal(damaged.Content(segment(n)), bad) {
				t.Fatalf("segment %d, byte %d: the refused file was changed", n, at)
			}
		}
	}
}

// In the very last group more than one changed bit may be the rest of a write that a crash cut short: it is cut away and reported.
func TestTornLastGroup(t *testing.T) {
	fsys, all := written(t)
	content := fsys.Content(segment(3))
	for at := len(content) - len(all[len(all)-1].Payload) - 40; at < len(content); at++ {
		torn := fsys.Crash(nil, 0)
		bad := slices.Clone(content)
		clear(bad[at:])
		if bytes.Equal(bad, content) {
			continue
		}
		torn.SetContent(segment(3), bad)
		s, frames, err := openAndRead(t, torn)
		if diff := cmp.Diff(all[:len(all)-1], frames, cmpopts.EquateEmpty()); (err != nil || diff != "" || s.Recovered.Bytes == 0) && at < len(content)-1 {
			t.Fatalf("zeros from byte %d: %v (-want +got):\n%s", at, err, diff)
		}
	}
}

// After a clean shutdown nothing is taken for a torn write, not even at the very end.
func TestBitFlipAfterShutdown(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{})
	mustAppend(t, j.Journal, "the last one", 1)
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	content := fsys.Content(segment(1))
	content[len(content)-1] ^= 1
	fsys.SetContent(segment(1), content)
	if _, _, err := openAndRead(t, fsys); !isDamage(err, segment(1)) {
		t.Errorf("open: %v", err)
	}
}

// Damage that appears while the journal is open stops the reader at its byte.
func TestReaderFindsDamage(t *testing.T) {
	fsys, all := written(t)
	j := start(t, fsys, journal.Options{})
	bad := fsys.Content(segment(2))
	bad[len(bad)-1] ^= 1
	fsys.SetContent(segment(2), bad)
	frames, err := read(j.Journal, 0)
	if !isDamage(err, segment(2)) || len(frames) == 0 || len(frames) >= len(all) {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	fsys.SetContent(segment(2), bad[:100])
	if _, err := read(j.Journal, 0); !isDamage(err, segment(2)) {
		t.Errorf("a file cut short: %v", err)
	}
}

func TestRefusedFolders(t *testing.T) {
	other := func(t *testing.T) *disktest.FS {
		fsys, _ := written(t)
		return fsys
	}
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, fsys *disktest.FS)
		path  string
		says  string
	}{
		"segment missing": {func(t *testing.T, fsys *disktest.FS) {
			if err := fsys.Remove(segment(2)); err != nil {
				t.Fatal(err)
			}
		}, segment(2), "missing"},
		"segment renamed": {func(t *testing.T, fsys *disktest.FS) {
			if err := fsys.Rename(segment(3), segment(4)); err != nil {
				t.Fatal(err)
			}
			fsys.SetContent(segment(3), fsys.Content(segment(1)))
		}, segment(3), "written as segment 1"},
		"segment of another log": {func(t *testing.T, fsys *disktest.FS) {
			fsys.SetContent(segment(2), other(t).Content(segment(2)))
		}, segment(2), "belongs to log"},
		"not a segment": {func(_ *testing.T, fsys *disktest.FS) {
			fsys.SetContent(segment(1), []byte(strings.Repeat("something else ", 100)))
		}, segment(1), "not the beginning"},
		"empty": {func(_ *testing.T, fsys *disktest.FS) {
			fsys.SetContent(segment(3), nil)
		}, segment(3), "not the beginning"},
		"long garbage at the end": {func(_ *testing.T, fsys *disktest.FS) {
			fsys.SetContent(segment(3), append(fsys.Content(segment(3)), make([]byte, journal.MaxPayload+100)...))
		}, segment(3), "no frame begins here"},
		"zeros over an early frame": {func(_ *testing.T, fsys *disktest.FS) {
			content := fsys.Content(segment(3))
			clear(content[80:130])
			fsys.SetContent(segment(3), content)
		}, segment(3), "it was durable"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys, _ := written(t)
			tc.spoil(t, fsys)
			_, _, err := openAndRead(t, fsys)
			if !isDamage(err, tc.path) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("open: %v", err)
			}
		})
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	fsys := disktest.New()
	fsys.SetContent(segment(1), journal.NewerSegment())
	_, err := journal.Open(fsys, dir, journal.Options{})
	var newer *journal.VersionError
	if !errors.As(err, &newer) || newer.Version != journal.Format+1 || newer.Path != segment(1) {
		t.Fatalf("open: %v", err)
	}
	if !strings.Contains(err.Error(), "has format 2") || !strings.Contains(journal.Hint(err), "newer version of Firth") {
		t.Errorf("%v: %s", err, journal.Hint(err))
	}
}

// Files that a crash left half made go, files of others stay.
func TestLeftovers(t *testing.T) {
	fsys, all := written(t)
	fsys.SetContent(segment(4)+".tmp", []byte("half a header"))
	fsys.SetContent(dir+"/notes.txt", []byte("keep me"))
	fsys.SetContent(dir+"/5.seg", []byte("not a segment's name"))
	_, frames, err := openAndRead(t, fsys)
	if err != nil || len(frames) != len(all) {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	want := []string{segment(1), segment(2), segment(3), dir + "/5.seg", dir + "/notes.txt"}
	if diff := cmp.Diff(want, fsys.Names()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A payload that holds the bytes of real frames is no frame: a torn write of it is cut away, not refused.
func TestFramesInPayload(t *testing.T) {
	fsys := disktest.New()
	j := start(t, fsys, journal.Options{})
	mustAppend(t, j.Journal, "first", 1)
	mustAppend(t, j.Journal, "second", 1)
	copied := string(fsys.Content(segment(1)))
	mustAppend(t, j.Journal, copied, 1)
	content := fsys.Content(segment(1))
	torn := disktest.New()
	torn.SetContent(segment(1), content[:len(content)-1])
	s, frames, err := openAndRead(t, torn)
	if err != nil || len(frames) != 2 || s.Recovered.Bytes == 0 {
		t.Errorf("%d frames, %+v, %v", len(frames), s.Recovered, err)
	}
}
