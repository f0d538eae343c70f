package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"firth/internal/vector"
)

// fuzzFields are a column of every form.
func fuzzFields() []field {
	one := func(name string, f form, t vector.Type) field {
		return field{Column: vector.Column{Name: name, Type: t}, form: f}
	}
	list := func(name string, f form, t vector.Type) field {
		return field{Column: vector.Column{Name: name, Type: vector.Type{Kind: vector.List, Elem: &t}}, form: formArray, elem: f}
	}
	return []field{
		one("text", formText, vector.Type{Kind: vector.Text}), one("uuid", formBytes, vector.Type{Kind: vector.UUID}), one("bytes", formBytes, vector.Type{Kind: vector.Blob}),
		one("bool", formBool, vector.Type{Kind: vector.Bool}), one("int2", formInt2, vector.Type{Kind: vector.Int, Bits: 16}), one("int4", formInt4, vector.Type{Kind: vector.Int, Bits: 32}),
		one("int8", formInt8, vector.Type{Kind: vector.Int, Bits: 64}), one("oid", formUint4, vector.Type{Kind: vector.Uint, Bits: 32}), one("float4", formFloat4, vector.Type{Kind: vector.Float, Bits: 32}),
		one("float8", formFloat8, vector.Type{Kind: vector.Float, Bits: 64}), one("numeric", formNumeric, vector.Type{Kind: vector.Decimal}), one("jsonb", formJSONB, vector.Type{Kind: vector.JSON}),
		one("date", formDate, vector.Type{Kind: vector.Date}), one("timestamp", formTimestamp, vector.Type{Kind: vector.Timestamp}), one("time", formTime, vector.Type{Kind: vector.Time}),
		one("timetz", formTimeTZ, vector.Type{Kind: vector.TimeTZ}), one("interval", formInterval, vector.Type{Kind: vector.Interval}),
		list("numerics", formNumeric, vector.Type{Kind: vector.Decimal}), list("texts", formText, vector.Type{Kind: vector.Text}), list("timestamps", formTimestamp, vector.Type{Kind: vector.Timestamp}),
	}
}

// sample is a copy of some rows of every form, made with a seed.
func sample(seed uint64, fields []field, rows int) []byte {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // no secret
	out := append([]byte(signature), 0, 0, 0, 0, 0, 0, 0, 0)
	for range rows {
		out = binary.BigEndian.AppendUint16(out, uint16(len(fields)))
		for _, f := range fields {
			if r.IntN(8) == 0 {
				out = append(out, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			v := sampleValue(r, f.form, f.elem)
			if f.Type.Kind == vector.UUID {
				v = bytes.Repeat([]byte{byte(r.IntN(256))}, 16)
			}
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(v))), v...)
		}
	}
	return append(out, 0xff, 0xff)
}

func sampleValue(r *rand.Rand, f, elem form) []byte {
	be := binary.BigEndian
	if n := sizes[f]; n > 0 {
		out := make([]byte, n)
		for i := range out {
			out[i] = byte(r.IntN(256))
		}
		return out
	}
	switch f {
	case formJSONB:
		return []byte("\x01{}")
	case formNumeric:
		groups := r.IntN(6)
		out := be.AppendUint16(nil, uint16(groups))
		out = be.AppendUint16(out, uint16(r.IntN(12)-4))
		out = be.AppendUint16(out, uint16(r.IntN(2)*numericNegative))
		out = be.AppendUint16(out, uint16(r.IntN(20)))
		for range groups {
			out = be.AppendUint16(out, uint16(r.IntN(10000)))
		}
		return out
	case formArray:
		dims := r.IntN(3)
		out := be.AppendUint32(nil, uint32(dims))
		out = append(out, 0, 0, 0, 1, 0, 0, 0, 25)
		n := 1
		for range dims {
			size := 1 + r.IntN(3)
			out = append(be.AppendUint32(out, uint32(size)), 0, 0, 0, 1)
			n *= size
		}
		if dims == 0 {
			return out
		}
		for range n {
			v := sampleValue(r, elem, 0)
			out = append(be.AppendUint32(out, uint32(len(v))), v...)
		}
		return out
	}
	return []byte("text ü")
}

// whole decodes a copy that comes in pieces of a size.
func whole(data []byte, fields []field, piece int) (*vector.Chunk, bool, error) {
	columns := make([]vector.Column, len(fields))
	for i, f := range fields {
		columns[i] = f.Column
	}
	d := decoder{fields: fields, chunk: vector.NewChunk(columns)}
	for len(data) > 0 {
		n := min(piece, len(data))
		if err := d.feed(data[:n]); err != nil {
			return nil, false, err
		}
		data = data[n:]
	}
	return d.chunk, d.ended && len(d.rest) == 0, nil
}

// texts are all values of a chunk, with what was listed.
func texts(c *vector.Chunk) string {
	var b []byte
	for row := range c.Rows {
		for _, v := range c.Vectors {
			b = append(v.AppendText(append(b, fmt.Sprint(v.Valid[row], " ")...), row), '|')
		}
	}
	return string(b) + fmt.Sprint(c.Rejects)
}

