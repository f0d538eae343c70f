package vector

import (
	"math"
	"testing"
)

func TestConversions(t *testing.T) {
	for _, c := range []struct{ from, text, to, want, reason string }{
		{"integer", "5", "int32", "5", ""},
		{"integer", "300", "uint8", "", "does not fit uint8"},
		{"integer", "-1", "uint64", "", "does not fit uint64"},
		{"uint64", "18446744073709551615", "integer", "", "does not fit integer"},
		{"uint64", "18446744073709551615", "decimal", "18446744073709551615", ""},
		{"integer", "9007199254740993", "float", "", "is an integer that no float holds exactly"},
		{"integer", "9007199254740992", "float", "9.007199254740992e+15", ""},
		{"integer", "9223372036854775807", "float", "", "is an integer that no float holds exactly"},
		{"integer", "16777217", "float32", "", "is an integer that no float32 holds exactly"},
		{"float", "5", "integer", "5", ""},
		{"float", "5.5", "integer", "", "is not a whole number"},
		{"float", "NaN", "integer", "", "is not a whole number"},
		{"float", "1e+19", "integer", "", "does not fit integer"},
		{"float", "1e+19", "uint64", "10000000000000000000", ""},
		{"float", "0.1", "decimal", "0.1", ""},
		{"float", "1e+30", "decimal", "1000000000000000000000000000000", ""},
		{"float", "0.1", "float32", "", "has more digits than a float32 holds"},
		{"float", "NaN", "decimal(5,2)", "", "NaN is in no decimal(5,2)"},
		{"decimal", "1.50", "float", "1.5", ""},
		{"decimal", "0.1000000000000000000001", "float", "", "has more digits than a float holds"},
		{"decimal", "1.50", "decimal(3,1)", "1.5", ""},
		{"decimal", "1.55", "decimal(3,1)", "", "has 2 digits behind the point, decimal(3,1) has room for 1"},
		{"decimal", "123.4", "decimal(3,1)", "", "has 3 digits before the point, decimal(3,1) has room for 2"},
		{"decimal", "5.00", "integer", "5", ""},
		{"decimal", "5.01", "integer", "", "is not a whole number"},
		{"decimal", "99999999999999999999", "integer", "", "does not fit integer"},
		{"text", "1e3", "integer", "1000", ""},
		{"text", "1e-3", "decimal", "0.001", ""},
		{"text", "1e999999999999", "decimal", "", "has more digits than can be written out"},
		{"text", "", "integer", "", "is empty text, not an integer"},
		{"text", " 5", "integer", "", "the text is not an integer"},
		{"text", "five", "float", "", "the text is not a float"},
		{"text", "0.1", "float", "0.1", ""},
		{"text", "t", "boolean", "true", ""},
		{"text", "yes", "boolean", "", "the text is not a boolean"},
		{"text", "{}", "json", "{}", ""},
		{"text", "{", "json", "", "the text is not a json"},
		{"text", "2024-01-02T03:04:05.123456Z", "timestamptz", "2024-01-02 03:04:05.123456+00", ""},
		{"text", "2024-01-02 03:04:05+05:30", "timestamptz", "2024-01-01 21:34:05+00", ""},
		{"text", "2024-01-02 03:04:05.1234567", "timestamptz", "", "the text is not a timestamptz"},
		{"text", "2024-01-02 03:04:05Z", "timestamp", "", "the text is not a timestamp"},
		{"text", "2023-02-29", "date", "", "the text is not a date"},
		{"text", "00112233445566778899AABBCCDDEEFF", "uuid", "00112233-4455-6677-8899-aabbccddeeff", ""},
		{"text", "[1,null,3]", "integer[]", "[1,null,3]", ""},
		{"text", "[1,2.5]", "integer[]", "", "the text is not an integer[]"},
		{"text", "-838:59:59", "interval", "PT-838H-59M-59S", ""},
		{"json", `"5"`, "integer", "5", ""},
		{"json", "5", "integer", "5", ""},
		{"json", "{}", "integer", "", "JSON of several values is not an integer"},
		{"json", `{"a": 1}`, "text", `{"a": 1}`, ""},
		{"json", `[1,"2"]`, "integer[]", "[1,2]", ""},
		{"integer", "9007199254740993", "json", `"9007199254740993"`, ""},
		{"integer", "5", "json", "5", ""},
		{"blob", `\x00`, "json", `"\\x00"`, ""},
		{"boolean", "true", "integer", "1", ""},
		{"integer", "2", "boolean", "", "is neither 0 nor 1"},
		{"date", "2024-01-02", "timestamp", "2024-01-02 00:00:00", ""},
		{"date", "infinity", "timestamp", "infinity", ""},
		{"date", "5874897-12-31", "timestamp", "", "is outside the years that a timestamp holds"},
		{"timestamp", "2024-01-02 00:00:00", "date", "2024-01-02", ""},
		{"timestamp", "1969-12-31 00:00:01", "date", "", "has a time of day"},
		{"interval", "PT24H", "time", "24:00:00", ""},
		{"interval", "PT25H", "time", "", "is no time of a day"},
		{"uuid", "00112233-4455-6677-8899-aabbccddeeff", "blob", `\x00112233445566778899aabbccddeeff`, ""},
		{"blob", `\x00`, "uuid", "", "a blob is not a uuid"},
		{"integer", "5", "date", "", "an integer is not a date"},
		{"integer[]", "[1,300]", "uint8[]", "", "element 2: does not fit uint8"},
	} {
		from, ok := ParseType(c.from)
		to, ok2 := ParseType(c.to)
		v, w := New(from), New(to)
		if !ok || !ok2 || !ParseInto(v, c.text) {
			t.Errorf("%s %q cannot be", c.from, c.text)
			continue
		}
		reason := w.AppendConverted(v, 0)
		if reason != c.reason || w.Text(0) != c.want || w.Len() != 1 || w.Valid[0] != (reason == "") {
			t.Errorf("%s %s as %s: %q, %q; want %q, %q", c.from, c.text, c.to, w.Text(0), reason, c.want, c.reason)
		}
	}
}

