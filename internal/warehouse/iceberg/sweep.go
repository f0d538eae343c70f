package iceberg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	icetable "github.com/apache/iceberg-go/table"

	"firth/internal/warehouse"
)

// present are the schemas that have a folder of files here: other namespaces of the catalog are somebody else's.
func (d *DB) present(ctx context.Context) ([]string, error) {
	schemas, err := d.schemas(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := d.o.IO.FS().ReadDir(d.o.IO.Root())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the schemas' folders: %w", err)
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	return slices.DeleteFunc(schemas, func(s string) bool { return !there[safeName(s)] }), nil
}

// sweep removes the files below the folders of known schemas that no table has named for the grace. Which files there are is looked at
// first, then which are being written, and only then what the tables name: what a commit named in between is seen to be named. Where
// anything cannot be read nothing is removed.
func (d *DB) sweep(ctx context.Context) error {
	schemas, err := d.present(ctx)
	if err != nil {
		return err
	}
	dead := map[string]time.Time{}
	for _, schema := range schemas {
		paths, err := d.unnamed(ctx, schema)
		if err != nil {
			return fmt.Errorf("look for files that nothing names in schema %s: %w", schema, err)
		}
		for _, p := range paths {
			dead[p] = d.o.Now()
			if since, ok := d.dead[p]; ok {
				dead[p] = since
			}
		}
	}
	d.dead = dead
	for _, p := range slices.Sorted(maps.Keys(dead)) {
		if grace, _ := d.grace(p); d.o.Now().Sub(dead[p]) < grace {
			continue
		}
		if err := d.remove(p); err != nil {
			return err
		}
		delete(d.dead, p)
	}
	return nil
}

// sweepNow removes what nothing names in a schema, without a grace.
func (d *DB) sweepNow(ctx context.Context, schema string) error {
	paths, err := d.unnamed(ctx, schema)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := d.remove(p); err != nil {
			return err
		}
		delete(d.dead, p)
	}
	return nil
}

// remove removes a file that nothing names, and its folders where nothing else is in them.
func (d *DB) remove(path string) error {
	if err := d.o.Step("remove " + filepath.Base(path)); err != nil {
		return err
	}
	files := d.o.IO.FS()
	if err := files.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// unnamed lists the files of a schema's folder that no snapshot of any of its tables names and that nobody is writing, as far as their names
// are Firth's or those of orphans.
func (d *DB) unnamed(ctx context.Context, schema string) ([]string, error) {
	s, err := d.space(ctx, schema)
	if err != nil {
		return nil, err
	}
	var all []string
	if err := d.walk(s.io.Root(), &all); err != nil {
		return nil, err
	}
	d.spaces.Lock()
	writing := maps.Clone(d.writing)
	d.spaces.Unlock()
	named, err := d.named(ctx, s)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(p string) bool {
		_, goes := d.grace(p)
		return !goes || named[p] || writing[p]
	}), nil
}

// walk lists the files below a folder.
func (d *DB) walk(dir string, into *[]string) error {
	entries, err := d.o.IO.FS().ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !e.IsDir() {
			*into = append(*into, path)
			continue
		}
		if strings.HasPrefix(e.Name(), ".") {
			continue // such as the snapshots of some file servers
		}
		if err := d.walk(path, into); err != nil {
			return err
		}
	}
	return nil
}

// named are the paths of all files that the tables of a namespace name, in any of their snapshots.
func (d *DB) named(ctx context.Context, s *space) (map[string]bool, error) {
	tables, err := s.catalog.Tables(ctx)
	if err != nil {
		return nil, err
	}
	out, seen := map[string]bool{}, map[string][]string{}
	for name := range tables {
		t, err := s.catalog.Load(ctx, name)
		if errors.Is(err, errNoTable) {
			continue // it was dropped or renamed just now: its files are listed as dead once, and looked at again after the grace
		}
		if err != nil {
			return nil, err
		}
		if err := d.nameFiles(s, t, out, seen); err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
	}
	d.manifests = seen
	return out, nil
}

func (d *DB) nameFiles(s *space, t *icetable.Table, out map[string]bool, seen map[string][]string) error {
	locations := []string{t.MetadataLocation()}
	for e := range t.Metadata().PreviousFiles() {
		locations = append(locations, e.MetadataFile)
	}
	for st := range t.Metadata().Statistics() {
		locations = append(locations, st.StatisticsPath)
	}
	for st := range t.Metadata().PartitionStatistics() {
		locations = append(locations, st.StatisticsPath)
	}
	for _, snap := range t.Metadata().Snapshots() {
		list, err := snap.Manifests(s.io)
		if err != nil {
			return fmt.Errorf("read manifest list: %w", err)
		}
		locations = append(locations, snap.ManifestList)
		for _, mf := range list {
			files, ok := seen[mf.FilePath()]
			if !ok {
				if files, ok = d.manifests[mf.FilePath()]; !ok {
					if files, err = s.filesOf(mf); err != nil {
						return err
					}
				}
				seen[mf.FilePath()] = files
			}
			locations = append(locations, mf.FilePath())
			locations = append(locations, files...)
		}
	}
	for _, l := range locations {
		path, err := s.io.Path(l)
		if err != nil {
			return err
		}
		out[path] = true
	}
	return nil
}

// filesOf are the locations of the files that a manifest names and that are live.
func (s *space) filesOf(mf iceberg.ManifestFile) ([]string, error) {
	var out []string
	for entry, err := range mf.Entries(s.io, true) {
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		out = append(out, entry.DataFile().FilePath())
	}
	return out, nil
}

// rebuildOf is the schema in which the tables of another are rebuilt.
func rebuildOf(schema string) string { return warehouse.RebuildPrefix + schema }
