package rowfile

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// columnBuffer is how much is read at once of a column whose pages are read one by one; pages themselves pass it by.
const columnBuffer = 4 << 10

// Input is an open file of which single columns are read, beside each other: what a [Merge] takes rows from. Safe for concurrent
// use, except that its reader must be.
type Input struct {
	file    *parquet.File
	columns []columnShape
	starts  []int64 // first row of each row group, and the end of the last one
}

type columnShape struct {
	name    string
	textual bool
	place   int // in the file
}

// OpenInput reads the footer of a file of the table. The reader stays with the caller.
func OpenInput[T any](t *Table[T], r io.ReaderAt, size int64) (*Input, error) {
	f, places, err := openParquet(t, r, size,
		parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.OptimisticRead(true), parquet.ReadBufferSize(columnBuffer))
	if err != nil {
		return nil, err
	}
	in := &Input{file: f, starts: []int64{0}}
	for i := range t.columns {
		in.columns = append(in.columns, columnShape{t.columns[i].Name, t.columns[i].textual(), places[i]})
	}
	for _, g := range f.RowGroups() {
		in.starts = append(in.starts, in.starts[len(in.starts)-1]+g.NumRows())
	}
	return in, nil
}

// Rows is how many rows the file holds.
func (in *Input) Rows() int64 { return in.file.NumRows() }

// Raw is about how many bytes the file's columns take unpacked.
func (in *Input) Raw() (n int64) {
	for i := range in.columns {
		n += in.raw(i)
	}
	return n
}

func (in *Input) raw(column int) (n int64) {
	place, groups := in.columns[column].place, in.file.Metadata().RowGroups
	if place == lacking {
		return 0
	}
	for i := range groups {
		n += groups[i].Columns[place].MetaData.TotalUncompressedSize
	}
	return n
}

// Page is about how many bytes a page of the file's widest column takes, unpacked.
func (in *Input) Page() (n int64) {
	groups := in.file.Metadata().RowGroups
	for i := range groups {
		for j := range groups[i].Columns {
			meta, pages := &groups[i].Columns[j].MetaData, int64(0)
			for _, e := range meta.EncodingStats {
				pages += int64(e.Count)
			}
			n = max(n, meta.TotalUncompressedSize/max(1, pages-1)) // the last one may be a small one
		}
	}
	return n + n/4 // they differ
}

// Each hands fn the values of a column, row by row: of a text its bytes, good until fn returns and nil when absent, of a number
// its value and whether there is one.
func (in *Input) Each(column string, fn func(row int64, text []byte, number int64, ok bool) error) error {
	c, err := in.cursor(column)
	if err != nil {
		return err
	}
	for row := range in.Rows() {
		if row >= c.end {
			if err := c.load(row); err != nil {
				return errors.Join(err, c.park())
			}
		}
		text, number, ok := c.value(row)
		if err := fn(row, text, number, ok); err != nil {
			return errors.Join(err, c.park())
		}
	}
	return c.park()
}

func (in *Input) cursor(column string) (*cursor, error) {
	for i := range in.columns {
		if in.columns[i].name == column {
			return &cursor{in: in, column: i}, nil
		}
	}
	return nil, fmt.Errorf("no column %q", column)
}

// cursor stands at one page of a column. Rows may be asked for in any order; only ascending ones are cheap.
type cursor struct {
	in     *Input
	column int

	group      int
	pages      parquet.Pages
	page       parquet.Page
	first, end int64 // rows of the file that the page holds
	marked     int64 // rows below were handed to a mark

	data    []byte
	offsets []uint32
	numbers []int64
	indexes []int32 // into words
	words   [][]byte
	places  []int32 // of each row's value, -1 where there is none; nil: every row has one
}

// load makes the page with a row the present one.
func (c *cursor) load(row int64) error {
	if row < 0 || row >= c.in.Rows() {
		return fmt.Errorf("column %s: row %d of %d", c.in.columns[c.column].name, row, c.in.Rows())
	}
	if c.lacks() {
		group := c.groupOf(row)
		c.first, c.end = c.in.starts[group], c.in.starts[group+1]
		return nil
	}
	if err := c.find(row); err != nil {
		return fmt.Errorf("read column %s: %w", c.in.columns[c.column].name, err)
	}
	return nil
}

