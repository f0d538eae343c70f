// Package audit compares the files of a lake's folder with those that its tables name, by the Iceberg library and SQLite alone:
// it shares no code with what writes, merges and sweeps them.
package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	_ "modernc.org/sqlite" // the catalog's driver
)

// Lake is what was found in a lake. Paths are absolute.
type Lake struct {
	Data     []string // data files of the current snapshots
	Kept     []string // data files that only older snapshots name
	Metadata []string // manifests, their lists and metadata that the tables name
	Orphans  []string // files in the folder that nothing names
	Missing  []string // files that are named and not there
	Rows     map[string]int64
	Days     map[string][]string // partitions of the current snapshots, by table
	// Times are those of the snapshots of each table, in the order of commits, Unix milliseconds.
	Times map[string][]int64
}

// Read reads the lake in a data folder. Nothing may commit to it or sweep it meanwhile.
func Read(ctx context.Context, data string) (*Lake, error) {
	return ReadAt(ctx, data, "file://"+filepath.Join(data, "lake"), filepath.Join(data, "lake"))
}

// ReadAt is Read for tables whose locations begin with a URL, and whose files lie in a folder on local disk in its place: that of a store which
// keeps objects as files.
func ReadAt(ctx context.Context, data, url, folder string) (l *Lake, err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "catalog.db")+"?mode=ro")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, "SELECT table_name, metadata_location FROM iceberg_tables")
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	defer rows.Close()
	l = &Lake{Rows: map[string]int64{}, Days: map[string][]string{}, Times: map[string][]int64{}}
	w := &walk{lake: l, named: map[string]bool{}, url: url, dir: folder}
	for rows.Next() {
		var name, location string
		if err := rows.Scan(&name, &location); err != nil {
			return nil, err
		}
		if err := w.table(name, location); err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return l, w.folder(folder)
}

// walk collects what the tables name.
type walk struct {
	lake  *Lake
	named map[string]bool

	url, dir string
}

// Open implements the library's IO.
func (w *walk) Open(location string) (iceio.File, error) {
	path, err := w.path(location)
	if err != nil {
		return nil, err
	}
	return iceio.LocalFS{}.Open(path)
}

// Remove implements the library's IO.
func (w *walk) Remove(string) error { return errors.ErrUnsupported }

// path is where the file of a location lies.
func (w *walk) path(location string) (string, error) {
	if rest, ok := strings.CutPrefix(location, w.url+"/"); ok && !strings.HasPrefix(w.url, "file://") {
		return filepath.Join(w.dir, rest), nil
	}
	u, err := url.Parse(location)
	if err != nil {
		return "", err
	}
	if u.Scheme != "file" {
		return "", fmt.Errorf("%s does not lie below %s", location, w.url)
	}
	return u.Path, nil
}

// name notes a file and reports whether it is new.
func (w *walk) name(location string, list *[]string) (path string, err error) {
	if path, err = w.path(location); err != nil {
		return "", err
	}
	if !w.named[path] {
		w.named[path] = true
		*list = append(*list, path)
	}
	return path, nil
}

func (w *walk) table(name, location string) error {
	path, err := w.name(location, &w.lake.Metadata)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if r, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
		if text, err = io.ReadAll(r); err != nil {
			return err
		}
	}
	m, err := table.ParseMetadataBytes(text)
	if err != nil {
		return err
	}
	for entry := range m.PreviousFiles() {
		if _, err := w.name(entry.MetadataFile, &w.lake.Metadata); err != nil {
			return err
		}
	}
	if current := m.CurrentSnapshot(); current != nil {
		if err := w.snapshot(name, *current, true); err != nil {
			return err
		}
	}
	for _, s := range m.Snapshots() {
		w.lake.Times[name] = append(w.lake.Times[name], s.TimestampMs)
		if err := w.snapshot(name, s, false); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) snapshot(name string, s table.Snapshot, current bool) error {
	if _, err := w.name(s.ManifestList, &w.lake.Metadata); err != nil {
		return err
	}
	manifests, err := s.Manifests(w)
	if err != nil {
		return fmt.Errorf("snapshot %d: %w", s.SnapshotID, err)
	}
	for _, m := range manifests {
		if _, err := w.name(m.FilePath(), &w.lake.Metadata); err != nil {
			return err
		}
		for e, err := range m.Entries(w, true) {
			if err != nil {
				return fmt.Errorf("manifest %s: %w", m.FilePath(), err)
			}
			if err := w.file(name, e.DataFile(), current); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walk) file(name string, f iceberg.DataFile, current bool) error {
	list := &w.lake.Kept
	if current {
		list = &w.lake.Data
	}
	path, err := w.name(f.FilePath(), list)
	if err != nil || !current {
		return err
	}
	w.lake.Rows[name] += f.Count()
	if day := filepath.Base(filepath.Dir(path)); !slices.Contains(w.lake.Days[name], day) {
		w.lake.Days[name] = append(w.lake.Days[name], day)
	}
	return nil
}

// folder compares what is named with what is there.
func (w *walk) folder(dir string) error {
	there := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		there[path] = true
		if !w.named[path] {
			w.lake.Orphans = append(w.lake.Orphans, path)
		}
		return nil
	})
	for path := range w.named {
		if !there[path] {
			w.lake.Missing = append(w.lake.Missing, path)
		}
	}
	slices.Sort(w.lake.Orphans)
	slices.Sort(w.lake.Missing)
	return err
}

// String says how much there is.
func (l *Lake) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d data files, %d more of older snapshots, %d of metadata, %d orphans, %d missing", len(l.Data), len(l.Kept), len(l.Metadata), len(l.Orphans), len(l.Missing))
	return b.String()
}
