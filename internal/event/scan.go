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
type Scanner struct{ w walker }

// Scan checks a body with a Scanner of its own; see [Scanner.Scan].
func Scan(body []byte, batch bool) (Envelope, error) {
	var s Scanner
	return s.Scan(body, batch)
}

// Scan walks over the body once: strict JSON (RFC 8259), of which duplicate names and invalid UTF-8 within strings are forgiven, an
// object, with an array called batch where batch is set. Several arrays called batch count as one. The error is a *BodyError.
func (s *Scanner) Scan(body []byte, batch bool) (Envelope, error) {
	env, err := s.scan(body, batch, false)
	if e, ok := errors.AsType[*BodyError](err); ok && e.Reason == ReasonMalformedJSON {
		// Invalid text is rare: only what has failed strictly is looked at again with more patience.
		env, err = s.scan(body, batch, true)
		env.InvalidText = true
	}
	if err != nil {
		return Envelope{}, err
	}
	return env, nil
}

func (s *Scanner) scan(body []byte, batch, lenient bool) (Envelope, error) {
	env := Envelope{Count: 1}
	w := &s.w
	w.reset(body, lenient)
	defer w.release()
	if w.dec.PeekKind() != '{' {
		return env, w.notObject()
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return env, bodyError(err)
	}
	start, found := w.offset()-1, false
	for w.dec.PeekKind() != '}' {
		name, err := w.name()
		if err != nil {
			return env, bodyError(err)
		}
		if batch && string(name) == "batch" && w.dec.PeekKind() == '[' {
			if !found {
				env.Count, found = 0, true
			}
			if err := s.items(&env); err != nil {
				return env, bodyError(err)
			}
			continue
		}
		isKey := string(name) == "writeKey"
		value, err := w.dec.ReadValue()
		if err != nil {
			return env, bodyError(err)
		}
		if isKey {
			env.WriteKey = unquoted(value)
		}
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return env, bodyError(err)
	}
	env.Size = w.offset() - start
	if _, err := w.dec.ReadToken(); err != io.EOF {
		return env, bodyError(err)
	}
	if batch && !found {
		return env, &BodyError{ReasonMissingBatch, `the body needs an array called "batch"`}
	}
	return env, nil
}

func (s *Scanner) items(env *Envelope) error {
	dec := &s.w.dec
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if env.First == nil && v[0] == '{' {
			env.First = v
		}
		env.Count++
	}
	_, err := dec.ReadToken()
	return err
}

// ItemWriteKey looks for a write key in the first item of a batch, for bodies whose envelope has none.
func (s *Scanner) ItemWriteKey(env *Envelope) []byte {
	if env.First == nil {
		return nil
	}
	item, err := s.scan(env.First, false, env.InvalidText)
	if err != nil {
		return nil
	}
	return item.WriteKey
}

// walker reads tokens straight from a byte slice.
type walker struct {
	buf             bytes.Buffer
	dec             jsontext.Decoder
	strict, lenient jsontext.Options
	scratch         []byte
}

func (w *walker) reset(b []byte, lenient bool) {
	if w.strict == nil {
		w.strict = jsontext.AllowDuplicateNames(true)
		w.lenient = jsontext.AllowInvalidUTF8(true)
	}
	w.buf = *bytes.NewBuffer(b)
	if lenient {
		w.dec.Reset(&w.buf, w.strict, w.lenient)
	} else {
		w.dec.Reset(&w.buf, w.strict)
	}
}

// release lets go of the bytes that were walked over.
func (w *walker) release() { w.reset(nil, false) }

// offset is where the last token or value ended.
func (w *walker) offset() int { return int(w.dec.InputOffset()) }

// name reads a member's name, unquoted; it is valid until the next read.
func (w *walker) name() ([]byte, error) {
	v, err := w.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	return w.plain(v), nil
}

// plain unquotes a JSON string, into scratch where it is escaped.
func (w *walker) plain(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	w.scratch = appendUnquoted(w.scratch[:0], quoted)
	return w.scratch
}

// notObject tells a body that is not an object from one that is not JSON.
func (w *walker) notObject() error {
	if _, err := w.dec.ReadValue(); err != nil {
		return bodyError(err)
	}
	if _, err := w.dec.ReadToken(); err != io.EOF {
		return bodyError(err)
	}
	return &BodyError{ReasonNotObject, "the body must be a JSON object"}
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

// appendUnquoted appends the text of a JSON string that is known to be well formed.
func appendUnquoted(dst, quoted []byte) []byte {
	// The error can only be of text that is not UTF-8; U+FFFD is appended in its place all the same.
	dst, _ = jsontext.AppendUnquote(dst, quoted)
	return dst
}

func bodyError(err error) error {
	switch {
	case err == nil:
		return &BodyError{ReasonMalformedJSON, "something follows the JSON value"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &BodyError{ReasonMalformedJSON, "the JSON ends before its end"}
	}
	// The library names itself first; that says nothing to the caller.
	return &BodyError{ReasonMalformedJSON, strings.TrimPrefix(err.Error(), "jsontext: ")}
}