// lacks reports whether the file was written without the column: a row group of it then counts as a page without a value.
func (c *cursor) lacks() bool { return c.in.columns[c.column].place == lacking }

func (c *cursor) find(row int64) error {
	at := c.end // where reading goes on
	if row < c.first {
		at = row
		if err := c.park(); err != nil {
			return err
		}
	}
	for {
		if c.pages != nil && at == c.in.starts[c.group+1] {
			if err := c.close(); err != nil {
				return err
			}
		}
		if c.pages == nil {
			if at < c.in.starts[c.group] || at >= c.in.starts[c.group+1] {
				c.group = c.groupOf(at)
			}
			chunk := c.in.file.RowGroups()[c.group].ColumnChunks()[c.in.columns[c.column].place]
			c.pages = chunk.Pages()
			if at > c.in.starts[c.group] {
				if _, err := chunk.OffsetIndex(); err != nil { // without it a seek unpacks all pages before
					return err
				}
				if err := c.pages.SeekToRow(at - c.in.starts[c.group]); err != nil {
					return err
				}
			}
		}
		if err := c.next(at); err != nil {
			return err
		}
		if row < c.end {
			return nil
		}
		at = c.end
	}
}

func (c *cursor) groupOf(row int64) int {
	g := 0
	for row >= c.in.starts[g+1] {
		g++
	}
	return g
}

// next reads the page that starts at the row.
func (c *cursor) next(at int64) error {
	c.drop()
	page, err := c.pages.ReadPage()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	c.page, c.first, c.end = page, at, at+page.NumRows()
	if c.end <= at || c.end > c.in.starts[c.group+1] {
		return fmt.Errorf("a page of %d rows at row %d", page.NumRows(), at)
	}
	c.placeNulls(page)
	values := page.Data()
	switch dictionary := page.Dictionary(); {
	case dictionary != nil:
		c.indexes = values.Int32()
		for i := len(c.words); i < dictionary.Len(); i++ {
			c.words = append(c.words, dictionary.Index(int32(i)).ByteArray())
		}
	case c.in.columns[c.column].textual:
		c.data, c.offsets = values.ByteArray()
	default:
		c.numbers = values.Int64()
	}
	return nil
}

func (c *cursor) placeNulls(page parquet.Page) {
	c.places = c.places[:0]
	if page.NumNulls() == 0 {
		return
	}
	n := int32(0)
	for _, level := range page.DefinitionLevels() {
		if level == 0 {
			c.places = append(c.places, -1)
			continue
		}
		c.places = append(c.places, n)
		n++
	}
}

// value returns the value of a row of the present page.
func (c *cursor) value(row int64) (text []byte, number int64, ok bool) {
	if c.lacks() {
		return nil, 0, false
	}
	i := int32(row - c.first)
	if len(c.places) > 0 {
		if i = c.places[i]; i < 0 {
			return nil, 0, false
		}
	}
	switch {
	case c.offsets != nil:
		return c.data[c.offsets[i]:c.offsets[i+1]], 0, true
	case c.indexes != nil:
		return c.words[c.indexes[i]], 0, true
	default:
		return nil, c.numbers[i], true
	}
}

func (c *cursor) drop() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	c.page, c.data, c.offsets, c.numbers, c.indexes = nil, nil, nil, nil, nil
}

// close leaves the row group. The cursor goes on behind its last page.
func (c *cursor) close() error {
	c.drop()
	c.words = nil
	if c.pages == nil {
		return nil
	}
	err := c.pages.Close()
	c.pages = nil
	return err
}

// park gives up the memory of the cursor. The page it stood at is read again when a row of it is asked for.
func (c *cursor) park() error {
	if c.page != nil {
		c.end = c.first
	}
	return c.close()
}

// held is how many bytes the cursor keeps in memory.
func (c *cursor) held() int64 {
	if c.page == nil {
		return 0
	}
	return c.page.Size() + int64(cap(c.places))*4
}
