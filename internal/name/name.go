// Package name gives warehouse identifiers to what people named: schemas for sources, tables for events, columns for
// properties.
//
// Two naming modes exist, chosen per warehouse and fixed once a schema exists: Segment (the default), whose slugs are those of
// Segment's own snake case, and RudderStack, for schemas that RudderStack's warehouse destinations created. What a slug becomes
// as an identifier (leading digit, reserved word, length) depends on the target; Rules holds both choices. Names is stateful per
// schema or per table and keeps names apart.
//
// Nothing here is safe for concurrent use but the pure functions and the methods of Rules.
package name

// Snake returns Segment's snake case of s: the left-to-right matches of [A-Z0-9]+[a-z0-9]*|[a-z0-9]+ over the bytes of s, joined
// with an underscore and lower-cased (github.com/segmentio/go-snakecase). Only ASCII letters and digits survive; the result may
// be empty. It is idempotent and does not allocate when s is in snake case already.
func Snake(s string) string {
	if isSnake(s) {
		return s
	}
	return string(appendSnake(make([]byte, 0, len(s)+8), s))
}

// isSnake reports whether s is words of lower-case letters and digits with single underscores between them.
func isSnake(s string) bool {
	gap := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isLower(c) || isDigit(c):
			gap = false
		case c == '_' && !gap:
			gap = true
		default:
			return false
		}
	}
	return !gap || s == ""
}

// appendSnake appends the snake case of s to dst, which the caller guarantees to be empty or to end a name element: an
// underscore goes between what is there and the first word.
func appendSnake(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		if !isWord(s[i]) {
			i++
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, '_')
		}
		for i < len(s) && (isUpper(s[i]) || isDigit(s[i])) {
			dst = append(dst, lower(s[i]))
			i++
		}
		for i < len(s) && (isLower(s[i]) || isDigit(s[i])) {
			dst = append(dst, s[i])
			i++
		}
	}
	return dst
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isWord(c byte) bool  { return isUpper(c) || isLower(c) || isDigit(c) }

func lower(c byte) byte {
	if isUpper(c) {
		return c + 'a' - 'A'
	}
	return c
}