// TestPieces: however the bytes are cut into pieces, the rows are the same, and what is cut off does not look complete.
func TestPieces(t *testing.T) {
	fields := fuzzFields()
	data := sample(7, fields, 30)
	all, ended, err := whole(data, fields, len(data))
	if err != nil || !ended || all.Rows != 30 {
		t.Fatalf("%v, ended: %v", err, ended)
	}
	for _, piece := range []int{1, 2, 3, 7, 64, 1000} {
		c, ended, err := whole(data, fields, piece)
		if err != nil || !ended || texts(c) != texts(all) {
			t.Errorf("in pieces of %d: %v, ended: %v", piece, err, ended)
		}
	}
	for n := range data {
		if c, ended, err := whole(data[:n], fields, 1<<20); err != nil || ended {
			t.Fatalf("the first %d of %d bytes: ended: %v, %v, %d rows", n, len(data), ended, err, c.Rows)
		}
	}
}

// FuzzDecode: no bytes end in a panic, in vectors of unequal length, or in another outcome when they come in pieces.
func FuzzDecode(f *testing.F) {
	fields := fuzzFields()
	for seed := range uint64(8) {
		f.Add(sample(seed, fields, 2))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, ended, err := whole(data, fields, len(data)+1)
		parts, endedToo, errToo := whole(data, fields, 5)
		if (err == nil) != (errToo == nil) || ended != endedToo {
			t.Fatalf("whole: %v, %v; in pieces: %v, %v", ended, err, endedToo, errToo)
		}
		if err != nil {
			return
		}
		for _, v := range all.Vectors {
			if v.Len() != all.Rows {
				t.Fatalf("%d values in %d rows", v.Len(), all.Rows)
			}
		}
		if texts(all) != texts(parts) {
			t.Fatal("in pieces the values are others")
		}
	})
}

// FuzzIDs: whatever a query is, the marks lie where :ids does, and binding none leaves the rest as it is.
func FuzzIDs(f *testing.F) {
	for _, q := range []string{"select 1", "id in (:ids)", "':ids' \":ids\" -- :ids\n /* /* :ids */ :ids */ $a$ :ids $a$ x::ids E'\\':ids' any(:ids)", "IN( :ids )", "$1 :ids$", ":ids_ :ids"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		p := &plan{query: q, ids: findIDs(q)}
		for _, m := range p.ids {
			if q[m.at:m.at+len(placeholder)] != placeholder {
				t.Fatalf("a mark at %d of %q", m.at, q)
			}
		}
		_ = p.bind([]string{"a'b", `c\d`})
	})
}

func TestIDs(t *testing.T) {
	for q, want := range map[string]string{
		"select * from t where id in (:ids)":                    "select * from t where id in ('a', 'b''c')",
		"where id IN\n( :ids )":                                 "where id IN\n( 'a', 'b''c' )",
		"where id = any(:ids)":                                  `where id = any('{"a","b''c"}')`,
		"where id = any(:ids::bigint[])":                        `where id = any('{"a","b''c"}'::bigint[])`,
		"where begin(:ids)":                                     `where begin('{"a","b''c"}')`,
		"':ids' \":ids\" -- :ids\n, x::ids, $$:ids$$, :idset":   "':ids' \":ids\" -- :ids\n, x::ids, $$:ids$$, :idset",
		"/* :ids /* */ :ids */ E'\\':ids' and id in (:ids) -- ": "/* :ids /* */ :ids */ E'\\':ids' and id in ('a', 'b''c') -- ",
	} {
		p := &plan{query: q, ids: findIDs(q)}
		if got := p.bind([]string{"a", "b'c"}); got != want {
			t.Errorf("%s\nbecomes %s\nnot     %s", q, got, want)
		}
	}
}

func TestWithoutEnd(t *testing.T) {
	for q, want := range map[string]string{"select 1": "select 1", "select 1 ; ; -- x": "select 1 ", "select ';'": "select ';'", "select 1 /* ; */": "select 1 /* ; */", ";": "", "select 1;\n/* a */ -- ;\n": "select 1"} {
		if got := withoutEnd(q); got != want {
			t.Errorf("%q: %q, want %q", q, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string]string{
		"users": "|users", "public.Users": "public|Users", `"Sch.ema"."Ta""ble"`: `Sch.ema|Ta"ble`, "db.app.users": "app|users", " app . users ": "app|users",
		"": "!", "a.b.c.d": "!", `"open`: "!", "other.app.users": "!", "a.": "!",
	} {
		schema, table, err := splitName(text, "db")
		got := schema.text + "|" + table.text
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestBlockRanges(t *testing.T) {
	for _, c := range [][2]int64{{0, 4}, {1, 4}, {7, 3}, {1000, 7}, {3, 50}} {
		at := int64(0)
		ranges := blockRanges(c[0], c[1])
		for i, r := range ranges {
			if len(ranges) == 1 {
				break
			}
			var first, past int64
			if _, err := fmt.Sscanf(r.Text, "blocks %d %d", &first, &past); err != nil || first != at || (past < 0) != (i == len(ranges)-1) || past >= 0 && past <= first {
				t.Errorf("%v: %+v", c, ranges)
			}
			at = past
		}
	}
	if got := evenly(math.MinInt64, math.MaxInt64, 4); fmt.Sprint(got) != "[-4611686018427387904 0 4611686018427387904]" {
		t.Errorf("%v", got)
	}
}
