package warehousetest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

var mirrorValues = []mirrorBehaviour{
	{"values of every kind", testMirrorValues},
	{"values that fit nowhere", testMirrorBroken},
	{"lists", testMirrorArrays},
	{"values compare exactly", testMirrorCompare},
}

// oddValue is one value: as put takes it, and as Text writes it.
type oddValue struct {
	value any
	text  string
}

func kind(k vector.Kind) vector.Type { return vector.Type{Kind: k} }
func whole(k vector.Kind, bits uint8) vector.Type {
	return vector.Type{Kind: k, Bits: bits}
}
func decimal(width, scale uint16) vector.Type {
	return vector.Type{Kind: vector.Decimal, Width: width, Scale: scale}
}

func same(texts ...string) []oddValue {
	var out []oddValue
	for _, s := range texts {
		out = append(out, oddValue{s, s})
	}
	return out
}

// oddValues are the odd values of every kind.
func oddValues() []struct {
	t      vector.Type
	values []oddValue
} {
	const second = 1_000_000
	day := int64(86400 * second)
	return []struct {
		t      vector.Type
		values []oddValue
	}{
		{kind(vector.Bool), []oddValue{{true, "true"}, {false, "false"}}},
		{whole(vector.Int, 8), []oddValue{{-128, "-128"}, {127, "127"}}},
		{whole(vector.Int, 16), []oddValue{{-32768, "-32768"}, {32767, "32767"}}},
		{whole(vector.Int, 32), []oddValue{{math.MinInt32, "-2147483648"}, {math.MaxInt32, "2147483647"}}},
		{whole(vector.Int, 64), []oddValue{{math.MinInt64, "-9223372036854775808"}, {math.MaxInt64, "9223372036854775807"}, {1<<53 + 1, "9007199254740993"}}},
		{whole(vector.Uint, 8), []oddValue{{0, "0"}, {255, "255"}}},
		{whole(vector.Uint, 16), []oddValue{{65535, "65535"}}},
		{whole(vector.Uint, 32), []oddValue{{1<<32 - 1, "4294967295"}}},
		{whole(vector.Uint, 64), []oddValue{{uint64(math.MaxUint64), "18446744073709551615"}, {0, "0"}}},
		{whole(vector.Float, 64), []oddValue{{math.NaN(), "NaN"}, {math.Inf(1), "+Inf"}, {math.Inf(-1), "-Inf"}, {math.Copysign(0, -1), "-0"}, {0.1, "0.1"}, {math.MaxFloat64, "1.7976931348623157e+308"}, {5e-324, "5e-324"}}},
		{whole(vector.Float, 32), []oddValue{{float64(float32(0.1)), "0.1"}, {math.NaN(), "NaN"}, {math.MaxFloat32, "3.4028235e+38"}}},
		{decimal(4, 2), same("12.34", "-99.99", "0.00", "NaN")},
		{decimal(9, 0), same("123456789", "-1")},
		{decimal(18, 6), same("123456789012.123456", "-0.000001")},
		{decimal(38, 10), same("1234567890123456789012345678.0123456789", "-9999999999999999999999999999.9999999999", "0.0000000001", "NaN")},
		{decimal(38, 38), same("0.99999999999999999999999999999999999999")},
		{decimal(0, 0), same("1", "-1.50", "123456789012345678901234567890123456789012345678901234567890.0123456789012345678901234567890", "NaN", "Infinity", "-Infinity")},
		{decimal(65, 30), same("12345678901234567890123456789012345.123456789012345678901234567890", "NaN")},
		{text(), same("", "a", "NULL", "null", "it's \"quoted\" \\ back", "tab\tnew\nline\r", "ünïcode 日本語 😀", "\u200b\u202e", "twelve bytes", "thirteen byte", strings.Repeat("long ", 5000))},
		{kind(vector.JSON), same(`{"a":1,"a":2}`, `{"b":  1.000,   "a": 12345678901234567890.12345678901234567890}`, `[]`, `{}`, `"text"`, `null`, `1e400`, `{"é":"\u00e9 日本"}`)},
		{kind(vector.Blob), []oddValue{{[]byte{}, ""}, {[]byte{0}, "00"}, {[]byte("\x00\xff\\x'\""), "00ff5c782722"}, {[]byte(strings.Repeat("\xab", 300)), strings.Repeat("ab", 300)}}},
		{kind(vector.UUID), []oddValue{{make([]byte, 16), "00000000-0000-0000-0000-000000000000"}, {[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "ffffffff-ffff-ffff-ffff-ffffffffffff"},
			{[]byte("\x12\x34\x56\x78\x9a\xbc\x4d\xef\x80\x12\x34\x56\x78\x9a\xbc\xde"), "12345678-9abc-4def-8012-3456789abcde"}}},
		{kind(vector.Date), []oddValue{{0, "1970-01-01"}, {-1, "1969-12-31"}, {19782, "2024-02-29"}, {-719162, "0001-01-01"}, {2932896, "9999-12-31"}, {2932897, "10000-01-01"}, {-719528 - 16000, "0045-03-12 BC"},
			{vector.PosInfinity, "infinity"}, {vector.NegInfinity, "-infinity"}}},
		{kind(vector.Time), []oddValue{{0, "00:00:00"}, {day, "24:00:00"}, {day - 1, "23:59:59.999999"}, {12*3600*second + 500_000, "12:00:00.5"}}},
		{kind(vector.TimeTZ), same("12:00:00+02", "00:00:00-11:30", "23:59:59.999999+15:59", "24:00:00+00")},
		{kind(vector.Timestamp), []oddValue{{0, "1970-01-01 00:00:00"}, {-1, "1969-12-31 23:59:59.999999"}, {2932896 * day, "9999-12-31 00:00:00"}, {int64(-719162) * day, "0001-01-01 00:00:00"},
			{vector.PosInfinity, "infinity"}, {vector.NegInfinity, "-infinity"}}},
		{kind(vector.TimestampTZ), []oddValue{{1_709_164_800_123_456, "2024-02-29 00:00:00.123456+00"}, {-1, "1969-12-31 23:59:59.999999+00"}, {vector.PosInfinity, "infinity"}, {vector.NegInfinity, "-infinity"}}},
		{kind(vector.Interval), []oddValue{{vector.Span{Months: 14, Days: 40, Micros: 25*3600*second + 1}, "14 40 90000000001"}, {vector.Span{Months: -1, Days: 1, Micros: -1}, "-1 1 -1"}, {vector.Span{Micros: -(838*3600 + 59*60 + 59) * second}, "0 0 -3020399000000"}, {vector.Span{}, "0 0 0"}}},
	}
}

// testMirrorValues stages every odd value: each comes back exactly, or is a reject that says so and a NULL.
func testMirrorValues(t *testing.T, b *mirrorBench) {
	columns := []vector.Column{columnOf("row", number())}
	kinds := oddValues()
	most := 0
	for i, k := range kinds {
		columns = append(columns, columnOf(fmt.Sprintf("c%02d", i), k.t))
		most = max(most, len(k.values))
	}
	var rows [][]any
	var want, rejected []string
	for i := range most + 1 {
		row, line := []any{i}, []string{fmt.Sprint(i)}
		for at, k := range kinds {
			switch {
			case i >= len(k.values):
				row, line = append(row, nil), append(line, "~")
			case b.Unfit != nil && b.Unfit(k.t, k.values[i].text):
				row, line = append(row, k.values[i].value), append(line, "~")
				rejected = append(rejected, fmt.Sprintf("%d %s %s", i, columns[at+1].Name, k.t))
			default:
				row, line = append(row, k.values[i].value), append(line, k.values[i].text)
			}
		}
		rows, want = append(rows, row), append(want, strings.Join(line, "|"))
	}
	s := b.stage(columns)
	var got []string
	for _, r := range b.write(s, chunkOf(columns, rows...)) {
		c := columns[slices.IndexFunc(columns, func(c vector.Column) bool { return c.Name == r.Column })]
		got = append(got, fmt.Sprintf("%d %s %s", r.Row, r.Column, c.Type))
		if r.Reason == "" || r.Value == "" {
			t.Errorf("a reject without a reason or a value: %+v", r)
		}
	}
	slices.Sort(got)
	slices.Sort(rejected)
	if diff := cmp.Diff(rejected, got); diff != "" {
		t.Errorf("rejects (-want +got):\n%s", diff)
	}
	if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: moment(1)}); err != nil {
		t.Fatal(err)
	}
	b.wantByCell(columns, want)
}

