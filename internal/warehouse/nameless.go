package warehouse

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Removed stands in texts for the id of a person who was forgotten.
const Removed = "(removed)"

// Nameless puts Removed in the place of an id wherever it stands in a text by itself: what is next to it is no letter, no digit, no
// underscore and no dash, so that 17 is not found in 1744 nor in a time, and bob not in bobsled.
func Nameless(text, id string) string {
	if id == "" {
		return text
	}
	var b strings.Builder
	for {
		at := nextAlone(text, id)
		if at < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:at])
		b.WriteString(Removed)
		text = text[at+len(id):]
	}
}

// nextAlone is where the id stands by itself first; -1: nowhere.
func nextAlone(text, id string) int {
	for from := 0; ; {
		at := strings.Index(text[from:], id)
		if at < 0 {
			return -1
		}
		at += from
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(id):])
		if (at == 0 || !ofWord(before)) && (at+len(id) == len(text) || !ofWord(after)) {
			return at
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		from = at + size
	}
}

func ofWord(r rune) bool { return r == '_' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) }
