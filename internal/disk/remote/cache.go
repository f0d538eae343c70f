package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/disk"
	"firth/internal/object"
)

// flight is a fetch under way. Whoever wants the same file waits for it.
type flight struct {
	done chan struct{}
	err  error
}

// pin is a file that is held by a hard link of this process.
type pin struct {
	path  string
	users int
}

// maxTries bounds how often a file is fetched again that was evicted, or whose fetch broke off, before it was of use.
const maxTries = 5

// open opens a file of the cache, which it fetches where it is missing.
func (f *FS) open(ctx context.Context, clean, key string) (disk.File, error) {
	for try := 1; ; try++ {
		if err := f.bring(ctx, clean, key, try == 1); err != nil {
			return nil, err
		}
		file, err := f.OS.OpenFile(clean, os.O_RDONLY, 0)
		if !errors.Is(err, fs.ErrNotExist) || try == maxTries {
			return file, err
		}
	}
}

// bring makes sure that a file was in the cache a moment ago. A context that ends does not end a fetch that others may wait for.
func (f *FS) bring(ctx context.Context, clean, key string, count bool) error {
	if strings.HasSuffix(clean, tmpExt) {
		return &fs.PathError{Op: "open", Path: clean, Err: fs.ErrNotExist}
	}
	if f.ready(clean) {
		if count {
			f.hits.Add(1)
		}
		f.touch(clean)
		return nil
	}
	f.mu.Lock()
	if under, ok := f.fetches[clean]; ok {
		f.mu.Unlock()
		select {
		case <-under.done:
			return under.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	mine := &flight{done: make(chan struct{})}
	f.fetches[clean] = mine
	f.mu.Unlock()
	mine.err = f.fetch(context.WithoutCancel(ctx), clean, key)
	f.mu.Lock()
	delete(f.fetches, clean)
	f.mu.Unlock()
	close(mine.done)
	return mine.err
}

// ready reports whether a file is in the cache, whole. One that was written before the machine started may be anything: a crash of the
// machine takes back what was not synced, and the cache is never synced. Such a file is checked once.
func (f *FS) ready(clean string) bool {
	info, err := os.Stat(clean)
	if err != nil || info.IsDir() {
		return false
	}
	if info.ModTime().After(f.boot) {
		return true
	}
	if err := f.recheck(clean, info); err != nil {
		f.o.Log.Warn("a file of the cache is not sound and is fetched again", "file", clean, "error", err)
		return f.forget(clean) != nil
	}
	return true
}

// recheck checks a file of the cache, and gives it a time that says so.
func (f *FS) recheck(clean string, info fs.FileInfo) (err error) {
	file, err := os.Open(clean)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if at, serr := f.o.Store.Stat(context.Background(), f.keyOf(clean)); serr == nil && at.Size != info.Size() {
		return fmt.Errorf("it has %d bytes in place of %d", info.Size(), at.Size)
	}
	if w, done := f.check(clean); w != nil {
		if _, err := io.Copy(w, file); err != nil {
			return err
		}
		if err := done(); err != nil {
			return err
		}
	}
	now := f.o.Now()
	return os.Chtimes(clean, now, now)
}

func (f *FS) keyOf(clean string) string {
	_, key, _ := f.key(clean)
	return key
}

func (f *FS) check(name string) (io.Writer, func() error) {
	if f.o.Check == nil {
		return nil, nil
	}
	return f.o.Check(name)
}

// fetch brings an object into the cache. A download that breaks off is begun anew.
func (f *FS) fetch(ctx context.Context, clean, key string) error {
	for try := 1; ; try++ {
		err := f.download(ctx, clean, key)
		switch kind := object.KindOf(err); {
		case err == nil:
			f.trim()
			return nil
		case kind == object.NotFound:
			return &fs.PathError{Op: "read", Path: f.o.Store.URL(key), Err: fs.ErrNotExist}
		case try >= maxTries || kind != object.Unreachable && !errors.Is(err, errUnsound):
			f.failed.Add(1)
			return err
		}
	}
}

// errUnsound says that a file that was fetched is not what was written.
var errUnsound = errors.New("what was fetched is not sound")

func (f *FS) download(ctx context.Context, clean, key string) (err error) {
	body, info, err := f.o.Store.Read(ctx, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	f.mu.Lock()
	f.serial++
	part := filepath.Join(f.work, "fetch", strconv.FormatInt(f.serial, 10))
	f.mu.Unlock()
	size, err := f.write(part, clean, body)
	if err == nil && size != info.Size {
		err = fmt.Errorf("%w: %s has %d bytes in place of %d", errUnsound, f.o.Store.URL(key), size, info.Size)
	}
	if err != nil {
		return errors.Join(err, remove(part))
	}
	f.fetched.Add(1)
	f.fetchedBytes.Add(size)
	if err := f.keep(part, clean, size); err != nil {
		return errors.Join(fmt.Errorf("keep %s in the cache: %w", clean, err), remove(part))
	}
	return nil
}

func (f *FS) write(part, clean string, body io.Reader) (size int64, err error) {
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, fmt.Errorf("write into the cache: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w, done := f.check(clean)
	to := io.Writer(file)
	if w != nil {
		to = io.MultiWriter(file, w)
	}
	if size, err = io.Copy(struct{ io.Writer }{to}, body); err != nil {
		return size, err
	}
	if w != nil {
		if err := done(); err != nil {
			return size, fmt.Errorf("%w: %w", errUnsound, err)
		}
	}
	return size, nil
}

// keep moves a whole file into the cache.
func (f *FS) keep(part, clean string, size int64) error {
	if err := os.MkdirAll(filepath.Dir(clean), 0o755); err != nil {
		return err
	}
	had := int64(0)
	if old, err := os.Stat(clean); err == nil {
		had = old.Size() // fetched by another process meanwhile
	}
	err := os.Rename(part, clean)
	for try := 1; errors.Is(err, fs.ErrNotExist) && try < maxTries; try++ { // an empty folder was removed
		if err = os.MkdirAll(filepath.Dir(clean), 0o755); err == nil {
			err = os.Rename(part, clean)
		}
	}
	if err != nil {
		return err
	}
	now := f.o.Now()
	setUsed(clean, now)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used += size - had
	f.added += size
	f.touched[clean] = now
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Fetch implements [disk.Fetcher]. A file keeps its local path for as long as anybody in this process holds it.
func (f *FS) Fetch(ctx context.Context, paths []string) (local []string, release func(), err error) {
	local, held := make([]string, len(paths)), make([]string, len(paths))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, name := range paths {
		clean, key, ok := f.key(name)
		if !ok {
			local[i] = name
			continue
		}
		group.Go(func() error {
			path, err := f.hold(ctx, clean, key)
			if err == nil {
				local[i], held[i] = path, clean
			}
			return err
		})
	}
	err = group.Wait()
	held = slices.DeleteFunc(held, func(clean string) bool { return clean == "" })
	release = func() {
		for _, clean := range held {
			f.let(clean)
		}
		held = nil
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return local, release, nil
}

// Near implements [disk.Fetcher].
func (f *FS) Near(paths []string) bool {
	for _, name := range paths {
		clean, _, ok := f.key(name)
		if !ok || f.draft(clean) != nil {
			continue
		}
		if _, err := os.Stat(clean); err != nil {
			return false
		}
	}
	return true
}

// hold links a file.
func (f *FS) hold(ctx context.Context, clean, key string) (string, error) {
	for try := 1; ; try++ {
		from := clean
		if d := f.draft(clean); d != nil {
			from = d.path
		} else if err := f.bring(ctx, clean, key, try == 1); err != nil {
			return "", err
		}
		path, err := f.link(from, clean, key)
		if !errors.Is(err, fs.ErrNotExist) || try == maxTries {
			return path, err
		}
	}
}

func (f *FS) link(from, clean, key string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.pins[clean]; p != nil {
		p.users++
		return p.path, nil
	}
	p := &pin{path: filepath.Join(f.work, "held", filepath.FromSlash(key)), users: 1}
	err := os.Link(from, p.path)
	if errors.Is(err, fs.ErrNotExist) { // nearly always the folder is there
		if _, err := os.Stat(from); err != nil {
			return "", err
		}
		if err := os.MkdirAll(filepath.Dir(p.path), 0o755); err != nil {
			return "", err
		}
		err = os.Link(from, p.path)
	}
	if err != nil {
		return "", err
	}
	f.pins[clean] = p
	return p.path, nil
}

func (f *FS) let(clean string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pins[clean]
	if p == nil {
		return
	}
	if p.users--; p.users > 0 {
		return
	}
	delete(f.pins, clean)
	if err := remove(p.path); err != nil {
		f.o.Log.Warn("a file that was held was not removed", "file", p.path, "error", err)
	}
}

// touchEvery is how exact the times are by which files are evicted.
const touchEvery = time.Minute

// touch notes that a file was used.
func (f *FS) touch(clean string) {
	now := f.o.Now()
	f.mu.Lock()
	was := f.touched[clean]
	stale := now.Sub(was) >= touchEvery
	if stale {
		f.touched[clean] = now
	}
	f.mu.Unlock()
	if stale {
		setUsed(clean, now) // a file that is evicted too early is fetched again
	}
}

// slack is the part of the bound that may be added before the folder is looked at again: other processes add to it too.
const slack = 16

// trim evicts when the cache may have become too large.
func (f *FS) trim() {
	f.mu.Lock()
	due := f.used > f.o.Bytes || f.added > f.o.Bytes/slack
	f.mu.Unlock()
	if !due || !f.evicting.TryLock() {
		return
	}
	defer f.evicting.Unlock()
	if err := f.evict(); err != nil {
		f.o.Log.Warn("the cache was not looked through", "folder", f.dir, "error", err)
	}
}

// cached is a file of the cache.
type cached struct {
	path string
	size int64
	used time.Time
}

// evict looks through the cache, and removes what was not used for the longest time until it is nine tenths full.
func (f *FS) evict() error {
	f.mu.Lock()
	f.added = 0
	f.mu.Unlock()
	files, total, err := f.walk()
	if err != nil {
		return err
	}
	if total > f.o.Bytes {
		slices.SortFunc(files, func(a, b cached) int { return a.used.Compare(b.used) })
		for _, c := range files {
			if total <= f.o.Bytes/10*9 {
				break
			}
			if err := remove(c.path); err != nil {
				return err
			}
			total -= c.size
			f.evicted.Add(1)
			f.evictedBytes.Add(c.size)
			f.mu.Lock()
			delete(f.touched, c.path)
			f.mu.Unlock()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = total
	return nil
}

// walk lists the files of the cache. What is removed meanwhile is left out; folders that are empty are removed.
func (f *FS) walk() (files []cached, total int64, err error) {
	var folders []string
	err = filepath.WalkDir(f.dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != f.dir:
			return nil
		case err != nil:
			return err
		case path == f.dir:
			return nil
		case filepath.Dir(path) == f.dir && strings.HasPrefix(e.Name(), "."):
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case e.IsDir():
			folders = append(folders, path)
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // removed meanwhile
		}
		files = append(files, cached{path, info.Size(), lastUsed(info)})
		total += info.Size()
		return nil
	})
	slices.SortFunc(folders, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, folder := range folders {
		_ = os.Remove(folder) // where it is empty
	}
	return files, total, err
}
