package mongo

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/source"
	"firth/internal/vector"
)

// A comparison such as $gt meets only values of its own bracket: {_id: {$gt: 5}} finds no ObjectID, though they are sorted behind the
// numbers. So whoever goes on behind an _id, or cuts a collection into pieces, must name the brackets one by one.
// https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/

// bracket is the types whose values compare with each other.
type bracket struct {
	name  string
	types []bson.Type
}

// brackets are all of them that an _id may be of, in the order in which a server sorts. Arrays, regular expressions and undefined are not: a server
// takes no such _id.
//
//nolint:gochecknoglobals // a constant table
var brackets = []bracket{
	{"minKey", []bson.Type{bson.TypeMinKey}},
	{"null", []bson.Type{bson.TypeNull}},
	{"number", []bson.Type{bson.TypeDouble, bson.TypeInt32, bson.TypeInt64, bson.TypeDecimal128}},
	{"string", []bson.Type{bson.TypeString, bson.TypeSymbol}},
	{"object", []bson.Type{bson.TypeEmbeddedDocument}},
	{"binData", []bson.Type{bson.TypeBinary}},
	{"objectId", []bson.Type{bson.TypeObjectID}},
	{"bool", []bson.Type{bson.TypeBoolean}},
	{"date", []bson.Type{bson.TypeDateTime}},
	{"timestamp", []bson.Type{bson.TypeTimestamp}},
	{"dbPointer", []bson.Type{bson.TypeDBPointer}},
	{"javascript", []bson.Type{bson.TypeJavaScript}},
	{"javascriptWithScope", []bson.Type{bson.TypeCodeWithScope}},
	{"maxKey", []bson.Type{bson.TypeMaxKey}},
}

// bracketOf is the index of the bracket that a type belongs to; -1: none.
func bracketOf(t bson.Type) int {
	return slices.IndexFunc(brackets, func(b bracket) bool { return slices.Contains(b.types, t) })
}

// rare are the types that not every server which speaks the protocol knows.
//
//nolint:gochecknoglobals // a constant table
var rare = []bson.Type{
	bson.TypeMinKey, bson.TypeMaxKey, bson.TypeDecimal128, bson.TypeSymbol, bson.TypeDBPointer, bson.TypeJavaScript, bson.TypeCodeWithScope,
}

// codes are the types as $type takes them; the rare ones only where the server knows them.
func (b bracket) codes(known bool) (out bson.A) {
	for _, t := range b.types {
		if known || !slices.Contains(rare, t) {
			out = append(out, int32(int8(t)))
		}
	}
	return out
}

// single reports whether there is but one value in the bracket.
func (b bracket) single() bool { return b.name == "minKey" || b.name == "null" || b.name == "maxKey" }

// segment is some of the ids of one bracket: lo <= id < hi; nil bounds are open.
type segment struct {
	bracket int
	lo, hi  any
}

// condition is that an _id lies in the segment; nil where nothing can. NaN is sorted before all other numbers and compares with none.
func (s segment) condition(known bool) bson.D {
	codes := brackets[s.bracket].codes(known)
	switch {
	case codes == nil:
		return nil
	case s.lo == nil && s.hi == nil:
		return is("_id", "$type", codes)
	case s.hi == nil:
		return is("_id", "$gte", s.lo)
	case s.lo == nil:
		return bson.D{{Key: "_id", Value: bson.D{{Key: "$type", Value: codes}, {Key: "$not", Value: bson.D{{Key: "$gte", Value: s.hi}}}}}}
	}
	return bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: s.lo}, {Key: "$lt", Value: s.hi}}}}
}

// behind is the condition that an _id lies in the segment and behind last, which does, too; nil where nothing can.
func (s segment) behind(last bson.RawValue) bson.D {
	var c bson.D
	switch {
	case brackets[s.bracket].single():
		return nil
	case isNaN(last):
		c = bson.D{{Key: "$gte", Value: math.Inf(-1)}}
	default:
		c = bson.D{{Key: "$gt", Value: last}}
	}
	if s.hi != nil {
		c = append(c, bson.E{Key: "$lt", Value: s.hi})
	}
	return bson.D{{Key: "_id", Value: c}}
}

func isNaN(v bson.RawValue) bool {
	switch v.Type {
	case bson.TypeDouble:
		return math.IsNaN(v.Double())
	case bson.TypeDecimal128:
		return v.Decimal128().IsNaN()
	}
	return false
}

// segments are ids in the order in which they are read. Nil are all of them, whatever brackets there are.
type segments []segment

// condition is that an _id lies in one of them, and behind last where that is given; ok is false where there can be no such one.
func (s segments) condition(known bool, last *bson.RawValue) (c bson.D, ok bool) {
	if last == nil && s == nil {
		return nil, true
	}
	if s == nil {
		s = whole(func(int) bool { return true })
	}
	var conditions []bson.D
	var entire bson.A // types of which every value is meant
	for _, x := range s {
		at := -1
		if last != nil {
			at = bracketOf(last.Type)
		}
		var c bson.D
		switch {
		case x.bracket < at:
		case x.bracket == at:
			c = x.behind(*last)
		case x.lo == nil && x.hi == nil:
			entire = append(entire, brackets[x.bracket].codes(known)...)
		default:
			c = x.condition(known)
		}
		if c != nil {
			conditions = append(conditions, c)
		}
	}
	if entire != nil {
		conditions = append(conditions, is("_id", "$type", entire))
	}
	if conditions == nil {
		return nil, false
	}
	return or(conditions...), true
}

