package iceberg

import (
	"context"
	"errors"
	"fmt"

	"firth/internal/disk"
	"firth/internal/warehouse/duckdb"
)

// relation is what a query of the workshop reads of a table.
type relation struct {
	expr    string              // for FROM; the columns are t.fields
	local   map[string]dataFile // by the name that the column filename has; empty: there is no such column
	release func()              // to be called when the queries are done
}

// scan makes files of a table a relation with its present columns, t.fields. Files that are elsewhere are fetched first, and stay until
// release is called.
func (d *DB) scan(ctx context.Context, t *tbl, files []dataFile) (*relation, error) {
	r := &relation{local: map[string]dataFile{}, release: func() {}}
	var err error
	if len(files) == 0 {
		r.expr, err = empty(t.fields)
		return r, err
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.path
	}
	local, release, err := disk.Fetch(ctx, d.o.IO.FS(), paths)
	if err != nil {
		return nil, fmt.Errorf("read table %s.%s: %w", t.schema, t.name, err)
	}
	for i, name := range local {
		r.local[name] = files[i]
	}
	r.release = release
	if r.expr, err = readFiles(t.fields, local); err != nil {
		release()
		return nil, err
	}
	return r, nil
}

// named are the files that have a row for which a condition holds. The relation has files.
func (r *relation) named(ctx context.Context, w *duckdb.Workshop, condition string) ([]dataFile, error) {
	rows, err := w.Query(ctx, "SELECT DISTINCT filename FROM "+r.expr+" WHERE "+condition)
	if err != nil {
		return nil, err
	}
	var out []dataFile
	for rows.Next() {
		var name string
		if err = rows.Scan(&name); err != nil {
			break
		}
		f, ok := r.local[name]
		if !ok {
			err = fmt.Errorf("the engine names the file %s, which was not asked for", name)
			break
		}
		out = append(out, f)
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}
