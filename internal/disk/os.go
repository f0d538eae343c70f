package disk

import (
	"errors"
	"io/fs"
	"os"
)

// OS is the operating system's file system.
type OS struct{}

var _ FS = OS{}

// OpenFile implements [Files].
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not f: a nil *os.File in an interface is not nil
	}
	return osFile{f}, nil
}

// Rename implements [Files].
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [Files].
func (OS) Remove(name string) error { return os.Remove(name) }

// Stat implements [Files].
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// MkdirAll implements [Folders].
func (OS) MkdirAll(dir string, perm fs.FileMode) error { return os.MkdirAll(dir, perm) }

// ReadDir implements [Folders].
func (OS) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

// SyncDir implements [Folders].
func (OS) SyncDir(dir string) (err error) {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}

// Free implements [Folders].
func (OS) Free(dir string) (uint64, error) { return free(dir) }

type osFile struct{ *os.File }

func (f osFile) Datasync() error { return datasync(f.File) }
