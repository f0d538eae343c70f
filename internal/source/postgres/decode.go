package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"firth/internal/vector"
)

// form is how a value is written in the binary format of COPY.
type form uint8

const (
	formText  form = iota // its bytes are the text: text, enums, json
	formBytes             // bytea, uuid
	formBool
	formInt2
	formInt4
	formInt8
	formUint4
	formFloat4
	formFloat8
	formNumeric
	formJSONB
	formDate
	formTimestamp
	formTimestampTZ
	formTime
	formTimeTZ
	formInterval
	formArray
)

// Days and microseconds between 1970-01-01 and 2000-01-01, where the server begins to count.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86400 * 1_000_000
)

// signature begins what COPY writes in binary; flags and the length of an extension follow.
const signature = "PGCOPY\n\xff\r\n\x00"

var errShort = errors.New("the row has not come whole")

// decoder makes vectors of the bytes of a COPY in the binary format, in whatever pieces they come. A piece usually is one row.
type decoder struct {
	fields []field
	chunk  *vector.Chunk
	checks bool // the database's encoding is none: texts may be anything

	rest         []byte // of a row that has not come whole
	begun, ended bool
}

// feed takes a piece. After an error the decoder is of no use.
func (d *decoder) feed(b []byte) error {
	if len(d.rest) > 0 {
		d.rest = append(d.rest, b...)
		b = d.rest
	}
	n, err := d.take(b)
	if err != nil {
		return err
	}
	d.rest = append(d.rest[:0], b[n:]...)
	return nil
}

// take decodes what is whole and returns how many bytes that was.
func (d *decoder) take(b []byte) (int, error) {
	at := 0
	if !d.begun {
		n, err := header(b)
		if err != nil || n == 0 {
			return 0, err
		}
		d.begun, at = true, n
	}
	for len(b)-at >= 2 {
		if d.ended {
			return at, errors.New("the server sent rows behind the end of the copy")
		}
		fields := int16(binary.BigEndian.Uint16(b[at:]))
		if fields == -1 {
			d.ended = true
			at += 2
			continue
		}
		if int(fields) != len(d.fields) {
			return at, fmt.Errorf("the server sent a row of %d columns where %d were asked for", fields, len(d.fields))
		}
		n, err := d.row(b[at+2:])
		if err != nil {
			d.undo()
			if errors.Is(err, errShort) {
				return at, nil
			}
			return at, err
		}
		at += 2 + n
		d.chunk.Rows++
	}
	return at, nil
}

// header is the length of the header, 0 where it has not come whole.
func header(b []byte) (int, error) {
	if n := min(len(b), len(signature)); string(b[:n]) != signature[:n] {
		return 0, errors.New("the server sent something else than a binary copy")
	}
	if len(b) < len(signature)+8 {
		return 0, nil
	}
	flags := binary.BigEndian.Uint32(b[len(signature):])
	extra := binary.BigEndian.Uint32(b[len(signature)+4:])
	if flags&0xffff0000 != 0 || extra > 1<<20 {
		return 0, errors.New("the server sent a binary copy of an unknown kind")
	}
	if n := len(signature) + 8 + int(extra); len(b) >= n {
		return n, nil
	}
	return 0, nil
}

// undo drops what there is of a row that was begun.
func (d *decoder) undo() {
	for _, v := range d.chunk.Vectors {
		if v.Len() > d.chunk.Rows {
			v.Truncate(d.chunk.Rows)
		}
	}
	for n := len(d.chunk.Rejects); n > 0 && d.chunk.Rejects[n-1].Row >= d.chunk.Rows; n-- {
		d.chunk.Rejects = d.chunk.Rejects[:n-1]
	}
}

