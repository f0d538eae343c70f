package mongo

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/document"
)

// The bytes that tell the types of BSON apart, as bsonspec.org has them.
const (
	tDouble    = 0x01
	tString    = 0x02
	tObject    = 0x03
	tArray     = 0x04
	tBinary    = 0x05
	tUndefined = 0x06
	tObjectID  = 0x07
	tBool      = 0x08
	tDate      = 0x09
	tNull      = 0x0a
	tRegex     = 0x0b
	tPointer   = 0x0c
	tCode      = 0x0d
	tSymbol    = 0x0e
	tScoped    = 0x0f
	tInt32     = 0x10
	tTimestamp = 0x11
	tInt64     = 0x12
	tDecimal   = 0x13
	tMaxKey    = 0x7f
	tMinKey    = 0xff
)

// maxNesting is how deep objects and arrays may lie in each other; a server takes 180 levels.
const maxNesting = 256

// Sizes of what slabs hold, in bytes, about: they only size blocks.
const (
	fieldSize = 120
	valueSize = 104
)

var (
	errShort  = errors.New("the document ends too early")
	errLength = errors.New("a length does not fit")
)

// badDocument is BSON that cannot be read, with the place and the document that it is in.
type badDocument struct {
	id   string // as Extended JSON; empty where it cannot be read either
	path string
	err  error
}

func (e *badDocument) Error() string {
	which := "a document without a readable _id"
	if e.id != "" {
		which = "the document with _id " + e.id
	}
	if e.path != "" {
		which += ", field " + e.path
	}
	return which + ", is not BSON: " + e.err.Error()
}

func (e *badDocument) Unwrap() error { return e.err }

// add decodes one document, whose bytes it copies, and adds it to those of the arena.
func (a *arena) add(raw []byte) error {
	copied := a.bytes.take(len(raw))
	copy(copied, raw)
	a.next = 0
	v := document.Value{Kind: document.Object}
	if err := a.object(&v, copied, 0); err != nil {
		return &badDocument{id: idText(raw), path: err.path(), err: err.err}
	}
	a.docs = append(a.docs, v)
	return nil
}

// fault is an error on its way up, which collects the path.
type fault struct {
	names []string // innermost first
	err   error
}

func (f *fault) path() string {
	var b strings.Builder
	for i := len(f.names) - 1; i >= 0; i-- {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(f.names[i])
	}
	return b.String()
}

func (f *fault) in(name []byte) *fault {
	f.names = append(f.names, strings.ToValidUTF8(string(name), "\uFFFD"))
	return f
}

// body checks the frame of a document and returns its elements.
func body(b []byte) ([]byte, error) {
	if len(b) < 5 {
		return nil, errShort
	}
	if n := binary.LittleEndian.Uint32(b); uint64(n) != uint64(len(b)) {
		return nil, errLength
	}
	if b[len(b)-1] != 0 {
		return nil, errors.New("the document has no end")
	}
	return b[4 : len(b)-1], nil
}

// element cuts the first element off b.
func element(b []byte) (kind byte, name, value, rest []byte, err error) {
	kind = b[0]
	end := bytes.IndexByte(b[1:], 0)
	if end < 0 {
		return 0, nil, nil, nil, errShort
	}
	name, b = b[1:1+end], b[2+end:]
	n, err := size(kind, b)
	if err != nil {
		return kind, name, nil, nil, err
	}
	return kind, name, b[:n], b[n:], nil
}

// size is how many bytes the value at the beginning of b takes, all of which are there.
func size(kind byte, b []byte) (int, error) {
	var n int
	switch kind {
	case tNull, tUndefined, tMinKey, tMaxKey:
		return 0, nil
	case tBool:
		n = 1
	case tInt32:
		n = 4
	case tDouble, tDate, tTimestamp, tInt64:
		n = 8
	case tObjectID:
		n = 12
	case tDecimal:
		n = 16
	case tRegex:
		pattern := bytes.IndexByte(b, 0)
		if pattern < 0 {
			return 0, errShort
		}
		options := bytes.IndexByte(b[pattern+1:], 0)
		if options < 0 {
			return 0, errShort
		}
		return pattern + options + 2, nil
	case tString, tCode, tSymbol, tBinary, tPointer, tObject, tArray, tScoped:
		if len(b) < 4 {
			return 0, errShort
		}
		n = int(int32(binary.LittleEndian.Uint32(b)))
		if n < 0 {
			return 0, errLength
		}
		n += extra(kind)
	default:
		return 0, fmt.Errorf("there is no type 0x%02x", kind)
	}
	if n > len(b) {
		return 0, errShort
	}
	return n, nil
}

