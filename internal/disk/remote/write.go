package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"firth/internal/disk"
	"firth/internal/object"
)

// draft is a file that is being written, or is written and not at the store yet.
type draft struct {
	name string // that it is to be read by; guarded by the mutex of the FS
	path string // where it lies meanwhile

	settled bool // it is written, and becomes an object with the next SyncDir; guarded by the mutex of the FS

	sending sync.Mutex // held during an upload
	sent    bool       // an upload was begun under the name: something may be at the store; guarded by sending
	done    bool       // it is at the store, or was removed; guarded by sending
}

func (f *FS) draft(clean string) *draft {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.drafts[clean]
}

// create begins a file.
func (f *FS) create(clean, key string, flag int) (disk.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.drafts[clean]; old != nil {
		if flag&os.O_EXCL != 0 || old.settled {
			return nil, &fs.PathError{Op: "open", Path: clean, Err: fs.ErrExist}
		}
		if flag&os.O_TRUNC != 0 {
			if err := os.Remove(old.path); err != nil {
				return nil, err
			}
		}
	} else if _, err := os.Stat(clean); err == nil {
		return nil, &fs.PathError{Op: "open", Path: f.o.Store.URL(key), Err: fs.ErrExist}
	}
	d := f.drafts[clean]
	if d == nil || flag&os.O_TRUNC != 0 {
		f.serial++
		d = &draft{name: clean, path: filepath.Join(f.work, "new", strconv.FormatInt(f.serial, 10)+filepath.Ext(strings.TrimSuffix(clean, tmpExt)))}
	}
	file, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write into the cache: %w", err)
	}
	f.drafts[clean] = d
	return &writing{File: file, f: f, d: d}, nil
}

// writing is an open draft. A sync of one that bears its name makes it an object, at once or with the next SyncDir.
type writing struct {
	*os.File
	f *FS
	d *draft
}

func (w *writing) Sync() error { return w.Datasync() }

func (w *writing) Datasync() error {
	w.f.mu.Lock()
	name := w.d.name
	w.f.mu.Unlock()
	info, err := w.Stat()
	if err != nil || strings.HasSuffix(name, tmpExt) {
		return err
	}
	return w.f.settle(w.d, name, info.Size())
}

