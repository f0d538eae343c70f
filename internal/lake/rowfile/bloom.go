package rowfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/bloom"
)

// Bloom is the Bloom filter of one column in one row group.
type Bloom []byte

// MayHold reports whether the row group may have the value; false is certain.
func (b Bloom) MayHold(text string) bool { return b.MayHoldHash(BloomHash([]byte(text))) }

// BloomHash is what filters know of a value.
func BloomHash(text []byte) uint64 { return bloom.XXH64{}.Sum64(text) }

// MayHoldHash is MayHold for the hash of a value.
func (b Bloom) MayHoldHash(hash uint64) bool {
	ok, err := bloom.CheckSplitBlock(bytes.NewReader(b), int64(len(b)), hash)
	return ok || err != nil
}

// Blooms reads the filters of a column, one a row group.
func (f *File[T]) Blooms(column string) ([]Bloom, error) {
	i, err := f.table.index(column)
	if err != nil {
		return nil, err
	}
	if f.places[i] == lacking {
		return nil, errors.New("the file was written without " + column)
	}
	var out []Bloom
	for _, group := range f.file.RowGroups() {
		filter, ok := group.ColumnChunks()[f.places[i]].BloomFilter().(*parquet.FileBloomFilter)
		if !ok {
			return nil, errors.New("the file has no Bloom filter for " + column)
		}
		b := make([]byte, filter.Size())
		if n, err := filter.ReadAt(b, 0); n < len(b) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read Bloom filter of %s: %w", column, err)
		}
		out = append(out, b)
	}
	return out, nil
}
