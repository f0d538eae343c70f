package query

import "slices"

// Time travel is spelled in many ways, and the engine's parser knows one: name [alias] AT (TIMESTAMP => x). The others are
// brought to that form before the gate judges the statement, and only where the parser refuses it as it stands; so no statement
// that means something already means something else.

// spell rewrites, and returns no edits where there is nothing to:
//
//	name [FOR] TIMESTAMP|VERSION|SYSTEM_TIME|SYSTEM_VERSION AS OF x [alias]
//	name AS OF x [alias]
//	name AT (...) [AS] alias
//	firth_files(..., from => x, to => y), where the engine takes from and to for keywords
func spell(text string) (string, []edit) {
	s := speller{text: text, tokens: tokenize(text)}
	for i := 0; i < len(s.tokens); i++ {
		switch t := s.tokens[i]; {
		case t.is("as") && s.word(i+1, "of"):
			i = s.asOf(i)
		case t.is("at") && s.sign(i+1, "("):
			i = s.at(i)
		case t.is("from", "to") && i > 0 && s.tokens[i-1].is("(", ",") && (s.sign(i+1, ":") || s.sign(i+1, "=")) && s.tokens[min(i+2, len(s.tokens)-1)].is("=", ">"):
			s.edits = append(s.edits, edit{t.start, t.end, `"` + lower(t.text) + `"`})
		}
	}
	if len(s.edits) == 0 {
		return text, nil
	}
	return apply(text, s.edits), s.edits
}

type speller struct {
	text   string
	tokens []token
	edits  []edit
}

func (s *speller) word(i int, words ...string) bool {
	return i < len(s.tokens) && s.tokens[i].kind == kindWord && s.tokens[i].is(words...)
}

func (s *speller) sign(i int, signs ...string) bool {
	return i < len(s.tokens) && s.tokens[i].kind == kindSign && slices.Contains(signs, s.tokens[i].text)
}

// asOf rewrites the AS OF at a token; it returns the last token that it took.
func (s *speller) asOf(i int) int {
	start, unit := i, ""
	switch {
	case i > 0 && s.word(i-1, "timestamp", "system_time"):
		start, unit = i-1, "TIMESTAMP"
	case i > 0 && s.word(i-1, "version", "system_version"):
		start, unit = i-1, "VERSION"
	}
	if unit != "" && s.word(start-1, "for") {
		start--
	}
	end := s.expression(i + 2)
	if start == 0 || end == i+2 {
		return i + 1
	}
	value := s.text[s.tokens[i+2].start:s.tokens[end-1].end]
	if unit == "" {
		unit = "TIMESTAMP"
		if end == i+3 && s.tokens[i+2].kind == kindNumber {
			unit = "VERSION"
		}
	}
	return s.put(start, end, "AT ("+unit+" => "+value+")")
}

// at moves the alias that follows AT (...) in front of it, where the engine wants it.
func (s *speller) at(i int) int {
	end := s.balanced(i + 1)
	if end == i+1 || i == 0 {
		return i
	}
	if after := s.alias(end); after == end {
		return end - 1
	}
	return s.put(i, end, s.text[s.tokens[i].start:s.tokens[end-1].end])
}

// put replaces tokens by an AT clause that comes behind the alias, where one follows them.
func (s *speller) put(start, end int, clause string) int {
	after := s.alias(end)
	if after > end {
		clause = s.text[s.tokens[end].start:s.tokens[after-1].end] + " " + clause
	}
	s.edits = append(s.edits, edit{s.tokens[start].start, s.tokens[after-1].end, clause})
	return after - 1
}

// clauses are the words that end an alias' place: what follows a table.
var clauses = []string{"where", "group", "order", "limit", "offset", "fetch", "join", "left", "right", "inner", "full", "cross", "natural", "asof", "positional",
	"semi", "anti", "on", "using", "having", "qualify", "window", "union", "except", "intersect", "tablesample", "select", "from", "pivot", "unpivot", "for",
	"sample", "at", "as", "with", "lateral", "and", "or"}

// alias is the token behind an alias, with its columns, that begins at a token; the same token where none does.
func (s *speller) alias(i int) int {
	end := i
	if s.word(end, "as") && !s.word(end+1, "of") {
		end++
	}
	if end >= len(s.tokens) {
		return i
	}
	t := s.tokens[end]
	if _, ok := t.name(); !ok || t.kind == kindWord && t.is(clauses...) {
		return i
	}
	end++
	if s.sign(end, "(") {
		end = s.balanced(end)
	}
	return end
}

// balanced is the token behind the parenthesis that closes the one at a token; the same token where none does.
func (s *speller) balanced(i int) int {
	if !s.sign(i, "(", "[") {
		return i
	}
	depth := 0
	for j := i; j < len(s.tokens); j++ {
		switch {
		case s.sign(j, "(", "["):
			depth++
		case s.sign(j, ")", "]"):
			if depth--; depth == 0 {
				return j + 1
			}
		}
	}
	return i
}

// expression is the token behind an expression without column names: operands with + - * / and || between them. An alias may
// follow without AS, so it must be known where it ends.
func (s *speller) expression(i int) int {
	for {
		end := s.operand(i)
		if end == i {
			return i
		}
		switch {
		case s.sign(end, "+", "-", "*", "/"):
			i = end + 1
		case s.sign(end, "|") && s.sign(end+1, "|"):
			i = end + 2
		default:
			return end
		}
	}
}

func (s *speller) operand(i int) int {
	for s.sign(i, "-", "+") {
		i++
	}
	end := i
	switch {
	case i >= len(s.tokens):
		return i
	case s.sign(i, "("):
		end = s.balanced(i)
	case s.tokens[i].kind == kindString, s.tokens[i].kind == kindNumber, s.tokens[i].kind == kindParam:
		end = i + 1
	case s.word(i, "interval"):
		if end = s.operand(i + 1); end == i+1 {
			return i
		}
		if s.word(end, units...) {
			end++
		}
		return end
	case s.tokens[i].kind == kindWord && !s.word(i, clauses...):
		end = s.named(i)
	}
	return s.suffix(end)
}

var units = []string{"year", "years", "month", "months", "week", "weeks", "day", "days", "hour", "hours", "minute", "minutes", "second", "seconds", "millisecond", "milliseconds"}

// named is a function's call, a literal with its type in front (TIMESTAMP WITH TIME ZONE '...'), or a word such as current_date.
func (s *speller) named(i int) int {
	end := i + 1
	for s.sign(end, ".") && end+1 < len(s.tokens) {
		end += 2
	}
	if s.sign(end, "(") {
		return s.balanced(end)
	}
	if s.word(end, "with") && s.word(end+1, "time") && s.word(end+2, "zone") {
		end += 3
	}
	if end < len(s.tokens) && s.tokens[end].kind == kindString {
		return end + 1
	}
	return end
}

// suffix is ::type and AT TIME ZONE.
func (s *speller) suffix(end int) int {
	for {
		switch {
		case s.sign(end, ":") && s.sign(end+1, ":"):
			end += 3
			if s.sign(end, "(") {
				end = s.balanced(end)
			}
			if s.word(end, "with") && s.word(end+1, "time") && s.word(end+2, "zone") {
				end += 3
			}
		case s.word(end, "at") && s.word(end+1, "time") && s.word(end+2, "zone"):
			end = s.operand(end + 3)
		default:
			return min(end, len(s.tokens))
		}
	}
}
