package postgres

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"firth/internal/vector"
)

// fitting is a vector whose values the server can hold: rows of which nulls says so are NULL, whatever the vector has.
type fitting struct {
	v     *vector.Vector
	typ   string // of the column
	nulls []bool // nil: none
}

func (f *fitting) valid(row int) bool { return f.v.Valid[row] && (f.nulls == nil || !f.nulls[row]) }

// drop makes a value NULL.
func (f *fitting) drop(row int) {
	if f.nulls == nil {
		f.nulls = make([]bool, f.v.Len())
	}
	f.nulls[row] = true
}

// limits are what differs between servers.
type limits struct {
	infinities bool // numeric has them, since 14
}

// unfit calls tell for every value that the server cannot hold.
func (l limits) unfit(v *vector.Vector, tell func(row int, reason string)) {
	if v.Type.Kind == vector.List && !nested(v.Type) {
		row, last := 0, -1
		l.unfit(v.Items, func(item int, reason string) {
			for v.Offsets[row+1] <= item {
				row++
			}
			if row != last && v.Valid[row] {
				tell(row, reason)
				last = row
			}
		})
		return
	}
	if v.Type.Kind == vector.Text && plainTexts(v) {
		return
	}
	for row, valid := range v.Valid {
		if !valid {
			continue
		}
		if reason := l.misfit(v, row); reason != "" {
			tell(row, reason)
		}
	}
}

// plainTexts reports whether all texts of a vector are such as the server takes: they are where the whole is and each begins with a
// character.
func plainTexts(v *vector.Vector) bool {
	if !utf8.Valid(v.Data) || bytes.IndexByte(v.Data, 0) >= 0 || len(v.Data) > maxText {
		return false
	}
	for _, at := range v.Offsets {
		if at < len(v.Data) && !utf8.RuneStart(v.Data[at]) {
			return false
		}
	}
	return true
}

// misfit says why the server cannot hold a value; "": it can.
func (l limits) misfit(v *vector.Vector, row int) string {
	switch v.Type.Kind {
	case vector.Text, vector.JSON:
		return misfitText(v, row)
	case vector.Blob:
		if len(v.Bytes(row)) > maxText {
			return "is longer than 1 GB"
		}
	case vector.Decimal:
		return l.misfitDecimal(v.Bytes(row), v.Type)
	case vector.Int:
		if n := v.Num(row); v.Type.Bits == 16 && n != int64(int16(n)) || v.Type.Bits == 32 && n != int64(int32(n)) || v.Type.Bits == 8 && n != int64(int8(n)) {
			return "does not fit " + v.Type.String()
		}
	case vector.Uint:
		if bits := v.Type.Bits; bits > 0 && bits < 64 && uint64(v.Num(row))>>bits != 0 {
			return "does not fit " + v.Type.String()
		}
	case vector.Float:
		if f := v.Float(row); v.Type.Bits == 32 && f == f && float64(float32(f)) != f {
			return "does not fit real"
		}
	case vector.List:
		if b := v.AppendJSON(nil, row); !utf8.Valid(b) {
			return "is not UTF-8"
		}
	}
	return misfitTime(v, row)
}

func misfitText(v *vector.Vector, row int) string {
	b := v.Bytes(row)
	switch {
	case !utf8.Valid(b):
		return "is not UTF-8"
	case bytes.IndexByte(b, 0) >= 0:
		return "has the character U+0000, which texts of PostgreSQL cannot hold"
	case len(b) > maxText:
		return "is longer than 1 GB"
	case v.Type.Kind == vector.JSON && !json.Valid(b):
		return "is no JSON"
	}
	return ""
}

// Limits of numeric without a width.
const (
	mostWhole = 131_072
	mostScale = 16_383
)

func (l limits) misfitDecimal(text []byte, t vector.Type) string {
	digits := bytes.TrimPrefix(text, []byte("-"))
	if len(digits) == 0 {
		return "is no decimal"
	}
	bounded := t.Width > 0 && t.Width <= maxNumeric
	switch digits[0] {
	case 'N':
		return ""
	case 'I':
		if bounded || !l.infinities {
			return "does not fit " + sqlType(t)
		}
		return ""
	}
	whole, fraction, _ := bytes.Cut(digits, []byte("."))
	for _, part := range [][]byte{whole, fraction} {
		for _, c := range part {
			if c < '0' || c > '9' {
				return "is no decimal"
			}
		}
	}
	whole = bytes.TrimLeft(whole, "0")
	if !bounded {
		if len(whole) > mostWhole || len(fraction) > mostScale {
			return "has more digits than numeric holds"
		}
		return ""
	}
	if len(whole) > int(t.Width)-int(t.Scale) || len(bytes.TrimRight(fraction, "0")) > int(t.Scale) {
		return "does not fit " + sqlType(t)
	}
	return ""
}