// row decodes the values of one row and returns how many bytes they took.
func (d *decoder) row(b []byte) (int, error) {
	at := 0
	for i := range d.fields {
		if len(b)-at < 4 {
			return 0, errShort
		}
		size := int(int32(binary.BigEndian.Uint32(b[at:])))
		at += 4
		if size < 0 {
			d.chunk.Vectors[i].AppendNull()
			continue
		}
		if len(b)-at < size {
			return 0, errShort
		}
		value := b[at : at+size]
		at += size
		f := &d.fields[i]
		reason, err := d.value(d.chunk.Vectors[i], f.form, f.elem, value)
		if err != nil {
			return 0, fmt.Errorf("column %s: %w", f.Name, err)
		}
		if reason != "" {
			d.chunk.Vectors[i].AppendNull()
			d.chunk.Rejects = append(d.chunk.Rejects, vector.Reject{
				Row: d.chunk.Rows, Column: f.Name, Value: string(appendText(nil, f.form, f.elem, value)), Reason: reason,
			})
		}
	}
	return at, nil
}

// sizes of the values whose size is fixed.
var sizes = [...]int{ //nolint:gochecknoglobals // a constant table
	formBool: 1, formInt2: 2, formInt4: 4, formInt8: 8, formUint4: 4, formFloat4: 4, formFloat8: 8, formDate: 4, formTimestamp: 8, formTimestampTZ: 8, formTime: 8,
	formTimeTZ: 12, formInterval: 16, formArray: 0,
}

// value appends a value. Where it has no place in the vector it appends nothing and says why.
func (d *decoder) value(v *vector.Vector, f, elem form, b []byte) (reason string, err error) {
	if n := sizes[f]; n > 0 && len(b) != n {
		return "", fmt.Errorf("the server sent %d bytes where %d belong", len(b), n)
	}
	be := binary.BigEndian
	switch f {
	case formText:
		if d.checks && !utf8.Valid(b) {
			return "the text is not UTF-8", nil
		}
		v.AppendBytes(b)
	case formBytes:
		if v.Type.Kind == vector.UUID && len(b) != 16 {
			return "", fmt.Errorf("the server sent a uuid of %d bytes", len(b))
		}
		v.AppendBytes(b)
	case formBool:
		v.AppendBool(b[0] != 0)
	case formInt2:
		v.AppendNum(int64(int16(be.Uint16(b))))
	case formInt4:
		v.AppendNum(int64(int32(be.Uint32(b))))
	case formUint4:
		v.AppendNum(int64(be.Uint32(b)))
	case formInt8, formFloat8:
		v.AppendNum(int64(be.Uint64(b)))
	case formFloat4:
		v.AppendFloat(float64(math.Float32frombits(be.Uint32(b))))
	case formNumeric:
		return "", appendNumericTo(v, b)
	case formJSONB:
		if len(b) == 0 || b[0] != 1 {
			return "", errors.New("the server sent jsonb of an unknown version")
		}
		if d.checks && !utf8.Valid(b) {
			return "the text is not UTF-8", nil
		}
		v.AppendBytes(b[1:])
	case formArray:
		return d.array(v, elem, b)
	default:
		return temporal(v, f, b), nil
	}
	return "", nil
}

// temporal appends a date, a time or an interval.
func temporal(v *vector.Vector, f form, b []byte) (reason string) {
	be := binary.BigEndian
	switch f {
	case formDate:
		switch n := int32(be.Uint32(b)); n {
		case math.MaxInt32:
			v.AppendNum(vector.PosInfinity)
		case math.MinInt32:
			v.AppendNum(vector.NegInfinity)
		default:
			v.AppendNum(int64(n) + epochDays)
		}
	case formTimestamp, formTimestampTZ:
		switch n := int64(be.Uint64(b)); {
		case n == math.MaxInt64, n == math.MinInt64:
			v.AppendNum(n) // the infinities are the same numbers
		case n >= math.MaxInt64-epochMicros:
			return "the time lies after 294247-01-10 04:00:54.775806"
		default:
			v.AppendNum(n + epochMicros)
		}
	case formTime:
		v.AppendNum(int64(be.Uint64(b)))
	case formTimeTZ:
		v.Data = appendTimeTZ(v.Data, b)
		v.Offsets = append(v.Offsets, len(v.Data))
		v.Valid = append(v.Valid, true)
	case formInterval:
		s := span(b)
		if infinite(s) != "" {
			return "an interval without end"
		}
		v.AppendSpan(s)
	}
	return ""
}

