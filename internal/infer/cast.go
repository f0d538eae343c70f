package infer

import (
	"math"
	"strconv"

	"firth/internal/document"
	"firth/internal/vector"
)

// caster puts values into vectors.
type caster struct {
	o       *Options
	scratch [vector.List + 1]*vector.Vector
}

// put adds a value that is not nothing to a vector, exactly; otherwise it adds no row and says why. Where the type is fixed by a person
// text is read as such a value; else only what is of the type's family goes in, and everything into text and JSON.
func (c *caster) put(to *vector.Vector, v *document.Value, f filter, fixed bool) (reason string) {
	switch to.Type.Kind {
	case vector.JSON:
		to.Data = f.appendJSON(to.Data, v)
		to.Valid, to.Offsets = append(to.Valid, true), append(to.Offsets, len(to.Data))
		return ""
	case vector.Text:
		return c.putText(to, v, f)
	case vector.Int:
		if v.Kind == document.Int32 || v.Kind == document.Int64 {
			return putInt(to, v.Num)
		}
	case vector.Float:
		if v.Kind == document.Double && to.Type.Bits == 64 {
			to.AppendNum(v.Num)
			return ""
		}
	case vector.Bool:
		if v.Kind == document.Bool {
			to.AppendNum(v.Num)
			return ""
		}
	case vector.TimestampTZ:
		if v.Kind == document.DateTime {
			return c.o.appendNatural(to, v)
		}
	case vector.Blob:
		if v.Kind == document.Binary {
			to.AppendBytes(v.Bytes)
			return ""
		}
	case vector.List:
		if v.Kind == document.Array && f.scalar() {
			return c.putList(to, v, fixed)
		}
	}
	return c.convert(to, v, fixed)
}

// convert goes by way of the value's natural type.
func (c *caster) convert(to *vector.Vector, v *document.Value, fixed bool) string {
	if nested(v.Kind) {
		return "an " + kindName(v.Kind) + " is not " + article(to.Type)
	}
	t := c.o.natural(v)
	if !fixed && !kin(t.Kind, to.Type.Kind) {
		return article2(kindName(v.Kind)) + " is not " + article(to.Type)
	}
	if v.Kind == document.Decimal {
		t = vector.Type{Kind: vector.Decimal}
	}
	s := c.natural(t)
	if reason := c.o.appendNatural(s, v); reason != "" {
		return reason
	}
	if reason := to.AppendConverted(s, 0); reason != "" {
		to.Truncate(to.Len() - 1)
		return reason
	}
	return ""
}

// natural is an empty vector of a type.
func (c *caster) natural(t vector.Type) *vector.Vector {
	s := c.scratch[t.Kind]
	if s == nil || !s.Type.Equal(t) {
		s = vector.New(t)
		c.scratch[t.Kind] = s
	}
	s.Reset()
	return s
}

// kin reports whether values of two kinds are of one family, so that one may be the other without anybody having said so.
func kin(from, to vector.Kind) bool {
	number := func(k vector.Kind) bool {
		return k == vector.Int || k == vector.Uint || k == vector.Float || k == vector.Decimal
	}
	return from == to || number(from) && number(to)
}

func putInt(to *vector.Vector, n int64) string {
	if shift := 64 - to.Type.Bits; n<<shift>>shift != n {
		return "does not fit " + to.Type.String()
	}
	to.AppendNum(n)
	return ""
}

func (c *caster) putText(to *vector.Vector, v *document.Value, f filter) string {
	switch v.Kind {
	case document.Bool, document.Int32, document.Int64, document.Double, document.Decimal, document.DateTime, document.Timestamp,
		document.Binary:
	case document.Object, document.Array:
		to.Data = f.appendJSON(to.Data, v)
		to.Valid, to.Offsets = append(to.Valid, true), append(to.Offsets, len(to.Data))
		return ""
	default:
		return appendText(to, v)
	}
	if v.Kind == document.DateTime && (v.Num > maxMillis || v.Num < minMillis) {
		return appendText(to, v)
	}
	return c.convert(to, v, true)
}

// putList puts the elements into the list. Undefined and the like are JSON where nobody said that a list is wanted.
func (c *caster) putList(to *vector.Vector, v *document.Value, fixed bool) string {
	n := to.Items.Len()
	for i := range v.Items {
		item := &v.Items[i]
		if item.Kind == document.Null || fixed && nothing(item.Kind) {
			to.Items.AppendNull()
			continue
		}
		strict := !fixed && item.Kind != document.String && item.Kind != document.ObjectID
		if to.Items.Type.Kind == vector.Text && (nested(item.Kind) || strict) {
			to.Items.Truncate(n)
			return "element " + strconv.Itoa(i+1) + " is " + article2(kindName(item.Kind))
		}
		if reason := c.put(to.Items, item, filter{}, fixed); reason != "" {
			to.Items.Truncate(n)
			return "element " + strconv.Itoa(i+1) + ": " + reason
		}
	}
	to.EndList()
	return ""
}

func article(t vector.Type) string { return article2(t.String()) }

func article2(name string) string {
	switch name[0] {
	case 'a', 'e', 'i', 'o':
		return "an " + name
	}
	if len(name) > 4 && name[:4] == "uint" || name == "unsigned" || name == "undefined" {
		return "an " + name
	}
	return "a " + name
}

// wider is the type that a column of an inferred type takes on so that it holds a value that does not fit, too; not ok where there is
// none without loss. Big says that the column has integers beyond 2^53.
func (o *Options) wider(t vector.Type, v *document.Value, big bool) (vector.Type, bool) {
	n := o.natural(v)
	if !kin(n.Kind, t.Kind) || t.Equal(n) || n.Kind == vector.List {
		return t, false
	}
	if v.Kind == document.Double {
		f := math.Float64frombits(uint64(v.Num))
		switch {
		case t.Kind == vector.Int && f == math.Trunc(f) && math.Abs(f) <= maxExact:
			n = vector.Type{Kind: vector.Int, Bits: 64}
		case t.Kind == vector.Int && !big:
			return n, true
		case math.IsNaN(f) || math.IsInf(f, 0):
			return t, false
		case t.Kind == vector.Int || t.Kind == vector.Decimal:
			whole, scale, _ := vector.Digits(vector.AppendFloat(nil, f, 64))
			n = decimalFor(whole, scale)
		}
	}
	if v.Kind == document.Decimal {
		if _, _, ok := vector.Digits(v.Bytes); !ok {
			return t, false
		}
	}
	w, lossless := vector.Join(t, n)
	return w, lossless && !w.Equal(t)
}

// Widens reports whether a plan may give a column of one type the other while it is loaded: where that loses nothing, and from integers
// to floats, which a plan does only while none is beyond 2^53.
func Widens(from, to vector.Type) bool {
	return vector.Widens(from, to) || from.Kind == vector.Int && to.Equal(vector.Type{Kind: vector.Float, Bits: 64})
}
