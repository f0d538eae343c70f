package mirror

import (
	"math"
	"strings"

	"github.com/cespare/xxhash/v2"

	"firth/internal/document"
	"firth/internal/infer"
	"firth/internal/source"
	"firth/internal/vector"
)

// idColumn is the column of a list/get table that holds the id, and the only one of a list.
const idColumn = "id"

// typeOfID is the type that an id of a document has in the warehouse: integers stay integers, an ObjectID is its text, and what is no
// scalar is JSON. ok is false where there is no id.
func typeOfID(v *document.Value) (t vector.Type, ok bool) {
	switch v.Kind {
	case document.Missing, document.Null, document.Undefined, document.MinKey, document.MaxKey:
		return t, false
	case document.Int32, document.Int64:
		return vector.Type{Kind: vector.Int, Bits: 64}, true
	case document.Double:
		if _, whole := wholeFloat(v); whole {
			return vector.Type{Kind: vector.Int, Bits: 64}, true
		}
	case document.Bool:
		return vector.Type{Kind: vector.Bool}, true
	case document.Binary:
		if v.Sub == 4 && len(v.Bytes) == 16 {
			return vector.Type{Kind: vector.UUID}, true
		}
		return vector.Type{Kind: vector.Blob}, true
	case document.DateTime:
		if n := v.Num; n > math.MaxInt64/1000 || n < math.MinInt64/1000 {
			break
		}
		return vector.Type{Kind: vector.TimestampTZ}, true
	}
	return vector.Type{Kind: vector.Text}, true
}

// wholeFloat is a double that is an integer: MongoDB and JSON hold such an id as equal to the integer.
func wholeFloat(v *document.Value) (int64, bool) {
	f := math.Float64frombits(uint64(v.Num))
	return int64(f), f == math.Trunc(f) && math.Abs(f) <= 1<<53
}

// appendID adds the id of a document to a vector of the type that typeOfID gave.
func appendID(v *vector.Vector, id *document.Value) {
	switch v.Type.Kind {
	case vector.Int:
		n := id.Num
		if id.Kind == document.Double {
			n, _ = wholeFloat(id)
		}
		v.AppendNum(n)
	case vector.Bool:
		v.AppendNum(id.Num)
	case vector.TimestampTZ:
		v.AppendNum(id.Num * 1000)
	case vector.UUID, vector.Blob:
		v.AppendBytes(id.Bytes)
	default:
		v.AppendBytes(plainText(id))
	}
}

// plainText is a value as its canonical text: that which vectors of the same value print.
func plainText(v *document.Value) []byte {
	switch v.Kind {
	case document.String, document.Symbol, document.Decimal:
		return v.Bytes
	case document.Double:
		return vector.AppendFloat(nil, math.Float64frombits(uint64(v.Num)), 64)
	case document.ObjectID:
		const digits = "0123456789abcdef"
		out := make([]byte, 0, 2*len(v.Bytes))
		for _, b := range v.Bytes {
			out = append(out, digits[b>>4], digits[b&15])
		}
		return out
	}
	if t, ok := typeOfID(v); ok && t.Kind != vector.Text {
		one := vector.New(t)
		appendID(one, v)
		return one.AppendText(nil, 0)
	}
	return document.AppendJSON(nil, v)
}

// findPath is the value at a dotted path of a document.
func findPath(doc *document.Value, path string) *document.Value {
	if !strings.ContainsAny(path, `.\`) {
		return doc.Find(path)
	}
	for _, part := range infer.SplitPath(path) {
		doc = doc.Find(part)
	}
	return doc
}

// ids is a column of ids that finds its type as they come: ids of one type keep it, any mix is text, by which they are told apart anyway.
type ids struct {
	v    *vector.Vector
	path string
	text []byte
}

func newIDs(path string) *ids { return &ids{v: vector.New(vector.Type{}), path: path} }

// widen makes the column hold values of a type, too.
func (c *ids) widen(t vector.Type) {
	if c.v.Type.Equal(t) {
		return
	}
	to := t
	if c.v.Type.Kind != vector.Null {
		if to = idJoin(c.v.Type, t); to.Equal(c.v.Type) {
			return
		}
	}
	next := vector.New(to)
	for row := range c.v.Len() {
		next.AppendString(c.v.Text(row)) // it was not text, and is now
	}
	c.v = next
}

// idJoin is the type of ids of both types.
func idJoin(a, b vector.Type) vector.Type {
	switch {
	case a.Equal(b) || b.Kind == vector.Null:
		return a
	case a.Kind == vector.Null:
		return b
	}
	return vector.Type{Kind: vector.Text}
}

// addDoc adds the id of a document; false: it has none.
func (c *ids) addDoc(doc *document.Value) bool {
	id := doc
	if doc.Kind == document.Object {
		id = findPath(doc, c.path)
	}
	t, ok := typeOfID(id)
	if !ok {
		return false
	}
	c.widen(t)
	if c.v.Type.Equal(t) {
		appendID(c.v, id)
	} else {
		c.v.AppendBytes(plainText(id))
	}
	return true
}

// addRow adds the id of a row; false: it is NULL.
func (c *ids) addRow(from *vector.Vector, row int) bool {
	if !from.Valid[row] {
		return false
	}
	c.widen(from.Type)
	if c.v.Type.Equal(from.Type) {
		c.v.AppendFrom(from, row)
	} else {
		c.v.AppendString(from.Text(row))
	}
	return true
}

// add adds what a batch holds and returns the number of a row without an id, or -1.
func (c *ids) add(b *source.Batch) int {
	if b.Chunk == nil {
		for i := range b.Docs {
			if !c.addDoc(&b.Docs[i]) {
				return i
			}
		}
		return -1
	}
	at := pathIn(b.Chunk.Columns, c.path)
	for row := range b.Chunk.Rows {
		if at < 0 || !c.addRow(b.Chunk.Vectors[at], row) {
			return row
		}
	}
	return -1
}

// hash is that of the text of an id.
func (c *ids) hash(row int) uint64 {
	c.text = c.v.AppendText(c.text[:0], row)
	return xxhash.Sum64(c.text)
}

// pathIn is the column of a path, or -1.
func pathIn(columns []vector.Column, path string) int {
	for i := range columns {
		if columns[i].Path == path || columns[i].Path == "" && columns[i].Name == path {
			return i
		}
	}
	return -1
}

// valueText is the canonical text of an id.
func valueText(v vector.Value) string {
	if v.Kind == vector.Text {
		return v.Text
	}
	one := vector.New(vector.Type{Kind: v.Kind, Bits: v.Bits})
	one.AppendValue(v)
	return one.Text(0)
}

// appendIDValue adds an id to a vector of its type, or of text.
func appendIDValue(to *vector.Vector, id vector.Value) {
	if id.Kind == to.Type.Kind {
		to.AppendValue(id)
		return
	}
	to.AppendString(valueText(id))
}
