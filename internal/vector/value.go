package vector

// Value is one value by itself: an id, a cursor, the bound of a range. It can be stored as JSON and compared with ==; the zero Value
// is NULL. Intervals and lists have none.
type Value struct {
	Kind Kind   `json:"kind"`
	Bits uint8  `json:"bits,omitempty"`
	Num  int64  `json:"num,omitempty"`  // of the kinds that are in Nums
	Text string `json:"text,omitempty"` // of the kinds that are in Data: their bytes
}

// At is the value of a row.
func (v *Vector) At(row int) Value {
	if !v.Valid[row] || v.Type.Kind == Interval || v.Type.Kind == List {
		return Value{}
	}
	out := Value{Kind: v.Type.Kind, Bits: v.Type.Bits}
	if v.Offsets != nil {
		out.Text = string(v.Bytes(row))
	} else if v.Type.Kind != Null {
		out.Num = v.Nums[row]
	}
	return out
}

// AppendValue adds a value of the vector's own kind; any other becomes NULL.
func (v *Vector) AppendValue(x Value) {
	switch {
	case x.Kind != v.Type.Kind || x.Kind == Null:
		v.AppendNull()
	case v.Offsets != nil:
		v.AppendString(x.Text)
	default:
		v.AppendNum(x.Num)
	}
}
