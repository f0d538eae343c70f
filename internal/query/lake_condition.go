package query

import (
	"math"
	"slices"
	"strings"
	"time"
)

// condition is what holds for the rows that a scan hands on, as far as it was understood.
type condition interface {
	// may reports whether a file can have a row of which it holds.
	may(f *LakeFile) bool
}

type (
	anything struct{}
	allOf    []condition
	anyOf    []condition
	// comparison is column operator value; values are micros of a time, or the text of an event.
	comparison struct {
		column, operator string
		from, to         int64 // the value, or the span of time that it stands for: [from, to]
		text             string
	}
)

func (anything) may(*LakeFile) bool { return true }

func (a allOf) may(f *LakeFile) bool {
	return !slices.ContainsFunc(a, func(c condition) bool { return !c.may(f) })
}

func (a anyOf) may(f *LakeFile) bool {
	return slices.ContainsFunc(a, func(c condition) bool { return c.may(f) })
}

func (c comparison) may(f *LakeFile) bool {
	switch c.column {
	case "ts":
		return within(c.operator, f.MinTS, f.MaxTS, c.from, c.to)
	case "received_at":
		return within(c.operator, f.MinReceived, f.MaxReceived, c.from, c.to)
	case "event":
		return within(c.operator, f.MinEvent, f.MaxEvent, c.text, c.text)
	default:
		return true
	}
}

// within reports whether a value of [least, greatest] can be so related to one of [from, to].
func within[T int64 | string](operator string, least, greatest, from, to T) bool {
	switch operator {
	case "=":
		return least <= to && greatest >= from
	case "<":
		return least < to
	case "<=":
		return least <= to
	case ">":
		return greatest > from
	case ">=":
		return greatest >= from
	default:
		return true
	}
}

// conditionOf reads what a plan prints of a scan's filters, one a line, or of an expression.
//
// The engine leaves out parentheses now and then (x>1 AND x=2 OR x=3). Read with AND before OR, as here, a text bounds no more than what it
// was made from, wherever they stood. Texts in it may hold anything, line ends too, and so it is read token by token.
func conditionOf(printed string) condition {
	p := reader{text: printed, tokens: tokenize(printed)}
	var all allOf
	for p.at < len(p.tokens) {
		if p.word("optional") && p.peek(1, ":") {
			p.at += 2
		}
		before := p.at
		all = append(all, p.or())
		if p.at < len(p.tokens) && !p.newLine() || p.at == before {
			return anything{} // not understood, so nothing is certain
		}
	}
	return all
}

type reader struct {
	text   string
	tokens []token
	at     int
}

func (p *reader) word(words ...string) bool {
	return p.at < len(p.tokens) && p.tokens[p.at].kind == kindWord && p.tokens[p.at].is(words...)
}

func (p *reader) peek(n int, sign string) bool {
	i := p.at + n
	return i < len(p.tokens) && p.tokens[i].kind == kindSign && p.tokens[i].text == sign
}

// newLine reports whether the next token begins another filter.
func (p *reader) newLine() bool {
	return p.at > 0 && strings.Contains(p.text[p.tokens[p.at-1].end:p.tokens[p.at].start], "\n")
}

func (p *reader) or() condition {
	out := anyOf{p.and()}
	for p.word("or") {
		p.at++
		out = append(out, p.and())
	}
	return out
}

func (p *reader) and() condition {
	out := allOf{p.term()}
	for p.word("and") {
		p.at++
		out = append(out, p.term())
	}
	return out
}

// term is a comparison or a condition in parentheses. What is none is skipped up to the next AND, OR, line or closing parenthesis.
func (p *reader) term() condition {
	start := p.at
	if p.peek(0, "(") {
		p.at++
		c := p.or()
		if p.peek(0, ")") {
			p.at++
			if p.atEnd() {
				return c
			}
		}
		p.at = start
	} else if c, ok := p.comparison(); ok && p.atEnd() {
		return c
	}
	p.at = start
	p.skip()
	return anything{}
}

