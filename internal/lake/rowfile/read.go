package rowfile

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

const readBuffer = 256 << 10

// Scan says which rows of a file are wanted, and which of their columns.
type Scan struct {
	// Columns are the names of the columns to fill in; nil means all. The others keep their blank values.
	Columns []string
	// Probe names columns, of Kind Long or Time or repeating, that are read first; Keep chooses the rows by them. Whole row
	// groups without a wanted row cost nothing more.
	Probe []string
}

// File is an open file of rows. Scans of it may run beside each other.
type File[T any] struct {
	table  *Table[T]
	file   *parquet.File
	places []int // in the file of each column of the table
}

// Open reads the footer of a file of the table. The reader stays with the caller.
func Open[T any](t *Table[T], r io.ReaderAt, size int64) (*File[T], error) {
	f, places, err := openParquet(t, r, size,
		parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.OptimisticRead(true), parquet.ReadBufferSize(readBuffer))
	if err != nil {
		return nil, err
	}
	return &File[T]{table: t, file: f, places: places}, nil
}

// lacking is the place of a column that the file was written without.
const lacking = -1

// openParquet reads a footer and finds the table's columns in the file, which must be all, in their order, except added ones.
func openParquet[T any](t *Table[T], r io.ReaderAt, size int64, options ...parquet.FileOption) (*parquet.File, []int, error) {
	f, err := parquet.OpenFile(r, size, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("open parquet: %w", err)
	}
	columns, places := f.Root().Columns(), make([]int, len(t.columns))
	at := 0
	for i := range t.columns {
		c := &t.columns[i]
		switch {
		case at < len(columns) && columns[at].Name() == c.Name:
			places[i] = at
			at++
		case c.Added:
			places[i] = lacking
		case at < len(columns):
			return nil, nil, fmt.Errorf("open parquet: column %d is %q, want %q", at, columns[at].Name(), c.Name)
		default:
			return nil, nil, fmt.Errorf("open parquet: %d columns, without %q", at, c.Name)
		}
	}
	if at < len(columns) {
		return nil, nil, fmt.Errorf("open parquet: it has a column %q that this version does not know", columns[at].Name())
	}
	return f, places, nil
}

// Rows is how many rows the file holds.
func (f *File[T]) Rows() int64 { return f.file.NumRows() }

// Scan hands fn the rows that keep wants (nil: all), in the order of the file. The row and what it points to, except its
// strings, are good until fn returns. With Probe set, keep sees rows with those columns alone.
func (f *File[T]) Scan(s Scan, keep func(*T) bool, fn func(*T) error) error {
	probe, err := f.indexes(s.Probe, false)
	if err != nil {
		return err
	}
	columns, err := f.indexes(s.Columns, s.Columns == nil)
	if err != nil {
		return err
	}
	for i, group := range f.file.RowGroups() {
		if err := f.scanGroup(group, probe, columns, keep, fn); err != nil {
			return fmt.Errorf("row group %d: %w", i, err)
		}
	}
	return nil
}

func (f *File[T]) indexes(names []string, all bool) ([]int, error) {
	var out []int
	if all {
		for i := range f.table.columns {
			out = append(out, i)
		}
	}
	for _, name := range names {
		i, err := f.table.index(name)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

func (f *File[T]) scanGroup(group parquet.RowGroup, probe, columns []int, keep func(*T) bool, fn func(*T) error) error {
	rows := int(group.NumRows())
	var wanted []bool // nil: every row
	if len(probe) > 0 && keep != nil {
		all, any := true, false
		marks := make([]bool, 0, rows)
		err := f.walk(group, probe, rows, nil, func(row *T) error {
			k := keep(row)
			all, any = all && k, any || k
			marks = append(marks, k)
			return nil
		})
		if err != nil || !any {
			return err
		}
		if !all {
			wanted = marks
		}
		keep = nil
	}
	return f.walk(group, columns, rows, wanted, func(row *T) error {
		if keep != nil && !keep(row) {
			return nil
		}
		return fn(row)
	})
}

// walk reads the columns of a row group side by side, a batch of rows at a time.
func (f *File[T]) walk(group parquet.RowGroup, columns []int, rows int, wanted []bool, fn func(*T) error) (err error) {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c int) bool { return f.places[c] == lacking })
	readers := make([]*columnReader, len(columns))
	chunks := group.ColumnChunks()
	for i, c := range columns {
		readers[i] = newColumnReader(chunks[f.places[c]])
		defer func(r *columnReader) { err = errors.Join(err, r.close()) }(readers[i])
	}
	var row T
	texts := newInterner()
	for at := 0; at < rows; at += batchRows {
		n := min(batchRows, rows-at)
		for i, r := range readers {
			if err := r.read(n); err != nil {
				return fmt.Errorf("read column %s: %w", f.table.columns[columns[i]].Name, err)
			}
		}
		for j := range n {
			if wanted != nil && !wanted[at+j] {
				continue
			}
			row = f.table.blank
			for i, r := range readers {
				f.table.columns[columns[i]].set(&row, r.values[j], texts)
			}
			if err := fn(&row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Column[T]) set(row *T, v parquet.Value, texts *interner) {
	switch {
	case v.IsNull():
	case c.Repeats:
		c.SetText(row, texts.intern(v.ByteArray()))
	case c.Kind == Text:
		c.SetText(row, string(v.ByteArray()))
	case c.Kind == JSON:
		c.SetBytes(row, v.ByteArray())
	default:
		c.SetNumber(row, v.Int64())
	}
}

// columnReader reads the values of a column chunk in batches; the values of a batch are good until the next one.
type columnReader struct {
	pages  parquet.Pages
	held   []parquet.Page // pages that the batch points into; the last one may have more to give
	reader parquet.ValueReader
	values []parquet.Value
}

func newColumnReader(chunk parquet.ColumnChunk) *columnReader {
	return &columnReader{pages: chunk.Pages(), values: make([]parquet.Value, batchRows)}
}

func (r *columnReader) read(n int) error {
	if last := len(r.held) - 1; last > 0 {
		for _, p := range r.held[:last] {
			parquet.Release(p)
		}
		r.held = append(r.held[:0], r.held[last])
	}
	for got := 0; got < n; {
		if r.reader == nil {
			page, err := r.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			if err != nil {
				return err
			}
			r.held = append(r.held, page)
			r.reader = page.Values()
		}
		k, err := r.reader.ReadValues(r.values[got:n])
		got += k
		if errors.Is(err, io.EOF) {
			r.reader = nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (r *columnReader) close() error {
	for _, p := range r.held {
		parquet.Release(p)
	}
	return r.pages.Close()
}

// interner keeps one copy of each repeated text, up to a bound.
type interner struct{ texts map[string]string }

const internerCap = 4_096

func newInterner() *interner { return &interner{texts: map[string]string{}} }

func (n *interner) intern(b []byte) string {
	if s, ok := n.texts[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(n.texts) < internerCap {
		n.texts[s] = s
	}
	return s
}
