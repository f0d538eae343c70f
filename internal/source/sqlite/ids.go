package sqlite

import "strings"

// mark is where a query has :ids.
type mark int

// placeholder stands for the ids of a batch, in IN (...).
const placeholder = ":ids"

// bind puts so many parameters in the place of the ids.
func (p *plan) bind(ids int) string {
	var b strings.Builder
	from := 0
	for _, m := range p.ids {
		b.WriteString(p.query[from:int(m)])
		b.WriteString(numbered(ids))
		from = int(m) + len(placeholder)
	}
	b.WriteString(p.query[from:])
	return b.String()
}

// findIDs finds :ids outside texts, names and comments.
func findIDs(query string) []mark {
	var out []mark
	for i := 0; i < len(query); {
		if end := skip(query, i); end > i {
			i = end
			continue
		}
		if strings.HasPrefix(query[i:], placeholder) && !continues(query, i+len(placeholder)) {
			out = append(out, mark(i))
			i += len(placeholder)
			continue
		}
		i++
	}
	return out
}

// skip returns where a text, a quoted name or a comment that begins at i ends; i where none begins.
func skip(q string, i int) int {
	switch c := q[i]; {
	case c == '\'', c == '"', c == '`':
		for i++; i < len(q); i++ {
			if q[i] != c {
				continue
			}
			if i+1 < len(q) && q[i+1] == c {
				i++
				continue
			}
			return i + 1
		}
		return len(q)
	case c == '[':
		return past(q, i, "]")
	case strings.HasPrefix(q[i:], "--"):
		return past(q, i, "\n")
	case strings.HasPrefix(q[i:], "/*"):
		return past(q, i+2, "*/")
	}
	return i
}

func past(q string, i int, mark string) int {
	if end := strings.Index(q[i:], mark); end >= 0 {
		return i + end + len(mark)
	}
	return len(q)
}

func continues(q string, i int) bool {
	if i >= len(q) {
		return false
	}
	c := q[i]
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// quote writes a name as SQL does.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal writes a text as SQL does.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
