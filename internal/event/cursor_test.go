package event

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// takes tells whether the cursor takes the text as one value.
func takes(b []byte, lenient bool) bool {
	var c cursor
	c.reset(b, lenient)
	c.value()
	return c.end()
}

func jsontextTakes(b []byte, lenient bool) bool {
	return jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(lenient))
}

func agree(t *testing.T, b []byte) {
	t.Helper()
	for _, lenient := range []bool{false, true} {
		if got, want := takes(b, lenient), jsontextTakes(b, lenient); got != want {
			t.Errorf("%.80q (lenient %v): %v; jsontext: %v", b, lenient, got, want)
		}
	}
}

// TestCursorOnEveryByte puts every byte at every place of strings of every length up to three words, closed and not.
func TestCursorOnEveryByte(t *testing.T) {
	for length := range 25 {
		for at := range length {
			for ch := range 256 {
				b := []byte(`"` + strings.Repeat("a", length) + `"`)
				b[1+at] = byte(ch)
				agree(t, b)
				agree(t, b[:len(b)-1])
			}
		}
	}
}

func TestCursorOnEveryPairOfBytes(t *testing.T) {
	for _, around := range [][2]string{{"", ""}, {"[", "]"}, {`{"a":`, "}"}, {`"`, `"`}, {`"abcdef`, `gh"`}, {"1", "1"}, {`[1,{"a":[`, `]}]`}} {
		for a := range 256 {
			for b := range 256 {
				agree(t, []byte(around[0]+string([]byte{byte(a), byte(b)})+around[1]))
			}
		}
	}
}

func TestCursorOnHardCases(t *testing.T) {
	for _, s := range []string{
		"", " ", "nul", "null", "nulll", "true", "tru", "false", "fals", "falsee", "{}", "[]", "{ }", "[ ]", "{]", "[}", "[[]", "[]]", "{{}}",
		`{"a":1}`, `{"a" : 1 , "b":[ 1 , 2 ]}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,"a":1}`, `{"a"}`, `{"a":}`, `{1:2}`, `{"a":1 "b":2}`, `[1 2]`, `[{},{}]`, `[[],[],{}]`,
		`[{"a":[{"b":[]}]},[[]]]`, `{"a":{"b":{}},"c":[]}`, `{"a":[}`, `{"a":{]}`,
		"0", "-0", "00", "-", "--1", "+1", "1.", ".1", "1.0", "1e", "1e+", "1e-1", "1E5", "1.e5", "01", "-01", "1e5.5", "0x1", "1_000", "- 1", "1.5e+10", "0e0", "0.0.0",
		`"\u00e9"`, `"\u00E9"`, `"\u00g9"`, `"\u00e"`, `"\u`, `"\`, `"\"`, `"\a"`, `"\/\b\f\n\r\t\\\""`, `"\U0041"`,
		`"\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`, `"\ud83d\ud83d"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\u0041"`, `"\ud83d\u"`, `"\ud83d\`, `"\uDBFF\uDFFF"`, `"\ude00\ud83d"`,
		"\"\xc3\xa9\"", "\"\xc3\"", "\"\xa9\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xc0\x80\"", "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\"", "\"\xef\xbf\xbd\"", "\"日本語テキスト\"", "\"\x7f\"",
		"\xef\xbb\xbf{}", "{}\x00", "\x00{}", "{}\v", "\u00a0{}", "{\"a\":1}\n\r\t ", "[\"a\x1fb\"]", "\"\u2028\"",
	} {
		agree(t, []byte(s))
		agree(t, []byte(`{"batch":[`+s+`]}`))
		agree(t, []byte(s+"        "))
	}
	for _, n := range []int{63, 64, 65, 128, 9_999, 10_000, 10_001} {
		agree(t, []byte(strings.Repeat("[", n)+strings.Repeat("]", n)))
		agree(t, []byte(strings.Repeat(`{"a":`, n)+"1"+strings.Repeat("}", n)))
		agree(t, []byte(strings.Repeat(`[{"a":`, n/2)+"1"+strings.Repeat("}]", n/2)))
		agree(t, []byte(strings.Repeat(`[{"a":`, n/2)+"1"+strings.Repeat("]}", n/2)))
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(sampleBatch(1))
	f.Add([]byte(`{"a":[1,-2.5e+3,true,false,null,"\ud83d\ude00\n",{"b":{}}],"c":"日本"}`))
	f.Fuzz(func(t *testing.T, b []byte) { agree(t, b) })
}

// BenchmarkCursor compares with what it stands in for.
func BenchmarkCursor(b *testing.B) {
	body := sampleBatch(20)
	b.Run("cursor", func(b *testing.B) {
		var c cursor
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			c.reset(body, false)
			if c.value(); c.bad {
				b.Fatal("not taken")
			}
		}
	})
	b.Run("jsontext", func(b *testing.B) {
		var w walker
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			w.reset(body, false)
			if _, err := w.dec.ReadValue(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
