package catalog

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firth/internal/disk"
	"firth/internal/disk/disktest"
)

func TestCondemnedFilesAreKept(t *testing.T) {
	dir := t.TempDir()
	c := newCatalog(t, dir, false)
	at := time.UnixMilli(1_700_000_000_123)
	var want []Condemned
	for i := range condemnedBatch + 7 {
		want = append(want, Condemned{Path: fmt.Sprintf("production/data/%05d", i), Since: at.Add(time.Duration(i) * time.Second), Bytes: int64(i)})
	}
	if err := c.Condemn(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	want[3].Since = at.Add(time.Hour) // a second time: the time is another
	if err := c.Condemn(t.Context(), want[3:4]); err != nil {
		t.Fatal(err)
	}
	var gone []string
	for _, f := range want[condemnedBatch:] {
		gone = append(gone, f.Path)
	}
	if err := c.Acquit(t.Context(), append(gone, "never/heard/of")); err != nil {
		t.Fatal(err)
	}
	want = want[:condemnedBatch]
	got, err := newCatalog(t, dir, false).Condemned(t.Context()) // as after a restart
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b Condemned) int { return cmp.Compare(a.Path, b.Path) })
	if !slices.Equal(got, want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	if size, _, err := c.Sizes(); err != nil || size == 0 {
		t.Errorf("the catalog has %d bytes, %v", size, err)
	}
}

// TestAFolderRemovedUnderAFile lets folders be removed, as empty ones are, while files are created in them.
func TestAFolderRemovedUnderAFile(t *testing.T) {
	for name, fsys := range map[string]disk.FS{"memory": disktest.New(), "system": disk.OS{}} {
		root := filepath.Join(t.TempDir(), "lake")
		f, err := NewFileIO(fsys, root)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(root, "production", "data", "ts_day=2026-11-20")
		var wait sync.WaitGroup
		done := make(chan struct{})
		var removed atomic.Int64
		wait.Go(func() {
			for {
				ok, err := f.RemoveDir(dir)
				if err != nil {
					t.Error(err)
				}
				if ok {
					removed.Add(1)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
		for i, end := 0, time.Now().Add(time.Minute); i < 60 || removed.Load() == 0 && time.Now().Before(end); i++ {
			path := filepath.Join(dir, fmt.Sprint(i))
			if err := f.WriteFile(Location(path), []byte("x")); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := f.Settle(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := fsys.Stat(path); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := f.Remove(Location(path)); err != nil {
				t.Fatal(err)
			}
		}
		close(done)
		wait.Wait()
		if removed.Load() == 0 {
			t.Errorf("%s: no folder was removed", name)
		}
	}
}
