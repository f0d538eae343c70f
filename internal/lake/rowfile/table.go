// Package rowfile reads and writes one Parquet file of rows of a fixed shape: flat, every column optional, with field ids.
//
// The shape is a [Table] of a Go type: a list of columns, each with the functions that take its value out of a row and put
// it back. Files hold plain and dictionary pages (and delta-coded integers) under zstd, with a page index, row-group
// statistics and Bloom filters where the table asks for them, so that engines other than Firth read them whole and skip
// what they do not need.
package rowfile

import (
	"fmt"
	"reflect"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// Kind is the type of a column.
type Kind uint8

// The kinds of columns. An absent value is a null.
const (
	Text Kind = iota // UTF-8; the empty text is absent
	JSON             // JSON text: as Text, but no bounds are kept
	Long             // signed 64-bit integer
	Time             // Unix microseconds, UTC
)

// Column is one column of rows of type T: Text has Bytes and SetText, JSON Bytes and SetBytes, a number Number and SetNumber.
type Column[T any] struct {
	ID   int // field id: unique in the table, never reused
	Name string
	Kind Kind

	Repeats bool // few distinct values: a dictionary pays
	Bloom   bool // look-ups by equality: a Bloom filter a row group
	Added   bool // files of earlier versions lack it: every value is absent there

	// Bytes returns the value, nil or empty when absent. It is read before the row changes.
	Bytes   func(*T) []byte
	SetText func(*T, string)
	// SetBytes stores a value that is good for as long as the row is: what keeps it copies it.
	SetBytes func(*T, []byte)

	Number    func(*T) (v int64, ok bool)
	SetNumber func(*T, int64)
}

func (c *Column[T]) textual() bool { return c.Kind == Text || c.Kind == JSON }

// Table is the shape of a file. It is immutable and safe for concurrent use.
type Table[T any] struct {
	columns []Column[T]
	blank   T
	sorting []string
	schema  *parquet.Schema
}

// NewTable returns the shape with these columns, in their order in the file. Blank is a row whose every value is absent.
// Sorting names the columns by which every writer of such files promises ascending rows.
func NewTable[T any](name string, blank T, columns []Column[T], sorting ...string) *Table[T] {
	return &Table[T]{columns: columns, blank: blank, sorting: sorting, schema: schemaOf(name, columns, Fast)}
}

func leaf(k Kind) parquet.Node {
	switch k {
	case Text, JSON:
		return parquet.String()
	case Time:
		return parquet.Timestamp(parquet.Microsecond)
	default:
		return parquet.Leaf(parquet.Int64Type)
	}
}

// encodingOf keeps to what every engine of the last years decodes.
func encodingOf[T any](c *Column[T]) encoding.Encoding {
	switch {
	case c.Repeats:
		return &parquet.RLEDictionary
	case c.textual():
		return &parquet.Plain
	default:
		return &parquet.DeltaBinaryPacked
	}
}

func (t *Table[T]) index(name string) (int, error) {
	for i := range t.columns {
		if t.columns[i].Name == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no column %q", name)
}

// record is a group whose fields keep their order; parquet.Group sorts them by name.
type record struct {
	parquet.Group
	fields []parquet.Field
}

func (r *record) Fields() []parquet.Field { return r.fields }

type field struct {
	parquet.Node
	name string
}

func (f *field) Name() string { return f.name }

// Value serves rows that are Go structs; this package writes columns.
func (f *field) Value(base reflect.Value) reflect.Value { return base.FieldByName(f.name) }
