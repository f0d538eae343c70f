package mysql

import (
	"slices"
	"strings"
	"unicode/utf8"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// batch is rows as they are sent: lines for LOAD DATA.
type batch struct {
	columns []vector.Column
	lines   []byte
	rows    int
	rejects []vector.Reject
}

// batch writes the rows of a chunk; long names keys with values that the stage has no room for yet.
func (g *Stage) batch(c *vector.Chunk) (b *batch, long []string) {
	b = &batch{rows: c.Rows}
	var vectors []*vector.Vector
	var names []string
	for i, col := range c.Columns {
		at := findColumn(g.columns, col.Name)
		if at < 0 {
			continue
		}
		v := c.Vectors[i]
		if to := g.columns[at]; !to.Type.Equal(v.Type) && v.Type.Kind != vector.Null {
			v = b.convert(v, to.Type, col.Name)
		}
		vectors, names = append(vectors, v), append(names, col.Name)
		b.columns = append(b.columns, vector.Column{Name: g.columns[at].Name, Type: v.Type})
		if strings.HasPrefix(g.kind(g.columns[at]), "VARCHAR(255)") && v.Type.Kind == vector.Text && anyLonger(v) {
			long = append(long, g.columns[at].Name)
		}
	}
	w := &rowWriter{batch: b, vectors: vectors, names: names, e: &encoder{mostText: g.m.db.server.mostText}, most: g.m.db.server.rowBytes - len(g.columns)/8 - publishedBytes}
	for _, k := range g.key {
		w.keep = append(w.keep, strings.ToLower(k))
	}
	for row := range c.Rows {
		w.write(row)
	}
	return b, long
}

// convert brings values of a column that has been widened since into its type.
func (b *batch) convert(from *vector.Vector, t vector.Type, name string) *vector.Vector {
	to := vector.New(t)
	for row := range from.Len() {
		if !from.Valid[row] {
			to.AppendNull()
		} else if reason := to.AppendConverted(from, row); reason != "" {
			b.rejects = append(b.rejects, vector.Reject{Row: row, Column: name, Value: from.Text(row), Reason: reason})
		}
	}
	return to
}

func anyLonger(v *vector.Vector) bool {
	for row := range v.Len() {
		if v.Valid[row] && len(v.Bytes(row)) > keyLength && utf8.RuneCount(v.Bytes(row)) > keyLength {
			return true
		}
	}
	return false
}

// publishedBytes is what publishing adds to a row: three times and the row's own key.
const publishedBytes = 40

// rowWriter writes rows as lines. What the server keeps of a row in its page must fit there: where it does not, values are rejected, the
// last columns first, and never a key.
type rowWriter struct {
	*batch
	vectors []*vector.Vector
	names   []string
	keep    []string // keys, in lower case
	e       *encoder
	most    int // bytes of a row
	sizes   []int
}

func (w *rowWriter) write(row int) {
	line, rejects := len(w.lines), len(w.rejects)
	if size := w.line(row, nil); size > w.most {
		drop := make([]bool, len(w.vectors))
		for i := len(w.vectors) - 1; i >= 0 && size > w.most; i-- {
			if w.sizes[i] > 0 && !slices.Contains(w.keep, strings.ToLower(w.names[i])) {
				drop[i] = true
				size -= w.sizes[i]
			}
		}
		w.lines, w.rejects = w.lines[:line], w.rejects[:rejects]
		w.line(row, drop)
	}
}

// line writes a row without the columns that are dropped, and returns how many bytes of its page it takes.
func (w *rowWriter) line(row int, drop []bool) int {
	size := 0
	w.sizes = w.sizes[:0]
	for i, v := range w.vectors {
		if i > 0 {
			w.lines = append(w.lines, '\t')
		}
		w.sizes = append(w.sizes, 0)
		if !v.Valid[row] {
			w.lines = append(w.lines, '\\', 'N')
			continue
		}
		text, reason := w.e.encode(v, row)
		if drop != nil && drop[i] {
			reason = warehouse.ReasonRow
		}
		if reason != "" {
			w.rejects = append(w.rejects, vector.Reject{Row: row, Column: w.names[i], Value: strings.ToValidUTF8(v.Text(row), "\uFFFD"), Reason: reason})
			w.lines = append(w.lines, '\\', 'N')
			continue
		}
		w.sizes[i] = inlineOf(v.Type, text)
		size += w.sizes[i]
		w.lines = appendEscapedBytes(w.lines, text)
	}
	w.lines = append(w.lines, '\n')
	return size
}

// inlineOf is how many bytes a value takes within its row; long texts lie elsewhere, but for a pointer.
func inlineOf(t vector.Type, text []byte) int {
	switch t.Kind {
	case vector.Null, vector.Bool:
		return 1
	case vector.Int, vector.Uint, vector.Float:
		return max(int(t.Bits)/8, 1)
	case vector.Date:
		return 3
	case vector.Time, vector.Timestamp, vector.TimestampTZ:
		return 8
	case vector.Decimal:
		if bounded(t) {
			return int(t.Width)/2 + 2
		}
	case vector.UUID, vector.TimeTZ, vector.Interval:
		return len(text) + 1
	case vector.Blob:
		text = text[:len(text)/2]
	}
	if len(text) <= 40 {
		return len(text) + 2
	}
	return 22
}
