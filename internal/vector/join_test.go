package vector

import "testing"

// someTypes has one of every kind, and several of those with sizes.
func someTypes() []Type {
	out := []Type{
		{}, {Kind: Bool}, {Kind: Text}, {Kind: JSON}, {Kind: Blob}, {Kind: UUID}, {Kind: Date}, {Kind: Time}, {Kind: TimeTZ},
		{Kind: Timestamp}, {Kind: TimestampTZ}, {Kind: Interval}, {Kind: Float, Bits: 32}, {Kind: Float, Bits: 64},
		{Kind: Decimal}, {Kind: Decimal, Width: 5, Scale: 2}, {Kind: Decimal, Width: 38, Scale: 10}, {Kind: Decimal, Width: 20},
	}
	for _, bits := range []uint8{8, 16, 32, 64} {
		out = append(out, Type{Kind: Int, Bits: bits}, Type{Kind: Uint, Bits: bits})
	}
	for _, i := range []int{0, 1, 2, 12, 15, 18} {
		out = append(out, Type{Kind: List, Elem: &out[i]})
	}
	return out
}

func TestJoinIsALattice(t *testing.T) {
	all := someTypes()
	for _, a := range all {
		if j, lossless := Join(a, a); !lossless || !j.Equal(a) {
			t.Errorf("%s with itself is %s, %v", a, j, lossless)
		}
		for _, b := range all {
			ab, l1 := Join(a, b)
			ba, l2 := Join(b, a)
			if !ab.Equal(ba) || l1 != l2 {
				t.Errorf("%s and %s: %s, %v; the other way %s, %v", a, b, ab, l1, ba, l2)
			}
			if up, _ := Join(ab, a); !up.Equal(ab) {
				t.Errorf("%s and %s is %s, which with %s is %s", a, b, ab, a, up)
			}
			for _, c := range all {
				bc, _ := Join(b, c)
				left, _ := Join(ab, c)
				right, _ := Join(a, bc)
				if numbers(left) && numbers(right) {
					continue
				}
				if !left.Equal(right) {
					t.Errorf("(%s, %s), %s is %s; %s, (%s, %s) is %s", a, b, c, left, a, b, c, right)
				}
			}
		}
	}
}

func numbers(t Type) bool {
	return number(t.Kind) || t.Kind == List && number(elem(t).Kind)
}

func TestJoin(t *testing.T) {
	for _, c := range []struct {
		a, b, want string
		lossless   bool
	}{
		{"int32", "integer", "integer", true},
		{"int16", "uint16", "int32", true},
		{"integer", "uint64", "decimal(20,0)", true},
		{"integer", "decimal(5,2)", "decimal(21,2)", true},
		{"decimal(38,2)", "decimal(38,4)", "decimal", true},
		{"int16", "float32", "float32", true},
		{"int32", "float32", "float", true},
		{"int32", "float", "float", true},
		{"integer", "float", "decimal", false},
		{"float", "decimal(5,2)", "decimal", false},
		{"date", "timestamp", "timestamp", true},
		{"date", "timestamptz", "timestamptz", true},
		{"timestamp", "timestamptz", "text", true},
		{"boolean", "integer", "text", true},
		{"integer", "text", "text", true},
		{"json", "text", "text", true},
		{"json", "integer", "text", false},
		{"int32[]", "integer[]", "integer[]", true},
		{"integer[]", "json", "json", true},
		{"integer[]", "integer", "text", false},
	} {
		a, ok := ParseType(c.a)
		b, ok2 := ParseType(c.b)
		if got, lossless := Join(a, b); !ok || !ok2 || got.String() != c.want || lossless != c.lossless {
			t.Errorf("%s and %s: %s, %v; want %s, %v", c.a, c.b, got, lossless, c.want, c.lossless)
		}
	}
	if Widens(Type{Kind: Int, Bits: 64}, Type{Kind: Int, Bits: 32}) || !Widens(Type{Kind: Int, Bits: 32}, Type{Kind: Int, Bits: 64}) {
		t.Error("Widens goes one way")
	}
}

