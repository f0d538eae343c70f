package feed_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/source/feed"
	"firth/internal/vector"
)

func read(r *feed.Reader) (out []string, err error) {
	for {
		var b source.Batch
		err := r.Next(&b)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		for i := range b.Docs {
			out = append(out, string(document.AppendJSON(nil, &b.Docs[i])))
		}
	}
}

func TestPages(t *testing.T) {
	for _, tt := range []struct{ in, rows, next, says string }{
		{`{"data":[{"a":1},{"a":2}],"next":"/p2"}`, `{"a":1} {"a":2}`, "/p2", ""},
		{`{"next":"/p\u0032","total":2,"data":[1]}`, `{"id":1}`, "/p2", ""},
		{`{"data":[],"next":null}`, ``, "", ""},
		{`{"data":[]}`, ``, "", ""},
		{`[{"a":1}]`, `{"a":1}`, "", ""},
		{`{"total":1}`, ``, "", "without an array"},
		{`{"data":[1],"other":[2]}`, ``, "", "second array"},
		{`{"data":[1],"next":7}`, ``, "", "holds no address"},
		{`{"data":[1]`, ``, "", "in the middle"},
		{`{"data":[1]} {}`, ``, "", "something follows"},
	} {
		r := feed.NewPage(strings.NewReader(tt.in), "id", source.NewPick(nil, nil), "next")
		rows, err := read(r)
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, %v", tt.in, rows, err)
			}
			continue
		}
		if got := strings.Join(rows, " "); err != nil || got != tt.rows || r.Address() != tt.next {
			t.Errorf("%s: %s, next %q, %v", tt.in, got, r.Address(), err)
		}
	}
}

// TestLong: a value without an end does not fill the memory.
func TestLong(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"id":1}{"a":"`), repeat{})
	rows, err := read(feed.New(endless, "id", source.NewPick(nil, nil)))
	if err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

type repeat struct{}

func (repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestAppendID(t *testing.T) {
	for want, id := range map[string]vector.Value{
		"-7":                     {Kind: vector.Int, Bits: 64, Num: -7},
		"18446744073709551615":   {Kind: vector.Uint, Bits: 64, Num: -1},
		`"a\"b"`:                 {Kind: vector.Text, Text: `a"b`},
		`"65a0"`:                 {Kind: vector.Text, Text: "65a0"},
		`"12345678901234567890"`: {Kind: vector.Decimal, Text: "12345678901234567890"},
	} {
		if got := string(feed.AppendID(nil, id)); got != want {
			t.Errorf("%+v: %s, want %s", id, got, want)
		}
	}
}

// FuzzReader compares with the standard library: what both read has as many values.
func FuzzReader(f *testing.F) {
	for _, s := range []string{`{"a":1}` + "\n" + `{"a":2}`, `[1,"x",null,{"b":[]}]`, `[`, `1 2 3`, `{"a":`, "", `[1] 2`, "null"} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, page bool) {
		r := feed.New(bytes.NewReader(in), "id", source.NewPick(nil, []string{"secret"}))
		if page {
			r = feed.NewPage(bytes.NewReader(in), "id", source.NewPick(nil, nil), "next")
		}
		rows, err := read(r)
		if err != nil || page {
			return
		}
		var list []json.RawMessage
		if !bytes.HasPrefix(bytes.TrimSpace(in), []byte("[")) || json.Unmarshal(in, &list) != nil {
			for d := json.NewDecoder(bytes.NewReader(in)); ; {
				var v json.RawMessage
				if d.Decode(&v) != nil {
					break
				}
				list = append(list, v)
			}
		}
		if len(rows) != len(list) {
			t.Errorf("%q: %d values, want %d", in, len(rows), len(list))
		}
	})
}
