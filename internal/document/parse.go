package document

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep JSON may be nested; MongoDB stops at 100.
const maxDepth = 250

// Parse reads one JSON value. Numbers are exact: an integer that fits becomes Int64, any other number Double where the double is the
// number that the text says, else Decimal with the text. Names that come twice are kept. It is an error, which says where, when the text
// is not JSON, goes on behind the value, is not UTF-8, or is nested more than 250 deep.
//
// The value points into the text and the arena: it is valid until either changes.
func Parse(text []byte, into *Arena) (Value, error) {
	p := parser{text: text, arena: into}
	into.openFields, into.openItems = into.openFields[:0], into.openItems[:0]
	v, err := p.value(0)
	if err == nil && !blank(p.text[p.at:]) {
		p.space()
		err = p.fault("there is more behind the value")
	}
	if err != nil {
		return Value{}, err
	}
	return v, nil
}

type parser struct {
	text  []byte
	at    int
	arena *Arena
}

func (p *parser) fault(what string) error {
	return fmt.Errorf("parse JSON: %s, at byte %d", what, p.at+1)
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// peek is the next byte that is not white space; 0 at the end.
func (p *parser) peek() byte {
	p.space()
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) value(depth int) (Value, error) {
	switch c := p.peek(); c {
	case 0:
		if p.at < len(p.text) {
			return Value{}, p.fault("a zero byte")
		}
		return Value{}, p.fault("the text ends early")
	case '{':
		return p.object(depth + 1)
	case '[':
		return p.array(depth + 1)
	case '"':
		b, err := p.str()
		return Value{Kind: String, Bytes: b}, err
	case 't':
		return Value{Kind: Bool, Num: 1}, p.word("true")
	case 'f':
		return Value{Kind: Bool}, p.word("false")
	case 'n':
		return Value{Kind: Null}, p.word("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return p.number()
		}
		return Value{}, p.fault("a value cannot begin with " + strconv.QuoteRune(rune(c)))
	}
}

func (p *parser) word(w string) error {
	if !bytes.HasPrefix(p.text[p.at:], []byte(w)) {
		return p.fault("a value cannot begin so")
	}
	p.at += len(w)
	return nil
}

func (p *parser) object(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, p.fault(fmt.Sprintf("nested more than %d deep", maxDepth))
	}
	a := p.arena
	from := len(a.openFields)
	p.at++
	if p.peek() == '}' {
		p.at++
		return Value{Kind: Object, Fields: []Field{}}, nil
	}
	for {
		if p.peek() != '"' {
			return Value{}, p.fault("a name in quotes is missing")
		}
		name, err := p.str()
		if err != nil {
			return Value{}, err
		}
		if p.peek() != ':' {
			return Value{}, p.fault("a colon is missing")
		}
		p.at++
		v, err := p.value(depth)
		if err != nil {
			return Value{}, err
		}
		a.openFields = append(a.openFields, Field{Name: a.name(name), Value: v})
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			v := Value{Kind: Object, Fields: a.fields.keep(a.openFields[from:])}
			a.openFields = a.openFields[:from]
			return v, nil
		default:
			return Value{}, p.fault("a comma or } is missing")
		}
	}
}

func (p *parser) array(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, p.fault(fmt.Sprintf("nested more than %d deep", maxDepth))
	}
	a := p.arena
	from := len(a.openItems)
	p.at++
	if p.peek() == ']' {
		p.at++
		return Value{Kind: Array, Items: []Value{}}, nil
	}
	for {
		v, err := p.value(depth)
		if err != nil {
			return Value{}, err
		}
		a.openItems = append(a.openItems, v)
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			v := Value{Kind: Array, Items: a.items.keep(a.openItems[from:])}
			a.openItems = a.openItems[:from]
			return v, nil
		default:
			return Value{}, p.fault("a comma or ] is missing")
		}
	}
}

// str reads a string; the text itself where nothing in it is escaped.
func (p *parser) str() ([]byte, error) {
	p.at++
	from := p.at
	ascii := true
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == '"':
			b := p.text[from:p.at:p.at]
			if !ascii && !utf8.Valid(b) {
				return nil, p.fault("a string that is not UTF-8")
			}
			p.at++
			return b, nil
		case c == '\\':
			return p.escaped(from)
		case c < ' ':
			return nil, p.fault("a control character in a string")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, p.fault("a string does not end")
}