// atEnd reports whether a term can end here.
func (p *reader) atEnd() bool {
	return p.at >= len(p.tokens) || p.peek(0, ")") || p.word("and", "or") || p.newLine()
}

func (p *reader) skip() {
	depth := 0
	for first := true; p.at < len(p.tokens); first = false {
		switch {
		case p.peek(0, "("), p.peek(0, "["):
			depth++
		case depth > 0 && (p.peek(0, ")") || p.peek(0, "]")):
			depth--
		case depth == 0 && !first && p.atEnd(), depth == 0 && p.peek(0, ")"):
			return
		}
		p.at++
	}
}

// comparison is column op literal, CAST(column AS DATE) op date, or column IN (literal, ...).
func (p *reader) comparison() (condition, bool) {
	column, daily, ok := p.column()
	if !ok {
		return nil, false
	}
	if p.word("in") && p.peek(1, "(") {
		p.at += 2
		return p.in(column, daily)
	}
	operator := ""
	for len(operator) < 2 && (p.peek(0, "<") || p.peek(0, ">") || p.peek(0, "=") || p.peek(0, "!")) {
		operator += p.tokens[p.at].text
		p.at++
	}
	if !slices.Contains([]string{"=", "<", "<=", ">", ">="}, operator) {
		return nil, false
	}
	return p.value(column, operator, daily)
}

func (p *reader) in(column string, daily bool) (condition, bool) {
	var out anyOf
	for {
		c, ok := p.value(column, "=", daily)
		if !ok {
			return nil, false
		}
		out = append(out, c)
		switch {
		case p.peek(0, ","):
			p.at++
		case p.peek(0, ")"):
			p.at++
			return out, true
		default:
			return nil, false
		}
	}
}

func (p *reader) column() (name string, daily, ok bool) {
	if p.word("cast") && p.peek(1, "(") {
		p.at += 2
		if name, ok = p.plain(); !ok || name == "event" || !p.word("as") {
			return "", false, false
		}
		p.at++
		if !p.word("date") || !p.peek(1, ")") {
			return "", false, false
		}
		p.at += 2
		return name, true, true
	}
	name, ok = p.plain()
	return name, false, ok
}

func (p *reader) plain() (string, bool) {
	if !p.word("ts", "received_at", "event") {
		return "", false
	}
	p.at++
	return lower(p.tokens[p.at-1].text), true
}

// value reads a literal of the column's type.
func (p *reader) value(column, operator string, daily bool) (condition, bool) {
	if p.at >= len(p.tokens) || p.tokens[p.at].kind != kindString || p.tokens[p.at].text[0] != '\'' {
		return nil, false
	}
	raw := p.tokens[p.at].text
	raw = strings.ReplaceAll(raw[1:len(raw)-1], "''", "'")
	p.at++
	kind := ""
	if p.peek(0, ":") && p.peek(1, ":") {
		p.at += 2
		for p.word("timestamp", "with", "time", "zone", "date", "varchar") {
			kind = strings.TrimSpace(kind + " " + lower(p.tokens[p.at].text))
			p.at++
		}
	}
	c := comparison{column: column, operator: operator, text: raw}
	switch {
	case column == "event":
		return c, kind == "" || kind == "varchar"
	case daily && kind == "date":
		day, err := time.Parse(time.DateOnly, raw)
		c.from, c.to = day.UnixMicro(), day.AddDate(0, 0, 1).UnixMicro()-1
		if operator == "<" {
			c.to = c.from // the day before ends where it begins
		}
		if operator == ">" {
			c.from = c.to
		}
		return c, err == nil
	case !daily && kind == "timestamp with time zone":
		at, ok := instant(raw)
		c.from, c.to = at, at
		return c, ok
	default:
		return nil, false
	}
}

// instant reads a time as the engine prints it in UTC.
func instant(text string) (int64, bool) {
	switch text {
	case "infinity":
		return math.MaxInt64, true
	case "-infinity":
		return math.MinInt64, true
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999-07", text)
	return at.UnixMicro(), err == nil
}
