package disk_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"firth/internal/disk"
	"firth/internal/disk/disktest"
)

// conformance is what every file system of this seam does.
func conformance(t *testing.T, fsys disk.FS, root string) {
	name := filepath.Join(root, "a", "b", "file")
	if err := disk.MakeDir(fsys, filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.MakeDir(fsys, filepath.Dir(name), 0o700); err != nil {
		t.Errorf("a folder that is there: %v", err)
	}
	if err := disk.WriteFile(fsys, name, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteFile(fsys, name, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := disk.ReadFile(fsys, name); err != nil || string(got) != "second" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := disk.MakeDir(fsys, name, 0o700); err == nil {
		t.Error("a folder was made where a file is")
	}
	t.Run("handle", func(t *testing.T) { conformHandle(t, fsys, name) })
	t.Run("names", func(t *testing.T) { conformNames(t, fsys, name) })
	if n, err := fsys.Free(root); err != nil || n == 0 {
		t.Errorf("free: %d, %v", n, err)
	}
}

func conformHandle(t *testing.T, fsys disk.FS, name string) {
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		what string
		do   func() error
		want string
	}{
		{"write", func() error { _, err := f.Write([]byte("SEC")); return err }, "SECond"},
		{"write on", func() error { _, err := f.Write([]byte("O")); return err }, "SECOnd"},
		{"write at", func() error { _, err := f.WriteAt([]byte("xyz"), 5); return err }, "SECOnxyz"},
		{"write on after a write at", func() error { _, err := f.Write([]byte("N")); return err }, "SECONxyz"},
		{"write beyond the end", func() error { _, err := f.WriteAt([]byte("!"), 10); return err }, "SECONxyz\x00\x00!"},
		{"truncate", func() error { return f.Truncate(5) }, "SECON"},
		{"truncate to more", func() error { return f.Truncate(6) }, "SECON\x00"},
		{"sync", f.Sync, "SECON\x00"},
		{"datasync", f.Datasync, "SECON\x00"},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.what, err)
		}
		if got, err := disk.ReadFile(fsys, name); err != nil || string(got) != step.want {
			t.Errorf("%s: %q, %v", step.what, got, err)
		}
		if info, err := f.Stat(); err != nil || info.Size() != int64(len(step.want)) {
			t.Errorf("%s: stat: %v", step.what, err)
		}
	}
	b := make([]byte, 4)
	if n, err := f.ReadAt(b, 4); n != 2 || !errors.Is(err, io.EOF) || !bytes.Equal(b[:2], []byte("N\x00")) {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := f.Datasync(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("datasync when closed: %v", err)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("close again: %v", err)
	}
}

func conformNames(t *testing.T, fsys disk.FS, name string) {
	dir := filepath.Dir(name)
	if _, err := fsys.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create what is there: %v", err)
	}
	if err := fsys.Rename(name, name+"2"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"open":    second(fsys.OpenFile(name, os.O_RDONLY, 0)),
		"stat":    second(fsys.Stat(name)),
		"remove":  fsys.Remove(name),
		"rename":  fsys.Rename(name, name+"3"),
		"list":    second(fsys.ReadDir(filepath.Join(dir, "none"))),
		"syncdir": fsys.SyncDir(filepath.Join(dir, "none")),
		"create":  second(fsys.OpenFile(filepath.Join(dir, "none", "x"), os.O_CREATE|os.O_RDWR, 0o600)),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of what is not there: %v", what, err)
		}
	}
	read, err := fsys.OpenFile(name+"2", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EBADF) {
		t.Errorf("write to a file opened for reading: %v", err)
	}
	if list, err := fsys.ReadDir(dir); err != nil || len(list) != 1 || list[0].Name() != "file2" || list[0].IsDir() {
		t.Errorf("list: %v, %v", list, err)
	}
	if err := fsys.Remove(dir); err == nil {
		t.Error("a folder with a file in it was removed")
	}
	if err := fsys.Remove(name + "2"); err != nil {
		t.Error(err)
	}
	if _, err := read.ReadAt(make([]byte, 1), 0); err != nil {
		t.Errorf("read a removed file that is open: %v", err)
	}
	if err := read.Close(); err != nil {
		t.Error(err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		t.Error(err)
	}
	if err := fsys.Remove(dir); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestOS(t *testing.T)     { conformance(t, disk.OS{}, t.TempDir()) }
func TestMemory(t *testing.T) { conformance(t, disktest.New(), "/tmp") }

// After a crash at any operation the name holds the old content or the new, whole; once WriteFile has returned, the new.
func TestWriteFileSurvivesCrashes(t *testing.T) {
	const name = "/data/sub/file"
	old, fresh := bytes.Repeat([]byte("old "), 500), bytes.Repeat([]byte("new "), 900)
	before := disktest.New()
	if err := disk.MakeDir(before, "/data/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteFile(before, name, old, 0o600); err != nil {
		t.Fatal(err)
	}
	for at := 0; ; at++ {
		fsys := before.Crash(nil, 0)
		fsys.Fault(disktest.PowerOffAt(at))
		err := disk.WriteFile(fsys, name, fresh, 0o600)
		for i, found := range someCrashes(fsys, at) {
			got := found.Content(name)
			if !bytes.Equal(got, fresh) && (err == nil || !bytes.Equal(got, old)) {
				t.Fatalf("operation %d, crash %d: %d bytes are found after %v", at, i, len(got), err)
			}
		}
		if err == nil {
			return
		}
	}
}

func TestWriteFileFails(t *testing.T) {
	for _, tc := range []struct {
		kind disktest.Kind
		sync bool
	}{
		{disktest.Create, false}, {disktest.Write, false}, {disktest.Rename, false},
		{disktest.Sync, true}, {disktest.SyncDir, true},
	} {
		fsys := disktest.New()
		fsys.SetContent("/file", []byte("old"))
		fsys.Fault(disktest.FailNth(tc.kind, 0, syscall.ENOSPC))
		err := disk.WriteFile(fsys, "/file", []byte("new"), 0o600)
		var failed *disk.SyncError
		if !disk.IsFull(err) || errors.As(err, &failed) != tc.sync {
			t.Errorf("%s: %v", tc.kind, err)
		}
		if got := string(fsys.Content("/file")); got != "old" && tc.kind != disktest.SyncDir {
			t.Errorf("%s: %q is there", tc.kind, got)
		}
		if fsys.Content("/file.tmp") != nil {
			t.Errorf("%s: the temporary file was left", tc.kind)
		}
	}
}

func TestMakeDirSurvivesCrashes(t *testing.T) {
	fsys := disktest.New()
	if err := disk.MakeDir(fsys, "/a/b/c", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Crash(nil, 0).Stat("/a/b/c"); err != nil {
		t.Error(err)
	}
}
