package mirror

import (
	"encoding/hex"
	"math"

	"github.com/cespare/xxhash/v2"

	"firth/internal/document"
	"firth/internal/vector"
)

// hashDocument is a hash of a document that is stable over releases: of every kind, name and value, in their order.
func hashDocument(v *document.Value) uint64 {
	h := uint64(v.Kind)<<8 | uint64(v.Sub)
	switch v.Kind {
	case document.Object, document.JavaScript:
		h = blend(h, xxhash.Sum64(v.Bytes))
		for i := range v.Fields {
			h = blend(h, xxhash.Sum64String(v.Fields[i].Name))
			h = blend(h, hashDocument(&v.Fields[i].Value))
		}
		return h
	case document.Array:
		for i := range v.Items {
			h = blend(h, hashDocument(&v.Items[i]))
		}
		return blend(h, uint64(len(v.Items)))
	case document.Bool, document.Int32, document.Int64, document.Double, document.DateTime, document.Timestamp:
		return blend(h, uint64(v.Num))
	}
	h = blend(h, xxhash.Sum64(v.Bytes))
	if v.Extra != "" {
		h = blend(h, xxhash.Sum64String(v.Extra))
	}
	return h
}

// cursorOf is the value at a path as a cursor; an ObjectID is the text of its digits. NULL where there is none, or one that has no order.
func cursorOf(doc *document.Value, path []string) vector.Value {
	v := doc
	for _, name := range path {
		v = v.Find(name)
	}
	switch v.Kind {
	case document.Int32, document.Int64:
		return vector.Value{Kind: vector.Int, Bits: 64, Num: v.Num}
	case document.Double:
		return vector.Value{Kind: vector.Float, Bits: 64, Num: v.Num}
	case document.Decimal:
		return vector.Value{Kind: vector.Decimal, Text: string(v.Bytes)}
	case document.String:
		return vector.Value{Kind: vector.Text, Text: string(v.Bytes)}
	case document.ObjectID:
		return vector.Value{Kind: vector.Text, Text: hex.EncodeToString(v.Bytes)}
	case document.DateTime:
		if v.Num > math.MaxInt64/1000 || v.Num < math.MinInt64/1000 {
			return vector.Value{}
		}
		return vector.Value{Kind: vector.TimestampTZ, Num: v.Num * 1000}
	}
	return vector.Value{}
}

// hide masks what is to be masked in a document, also within lists.
func (d *docs) hide(v *document.Value) {
	for i := range d.masks {
		maskAt(v, d.masks[i].parts, d.masks[i].mask)
	}
}

func maskAt(v *document.Value, parts []string, m mask) {
	if v.Kind == document.Array {
		for i := range v.Items {
			maskAt(&v.Items[i], parts, m)
		}
		return
	}
	if len(parts) == 0 {
		switch v.Kind {
		case document.Missing, document.Null, document.Undefined:
		default:
			*v = document.Value{Kind: document.String, Bytes: m.text(canonical(v))}
		}
		return
	}
	for i := range v.Fields {
		if v.Fields[i].Name == parts[0] {
			maskAt(&v.Fields[i].Value, parts[1:], m)
		}
	}
}

// canonical is the text of a value as a column of its type has it; objects are JSON.
func canonical(v *document.Value) []byte {
	one := func(t vector.Type, n int64) []byte {
		x := vector.New(t)
		x.AppendNum(n)
		return x.AppendText(nil, 0)
	}
	switch v.Kind {
	case document.String, document.Decimal, document.Symbol:
		return v.Bytes
	case document.Bool:
		return one(vector.Type{Kind: vector.Bool}, v.Num)
	case document.Int32, document.Int64:
		return one(vector.Type{Kind: vector.Int, Bits: 64}, v.Num)
	case document.Double:
		return one(vector.Type{Kind: vector.Float, Bits: 64}, v.Num)
	case document.ObjectID:
		return hex.AppendEncode(nil, v.Bytes)
	case document.DateTime:
		if c := cursorOf(v, nil); c.Kind == vector.TimestampTZ {
			return one(vector.Type{Kind: vector.TimestampTZ}, c.Num)
		}
	case document.Binary:
		if (v.Sub == 3 || v.Sub == 4) && len(v.Bytes) == 16 {
			x := vector.New(vector.Type{Kind: vector.UUID})
			x.AppendBytes(v.Bytes)
			return x.AppendText(nil, 0)
		}
	}
	return document.AppendJSON(nil, v)
}
