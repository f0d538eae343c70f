package event

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep arrays and objects may be nested; it is jsontext's own limit.
const maxDepth = 10_000

// cursor walks over JSON text and finds where values begin and end. It takes exactly what jsontext takes with duplicate names allowed
// (and with invalid UTF-8 allowed where lenient is set), but eight bytes of a string at a time, and it does not say what is wrong:
// jsontext is asked for that. After the first fault bad is set, and nothing it returns means anything.
type cursor struct {
	b       []byte
	i       int // what comes next
	lenient bool
	bad     bool
	depth   int      // of what has been entered and not been left
	nesting []uint64 // of the value being skipped: a bit for each level, set for an object
	scratch []byte
}

func (c *cursor) reset(b []byte, lenient bool) {
	c.b, c.i, c.lenient, c.bad, c.depth = b, 0, lenient, false, 0
}

// peek gives the first byte of what comes next, 0 at the end.
func (c *cursor) peek() byte {
	c.i = space(c.b, c.i)
	if c.bad || c.i >= len(c.b) {
		return 0
	}
	return c.b[c.i]
}

// fail notes the fault.
func (c *cursor) fail() { c.bad, c.i = true, len(c.b) }

// enter steps into the object or array that comes next.
func (c *cursor) enter(open byte) {
	if c.peek() != open {
		c.fail()
		return
	}
	c.i++
	c.depth++
}

// more tells whether another member or element comes, and steps over the comma before it, or over the closing bracket.
func (c *cursor) more(first bool, end byte) bool {
	switch ch := c.peek(); {
	case ch == end && ch != 0:
		c.i++
		c.depth--
		return false
	case first && ch != 0:
		return true
	case ch == ',':
		c.i++
		return c.peek() != 0 || c.failed()
	}
	return c.failed()
}

func (c *cursor) failed() bool {
	c.fail()
	return false
}

// name steps over a member's name and its colon; it gives the name as it came and where it starts.
func (c *cursor) name() (quoted []byte, start int) {
	if c.peek() != '"' {
		c.fail()
		return nil, 0
	}
	start = c.i
	end := c.text(start + 1)
	if end < 0 {
		c.fail()
		return nil, 0
	}
	c.i = end
	if c.peek() != ':' {
		c.fail()
		return nil, 0
	}
	c.i++
	return c.b[start:end], start
}

// value steps over the value that comes next.
func (c *cursor) value() span {
	start := space(c.b, c.i)
	end := c.skip(start)
	if c.bad || end < 0 {
		c.fail()
		return span{}
	}
	c.i = end
	return span{int32(start), int32(end)}
}

// end tells whether nothing but white space is left.
func (c *cursor) end() bool { return !c.bad && space(c.b, c.i) == len(c.b) }

