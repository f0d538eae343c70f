package rowfile

import (
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Sizes of what is written. A row group is what an engine skips as a whole, so it is kept small enough that one event of a
// day does not fill it; a page is what zstd sees at once, so it is kept large. The files of a [Writer] are soon merged, a hundred
// at a time, with a page of each in memory: theirs are small.
const (
	RowsPerGroup  = 32_768
	pageBytes     = 1 << 20
	smallPage     = 128 << 10
	smallBatch    = 256 // rows
	batchRows     = 1_024
	bloomBits     = 12
	indexBytes    = 64 // how much of a bound the page index keeps
	outputBuffer  = 256 << 10
	dictionaryCap = 4 << 20
)

// Writer writes files of one table, one after the other, and keeps its buffers between them. It serves one goroutine.
type Writer[T any] struct {
	table  *Table[T]
	writer *parquet.GenericWriter[any]
	values []parquet.Value
	stats  *Stats // of the file that is being written
	page   int    // bytes of a page
	begun  bool   // a file is being written
}

// NewWriter returns a writer of files of the table.
func NewWriter[T any](t *Table[T]) *Writer[T] { return newWriter(t, smallPage) }

func newWriter[T any](t *Table[T], page int) *Writer[T] {
	w := &Writer[T]{table: t, values: make([]parquet.Value, 0, smallBatch), page: page}
	w.writer = w.fresh()
	return w
}

func (w *Writer[T]) fresh() *parquet.GenericWriter[any] {
	return parquet.NewGenericWriter[any](io.Discard, w.table.options(w.page)...)
}

// Write writes one file of rows, which must be in the table's order, and says what it holds. After an error the output
// is of no use.
func (w *Writer[T]) Write(out io.Writer, rows []*T) (*Stats, error) {
	w.Begin(out)
	for group := range slices.Chunk(rows, RowsPerGroup) {
		if err := w.Group(group); err != nil {
			return nil, err
		}
	}
	return w.End()
}

func (t *Table[T]) options(page int) []parquet.WriterOption {
	o := []parquet.WriterOption{
		t.schema,
		parquet.CreatedBy("firth", "1", ""),
		parquet.DataPageVersion(1),
		parquet.DataPageStatistics(false), // the page index has them
		parquet.PageBufferSize(page),
		parquet.WriteBufferSize(outputBuffer),
		parquet.DictionaryMaxBytes(dictionaryCap),
		parquet.ColumnIndexSizeLimit(func([]string) int { return indexBytes }),
	}
	var blooms []parquet.BloomFilterColumn
	for i := range t.columns {
		c := &t.columns[i]
		if c.Bloom {
			blooms = append(blooms, parquet.SplitBlockFilter(bloomBits, c.Name))
		}
		if c.Kind == JSON {
			o = append(o, parquet.SkipPageBounds(c.Name))
		}
	}
	if blooms != nil {
		o = append(o, parquet.BloomFilters(blooms...))
	}
	var sorting []parquet.SortingColumn
	for _, name := range t.sorting {
		sorting = append(sorting, parquet.NullsFirst(parquet.Ascending(name)))
	}
	return append(o, parquet.SortingWriterConfig(parquet.SortingColumns(sorting...)))
}

// batch is how many of the first rows are handed to the library at once, which ends a page between two batches: so many that
// their values are far less than a page, one at least.
func (c *Column[T]) batch(rows []*T) int {
	n, bytes := 0, 0
	for n < min(len(rows), smallBatch) && (n == 0 || bytes < smallPage/4) {
		if c.textual() {
			bytes += len(c.Bytes(rows[n]))
		}
		n++
	}
	return n
}

// appendValues takes one column out of the rows and counts what it sees.
func (c *Column[T]) appendValues(dst []parquet.Value, index int, rows []*T, stats *ColumnStats) []parquet.Value {
	null := parquet.NullValue().Level(0, 0, index)
	if c.textual() {
		for _, row := range rows {
			if b := c.Bytes(row); len(b) > 0 {
				stats.text(b)
				dst = append(dst, parquet.ByteArrayValue(b).Level(0, 1, index))
			} else {
				stats.Nulls++
				dst = append(dst, null)
			}
		}
		return dst
	}
	for _, row := range rows {
		if v, ok := c.Number(row); ok {
			stats.number(v)
			dst = append(dst, parquet.Int64Value(v).Level(0, 1, index))
		} else {
			stats.Nulls++
			dst = append(dst, null)
		}
	}
	return dst
}
