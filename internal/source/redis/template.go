package redis

import (
	"bytes"
	"fmt"
	"strings"
)

// template is a pattern of keys: project:{id}:usage. A part in braces stands for any text; {{ and }} are braces themselves, as the hash
// tags of a cluster need them.
type template struct {
	text  string
	lits  []string // around the parts: one more than there are parts
	parts []string // their names
}

// parseTemplate reads a template.
func parseTemplate(text string) (template, error) {
	t := template{text: text}
	var lit strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			lit.WriteByte(c)
			i++
		case c == '}':
			return t, fmt.Errorf("the key %q has a } without its {; a brace that is part of the key is written twice", text)
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 2 {
				return t, fmt.Errorf("the key %q has a { without a name and a }; a brace that is part of the key is written twice", text)
			}
			name := text[i+1 : i+end]
			if strings.ContainsRune(name, '{') {
				return t, fmt.Errorf("the key %q has a { inside of braces", text)
			}
			for _, p := range t.parts {
				if p == name {
					return t, fmt.Errorf("the key %q has {%s} twice", text, name)
				}
			}
			if len(t.parts) > 0 && lit.Len() == 0 {
				return t, fmt.Errorf("the key %q has nothing between {%s} and {%s}: where one ends cannot be told", text, t.parts[len(t.parts)-1], name)
			}
			t.lits, t.parts = append(t.lits, lit.String()), append(t.parts, name)
			lit.Reset()
			i += end
		default:
			lit.WriteByte(c)
		}
	}
	t.lits = append(t.lits, lit.String())
	return t, nil
}

// glob is the pattern for MATCH.
func (t *template) glob() string {
	var b strings.Builder
	for i, lit := range t.lits {
		if i > 0 {
			b.WriteByte('*')
		}
		for j := range len(lit) {
			if strings.IndexByte(`*?[]\^`, lit[j]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(lit[j])
		}
	}
	return b.String()
}

// match takes the parts out of a key, appended to out. Each part but the last is as short as can be.
func (t *template) match(key []byte, out [][]byte) ([][]byte, bool) {
	rest, ok := bytes.CutPrefix(key, []byte(t.lits[0]))
	if !ok {
		return out, false
	}
	last := len(t.parts) - 1
	for i := range t.parts {
		lit := t.lits[i+1]
		if i == last {
			if rest, ok = bytes.CutSuffix(rest, []byte(lit)); !ok {
				return out, false
			}
			return append(out, rest), true
		}
		at := bytes.Index(rest, []byte(lit))
		if at < 0 {
			return out, false
		}
		out = append(out, rest[:at])
		rest = rest[at+len(lit):]
	}
	return out, len(rest) == 0
}

// append makes the key in which every part is the id.
func (t *template) append(dst []byte, id string) []byte {
	dst = append(dst, t.lits[0]...)
	for _, lit := range t.lits[1:] {
		dst = append(dst, id...)
		dst = append(dst, lit...)
	}
	return dst
}

// part is the index of a part, or -1.
func (t *template) part(name string) int {
	for i, p := range t.parts {
		if p == name {
			return i
		}
	}
	return -1
}
