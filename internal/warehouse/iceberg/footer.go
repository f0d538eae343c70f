package iceberg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// boundRunes is how many characters of a text, or bytes of a binary value, a bound keeps.
const boundRunes = 64

// footer is what the end of a Parquet file tells.
type footer struct {
	rows    int64
	splits  []int64 // where row groups begin
	columns map[int]*columnFooter
}

// columnFooter is what it tells of one column.
type columnFooter struct {
	field        iceberg.NestedField
	size         int64
	values       int64
	nulls        int64
	bounded      bool // lower and upper are of all row groups so far
	lower, upper []byte
}

// readFooter reads the footer of a file that the engine wrote with field ids. It never reads rows.
func readFooter(r io.ReaderAt, size int64, fields []iceberg.NestedField) (out *footer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("unreadable footer: %v", p)
		}
	}()
	f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	m := f.Metadata()
	byID := make(map[int]iceberg.NestedField, len(fields))
	for _, f := range fields {
		byID[f.ID] = f
		if list, ok := f.Type.(*iceberg.ListType); ok {
			byID[list.ElementID] = iceberg.NestedField{ID: list.ElementID, Type: f.Type}
		}
	}
	leaves := slices.DeleteFunc(slices.Clone(m.Schema[1:]), func(e format.SchemaElement) bool { return e.NumChildren.V > 0 })
	out = &footer{rows: m.NumRows, columns: make(map[int]*columnFooter, len(leaves))}
	for _, group := range m.RowGroups {
		if len(group.Columns) != len(leaves) {
			return nil, errors.New("its row groups have other columns than it")
		}
		for i := range group.Columns {
			chunk := &group.Columns[i].MetaData
			field, ok := byID[int(leaves[i].FieldID)]
			if !ok {
				return nil, fmt.Errorf("column %s has the id %d, which the table does not have", leaves[i].Name, leaves[i].FieldID)
			}
			if i == 0 {
				out.splits = append(out.splits, groupStart(chunk))
			}
			c := out.columns[field.ID]
			if c == nil {
				c = &columnFooter{field: field, bounded: true}
				out.columns[field.ID] = c
			}
			c.add(chunk)
		}
	}
	return out, nil
}

func groupStart(c *format.ColumnMetaData) int64 {
	if c.DictionaryPageOffset > 0 {
		return min(c.DictionaryPageOffset, c.DataPageOffset)
	}
	return c.DataPageOffset
}

// add takes in one row group.
func (c *columnFooter) add(chunk *format.ColumnMetaData) {
	s := &chunk.Statistics
	c.size += chunk.TotalCompressedSize
	if _, list := c.field.Type.(*iceberg.ListType); list { // its values are elements: how many there are is nothing to plan by
		return
	}
	c.values += chunk.NumValues
	c.nulls += s.NullCount
	switch {
	case s.NullCount == chunk.NumValues: // no value, no bound
	case s.MinValue == nil && s.MaxValue == nil:
		c.bounded = false
	case c.bounded:
		lower, upper := c.bound(s.MinValue), c.bound(s.MaxValue)
		if lower == nil || upper == nil {
			c.bounded = false
			break
		}
		if c.lower == nil || c.less(lower, c.lower) {
			c.lower = lower
		}
		if c.upper == nil || c.less(c.upper, upper) {
			c.upper = upper
		}
	}
}

// bound brings a value of Parquet's statistics to the form of Iceberg's bounds (table specification, "Binary single-value serialization");
// nil where it bounds nothing.
func (c *columnFooter) bound(b []byte) []byte {
	width := map[bool]int{true: 4, false: 8}
	switch t := c.field.Type.(type) {
	case iceberg.StringType, iceberg.BinaryType:
		return bytes.Clone(append([]byte{}, b...))
	case iceberg.DecimalType:
		return decimalBound(b, t.Precision())
	case iceberg.BooleanType:
		if len(b) != 1 {
			return nil
		}
	case iceberg.Float32Type, iceberg.Float64Type:
		_, narrow := c.field.Type.(iceberg.Float32Type)
		if len(b) != width[narrow] || math.IsNaN(asFloat(b)) {
			return nil
		}
	case iceberg.Int32Type, iceberg.DateType:
		if len(b) != 4 {
			return nil
		}
	default:
		if len(b) != 8 {
			return nil
		}
	}
	return bytes.Clone(b)
}

