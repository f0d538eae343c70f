// Package remote is a file system whose files below one folder are objects of a store; all else is local disk.
//
// Its files are written once and never change. A new one is written in a folder of the process's own. It becomes an object when it must
// be durable: a large one with Rename (or Sync, where its name does not end in .tmp), the others with the next SyncDir, many at a time. So a
// commit that writes some small files waits about as long as one of them takes. A copy stays in the cache, which is the folder itself.
//
// Reading fetches the whole object into the cache, one fetch at a time for a file. The cache is bounded in bytes; what was not used for the
// longest time goes first. Several processes share it: a file is in it whole or not at all, and whoever needs one by name holds a hard
// link of his own (Fetch), so evicting harms nobody.
//
// Folders exist as far as objects lie below them: making, syncing and removing one does nothing at the store.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"firth/internal/disk"
	"firth/internal/object"
)

// Store keeps the objects. *object.Store is one; keys have no slash in front.
type Store interface {
	PutNew(ctx context.Context, key string, r io.Reader, size int64) (object.Info, error)
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	Read(ctx context.Context, key string) (io.ReadCloser, object.Info, error)
	Stat(ctx context.Context, key string) (object.Info, error)
	List(ctx context.Context, prefix string) iter.Seq2[object.Info, error]
	ListFolder(ctx context.Context, folder string) iter.Seq2[object.Info, error]
	Delete(ctx context.Context, keys ...string) error
	URL(key string) string
}

// Options say which store stands for which folder. The zero value of an optional field stands for its default.
type Options struct {
	Store Store
	// Dir is the absolute path of the folder, which is the cache. Names in it that begin with a dot are local.
	Dir string
	// Bytes bounds the cache; files that are held, and what was written and is not at the store yet, come on top. Default 10 GiB.
	Bytes int64
	// Check, when set, is asked for a check of a file that was fetched, or was in the cache before the machine started: what is written to w is its
	// content, done says whether it is sound. A file that is not is fetched once more. A nil w: there is nothing to check in this one.
	Check func(name string) (w io.Writer, done func() error)
	Now   func() time.Time
	Log   *slog.Logger
}

// Defaults and bounds.
const (
	DefaultBytes = 10 << 30

	atOnce    = 8       // files uploaded or fetched at a time by one call
	largeFrom = 8 << 20 // size from which a file is uploaded when it gets its name, and no SyncDir waits for it
	workName  = ".work" // folder below Dir with a folder a process
	tmpExt    = ".tmp"
)

// FS is the file system. It is safe for concurrent use, and so are several of them, in several processes, on one folder and one store.
type FS struct {
	disk.OS // for what lies elsewhere

	o    Options
	dir  string
	work string // folder of this process
	lock *os.File
	boot time.Time // what was written to the cache since is known to the kernel, and sound

	mu      sync.Mutex
	drafts  map[string]*draft  // written, and not at the store yet, by name
	fetches map[string]*flight // under way, by name
	pins    map[string]*pin    // held, by name
	touched map[string]time.Time
	used    int64 // bytes of the cache, as far as known
	added   int64 // bytes since the folder was looked at
	serial  int64

	evicting sync.Mutex
	claim    claim

	hits, fetched, fetchedBytes, uploaded, uploadedBytes, evicted, evictedBytes, failed atomic.Int64
}

var (
	_ disk.FS      = (*FS)(nil)
	_ disk.Fetcher = (*FS)(nil)
)

// Open opens the file system, makes its folder, and clears away what processes left there that have ended. Nothing is asked of the store.
func Open(o Options) (*FS, error) {
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &FS{
		o: o, dir: filepath.Clean(o.Dir), boot: bootTime(), drafts: map[string]*draft{}, fetches: map[string]*flight{},
		pins: map[string]*pin{}, touched: map[string]time.Time{},
	}
	if err := f.enter(); err != nil {
		return nil, fmt.Errorf("open the cache %s: %w", o.Dir, err)
	}
	if err := f.evict(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the cache %s: %w", o.Dir, err), f.Close())
	}
	return f, nil
}

// Close gives up what this process holds. What was written and is not at the store is lost.
func (f *FS) Close() error {
	return errors.Join(os.RemoveAll(f.work), f.lock.Close())
}

// Stats count since Open, but for the gauges.
type Stats struct {
	Hits                    int64 // files that were in the cache when they were asked for
	Fetched, FetchedBytes   int64
	Uploaded, UploadedBytes int64
	Evicted, EvictedBytes   int64
	Failed                  int64 // uploads and fetches, after the store's own retries
	Bytes, Limit            int64 // of the cache; Bytes is what this process knows of
	Held                    int64 // files that are held by Fetch
	Waiting                 int64 // files that are written and not at the store yet
}

