package load_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"firth/internal/disk/disktest"
	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/warehouse"
)

// mergedLake holds calls in files whose rows are in no order of offsets, as merged files are, and counts the rows that are
// decoded: all of a file that is touched.
type mergedLake struct {
	mu      sync.Mutex
	snap    *lake.Snapshot
	files   map[string][]event.Call
	decoded int
}

// newMergedLake spreads the calls over files of n calls that follow one another.
func newMergedLake(calls []event.Call, n int) *mergedLake {
	l := &mergedLake{files: map[string][]event.Call{}, snap: &lake.Snapshot{Source: "a", ID: 1, Positions: map[string]uint64{journal: calls[len(calls)-1].Offset + 1}}}
	for i := 0; i < len(calls); i += n {
		l.add(calls[i:min(i+n, len(calls))])
	}
	return l
}

func (l *mergedLake) add(calls []event.Call) {
	own := slices.Clone(calls)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
	for i := range own {
		own[i].Log = journal
	}
	f := fileOf(own, "/lake/"+own[0].MessageID)
	l.files[f.Path], l.snap.Files = own, append(l.snap.Files, f)
}

// merge puts all files into one; the old ones are gone.
func (l *mergedLake) merge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []event.Call
	for _, f := range l.snap.Files {
		all = append(all, l.files[f.Path]...)
	}
	l.snap = &lake.Snapshot{Source: "a", ID: l.snap.ID + 1, Positions: l.snap.Positions}
	clear(l.files)
	l.add(all)
}

func (l *mergedLake) Sources(context.Context) ([]string, error) { return []string{"a"}, nil }

func (l *mergedLake) Snapshot(_ context.Context, source string) (*lake.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if source != "a" {
		return nil, lake.ErrNoTable
	}
	return l.snap, nil
}

func (l *mergedLake) Calls(_ context.Context, snap *lake.Snapshot, log string, from, to uint64, fn func(*event.Call) error) error {
	for _, f := range snap.Files {
		if !f.MayHold(log, from, to) {
			continue
		}
		l.mu.Lock()
		calls, ok := l.files[f.Path]
		l.decoded += len(calls)
		l.mu.Unlock()
		if !ok {
			return lake.ErrFileGone
		}
		for i := range calls {
			if c := calls[i]; c.Offset >= from && c.Offset < to {
				if err := fn(&c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func spooling(t *testing.T, l load.Lake, w *fakeWarehouse, rows int) load.Options {
	o := options(nil, w, nil)
	o.Lake, o.Rows, o.TempDir = l, rows, filepath.Join(t.TempDir(), "tmp")
	return o
}

func noSpools(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// TestMergedFilesAreReadOnce loads backlogs of one size and of four times that: the rows decoded grow as the backlog does.
func TestMergedFilesAreReadOnce(t *testing.T) {
	for _, c := range []struct{ rows, file int }{{10_000, 10_000}, {40_000, 40_000}, {40_000, 5000}, {40_000, 100}} {
		all := calls(0, c.rows, 2)
		l, w := newMergedLake(all, c.file), newFakeWarehouse()
		o := spooling(t, l, w, 500)
		if err := load.New(o).CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, w.loaded("a"), ids(all))
		if most := 4 * c.rows; l.decoded > most {
			t.Errorf("%d rows in files of %d: %d rows decoded, want at most %d", c.rows, c.file, l.decoded, most)
		}
		noSpools(t, o.TempDir)
	}
}

// TestMergesBetweenChunks merges all files after every third load, so that spools outlive their files and snapshots go stale.
func TestMergesBetweenChunks(t *testing.T) {
	all := calls(0, 20_000, 1)
	l, w := newMergedLake(all, 3000), newFakeWarehouse()
	loads := 0
	w.setFail(func(*warehouse.Batch) error {
		if loads++; loads%3 == 0 {
			l.merge()
		}
		return nil
	})
	o := spooling(t, l, w, 500)
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, w.loaded("a"), ids(all))
	noSpools(t, o.TempDir)
}

// TestSpoolsOfAKilledProcess shows that the next one removes what was left, and nothing else.
func TestSpoolsOfAKilledProcess(t *testing.T) {
	l, w := newMergedLake(calls(0, 10, 1), 10), newFakeWarehouse()
	o := spooling(t, l, w, 500)
	if err := os.MkdirAll(o.TempDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"load-local-a-0000000000000000.spool", "load-other-a-0000000000000000.spool"} {
		if err := os.WriteFile(filepath.Join(o.TempDir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(o.TempDir)
	if err != nil || len(left) != 1 || left[0].Name() != "load-other-a-0000000000000000.spool" {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestSpoolWithinItsBytes gives spools too little room for all: what does not fit is for the next one.
func TestSpoolWithinItsBytes(t *testing.T) {
	all := calls(0, 30_000, 1)
	for i := range all {
		all[i].Context = []byte(`{"noise": "` + randomText(200) + `"}`)
	}
	l, w := newMergedLake(all, 30_000), newFakeWarehouse()
	o := spooling(t, l, w, 2000)
	o.SpoolBytes = 2 << 20
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, w.loaded("a"), ids(all))
	if l.decoded < 60_000 {
		t.Errorf("%d rows decoded: the bound was not met", l.decoded)
	}
	noSpools(t, o.TempDir)
}

func randomText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(rand.IntN(26))
	}
	return string(b)
}

// TestSpoolOnAFullDisk says so in a kind that the loader heals from, and leaves nothing.
func TestSpoolOnAFullDisk(t *testing.T) {
	all := calls(0, 10_000, 1)
	l, w := newMergedLake(all, 10_000), newFakeWarehouse()
	o := spooling(t, l, w, 500)
	fsys := disktest.New()
	o.FS, o.TempDir = fsys, "/tmp"
	fsys.SetCapacity(10_000)
	err := load.New(o).CatchUp(t.Context())
	if warehouse.KindOf(err) != warehouse.DiskFull || warehouse.HintOf(err) == "" {
		t.Fatalf("%v, hint %q", err, warehouse.HintOf(err))
	}
	left, err := fsys.ReadDir("/tmp")
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	fsys.SetCapacity(1 << 40)
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, w.loaded("a"), ids(all))
}