// decimalBound: Parquet has them as little-endian integers up to 18 digits and big-endian beyond, Iceberg as the shortest big-endian.
func decimalBound(b []byte, precision int) []byte {
	n := bytes.Clone(b)
	if precision <= 18 {
		if len(n) != 4 && len(n) != 8 {
			return nil
		}
		for i, j := 0, len(n)-1; i < j; i, j = i+1, j-1 {
			n[i], n[j] = n[j], n[i]
		}
	}
	if len(n) == 0 {
		return nil
	}
	for len(n) > 1 && (n[0] == 0 && n[1] < 0x80 || n[0] == 0xff && n[1] >= 0x80) {
		n = n[1:]
	}
	return n
}

func asFloat(b []byte) float64 {
	if len(b) == 4 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func asInt(b []byte) int64 {
	if len(b) == 4 {
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// less compares two bounds of the column.
func (c *columnFooter) less(a, b []byte) bool {
	switch c.field.Type.(type) {
	case iceberg.StringType, iceberg.BinaryType, iceberg.BooleanType:
		return bytes.Compare(a, b) < 0
	case iceberg.DecimalType:
		return signed(a).Cmp(signed(b)) < 0
	case iceberg.Float32Type, iceberg.Float64Type:
		return asFloat(a) < asFloat(b)
	}
	return asInt(a) < asInt(b)
}

// signed is a big-endian number in two's complement.
func signed(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// bounds are those of a manifest: texts are cut, and zeros have the sign that holds both.
func (c *columnFooter) bounds() (lower, upper []byte) {
	if !c.bounded || c.lower == nil {
		return nil, nil
	}
	switch c.field.Type.(type) {
	case iceberg.StringType:
		return cutLower(c.lower), cutUpper(c.upper)
	case iceberg.BinaryType:
		if len(c.upper) > boundRunes {
			return c.lower[:min(len(c.lower), boundRunes)], nil
		}
		return c.lower[:min(len(c.lower), boundRunes)], c.upper
	case iceberg.Float32Type, iceberg.Float64Type:
		lower, upper = c.lower, c.upper
		if asFloat(lower) == 0 {
			lower = make([]byte, len(lower))
			lower[len(lower)-1] = 0x80
		}
		if asFloat(upper) == 0 {
			upper = make([]byte, len(upper))
		}
		return lower, upper
	}
	return c.lower, c.upper
}

// prefix is the first characters of a text, and whether that is all of it.
func prefix(b []byte) ([]byte, bool) {
	n := 0
	for i := range string(b) {
		if n == boundRunes {
			return b[:i], false
		}
		n++
	}
	return b, true
}

func cutLower(b []byte) []byte {
	cut, _ := prefix(b)
	return cut
}

// cutUpper raises the last character that can be raised; nil where there is none.
func cutUpper(b []byte) []byte {
	cut, whole := prefix(b)
	if whole {
		return b
	}
	for len(cut) > 0 {
		r, size := utf8.DecodeLastRune(cut)
		cut = cut[:len(cut)-size]
		switch {
		case r == utf8.MaxRune || r == utf8.RuneError && size == 1:
		case r == 0xd7ff: // what follows are no characters
			return utf8.AppendRune(bytes.Clone(cut), 0xe000)
		default:
			return utf8.AppendRune(bytes.Clone(cut), r+1)
		}
	}
	return nil
}

// describe is the file's entry in a manifest.
func (f *footer) describe(t *tbl, location string, size int64, sorted bool) (iceberg.DataFile, error) {
	b, err := iceberg.NewDataFileBuilder(t.t.Spec(), iceberg.EntryContentData, location, iceberg.ParquetFile, nil, nil, nil, f.rows, size)
	if err != nil {
		return nil, fmt.Errorf("describe a new file: %w", err)
	}
	sizes, values, nulls := map[int]int64{}, map[int]int64{}, map[int]int64{}
	lower, upper := map[int][]byte{}, map[int][]byte{}
	for id, c := range f.columns {
		if _, list := c.field.Type.(*iceberg.ListType); list {
			sizes[id] = c.size
			continue
		}
		sizes[id], values[id], nulls[id] = c.size, c.values, c.nulls
		lo, hi := c.bounds()
		if lo != nil {
			lower[id] = lo
		}
		if hi != nil {
			upper[id] = hi
		}
	}
	order := 0 // unsorted
	if sorted {
		order = t.t.SortOrder().OrderID()
	}
	return b.ColumnSizes(sizes).ValueCounts(values).NullValueCounts(nulls).LowerBoundValues(lower).UpperBoundValues(upper).
		SplitOffsets(f.splits).SortOrderID(order).Build(), nil
}
