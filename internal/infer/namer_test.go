package infer

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 70)
	for _, c := range []struct {
		lower bool
		paths string // apart by |
		names string
	}{
		{false, "a.b|a_b|A_b|a-b", "a_b|a_b_2|A_b_3|a_b_4"},
		{true, "userId|UserID|user id", "userid|userid_2|user_id"},
		{false, "1st|_1st|", "_1st|_1st_2|_"},
		{false, `a\.b|a.b|a\\b`, `a_b|a_b_2|a_b_3`},
		{false, "größe|日本|\U0001F600x|a\x00b|\xff", "größe|日本|_x|a_b|_"},
		{false, long + "1|" + long + "2", long[:63] + "|" + long[:61] + "_2"},
		{false, strings.Repeat("é", 40), strings.Repeat("é", 31)},
		{false, "taken|TAKEN", "taken_2|TAKEN_3"},
		{false, "a_2|a|A", "a_2|a|A_3"},
	} {
		n := NewNamer(c.lower, "Taken")
		var names []string
		for _, p := range strings.Split(c.paths, "|") {
			name, _ := n.Name(p)
			names = append(names, name)
		}
		if got := strings.Join(names, "|"); got != c.names {
			t.Errorf("%s: %s, want %s", c.paths, got, c.names)
		}
	}
}

func TestNamesStay(t *testing.T) {
	n := NewNamer(false)
	first, _ := n.Name("a.b")
	second, collided := n.Name("a_b")
	if again, c := n.Name("a_b"); again != second || !collided || !c {
		t.Errorf("%s, then %s; collided %v, %v", second, again, collided, c)
	}
	m := NewNamer(false)
	m.Restore("a_b", second)
	m.Restore("a.b", first)
	if got, _ := m.Name("a_b"); got != second {
		t.Errorf("restored as %s", got)
	}
	if got, _ := m.Name("A.B"); got != "A_B_3" {
		t.Errorf("a new one is %s", got)
	}
}

// Names are identifiers of at most 63 bytes that differ without regard to case.
func FuzzNames(f *testing.F) {
	f.Add("a.b", "a_b", "A_B")
	f.Add(strings.Repeat("é", 70), strings.Repeat("É", 70), "İ")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for _, lower := range []bool{false, true} {
			n := NewNamer(lower)
			seen := map[string]string{}
			for _, p := range []string{a, b, c} {
				name, _ := n.Name(p)
				if again, _ := n.Name(p); again != name {
					t.Fatalf("%q is %q and then %q", p, name, again)
				}
				if name == "" || len(name) > maxName || !utf8.ValidString(name) || name[0] >= '0' && name[0] <= '9' {
					t.Fatalf("%q is called %q", p, name)
				}
				if other, ok := seen[strings.ToLower(name)]; ok && other != p {
					t.Fatalf("%q and %q are both %q", p, other, name)
				}
				seen[strings.ToLower(name)] = p
			}
		}
	})
}

func FuzzPaths(f *testing.F) {
	f.Add("a", "b.c")
	f.Add(`a\`, ".")
	f.Add("", "0")
	f.Fuzz(func(t *testing.T, a, b string) {
		path := JoinPath(JoinPath("", a), b)
		if parts := SplitPath(path); len(parts) != 2 || parts[0] != a || parts[1] != b {
			t.Fatalf("%q and %q are %q, which is %q", a, b, path, parts)
		}
	})
}
