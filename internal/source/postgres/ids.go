package postgres

import "strings"

// mark is a place of :ids in a query.
type mark struct {
	at   int
	list bool // it stands alone in IN (...), which takes a list; anywhere else it is an array
}

// placeholder stands for the ids of a batch.
const placeholder = ":ids"

// bind puts the ids in their places.
func (p *plan) bind(ids []string) string {
	if len(p.ids) == 0 {
		return p.query
	}
	var b strings.Builder
	from := 0
	for _, m := range p.ids {
		b.WriteString(p.query[from:m.at])
		if m.list {
			b.WriteString(listText(ids))
		} else {
			b.WriteString(literal(arrayText(ids)))
		}
		from = m.at + len(placeholder)
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
		if strings.HasPrefix(query[i:], placeholder) && (i == 0 || query[i-1] != ':') && !continues(query, i+len(placeholder)) {
			out = append(out, mark{i, inList(query, i)})
			i += len(placeholder)
			continue
		}
		i++
	}
	return out
}

// withoutEnd takes the semicolons off the end of a query, and what is blank or comment behind them.
func withoutEnd(q string) string {
	for {
		last := -1 // the last letter that means something
		for i := 0; i < len(q); {
			end := skip(q, i)
			switch {
			case end == i:
				if !strings.ContainsRune(" \t\r\n\f", rune(q[i])) {
					last = i
				}
				i++
				continue
			case !strings.HasPrefix(q[i:], "--") && !strings.HasPrefix(q[i:], "/*"):
				last = end - 1
			}
			i = end
		}
		if last < 0 || q[last] != ';' {
			return q
		}
		q = q[:last]
	}
}

// skip returns where a text, a quoted name or a comment that begins at i ends; i where none begins.
func skip(q string, i int) int {
	switch {
	case q[i] == '\'':
		escapes := i > 0 && (q[i-1] == 'e' || q[i-1] == 'E') && (i < 2 || !isWord(q[i-2]))
		return quoted(q, i, escapes)
	case q[i] == '"':
		return quoted(q, i, false)
	case strings.HasPrefix(q[i:], "--"):
		if end := strings.IndexByte(q[i:], '\n'); end >= 0 {
			return i + end + 1
		}
		return len(q)
	case strings.HasPrefix(q[i:], "/*"):
		depth := 0
		for i < len(q) {
			switch {
			case strings.HasPrefix(q[i:], "/*"):
				depth, i = depth+1, i+2
			case strings.HasPrefix(q[i:], "*/"):
				if depth, i = depth-1, i+2; depth == 0 {
					return i
				}
			default:
				i++
			}
		}
		return i
	case q[i] == '$' && (i == 0 || !isWord(q[i-1])):
		return dollar(q, i)
	}
	return i
}

func quoted(q string, i int, escapes bool) int {
	mark := q[i]
	for i++; i < len(q); i++ {
		switch {
		case escapes && q[i] == '\\':
			i++
		case q[i] == mark && i+1 < len(q) && q[i+1] == mark:
			i++
		case q[i] == mark:
			return i + 1
		}
	}
	return len(q)
}

// dollar skips $tag$ text $tag$.
func dollar(q string, i int) int {
	end := i + 1
	for end < len(q) && isWord(q[end]) {
		end++
	}
	if end >= len(q) || q[end] != '$' || end > i+1 && q[i+1] >= '0' && q[i+1] <= '9' {
		return i
	}
	tag := q[i : end+1]
	if n := strings.Index(q[end+1:], tag); n >= 0 {
		return end + 1 + n + len(tag)
	}
	return len(q)
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func continues(q string, i int) bool { return i < len(q) && isWord(q[i]) }

// inList reports whether the placeholder at i is all that stands in IN (...).
func inList(q string, i int) bool {
	const blank = " \t\r\n"
	before, ok := strings.CutSuffix(strings.TrimRight(q[:i], blank), "(")
	if !ok || !strings.HasPrefix(strings.TrimLeft(q[i+len(placeholder):], blank), ")") {
		return false
	}
	before = strings.TrimRight(before, blank)
	n := len(before)
	return n >= 2 && strings.EqualFold(before[n-2:], "in") && (n == 2 || !isWord(before[n-3]))
}
