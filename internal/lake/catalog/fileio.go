package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	iceio "github.com/apache/iceberg-go/io"

	"firth/internal/disk"
)

// FileIO is the file access of tables below one folder of a file system. Their locations are file:// URIs, or lie below a URL that
// stands for the folder: then the file system is one whose files are objects of a store. What is written is durable once Close of the file
// and then Settle have returned nil. It is safe for concurrent use.
//
// The library itself never syncs, so nothing may be written past this type before a catalog row names it.
type FileIO struct {
	fs   disk.FS
	root string // folder below which all tables live; it is taken to be durable
	url  string // what stands for root in locations, without a slash at its end; empty: file:// and root itself

	mu      sync.Mutex
	durable map[string]bool // folders whose own name is durable
	dirty   map[string]bool // folders with names that are not durable yet
}

var _ iceio.WriteFileIO = (*FileIO)(nil)

// NewFileIO returns the file access for tables below root, an absolute path, which it creates.
func NewFileIO(fsys disk.FS, root string) (*FileIO, error) { return NewFileIOAt(fsys, root, "") }

// NewFileIOAt is [NewFileIO] for tables whose locations begin with a URL, such as s3://bucket/prefix, in the place of root: other engines
// find the files there. An empty URL is that of the folder.
func NewFileIOAt(fsys disk.FS, root, url string) (*FileIO, error) {
	root = filepath.Clean(root)
	if err := disk.MakeDir(fsys, root, 0o755); err != nil {
		return nil, err
	}
	return &FileIO{fs: fsys, root: root, url: strings.TrimRight(url, "/"), durable: map[string]bool{root: true}, dirty: map[string]bool{}}, nil
}

// Below is the file access for tables below a folder of the root, which it creates.
func (f *FileIO) Below(folder string) (*FileIO, error) {
	at := f.url
	if at != "" {
		at += "/" + filepath.ToSlash(folder)
	}
	return NewFileIOAt(f.fs, filepath.Join(f.root, folder), at)
}

// Root is the folder of all tables.
func (f *FileIO) Root() string { return f.root }

// Remote reports whether locations are of a URL that is not the folder's own.
func (f *FileIO) Remote() bool { return f.url != "" }

// FS is the file system below.
func (f *FileIO) FS() disk.FS { return f.fs }

// Location is what tables call the file at an absolute path, which lies below the root where the root has a URL.
func (f *FileIO) Location(path string) string {
	if f.url == "" {
		return Location(path)
	}
	if path == f.root {
		return f.url
	}
	return f.url + "/" + filepath.ToSlash(strings.TrimPrefix(path, f.root+string(filepath.Separator)))
}

// Path is the absolute path of a location.
func (f *FileIO) Path(location string) (string, error) {
	if f.url == "" {
		return Path(location)
	}
	rest, ok := strings.CutPrefix(location, f.url)
	if !ok || rest != "" && rest[0] != '/' {
		return "", fmt.Errorf("location %q does not lie below %s", location, f.url)
	}
	return filepath.Join(f.root, filepath.FromSlash(rest)), nil
}

// Location is the URI of an absolute path.
func Location(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// Path is the absolute path of a file:// location.
func Path(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", fmt.Errorf("location %q: %w", location, err)
	}
	if u.Scheme != "file" || u.Host != "" || !strings.HasPrefix(u.Path, "/") {
		return "", fmt.Errorf("location %q is not a file:// path", location)
	}
	return filepath.Clean(u.Path), nil
}

// Open implements the library's IO.
func (f *FileIO) Open(location string) (iceio.File, error) {
	path, err := f.Path(location)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(path, avroExt) {
		return f.openAvro(path)
	}
	file, err := f.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stat %s: %w", path, err), file.Close())
	}
	return &readFile{io.NewSectionReader(file, 0, info.Size()), file}, nil
}

// openAvro reads all of a manifest or manifest list, which are small, and verifies it.
func (f *FileIO) openAvro(path string) (iceio.File, error) {
	info, err := f.fs.Stat(path)
	if err != nil {
		return nil, err
	}
	content, err := readSound(f.fs, path)
	if err != nil {
		return nil, err
	}
	return &memFile{bytes.NewReader(content), info}, nil
}

// ReadFile implements the library's IO.
func (f *FileIO) ReadFile(location string) ([]byte, error) {
	path, err := f.Path(location)
	if err != nil {
		return nil, err
	}
	return readSound(f.fs, path)
}

