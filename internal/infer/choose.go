package infer

import (
	"math"

	"firth/internal/document"
	"firth/internal/vector"
)

// choice is the type of a path's scalars, and how it came about.
type choice struct {
	typ   vector.Type
	holds int64 // of the scalars
	loses map[document.Kind]int64
}

// choose takes the narrowest type that holds the wanted part of the values exactly; where no family of types does, text, which holds
// every scalar as its canonical text. Text itself is never taken for a number or a date, and blanks are text.
func (o *Options) choose(s *stats) choice {
	n := s.scalars()
	need := int64(math.Ceil(o.threshold() * float64(n)))
	numbers := s.ints() + s.counts[document.Double] + s.counts[document.Decimal]
	binaries := s.counts[document.Binary]
	switch {
	case n == 0:
		return choice{}
	case s.counts[document.Bool] >= need:
		return s.chosen(vector.Type{Kind: vector.Bool}, document.Bool)
	case numbers >= need:
		return s.number(need)
	case s.times() >= need:
		c := s.chosen(vector.Type{Kind: vector.TimestampTZ}, document.DateTime, document.Timestamp)
		c.holds -= s.farTimes
		return c
	case s.uuids >= need:
		return s.binary(vector.Type{Kind: vector.UUID}, s.uuids)
	case s.vectors >= need:
		return s.binary(vectorType(), s.vectors)
	case binaries >= need:
		return s.binary(vector.Type{Kind: vector.Blob}, binaries)
	}
	return choice{typ: vector.Type{Kind: vector.Text}, holds: n - s.badText}
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
				c.holds += n
				delete(c.loses, kind)
			}
		}
	}
	return c
}

func (s *stats) binary(t vector.Type, holds int64) choice {
	c := s.chosen(t, document.Binary)
	if rest := s.counts[document.Binary] - holds; rest > 0 {
		c.holds -= rest
		c.loses[document.Binary] = rest
	}
	return c
}

// number chooses among the types of numbers, narrow to wide: integers, with doubles that are whole; floats, where no integer is too
// large for one; decimals.
func (s *stats) number(need int64) choice {
	ints, doubles, decimals := s.ints(), s.counts[document.Double], s.counts[document.Decimal]
	if ints >= need || ints > 0 && s.bigInts > 0 && ints+s.integral >= need {
		c := s.chosen(s.intType(), document.Int32, document.Int64)
		c.add(document.Double, s.integral, doubles)
		return c
	}
	if decimals == 0 && s.bigInts == 0 || doubles+ints-s.bigInts >= need {
		c := s.chosen(vector.Type{Kind: vector.Float, Bits: 64}, document.Double)
		small := ints - s.bigInts
		delete(c.loses, document.Int32)
		delete(c.loses, document.Int64)
		if s.bigInts > 0 {
			c.loses[document.Int64] = s.bigInts
		}
		c.holds += small
		return c
	}
	return s.chosen(s.decimalType(), document.Int32, document.Int64, document.Double, document.Decimal)
}

// add counts values of a kind of which a type holds a part.
func (c *choice) add(k document.Kind, holds, of int64) {
	c.holds += holds
	if delete(c.loses, k); of > holds {
		c.loses[k] = of - holds
	}
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
