package iceberg

import (
	"context"
	"fmt"

	"firth/internal/disk"
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
