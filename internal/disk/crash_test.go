package disk_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"firth/internal/disk"
	"firth/internal/disk/disktest"
)

func someCrashes(fsys *disktest.FS, seed int) []*disktest.FS {
	found := []*disktest.FS{fsys.Crash(nil, 0), fsys.Crash(nil, 1)}
	for i := range 5 {
		found = append(found, fsys.Crash(rand.New(rand.NewPCG(uint64(seed), uint64(i))), 0.5))
	}
	return found
}

func create(t *testing.T, fsys disk.FS, name string) disk.File {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, f disk.File, at int64, data []byte) {
	t.Helper()
	_, err := f.WriteAt(data, at)
	must(t, err)
}

// The memory file system forgets what it may forget, and nothing else.
func TestCrashForgets(t *testing.T) {
	fsys := disktest.New()
	f := create(t, fsys, "/f")
	write(t, f, 0, []byte("synced"))
	must(t, f.Datasync())
	if fsys.Crash(nil, 0).Content("/f") != nil {
		t.Error("the name was kept without a sync of its folder")
	}
	must(t, fsys.SyncDir("/"))
	write(t, f, 6, []byte(" and not"))
	for keep, want := range map[float64]string{0: "synced", 1: "synced and not"} {
		if got := string(fsys.Crash(nil, keep).Content("/f")); got != want {
			t.Errorf("keep %v: %q", keep, got)
		}
	}
	must(t, fsys.Rename("/f", "/g"))
	if after := fsys.Crash(nil, 0); after.Content("/f") == nil || after.Content("/g") != nil {
		t.Error("a rename was kept without a sync")
	}
	must(t, fsys.Remove("/g"))
	must(t, fsys.SyncDir("/"))
	if names := fsys.Crash(nil, 0).Names(); len(names) != 0 {
		t.Errorf("removed and synced, but found: %v", names)
	}
}

// Of an unsynced write any sectors may be found, and only whole ones.
func TestCrashTearsBySector(t *testing.T) {
	fsys := disktest.New()
	f := create(t, fsys, "/f")
	write(t, f, 0, bytes.Repeat([]byte{'o'}, 4096))
	must(t, f.Sync())
	must(t, fsys.SyncDir("/"))
	write(t, f, 100, bytes.Repeat([]byte{'n'}, 3000))
	patterns := map[string]bool{}
	for seed := range uint64(50) {
		got := fsys.Crash(rand.New(rand.NewPCG(seed, 0)), 0.5).Content("/f")
		pattern := ""
		for at := 0; at < 3100; at += 512 {
			part := got[max(at, 100):min(at+512, 3100)]
			if n := bytes.Count(part, []byte{'n'}); n != 0 && n != len(part) {
				t.Fatalf("seed %d: half a sector at %d", seed, at)
			}
			pattern += string(part[0])
		}
		patterns[pattern] = true
	}
	if len(patterns) < 20 {
		t.Errorf("only %d ways to tear", len(patterns))
	}
}

// What a failed sync did not write stays readable, and no later sync brings it to the disk.
func TestFailedSyncLosesData(t *testing.T) {
	fsys := disktest.New()
	f := create(t, fsys, "/f")
	must(t, fsys.SyncDir("/"))
	write(t, f, 0, []byte("lost"))
	fsys.Fault(disktest.FailNth(disktest.Sync, 0, syscall.EIO))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	must(t, f.Sync())
	if got := string(fsys.Content("/f")); got != "lost" {
		t.Errorf("read %q", got)
	}
	if got := fsys.Crash(nil, 0).Content("/f"); len(got) != 0 {
		t.Errorf("after the crash: %q", got)
	}
}

func TestCapacity(t *testing.T) {
	fsys := disktest.New()
	fsys.SetCapacity(10)
	f := create(t, fsys, "/f")
	if n, err := f.Write([]byte("more than ten bytes")); n != 10 || !disk.IsFull(err) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if free, err := fsys.Free("/"); free != 0 || err != nil {
		t.Errorf("free: %d, %v", free, err)
	}
	must(t, f.Truncate(4))
	if free, _ := fsys.Free("/"); free != 6 {
		t.Errorf("free: %d", free)
	}
	if err := f.Truncate(11); !disk.IsFull(err) {
		t.Errorf("truncate: %v", err)
	}
}

func TestFaults(t *testing.T) {
	fsys := disktest.New()
	f := create(t, fsys, "/f")
	fsys.Fault(disktest.FailNth(disktest.Write, 1, &disktest.Torn{Keep: 2, Err: syscall.EIO}))
	write(t, f, 0, []byte("1111"))
	if n, err := f.WriteAt([]byte("2222"), 4); n != 2 || !errors.Is(err, syscall.EIO) {
		t.Errorf("wrote %d, %v", n, err)
	}
	write(t, f, 6, []byte("33"))
	if got := string(fsys.Content("/f")); got != "11112233" {
		t.Errorf("read %q", got)
	}
	fsys.Fault(disktest.PowerOffAt(fsys.Ops() + 1))
	must(t, f.Sync())
	for range 2 {
		if err := f.Sync(); !errors.Is(err, disktest.ErrPowerOff) {
			t.Errorf("sync without power: %v", err)
		}
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, disktest.ErrPowerOff) {
		t.Errorf("read without power: %v", err)
	}
}
