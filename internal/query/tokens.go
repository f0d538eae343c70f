package query

import (
	"slices"
	"strings"
)

// kind is what a token is.
type kind byte

const (
	kindWord   kind = iota // a keyword or a name without quotes
	kindQuoted             // a name in double quotes
	kindString             // a text in any kind of quotes
	kindNumber
	kindParam // ? or $1
	kindSign  // one byte of anything else
)

// token is a piece of a statement, without the white space and comments before it.
type token struct {
	kind       kind
	start, end int // bytes of the statement
	text       string
}

// is reports whether the token is one of the words, in lower case, or signs.
func (t token) is(words ...string) bool {
	return (t.kind == kindWord || t.kind == kindSign) && slices.Contains(words, lower(t.text))
}

// name reports whether the token can name something, and what: names keep their case in quotes and without.
func (t token) name() (string, bool) {
	switch t.kind {
	case kindWord:
		return t.text, true
	case kindQuoted:
		return strings.ReplaceAll(t.text[1:len(t.text)-1], `""`, `"`), true
	default:
		return "", false
	}
}

// tokenize splits a statement as the engine's own scanner does. It judges nothing: whoever changes a statement by its tokens has the
// engine parse the result, and compares.
func tokenize(text string) []token {
	var out []token
	for l := (lexer{text: text}); ; {
		l.skip()
		if l.at >= len(text) {
			return out
		}
		k, n := scan(text[l.at:])
		out = append(out, token{k, l.at, l.at + n, text[l.at : l.at+n]})
		l.at += n
	}
}

// scan gives kind and length of the token that text begins with.
func scan(text string) (kind, int) {
	c := text[0]
	switch {
	case c == '"':
		return quotedEnd(text, 1, '"', false, kindQuoted)
	case c == '\'':
		return quotedEnd(text, 1, '\'', false, kindString)
	case (c == 'e' || c == 'E') && strings.HasPrefix(text[1:], "'"):
		return quotedEnd(text, 2, '\'', true, kindString)
	case (c == 'x' || c == 'X' || c == 'b' || c == 'B') && strings.HasPrefix(text[1:], "'"):
		return quotedEnd(text, 2, '\'', false, kindString)
	case c == '$':
		return dollar(text)
	case c == '?':
		return kindParam, 1
	case isDigit(c), c == '.' && len(text) > 1 && isDigit(text[1]):
		return kindNumber, numberEnd(text)
	case isWord(c) || c >= 0x80:
		n := 1
		for n < len(text) && (isWord(text[n]) || text[n] >= 0x80 || text[n] == '$') {
			n++
		}
		return kindWord, n
	default:
		return kindSign, 1
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// quotedEnd is the length of a token in quotes, which stand twice within; the whole rest where it does not end.
func quotedEnd(text string, from int, quote byte, escapes bool, k kind) (kind, int) {
	for i := from; i < len(text); i++ {
		switch {
		case escapes && text[i] == '\\':
			i++
		case text[i] != quote:
		case i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return k, i + 1
		}
	}
	return kindSign, len(text) // the engine refuses it
}

// dollar is $1, or a text as $tag$...$tag$.
func dollar(text string) (kind, int) {
	n := 1
	for n < len(text) && (isWord(text[n]) || text[n] >= 0x80) {
		n++
	}
	if n > 1 && isDigit(text[1]) {
		return kindParam, n
	}
	if n < len(text) && text[n] == '$' {
		tag := text[:n+1]
		if end := strings.Index(text[n+1:], tag); end >= 0 {
			return kindString, n + 1 + end + len(tag)
		}
		return kindSign, len(text)
	}
	if n > 1 {
		return kindParam, n
	}
	return kindSign, 1
}

func numberEnd(text string) int {
	n := 0
	for n < len(text) {
		switch c := text[n]; {
		case isWord(c), c == '.':
		case (c == '+' || c == '-') && n > 0 && (text[n-1] == 'e' || text[n-1] == 'E') && !strings.HasPrefix(lower(text), "0x"):
		default:
			return n
		}
		n++
	}
	return n
}

// edit replaces a part of a statement.
type edit struct {
	start, end int
	text       string
}

// apply makes edits, which do not overlap.
func apply(text string, edits []edit) string {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.start - b.start })
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(text[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(text[at:])
	return b.String()
}

// before turns a position in the edited text into one of the text as it was.
func before(position int, edits []edit) int {
	moved := 0
	for _, e := range edits {
		start := e.start + moved
		if position < start {
			break
		}
		if position < start+len(e.text) {
			return e.start
		}
		moved += len(e.text) - (e.end - e.start)
	}
	return position - moved
}