// escaped reads the rest of a string, from its first backslash on.
func (p *parser) escaped(from int) ([]byte, error) {
	end := p.at
	for end < len(p.text) && p.text[end] != '"' {
		if p.text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(p.text) {
		return nil, p.fault("a string does not end")
	}
	out := p.arena.bytes.take(end - from)[:0] // an escape is never shorter than what it stands for
	out = append(out, p.text[from:p.at]...)
	for p.at < end {
		c := p.text[p.at]
		if c < ' ' {
			return nil, p.fault("a control character in a string")
		}
		if c != '\\' {
			out = append(out, c)
			p.at++
			continue
		}
		var err error
		if out, err = p.escape(out); err != nil {
			return nil, err
		}
	}
	if !utf8.Valid(out) {
		return nil, p.fault("a string that is not UTF-8")
	}
	p.at = end + 1
	return out, nil
}

func (p *parser) escape(out []byte) ([]byte, error) {
	c := p.text[p.at+1]
	if i := bytes.IndexByte([]byte(`"\/bfnrt`), c); i >= 0 {
		p.at += 2
		return append(out, "\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return nil, p.fault("an escape that JSON does not have")
	}
	r, err := p.hex4(p.at + 2)
	if err != nil {
		return nil, err
	}
	p.at += 6
	if utf16.IsSurrogate(r) {
		if !bytes.HasPrefix(p.text[p.at:], []byte(`\u`)) {
			return nil, p.fault("half of a surrogate pair")
		}
		low, err := p.hex4(p.at + 2)
		if err != nil {
			return nil, err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return nil, p.fault("half of a surrogate pair")
		}
		p.at += 6
	}
	return utf8.AppendRune(out, r), nil
}

func (p *parser) hex4(at int) (rune, error) {
	if at+4 > len(p.text) {
		return 0, p.fault("a string does not end")
	}
	n, err := strconv.ParseUint(string(p.text[at:at+4]), 16, 32)
	if err != nil {
		return 0, p.fault("an escape that JSON does not have")
	}
	return rune(n), nil
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?.
func (p *parser) number() (Value, error) {
	from := p.at
	digit := func() bool { return p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' }
	digits := func() int {
		start := p.at
		for digit() {
			p.at++
		}
		return p.at - start
	}
	if p.text[p.at] == '-' {
		p.at++
	}
	start := p.at
	n := digits()
	if n == 0 || n > 1 && p.text[start] == '0' {
		return Value{}, p.fault("not a number")
	}
	whole := true
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		whole = false
		d := digits()
		if d == 0 {
			return Value{}, p.fault("not a number")
		}
		n += d
	}
	exponent := p.at < len(p.text) && (p.text[p.at] == 'e' || p.text[p.at] == 'E')
	if exponent {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		if digits() == 0 {
			return Value{}, p.fault("not a number")
		}
	}
	return numberOf(p.text[from:p.at:p.at], whole && !exponent, n, exponent), nil
}

// exactDigits is how many digits of any decimal survive in a double.
const exactDigits = 15

// numberOf makes a value of number text with so many digits before its exponent.
func numberOf(text []byte, whole bool, digits int, exponent bool) Value {
	if whole && string(text) != "-0" {
		if digits < 19 {
			return Value{Kind: Int64, Num: atoi(text)}
		}
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return Value{Kind: Int64, Num: n}
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil && errors.Is(err, strconv.ErrRange) {
		return Value{Kind: Decimal, Bytes: text}
	}
	if digits > exactDigits || exponent && (f == 0 || math.Abs(f) < 1e-290) {
		if !sameNumber(text, strconv.AppendFloat(nil, f, 'e', -1, 64)) {
			return Value{Kind: Decimal, Bytes: text}
		}
	}
	return Value{Kind: Double, Num: int64(math.Float64bits(f))}
}

func atoi(text []byte) int64 {
	n, minus := int64(0), text[0] == '-'
	if minus {
		text = text[1:]
	}
	for _, c := range text {
		n = n*10 + int64(c-'0')
	}
	if minus {
		return -n
	}
	return n
}

// sameNumber reports whether two number texts of JSON stand for the same number.
func sameNumber(a, b []byte) bool {
	da, ea := significand(a)
	db, eb := significand(b)
	return ea == eb && bytes.Equal(da, db)
}

// significand gives sign and digits without zeros at either end, and the power of ten of the point before them.
func significand(text []byte) (digits []byte, exp int64) {
	mantissa := text
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		n, err := strconv.ParseInt(string(bytes.TrimPrefix(text[i+1:], []byte{'+'})), 10, 64)
		if err != nil {
			n = math.MaxInt32
		}
		exp = n
	}
	minus := mantissa[0] == '-'
	mantissa = bytes.TrimPrefix(mantissa, []byte{'-'})
	whole, fraction, _ := bytes.Cut(mantissa, []byte{'.'})
	digits = append(append([]byte{}, whole...), fraction...)
	exp += int64(len(whole))
	trimmed := bytes.TrimLeft(digits, "0")
	exp -= int64(len(digits) - len(trimmed))
	trimmed = bytes.TrimRight(trimmed, "0")
	if len(trimmed) == 0 {
		exp = 0
	}
	if minus {
		trimmed = append([]byte{'-'}, trimmed...)
	}
	return trimmed, exp
}
