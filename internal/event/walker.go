package event

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// walker reads tokens straight from a byte slice. Duplicate names are allowed.
type walker struct {
	buf                 bytes.Buffer
	dec                 jsontext.Decoder
	duplicates, lenient jsontext.Options
	scratch             []byte
}

func (w *walker) reset(b []byte, lenient bool) {
	if w.duplicates == nil {
		w.duplicates, w.lenient = jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)
	}
	w.buf = *bytes.NewBuffer(b)
	if lenient {
		w.dec.Reset(&w.buf, w.duplicates, w.lenient)
	} else {
		w.dec.Reset(&w.buf, w.duplicates)
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
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], nil
	}
	w.scratch = appendUnquoted(w.scratch[:0], v)
	return w.scratch, nil
}