// whole are the brackets that are wanted, from end to end.
func whole(wanted func(i int) bool) segments {
	out := segments{} // never nil, which would be all
	for i := range brackets {
		if wanted(i) {
			out = append(out, segment{bracket: i})
		}
	}
	return out
}

// rest is how the text of the range begins that holds the brackets which no other piece of the reading does.
const rest = "all but "

// parseRange reads what cut has made.
func parseRange(r source.Range) (segments, bool) {
	if r.Text == "" {
		return nil, r.Lo == (vector.Value{}) && r.Hi == (vector.Value{})
	}
	if names, ok := strings.CutPrefix(r.Text, rest); ok {
		others := strings.Split(names, ", ")
		return whole(func(i int) bool { return !slices.Contains(others, brackets[i].name) }), true
	}
	i := slices.IndexFunc(brackets, func(b bracket) bool { return b.name == r.Text })
	if i < 0 {
		return nil, false
	}
	s := segment{bracket: i}
	var ok1, ok2 bool
	s.lo, ok1 = bound(r.Lo)
	s.hi, ok2 = bound(r.Hi)
	return segments{s}, ok1 && ok2
}

// bound is a bound of a range as a server takes it.
func bound(v vector.Value) (any, bool) {
	switch v.Kind {
	case vector.Null:
		return nil, true
	case vector.Int:
		return v.Num, true
	case vector.Text:
		id, err := bson.ObjectIDFromHex(v.Text)
		return id, err == nil
	}
	return nil, false
}

// ends are the least and the greatest _id of a bracket.
type ends struct {
	bracket  int
	min, max bson.RawValue
}

// cut makes the ranges of a collection in which the _ids of the brackets are as given: each bracket by itself, ObjectIDs and integers
// in so many pieces, and all that appears in other brackets meanwhile.
func cut(found []ends, pieces int) (out []source.Range) {
	var names []string
	for _, e := range found {
		names = append(names, brackets[e.bracket].name)
		out = append(out, e.cut(pieces)...)
	}
	return append(out, source.Range{Label: "other ids", Text: rest + strings.Join(names, ", ")})
}

func (e ends) cut(pieces int) (out []source.Range) {
	name := brackets[e.bracket].name
	bounds := e.bounds(pieces)
	lo := vector.Value{}
	for i := range len(bounds) + 1 {
		r := source.Range{Label: name + " ids", Text: name, Lo: lo}
		if i < len(bounds) {
			r.Hi = bounds[i]
		}
		switch {
		case r.Lo != vector.Value{} && r.Hi != vector.Value{}:
			r.Label = "_id from " + show(r.Lo) + " to " + show(r.Hi)
		case r.Hi != vector.Value{}:
			r.Label = "_id below " + show(r.Hi)
		case r.Lo != vector.Value{}:
			r.Label = "_id from " + show(r.Lo)
		}
		out = append(out, r)
		lo = r.Hi
	}
	return out
}

func show(v vector.Value) string {
	if v.Kind == vector.Int {
		return strconv.FormatInt(v.Num, 10)
	}
	return v.Text
}

// bounds are where the pieces meet, at equal distances: fewer than asked for, down to none, where that cannot be.
func (e ends) bounds(pieces int) (out []vector.Value) {
	lo, hi, ok := e.span()
	if !ok {
		return nil
	}
	width := new(big.Int).Sub(hi, lo)
	last := lo
	for i := 1; i < pieces; i++ {
		at := new(big.Int).Mul(width, big.NewInt(int64(i)))
		at.Quo(at, big.NewInt(int64(pieces))).Add(at, lo)
		if at.Cmp(last) == 0 {
			continue
		}
		last = at
		if e.min.Type != bson.TypeObjectID {
			out = append(out, vector.Value{Kind: vector.Int, Bits: 64, Num: at.Int64()})
			continue
		}
		var id bson.ObjectID
		binary.BigEndian.PutUint64(id[:], at.Uint64())
		out = append(out, vector.Value{Kind: vector.Text, Text: hex.EncodeToString(id[:])})
	}
	return out
}

// span is the ends as numbers: of ObjectIDs the first eight bytes, which begin with the time.
func (e ends) span() (lo, hi *big.Int, ok bool) {
	number := func(v bson.RawValue) (*big.Int, bool) {
		switch v.Type {
		case bson.TypeInt32, bson.TypeInt64:
			return big.NewInt(v.AsInt64()), true
		case bson.TypeObjectID:
			id := v.ObjectID()
			return new(big.Int).SetBytes(id[:8]), true
		}
		return nil, false
	}
	lo, ok1 := number(e.min)
	hi, ok2 := number(e.max)
	return lo, hi, ok1 && ok2 && (e.min.Type == bson.TypeObjectID) == (e.max.Type == bson.TypeObjectID)
}