// plain unquotes a JSON string, into scratch where it is escaped; it is valid until the next call.
func (c *cursor) plain(quoted []byte) []byte {
	if len(quoted) < 2 {
		return nil
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	c.scratch = appendUnquoted(c.scratch[:0], quoted)
	return c.scratch
}

// appendUnquoted appends the text of a JSON string that is known to be well formed.
func appendUnquoted(dst, quoted []byte) []byte {
	// The error can only be of text that is not UTF-8; U+FFFD is appended in its place all the same.
	dst, _ = jsontext.AppendUnquote(dst, quoted)
	return dst
}

func space(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c <= ' ' && (c == ' ' || c == '\t' || c == '\r' || c == '\n') }

// skip gives the end of the value that starts at i, or -1.
func (c *cursor) skip(i int) int {
	b := c.b
	level, object := 0, false
	for {
		// A value starts at i.
		if uint(i) >= uint(len(b)) {
			return -1
		}
		closing := false
		switch ch := b[i]; ch {
		case '"':
			i = c.text(i + 1)
		case '{', '[':
			if c.depth+level >= maxDepth {
				return -1
			}
			c.push(level, object)
			level, object = level+1, ch == '{'
			i = space(b, i+1)
			closing = i < len(b) && b[i] == ch+2 // the closing bracket stands two places behind the opening one in ASCII
			if !closing {
				if object {
					i = c.colon(i)
				}
				if i < 0 {
					return -1
				}
				continue
			}
		case 't':
			i = literal(b, i, "true")
		case 'f':
			i = literal(b, i, "false")
		case 'n':
			i = literal(b, i, "null")
		default:
			i = number(b, i)
		}
		if i < 0 {
			return -1
		}
		if i, level, object = c.ended(i, level, object, closing); i < 0 || level == 0 {
			return i
		}
	}
}

// ended goes on behind a value, or at a closing bracket: to where the next value starts, or to the end of the outermost one (level 0).
func (c *cursor) ended(i, level int, object, closing bool) (next, levelThen int, objectThen bool) {
	b := c.b
	for {
		if closing {
			i++
			level--
			object = c.nesting[level>>6]>>(level&63)&1 == 1
		}
		if level == 0 {
			return i, 0, false
		}
		if i = space(b, i); i >= len(b) {
			return -1, 0, false
		}
		switch ch := b[i]; {
		case ch == ',':
			i = space(b, i+1)
			if object {
				i = c.colon(i)
			}
			return i, level, object
		case ch == '}' && object, ch == ']' && !object:
			closing = true
		default:
			return -1, 0, false
		}
	}
}

func (c *cursor) push(level int, object bool) {
	if level>>6 >= len(c.nesting) {
		c.nesting = append(c.nesting, 0)
	}
	bit := uint64(1) << (level & 63)
	if object {
		c.nesting[level>>6] |= bit
	} else {
		c.nesting[level>>6] &^= bit
	}
}

// colon steps from a name to its value.
func (c *cursor) colon(i int) int {
	b := c.b
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i = c.text(i + 1); i < 0 {
		return -1
	}
	if i = space(b, i); i >= len(b) || b[i] != ':' {
		return -1
	}
	return space(b, i+1)
}

func literal(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// number gives the end of the number at i, or -1.
func number(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	default:
		if i = decimals(b, i); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i] == '.' {
		if i = decimals(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return decimals(b, i)
	}
	return i
}

// decimals gives the end of the digits at i, -1 when there are none.
func decimals(b []byte, i int) int {
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// Each of eight bytes.
const (
	ones    = 0x0101010101010101
	tops    = 0x80 * ones
	quotes  = '"' * ones
	slashes = '\\' * ones
	spaces  = ' ' * ones
)

// text gives the end of the string whose text starts at i, or -1.
func (c *cursor) text(i int) int {
	b := c.b
	for {
		if i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			q, s := x^quotes, x^slashes
			// The top bit of each byte that is a quote, a backslash, a control character or not ASCII. A borrow can only
			// mark bytes behind one that is marked rightly, and the first one is all that counts.
			m := (x | (q-ones)&^q | (s-ones)&^s | (x-spaces)&^x) & tops
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
		} else if i = plainEnd(b, i); i >= len(b) {
			return -1
		}
		switch ch := b[i]; {
		case ch == '"':
			return i + 1
		case ch == '\\':
			i = c.escape(i)
		case ch >= utf8.RuneSelf:
			i = c.runes(i)
		default:
			return -1
		}
		if i < 0 {
			return -1
		}
	}
}

// plainEnd gives the first byte from i on that is not plain text within a string, or len(b).
func plainEnd(b []byte, i int) int {
	for i < len(b) && b[i] >= ' ' && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// runes steps over text that is not ASCII.
func (c *cursor) runes(i int) int {
	for i < len(c.b) && c.b[i] >= utf8.RuneSelf {
		r, n := utf8.DecodeRune(c.b[i:])
		if r == utf8.RuneError && n == 1 && !c.lenient {
			return -1
		}
		i += n
	}
	return i
}

// escape steps over the escape sequence at i; surrogates must come in pairs.
func (c *cursor) escape(i int) int {
	b := c.b
	if i+1 >= len(b) {
		return -1
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return -1
	}
	first, ok := hex4(b, i+2)
	if !ok {
		return -1
	}
	i += 6
	if c.lenient || first < 0xd800 || first > 0xdfff {
		return i
	}
	if first >= 0xdc00 || i+1 >= len(b) || b[i] != '\\' || b[i+1] != 'u' {
		return -1
	}
	if second, ok := hex4(b, i+2); !ok || second < 0xdc00 || second > 0xdfff {
		return -1
	}
	return i + 6
}

func hex4(b []byte, i int) (v uint16, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, ch := range b[i : i+4] {
		switch {
		case ch-'0' <= 9:
			ch -= '0'
		case ch|0x20 >= 'a' && ch|0x20 <= 'f':
			ch = ch | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		v = v<<4 | uint16(ch)
	}
	return v, true
}
