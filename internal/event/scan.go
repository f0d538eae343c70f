package event

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Envelope is what the collector must know of a body before it is journaled.
type Envelope struct {
	WriteKey []byte // of the top level; nil when there is none; points into the body, or is a copy where it was escaped
	Count    int    // items of a batch; 1 for a single call
	Size     int    // bytes of the value without the white space around it: the size of a single call
	First    []byte // the first item of a batch that is an object, for ItemWriteKey
	// InvalidText tells that the body has bytes that are not UTF-8, or half of a surrogate pair, within its strings.
	InvalidText bool
}

// BodyError tells why a body cannot be taken.
type BodyError struct {
	Reason string // one of the reasons of dead letters
	Detail string // for people
}

func (e *BodyError) Error() string { return e.Reason + ": " + e.Detail }

// Scanner checks bodies. It is not goroutine-safe; its zero value is ready.
type Scanner struct{ c cursor }

// Scan checks a body with a Scanner of its own; see [Scanner.Scan].
func Scan(body []byte, batch bool) (Envelope, error) {
	var s Scanner
	return s.Scan(body, batch)
}

// Scan walks over the body once: strict JSON (RFC 8259), of which duplicate names and invalid UTF-8 within strings are forgiven, an
// object, with an array called batch where batch is set. Several arrays called batch count as one. The error is a *BodyError.
func (s *Scanner) Scan(body []byte, batch bool) (Envelope, error) {
	defer s.c.reset(nil, false)
	env, found := s.scan(body, batch, false)
	if s.c.bad {
		// Invalid text is rare: only what has failed strictly is looked at again with more patience.
		env, found = s.scan(body, batch, true)
		env.InvalidText = true
	}
	if s.c.bad {
		return Envelope{}, explain(body)
	}
	if batch && !found {
		return Envelope{}, &BodyError{ReasonMissingBatch, `the body needs an array called "batch"`}
	}
	return env, nil
}

// scan sets s.c.bad where the body is not an object.
func (s *Scanner) scan(body []byte, batch, lenient bool) (env Envelope, found bool) {
	c := &s.c
	c.reset(body, lenient)
	env.Count = 1
	c.enter('{')
	start := c.i - 1
	for first := true; c.more(first, '}'); first = false {
		quoted, _ := c.name()
		name := c.plain(quoted)
		if batch && string(name) == "batch" && c.peek() == '[' {
			if !found {
				env.Count, found = 0, true
			}
			s.items(&env)
			continue
		}
		isKey := string(name) == "writeKey"
		if v := c.value(); isKey {
			env.WriteKey = unquoted(v.of(body))
		}
	}
	env.Size = c.i - start
	if !c.end() {
		c.fail()
	}
	return env, found
}

func (s *Scanner) items(env *Envelope) {
	c := &s.c
	c.enter('[')
	for first := true; c.more(first, ']'); first = false {
		v := c.value()
		if env.First == nil && !c.bad && c.b[v.start] == '{' {
			env.First = v.of(c.b)
		}
		env.Count++
	}
}

// ItemWriteKey looks for a write key in the first item of a batch, for bodies whose envelope has none.
func (s *Scanner) ItemWriteKey(env *Envelope) []byte {
	if env.First == nil {
		return nil
	}
	item, _ := s.scan(env.First, false, true)
	return item.WriteKey
}

// unquoted gives the text of a JSON string, nil for any other value.
func unquoted(v []byte) []byte {
	if len(v) < 2 || v[0] != '"' {
		return nil
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	return appendUnquoted(nil, v)
}

// explain says why a body is not one JSON object.
func explain(body []byte) *BodyError {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	_, err := dec.ReadValue()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &BodyError{ReasonMalformedJSON, "the JSON ends before its end"}
	case err != nil:
		// The library names itself first; that says nothing to the caller.
		return &BodyError{ReasonMalformedJSON, strings.TrimPrefix(err.Error(), "jsontext: ")}
	}
	if _, err = dec.ReadToken(); !errors.Is(err, io.EOF) {
		return &BodyError{ReasonMalformedJSON, "something follows the JSON value"}
	}
	return &BodyError{ReasonNotObject, "the body must be a JSON object"}
}