// Every type to every type: one row each time, aligned, and NULL exactly where there is a reason.
func TestConversionsStayAligned(t *testing.T) {
	for _, from := range someTypes() {
		v := edges(t, from)
		v.AppendNull()
		for _, to := range someTypes() {
			w := New(to)
			for row := range v.Len() {
				reason := w.AppendConverted(v, row)
				if w.Len() != row+1 || reason != "" && w.Valid[row] {
					t.Fatalf("%s as %s: row %d, %d rows, reason %q", from, to, row, w.Len(), reason)
				}
				if w.Offsets != nil && len(w.Offsets) != row+2 {
					t.Fatalf("%s as %s: %d offsets for %d rows", from, to, len(w.Offsets), row+1)
				}
				if reason == "" && w.Valid[row] && to.Kind == Text && w.Text(row) != v.Text(row) {
					t.Errorf("%s as text is %q, not %q", from, w.Text(row), v.Text(row))
				}
			}
			if to.Kind == List && w.Items.Len() != w.Offsets[w.Len()] {
				t.Errorf("%s as %s: %d items, %d in lists", from, to, w.Items.Len(), w.Offsets[w.Len()])
			}
		}
	}
}

func TestDigits(t *testing.T) {
	for _, c := range []struct {
		text           string
		before, behind int
		ok             bool
	}{
		{"0", 0, 0, true}, {"0.00", 0, 0, true}, {"12.340", 2, 2, true}, {"1E+6144", 6145, 0, true}, {"1e-3", 0, 3, true},
		{"100", 3, 0, true}, {"-.5", 0, 1, true}, {"NaN", 0, 0, false}, {"", 0, 0, false}, {"1e", 0, 0, false}, {"1.2.3", 0, 0, false},
	} {
		if before, behind, ok := Digits([]byte(c.text)); before != c.before || behind != c.behind || ok != c.ok {
			t.Errorf("%q: %d, %d, %v", c.text, before, behind, ok)
		}
	}
}

func TestFloatText(t *testing.T) {
	for _, c := range []struct {
		f    float64
		bits uint8
		want string
	}{
		{1e15, 64, "1e+15"}, {999999999999999, 64, "999999999999999"}, {0.0001, 64, "0.0001"}, {0.00001, 64, "1e-05"},
		{1e6, 32, "1e+06"}, {999999, 32, "999999"}, {float64(float32(0.1)), 32, "0.1"}, {math.Copysign(0, -1), 64, "-0"},
	} {
		if got := string(AppendFloat(nil, c.f, c.bits)); got != c.want {
			t.Errorf("%v is %s, not %s", c.f, got, c.want)
		}
	}
}
