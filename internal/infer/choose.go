package infer

import (
	"math"

	"firth/internal/document"
	"firth/internal/vector"
)

// choice is the type of a path's scalars, and how it came about.
type choice struct {
	typ   vector.Type
	loses map[document.Kind]int64 // the values that it does not hold
}

// choose takes the family of types that most values are of, where those are the wanted part, and in it the narrowest type that holds all
// of them exactly; else text, which holds every scalar as its canonical text. Text itself is never taken for a number or a date, and
// blanks are text.
func (o *Options) choose(s *stats) choice {
	n := s.scalars()
	need := int64(math.Ceil(o.threshold() * float64(n)))
	most := max(s.counts[document.Bool], s.numbers(), s.times(), s.counts[document.Binary], s.texts())
	switch {
	case n == 0:
		return choice{}
	case most < need || most == s.texts():
	case most == s.counts[document.Bool]:
		return s.chosen(vector.Type{Kind: vector.Bool}, document.Bool)
	case most == s.numbers():
		return s.number()
	case most == s.times():
		return s.chosen(vector.Type{Kind: vector.TimestampTZ}, document.DateTime, document.Timestamp)
	case s.uuids >= need:
		return s.binary(vector.Type{Kind: vector.UUID}, s.uuids)
	case s.vectors >= need:
		return s.binary(vectorType(), s.vectors)
	default:
		return s.binary(vector.Type{Kind: vector.Blob}, s.counts[document.Binary])
	}
	return choice{typ: vector.Type{Kind: vector.Text}}
}

func (s *stats) numbers() int64 {
	return s.ints() + s.counts[document.Double] + s.counts[document.Decimal]
}

func (s *stats) texts() int64 {
	n := int64(0)
	for _, k := range []document.Kind{
		document.String, document.ObjectID, document.Regex, document.JavaScript, document.Symbol, document.DBPointer,
	} {
		n += s.counts[k]
	}
	return n
}

// chosen is a type that holds all values of some kinds.
func (s *stats) chosen(t vector.Type, held ...document.Kind) choice {
	c := choice{typ: t, loses: map[document.Kind]int64{}}
	for k, n := range s.counts {
		kind := document.Kind(k)
		if n == 0 || nothing(kind) || nested(kind) {
			continue
		}
		c.loses[kind] = n
		for _, h := range held {
			if h == kind {
				delete(c.loses, kind)
			}
		}
	}
	return c
}

func (s *stats) binary(t vector.Type, holds int64) choice {
	c := s.chosen(t, document.Binary)
	if rest := s.counts[document.Binary] - holds; rest > 0 {
		c.loses[document.Binary] = rest
	}
	return c
}

// number chooses among the types of numbers that hold all of them, narrow to wide: integers, with doubles that are whole where some
// integers are too large for a float; floats; decimals.
func (s *stats) number() choice {
	doubles, decimals := s.counts[document.Double], s.counts[document.Decimal]
	t := s.decimalType()
	switch {
	case doubles+decimals == 0 || decimals == 0 && s.bigInts > 0 && s.integral == doubles:
		t = s.intType()
	case decimals == 0 && s.bigInts == 0:
		t = vector.Type{Kind: vector.Float, Bits: 64}
	}
	return s.chosen(t, document.Int32, document.Int64, document.Double, document.Decimal)
}

func (s *stats) intType() vector.Type {
	if s.counts[document.Int64] == 0 && s.integral == 0 {
		return vector.Type{Kind: vector.Int, Bits: 32}
	}
	return vector.Type{Kind: vector.Int, Bits: 64}
}

// decimalType has a width where all that was seen fits one: the digits of doubles are not known, and NaN fits none.
func (s *stats) decimalType() vector.Type {
	if s.odd > 0 || s.counts[document.Double] > s.integral {
		return vector.Type{Kind: vector.Decimal}
	}
	t := decimalFor(s.whole, s.scale)
	if s.ints()+s.integral > 0 {
		t, _ = vector.Join(t, vector.Type{Kind: vector.Int, Bits: 64})
	}
	return t
}

// list is the type of arrays whose elements are all of one scalar type, nulls left out; not ok for all other fields.
func (s *stats) list() (vector.Type, bool) {
	elem := vector.Type{}
	for k, n := range s.elements {
		if n == 0 || document.Kind(k) == document.Null {
			continue
		}
		var t vector.Type
		switch document.Kind(k) {
		case document.Bool:
			t = vector.Type{Kind: vector.Bool}
		case document.Int32, document.Int64:
			t = vector.Type{Kind: vector.Int, Bits: 64}
		case document.Double:
			t = vector.Type{Kind: vector.Float, Bits: 64}
		case document.String, document.ObjectID:
			t = vector.Type{Kind: vector.Text}
		case document.DateTime:
			t = vector.Type{Kind: vector.TimestampTZ}
		}
		if t.Kind == vector.Null || elem.Kind != vector.Null && !elem.Equal(t) {
			return elem, false
		}
		elem = t
	}
	return vector.Type{Kind: vector.List, Elem: &elem}, elem.Kind != vector.Null && s.counts[document.Object] == 0
}

// tried counts how many values a type holds that a person chose.
type tried struct {
	cast  caster
	to    *vector.Vector
	loses map[document.Kind]int64
}

func newTried(o *Options, t vector.Type) *tried {
	return &tried{cast: caster{o: o}, to: vector.New(t), loses: map[document.Kind]int64{}}
}

func (t *tried) add(v *document.Value, f filter) {
	t.to.Reset()
	if t.cast.put(t.to, v, f, true) != "" {
		t.loses[v.Kind]++
	}
}
