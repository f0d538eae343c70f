package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mask replaces a value's canonical text. The zero mask leaves it.
type mask struct {
	hash  bool
	salt  string
	first int // characters that stay; -1: all
}

// newMask reads a rule. Drop is none: the column is not read.
func newMask(rule, salt string) (mask, error) {
	switch {
	case rule == "":
		return mask{first: -1}, nil
	case rule == MaskHash:
		return mask{hash: true, salt: salt, first: -1}, nil
	case strings.HasPrefix(rule, MaskTruncate):
		n, err := strconv.Atoi(strings.TrimSpace(rule[len(MaskTruncate):]))
		if err != nil || n < 0 {
			return mask{}, fmt.Errorf("mask %q: truncate: is followed by a number of characters", rule)
		}
		return mask{first: n}, nil
	}
	return mask{}, fmt.Errorf("mask %q is none of hash, drop, truncate:N", rule)
}

// on reports whether the mask does anything.
func (m mask) on() bool { return m.hash || m.first >= 0 }

// text masks a text.
func (m mask) text(s []byte) []byte {
	switch {
	case m.hash:
		h := sha256.New()
		h.Write([]byte(m.salt))
		h.Write(s)
		return hex.AppendEncode(nil, h.Sum(nil))
	case m.first >= 0:
		return s[:firstChars(s, m.first)]
	}
	return s
}

// firstChars is how many bytes the first n characters take.
func firstChars(s []byte, n int) int {
	at := 0
	for ; n > 0 && at < len(s); n-- {
		_, size := utf8.DecodeRune(s[at:])
		at += size
	}
	return at
}
