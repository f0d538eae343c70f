package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"firth/internal/lake/catalog"
)

// TablesFolder is the folder below that of the lake in which the tables of a warehouse lie: <schema>/<table>-<mark>/.
const TablesFolder = "_tables"

// besides are the tables of a namespace that lie elsewhere than the catalog says.
type besides struct {
	space  *catalog.Catalog
	folder string // of the schema, at its new place
	tables []*moved
}

// mendBeside is mend for the tables of a warehouse in other namespaces of the catalog. A schema whose folder was left behind as a whole is let
// go of: its tables and its positions go out of the catalog, and loads and mirrors make it again. Where a part of its files is missing nothing
// is changed: what a mirror keeps of the past cannot be made again.
func mendBeside(ctx context.Context, o Options, c *catalog.Catalog) error {
	all, err := findBeside(ctx, c, o.Dir)
	if err != nil || len(all) == 0 {
		return err
	}
	var missing absent
	for _, b := range all {
		_, err := o.FS.Stat(b.folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range b.tables {
			if err := m.look(b.space, o, &missing); err != nil {
				return fmt.Errorf("table %s.%s, which was moved from %s: %w", b.space.Namespace(), m.name, m.from, err)
			}
		}
	}
	if missing.n > 0 {
		return fmt.Errorf("%w: of the tables of a warehouse in %s %d files are missing or cut short: %s; copy all of the data folder again while Firth is stopped, "+
			"or remove that folder to have the tables made again from the lake and the sources of mirrors", ErrIncomplete, filepath.Join(o.Dir, TablesFolder), missing.n, missing.list())
	}
	for _, b := range all {
		if err := b.mend(ctx, o); err != nil {
			return fmt.Errorf("mend the tables of schema %s: %w", b.space.Namespace(), err)
		}
	}
	if err := c.Shed(ctx); err != nil {
		o.Log.Warn("the catalog is not rid of the old paths' remains, which do no harm", "error", err)
	}
	return nil
}

// findBeside compares the places of tables of other namespaces with the lake's folder. Tables that lie in no folder of a warehouse are somebody
// else's, and those on a store do not move.
func findBeside(ctx context.Context, c *catalog.Catalog, dir string) ([]*besides, error) {
	if c.IO().Remote() {
		return nil, nil
	}
	names, err := c.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	var out []*besides
	for _, name := range names {
		if name == c.Namespace() {
			continue
		}
		space, err := c.Space(ctx, name, c.IO(), 0)
		if err != nil {
			return nil, err
		}
		tables, err := space.Tables(ctx)
		if err != nil {
			return nil, err
		}
		b := &besides{space: space}
		for _, t := range slices.Sorted(maps.Keys(tables)) {
			m, folder := beside(t, tables[t], dir)
			if m != nil {
				b.tables, b.folder = append(b.tables, m), folder
			}
		}
		if len(b.tables) > 0 {
			out = append(out, b)
		}
	}
	return out, nil
}

// beside is a table of a warehouse that lies elsewhere than its row says, and the folder of its schema; nil for any other.
func beside(name, row, dir string) (*moved, string) {
	path, err := catalog.Path(row)
	if err != nil {
		return nil, ""
	}
	from := filepath.Dir(filepath.Dir(path))
	schema := filepath.Dir(from)
	if filepath.Base(filepath.Dir(schema)) != TablesFolder {
		return nil, ""
	}
	folder := filepath.Join(dir, TablesFolder, filepath.Base(schema))
	m := &moved{name: name, row: row, from: from, to: filepath.Join(folder, filepath.Base(from)), beside: true}
	if m.from == m.to {
		return nil, ""
	}
	return m, folder
}

// mend makes the catalog name the tables of a schema where they are, or lets go of them where the schema was left behind.
func (b *besides) mend(ctx context.Context, o Options) error {
	from := filepath.Dir(b.tables[0].from)
	if b.tables[0].metadata == nil { // nobody looked: there is no folder
		o.Log.Warn("the tables of a warehouse were not moved with the lake: they are made again from it and from the sources of mirrors",
			"schema", b.space.Namespace(), "from", from, "to", b.folder, "tables", len(b.tables))
		rows := map[string]string{}
		for _, m := range b.tables {
			rows[m.name] = m.row
		}
		return b.space.Unlist(ctx, rows)
	}
	o.Log.Info("the tables of a warehouse were moved or copied with the lake: they are mended", "schema", b.space.Namespace(), "from", from, "to", b.folder, "tables", len(b.tables))
	for _, m := range b.tables {
		if err := m.mend(ctx, b.space, o); err != nil {
			return fmt.Errorf("table %s: %w", m.name, err)
		}
	}
	return nil
}
