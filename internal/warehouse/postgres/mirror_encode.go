package postgres

import (
	"encoding/binary"
	"io"
	"math"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"

	"firth/internal/vector"
)

// chunkReader writes rows of vectors in COPY's binary format as they are asked for.
type chunkReader struct {
	values []fitting
	rows   int
	order  int64 // of the first row, in a column of its own behind the others; -1: there is none

	mu    sync.Mutex // the driver may read on for a moment after a connection broke
	row   int
	buf   []byte
	at    int
	begun bool
	ended bool
}

// Read implements io.Reader.
func (r *chunkReader) Read(to []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return 0, errEnded
	}
	if r.at == len(r.buf) {
		r.buf, r.at = r.buf[:0], 0
		r.fill()
	}
	if len(r.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(to, r.buf[r.at:])
	r.at += n
	return n, nil
}

// end keeps later reads from touching the rows.
func (r *chunkReader) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

func (r *chunkReader) fill() {
	if !r.begun {
		r.begun = true
		r.buf = append(r.buf, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	}
	be := binary.BigEndian
	columns := len(r.values)
	if r.order >= 0 {
		columns++
	}
	for r.row < r.rows && len(r.buf) < filled {
		r.buf = be.AppendUint16(r.buf, uint16(columns))
		for i := range r.values {
			f := &r.values[i]
			if !f.valid(r.row) {
				r.buf = append(r.buf, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			r.buf = appendValue(r.buf, f.v, r.row, f.typ)
		}
		if r.order >= 0 {
			r.buf = be.AppendUint64(append(r.buf, 0, 0, 0, 8), uint64(r.order)+uint64(r.row))
		}
		r.row++
	}
	if r.row == r.rows {
		r.buf = append(r.buf, 0xff, 0xff)
		r.row++
	}
}

// sized adds a value whose length is known when it is written.
func sized(b []byte, write func([]byte) []byte) []byte {
	at := len(b)
	b = write(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// appendValue writes a value that fits, with its length before it. typ is the type of the column where that is not told by the kind.
func appendValue(b []byte, v *vector.Vector, row int, typ string) []byte {
	be := binary.BigEndian
	switch v.Type.Kind {
	case vector.Bool:
		return append(b, 0, 0, 0, 1, byte(v.Num(row)))
	case vector.Int:
		return appendWhole(b, v.Num(row), v.Type.Bits)
	case vector.Uint:
		if v.Type.Bits == 0 || v.Type.Bits > 32 {
			return sized(b, func(b []byte) []byte { return appendNumeric(b, strconv.AppendUint(nil, uint64(v.Num(row)), 10)) })
		}
		return appendWhole(b, v.Num(row), v.Type.Bits+1)
	case vector.Float:
		if v.Type.Bits == 32 {
			return be.AppendUint32(append(b, 0, 0, 0, 4), math.Float32bits(float32(v.Float(row))))
		}
		return be.AppendUint64(append(b, 0, 0, 0, 8), uint64(v.Num(row)))
	case vector.Decimal:
		return sized(b, func(b []byte) []byte { return appendNumeric(b, v.Bytes(row)) })
	case vector.List:
		if nested(v.Type) {
			return sized(b, func(b []byte) []byte { return v.AppendJSON(b, row) })
		}
		return sized(b, func(b []byte) []byte { return appendArray(b, v, row) })
	case vector.Date, vector.Time, vector.TimeTZ, vector.Timestamp, vector.TimestampTZ, vector.Interval:
		return appendTime(b, v, row)
	}
	data := v.Bytes(row)
	if typ == "jsonb" {
		b = append(be.AppendUint32(b, uint32(len(data)+1)), 1)
		return append(b, data...)
	}
	return append(be.AppendUint32(b, uint32(len(data))), data...)
}

// appendWhole writes an integer in the type that wholeType gives for its bits.
func appendWhole(b []byte, n int64, bits uint8) []byte {
	be := binary.BigEndian
	switch {
	case bits == 0 || bits > 32:
		return be.AppendUint64(append(b, 0, 0, 0, 8), uint64(n))
	case bits > 16:
		return be.AppendUint32(append(b, 0, 0, 0, 4), uint32(n))
	}
	return be.AppendUint16(append(b, 0, 0, 0, 2), uint16(n))
}

func appendTime(b []byte, v *vector.Vector, row int) []byte {
	be := binary.BigEndian
	switch v.Type.Kind {
	case vector.Date:
		day := int32(max(min(v.Num(row)-dayEpoch, math.MaxInt32), math.MinInt32))
		switch v.Num(row) {
		case vector.PosInfinity:
			day = math.MaxInt32
		case vector.NegInfinity:
			day = math.MinInt32
		}
		return be.AppendUint32(append(b, 0, 0, 0, 4), uint32(day))
	case vector.Time:
		return be.AppendUint64(append(b, 0, 0, 0, 8), uint64(v.Num(row)))
	case vector.TimeTZ:
		micros, offset, _ := timeTZ(string(v.Bytes(row)))
		return be.AppendUint32(be.AppendUint64(append(b, 0, 0, 0, 12), uint64(micros)), uint32(int32(-offset)))
	case vector.Interval:
		s := v.Spans[row]
		b = be.AppendUint64(append(b, 0, 0, 0, 16), uint64(s.Micros))
		return be.AppendUint32(be.AppendUint32(b, uint32(s.Days)), uint32(s.Months))
	}
	n := v.Num(row)
	if !infinite(n) {
		n -= epoch
	}
	return be.AppendUint64(append(b, 0, 0, 0, 8), uint64(n))
}

// appendNumeric writes a canonical decimal in the server's form: digits to the base of 10,000, how many of them stand before the point, the
// sign, and how many decimal digits stand behind it.
func appendNumeric(b, text []byte) []byte {
	be := binary.BigEndian
	sign := uint16(0)
	if text[0] == '-' {
		sign, text = 0x4000, text[1:]
	}
	switch text[0] {
	case 'N':
		return append(b, 0, 0, 0, 0, 0xc0, 0, 0, 0)
	case 'I':
		if sign != 0 {
			return append(b, 0, 0, 0, 0, 0xf0, 0, 0, 0)
		}
		return append(b, 0, 0, 0, 0, 0xd0, 0, 0, 0)
	}
	point := len(text)
	for i, c := range text {
		if c == '.' {
			point = i
			break
		}
	}
	scale := max(len(text)-point-1, 0)
	digit := func(i int) uint16 { // of the text without the point, counted from it
		if i += point; i >= point {
			i++
		}
		if i < 0 || i >= len(text) {
			return 0
		}
		return uint16(text[i] - '0')
	}
	groups := (point + 3) / 4
	weight := groups - 1
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	count, last := 0, 0 // groups written; those up to the last that is not zero
	for g := -groups; g < (scale+3)/4; g++ {
		n := digit(4*g)*1000 + digit(4*g+1)*100 + digit(4*g+2)*10 + digit(4*g+3)
		if n == 0 && count == 0 {
			weight--
			continue
		}
		b = be.AppendUint16(b, n)
		if count++; n != 0 {
			last = count
		}
	}
	b = b[:at+8+2*last]
	if last == 0 {
		weight, sign = 0, 0
	}
	be.PutUint16(b[at:], uint16(last))
	be.PutUint16(b[at+2:], uint16(int16(weight)))
	be.PutUint16(b[at+4:], sign)
	be.PutUint16(b[at+6:], uint16(scale))
	return b
}

// oids of the types of arrays' elements.
func oidOf(typ string) uint32 {
	switch typ {
	case "boolean":
		return pgtype.BoolOID
	case "smallint":
		return pgtype.Int2OID
	case "integer":
		return pgtype.Int4OID
	case "bigint":
		return pgtype.Int8OID
	case "real":
		return pgtype.Float4OID
	case "double precision":
		return pgtype.Float8OID
	case "json":
		return pgtype.JSONOID
	case "bytea":
		return pgtype.ByteaOID
	case "uuid":
		return pgtype.UUIDOID
	case "date":
		return pgtype.DateOID
	case "time without time zone":
		return pgtype.TimeOID
	case "time with time zone":
		return pgtype.TimetzOID
	case "timestamp without time zone":
		return pgtype.TimestampOID
	case "timestamp with time zone":
		return pgtype.TimestamptzOID
	case "interval":
		return pgtype.IntervalOID
	case "text":
		return pgtype.TextOID
	}
	return pgtype.NumericOID
}

// appendArray writes a list as an array of one dimension.
func appendArray(b []byte, v *vector.Vector, row int) []byte {
	be := binary.BigEndian
	lo, hi := v.ListAt(row)
	nulls, dimensions := uint32(0), uint32(1)
	for i := lo; i < hi; i++ {
		if !v.Items.Valid[i] {
			nulls = 1
		}
	}
	if lo == hi {
		dimensions = 0
	}
	b = be.AppendUint32(be.AppendUint32(be.AppendUint32(b, dimensions), nulls), oidOf(sqlType(v.Items.Type)))
	if lo == hi {
		return b
	}
	b = be.AppendUint32(be.AppendUint32(b, uint32(hi-lo)), 1)
	for i := lo; i < hi; i++ {
		if !v.Items.Valid[i] {
			b = append(b, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		b = appendValue(b, v.Items, i, "")
	}
	return b
}
