// Package disktest is a file system in memory for tests of what must survive a crash.
//
// It is as forgetful as POSIX allows: data is kept by a crash for certain only after a sync of its file, names only after
// SyncDir of their folder, and of what was not synced any part may be kept, in any order, by sectors of 512 bytes. It can
// be given a capacity, made to fail at any operation, and made to tear a write.
package disktest

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"firth/internal/disk"
)

// FS is a file system in memory. It is safe for concurrent use. Make one with [New].
type FS struct {
	mu       sync.Mutex
	names    map[string]*inode // what a running program sees
	kept     map[string]*inode // what a crash leaves for certain
	changes  []change          // of names, not yet synced, in order
	capacity int64
	before   func(Op) error
	ops      int
	kinds    map[Kind]int
	trace    func(Op)
}

var _ disk.FS = (*FS)(nil)

// inode is a file or a folder. data is what a running program sees, kept what a crash leaves for certain.
type inode struct {
	dir     bool
	name    string // the last one
	data    []byte
	kept    []byte
	pending []write // not yet synced, in order
}

// write is an unsynced change of a file: data at an offset, or a change of size where data is nil.
type write struct {
	at   int64
	data []byte
}

// change is an unsynced change of names that happens as a whole: a creation, a removal or a rename.
type change map[string]*inode // nil: the name goes

// New makes an empty file system of unlimited size with the folder "/".
func New() *FS {
	root := &inode{dir: true}
	return &FS{
		names:    map[string]*inode{"/": root},
		kept:     map[string]*inode{"/": root},
		capacity: math.MaxInt64,
		kinds:    map[Kind]int{},
	}
}

// SetCapacity limits the bytes in all files together. A write beyond it is cut short with ENOSPC.
func (f *FS) SetCapacity(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = bytes
}

// Used counts the bytes in all files.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used()
}

func (f *FS) used() (n int64) {
	for _, in := range f.names {
		n += int64(len(in.data))
	}
	return n
}

func clean(name string) string { return filepath.Join("/", name) }

// OpenFile implements [disk.Files]. It knows O_RDONLY, O_WRONLY, O_RDWR, O_CREATE, O_EXCL and O_TRUNC.
func (f *FS) OpenFile(name string, flag int, _ fs.FileMode) (disk.File, error) {
	name = clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.names[name]
	kind := Open
	if in == nil && flag&os.O_CREATE != 0 {
		kind = Create
	}
	if err := f.op(Op{Kind: kind, Path: name}); err != nil {
		return nil, pathError("open", name, err)
	}
	switch {
	case in == nil && flag&os.O_CREATE == 0:
		return nil, pathError("open", name, fs.ErrNotExist)
	case in == nil:
		if parent := f.names[filepath.Dir(name)]; parent == nil || !parent.dir {
			return nil, pathError("open", name, fs.ErrNotExist)
		}
		in = &inode{}
		f.rename(change{name: in})
	case in.dir:
		return nil, pathError("open", name, syscall.EISDIR)
	case flag&os.O_EXCL != 0:
		return nil, pathError("open", name, fs.ErrExist)
	}
	h := &file{fs: f, in: in, writable: flag&(os.O_WRONLY|os.O_RDWR) != 0}
	if flag&os.O_TRUNC != 0 && len(in.data) > 0 {
		in.resize(0)
	}
	return h, nil
}

// rename applies a change of names and remembers it as unsynced.
func (f *FS) rename(c change) {
	for name, in := range c {
		if in == nil {
			delete(f.names, name)
		} else {
			f.names[name], in.name = in, name
		}
	}
	f.changes = append(f.changes, c)
}

// Rename implements [disk.Files]. It moves files, not folders.
func (f *FS) Rename(from, to string) error {
	from, to = clean(from), clean(to)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(Op{Kind: Rename, Path: from, To: to}); err != nil {
		return pathError("rename", from, err)
	}
	in := f.names[from]
	switch {
	case in == nil || f.names[filepath.Dir(to)] == nil:
		return pathError("rename", from, fs.ErrNotExist)
	case in.dir:
		return pathError("rename", from, syscall.EISDIR)
	}
	f.rename(change{from: nil, to: in})
	return nil
}

// Remove implements [disk.Files].
func (f *FS) Remove(name string) error {
	name = clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(Op{Kind: Remove, Path: name}); err != nil {
		return pathError("remove", name, err)
	}
	in := f.names[name]
	if in == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	if in.dir && len(f.children(name)) > 0 {
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	f.rename(change{name: nil})
	return nil
}

// MkdirAll implements [disk.Folders].
func (f *FS) MkdirAll(dir string, _ fs.FileMode) error {
	dir = clean(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if in := f.names[dir]; in != nil && in.dir {
		return nil
	}
	if err := f.op(Op{Kind: Mkdir, Path: dir}); err != nil {
		return pathError("mkdir", dir, err)
	}
	at := ""
	for _, part := range strings.Split(strings.TrimPrefix(dir, "/"), "/") {
		at += "/" + part
		switch in := f.names[at]; {
		case in == nil:
			f.rename(change{at: &inode{dir: true}})
		case !in.dir:
			return pathError("mkdir", at, syscall.ENOTDIR)
		}
	}
	return nil
}

// children lists the names in a folder, sorted.
func (f *FS) children(dir string) (names []string) {
	for name := range f.names {
		if name != "/" && filepath.Dir(name) == dir {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ReadDir implements [disk.Folders].
func (f *FS) ReadDir(dir string) ([]fs.DirEntry, error) {
	dir = clean(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(Op{Kind: ReadDir, Path: dir}); err != nil {
		return nil, pathError("readdir", dir, err)
	}
	if in := f.names[dir]; in == nil || !in.dir {
		return nil, pathError("readdir", dir, fs.ErrNotExist)
	}
	var list []fs.DirEntry
	for _, name := range f.children(dir) {
		list = append(list, fs.FileInfoToDirEntry(f.info(name, f.names[name])))
	}
	return list, nil
}

// Stat implements [disk.Files].
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	name = clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(Op{Kind: Stat, Path: name}); err != nil {
		return nil, pathError("stat", name, err)
	}
	in := f.names[name]
	if in == nil {
		return nil, pathError("stat", name, fs.ErrNotExist)
	}
	return f.info(name, in), nil
}

// SyncDir implements [disk.Folders].
func (f *FS) SyncDir(dir string) error {
	dir = clean(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(Op{Kind: SyncDir, Path: dir}); err != nil {
		return pathError("sync", dir, err)
	}
	if in := f.names[dir]; in == nil || !in.dir {
		return pathError("sync", dir, fs.ErrNotExist)
	}
	var rest []change
	for _, c := range f.changes {
		left := change{}
		for name, in := range c {
			if filepath.Dir(name) == dir {
				setName(f.kept, name, in)
			} else {
				left[name] = in
			}
		}
		if len(left) > 0 {
			rest = append(rest, left)
		}
	}
	f.changes = rest
	return nil
}

func setName(names map[string]*inode, name string, in *inode) {
	if in == nil {
		delete(names, name)
	} else {
		names[name] = in
	}
}

// Free implements [disk.Folders].
func (f *FS) Free(dir string) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(Op{Kind: Free, Path: clean(dir)}); err != nil {
		return 0, pathError("statfs", dir, err)
	}
	return uint64(max(0, f.capacity-f.used())), nil
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// info describes a file or folder as it is now.
func (f *FS) info(name string, in *inode) fs.FileInfo {
	return info{name: filepath.Base(name), size: int64(len(in.data)), dir: in.dir}
}

type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
