package redis

import (
	"strconv"
	"strings"
	"testing"

	"firth/internal/document"
)

// FuzzReply: whatever a server sends is read to its end or refused, never beyond it.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{"*2\r\n$1\r\na\r\n:5\r\n", "-ERR x\r\n", "$-1\r\n", "*-1\r\n", "+OK\r\n", "$3\r\nab\r\n", "*1000000000\r\n", "$5\r\n", "\r\n", ":x\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := reply{b: b}
		for r.pos < len(b) {
			at := r.pos
			_, n, text, err := r.next()
			if err != nil {
				return
			}
			if r.pos <= at || r.pos > len(b) || n > int64(len(b)) && b[at] != ':' || len(text) > len(b) {
				t.Fatalf("from %d to %d, %d", at, r.pos, n)
			}
		}
	})
}

// FuzzScalar: a number says just what its text says, and the text can be had back.
func FuzzScalar(f *testing.F) {
	for _, seed := range []string{"", "-", "0", "-0", "1.5", "1e400", "9223372036854775808", "-9223372036854775808", "1.10", "0.1", "1e+21", "\xff", "00", "1e-7"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text := string(b)
		switch v := scalar(b); v.Kind {
		case document.Int64:
			if strconv.FormatInt(v.Num, 10) != text {
				t.Errorf("%q is %d", text, v.Num)
			}
		case document.Double:
			if x, err := strconv.ParseFloat(text, 64); err != nil || strings.TrimRight(text, "0123456789+-.eE") != "" || x != x {
				t.Errorf("%q is a double", text)
			}
		case document.Decimal, document.String, document.Binary:
			if string(v.Bytes) != text {
				t.Errorf("%q became %q", text, v.Bytes)
			}
		default:
			t.Errorf("%q is of kind %d", text, v.Kind)
		}
	})
}

// FuzzTemplate: a key that a template makes of an id is matched by it and gives the id back.
func FuzzTemplate(f *testing.F) {
	f.Add("project:{id}:usage", "7")
	f.Add("{{x}}{id}", "a}b")
	f.Add("{{{id}}}", "{")
	f.Fuzz(func(t *testing.T, text, id string) {
		tpl, err := parseTemplate(text)
		if err != nil || len(tpl.parts) == 0 {
			return
		}
		key := tpl.append(nil, id)
		parts, ok := tpl.match(key, nil)
		if !ok || len(parts) != len(tpl.parts) {
			t.Fatalf("%q does not match %q", text, key)
		}
		if len(parts) == 1 && string(parts[0]) != id {
			t.Errorf("%q of %q is %q", text, key, parts[0])
		}
		if glob := tpl.glob(); strings.Count(glob, "*") < len(tpl.parts) {
			t.Errorf("the pattern of %q: %q", text, glob)
		}
	})
}
