package vector

import "math"

// Span is an interval as SQL keeps it: three parts that do not add up to one another.
type Span struct {
	Months, Days int32
	Micros       int64
}

// Vector is the values of one column in a chunk. Which of the slices is filled is said at the Kind; a null has an entry in it, too,
// whose content means nothing. It is not safe for use by several goroutines.
type Vector struct {
	Type  Type
	Valid []bool // by row: not NULL

	Nums    []int64
	Spans   []Span
	Offsets []int   // where the value of row i begins in Data or Items; one more entry than rows. Nil for other kinds
	Data    []byte  // all values of Text, JSON, Blob, UUID, Decimal and TimeTZ, one behind the other
	Items   *Vector // of a List
}

// New makes an empty vector.
func New(t Type) *Vector {
	v := &Vector{Type: t}
	if v.bytes() || t.Kind == List {
		v.Offsets = []int{0}
	}
	if t.Kind == List {
		elem := Type{}
		if t.Elem != nil {
			elem = *t.Elem
		}
		v.Items = New(elem)
	}
	return v
}

// bytes reports whether the values are in Data.
func (v *Vector) bytes() bool {
	switch v.Type.Kind {
	case Decimal, Text, JSON, Blob, UUID, TimeTZ:
		return true
	}
	return false
}

// Len is the number of rows.
func (v *Vector) Len() int { return len(v.Valid) }

// Reset empties the vector and keeps its memory and type.
func (v *Vector) Reset() {
	v.Valid, v.Nums, v.Spans, v.Data = v.Valid[:0], v.Nums[:0], v.Spans[:0], v.Data[:0]
	if v.Offsets != nil {
		v.Offsets = v.Offsets[:1]
	}
	if v.Items != nil {
		v.Items.Reset()
	}
}

// Truncate drops the rows from n on.
func (v *Vector) Truncate(n int) {
	v.Valid = v.Valid[:n]
	switch {
	case v.Type.Kind == List:
		v.Offsets = v.Offsets[:n+1]
		v.Items.Truncate(v.Offsets[n])
	case v.Offsets != nil:
		v.Offsets = v.Offsets[:n+1]
		v.Data = v.Data[:v.Offsets[n]]
	case v.Type.Kind == Interval:
		v.Spans = v.Spans[:n]
	case v.Type.Kind != Null:
		v.Nums = v.Nums[:n]
	}
}

// AppendNull adds a row without a value.
func (v *Vector) AppendNull() {
	v.Valid = append(v.Valid, false)
	switch {
	case v.Type.Kind == List:
		v.Offsets = append(v.Offsets, v.Items.Len())
	case v.Offsets != nil:
		v.Offsets = append(v.Offsets, len(v.Data))
	case v.Type.Kind == Interval:
		v.Spans = append(v.Spans, Span{})
	case v.Type.Kind != Null:
		v.Nums = append(v.Nums, 0)
	}
}

// AppendNum adds a value of a kind that is in Nums.
func (v *Vector) AppendNum(n int64) {
	v.Valid = append(v.Valid, true)
	v.Nums = append(v.Nums, n)
}

// AppendBool adds a value of a Bool.
func (v *Vector) AppendBool(b bool) {
	n := int64(0)
	if b {
		n = 1
	}
	v.AppendNum(n)
}

// AppendFloat adds a value of a Float.
func (v *Vector) AppendFloat(f float64) { v.AppendNum(int64(math.Float64bits(f))) }

// AppendBytes adds a value of a kind that is in Data; the bytes are copied.
func (v *Vector) AppendBytes(b []byte) {
	v.Valid = append(v.Valid, true)
	v.Data = append(v.Data, b...)
	v.Offsets = append(v.Offsets, len(v.Data))
}

// AppendString is AppendBytes for a string.
func (v *Vector) AppendString(s string) {
	v.Valid = append(v.Valid, true)
	v.Data = append(v.Data, s...)
	v.Offsets = append(v.Offsets, len(v.Data))
}

// AppendSpan adds a value of an Interval.
func (v *Vector) AppendSpan(s Span) {
	v.Valid = append(v.Valid, true)
	v.Spans = append(v.Spans, s)
}

// EndList makes a value of a List of what was appended to Items since the last one.
func (v *Vector) EndList() {
	v.Valid = append(v.Valid, true)
	v.Offsets = append(v.Offsets, v.Items.Len())
}

// Num is the value of a row of a kind that is in Nums.
func (v *Vector) Num(row int) int64 { return v.Nums[row] }

// Float is the value of a row of a Float.
func (v *Vector) Float(row int) float64 { return math.Float64frombits(uint64(v.Nums[row])) }

// Bytes is the value of a row of a kind that is in Data. It is valid until the vector changes.
func (v *Vector) Bytes(row int) []byte {
	return v.Data[v.Offsets[row]:v.Offsets[row+1]:v.Offsets[row+1]]
}

// ListAt gives where in Items the value of a row is: from lo to before hi.
func (v *Vector) ListAt(row int) (lo, hi int) { return v.Offsets[row], v.Offsets[row+1] }

// SetNull takes the value of a row away, for one that must not or cannot be stored.
func (v *Vector) SetNull(row int) { v.Valid[row] = false }

// AppendFrom adds a row of another vector of the same type.
func (v *Vector) AppendFrom(from *Vector, row int) {
	if !from.Valid[row] {
		v.AppendNull()
		return
	}
	switch {
	case v.Type.Kind == Null:
		v.AppendNull()
	case v.Type.Kind == List:
		lo, hi := from.ListAt(row)
		for i := lo; i < hi; i++ {
			v.Items.AppendFrom(from.Items, i)
		}
		v.EndList()
	case v.Offsets != nil:
		v.AppendBytes(from.Bytes(row))
	case v.Type.Kind == Interval:
		v.AppendSpan(from.Spans[row])
	default:
		v.AppendNum(from.Nums[row])
	}
}

// Size is how many bytes the values take, about.
func (v *Vector) Size() int {
	n := len(v.Valid) + 8*len(v.Nums) + 16*len(v.Spans) + 8*len(v.Offsets) + len(v.Data)
	if v.Items != nil {
		n += v.Items.Size()
	}
	return n
}
