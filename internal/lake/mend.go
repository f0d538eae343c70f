package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"firth/internal/disk"
	"firth/internal/lake/catalog"
)

// Errors of a data folder that was moved or copied.
var (
	// ErrMoved: the catalog names its tables at a place where the lake is not. [Open] mends that.
	ErrMoved = errors.New("the catalog names its tables at another place")
	// ErrIncomplete: files that the tables name are missing at the place where the lake is now.
	ErrIncomplete = errors.New("the lake is not complete")
	// ErrElsewhere: the catalog names its tables on another store than the one that the lake is said to be on.
	ErrElsewhere = errors.New("the catalog's tables are on another store")
)

// moved is a table whose row in the catalog names another folder than that in which it lies now. Iceberg writes absolute paths:
// they are told by their place below the table's folder.
type moved struct {
	name     string
	row      string // location of the metadata, as the catalog names it
	from, to string // folders of the table
	metadata table.Metadata
	list     []iceberg.ManifestFile // of the current snapshot
	beside   bool                   // of a warehouse: see mendBeside
}

// findMoved compares the places in the catalog with dir, the lake's folder. Nothing but the catalog is read, least of all a
// file at the old place: it may be in use by the lake that this one was copied from.
func findMoved(ctx context.Context, c *catalog.Catalog, dir string) ([]*moved, error) {
	tables, err := c.Tables(ctx)
	if err != nil {
		return nil, err
	}
	var out []*moved
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if c.IO().Remote() {
			if _, err := c.IO().Path(tables[name]); err != nil {
				return nil, fmt.Errorf("%w: table %s: %w", ErrElsewhere, name, err)
			}
			continue
		}
		if !strings.HasPrefix(tables[name], "file:") {
			return nil, fmt.Errorf("%w: table %s: %s is not on local disk", ErrElsewhere, name, tables[name])
		}
		path, err := catalog.Path(tables[name])
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		m := &moved{name: name, row: tables[name], from: filepath.Dir(filepath.Dir(path)), to: filepath.Join(dir, name)}
		if m.from != m.to {
			out = append(out, m)
		}
	}
	return out, nil
}

// mend makes the catalog name the tables where they are. First it is made sure that all files are there; then each table gets
// manifests, a manifest list and metadata with the new paths, and at last its row. Cut short anywhere, the next one goes on:
// a table whose row was written is where it says, any other is mended from the start. The current snapshot is kept, with its
// id, the older ones go, and so do the metadata files with the old paths.
func mend(ctx context.Context, o Options, c *catalog.Catalog) error {
	tables, err := findMoved(ctx, c, o.Dir)
	if err != nil {
		return err
	}
	if len(tables) == 0 {
		return mendBeside(ctx, o, c)
	}
	o.Log.Info("the lake was moved or copied: its tables are mended", "from", filepath.Dir(tables[0].from), "to", o.Dir, "tables", len(tables))
	var missing absent
	for _, m := range tables {
		if err := m.look(c, o, &missing); err != nil {
			return fmt.Errorf("table %s, which was moved from %s: %w", m.name, m.from, err)
		}
	}
	if err := missing.err(o.Dir, tables[0].from); err != nil {
		return err
	}
	for _, m := range tables {
		if err := m.mend(ctx, c, o); err != nil {
			return fmt.Errorf("mend the paths of table %s: %w", m.name, err)
		}
	}
	if err := mendBeside(ctx, o, c); err != nil {
		return err
	}
	if err := c.Shed(ctx); err != nil {
		o.Log.Warn("the catalog is not rid of the old paths' remains, which do no harm", "error", err)
	}
	return nil
}

// movedIO is the library's IO for the files of a table at their new place, by their old locations.
type movedIO struct {
	*catalog.FileIO
	m *moved
}

func (f movedIO) Open(location string) (iceio.File, error) {
	at, err := f.m.now(location)
	if err != nil {
		return nil, err
	}
	return f.FileIO.Open(at)
}

func (f movedIO) ReadFile(location string) ([]byte, error) {
	at, err := f.m.now(location)
	if err != nil {
		return nil, err
	}
	return f.FileIO.ReadFile(at)
}

// now is where a file lies now that lay at a location.
func (m *moved) now(location string) (string, error) {
	path, err := catalog.Path(location)
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(path, m.from+"/")
	if !ok {
		return "", fmt.Errorf("%s does not lie in the table's folder %s", path, m.from)
	}
	return catalog.Location(filepath.Join(m.to, rest)), nil
}

