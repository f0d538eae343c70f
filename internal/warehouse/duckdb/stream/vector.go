package stream

import (
	"fmt"
	"math/big"
	"strings"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"firth/internal/query"
)

// reader reads values of one vector: a column of a chunk, or a part of a nested one.
type reader struct {
	typ      query.Type
	get      func(r *reader, row int) any
	dict     []string // ENUM
	width    int      // ENUM: bytes of an index; ARRAY: elements
	children []reader

	data, valid unsafe.Pointer // of the current chunk
}

// point makes the reader read from a vector, until the vector's chunk goes.
func (r *reader) point(v bindings.Vector) {
	r.data, r.valid = bindings.VectorGetData(v), bindings.VectorGetValidity(v)
	switch r.typ.Kind {
	case query.List:
		if r.width > 0 {
			r.children[0].point(bindings.ArrayVectorGetChild(v))
		} else {
			r.children[0].point(bindings.ListVectorGetChild(v))
		}
	case query.Map:
		entries := bindings.ListVectorGetChild(v)
		r.children[0].point(bindings.StructVectorGetChild(entries, 0))
		r.children[1].point(bindings.StructVectorGetChild(entries, 1))
	case query.Struct:
		for i := range r.children {
			r.children[i].point(bindings.StructVectorGetChild(v, bindings.IdxT(i)))
		}
	case query.Union: // the first child is the tag
		tags := bindings.StructVectorGetChild(v, 0)
		r.data = bindings.VectorGetData(tags)
		for i := range r.children {
			r.children[i].point(bindings.StructVectorGetChild(v, bindings.IdxT(i+1)))
		}
	}
}

// value returns the value of a row; nil for NULL.
func (r *reader) value(row int) any {
	if r.valid != nil {
		word := *(*uint64)(unsafe.Add(r.valid, row/64*8))
		if word&(1<<(row%64)) == 0 {
			return nil
		}
	}
	return r.get(r, row)
}

// fixed reads a value of a fixed size out of the vector's memory.
func fixed[T any](r *reader, row int) T {
	var zero T
	return *(*T)(unsafe.Add(r.data, uintptr(row)*unsafe.Sizeof(zero)))
}

func signed[T int8 | int16 | int32 | int64](r *reader, row int) any {
	return int64(fixed[T](r, row))
}

func unsigned[T uint8 | uint16 | uint32 | uint64](r *reader, row int) any {
	return uint64(fixed[T](r, row))
}

func plain[T any](r *reader, row int) any { return fixed[T](r, row) }

// bytes views a string of the vector: 4 bytes of length, then up to 12 bytes, or 4 of them and a
// pointer (string_t in duckdb.h).
func (r *reader) bytes(row int) []byte {
	at := unsafe.Add(r.data, uintptr(row)*16)
	length := *(*uint32)(at)
	if length <= 12 {
		return unsafe.Slice((*byte)(unsafe.Add(at, 4)), length)
	}
	return unsafe.Slice(*(**byte)(unsafe.Add(at, 8)), length)
}

func text(r *reader, row int) any { return string(r.bytes(row)) }

func blob(r *reader, row int) any { return append([]byte{}, r.bytes(row)...) }

// wide is a 128-bit integer as the engine lays it out.
type wide struct {
	lower, upper uint64
}

func (w wide) big(upper *big.Int) *big.Int {
	out := upper.Lsh(upper, 64)
	return out.Or(out, new(big.Int).SetUint64(w.lower))
}

func huge(r *reader, row int) any {
	w := fixed[wide](r, row)
	return w.big(big.NewInt(int64(w.upper)))
}

func unsignedHuge(r *reader, row int) any {
	w := fixed[wide](r, row)
	return w.big(new(big.Int).SetUint64(w.upper))
}

func narrowDecimal[T int16 | int32 | int64](r *reader, row int) any {
	return big.NewInt(int64(fixed[T](r, row)))
}

// uuid is a 128-bit integer whose highest bit is flipped so that it sorts as text does.
func uuid(r *reader, row int) any {
	w := fixed[wide](r, row)
	hex := fmt.Sprintf("%016x%016x", w.upper^(1<<63), w.lower)
	return strings.Join([]string{hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:]}, "-")
}

func interval(r *reader, row int) any {
	v := fixed[struct {
		months, days int32
		micros       int64
	}](r, row)
	return query.Span{Months: v.months, Days: v.days, Micros: v.micros}
}

// zoned is a time of day with an offset: 40 bits of microseconds, 24 bits of offset counted down from 15:59:59.
func zoned(r *reader, row int) any {
	bits := fixed[uint64](r, row)
	offset := 16*3600 - 1 - int(bits&(1<<24-1))
	sign := "+"
	if offset < 0 {
		sign, offset = "-", -offset
	}
	out := query.ClockText(int64(bits>>24), query.Microsecond) + sign + fmt.Sprintf("%02d:%02d", offset/3600, offset/60%60)
	if offset%60 != 0 {
		out += fmt.Sprintf(":%02d", offset%60)
	}
	return out
}

// bits is a count of unused bits in a byte, then the bits, the unused ones first.
func bits(r *reader, row int) any {
	raw := r.bytes(row)
	if len(raw) < 2 {
		return ""
	}
	var b strings.Builder
	for i := int(raw[0]); i < (len(raw)-1)*8; i++ {
		b.WriteByte('0' + raw[1+i/8]>>(7-i%8)&1)
	}
	return b.String()
}

// bignum is a header of three bytes, whose highest bit is set for what is not negative, and the
// magnitude; both are complemented for negative numbers.
func bignum(r *reader, row int) any {
	raw := r.bytes(row)
	if len(raw) < 4 {
		return new(big.Int)
	}
	magnitude := append([]byte{}, raw[3:]...)
	if raw[0]&0x80 != 0 {
		return new(big.Int).SetBytes(magnitude)
	}
	for i := range magnitude {
		magnitude[i] = ^magnitude[i]
	}
	out := new(big.Int).SetBytes(magnitude)
	return out.Neg(out)
}

func enum(r *reader, row int) any {
	switch r.width {
	case 1:
		return r.dict[fixed[uint8](r, row)]
	case 2:
		return r.dict[fixed[uint16](r, row)]
	default:
		return r.dict[fixed[uint32](r, row)]
	}
}

// span is where the elements of a list lie in its child.
type span struct {
	offset, length uint64
}

func list(r *reader, row int) any {
	s := span{uint64(row * r.width), uint64(r.width)}
	if r.width == 0 {
		s = fixed[span](r, row)
	}
	out := make([]any, s.length)
	for i := range out {
		out[i] = r.children[0].value(int(s.offset) + i)
	}
	return out
}

func pairs(r *reader, row int) any {
	s := fixed[span](r, row)
	out := make([]any, 0, 2*s.length)
	for i := range int(s.length) {
		at := int(s.offset) + i
		out = append(out, r.children[0].value(at), r.children[1].value(at))
	}
	return out
}

func fields(r *reader, row int) any {
	out := make([]any, len(r.children))
	for i := range r.children {
		out[i] = r.children[i].value(row)
	}
	return out
}

func member(r *reader, row int) any {
	tag := int(fixed[uint8](r, row))
	return query.Member{Tag: r.typ.Fields[tag], Type: r.typ.Elem[tag], Value: r.children[tag].value(row)}
}

func nothing(*reader, int) any { return nil }
