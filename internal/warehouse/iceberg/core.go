package iceberg

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
	"firth/internal/warehouse"
)

// What everything else in this package is made of: a table as it stands (load), a new one (fresh), its files as a relation of the engine (scan,
// in scan.go), new files from a query (write, in write.go), and changes of several tables of a schema at once (commit, in commit.go).
//
// The usual course: load the tables; change tbl.fields where the schema grows; write new files; commit. Where the commit fails with
// table.ErrCommitFailed (see again) nothing has happened, the new files are removed, and all of it is done again.

// space is one schema: a namespace of the catalog with its folder.
type space struct {
	catalog *catalog.Catalog
	io      *catalog.FileIO
}

// space opens a schema, and makes its namespace where it is missing.
func (d *DB) space(ctx context.Context, schema string) (*space, error) {
	d.spaces.Lock()
	defer d.spaces.Unlock()
	if s := d.open[schema]; s != nil {
		return s, nil
	}
	files, err := d.o.IO.Below(safeName(schema))
	if err != nil {
		return nil, fmt.Errorf("open schema %s: %w", schema, err)
	}
	c, err := d.o.Catalog.Space(ctx, schema, files, 0)
	if err != nil {
		return nil, fmt.Errorf("open schema %s: %w", schema, err)
	}
	s := &space{catalog: c, io: files}
	d.open[schema] = s
	return s, nil
}

// schemas are the namespaces of the catalog that may be of warehouses.
func (d *DB) schemas(ctx context.Context) ([]string, error) {
	all, err := d.o.Catalog.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == lakeNamespace || s == d.o.Catalog.Namespace() }), nil
}

// lakeNamespace is where the events are.
const lakeNamespace = "lake"

// tables lists the tables of a schema by name, without those that are being made.
func (d *DB) tables(ctx context.Context, schema string) ([]string, error) {
	s, err := d.space(ctx, schema)
	if err != nil {
		return nil, err
	}
	all, err := s.catalog.Tables(ctx)
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(slices.Collect(maps.Keys(all)), func(n string) bool { return strings.HasPrefix(n, makingPrefix) })
	slices.Sort(names)
	return names, nil
}

// tbl is one table as its committer sees it. It is for one goroutine.
type tbl struct {
	schema, name string

	at     string // its name in the catalog: makingPrefix and more until the first commit
	t      *table.Table
	props  iceberg.Properties
	fields []iceberg.NestedField // of the present schema; whoever changes them has the next commit change the schema
	lastID int                   // the highest field id that was ever used
	files  []dataFile
}

// dataFile is a file of a table.
type dataFile struct {
	iceberg.DataFile
	path     string // absolute
	manifest string // the location of the manifest that names it
}

// isNew says that no commit has given the table its name yet.
func (t *tbl) isNew() bool { return t.at != t.name }

// field is the place of a column among the fields, in any case, or -1.
func (t *tbl) field(name string) int {
	return slices.IndexFunc(t.fields, func(f iceberg.NestedField) bool { return strings.EqualFold(f.Name, name) })
}

// add appends a column with an id of its own.
func (t *tbl) add(name string, kind iceberg.Type, doc string) iceberg.NestedField {
	t.lastID++
	f := iceberg.NestedField{ID: t.lastID, Name: name, Type: kind, Doc: doc}
	t.fields = append(t.fields, f)
	return f
}

// rows is how many rows the files hold.
func (t *tbl) rows() (n int64) {
	for _, f := range t.files {
		n += f.Count()
	}
	return n
}

// foreign fails where a namespace has a table of a name whose files lie elsewhere than those of warehouses: it is somebody else's.
func (d *DB) foreign(ctx context.Context, schema, name string) error {
	s, err := d.space(ctx, schema)
	if err != nil {
		return err
	}
	all, err := s.catalog.Tables(ctx)
	if err != nil || all[name] == "" {
		return err
	}
	path, err := s.io.Path(all[name])
	if err == nil && strings.HasPrefix(path, filepath.Clean(s.io.Root())+string(filepath.Separator)) {
		return nil
	}
	return &warehouse.Error{
		Op: "open", Object: schema + "." + name, Kind: warehouse.BadName, Err: errors.New("the catalog has a table of this name that is somebody else's"),
		Hint: "give the mirror another schema or table (into), or drop that table in the catalog",
	}
}

// errNoTable is [catalog.ErrNoTable].
var errNoTable = catalog.ErrNoTable

// load looks at a table as it is now; errNoTable where there is none.
func (d *DB) load(ctx context.Context, schema, name string) (*tbl, error) {
	s, err := d.space(ctx, schema)
	if err != nil {
		return nil, err
	}
	t, err := s.catalog.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &tbl{schema: schema, name: name, at: name, t: t, props: t.Properties(), fields: slices.Clone(t.Schema().Fields()), lastID: t.Metadata().LastColumnID()}
	if out.files, err = d.filesIn(s, t.Metadata()); err != nil {
		return nil, fmt.Errorf("table %s.%s: %w", schema, name, err)
	}
	return out, nil
}

