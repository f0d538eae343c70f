package rowfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// ErrShape is returned for a file that was written before the table had all of its columns, or by another writer.
var ErrShape = errors.New("the file has another shape than the table")

// Cut writes a file of the table without some of its rows. Row groups that lose none are copied as they are, byte for byte, with their
// statistics, Bloom filters and page index; the others are written anew from those of their rows that stay. So nothing of a row that
// goes is in the new file, and it costs what the row groups cost that have such rows.
type Cut[T any] struct {
	Table *Table[T]

	// As of a [Merge]. A row group that is written anew is in memory besides, packed.
	Memory  int64
	Temp    string
	Workers int
	Worker  func(run func())
}

// Write writes the rows of a file but those whose numbers, ascending, are gone. One must stay. It reads back what it wrote anew. An error
// that is [ErrShape] comes before anything is written.
func (c *Cut[T]) Write(ctx context.Context, out io.Writer, in io.ReaderAt, size int64, gone []int64) (_ *Stats, err error) {
	defer unreadable(&err)
	input, err := OpenInput(c.Table, in, size)
	if err != nil {
		return nil, err
	}
	from := input.file.Metadata()
	if err := c.fits(input, from); err != nil {
		return nil, err
	}
	s := &splice{out: out, meta: *from}
	s.meta.RowGroups, s.meta.NumRows = nil, 0
	for i := range c.Table.columns {
		s.names = append(s.names, c.Table.columns[i].Name)
	}
	if err := s.write([]byte("PAR1")); err != nil {
		return nil, err
	}
	for i := range from.RowGroups {
		own, rest := gone, []int64(nil)
		if at, _ := slices.BinarySearch(gone, input.starts[i+1]); at < len(gone) {
			own, rest = gone[:at], gone[at:]
		}
		if err := c.group(ctx, s, input, in, i, own); err != nil {
			return nil, fmt.Errorf("row group %d: %w", i, err)
		}
		gone = rest
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	return c.stats(&s.meta)
}

// fits tells whether the row groups of a file can be those of a file that is written today.
func (c *Cut[T]) fits(input *Input, from *format.FileMetaData) error {
	for i := range input.columns {
		if input.columns[i].place != i {
			return fmt.Errorf("%w: it lacks the column %s", ErrShape, input.columns[i].name)
		}
	}
	for i := range from.RowGroups {
		for j := range from.RowGroups[i].Columns {
			chunk := &from.RowGroups[i].Columns[j]
			meta := &chunk.MetaData
			if chunk.ColumnIndexLength == 0 || chunk.OffsetIndexLength == 0 || c.Table.columns[j].Bloom && meta.BloomFilterLength == 0 {
				return fmt.Errorf("%w: it lacks a page index or a Bloom filter of the column %s", ErrShape, c.Table.columns[j].Name)
			}
			if values := meta.NumValues - meta.Statistics.NullCount; values > 0 && c.Table.columns[j].Kind != JSON && meta.Statistics.MinValue == nil {
				return fmt.Errorf("%w: it lacks bounds of the column %s", ErrShape, c.Table.columns[j].Name)
			}
		}
	}
	return nil
}

// group brings a row group into the new file.
func (c *Cut[T]) group(ctx context.Context, s *splice, input *Input, in io.ReaderAt, group int, gone []int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	meta := &input.file.Metadata().RowGroups[group]
	if len(gone) == 0 {
		return s.add(in, meta)
	}
	var order []Ref
	for row := input.starts[group]; row < input.starts[group+1]; row++ {
		if len(gone) > 0 && gone[0] == row {
			gone = gone[1:]
			continue
		}
		order = append(order, Ref{Row: uint32(row)})
	}
	if len(order) == 0 {
		return nil
	}
	sums := NewSums(c.Table)
	m := Merge[T]{Table: c.Table, Inputs: []*Input{input}, Order: order, Sums: sums, Memory: c.Memory, Temp: c.Temp, Workers: c.Workers, Worker: c.Worker}
	var text bytes.Buffer
	_, want, _, err := m.Write(ctx, &text)
	if err != nil {
		return err
	}
	anew := bytes.NewReader(text.Bytes())
	back, err := OpenInput(c.Table, anew, anew.Size())
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	got, err := sums.Of(ctx, back, c.Workers, c.Worker)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if got != want {
		return fmt.Errorf("%d rows with the sum %016x were read, %d with %016x written", want.Rows, want.Hash, got.Rows, got.Hash)
	}
	groups := back.file.Metadata().RowGroups
	for i := range groups {
		if err := s.add(anew, &groups[i]); err != nil {
			return err
		}
	}
	return nil
}

// stats says what the new file holds, by the statistics of its row groups.
func (c *Cut[T]) stats(meta *format.FileMetaData) (*Stats, error) {
	s := newStats(c.Table, int(meta.NumRows))
	for i := range meta.RowGroups {
		group := &meta.RowGroups[i]
		s.Splits = append(s.Splits, group.FileOffset)
		for j := range group.Columns {
			col, m := &s.Columns[j], &group.Columns[j].MetaData
			col.Size += m.TotalCompressedSize
			col.Nulls += m.Statistics.NullCount
			if m.NumValues == m.Statistics.NullCount || col.Kind == JSON {
				continue
			}
			for _, bound := range [...][]byte{m.Statistics.MinValue, m.Statistics.MaxValue} {
				switch {
				case col.Kind == Text:
					col.text(bound)
				case len(bound) == 8:
					col.number(int64(binary.LittleEndian.Uint64(bound)))
				default:
					return nil, fmt.Errorf("row group %d: column %s has a bound of %d bytes", i, col.Name, len(bound))
				}
			}
		}
	}
	return s, nil
}

// splice puts row groups of files one behind the other into a new one.
type splice struct {
	out   io.Writer
	at    int64
	names []string // of the columns
	meta  format.FileMetaData
	parts []spliced
}

// spliced is what stands behind all row groups for one of them, by column.
type spliced struct {
	from    io.ReaderAt
	blooms  []section
	bounds  []section // column indexes
	offsets []format.OffsetIndex
}

type section struct{ at, size int64 }

func (s *splice) write(b []byte) error {
	n, err := s.out.Write(b)
	s.at += int64(n)
	return err
}

// copy copies a part of a file and says where it begins in the new one.
func (s *splice) copy(from io.ReaderAt, part section) (at int64, err error) {
	at = s.at
	n, err := io.Copy(s.out, io.NewSectionReader(from, part.at, part.size))
	s.at += n
	if err == nil && n < part.size {
		err = io.ErrUnexpectedEOF
	}
	return at, err
}

// add copies the columns of a row group. All offsets in what describes it are moved to where they are now.
func (s *splice) add(from io.ReaderAt, meta *format.RowGroup) error {
	group, part := *meta, spliced{from: from}
	group.Columns = slices.Clone(meta.Columns)
	group.FileOffset, group.Ordinal = s.at, int16(len(s.meta.RowGroups))
	for i := range group.Columns {
		c := &group.Columns[i]
		m := &c.MetaData
		start := m.DataPageOffset
		if m.DictionaryPageOffset > 0 {
			start = min(start, m.DictionaryPageOffset)
		}
		at, err := s.copy(from, section{start, m.TotalCompressedSize})
		if err != nil {
			return fmt.Errorf("copy column %s: %w", s.names[i], err)
		}
		index, err := readOffsets(from, c)
		if err != nil {
			return fmt.Errorf("column %s: %w", s.names[i], err)
		}
		for j := range index.PageLocations {
			index.PageLocations[j].Offset += at - start
		}
		part.offsets = append(part.offsets, index)
		part.blooms = append(part.blooms, section{m.BloomFilterOffset, int64(m.BloomFilterLength)})
		part.bounds = append(part.bounds, section{c.ColumnIndexOffset, int64(c.ColumnIndexLength)})
		for _, offset := range [...]*int64{&m.DataPageOffset, &m.DictionaryPageOffset, &m.IndexPageOffset, &c.FileOffset} {
			if *offset > 0 {
				*offset += at - start
			}
		}
		m.PathInSchema = thrift.Slice[string]{s.names[i]} // files of earlier versions have none
	}
	s.meta.RowGroups = append(s.meta.RowGroups, group)
	s.meta.NumRows += group.NumRows
	s.parts = append(s.parts, part)
	return nil
}

func readOffsets(from io.ReaderAt, c *format.ColumnChunk) (index format.OffsetIndex, err error) {
	b := make([]byte, c.OffsetIndexLength)
	if _, err := io.ReadFull(io.NewSectionReader(from, c.OffsetIndexOffset, int64(len(b))), b); err != nil {
		return index, fmt.Errorf("read page index: %w", err)
	}
	if err := thrift.Unmarshal(&thrift.CompactProtocol{}, b, &index); err != nil {
		return index, fmt.Errorf("read page index: %w", err)
	}
	return index, nil
}

// end writes what stands behind the row groups: Bloom filters, page index, footer.
func (s *splice) end() error {
	for i, part := range s.parts {
		for j, b := range part.blooms {
			if b.size == 0 {
				continue
			}
			at, err := s.copy(part.from, b)
			if err != nil {
				return fmt.Errorf("copy Bloom filter of column %s: %w", s.names[j], err)
			}
			s.meta.RowGroups[i].Columns[j].MetaData.BloomFilterOffset = at
		}
	}
	for i, part := range s.parts {
		for j, b := range part.bounds {
			at, err := s.copy(part.from, b)
			if err != nil {
				return fmt.Errorf("copy page index of column %s: %w", s.names[j], err)
			}
			s.meta.RowGroups[i].Columns[j].ColumnIndexOffset = at
		}
	}
	for i, part := range s.parts {
		for j := range part.offsets {
			c := &s.meta.RowGroups[i].Columns[j]
			c.OffsetIndexOffset = s.at
			if err := s.encode(&part.offsets[j]); err != nil {
				return err
			}
			c.OffsetIndexLength = int32(s.at - c.OffsetIndexOffset)
		}
	}
	footer := s.at
	if err := s.encode(&s.meta); err != nil {
		return err
	}
	return s.write(append(binary.LittleEndian.AppendUint32(nil, uint32(s.at-footer)), "PAR1"...))
}

func (s *splice) encode(v any) error {
	b, err := thrift.Marshal(&thrift.CompactProtocol{}, v)
	if err != nil {
		return fmt.Errorf("write footer: %w", err)
	}
	return s.write(b)
}

// CheckCut opens a file that a [Cut] wrote and tells whether it has so many rows, and pages where its page index says that they are. It
// reads the index, the Bloom filters and the columns of numbers, not the others.
func CheckCut[T any](t *Table[T], r io.ReaderAt, size, rows int64) (err error) {
	defer unreadable(&err)
	if _, _, err := openParquet(t, r, size, parquet.ReadBufferSize(readBuffer)); err != nil { // with index and filters
		return err
	}
	in, err := OpenInput(t, r, size)
	if err != nil {
		return err
	}
	if in.Rows() != rows {
		return fmt.Errorf("it has %d rows, not %d", in.Rows(), rows)
	}
	groups := in.file.Metadata().RowGroups
	for i := range groups {
		for j := range groups[i].Columns {
			if err := checkPlaces(r, &groups[i].Columns[j]); err != nil {
				return fmt.Errorf("row group %d, column %s: %w", i, t.columns[j].Name, err)
			}
		}
	}
	for i := range t.columns {
		if t.columns[i].textual() {
			continue
		}
		if err := in.Each(t.columns[i].Name, func(int64, []byte, int64, bool) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// checkPlaces tells whether the pages of a column lie one behind the other, from its beginning to its end.
func checkPlaces(r io.ReaderAt, c *format.ColumnChunk) error {
	index, err := readOffsets(r, c)
	if err != nil {
		return err
	}
	start := c.MetaData.DataPageOffset
	next := start
	for _, p := range index.PageLocations {
		if p.Offset != next {
			return fmt.Errorf("a page at %d, the one before it ends at %d", p.Offset, next)
		}
		next += int64(p.CompressedPageSize)
	}
	end := start + c.MetaData.TotalCompressedSize
	if d := c.MetaData.DictionaryPageOffset; d > 0 && d < start {
		end = d + c.MetaData.TotalCompressedSize
	}
	if next != end {
		return fmt.Errorf("its pages end at %d, it does at %d", next, end)
	}
	return nil
}
