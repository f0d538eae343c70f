// Package disk is the seam between Firth and the file system.
//
// Whatever must survive a power cut goes through an [FS]: the journal, the lake's files and its dedup window. [OS] is the
// real thing; package disktest holds one in memory that can be crashed, filled up and made to fail at any operation.
//
// What the seam promises is what POSIX promises and no more: data is durable once Sync or Datasync of its file has
// returned nil, a name (created, renamed or removed) once SyncDir of its folder has. After a failed sync nothing is known
// about the data, and a second try proves nothing: whoever sees one stops writing.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// File is an open file. Reads at a position may run beside each other and beside one writer; otherwise a File serves one
// goroutine at a time.
type File interface {
	io.ReaderAt
	io.Writer // at the file's own position, which starts at 0; a WriterAt does not move it
	io.WriterAt
	io.Closer

	// Sync makes data and metadata durable.
	Sync() error
	// Datasync makes data durable, and of the metadata what is needed to read it (the size).
	Datasync() error
	// Truncate sets the size. It is durable after the next sync.
	Truncate(size int64) error
	// Stat tells the size.
	Stat() (fs.FileInfo, error)
}

// Files works on names of files.
type Files interface {
	// OpenFile opens as os.OpenFile does. A created file's name is durable after SyncDir of its folder.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename moves a file over whatever stands at the new name, atomically.
	Rename(from, to string) error
	// Remove removes a file or an empty folder. Open handles stay readable.
	Remove(name string) error
	Stat(name string) (fs.FileInfo, error)
}

// Folders works on folders.
type Folders interface {
	// MkdirAll creates a folder and its parents; nothing of it is durable: see [MakeDir].
	MkdirAll(dir string, perm fs.FileMode) error
	// ReadDir lists a folder, sorted by name.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// SyncDir makes creations, renames and removals in the folder durable.
	SyncDir(dir string) error
	// Free tells how many bytes an unprivileged user may still write on the folder's file system.
	Free(dir string) (uint64, error)
}

// FS is a file system. It is safe for concurrent use.
type FS interface {
	Files
	Folders
}

// SyncError is a failed sync of a file or folder: what was written before it may be gone although it can still be read.
type SyncError struct {
	Path string
	Err  error
}

func (e *SyncError) Error() string { return fmt.Sprintf("sync %s: %v", e.Path, e.Err) }

// Unwrap gives the cause.
func (e *SyncError) Unwrap() error { return e.Err }

// IsFull reports whether an error says that the disk or the user's quota is full: a state that passes.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// MakeDir creates a folder and its parents where they are missing and makes each new name durable, top down. The name of
// the lowest folder that was there already is made durable too: whoever made it may have died before that.
func MakeDir(fsys FS, dir string, perm fs.FileMode) error {
	var missing []string // lowest first
	at := filepath.Clean(dir)
	for {
		info, err := fsys.Stat(at)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("create folder %s: %s is a file", dir, at)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("create folder %s: %w", dir, err)
		}
		missing = append(missing, at)
		at = filepath.Dir(at)
	}
	if err := syncDir(fsys, filepath.Dir(at)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err // but a parent that this user may not read was not made by this user
	}
	for _, at := range slices.Backward(missing) {
		if err := fsys.MkdirAll(at, perm); err != nil {
			return fmt.Errorf("create folder %s: %w", dir, err)
		}
		if err := syncDir(fsys, filepath.Dir(at)); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile puts data under a name so that after a crash at any moment the name holds the old content or the new, whole.
// When it returns nil the new content is durable. A failed sync is a [*SyncError].
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	return Replace(fsys, name, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Replace is WriteFile for content that comes from a function; see [Create].
func Replace(fsys FS, name string, perm fs.FileMode, write func(io.Writer) error) error {
	f, err := Create(fsys, name, perm, write)
	if err != nil {
		return err
	}
	return f.Close()
}

// Create puts a file under a name as WriteFile does and leaves it open for reading and writing. The file is written as
// name + ".tmp", synced, renamed, and the folder synced. When it fails before the rename the temporary file is removed and
// what stood under the name stays; after it, only the sync of the folder can fail, with a [*SyncError].
func Create(fsys FS, name string, perm fs.FileMode, write func(io.Writer) error) (File, error) {
	tmp := name + ".tmp"
	f, err := fsys.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", tmp, err)
	}
	if err = write(f); err != nil {
		err = fmt.Errorf("write %s: %w", tmp, err)
	} else if err = f.Sync(); err != nil {
		err = &SyncError{Path: tmp, Err: err}
	} else if err = fsys.Rename(tmp, name); err != nil {
		err = fmt.Errorf("rename %s: %w", tmp, err)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), removeIfThere(fsys, tmp))
	}
	if err := syncDir(fsys, filepath.Dir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func syncDir(fsys FS, dir string) error {
	if err := fsys.SyncDir(dir); err != nil {
		return &SyncError{Path: dir, Err: err}
	}
	return nil
}

func removeIfThere(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// ReadFile reads a whole file.
func ReadFile(fsys FS, name string) (data []byte, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", name, err)
	}
	data = make([]byte, info.Size())
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, info.Size()), data); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}
