package rowfile

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// CheckFooter reads the footer of a Parquet file and tells how many rows it states.
func CheckFooter(r io.ReaderAt, size int64) (rows int64, err error) {
	defer unreadable(&err)
	f, err := openPlain(r, size)
	if err != nil {
		return 0, err
	}
	return f.NumRows(), nil
}

// CheckPages reads every page of a Parquet file, compares those that have a checksum with it, unpacks all, and tells how many
// rows the footer states. It finds what a file without a checksum of the whole can show, which is not every flipped bit.
func CheckPages(r io.ReaderAt, size int64) (rows int64, err error) {
	defer unreadable(&err)
	f, err := openPlain(r, size)
	if err != nil {
		return 0, err
	}
	for i, group := range f.RowGroups() {
		for _, chunk := range group.ColumnChunks() {
			values, err := checkChunk(chunk)
			if err != nil {
				return 0, fmt.Errorf("row group %d, column %d: %w", i, chunk.Column(), err)
			}
			if values != group.NumRows() {
				return 0, fmt.Errorf("row group %d, column %d: %d values for %d rows", i, chunk.Column(), values, group.NumRows())
			}
		}
	}
	return f.NumRows(), nil
}

func openPlain(r io.ReaderAt, size int64) (*parquet.File, error) {
	f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(readBuffer))
	if err != nil {
		return nil, fmt.Errorf("open parquet: %w", err)
	}
	for _, group := range f.Metadata().RowGroups {
		for i := range group.Columns {
			// Under another codec a page may ask for any amount of memory.
			if c := group.Columns[i].MetaData.Codec; c != format.Zstd {
				return nil, fmt.Errorf("column %d is packed by %v, not by zstd", i, c)
			}
		}
	}
	return f, nil
}

func checkChunk(chunk parquet.ColumnChunk) (values int64, err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return values, err
		}
		values += page.NumValues()
		parquet.Release(page)
	}
}

// unreadable makes an error of a panic: the library trusts what a footer and page headers say, also of a damaged file.
func unreadable(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("it cannot be read: %v", r)
	}
}