// extra is how many bytes a value takes beyond what its length says.
func extra(kind byte) int {
	switch kind {
	case tString, tCode, tSymbol:
		return 4
	case tBinary:
		return 5
	case tPointer:
		return 16
	}
	return 0
}

// count is how many elements there are.
func count(b []byte) (n int, f *fault) {
	for len(b) > 0 {
		_, name, _, rest, err := element(b)
		if err != nil {
			f = &fault{err: err}
			if name != nil {
				f.in(name)
			}
			return 0, f
		}
		b = rest
		n++
	}
	return n, nil
}

// object decodes the fields of a document into v.
func (a *arena) object(v *document.Value, b []byte, depth int) *fault {
	b, n, f := frame(b, depth)
	if f != nil {
		return f
	}
	v.Fields = a.fields.take(n)
	for i := range v.Fields {
		kind, name, value, rest, err := element(b)
		if err != nil {
			return &fault{err: err}
		}
		field := &v.Fields[i]
		field.Name = a.name(name)
		if !utf8.ValidString(field.Name) {
			field.Name = strings.ToValidUTF8(field.Name, "\uFFFD")
		}
		if f := a.value(&field.Value, kind, value, depth); f != nil {
			return f.in(name)
		}
		b = rest
	}
	return nil
}

// array decodes the elements of an array into v; their names are numbers that say nothing.
func (a *arena) array(v *document.Value, b []byte, depth int) *fault {
	b, n, f := frame(b, depth)
	if f != nil {
		return f
	}
	v.Items = a.items.take(n)
	for i := range v.Items {
		kind, name, value, rest, err := element(b)
		if err != nil {
			return &fault{err: err}
		}
		if f := a.value(&v.Items[i], kind, value, depth); f != nil {
			return f.in(name)
		}
		b = rest
	}
	return nil
}

// frame is the elements of a document and their number.
func frame(b []byte, depth int) ([]byte, int, *fault) {
	if depth >= maxNesting {
		return nil, 0, &fault{err: fmt.Errorf("it is nested more than %d levels deep", maxNesting)}
	}
	b, err := body(b)
	if err != nil {
		return nil, 0, &fault{err: err}
	}
	n, f := count(b)
	return b, n, f
}

// value decodes one value, whose bytes are b, into v, which it overwrites.
func (a *arena) value(v *document.Value, kind byte, b []byte, depth int) *fault {
	*v = document.Value{}
	switch kind {
	case tDouble:
		v.Kind, v.Num = document.Double, int64(binary.LittleEndian.Uint64(b))
	case tInt32:
		v.Kind, v.Num = document.Int32, int64(int32(binary.LittleEndian.Uint32(b)))
	case tInt64:
		v.Kind, v.Num = document.Int64, int64(binary.LittleEndian.Uint64(b))
	case tDate:
		v.Kind, v.Num = document.DateTime, int64(binary.LittleEndian.Uint64(b))
	case tTimestamp:
		v.Kind, v.Num = document.Timestamp, int64(binary.LittleEndian.Uint64(b))
	case tObjectID:
		v.Kind, v.Bytes = document.ObjectID, b
	case tNull:
		v.Kind = document.Null
	case tUndefined:
		v.Kind = document.Undefined
	case tMinKey:
		v.Kind = document.MinKey
	case tMaxKey:
		v.Kind = document.MaxKey
	case tBool:
		v.Kind, v.Num = document.Bool, int64(b[0])
		if b[0] > 1 {
			return &fault{err: fmt.Errorf("a boolean is %d", b[0])}
		}
	case tObject:
		v.Kind = document.Object
		return a.object(v, b, depth+1)
	case tArray:
		v.Kind = document.Array
		return a.array(v, b, depth+1)
	default:
		return a.rarer(v, kind, b, depth)
	}
	return nil
}

