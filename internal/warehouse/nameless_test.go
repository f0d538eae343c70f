package warehouse_test

import (
	"strings"
	"testing"

	"firth/internal/warehouse"
)

func TestNameless(t *testing.T) {
	for _, c := range []struct{ text, id, want string }{
		{"no such user bob", "bob", "no such user (removed)"},
		{"bob, bob and bobsled", "bob", "(removed), (removed) and bobsled"},
		{"row 17 of 1744 at 2026-17-01", "17", "row (removed) of 1744 at 2026-17-01"},
		{`value "ann@x.org" is too long`, "ann@x.org", `value "(removed)" is too long`},
		{"ébob bobé bob", "bob", "ébob bobé (removed)"},
		{"aaa", "aa", "aaa"},
		{"anything", "", "anything"},
		{"bob", "bob", "(removed)"},
		{"bobbob bob", "bob", "bobbob (removed)"},
	} {
		if got := warehouse.Nameless(c.text, c.id); got != c.want {
			t.Errorf("%q without %q is %q, want %q", c.text, c.id, got, c.want)
		}
	}
}

func FuzzNameless(f *testing.F) {
	f.Add("no such user bob", "bob")
	f.Add("\xffbob\xfe", "bob")
	f.Add("aaaa", "\xff")
	f.Fuzz(func(t *testing.T, text, id string) {
		got := warehouse.Nameless(text, id)
		if !strings.Contains(text, id) && got != text {
			t.Errorf("%q without %q became %q", text, id, got)
		}
		if id != "" && text == id && got != warehouse.Removed {
			t.Errorf("%q stayed as %q", text, got)
		}
	})
}
