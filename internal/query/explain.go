package query

import "strings"

// lexer splits the beginning of a statement into words and signs; comments and white space are left out.
// It is for EXPLAIN and for messages alone: what it does not understand stays in the text, which the
// engine's parser judges.
type lexer struct {
	text string
	at   int
}

// next returns the next word (letters, digits, underscores) or single sign, or "".
func (l *lexer) next() string {
	l.skip()
	start := l.at
	for l.at < len(l.text) && isWord(l.text[l.at]) {
		l.at++
	}
	if l.at == start && l.at < len(l.text) {
		l.at++
	}
	return l.text[start:l.at]
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// skip moves past white space and comments.
func (l *lexer) skip() {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			l.at++
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest) - 1
			}
			l.at += end + 1
		case strings.HasPrefix(rest, "/*"):
			l.at += blockComment(rest)
		default:
			return
		}
	}
}

// blockComment is the length of the comment that text begins with; comments nest.
func blockComment(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "/*"):
			depth++
			i++
		case strings.HasPrefix(text[i:], "*/"):
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// conjunctions counts the words AND and OR, those within quotes and comments too.
func conjunctions(text string) int {
	n, start := 0, 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && isWord(text[i]) {
			continue
		}
		if word := text[start:i]; strings.EqualFold(word, "and") || strings.EqualFold(word, "or") {
			n++
		}
		start = i + 1
	}
	return n
}

func firstWord(text string) string {
	l := lexer{text: text}
	if word := l.next(); word != "" && isWord(word[0]) {
		return word
	}
	return ""
}

// explainFormats are the formats of EXPLAIN (FORMAT ...).
var explainFormats = map[string]bool{"text": true, "json": true, "html": true, "graphviz": true, "yaml": true, "mermaid": true}

// peelExplain splits EXPLAIN [ANALYZE] [(ANALYZE, FORMAT x)] off a statement. The prefix is written
// anew, so that what runs is the prefix and the statement that was checked, and nothing else.
func peelExplain(text string) (prefix, inner string, err error) {
	l := lexer{text: text}
	if !strings.EqualFold(l.next(), "explain") {
		return "", text, nil
	}
	var analyze bool
	var format string
	mark := l.at
	if word := lower(l.next()); word == "analyze" || word == "analyse" {
		analyze, mark = true, l.at
	}
	l.at = mark
	if l.next() == "(" {
		var ok bool
		var inParens bool
		if inParens, format, ok = l.explainOptions(); ok {
			analyze, mark = analyze || inParens, l.at
		}
	}
	switch {
	case analyze && format != "":
		prefix = "EXPLAIN (ANALYZE, FORMAT " + format + ") "
	case analyze:
		prefix = "EXPLAIN ANALYZE "
	case format != "":
		prefix = "EXPLAIN (FORMAT " + format + ") "
	default:
		prefix = "EXPLAIN "
	}
	inner = text[mark:]
	if strings.EqualFold(firstWord(inner), "explain") {
		return "", "", fail(CodeSyntax, "", "EXPLAIN of EXPLAIN is not allowed")
	}
	return prefix, inner, nil
}

// explainOptions reads options up to the closing parenthesis; not ok if they are none, as in
// EXPLAIN (SELECT 1).
func (l *lexer) explainOptions() (analyze bool, format string, ok bool) {
	for {
		switch lower(l.next()) {
		case "analyze", "analyse":
			analyze = true
		case "format":
			if format = lower(l.next()); !explainFormats[format] {
				return false, "", false
			}
		default:
			return false, "", false
		}
		switch l.next() {
		case ")":
			return analyze, format, true
		case ",":
		default:
			return false, "", false
		}
	}
}
