package mirror

import (
	"math/bits"

	"firth/internal/vector"
)

// counts are those of one column's values.
type counts struct{ exact, widened, null, rejected int64 }

func (c *counts) add(d counts) {
	c.exact += d.exact
	c.widened += d.widened
	c.null += d.null
	c.rejected += d.rejected
}

// transform makes staged rows of those of a relational source. Not safe for use by several goroutines.
type transform struct {
	l      *layout
	list   []vector.Column
	seeds  []uint64 // of the columns in a row's hash
	counts []counts
	hashes []uint64
	text   []byte
}

func newTransform(l *layout) *transform {
	t := &transform{l: l, list: l.list(), counts: make([]counts, len(l.columns)), seeds: make([]uint64, len(l.columns))}
	for i := range l.columns {
		t.seeds[i] = hashText(l.columns[i].Path)
	}
	return t
}

// digest gives the hash of each row: of its values by the names of their columns, so that neither the order of the columns nor one that
// holds nothing matters.
func (t *transform) digest(src *vector.Chunk) []uint64 {
	if cap(t.hashes) < src.Rows {
		t.hashes = make([]uint64, src.Rows)
	}
	t.hashes = t.hashes[:src.Rows]
	clear(t.hashes)
	for i := range t.l.columns {
		from := t.l.columns[i].from
		if from < 0 || from >= len(src.Vectors) {
			continue
		}
		v, seed := src.Vectors[from], t.seeds[i]
		for row := range t.hashes {
			if v.Valid[row] {
				t.hashes[row] += blend(v.Hash(row), seed)
			}
		}
	}
	for row := range t.hashes {
		t.hashes[row] = blend(t.hashes[row], 1)
	}
	return t.hashes
}

// blend mixes two numbers so that sums of results tell different pairs apart.
func blend(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b|1)
	x := hi ^ lo ^ b
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

// append adds the rows of the source's chunk from lo to before hi to one of the staged columns, and the rejects of them.
func (t *transform) append(dst, src *vector.Chunk, lo, hi int) {
	for i := range t.l.columns {
		c, v := &t.l.columns[i], dst.Vectors[i]
		n := &t.counts[i]
		if c.from < 0 || c.from >= len(src.Vectors) {
			for range hi - lo {
				v.AppendNull()
			}
			n.null += int64(hi - lo)
			continue
		}
		from := src.Vectors[c.from]
		valid := countValid(from.Valid[lo:hi])
		n.null += int64(hi-lo) - valid
		switch {
		case c.mask.on():
			t.masked(v, from, c.mask, lo, hi)
			n.exact += valid
		case from.Type.Equal(v.Type):
			appendRows(v, from, lo, hi)
			n.exact += valid
		default:
			bad := t.converted(dst, i, from, lo, hi)
			n.widened += valid - bad
			n.rejected += bad
		}
	}
	t.rejects(dst, src, lo, hi)
	dst.Rows += hi - lo
}

// rejects takes over those that the source found.
func (t *transform) rejects(dst, src *vector.Chunk, lo, hi int) {
	for _, r := range src.Rejects {
		if r.Row < lo || r.Row >= hi {
			continue
		}
		i := t.find(src.Columns, r.Column)
		if i < 0 {
			continue // of a column that is left out
		}
		c := &t.l.columns[i]
		if c.mask.on() {
			r.Value = string(c.mask.text([]byte(r.Value)))
		}
		r.Row, r.Column = r.Row-lo+dst.Rows, c.Name
		t.counts[i].null--
		t.counts[i].rejected++
		dst.Rejects = append(dst.Rejects, r)
	}
}

// find is the staged column of one of the source, by its name.
func (t *transform) find(columns []vector.Column, name string) int {
	for i := range t.l.columns {
		if f := t.l.columns[i].from; f >= 0 && f < len(columns) && columns[f].Name == name {
			return i
		}
	}
	return -1
}

func (t *transform) masked(v, from *vector.Vector, m mask, lo, hi int) {
	for row := lo; row < hi; row++ {
		if !from.Valid[row] {
			v.AppendNull()
			continue
		}
		t.text = from.AppendText(t.text[:0], row)
		v.AppendBytes(m.text(t.text))
	}
}

// converted appends the rows in the type of the staged column and returns how many did not fit.
func (t *transform) converted(dst *vector.Chunk, i int, from *vector.Vector, lo, hi int) int64 {
	v, bad := dst.Vectors[i], int64(0)
	for row := lo; row < hi; row++ {
		reason := v.AppendConverted(from, row)
		if reason == "" {
			continue
		}
		bad++
		dst.Rejects = append(dst.Rejects, vector.Reject{Row: row - lo + dst.Rows, Column: t.list[i].Name, Value: from.Text(row), Reason: reason})
	}
	return bad
}

func countValid(valid []bool) int64 {
	n := int64(0)
	for _, ok := range valid {
		if ok {
			n++
		}
	}
	return n
}

// appendRows adds the rows from lo to before hi of a vector of the same type.
func appendRows(v, from *vector.Vector, lo, hi int) {
	v.Valid = append(v.Valid, from.Valid[lo:hi]...)
	switch {
	case v.Type.Kind == vector.List:
		first, last := from.Offsets[lo], from.Offsets[hi]
		base := v.Items.Len() - first
		appendRows(v.Items, from.Items, first, last)
		for _, at := range from.Offsets[lo+1 : hi+1] {
			v.Offsets = append(v.Offsets, at+base)
		}
	case v.Offsets != nil:
		base := len(v.Data) - from.Offsets[lo]
		v.Data = append(v.Data, from.Data[from.Offsets[lo]:from.Offsets[hi]]...)
		for _, at := range from.Offsets[lo+1 : hi+1] {
			v.Offsets = append(v.Offsets, at+base)
		}
	case v.Type.Kind == vector.Interval:
		v.Spans = append(v.Spans, from.Spans[lo:hi]...)
	case v.Type.Kind != vector.Null:
		v.Nums = append(v.Nums, from.Nums[lo:hi]...)
	}
}

// conform gives the chunk the columns of a stage that has grown since: missing ones are NULL, values go into wider types. What does not
// fit becomes a reject.
func conform(c *vector.Chunk, columns []vector.Column) *vector.Chunk {
	out := &vector.Chunk{Columns: columns, Vectors: make([]*vector.Vector, len(columns)), Rows: c.Rows, Rejects: c.Rejects}
	for i, col := range columns {
		at := c.Find(col.Name)
		if at >= 0 && c.Vectors[at].Type.Equal(col.Type) {
			out.Vectors[i] = c.Vectors[at]
			continue
		}
		v := vector.New(col.Type)
		for row := range c.Rows {
			if at < 0 {
				v.AppendNull()
				continue
			}
			if reason := v.AppendConverted(c.Vectors[at], row); reason != "" {
				out.Rejects = append(out.Rejects, vector.Reject{Row: row, Column: col.Name, Value: c.Vectors[at].Text(row), Reason: reason})
			}
		}
		out.Vectors[i] = v
	}
	return out
}
