package remote

import (
	"context"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firth/internal/object"
)

// entry is a file or a folder at the store.
type entry struct {
	name     string
	size     int64
	modified time.Time
	folder   bool
}

var (
	_ fs.FileInfo = entry{}
	_ fs.DirEntry = entry{}
)

func (e entry) Name() string               { return e.name }
func (e entry) Size() int64                { return e.size }
func (e entry) ModTime() time.Time         { return e.modified }
func (e entry) IsDir() bool                { return e.folder }
func (e entry) Sys() any                   { return nil }
func (e entry) Type() fs.FileMode          { return e.Mode().Type() }
func (e entry) Info() (fs.FileInfo, error) { return e, nil }

func (e entry) Mode() fs.FileMode {
	if e.folder {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// named gives what is known of a draft its name.
func named(info fs.FileInfo, clean string) fs.FileInfo {
	if info == nil {
		return nil
	}
	return entry{name: filepath.Base(clean), size: info.Size(), modified: info.ModTime()}
}

// ReadDir implements [disk.Folders]: what the store has, and what is written and not there yet. A folder without anything is not there.
func (f *FS) ReadDir(dir string) ([]fs.DirEntry, error) {
	clean, key, ok := f.key(dir)
	if !ok && clean != f.dir {
		return f.OS.ReadDir(dir)
	}
	folder := ""
	if ok {
		folder = key + "/"
	}
	found := map[string]entry{}
	for o, err := range f.o.Store.ListFolder(context.Background(), folder) {
		if err != nil {
			return nil, err
		}
		name, isFolder := strings.CutSuffix(strings.TrimPrefix(o.Key, folder), "/")
		if name != "" && (clean != f.dir || !hidden(name)) {
			found[name] = entryOf(name, o, isFolder)
		}
	}
	f.mu.Lock()
	for name, d := range f.drafts {
		if rest, below := strings.CutPrefix(name, clean+string(filepath.Separator)); below {
			first, _, isFolder := strings.Cut(rest, string(filepath.Separator))
			if _, there := found[first]; !there {
				found[first] = f.entryOfDraft(first, d, isFolder)
			}
		}
	}
	f.mu.Unlock()
	if len(found) == 0 && ok {
		return nil, &fs.PathError{Op: "list", Path: f.o.Store.URL(folder), Err: fs.ErrNotExist}
	}
	out := make([]fs.DirEntry, 0, len(found))
	for _, e := range found {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

// hidden says which objects at the top are not files.
func hidden(name string) bool { return name == claimKey || strings.HasPrefix(name, ".") }

func entryOf(name string, o object.Info, folder bool) entry {
	if folder {
		return entry{name: name, folder: true}
	}
	return entry{name: name, size: o.Size, modified: o.Modified}
}

func (f *FS) entryOfDraft(name string, d *draft, folder bool) entry {
	e := entry{name: name, folder: folder}
	if info, err := f.OS.Stat(d.path); err == nil && !folder {
		e.size, e.modified = info.Size(), info.ModTime()
	}
	return e
}

// Tree lists a folder and all folders below it, by their absolute paths, each sorted by name: one request for a thousand files, however many folders
// there are. What is written and not at the store yet is among them. A folder without anything gives an empty map.
func (f *FS) Tree(dir string) (map[string][]fs.DirEntry, error) {
	clean, key, _ := f.key(dir)
	prefix := ""
	if key != "" {
		prefix = key + "/"
	}
	t := tree{}
	for o, err := range f.o.Store.List(context.Background(), prefix) {
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(o.Key, prefix)
		if name == "" || strings.HasSuffix(name, "/") || prefix == "" && hidden(name) {
			continue
		}
		t.add(clean, name, entryOf(filepath.Base(name), o, false))
	}
	f.mu.Lock()
	for name, d := range f.drafts {
		if below, ok := strings.CutPrefix(name, clean+string(filepath.Separator)); ok {
			t.add(clean, filepath.ToSlash(below), f.entryOfDraft(filepath.Base(name), d, false))
		}
	}
	f.mu.Unlock()
	out := make(map[string][]fs.DirEntry, len(t))
	for at, entries := range t {
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			out[at] = append(out[at], entries[name])
		}
	}
	return out, nil
}

// tree is folders by path, with their entries by name.
type tree map[string]map[string]entry

// add adds a file, by its name relative to root with slashes, and the folders that it lies in.
func (t tree) add(root, name string, e entry) {
	dir := filepath.Join(root, filepath.Dir(filepath.FromSlash(name)))
	for at, of := dir, e; ; at, of = filepath.Dir(at), (entry{name: filepath.Base(at), folder: true}) {
		if t[at] == nil {
			t[at] = map[string]entry{}
		}
		if _, there := t[at][of.name]; !there {
			t[at][of.name] = of
		}
		if at == root || len(at) < len(root) {
			return
		}
	}
}
