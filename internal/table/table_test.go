package table_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"firth/internal/table"
)

var types = []table.Type{table.Null, table.Boolean, table.Integer, table.Float, table.Timestamp, table.String}

func TestTypeNames(t *testing.T) {
	for _, typ := range types {
		if back, ok := table.ParseType(typ.String()); !ok || back != typ {
			t.Errorf("ParseType(%q) = %v, %v", typ.String(), back, ok)
		}
	}
	if _, ok := table.ParseType("varchar"); ok {
		t.Error("varchar is no type of ours")
	}
}

// TestJoinIsASemilattice tries every triple: Join is associative, commutative and idempotent, Null is its identity, String its top.
func TestJoinIsASemilattice(t *testing.T) {
	for _, a := range types {
		if table.Join(a, a) != a || table.Join(a, table.Null) != a || table.Join(a, table.String) != table.String {
			t.Errorf("%v: Join with itself, Null or String is wrong", a)
		}
		for _, b := range types {
			if table.Join(a, b) != table.Join(b, a) {
				t.Errorf("Join(%v, %v) depends on the order", a, b)
			}
			for _, c := range types {
				if table.Join(a, table.Join(b, c)) != table.Join(table.Join(a, b), c) {
					t.Errorf("Join of %v, %v, %v depends on the grouping", a, b, c)
				}
			}
		}
	}
	for _, tt := range []struct{ a, b, want table.Type }{
		{table.Integer, table.Float, table.Float},
		{table.Boolean, table.Integer, table.String},
		{table.Timestamp, table.Integer, table.String},
		{table.Boolean, table.Timestamp, table.String},
	} {
		if got := table.Join(tt.a, tt.b); got != tt.want {
			t.Errorf("Join(%v, %v) = %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestWidens(t *testing.T) {
	for _, from := range types {
		for _, to := range types {
			want := from == table.Integer && to == table.Float || from == table.Null && to != table.Null
			if got := table.Widens(from, to); got != want {
				t.Errorf("Widens(%v, %v) = %v", from, to, got)
			}
		}
	}
}

func TestNumber(t *testing.T) {
	tests := []struct {
		text  string
		typ   table.Type
		exact bool
	}{
		{"0", table.Integer, true}, {"-3", table.Integer, true}, {"-0", table.Integer, true},
		{"9223372036854775807", table.Integer, true}, {"-9223372036854775808", table.Integer, true},
		{"9223372036854775808", table.Float, false}, {"-9223372036854775809", table.Float, false},
		{"123456789012345678901234567890", table.Float, false},
		{"3.0", table.Float, true}, {"1e3", table.Float, true}, {"1.501", table.Float, true}, {"2E-5", table.Float, true},
	}
	for _, tt := range tests {
		v := table.Number(tt.text)
		if v.Type != tt.typ || v.Exact() != tt.exact || v.String() != tt.text {
			t.Errorf("Number(%s) = %v %q, exact %v", tt.text, v.Type, v, v.Exact())
		}
	}
	if v := table.Number("-9223372036854775808"); v.Int64() != math.MinInt64 {
		t.Errorf("the least integer is %d", v.Int64())
	}
	if v := table.Number("1e400"); !math.IsInf(v.Float64(), 1) {
		t.Errorf("1e400 is %v", v.Float64())
	}
}

func TestCast(t *testing.T) {
	const iso = "2021-06-01T00:00:00.000Z"
	boolean, integer, float, timestamp, text := table.Boolean, table.Integer, table.Float, table.Timestamp, table.String
	tests := []struct {
		v    table.Value
		to   table.Type
		want string // "": does not fit
	}{
		{table.Number("3.0"), integer, "3"}, {table.Number("25.00"), integer, "25"}, {table.Number("1e3"), integer, "1000"},
		{table.Number("1200e-2"), integer, "12"}, {table.Number("-0.0"), integer, "0"}, {table.Number("0e5"), integer, "0"},
		{table.Number("9223372036854775807.0"), integer, "9223372036854775807"},
		{table.Number("-9223372036854775808.0"), integer, "-9223372036854775808"},
		{table.Number("9007199254740993.0"), integer, "9007199254740993"}, // not a float64, and yet nothing is lost
		{table.Number("1.501"), integer, ""}, {table.Number("2.0000000000000000001"), integer, ""}, {table.Number("1e-3"), integer, ""},
		{table.Number("9223372036854775808"), integer, ""}, {table.Number("1e19"), integer, ""}, {table.Number("1e999999999"), integer, ""},
		{table.Number("15e-1"), integer, ""}, {table.Number("5e-1"), integer, ""},
		{table.Float64(4), integer, "4"}, {table.Float64(4.5), integer, ""}, {table.Float64(1 << 63), integer, ""},
		{table.Float64(math.NaN()), integer, ""},
		{table.Number("1"), float, "1"}, {table.Number("9007199254740992"), float, "9.007199254740992e+15"},
		{table.Number("9007199254740993"), float, ""}, {table.Int(math.MaxInt64), float, ""}, {table.Int(math.MinInt64), float, "-9.223372036854775808e+18"},
		{table.Number("1e400"), float, ""}, {table.Number("1e400"), text, "1e400"},
		{table.Number("789"), text, "789"}, {table.Number("22.20"), text, "22.20"}, {table.Int(7), text, "7"}, {table.Float64(0.1), text, "0.1"},
		{table.Bool(false), text, "false"}, {table.Bool(true), text, "true"},
		{table.Literal(iso), text, iso}, {table.Time(1622505600000000), text, "2021-06-01T00:00:00Z"},
		{table.Text(iso), timestamp, iso}, {table.Text("05/25/2020"), timestamp, ""},
		{table.Number("1"), boolean, ""}, {table.Text("true"), boolean, ""}, {table.Bool(true), integer, ""}, {table.Bool(true), float, ""},
		{table.Text("1"), integer, ""}, {table.Text("1.0"), float, ""}, {table.Number("1634762544"), timestamp, ""},
		{table.Literal(iso), integer, ""}, {table.Text("x"), text, "x"}, {table.Text(""), text, ""},
	}
	for _, tt := range tests {
		got, ok := tt.v.Cast(tt.to)
		if tt.want == "" && tt.v.Text != "" {
			if ok {
				t.Errorf("%v %s as %v = %v, want no cast", tt.v.Type, tt.v, tt.to, got)
			}
			continue
		}
		if ok && got.Type != tt.to {
			t.Errorf("%v %s as %v has the type %v", tt.v.Type, tt.v, tt.to, got.Type)
		}
		if ok {
			got = plain(got)
		}
		if want := tt.want; ok != (want != "" || tt.to == text) || ok && !same(got, want) {
			t.Errorf("%v %s as %v = %s, %v, want %s", tt.v.Type, tt.v, tt.to, got, ok, want)
		}
	}
	if v, ok := (table.Value{}).Cast(table.Integer); !ok || v.Type != table.Null {
		t.Errorf("Null as integer = %v, %v", v, ok)
	}
}

// plain drops the text of what is held in bits, so that the bits are what is compared.
func plain(v table.Value) table.Value {
	if v.Type != table.String {
		v.Text = ""
	}
	return v
}

func same(v table.Value, want string) bool {
	switch v.Type {
	case table.Float:
		return v.Float64() == table.Number(want).Float64() || v.Float64() == float64(table.Number(want).Int64())
	case table.Timestamp:
		w := table.Literal(want)
		return w.Int64() == v.Int64()
	}
	return v.String() == want
}

// TestCastIsWithinJoin: whatever types a batch mixes, each value fits the join, but for integers that no float is equal to.
func TestCastIsWithinJoin(t *testing.T) {
	values := []table.Value{
		table.Bool(true), table.Number("5"), table.Number("5.5"), table.Literal("2021-01-01"), table.Text("x"), table.Text(""),
		table.Number("-9007199254740992"), table.Number("9223372036854775808"),
	}
	for _, a := range values {
		for _, b := range values {
			if _, ok := a.Cast(table.Join(a.Type, b.Type)); !ok {
				t.Errorf("%s does not fit the join of %v and %v", a, a.Type, b.Type)
			}
		}
	}
}

func TestParseTimestamp(t *testing.T) {
	tests := []struct{ in, want string }{
		{"2021-06-01T00:00:00.000Z", "2021-06-01T00:00:00Z"},
		{"2021-06-01 00:00:00", "2021-06-01T00:00:00Z"},
		{"2023-06-14", "2023-06-14T00:00:00Z"},
		{"2025-04-02 01:09:03.000+0530", "2025-04-01T19:39:03Z"},
		{"2025-04-02 01:09:03.714247+00:00", "2025-04-02T01:09:03.714247Z"},
		{"2025-04-02T01:09-03", "2025-04-02T04:09:00Z"},
		{"2025-04-02T01:09:03.5", "2025-04-02T01:09:03.5Z"},
		{"2024-02-29", "2024-02-29T00:00:00Z"}, {"2000-02-29", "2000-02-29T00:00:00Z"},
		{"0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z"}, {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
		{"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"},
		{"1988-04-31", ""}, {"2023-02-29", ""}, {"1900-02-29", ""}, {"0000-01-01", ""}, {"2023-00-01", ""}, {"2023-13-01", ""}, {"2023-01-00", ""},
		{"05:23:59.244Z", ""}, {"+2023-06-14T05:23:59.244Z", ""}, {"-2023-06-14T05:23:59.244Z", ""}, {"23-05-2024T10:00:00Z", ""},
		{"2024-05-23T25:00:00Z", ""}, {"2024-05-23T24:00:00Z", ""}, {"2024-05-23T10:60", ""}, {"2024-05-23T10:00:60Z", ""}, {"invalid-timestamp", ""}, {"", ""},
		{"2024-05-23T", ""}, {"2024-05-23T10", ""}, {"2024-05-23t10:00:00Z", ""}, {"2024-05-23T10:00:00z", ""}, {"2024-05-23T10:00:00,5Z", ""},
		{"2024-05-23T10:00:00.Z", ""}, {"2024-05-23T10:00:00+1", ""}, {"2024-05-23T10:00:00+24:00", ""}, {"2024-05-23T10:00:00+0:530", ""}, {"2024-05-23T10:00:0", ""},
		{"2024-05-23T10:00:00Z ", ""}, {" 2024-05-23", ""}, {"2024-05-23Z", ""}, {"2024-5-23", ""}, {"20240523T100000Z", ""}, {"2024-W21-4", ""},
		{"9999-12-31T23:59:59-01:00", ""}, {"0001-01-01T00:00:00+01:00", ""},
	}
	for _, tt := range tests {
		us, _, ok := table.ParseTimestamp(tt.in)
		if ok != (tt.want != "") {
			t.Errorf("ParseTimestamp(%q) = %d, %v", tt.in, us, ok)
			continue
		}
		if got := time.UnixMicro(us).UTC().Format(time.RFC3339Nano); ok && got != tt.want {
			t.Errorf("ParseTimestamp(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
	for in, want := range map[string]bool{"2024-05-23T10:00:00.123456Z": true, "2024-05-23T10:00:00.123456000Z": true, "2024-05-23T10:00:00.1234567Z": false} {
		if _, exact, ok := table.ParseTimestamp(in); !ok || exact != want {
			t.Errorf("ParseTimestamp(%q): exact %v, %v", in, exact, ok)
		}
		if v := table.Literal(in); v.Exact() != want {
			t.Errorf("Literal(%q).Exact() = %v", in, v.Exact())
		}
	}
}

// FuzzParseTimestamp compares with the standard library on what both read.
func FuzzParseTimestamp(f *testing.F) {
	for _, s := range []string{"2024-02-29T10:11:12.345678Z", "2024-02-29 10:11+0530", "1999-12-31", "0001-01-01T00:00:00-23:59"} {
		f.Add(s)
	}
	layouts := []string{
		time.DateOnly, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700",
	}
	f.Fuzz(func(t *testing.T, s string) {
		us, _, ok := table.ParseTimestamp(s)
		for _, layout := range layouts {
			want, err := time.Parse(layout, s)
			if err != nil {
				continue
			}
			if ok && us != want.UnixMicro() {
				t.Errorf("ParseTimestamp(%q) = %d, want %d", s, us, want.UnixMicro())
			}
		}
	})
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-1.50e+3", "9223372036854775808", "1e400", "0.1e1", "-0", "00012"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) || strings.Trim(s, "-+.eE0123456789") != "" {
			return // not a number of JSON
		}
		v := table.Number(s)
		if as, ok := v.Cast(table.Integer); ok && v.Type == table.Float && math.Abs(v.Float64()) < 1<<53 {
			if float64(as.Int64()) != v.Float64() {
				t.Errorf("%q is %v and %d", s, v.Float64(), as.Int64())
			}
		}
	})
}

func BenchmarkLiteral(b *testing.B) {
	for b.Loop() {
		table.Literal("2025-04-02T01:09:03.714247+00:00")
		table.Literal("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)")
	}
}

func TestBatch(t *testing.T) {
	b := table.Batch{
		Columns: []table.Column{{Name: "id"}, {Name: "plan"}},
		Rows:    []table.Row{{Cells: []table.Cell{{Col: 1, Value: table.Text("pro")}}}},
	}
	if b.Get(0, "plan").Text != "pro" || b.Get(0, "id").Type != table.Null || b.Find("none") != -1 || b.Get(0, "none").Type != table.Null {
		t.Error("Find or Get is wrong")
	}
}
