package infer

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is how many bytes a column's name may have: what PostgreSQL and MySQL keep.
const maxName = 63

// Namer gives columns their names in the warehouse. A path keeps the name it got; two paths never have the same, compared without
// regard to case: the later one gets a number, a_b_2. It is not safe for use by several goroutines.
type Namer struct {
	lower  bool
	taken  map[string]bool // names as they are compared
	byPath map[string]given
}

type given struct {
	name     string
	collided bool
}

// NewNamer makes a Namer that hands out none of the names in taken. Lower makes names of lower case, for PostgreSQL.
func NewNamer(lower bool, taken ...string) *Namer {
	n := &Namer{lower: lower, taken: map[string]bool{}, byPath: map[string]given{}}
	for _, t := range taken {
		n.taken[fold(t)] = true
	}
	return n
}

// fold is a name as it is compared.
func fold(name string) string { return strings.ToLower(name) }

// Name gives the name of a path, the same one always; collided says that another path had the name before, so that this one has a
// number. Dots join the parts of a path with _; a dot that belongs to a name is written \. in it.
func (n *Namer) Name(path string) (name string, collided bool) { return n.NameAs(path, path) }

// NameAs is Name where something else than the path is to be made a name.
func (n *Namer) NameAs(path, want string) (name string, collided bool) {
	if g, ok := n.byPath[path]; ok {
		return g.name, g.collided
	}
	base := n.clean(want)
	name = base
	for i := 2; n.taken[fold(name)]; i++ {
		suffix := "_" + strconv.Itoa(i)
		name = cut(base, maxName-len(suffix)) + suffix
	}
	g := given{name, name != base}
	n.taken[fold(name)] = true
	n.byPath[strings.Clone(path)] = g
	return g.name, g.collided
}

// Restore says which name a path got in an earlier life.
func (n *Namer) Restore(path, name string) {
	n.taken[fold(name)] = true
	n.byPath[path] = given{name, name != n.clean(path)}
}

// without frees a name that was taken.
func (n *Namer) without(name string) { delete(n.taken, fold(name)) }

// clean makes an identifier of any text: letters, digits and _, no digit first. Letters beyond the Basic Multilingual Plane, which
// MySQL does not take, become _ as well.
func (n *Namer) clean(path string) string {
	var b strings.Builder
	for i := 0; i < len(path) && b.Len() <= maxName; {
		r, size := utf8.DecodeRuneInString(path[i:])
		if r == '\\' && i+1 < len(path) && strings.IndexByte(`.\0`, path[i+1]) >= 0 {
			if i++; path[i] == '0' {
				i++
			}
			continue
		}
		if i += size; n.lower {
			r = unicode.ToLower(r)
		}
		ok := r == '_' || r != utf8.RuneError && r <= 0xFFFF && (unicode.IsLetter(r) || unicode.IsDigit(r))
		switch {
		case !ok:
			r = '_'
		case b.Len() == 0 && unicode.IsDigit(r):
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return "_"
	}
	return cut(b.String(), maxName)
}

// cut shortens a name to so many bytes, between letters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