// What Widens promises, for values at the edges of each type.
func TestWideningKeepsEveryValue(t *testing.T) {
	for _, from := range someTypes() {
		v := edges(t, from)
		for _, to := range someTypes() {
			if !Widens(from, to) {
				continue
			}
			w := New(to)
			for row := range v.Len() {
				if from.Kind == Date && row >= 3 && to.Kind != Date && to.Kind != Text {
					continue // the last days are beyond the years of a timestamp
				}
				if reason := w.AppendConverted(v, row); reason != "" {
					t.Errorf("%s as %s: %s %s", from, to, v.Text(row), reason)
				}
				back := New(from)
				if to.Kind == Text && from.Kind == JSON || from.Kind == Null {
					continue
				}
				if reason := back.AppendConverted(w, w.Len()-1); reason != "" || back.Text(0) != v.Text(row) {
					t.Errorf("%s as %s and back: %s is %s (%s)", from, to, v.Text(row), back.Text(0), reason)
				}
			}
		}
	}
}

// edges is a vector of a type with its least and greatest values and some between.
func edges(t testing.TB, typ Type) *Vector {
	t.Helper()
	v := New(typ)
	texts := map[Kind][]string{
		Bool: {"true", "false"}, Text: {"", "a", "é\x00\"\\\n", "NaN"}, JSON: {"{}", `{"a":1,"a":2}`, "[1.0]", `"x"`},
		Blob: {`\x`, `\x00ff`}, UUID: {"00112233-4455-6677-8899-aabbccddeeff"},
		Date: {"0001-01-01", "0044-03-15 BC", "infinity", "5874897-12-31", "4713-01-01 BC"},
		Time: {"00:00:00", "24:00:00", "23:59:59.999999"}, TimeTZ: {"12:00:00+02", "24:00:00-15:59:59", "01:02:03.5+05:30"},
		Timestamp:   {"2024-02-29 12:00:00.000001", "0001-01-01 00:00:00 BC", "-infinity", "294247-01-10 04:00:54.775806"},
		TimestampTZ: {"2024-02-29 12:00:00.5+00", "4713-01-01 00:00:00+00 BC", "infinity"},
		Interval:    {"PT0S", "P1Y2M3DT4H5M6.789S", "P-1Y-2M-3DT-4H-5M-6.5S", "PT-0.000001S", "PT838H59M59.999999S"},
		Float:       {"0", "-0", "1.5", "NaN", "Infinity", "-Infinity", "1e+20", "0.001"},
		Decimal:     {"0", "-1.5", "123.45"},
		Int:         {"0", "-128", "127"}, Uint: {"0", "255"},
	}[typ.Kind]
	switch {
	case typ.Kind == Int && typ.Bits == 64:
		texts = append(texts, "-9223372036854775808", "9223372036854775807")
	case typ.Kind == Int && typ.Bits == 32:
		texts = append(texts, "-2147483648", "2147483647")
	case typ.Kind == Uint && typ.Bits == 64:
		texts = append(texts, "18446744073709551615")
	case typ.Kind == Uint && typ.Bits == 32:
		texts = append(texts, "4294967295")
	case typ.Kind == Float && typ.Bits == 32:
		texts = append(texts, "3.4028235e+38", "1e-45", "0.1")
	case typ.Kind == Float:
		texts = append(texts, "1.7976931348623157e+308", "5e-324", "0.1", "123456789012345.6")
	case typ.Kind == Decimal && typ.Width == 20:
		texts = []string{"99999999999999999999", "-1"}
	case typ.Kind == Decimal && typ.Width == 38:
		texts = append(texts, "9999999999999999999999999999.0123456789")
	case typ.Kind == Decimal && typ.Width == 0:
		texts = append(texts, "NaN", "Infinity", "-Infinity", "123456789012345678901234567890123456789012345678901234567890.10")
	}
	for _, text := range texts {
		if !ParseInto(v, text) {
			t.Fatalf("%q is no %s", text, typ)
		}
		if got := v.Text(v.Len() - 1); got != text {
			t.Errorf("%s: %q became %q", typ, text, got)
		}
	}
	if typ.Kind == List {
		items := edges(t, *typ.Elem)
		for row := range items.Len() {
			v.Items.AppendFrom(items, row)
			v.Items.AppendNull()
		}
		v.EndList()
		v.EndList()
		if typ.Elem.Kind == Null {
			v.Truncate(0)
		}
	}
	return v
}