// look reads the table's metadata at its new place and notes which of the files that it names are not there.
func (m *moved) look(c *catalog.Catalog, o Options, missing *absent) error {
	at, err := m.now(m.row)
	if err != nil {
		return err
	}
	m.metadata, err = c.MetadataAt(m.name, at)
	if missing.note(at, err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !m.beside {
		if err := checkFormat(table.New(table.Identifier{Namespace, m.name}, m.metadata, at, nil, nil)); err != nil {
			return err
		}
	}
	if place, err := catalog.Path(m.metadata.Location()); err != nil || place != m.from {
		return fmt.Errorf("its metadata calls %s its place, the catalog %s", m.metadata.Location(), m.from)
	}
	current := m.metadata.CurrentSnapshot()
	if current == nil {
		return nil
	}
	files := movedIO{c.IO(), m}
	text, err := files.ReadFile(current.ManifestList)
	if missing.note(current.ManifestList, err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read manifest list: %w", err)
	}
	if m.list, err = iceberg.ReadManifestList(bytes.NewReader(text)); err != nil {
		return fmt.Errorf("read manifest list: %w", err)
	}
	for _, mf := range m.list {
		if err := m.lookAt(mf, files, o, missing); err != nil {
			return fmt.Errorf("read manifest: %w", err)
		}
	}
	return nil
}

func (m *moved) lookAt(mf iceberg.ManifestFile, files movedIO, o Options, missing *absent) error {
	if mf.ManifestContent() != iceberg.ManifestContentData {
		return errors.New("the table has delete files, which Firth never writes")
	}
	for entry, err := range mf.Entries(files, true) {
		if missing.note(mf.FilePath(), err) {
			return nil
		}
		if err != nil {
			return err
		}
		d := entry.DataFile()
		at, err := m.now(d.FilePath())
		if err != nil {
			return err
		}
		path, err := catalog.Path(at)
		if err != nil {
			return err
		}
		info, err := o.FS.Stat(path)
		switch {
		case missing.note(at, err):
		case err != nil:
			return err
		case info.Size() != d.FileSizeBytes():
			missing.add(fmt.Sprintf("%s (%d bytes of %d)", path, info.Size(), d.FileSizeBytes()))
		}
	}
	return nil
}

// absent collects what is not there.
type absent struct {
	n     int
	first []string
}

// namedAbsent is how many missing files an error names.
const namedAbsent = 5

func (a *absent) add(what string) {
	if a.n++; a.n <= namedAbsent {
		a.first = append(a.first, what)
	}
}

// note reports whether the error says that a file is missing, and keeps its place.
func (a *absent) note(location string, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		location = at.Path
	}
	a.add(location)
	return true
}

func (a *absent) err(dir, from string) error {
	if a.n == 0 {
		return nil
	}
	return fmt.Errorf("%w: it was moved or copied from %s to %s, and %d files are missing or cut short there: %s; copy all of the data folder "+
		"again while Firth is stopped, or set lake.url to where the files are", ErrIncomplete, filepath.Dir(from), dir, a.n, a.list())
}

// list names the first missing files.
func (a *absent) list() string {
	out := strings.Join(a.first, ", ")
	if a.n > len(a.first) {
		out += fmt.Sprintf(" and %d more", a.n-len(a.first))
	}
	return out
}

// checkPlace is what a process does that only reads: it cannot mend.
func (r *Reader) checkPlace(ctx context.Context, dir string) error {
	tables, err := findMoved(ctx, r.catalog, filepath.Clean(dir))
	if err != nil || len(tables) == 0 {
		return err
	}
	return fmt.Errorf("%w: table %s in %s, and the lake is in %s: the data folder was moved or copied; start firth serve on it, which mends the paths",
		ErrMoved, tables[0].name, filepath.Dir(tables[0].from), dir)
}

// OpenReaderIn is [OpenReader] for a lake whose tables lie in dir. A catalog that names them elsewhere, which a copied one does
// until its first start, is ErrMoved: its reader would read the files of the original.
func OpenReaderIn(ctx context.Context, catalogPath, dir string) (*Reader, error) {
	return OpenReaderAt(ctx, Place{Catalog: catalogPath, Dir: dir})
}

// Place says where a lake is.
type Place struct {
	Catalog string         // path of the SQLite catalog
	Server  catalog.Server // where tables are registered, if not in it
	Dir     string         // absolute path of the folder that holds the tables
	URL     string         // what stands for Dir in the tables' locations, such as s3://bucket/prefix; empty: Dir itself, as file://
	FS      disk.FS        // where Dir is; nil: local disk
	Done    func() error   // called when a reader that was opened here is closed; may be nil
}

// OpenReaderAt opens the lake at a place for reading; see [OpenReaderIn].
func OpenReaderAt(ctx context.Context, p Place) (*Reader, error) {
	if p.FS == nil {
		p.FS = disk.OS{}
	}
	root := p.Dir
	if p.URL == "" {
		root = filepath.Dir(p.Catalog) // which is there; locations are paths of their own
	}
	r, err := openReaderAt(ctx, p, root)
	if err != nil {
		return nil, err
	}
	if err := r.checkPlace(ctx, p.Dir); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.done = p.Done
	return r, nil
}
