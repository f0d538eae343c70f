package infer

import "strings"

// JoinPath is the dotted path of a field in the object at parent. A dot or backslash in the field's own name is written with a
// backslash before it, so that the field "a.b" and the field b of a are two paths; a name without letters is written \0.
func JoinPath(parent, field string) string {
	switch {
	case field == "":
		field = emptyName
	case strings.ContainsAny(field, `.\`):
		field = strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(field)
	}
	if parent == "" {
		return strings.Clone(field)
	}
	return parent + "." + field
}

const emptyName = `\0`

// SplitPath is the reverse: the names of the fields from the outside in.
func SplitPath(path string) []string {
	var parts []string
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path):
			if i++; path[i] != '0' {
				b.WriteByte(path[i])
			}
		case c == '.':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(parts, b.String())
}
