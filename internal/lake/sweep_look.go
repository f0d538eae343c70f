package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"unique"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
)

// errOutside says that a table names files outside its folder, so what lies in its folder proves nothing.
var errOutside = errors.New("the table names files outside the lake's folder")

// fileName is the path of a file relative to the folder of all tables, with slashes.
type fileName = unique.Handle[string]

// watch follows which files a table names. Manifests and manifest lists never change, so each is read once. One goroutine.
type watch struct {
	s         *store
	root      string
	lists     map[string][]iceberg.ManifestFile // manifest lists by location
	manifests map[string]entries                // manifests by location
	last      *look
}

// entries are the data files that a manifest names.
type entries struct {
	files []fileName
	bytes int64
}

// look is what a table names at one moment: the files of all snapshots that can be read, and the metadata.
type look struct {
	location string // of the metadata
	live     map[fileName]struct{}

	snapshots, manifests int // manifests of the current snapshot
	files, bytes         int64
}

// look reads what the table names now. Any error means that nothing is known.
//
// Who looks after it listed the folders sees every file of a commit that was going on meanwhile: it waits for the end of it.
func (w *watch) look(ctx context.Context) (*look, error) {
	w.s.committing.Lock()
	location, err := w.s.l.catalog.Current(ctx, w.s.name)
	w.s.committing.Unlock()
	if err != nil {
		return nil, err
	}
	if w.last != nil && w.last.location == location {
		return w.last, nil
	}
	t, err := w.s.l.catalog.Load(ctx, w.s.name)
	if err != nil {
		return nil, err
	}
	out, err := w.read(t)
	if err != nil {
		return nil, fmt.Errorf("read what table %s names: %w", w.s.name, err)
	}
	w.last = out
	return out, nil
}

func (w *watch) read(t *table.Table) (*look, error) {
	m := t.Metadata()
	out := &look{location: t.MetadataLocation(), live: map[fileName]struct{}{}, snapshots: len(m.Snapshots())}
	if err := w.add(out, out.location); err != nil {
		return nil, err
	}
	for previous := range m.PreviousFiles() {
		// Those of a lake that was moved lie elsewhere.
		if err := w.add(out, previous.MetadataFile); err != nil && !errors.Is(err, errOutside) {
			return nil, err
		}
	}
	lists, manifests := map[string][]iceberg.ManifestFile{}, map[string]entries{}
	for _, s := range m.Snapshots() {
		list, err := w.list(s.ManifestList)
		if err != nil {
			return nil, err
		}
		lists[s.ManifestList] = list
		if err := w.add(out, s.ManifestList); err != nil {
			return nil, err
		}
		current := m.CurrentSnapshot() != nil && m.CurrentSnapshot().SnapshotID == s.SnapshotID
		for _, mf := range list {
			e, err := w.manifest(mf, manifests)
			if err != nil {
				return nil, err
			}
			if current {
				out.manifests++
				out.files += int64(len(e.files))
				out.bytes += e.bytes
			}
		}
	}
	for location, e := range manifests {
		if err := w.add(out, location); err != nil {
			return nil, err
		}
		for _, f := range e.files {
			out.live[f] = struct{}{}
		}
	}
	w.lists, w.manifests = lists, manifests
	return out, nil
}

// add takes a location for live.
func (w *watch) add(to *look, location string) error {
	n, err := w.name(location)
	if err == nil {
		to.live[n] = struct{}{}
	}
	return err
}

// name turns a location into a path below the table's folder.
func (w *watch) name(location string) (fileName, error) {
	path, err := w.s.l.catalog.IO().Path(location)
	if err != nil {
		return fileName{}, err
	}
	if !strings.HasPrefix(path, w.root+"/"+w.s.name+"/") {
		return fileName{}, fmt.Errorf("%w: %s", errOutside, path)
	}
	return unique.Make(path[len(w.root)+1:]), nil
}

func (w *watch) list(location string) ([]iceberg.ManifestFile, error) {
	if list, ok := w.lists[location]; ok {
		return list, nil
	}
	text, err := w.s.l.catalog.IO().ReadFile(location)
	if err != nil {
		return nil, err
	}
	list, err := iceberg.ReadManifestList(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read manifest list %s: %w", location, err)
	}
	return list, nil
}

// manifest gives the files of a manifest, and puts them into known.
func (w *watch) manifest(mf iceberg.ManifestFile, known map[string]entries) (entries, error) {
	location := mf.FilePath()
	if e, ok := known[location]; ok {
		return e, nil
	}
	if e, ok := w.manifests[location]; ok {
		known[location] = e
		return e, nil
	}
	var out entries
	for entry, err := range iceberg.EntriesWithProjection(w.s.l.catalog.IO(), mf, true, iceberg.ManifestEntryProjection{}) {
		if err != nil {
			return entries{}, fmt.Errorf("read manifest %s: %w", location, err)
		}
		n, err := w.name(entry.DataFile().FilePath())
		if err != nil {
			return entries{}, err
		}
		out.files = append(out.files, n)
		out.bytes += entry.DataFile().FileSizeBytes()
	}
	if want := int(mf.AddedDataFiles()) + int(mf.ExistingDataFiles()); len(out.files) != want {
		return entries{}, fmt.Errorf("%w: manifest %s has %d files, its list says %d", catalog.ErrDamaged, location, len(out.files), want)
	}
	known[location] = out
	return out, nil
}