// filesIn lists the files of the current snapshot.
func (d *DB) filesIn(s *space, m table.Metadata) ([]dataFile, error) {
	current := m.CurrentSnapshot()
	if current == nil {
		return nil, nil
	}
	list, err := current.Manifests(s.io)
	if err != nil {
		return nil, fmt.Errorf("read manifest list: %w", err)
	}
	var out []dataFile
	for _, mf := range list {
		if mf.ManifestContent() != iceberg.ManifestContentData {
			return nil, errors.New("it has delete files, which Firth never writes: rewrite its data files with the engine that wrote them")
		}
		entries, err := d.entries(s, mf)
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		for _, entry := range entries {
			path, err := s.io.Path(entry.DataFile().FilePath())
			if err != nil {
				return nil, err
			}
			out = append(out, dataFile{entry.DataFile(), path, mf.FilePath()})
		}
	}
	return out, nil
}

// makingPrefix begins the name that a table has in the catalog until its first commit; listings leave out what begins so.
const makingPrefix = warehouse.StagePrefix + "new_"

// fresh makes a table of columns, whose ids it gives, sorted by one of them. Nobody sees it before a commit, which gives it its name.
func (d *DB) fresh(ctx context.Context, schema, name string, fields []iceberg.NestedField, sorted string, props iceberg.Properties) (*tbl, error) {
	s, err := d.space(ctx, schema)
	if err != nil {
		return nil, err
	}
	mark, err := d.random(4)
	if err != nil {
		return nil, err
	}
	t := &tbl{schema: schema, name: name, at: makingPrefix + mark, fields: slices.Clone(fields), lastID: len(fields)}
	for i := range t.fields {
		t.fields[i].ID = i + 1
	}
	order := table.UnsortedSortOrder
	if at := t.field(sorted); at >= 0 {
		order, err = table.NewSortOrder(table.InitialSortOrderID, []table.SortField{{
			SourceIDs: []int{at + 1}, Transform: iceberg.IdentityTransform{}, Direction: table.SortASC, NullOrder: table.NullsFirst,
		}})
		if err != nil {
			return nil, fmt.Errorf("sort order: %w", err)
		}
	}
	t.props = tableProperties()
	maps.Copy(t.props, props)
	d.setMaking(schema, t.at, true)
	t.t, err = s.catalog.Create(ctx, t.at, catalog.Spec{
		Schema: iceberg.NewSchema(0, t.fields...), Partitions: iceberg.NewPartitionSpec(), Order: order, Properties: t.props, Folder: safeName(name) + "-" + mark,
	})
	if err != nil {
		d.setMaking(schema, t.at, false)
		return nil, fmt.Errorf("make table %s.%s: %w", schema, name, err)
	}
	return t, nil
}

// abandon gives up a table that fresh made and no commit named; it is no error where a commit did.
func (d *DB) abandon(ctx context.Context, t *tbl) error {
	if !t.isNew() {
		return nil
	}
	defer d.setMaking(t.schema, t.at, false)
	s, err := d.space(ctx, t.schema)
	if err != nil {
		return err
	}
	err = s.catalog.CommitAll(context.WithoutCancel(ctx), []catalog.Change{{Table: t.at, Drop: true}})
	if errors.Is(err, errNoTable) {
		return nil
	}
	return err
}

func (d *DB) setMaking(schema, name string, on bool) {
	d.spaces.Lock()
	defer d.spaces.Unlock()
	if on {
		d.making[schema+"\x00"+name] = true
	} else {
		delete(d.making, schema+"\x00"+name)
	}
}

func (d *DB) isMaking(schema, name string) bool {
	d.spaces.Lock()
	defer d.spaces.Unlock()
	return d.making[schema+"\x00"+name]
}

// tableProperties are those of every table.
func tableProperties() iceberg.Properties {
	return iceberg.Properties{
		table.PropertyFormatVersion:               "2",
		table.MetadataDeleteAfterCommitEnabledKey: "false",
		table.MetadataPreviousVersionsMaxKey:      "10",
		table.MetadataCompressionKey:              table.MetadataCompressionCodecGzip,
		table.ParquetCompressionKey:               "zstd",
	}
}

// random is a text of n bytes in hexadecimal digits.
func (d *DB) random(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(d.o.Rand, b); err != nil {
		return "", fmt.Errorf("draw a name: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// folder is where a table's files are.
func (s *space) folder(t *table.Table) (string, error) {
	path, err := s.io.Path(t.Location())
	if err != nil {
		return "", err
	}
	return filepath.Clean(path), nil
}