// Remove implements the library's IO. A file that is gone is no error, and the removal need not be durable: a file that
// comes back is an orphan.
func (f *FileIO) Remove(location string) error {
	path, err := f.Path(location)
	if err != nil {
		return err
	}
	if err := f.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Create makes a new file. Close makes its content durable, Settle its name.
func (f *FileIO) Create(location string) (iceio.FileWriter, error) {
	path, err := f.Path(location)
	if err != nil {
		return nil, err
	}
	file, err := f.create(path)
	if err != nil {
		return nil, err
	}
	f.mark(filepath.Dir(path))
	return &writeFile{path: path, file: file, whole: strings.HasSuffix(path, avroExt)}, nil
}

// maxCreates bounds how often a folder is made that is removed, being empty, before a file is in it.
const maxCreates = 10

func (f *FileIO) create(path string) (disk.File, error) {
	for try := 1; ; try++ {
		if err := f.makeDir(filepath.Dir(path)); err != nil {
			return nil, err
		}
		file, err := f.fs.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrNotExist) && try < maxCreates {
			f.forget(filepath.Dir(path))
			continue
		}
		return file, err
	}
}

// forget lets the folder be made again.
func (f *FileIO) forget(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.durable, dir)
	delete(f.dirty, dir)
}

// RemoveDir removes a folder if it is empty and reports whether it did. Files may be created in it meanwhile: that makes it again.
func (f *FileIO) RemoveDir(dir string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, err := f.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(list) > 0 {
		return false, nil
	}
	if err == nil {
		err = f.fs.Remove(dir)
	}
	if errors.Is(err, fs.ErrExist) { // the system's word for a folder that is not empty
		return false, nil
	}
	if err != nil {
		return false, err
	}
	delete(f.durable, dir)
	delete(f.dirty, dir)
	return true, nil
}

// Rename gives a file another name in its folder; both are paths. Settle makes the name durable.
func (f *FileIO) Rename(from, to string) error {
	if err := f.fs.Rename(from, to); err != nil {
		return err
	}
	f.mark(filepath.Dir(to)) // again: another table's commit may have settled the folder since the file was created
	return nil
}

// WriteFile implements the library's IO.
func (f *FileIO) WriteFile(location string, content []byte) error {
	w, err := f.Create(location)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

// Settle makes the names of all files created so far durable.
func (f *FileIO) Settle() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, dir := range slices.Sorted(maps.Keys(f.dirty)) {
		if err := f.fs.SyncDir(dir); err != nil {
			return &disk.SyncError{Path: dir, Err: err}
		}
		delete(f.dirty, dir)
	}
	return nil
}

func (f *FileIO) mark(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty[dir] = true
}

// makeDir creates a folder below the root and makes its name durable, also where it exists already: an earlier attempt may
// have failed between the two.
func (f *FileIO) makeDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var chain []string
	for at := dir; !f.durable[at]; at = filepath.Dir(at) {
		if at == filepath.Dir(at) || !strings.HasPrefix(at, f.root) {
			return fmt.Errorf("%s does not lie below %s", dir, f.root)
		}
		chain = append(chain, at)
	}
	if len(chain) == 0 {
		return nil
	}
	if err := f.fs.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	for i := len(chain) - 1; i >= 0; i-- {
		parent := filepath.Dir(chain[i])
		if err := f.fs.SyncDir(parent); err != nil {
			return &disk.SyncError{Path: parent, Err: err}
		}
		f.durable[chain[i]] = true
	}
	return nil
}

type readFile struct {
	*io.SectionReader
	file disk.File
}

func (r *readFile) Stat() (fs.FileInfo, error) { return r.file.Stat() }
func (r *readFile) Close() error               { return r.file.Close() }

type writeFile struct {
	path   string
	file   disk.File
	whole  bool // it is written at the end, with its checksum
	held   []byte
	closed bool
}

func (w *writeFile) Write(b []byte) (int, error) {
	if w.whole {
		w.held = append(w.held, b...)
		return len(b), nil
	}
	return w.file.Write(b)
}

func (w *writeFile) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// Close syncs and closes. The library closes some files twice: only the first call counts.
func (w *writeFile) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	if w.whole {
		if _, err := w.file.Write(seal(w.held)); err != nil {
			return errors.Join(err, w.file.Close())
		}
	}
	if err := w.file.Datasync(); err != nil {
		return errors.Join(&disk.SyncError{Path: w.path, Err: err}, w.file.Close())
	}
	return w.file.Close()
}
