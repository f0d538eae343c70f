// Package feed reads JSON values one after the other, as programs and web services hand rows out, into documents.
package feed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/vector"
)

// A batch ends with this many rows or bytes, whichever comes first; one value may have this many bytes.
const (
	batchRows  = 1000
	batchBytes = 1 << 20
	valueBytes = 64 << 20
)

// Reader reads values: one a line, or the elements of one array. A value that is no object becomes one whose only field is the id. It is
// not safe for use by several goroutines.
type Reader struct {
	d       *jsontext.Decoder
	limited *limited
	id      string
	pick    *source.Pick
	arena   document.Arena
	docs    []document.Value
	state   state
	count   int64
	page    *page
}

type state uint8

const (
	begins state = iota
	lines
	elements // of an array
	ended
)

// New reads values from r. id is the name of the field for values that are no objects.
func New(r io.Reader, id string, pick *source.Pick) *Reader {
	l := &limited{r: r}
	return &Reader{d: jsontext.NewDecoder(l, jsontext.AllowDuplicateNames(true)), limited: l, id: id, pick: pick}
}

// Next fills the batch, or returns io.EOF at the end of the input. The end within a value or an array is an error.
func (r *Reader) Next(b *source.Batch) error {
	r.arena.Reset()
	r.docs = r.docs[:0]
	start := r.d.InputOffset()
	for len(r.docs) < batchRows && r.d.InputOffset()-start < batchBytes {
		value, err := r.value()
		if source.AtEnd(err) {
			break
		}
		if err != nil {
			return r.broken(err)
		}
		d, err := document.Parse(r.arena.Keep(value), &r.arena)
		if err != nil {
			return r.broken(err)
		}
		r.count++
		if d.Kind != document.Object {
			d = document.Value{Kind: document.Object, Fields: []document.Field{{Name: r.id, Value: d}}}
		}
		r.pick.Apply(&d)
		r.docs = append(r.docs, d)
	}
	if len(r.docs) == 0 {
		return io.EOF
	}
	b.Chunk, b.Docs, b.Bytes = nil, r.docs, r.d.InputOffset()-start
	return nil
}

// Open reports whether values come line by line, so that nothing but the end of the input tells that they are all there.
func (r *Reader) Open() bool { return r.state == lines }

func (r *Reader) broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ended in the middle of value %d", r.count+1)
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("value %d is no JSON: %w", r.count+1, err)
	}
	return fmt.Errorf("value %d: %w", r.count+1, err)
}

// value is the next value; io.EOF: there is none.
func (r *Reader) value() (jsontext.Value, error) {
	r.limited.left = valueBytes
	if r.state == begins {
		if err := r.begin(); err != nil {
			return nil, err
		}
	}
	switch r.state {
	case elements:
		if r.d.PeekKind() != ']' {
			return r.d.ReadValue()
		}
		return nil, r.end()
	case lines:
		return r.d.ReadValue()
	}
	return nil, io.EOF
}

// begin finds out what the input is.
func (r *Reader) begin() error {
	switch kind := r.d.PeekKind(); {
	case kind == '[':
		r.state = elements
		_, err := r.d.ReadToken()
		return err
	case kind == '{' && r.page != nil:
		r.state = elements
		return r.page.open(r.d)
	}
	r.state = lines
	return nil
}

// end reads what is behind the array.
func (r *Reader) end() error {
	r.state = ended
	if _, err := r.d.ReadToken(); err != nil {
		return err
	}
	if r.page != nil && r.page.within {
		if err := r.page.close(r.d); err != nil {
			return err
		}
	}
	switch _, err := r.d.ReadToken(); {
	case err == nil:
		return errors.New("something follows the array")
	case !source.AtEnd(err):
		return err
	}
	return io.EOF
}

// limited refuses to read more than is left: a value without an end must not fill the memory.
type limited struct {
	r    io.Reader
	left int
}

var errLong = fmt.Errorf("it is longer than %d MiB", valueBytes>>20)

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLong
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// page is an answer that is an object: the rows are the array in it, and a field of it holds the address of the next page.
type page struct {
	next    string
	address string
	within  bool // an object was opened
}

// NewPage reads one answer of a web service: a list of values as [New] takes, or an object with one array, whose elements are the values. next
// names the field of the object that holds the address of the next page.
func NewPage(r io.Reader, id string, pick *source.Pick, next string) *Reader {
	out := New(r, id, pick)
	out.page = &page{next: next}
	return out
}

// Address is that of the next page, once Next has returned io.EOF; empty: there is none.
func (r *Reader) Address() string {
	if r.page == nil {
		return ""
	}
	return r.page.address
}

// open reads up to the array.
func (p *page) open(d *jsontext.Decoder) error {
	p.within = true
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		key := name.String()
		if d.PeekKind() == '[' {
			_, err := d.ReadToken()
			return err
		}
		if err := p.take(d, key); err != nil {
			return err
		}
	}
	return errors.New("the answer is an object without an array of rows")
}

// close reads what is behind the array up to the end of the object.
func (p *page) close(d *jsontext.Decoder) error {
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		key := name.String()
		if d.PeekKind() == '[' {
			return fmt.Errorf("the answer has a second array, %q: which one are the rows?", key)
		}
		if err := p.take(d, key); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

func (p *page) take(d *jsontext.Decoder, key string) error {
	value, err := d.ReadValue()
	if err != nil || key != p.next {
		return err
	}
	if bytes.Equal(value, []byte("null")) {
		return nil
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return fmt.Errorf("the field %s holds no address: %s", key, value)
	}
	p.address = string(text)
	return nil
}

// AppendID writes an id as JSON: a number where it is one, text otherwise.
func AppendID(dst []byte, id vector.Value) []byte {
	v := vector.New(vector.Type{Kind: id.Kind, Bits: id.Bits})
	v.AppendValue(id)
	text := v.AppendText(nil, 0)
	switch id.Kind {
	case vector.Int, vector.Uint:
		return append(dst, text...)
	}
	quoted, err := jsontext.AppendQuote(dst, text)
	if err != nil { // no UTF-8: what is wrong with it is replaced
		quoted, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(string(text), "�"))
	}
	return quoted
}