// rarer decodes the types whose bytes need a look.
func (a *arena) rarer(v *document.Value, kind byte, b []byte, depth int) *fault {
	var err error
	switch kind {
	case tString:
		v.Kind = document.String
		err = text(v, b)
	case tCode:
		v.Kind = document.JavaScript
		err = text(v, b)
	case tSymbol:
		v.Kind = document.Symbol
		err = text(v, b)
	case tBinary:
		v.Kind, v.Sub, v.Bytes = document.Binary, b[4], b[5:]
		if v.Sub == 2 { // the old form has its length once more
			if len(v.Bytes) < 4 || int64(binary.LittleEndian.Uint32(v.Bytes)) != int64(len(v.Bytes)-4) {
				return &fault{err: errLength}
			}
			v.Bytes = v.Bytes[4:]
		}
	case tDecimal:
		v.Kind = document.Decimal
		s := bson.NewDecimal128(binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b)).String()
		v.Bytes = a.bytes.take(len(s))
		copy(v.Bytes, s)
	case tRegex:
		pattern, options, _ := bytes.Cut(b[:len(b)-1], []byte{0})
		v.Kind, v.Bytes, v.Extra = document.Regex, pattern, string(options)
		if !utf8.Valid(pattern) {
			v.Kind, v.Extra = document.Binary, ""
		}
	case tPointer:
		v.Kind, v.Bytes = document.DBPointer, b[len(b)-12:]
		var namespace document.Value
		if err = text(&namespace, b[:len(b)-12]); err == nil {
			v.Extra = strings.ToValidUTF8(string(namespace.Bytes), "\uFFFD")
		}
	case tScoped:
		return a.scoped(v, b, depth)
	}
	if err != nil {
		return &fault{err: err}
	}
	return nil
}

// text is a string with its length before it and a zero behind it. What is not UTF-8, which a server does store, is handed on as the
// bytes that it is: no text column takes them for something else.
func text(v *document.Value, b []byte) error {
	if len(b) < 5 || int64(binary.LittleEndian.Uint32(b)) != int64(len(b)-4) || b[len(b)-1] != 0 {
		return errLength
	}
	v.Bytes = b[4 : len(b)-1]
	if !utf8.Valid(v.Bytes) {
		v.Kind = document.Binary
	}
	return nil
}

// scoped decodes JavaScript with its scope: the whole length, the text, a document.
func (a *arena) scoped(v *document.Value, b []byte, depth int) *fault {
	if len(b) < 14 {
		return &fault{err: errShort}
	}
	n, err := size(tCode, b[4:])
	if err != nil {
		return &fault{err: err}
	}
	v.Kind = document.JavaScript
	if err := text(v, b[4:4+n]); err != nil {
		return &fault{err: err}
	}
	return a.object(v, b[4+n:], depth+1)
}

// idText is the _id of a document that may be broken, for messages.
func idText(raw []byte) string {
	if len(raw) < 5 {
		return ""
	}
	for b := raw[4:]; len(b) > 0 && b[0] != 0; {
		kind, name, value, rest, err := element(b)
		if err != nil {
			return ""
		}
		if string(name) == "_id" {
			return valueText(kind, value)
		}
		b = rest
	}
	return ""
}

// valueText writes a value as people read it.
func valueText(kind byte, b []byte) string {
	switch kind {
	case tObjectID:
		return `ObjectId("` + hex.EncodeToString(b) + `")`
	case tInt32:
		return strconv.FormatInt(int64(int32(binary.LittleEndian.Uint32(b))), 10)
	case tInt64:
		return strconv.FormatInt(int64(binary.LittleEndian.Uint64(b)), 10)
	case tDouble:
		return strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)), 'g', -1, 64)
	case tString:
		var v document.Value
		if text(&v, b) != nil {
			return ""
		}
		return strconv.Quote(string(v.Bytes))
	}
	var v document.Value
	if newArena().value(&v, kind, b, 0) != nil {
		return ""
	}
	return bson.RawValue{Type: bson.Type(kind), Value: b}.String()
}
