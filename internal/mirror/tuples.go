package mirror

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"firth/internal/vector"
)

// tuples follows PostgreSQL's binary COPY format as it goes by, in pieces of any size: it counts rows and NULLs, digests the rows and
// reads the cursor. It takes the bytes that it is given as they are and keeps none but those of a row whose end has not come.
type tuples struct {
	digest     digest
	nulls      []int64 // by column
	cursor     int     // column; -1: none
	cursorType vector.Type
	window     window

	count func(rows, bytes int64) // told now and then
	told  int64
	bytes int64

	state uint8
	carry []byte
}

// States of tuples.
const (
	inHeader uint8 = iota
	inRows
	atEnd
)

// copySignature begins the format.
const copySignature = "PGCOPY\n\xff\r\n\x00"

// errTuples says that what goes by is not the format.
var errTuples = errors.New("the rows are not in PostgreSQL's binary format of COPY")

// Write follows some bytes.
func (t *tuples) Write(p []byte) (int, error) {
	n, rows := len(p), t.digest.Rows
	buf := p
	if len(t.carry) > 0 {
		t.carry = append(t.carry, p...)
		buf = t.carry
	}
	for len(buf) > 0 {
		k, err := t.next(buf)
		if err != nil {
			return 0, err
		}
		if k == 0 {
			break
		}
		buf = buf[k:]
	}
	t.carry = append(t.carry[:0], buf...)
	t.bytes += int64(n)
	if t.count != nil {
		t.told += t.digest.Rows - rows
		t.count(t.digest.Rows-rows, int64(n))
	}
	return n, nil
}

// end fails where the bytes stopped before the mark of the end.
func (t *tuples) end() error {
	if t.state != atEnd {
		return fmt.Errorf("%w: the end is missing", errTuples)
	}
	return nil
}

// next takes the header, one row or the end mark, and gives its length; 0: there is more to come of it.
func (t *tuples) next(b []byte) (int, error) {
	switch t.state {
	case inHeader:
		return t.header(b)
	case inRows:
		return t.row(b)
	}
	return 0, fmt.Errorf("%w: something comes behind the end", errTuples)
}

func (t *tuples) header(b []byte) (int, error) {
	have := min(len(b), len(copySignature))
	if string(b[:have]) != copySignature[:have] {
		return 0, errTuples
	}
	const fixed = len(copySignature) + 8
	if len(b) < fixed {
		return 0, nil
	}
	if flags := binary.BigEndian.Uint32(b[len(copySignature):]); flags != 0 {
		return 0, fmt.Errorf("%w: its flags are %x", errTuples, flags)
	}
	extra := binary.BigEndian.Uint32(b[fixed-4:])
	if extra > 1<<20 {
		return 0, fmt.Errorf("%w: a header of %d bytes", errTuples, extra)
	}
	n := fixed + int(extra)
	if len(b) < n {
		return 0, nil
	}
	t.state = inRows
	return n, nil
}

func (t *tuples) row(b []byte) (int, error) {
	if len(b) < 2 {
		return 0, nil
	}
	fields := int(int16(binary.BigEndian.Uint16(b)))
	if fields == -1 {
		t.state = atEnd
		return 2, nil
	}
	if fields != len(t.nulls) {
		return 0, fmt.Errorf("%w: a row of %d columns, not %d", errTuples, fields, len(t.nulls))
	}
	at := 2
	var cursor []byte
	for i := range fields {
		if len(b) < at+4 {
			return 0, nil
		}
		size := int(int32(binary.BigEndian.Uint32(b[at:])))
		at += 4
		switch {
		case size == -1:
			continue
		case size < 0:
			return 0, fmt.Errorf("%w: a value of %d bytes", errTuples, size)
		case len(b)-at < size:
			return 0, nil
		}
		if i == t.cursor {
			cursor = b[at : at+size]
		}
		at += size
	}
	return at, t.take(b[:at], cursor)
}

// take counts a row that is there as a whole.
func (t *tuples) take(row, cursor []byte) error {
	at := 2
	for i := range t.nulls {
		size := int32(binary.BigEndian.Uint32(row[at:]))
		at += 4
		if size < 0 {
			t.nulls[i]++
			continue
		}
		at += int(size)
	}
	hash := xxhash.Sum64(row)
	t.digest.add(hash)
	if t.cursor < 0 {
		return nil
	}
	v, err := t.value(cursor)
	if err == nil {
		t.window.add(v, hash)
	}
	return err
}

// Microseconds and days from 1970 to 2000, where PostgreSQL begins to count.
const (
	days2000   = 10957
	micros2000 = days2000 * 86400 * 1_000_000
)

// value reads the cursor.
func (t *tuples) value(b []byte) (vector.Value, error) {
	if b == nil {
		return vector.Value{}, nil
	}
	out := vector.Value{Kind: t.cursorType.Kind, Bits: t.cursorType.Bits}
	switch len(b) {
	case 2:
		out.Num = int64(int16(binary.BigEndian.Uint16(b)))
	case 4:
		out.Num = int64(int32(binary.BigEndian.Uint32(b)))
	case 8:
		out.Num = int64(binary.BigEndian.Uint64(b))
	default:
		return out, fmt.Errorf("%w: a cursor of %d bytes", errTuples, len(b))
	}
	switch out.Kind {
	case vector.Date:
		out.Num = since(out.Num, days2000, 1<<31-1, -1<<31)
	case vector.Timestamp, vector.TimestampTZ:
		out.Num = since(out.Num, micros2000, vector.PosInfinity, vector.NegInfinity)
	}
	return out, nil
}

// since counts from 1970 what is counted from 2000; the greatest and the least number are infinities.
func since(n, from, greatest, least int64) int64 {
	switch n {
	case greatest:
		return vector.PosInfinity
	case least:
		return vector.NegInfinity
	}
	return n + from
}
