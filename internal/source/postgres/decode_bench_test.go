package postgres

import (
	"encoding/binary"
	"fmt"
	"testing"

	"firth/internal/vector"
)

// benchCopy is a copy of so many rows of 15 columns of the types that tables mostly have, a piece a row as servers send it.
func benchCopy(rows int) ([]field, [][]byte) {
	be := binary.BigEndian
	one := func(f form, t vector.Type) field { return field{Column: vector.Column{Type: t}, form: f} }
	text := vector.Type{Kind: vector.Text}
	fields := []field{
		one(formInt8, vector.Type{Kind: vector.Int, Bits: 64}), one(formBytes, vector.Type{Kind: vector.UUID}), one(formText, text), one(formText, text), one(formText, text),
		one(formBool, vector.Type{Kind: vector.Bool}), one(formInt4, vector.Type{Kind: vector.Int, Bits: 32}), one(formFloat8, vector.Type{Kind: vector.Float, Bits: 64}),
		one(formNumeric, vector.Type{Kind: vector.Decimal, Width: 14, Scale: 4}), {Column: vector.Column{Type: vector.Type{Kind: vector.List, Elem: &text}}, form: formArray, elem: formText},
		one(formJSONB, vector.Type{Kind: vector.JSON}), one(formTimestampTZ, vector.Type{Kind: vector.TimestampTZ}), one(formTimestamp, vector.Type{Kind: vector.Timestamp}),
		one(formDate, vector.Type{Kind: vector.Date}), one(formBytes, vector.Type{Kind: vector.Blob}),
	}
	out := make([][]byte, rows)
	for i := range out {
		var b []byte
		if i == 0 {
			b = append([]byte(signature), 0, 0, 0, 0, 0, 0, 0, 0)
		}
		b = be.AppendUint16(b, uint16(len(fields)))
		put := func(v []byte) { b = append(be.AppendUint32(b, uint32(len(v))), v...) }
		n := uint64(i)
		put(be.AppendUint64(nil, n))
		put(be.AppendUint64(be.AppendUint64(nil, n*0x9e3779b97f4a7c15), n))
		put(fmt.Appendf(nil, "person %d", i))
		put(fmt.Appendf(nil, "person.%d@example.com, and some more text", i))
		put([]byte("active"))
		put([]byte{1})
		put(be.AppendUint32(nil, uint32(i)))
		put(be.AppendUint64(nil, n<<40))
		put([]byte{0, 3, 0, 1, 0, 0, 0, 4, 0, 12, byte(i >> 8 % 32), byte(i), 0x13, 0x88})
		put([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 'r', 'e', 'd', 0, 0, 0, 4, 'b', 'l', 'u', 'e'})
		put(fmt.Appendf(nil, "\x01{\"a\": %d, \"tags\": [\"x\", \"y\"]}", i))
		put(be.AppendUint64(nil, 700_000_000_000_000+n))
		put(be.AppendUint64(nil, 700_000_000_000_000+n))
		put(be.AppendUint32(nil, 8000))
		put([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
		if i == rows-1 {
			b = append(b, 0xff, 0xff)
		}
		out[i] = b
	}
	return fields, out
}

// BenchmarkDecode decodes rows of 15 columns from memory: one core, without the server and the network.
func BenchmarkDecode(b *testing.B) {
	fields, pieces := benchCopy(8192)
	columns := make([]vector.Column, len(fields))
	size := 0
	for i, f := range fields {
		columns[i] = f.Column
	}
	for _, p := range pieces {
		size += len(p)
	}
	chunk := vector.NewChunk(columns)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		chunk.Reset()
		d := decoder{fields: fields, chunk: chunk}
		for _, p := range pieces {
			if err := d.feed(p); err != nil {
				b.Fatal(err)
			}
		}
		if !d.ended || chunk.Rows != len(pieces) {
			b.Fatal("the rows are not all there")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())*1e6/float64(b.N*len(pieces))/1000, "s/1Mrows")
}
