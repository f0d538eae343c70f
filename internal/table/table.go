// Package table is the columnar core: types, columns, values and batches of rows on their way to a warehouse.
package table

// Type is the type of a column. The order matters to nobody; Join and Widens define what fits into what.
type Type uint8

// The types of a column. Null is the type of a column that has not seen a value yet.
const (
	Null Type = iota
	Boolean
	Integer
	Float
	Timestamp
	String
)

// Value is one scalar. Bits holds a boolean as 0 or 1, an integer as its int64 bits, a float as its IEEE 754 bits and a timestamp
// as Unix microseconds. Text is the literal as it came (the number's own digits, the string), so that nothing is lost on a cast.
type Value struct {
	Type Type
	Bits uint64
	Text string
}

// Column is one column of a table. Path is the original path of what it holds, for example properties.fooBar; it is empty for
// standard columns.
type Column struct {
	Name string
	Type Type
	Path string
}

// Cell is one non-null value of a row; Col indexes Batch.Columns.
type Cell struct {
	Col   int32
	Value Value
}

// Row is a sparse row: columns without a cell are NULL.
type Row struct {
	Cells  []Cell
	Offset uint64
}

// Batch is the rows of one table in one load. Columns is the complete column list of the table after the load, in order.
type Batch struct {
	Name    string
	Columns []Column
	Rows    []Row
}