// wantByCell is want with a short message where rows are long.
func (b *mirrorBench) wantByCell(columns []vector.Column, want []string) {
	b.t.Helper()
	got := b.read(b.table(""), "", columns...)
	slices.Sort(want)
	if len(got) != len(want) {
		b.t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		w, g := strings.Split(want[i], "|"), strings.Split(got[i], "|")
		for c := range w {
			if c >= len(g) || w[c] != g[c] {
				b.t.Errorf("row %s, column %s (%s): got %.80q, want %.80q", w[0], columns[c].Name, columns[c].Type, g[min(c, len(g)-1)], w[c])
			}
		}
	}
}

// testMirrorBroken: values that no warehouse holds in such columns.
func testMirrorBroken(t *testing.T, b *mirrorBench) {
	columns := []vector.Column{columnOf("id", number()), columnOf("s", text()), columnOf("d", decimal(5, 2)), columnOf("j", kind(vector.JSON))}
	s := b.stage(columns)
	rejects := b.write(s, chunkOf(columns, []any{1, "\xff\xfe", "1.00", `{}`}, []any{2, "ok", "1234.00", `1`}, []any{3, "ok", "0.005", `{"a":`}, []any{4, "ok", "1.500", ` [1] `}))
	var got []string
	for _, r := range rejects {
		got = append(got, fmt.Sprintf("%d %s", r.Row, r.Column))
		if _, err := json.Marshal(r.Value); err != nil || r.Reason == "" {
			t.Errorf("%+v", r)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"0 s", "1 d", "2 d", "2 j"}, got); diff != "" {
		t.Errorf("rejects (-want +got):\n%s", diff)
	}
	if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: moment(1)}); err != nil {
		t.Fatal(err)
	}
	b.want(columns, "1|~|1.00|{}", "2|ok|~|1", "3|ok|~|~", "4|ok|1.50| [1] ")
}