// Stats returns a copy.
func (f *FS) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Stats{
		Hits: f.hits.Load(), Fetched: f.fetched.Load(), FetchedBytes: f.fetchedBytes.Load(), Uploaded: f.uploaded.Load(), UploadedBytes: f.uploadedBytes.Load(),
		Evicted: f.evicted.Load(), EvictedBytes: f.evictedBytes.Load(), Failed: f.failed.Load(),
		Bytes: f.used, Limit: f.o.Bytes, Held: int64(len(f.pins)), Waiting: int64(len(f.drafts)),
	}
}

// key is the object that stands for a name; ok is false for names that are local.
func (f *FS) key(name string) (clean, key string, ok bool) {
	clean = filepath.Clean(name)
	rest, below := strings.CutPrefix(clean, f.dir+string(filepath.Separator))
	if !below || rest[0] == '.' {
		return clean, "", false
	}
	return clean, filepath.ToSlash(rest), true
}

// Object is the object that stands for a name; ok is false for names that are local.
func (f *FS) Object(name string) (key string, ok bool) {
	_, key, ok = f.key(name)
	return key, ok
}

// OpenFile implements [disk.Files]. A file below the folder is opened for reading, or made; nothing else is done to one that is there.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	clean, key, ok := f.key(name)
	if !ok {
		return f.OS.OpenFile(name, flag, perm)
	}
	if flag&os.O_CREATE != 0 {
		return f.create(clean, key, flag)
	}
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_TRUNC|os.O_APPEND) != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errWriteOnce}
	}
	if d := f.draft(clean); d != nil {
		file, err := f.OS.OpenFile(d.path, os.O_RDONLY, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return f.open(context.Background(), clean, key)
}

var errWriteOnce = fmt.Errorf("%w: a file at an object store is written once, and never changed", fs.ErrPermission)

// Stat implements [disk.Files]. It asks the store about a file that is not in the cache.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	clean, key, ok := f.key(name)
	if !ok {
		return f.OS.Stat(name)
	}
	if d := f.draft(clean); d != nil {
		if info, err := os.Stat(d.path); !errors.Is(err, fs.ErrNotExist) {
			return named(info, clean), err
		}
	}
	if info, err := os.Stat(clean); err == nil {
		return info, nil
	}
	ctx := context.Background()
	at, err := f.o.Store.Stat(ctx, key)
	if err == nil {
		return entry{name: filepath.Base(clean), size: at.Size, modified: at.Modified}, nil
	}
	if object.KindOf(err) != object.NotFound {
		return nil, err
	}
	for _, err := range f.o.Store.ListFolder(ctx, key+"/") {
		if err != nil {
			return nil, err
		}
		return entry{name: filepath.Base(clean), folder: true}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// Remove implements [disk.Files]: the object goes first, then the copy. The removal of an object that is not there is no error: the store
// does not tell. Of a folder only the cache's is removed, where it is empty.
func (f *FS) Remove(name string) error {
	clean, key, ok := f.key(name)
	if !ok {
		return f.OS.Remove(name)
	}
	if d := f.draft(clean); d != nil {
		switch left, err := f.dropDraft(d, ""); {
		case err != nil || left == nothingSent:
			return err
		case left == maybeSent:
			return f.unsend(clean, key)
		}
	} else if info, err := os.Lstat(clean); err == nil && info.IsDir() {
		return f.removeFolder(clean)
	}
	if strings.HasSuffix(clean, tmpExt) {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err := f.claimed(context.Background()); err != nil {
		return err
	}
	if err := f.o.Store.Delete(context.Background(), key); err != nil {
		return err
	}
	return f.forget(clean)
}

// unsendPatience bounds the removal of what an upload may have left.
const unsendPatience = 3 * time.Second

// unsend removes what an upload that failed may have left at the store all the same. When that fails too, it is an object that nothing names, and
// the sweeper finds it in a listing.
func (f *FS) unsend(clean, key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), unsendPatience)
	defer cancel()
	if err := f.o.Store.Delete(ctx, key); err != nil {
		f.o.Log.Info("what an upload that failed may have left is for the sweeper", "object", f.o.Store.URL(key), "error", err)
	}
	return f.forget(clean)
}

// removeFolder removes the cache's folder of a folder. Copies in it that no object stands for any more go by and by.
func (f *FS) removeFolder(clean string) error {
	if err := os.Remove(clean); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// forget removes a file from the cache.
func (f *FS) forget(clean string) error {
	info, err := os.Stat(clean)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(clean)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used -= info.Size()
	delete(f.touched, clean)
	return nil
}

// Cached reports whether a file can be read without asking the store. Files that are local can.
func (f *FS) Cached(name string) bool {
	clean, _, ok := f.key(name)
	if !ok || f.draft(clean) != nil {
		return true
	}
	_, err := os.Stat(clean)
	return err == nil
}

// MkdirAll implements [disk.Folders].
func (f *FS) MkdirAll(dir string, perm fs.FileMode) error {
	if _, _, ok := f.key(dir); ok {
		return nil
	}
	return f.OS.MkdirAll(dir, perm)
}