// Days from 1970 that date holds: 4713-01-01 BC (Julian day 0) to 5874897-12-31.
const (
	minDay   = -2_440_588
	maxDay   = 2_145_042_905 - 1
	dayEpoch = 10_957 // 2000-01-01
)

func misfitTime(v *vector.Vector, row int) string {
	switch v.Type.Kind {
	case vector.Date:
		if n := v.Num(row); !infinite(n) && (n < minDay || n > maxDay) {
			return "is outside of what date holds"
		}
	case vector.Timestamp, vector.TimestampTZ:
		if n := v.Num(row); !infinite(n) && (n < minTime+epoch || n-epoch >= maxTime) {
			return "is outside of what timestamp holds"
		}
	case vector.Time:
		if n := v.Num(row); n < 0 || n > 86_400_000_000 {
			return "is outside of what time holds"
		}
	case vector.TimeTZ:
		if _, _, ok := timeTZ(string(v.Bytes(row))); !ok {
			return "is no time with a zone"
		}
	}
	return ""
}

func infinite(n int64) bool { return n == vector.PosInfinity || n == vector.NegInfinity }

// timeTZ reads HH:MM:SS[.ffffff]+HH[:MM[:SS]]: microseconds since midnight, and seconds east of UTC.
func timeTZ(s string) (micros, offset int64, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, 0, false
	}
	seconds, ok := sexagesimal(s[:8])
	if !ok {
		return 0, 0, false
	}
	micros, s = seconds*1_000_000, s[8:]
	if len(s) > 0 && s[0] == '.' {
		s = s[1:]
		for unit := int64(100_000); len(s) > 0 && s[0] >= '0' && s[0] <= '9'; unit /= 10 {
			micros += int64(s[0]-'0') * unit
			s = s[1:]
		}
	}
	if len(s) < 3 || s[0] != '+' && s[0] != '-' {
		return 0, 0, false
	}
	if offset, ok = sexagesimal(s[1:]); !ok || offset >= 16*3600 || micros > 86_400_000_000 {
		return 0, 0, false
	}
	if s[0] == '-' {
		offset = -offset
	}
	return micros, offset, true
}

// sexagesimal reads HH[:MM[:SS]] as seconds.
func sexagesimal(s string) (int64, bool) {
	var n int64
	for _, unit := range []int64{3600, 60, 1} {
		if len(s) < 2 {
			return 0, false
		}
		part, err := strconv.ParseUint(s[:2], 10, 8)
		if err != nil {
			return 0, false
		}
		n += int64(part) * unit
		if s = s[2:]; s == "" {
			return n, true
		}
		if s[0] != ':' {
			return 0, false
		}
		s = s[1:]
	}
	return 0, false
}

// shorten takes values from the end of rows that do not fit into a page, however much of them lies beside it.
func shorten(values []fitting, keep int, rows int, tell func(column, row int)) {
	if len(values) <= maxHeapRow/pointerBytes {
		return
	}
	for row := range rows {
		for last := len(values) - 1; last >= keep && heapRow(values, row) > maxTuple; last-- {
			if values[last].valid(row) {
				values[last].drop(row)
				tell(last, row)
			}
		}
	}
}

// maxTuple is how many bytes of a page of 8 kB one row may take.
const maxTuple = 8160

// heapRow is what a row takes of a page at least, with the place of its order.
func heapRow(values []fitting, row int) int {
	size := (23+(len(values)+8)/8+7)&^7 + 8
	for i := range values {
		f := &values[i]
		if !f.valid(row) {
			continue
		}
		switch f.v.Type.Kind {
		case vector.Bool:
			size++
		case vector.Decimal:
			size += min(len(f.v.Bytes(row))+4, pointerBytes)
		case vector.Text, vector.JSON, vector.Blob:
			size += min(len(f.v.Bytes(row))+1, pointerBytes)
		case vector.List:
			size += pointerBytes
		case vector.UUID, vector.Interval, vector.TimeTZ:
			size += 16
		default:
			width := fixedWidth(f.typ)
			size = (size+width-1)/width*width + width // each begins at a multiple of its width
		}
	}
	return min(size, math.MaxInt32)
}

// fixedWidth is how many bytes a number or a time takes.
func fixedWidth(typ string) int {
	switch typ {
	case "smallint":
		return 2
	case "integer", "real", "date":
		return 4
	}
	return 8
}