func listOf(t vector.Type) vector.Type { return vector.Type{Kind: vector.List, Elem: &t} }

func testMirrorArrays(t *testing.T, b *mirrorBench) {
	columns := []vector.Column{columnOf("id", number()), columnOf("n", listOf(whole(vector.Int, 32))), columnOf("s", listOf(text())), columnOf("d", listOf(decimal(5, 2))),
		columnOf("nested", listOf(listOf(number()))), columnOf("b", listOf(kind(vector.Bool)))}
	s := b.stage(columns, "id")
	rejects := b.write(s, chunkOf(columns,
		[]any{1, []any{1, nil, 3}, []any{"a", `q"u,o}t`, ""}, []any{"1.25", "-100.25"}, []any{[]any{1, 2}, []any{3, 4}}, []any{true, false}},
		[]any{2, []any{}, []any{nil}, []any{"12345.00"}, []any{}, nil},
		[]any{3, nil, nil, nil, nil, nil}))
	if len(rejects) != 1 || rejects[0].Row != 1 || rejects[0].Column != "d" {
		t.Errorf("rejects: %+v", rejects)
	}
	p := &warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, At: moment(1)}
	if _, err := s.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want := []string{`1|[1,null,3]|["a","q\"u,o}t",""]|[1.25,-100.25]|[[1,2],[3,4]]|[true,false]`, "2|[]|[null]|~|[]|~", "3|~|~|~|~|~"}
	b.want(columns, want...)
	got := b.publish(*p, columns, []any{1, []any{1, nil, 3}, []any{"a", `q"u,o}t`, ""}, []any{"1.25", "-100.25"}, []any{[]any{1, 2}, []any{3, 4}}, []any{true, true}}, []any{2, []any{}, []any{nil}, nil, []any{}, nil})
	b.wantDone(got, 0, 1, 0, 1)
}

// testMirrorCompare changes values to others that engines hold for equal.
func testMirrorCompare(t *testing.T, b *mirrorBench) {
	columns := []vector.Column{columnOf("id", number()), columnOf("f", whole(vector.Float, 64)), columnOf("i", kind(vector.Interval)), columnOf("j", kind(vector.JSON)), columnOf("s", text())}
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}}
	before := [][]any{{1, 0.0, nil, nil, nil}, {2, nil, vector.Span{Months: 1}, nil, nil}, {3, nil, nil, `{"a":1}`, nil}, {4, nil, nil, nil, "a"}, {5, math.NaN(), nil, nil, "a "}}
	b.publish(p, columns, before...)
	got := b.publish(p, columns, before...)
	b.wantDone(got, 0, 0, 0, 5)
	got = b.publish(p, columns, []any{1, math.Copysign(0, -1), nil, nil, nil}, []any{2, nil, vector.Span{Days: 30}, nil, nil}, []any{3, nil, nil, `{"a": 1}`, nil}, []any{4, nil, nil, nil, "A"}, []any{5, math.NaN(), nil, nil, "a"})
	b.wantDone(got, 0, 5, 0, 0)
	b.want(columns, "1|-0|~|~|~", "2|~|0 30 0|~|~", `3|~|~|{"a": 1}|~`, "4|~|~|~|A", "5|NaN|~|~|a")
}
