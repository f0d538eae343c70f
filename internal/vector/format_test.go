package vector

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// The reckoning of days agrees with the standard library's where that has years.
func TestDaysAgreeWithTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		days := r.Int64N(8_000_000) - 4_000_000
		year, month, day := civil(days)
		want := time.Unix(days*86400, 0).UTC()
		if year != int64(want.Year()) || month != int(want.Month()) || day != want.Day() {
			t.Fatalf("day %d is %d-%d-%d, not %s", days, year, month, day, want)
		}
		if back := daysOf(year, month, day); back != days {
			t.Fatalf("%d-%d-%d is day %d, not %d", year, month, day, back, days)
		}
	}
}

func TestTextOfRandomValuesReadsBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, typ := range someTypes() {
		v := New(typ)
		for range 500 {
			appendRandom(v, r)
		}
		w := New(typ)
		for row := range v.Len() {
			if !v.Valid[row] {
				w.AppendNull()
				continue
			}
			if text := v.Text(row); !ParseInto(w, text) || w.Text(row) != text || w.Hash(row) != v.Hash(row) {
				t.Fatalf("%s: %q becomes %q", typ, text, w.Text(row))
			}
		}
	}
}

// appendRandom adds any value of the vector's type, or NULL.
func appendRandom(v *Vector, r *rand.Rand) {
	n := int64(r.Uint64()) >> r.IntN(64)
	switch k := v.Type.Kind; {
	case k == Null || r.IntN(10) == 0:
		v.AppendNull()
	case k == Bool:
		v.AppendBool(n&1 == 0)
	case k == Int:
		v.AppendNum(n >> (64 - v.Type.Bits))
	case k == Uint:
		v.AppendNum(int64(uint64(n) >> (64 - v.Type.Bits)))
	case k == Float && v.Type.Bits == 32:
		v.AppendFloat(float64(float32(r.NormFloat64())))
	case k == Float:
		v.AppendFloat(r.NormFloat64() * float64(n))
	case k == Date:
		v.AppendNum(r.Int64N(2_147_000_000) - 2_500_000)
	case k == Time:
		v.AppendNum(r.Int64N(microsPerDay + 1))
	case k == Timestamp || k == TimestampTZ:
		v.AppendNum(n)
	case k == Interval:
		v.AppendSpan(Span{Months: int32(n), Days: int32(n >> 3), Micros: n})
	case k == List:
		for range r.IntN(4) {
			appendRandom(v.Items, r)
		}
		v.EndList()
	default:
		appendRandomBytes(v, r, n)
	}
}

func appendRandomBytes(v *Vector, r *rand.Rand, n int64) {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	switch v.Type.Kind {
	case UUID:
		v.AppendBytes(b)
	case Blob:
		v.AppendBytes(b[:r.IntN(16)])
	case Decimal:
		s := New(Type{Kind: Int, Bits: 8})
		s.AppendNum(n >> 56)
		v.AppendConverted(s, 0)
	case TimeTZ:
		v.AppendString(formatTimeTZ(r.Int64N(microsPerDay), r.Int64N(100_000)-50_000))
	case JSON:
		v.AppendString(`{"a":[1.0,"\u00e9"]}`)
	default:
		v.AppendString(strings.ToValidUTF8(string(b), "é"))
	}
}

// Whatever text is taken for a value: the value's own text stands for the same value.
func FuzzParseInto(f *testing.F) {
	for i, typ := range someTypes() {
		v := edges(f, typ)
		for row := range v.Len() {
			f.Add(uint8(i), v.Text(row))
		}
	}
	f.Add(uint8(6), "2024-01-02T03:04:05.5 +01:30:15")
	f.Add(uint8(11), "P1W2DT-3.5S")
	types := someTypes()
	f.Fuzz(func(t *testing.T, i uint8, text string) {
		typ := types[int(i)%len(types)]
		v := New(typ)
		ok := ParseInto(v, text)
		if v.Len() != 1 || v.Valid[0] != ok {
			t.Fatalf("%s %q: %d rows, ok %v", typ, text, v.Len(), ok)
		}
		if !ok {
			return
		}
		again, w := v.Text(0), New(typ)
		if !ParseInto(w, again) {
			t.Fatalf("%s %q is written %q, which is none", typ, text, again)
		}
		if w.Text(0) != again || w.Hash(0) != v.Hash(0) {
			t.Fatalf("%s %q is written %q, and then %q", typ, text, again, w.Text(0))
		}
	})
}

func TestEqualValuesHashEqual(t *testing.T) {
	hash := func(typ, text string) uint64 {
		parsed, ok := ParseType(typ)
		v := New(parsed)
		if !ok || !ParseInto(v, text) {
			t.Fatalf("%s %q cannot be", typ, text)
		}
		return v.Hash(0)
	}
	for _, c := range [][4]string{
		{"int32", "5", "integer", "5"}, {"integer", "5", "uint64", "5"}, {"float32", "0.5", "float", "0.5"}, {"float", "NaN", "float32", "NaN"},
		{"decimal", "1.50", "decimal(5,2)", "1.5"}, {"decimal", "1.0", "decimal", "1"}, {"int32[]", "[1,null]", "integer[]", "[1,null]"},
	} {
		if hash(c[0], c[1]) != hash(c[2], c[3]) {
			t.Errorf("%s %s and %s %s differ", c[0], c[1], c[2], c[3])
		}
	}
	seen := map[uint64]string{}
	for _, typ := range someTypes() {
		if typ.Bits == 8 || typ.Bits == 16 || typ.Bits == 32 || typ.Width > 0 || typ.Kind == List || typ.Kind == Uint {
			continue // the same values as those of others
		}
		v := edges(t, typ)
		for row := range v.Len() {
			h := v.Hash(row)
			if other, ok := seen[h]; ok {
				t.Errorf("%s %s hashes as %s", typ, v.Text(row), other)
			}
			seen[h] = typ.String() + " " + v.Text(row)
		}
	}
}

// The hash does not depend on where in which chunk a value is.
func TestHashDependsOnTheValueAlone(t *testing.T) {
	for _, typ := range someTypes() {
		v := edges(t, typ)
		for row := range v.Len() {
			alone := New(typ)
			alone.AppendFrom(v, row)
			if alone.Hash(0) != v.Hash(row) {
				t.Errorf("%s %s hashes otherwise alone", typ, v.Text(row))
			}
			alone.SetNull(0)
			null := New(Type{})
			null.AppendNull()
			if alone.Hash(0) != null.Hash(0) {
				t.Errorf("a NULL %s is not like any other NULL", typ)
			}
		}
	}
}

// Digests of unfinished copies are kept, so the hashes must not change from one release to the next.
func TestHashesAreStable(t *testing.T) {
	v := New(Type{Kind: Int, Bits: 64})
	v.AppendNum(42)
	w := New(Type{Kind: Text})
	w.AppendString("firth")
	if got := v.Hash(0); got != hashOf42 {
		t.Errorf("42 hashes to %#x", got)
	}
	if got := w.Hash(0); got != hashOfFirth {
		t.Errorf("text hashes to %#x", got)
	}
}

const (
	hashOf42    = 0x44c77c508883ad78
	hashOfFirth = 0xe5d973f0142efb03
)

func BenchmarkHash(b *testing.B) {
	v := edges(b, Type{Kind: Int, Bits: 64})
	for b.Loop() {
		v.Hash(1)
	}
}