// span reads an interval.
func span(b []byte) vector.Span {
	be := binary.BigEndian
	return vector.Span{Micros: int64(be.Uint64(b)), Days: int32(be.Uint32(b[8:])), Months: int32(be.Uint32(b[12:]))}
}

// infinite names an interval without end, which servers have from version 17 on.
func infinite(s vector.Span) string {
	switch s {
	case vector.Span{Micros: math.MaxInt64, Days: math.MaxInt32, Months: math.MaxInt32}:
		return "infinity"
	case vector.Span{Micros: math.MinInt64, Days: math.MinInt32, Months: math.MinInt32}:
		return "-infinity"
	}
	return ""
}

// arrayHeader reads the head of an array and returns how many dimensions it has, where its elements begin and how many there are.
func arrayHeader(b []byte) (dims, at, elements int, err error) {
	if len(b) < 12 {
		return 0, 0, 0, errors.New("the server sent an array without a head")
	}
	dims = int(int32(binary.BigEndian.Uint32(b)))
	if dims < 0 || dims > 6 || len(b) < 12+8*dims {
		return 0, 0, 0, fmt.Errorf("the server sent an array of %d dimensions", dims)
	}
	if dims == 0 {
		return 0, 12, 0, nil
	}
	elements = 1
	for i := range dims {
		size := dimension(b, i)
		if size < 0 || size > len(b) {
			return 0, 0, 0, errors.New("the server sent an array of an impossible size")
		}
		if elements *= size; elements > len(b)/4 {
			return 0, 0, 0, errors.New("the server sent an array that is cut off")
		}
	}
	return dims, 12 + 8*dims, elements, nil
}

// dimension is the size of the i-th dimension of an array whose head is whole.
func dimension(b []byte, i int) int { return int(int32(binary.BigEndian.Uint32(b[12+8*i:]))) }

// element cuts the next element off an array; nil is NULL.
func element(b []byte, at int) (value []byte, next int, err error) {
	if len(b)-at < 4 {
		return nil, 0, errors.New("the server sent an array that is cut off")
	}
	size := int(int32(binary.BigEndian.Uint32(b[at:])))
	at += 4
	if size < 0 {
		return nil, at, nil
	}
	if len(b)-at < size {
		return nil, 0, errors.New("the server sent an array that is cut off")
	}
	return b[at : at+size : at+size], at + size, nil
}

// array appends an array of one dimension.
func (d *decoder) array(v *vector.Vector, elem form, b []byte) (reason string, err error) {
	dims, at, n, err := arrayHeader(b)
	if err != nil {
		return "", err
	}
	if dims > 1 {
		if err := wellFormed(d, v, elem, b, at, n); err != nil {
			return "", err
		}
		return fmt.Sprintf("an array of %d dimensions in a list", dims), nil
	}
	was := v.Items.Len()
	for range n {
		var value []byte
		if value, at, err = element(b, at); err != nil {
			return "", err
		}
		if value == nil {
			v.Items.AppendNull()
			continue
		}
		if reason, err = d.value(v.Items, elem, 0, value); reason != "" || err != nil {
			v.Items.Truncate(was)
			return reason, err
		}
	}
	v.EndList()
	return "", nil
}

// wellFormed checks the elements of an array that is not kept, so that its text can be made.
func wellFormed(d *decoder, v *vector.Vector, elem form, b []byte, at, n int) error {
	was := v.Items.Len()
	defer v.Items.Truncate(was)
	for range n {
		value, next, err := element(b, at)
		if err != nil {
			return err
		}
		if at = next; value == nil {
			continue
		}
		if _, err := d.value(v.Items, elem, 0, value); err != nil {
			return err
		}
	}
	return nil
}