// settle says that a draft is whole: a large one is uploaded now, another with the next SyncDir.
func (f *FS) settle(d *draft, name string, size int64) error {
	if size >= largeFrom {
		return f.send(context.Background(), d, name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d.settled = f.drafts[name] == d // or it is at the store already
	return nil
}

// Rename implements [disk.Files]: it gives a file that was written here its name. An object keeps its own.
func (f *FS) Rename(from, to string) error {
	source, _, below := f.key(from)
	target, key, ok := f.key(to)
	if !below && !ok {
		return f.OS.Rename(from, to)
	}
	if !ok || strings.HasSuffix(target, tmpExt) {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: errWriteOnce}
	}
	d, err := f.take(source, below, from, to)
	if err != nil {
		return err
	}
	if err := f.name(d, from, to, target, key); err != nil {
		if !below { // it stays where it was
			_, derr := f.dropDraft(d, from)
			err = errors.Join(err, derr)
		}
		return err
	}
	return nil
}

// name gives a draft the name by which it is read.
func (f *FS) name(d *draft, from, to, target, key string) error {
	info, err := os.Stat(d.path)
	if err != nil {
		return fmt.Errorf("name %s: %w", to, err)
	}
	if info.Size() >= largeFrom {
		return f.send(context.Background(), d, target)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.drafts[target] != nil {
		return &os.LinkError{Op: "rename", Old: from, New: f.o.Store.URL(key), Err: fs.ErrExist}
	}
	delete(f.drafts, d.name)
	d.name, d.settled = target, true
	f.drafts[target] = d
	return nil
}

// take is the draft of a name. A local file that is given a name at the store becomes one.
func (f *FS) take(source string, below bool, from, to string) (*draft, error) {
	if below {
		d := f.draft(source)
		switch {
		case d == nil && f.Cached(source):
			return nil, &os.LinkError{Op: "rename", Old: from, New: to, Err: errWriteOnce}
		case d == nil:
			return nil, &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrNotExist}
		case d.settled:
			return nil, &os.LinkError{Op: "rename", Old: from, New: to, Err: errWriteOnce}
		}
		return d, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	d := &draft{name: source, path: filepath.Join(f.work, "new", strconv.FormatInt(f.serial, 10)+filepath.Ext(to))}
	if err := os.Rename(from, d.path); err != nil {
		return nil, err
	}
	f.drafts[source] = d // until it has its name
	return d, nil
}

// SyncDir implements [disk.Folders]: when it returns nil, every file of the folder that was written and named before is at the store. What
// waits in other folders is uploaded along with it, and its failure left to who syncs those; each is tried again by the next SyncDir.
func (f *FS) SyncDir(dir string) error {
	clean, _, ok := f.key(dir)
	if clean == f.dir {
		ok = true // its own name was made durable with it
	}
	if !ok {
		return f.OS.SyncDir(dir)
	}
	f.mu.Lock()
	var waiting []*draft
	for _, d := range f.drafts {
		if d.settled {
			waiting = append(waiting, d)
		}
	}
	f.mu.Unlock()
	errs := make([]error, len(waiting))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, d := range waiting {
		group.Go(func() error {
			if err := f.send(context.Background(), d, d.name); filepath.Dir(d.name) == clean {
				errs[i] = err
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), errors.Join(errs...))
}

// send makes a draft an object of the name, and a file of the cache. Of several at a time one does it.
func (f *FS) send(ctx context.Context, d *draft, name string) error {
	d.sending.Lock()
	defer d.sending.Unlock()
	if d.done {
		return nil
	}
	if err := f.claimed(ctx); err != nil {
		return err
	}
	_, key, _ := f.key(name)
	d.sent = true
	size, err := f.upload(ctx, key, d.path)
	if err != nil {
		f.failed.Add(1)
		return err
	}
	f.uploaded.Add(1)
	f.uploadedBytes.Add(size)
	d.done = true
	if err := f.keep(d.path, name, size); err != nil {
		f.o.Log.Warn("a file that is at the store was not kept in the cache", "file", name, "error", err)
	}
	f.mu.Lock()
	delete(f.drafts, d.name)
	f.mu.Unlock()
	f.trim()
	return nil
}

// upload puts a file at the store, under a key that is new.
func (f *FS) upload(ctx context.Context, key, path string) (size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("upload %s: %w", key, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("upload %s: %w", key, err)
	}
	at, err := f.o.Store.PutNew(ctx, key, io.NewSectionReader(file, 0, info.Size()), info.Size())
	if object.KindOf(err) == object.Exists {
		// Most likely the answer to the same request was lost, and it was sent again.
		return info.Size(), f.same(ctx, key, io.NewSectionReader(file, 0, info.Size()), err)
	}
	if err != nil {
		return 0, err
	}
	if at.Size != info.Size() {
		return 0, fmt.Errorf("upload %s: the store took %d of %d bytes", f.o.Store.URL(key), at.Size, info.Size())
	}
	return info.Size(), nil
}

// same compares an object with what was to be written there; otherwise is the error where it is another.
func (f *FS) same(ctx context.Context, key string, want io.Reader, otherwise error) (err error) {
	body, _, err := f.o.Store.Read(ctx, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, aerr := io.ReadFull(want, a)
		m, berr := io.ReadFull(body, b)
		if !bytes.Equal(a[:n], b[:m]) {
			if berr != nil && !errors.Is(berr, io.EOF) && !errors.Is(berr, io.ErrUnexpectedEOF) {
				return berr
			}
			return fmt.Errorf("another object stands there: %w: %w", fs.ErrExist, otherwise)
		}
		if aerr != nil || berr != nil {
			return nil // both have ended, or n and m would differ
		}
	}
}

// What may be at the store of a draft.
type remains int

const (
	nothingSent remains = iota
	maybeSent           // an upload failed
	isObject            // it was uploaded: it is a draft no more
)

// dropDraft gives a draft up, and removes its file, or moves it to another place.
func (f *FS) dropDraft(d *draft, to string) (remains, error) {
	d.sending.Lock() // an upload under way comes to its end
	defer d.sending.Unlock()
	if d.done {
		return isObject, nil
	}
	d.done = true
	f.mu.Lock()
	delete(f.drafts, d.name)
	f.mu.Unlock()
	left := nothingSent
	if d.sent {
		left = maybeSent
	}
	if to != "" {
		return left, os.Rename(d.path, to)
	}
	return left, remove(d.path)
}
