package iceberg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/disk"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// write puts the rows of a query of the workshop into new files of a table, sorted as the table is. The query gives columns of t.fields by
// name, in any order; those that it does not give are NULL. No rows: no files. Until a commit that adds the files, or discardAll, nothing
// sweeps them.
func (d *DB) write(ctx context.Context, w *duckdb.Workshop, t *tbl, query string) (out []iceberg.DataFile, err error) {
	if err := d.o.Step("write " + t.name); err != nil {
		return nil, err
	}
	fields, err := given(ctx, w, t, query)
	if err != nil {
		return nil, err
	}
	mark, err := d.random(8)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(w.Dir(), mark)
	order := t.sorted()
	if !slices.ContainsFunc(fields, func(f iceberg.NestedField) bool { return f.Name == order }) {
		order = ""
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	order, err = d.copy(ctx, w, fields, query, folder, order)
	if err != nil {
		return nil, err
	}
	parts, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("list new files: %w", err)
	}
	for i, p := range parts {
		f, err := d.place(ctx, t, filepath.Join(folder, p.Name()), fmt.Sprintf("%s-%05d", mark, i), order != "")
		if err != nil {
			d.discardAll(out)
			return nil, err
		}
		if f != nil {
			out = append(out, f)
		}
	}
	return out, nil
}

// copy writes a query into files of a folder, in a way that takes less memory where there is too little. It says by which column they are
// sorted, "" for none.
func (d *DB) copy(ctx context.Context, w *duckdb.Workshop, fields []iceberg.NestedField, query, folder, order string) (string, error) {
	var err error
	for i, a := range attempts(order) {
		if i > 0 {
			d.o.Log.Info("too little memory to write files: writing them another way", "warehouse", d.o.Name, "rows in a group", a.group, "sorted by", a.order)
		}
		var statement string
		if statement, err = copyTo(fields, query, folder, a); err != nil {
			return "", err
		}
		if err = w.Exec(ctx, statement); err == nil {
			return a.order, nil
		}
		left := errors.Join(os.RemoveAll(folder), os.RemoveAll(filepath.Join(filepath.Dir(folder), "tmp_"+filepath.Base(folder))))
		if warehouse.KindOf(err) != warehouse.NoMemory || left != nil {
			return "", errors.Join(err, left)
		}
	}
	return "", err
}

// sorted is the column by which a table's files are in order, "" where there is none.
func (t *tbl) sorted() string {
	for _, f := range t.t.SortOrder().Fields() {
		for _, have := range t.fields {
			if have.ID == f.SourceIDs[0] {
				return have.Name
			}
		}
	}
	return ""
}

// given are the fields that a query has columns for.
func given(ctx context.Context, w *duckdb.Workshop, t *tbl, query string) (out []iceberg.NestedField, err error) {
	rows, err := w.Query(ctx, "SELECT * FROM ("+query+") AS q LIMIT 0")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	has := make(map[string]bool, len(names))
	for _, n := range names {
		has[strings.ToLower(n)] = true
	}
	for _, f := range t.fields {
		if has[strings.ToLower(f.Name)] {
			out = append(out, f)
		}
	}
	return out, rows.Err()
}

// place moves a file of the workshop to where the table's are and describes it; nil where it has no rows.
func (d *DB) place(ctx context.Context, t *tbl, from, mark string, sorted bool) (out iceberg.DataFile, err error) {
	src, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close(), os.Remove(from)) }()
	info, err := src.Stat()
	if err != nil {
		return nil, err
	}
	found, err := readFooter(src, info.Size(), t.fields)
	if err != nil {
		return nil, fmt.Errorf("read the end of a new file: %w", err)
	}
	if found.rows == 0 {
		return nil, nil
	}
	s, err := d.space(ctx, t.schema)
	if err != nil {
		return nil, err
	}
	folder, err := s.folder(t.t)
	if err != nil {
		return nil, err
	}
	to := filepath.Join(folder, "data", fmt.Sprintf("%012x-%s.parquet", d.o.Now().UnixMilli(), mark))
	d.setWriting(to, true)
	location := s.io.Location(to)
	if err := writeFile(s.io, location, func(w io.Writer) error { _, err := io.Copy(w, src); return err }); err != nil {
		d.discard(to)
		d.setWriting(to, false)
		return nil, fmt.Errorf("write %s: %w", to, err)
	}
	return found.describe(t, location, info.Size(), sorted)
}

// discardAll removes files of write that no commit was asked to add.
func (d *DB) discardAll(files []iceberg.DataFile) {
	for _, f := range files {
		if path, err := d.o.IO.Path(f.FilePath()); err == nil {
			d.discard(path)
			d.setWriting(path, false)
		}
	}
}

// discard removes a file that nothing names. Where that fails it is swept later.
func (d *DB) discard(path string) {
	if err := d.o.IO.FS().Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.o.Log.Debug("a file that nothing names is left for later", "path", path, "error", err)
	}
}

func (d *DB) setWriting(path string, on bool) {
	d.spaces.Lock()
	defer d.spaces.Unlock()
	if on {
		d.writing[path] = true
	} else {
		delete(d.writing, path)
	}
}

// full says that there is no room.
func full(err error) bool { return disk.IsFull(err) }
