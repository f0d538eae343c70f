package duckdb

import (
	"encoding/json"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"firth/internal/vector"
)

// fitting is a vector that the engine can hold: rows of which nulls says so are NULL, whatever the vector has.
type fitting struct {
	v     *vector.Vector
	nulls []bool // nil: none
}

func (f *fitting) valid(row int) bool { return f.v.Valid[row] && (f.nulls == nil || !f.nulls[row]) }

// fit finds the values of a column that the engine cannot hold; the reasons are by row.
func fit(v *vector.Vector) (f fitting, reasons map[int]string) {
	f.v = v
	unfit(v, func(row int, reason string) {
		if f.nulls == nil {
			f.nulls, reasons = make([]bool, v.Len()), map[int]string{}
		}
		f.nulls[row], reasons[row] = true, reason
	})
	return f, reasons
}

// unfit calls tell for every value that the engine cannot hold.
func unfit(v *vector.Vector, tell func(row int, reason string)) {
	switch v.Type.Kind {
	case vector.List:
		unfitLists(v, tell)
		return
	case vector.Text:
		if wholeText(v) {
			return
		}
	case vector.Null, vector.Bool, vector.Blob, vector.UUID, vector.Interval:
		return
	case vector.Int, vector.Uint:
		if v.Type.Bits != 8 && v.Type.Bits != 16 && v.Type.Bits != 32 {
			return
		}
	case vector.Float:
		if v.Type.Bits != 32 {
			return
		}
	}
	for row, valid := range v.Valid {
		if !valid {
			continue
		}
		if reason := misfitOf(v, row); reason != "" {
			tell(row, reason)
		}
	}
}

// unfitLists: a list with a value that does not fit does not fit as a whole.
func unfitLists(v *vector.Vector, tell func(row int, reason string)) {
	row := 0
	last := -1
	unfit(v.Items, func(item int, reason string) {
		for v.Offsets[row+1] <= item {
			row++
		}
		if row != last && v.Valid[row] {
			tell(row, reason)
			last = row
		}
	})
}

// wholeText reports whether all texts of a vector are UTF-8: they are where the whole is and each begins with a character.
func wholeText(v *vector.Vector) bool {
	if !utf8.Valid(v.Data) {
		return false
	}
	for _, at := range v.Offsets {
		if at < len(v.Data) && !utf8.RuneStart(v.Data[at]) {
			return false
		}
	}
	return true
}

// Limits of the engine's dates and timestamps; the ends stand for infinity.
const (
	maxDay     = math.MaxInt32 - 1
	minInstant = -9_223_372_022_400_000_000
	maxInstant = math.MaxInt64 - 1
	dayMicros  = 86_400_000_000
)

// misfitOf says why the engine cannot hold a value; "": it can.
func misfitOf(v *vector.Vector, row int) string {
	switch v.Type.Kind {
	case vector.Text:
		if !utf8.Valid(v.Bytes(row)) {
			return "is not UTF-8"
		}
	case vector.JSON:
		if b := v.Bytes(row); !utf8.Valid(b) || !json.Valid(b) {
			return "is no JSON"
		}
	case vector.Decimal:
		if !bounded(v.Type) {
			return ""
		}
		_, _, reason := decimal128(v.Bytes(row), v.Type)
		return reason
	case vector.Int:
		if n := v.Num(row); n>>(v.Type.Bits-1) != 0 && n>>(v.Type.Bits-1) != -1 {
			return "does not fit " + mirrorType(v.Type)
		}
	case vector.Uint:
		if uint64(v.Num(row))>>v.Type.Bits != 0 {
			return "does not fit " + mirrorType(v.Type)
		}
	case vector.Float:
		if f := v.Float(row); f == f && float64(float32(f)) != f {
			return "does not fit FLOAT"
		}
	}
	return misfitTime(v, row)
}

func misfitTime(v *vector.Vector, row int) string {
	switch v.Type.Kind {
	case vector.Date:
		if n := v.Num(row); n != vector.PosInfinity && n != vector.NegInfinity && (n > maxDay || n < -maxDay) {
			return "is outside of what DATE holds"
		}
	case vector.Timestamp, vector.TimestampTZ:
		if n := v.Num(row); n != vector.PosInfinity && n != vector.NegInfinity && (n > maxInstant || n < minInstant) {
			return "is outside of what TIMESTAMP holds"
		}
	case vector.Time:
		if n := v.Num(row); n < 0 || n > dayMicros {
			return "is outside of what TIME holds"
		}
	case vector.TimeTZ:
		if _, ok := timeTZ(v.Bytes(row)); !ok {
			return "is no time with a zone"
		}
	}
	return ""
}

// decimal128 reads a canonical decimal as the engine holds it: the digits without the point, in two's complement of 128 bits.
func decimal128(text []byte, t vector.Type) (low uint64, high int64, reason string) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	if len(text) == 0 || text[0] == 'N' || text[0] == 'I' {
		return 0, 0, "is no number that DECIMAL holds"
	}
	var hi, lo uint64
	whole, scale, point := 0, 0, false
	for _, c := range text {
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9':
			return 0, 0, "is no decimal"
		case point && scale == int(t.Scale):
			if c != '0' {
				return 0, 0, "does not fit " + mirrorType(t)
			}
			continue
		case point:
			scale++
		case whole > 0 || c != '0':
			whole++
		}
		if whole > int(t.Width-t.Scale) {
			return 0, 0, "does not fit " + mirrorType(t)
		}
		hi, lo = times10(hi, lo, uint64(c-'0'))
	}
	for ; scale < int(t.Scale); scale++ {
		hi, lo = times10(hi, lo, 0)
	}
	if negative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return lo, int64(hi), ""
}

func times10(hi, lo, plus uint64) (uint64, uint64) {
	if hi == 0 && lo < 1<<59 {
		return 0, lo*10 + plus
	}
	carry, low := bits.Mul64(lo, 10)
	low, over := bits.Add64(low, plus, 0)
	return hi*10 + carry + over, low
}

// timeTZ reads HH:MM:SS[.ffffff]+HH[:MM[:SS]] as the engine holds it: the microseconds, and behind them in 24 bits how far the offset lies
// below the greatest.
func timeTZ(text []byte) (uint64, bool) {
	micros, rest, ok := clock(string(text))
	if !ok || len(rest)%3 != 0 || rest == "" || rest[0] != '+' && rest[0] != '-' {
		return 0, false
	}
	var offset int64
	for i, unit := range []int64{3600, 60, 1} {
		at := 1 + 3*i
		if at >= len(rest) {
			break
		}
		if i > 0 && rest[at-1] != ':' || at+2 > len(rest) {
			return 0, false
		}
		n, err := strconv.ParseUint(rest[at:at+2], 10, 8)
		if err != nil {
			return 0, false
		}
		offset += int64(n) * unit
	}
	if rest[0] == '-' {
		offset = -offset
	}
	const most = 16*3600 - 1
	if offset > most || offset < -most || micros > dayMicros {
		return 0, false
	}
	return uint64(micros)<<24 | uint64(most-offset), true
}

// clock reads HH:MM:SS[.ffffff] from the beginning of a text.
func clock(s string) (micros int64, rest string, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, "", false
	}
	for i, unit := range []int64{3600, 60, 1} {
		n, err := strconv.ParseUint(s[3*i:3*i+2], 10, 8)
		if err != nil {
			return 0, "", false
		}
		micros += int64(n) * unit * 1_000_000
	}
	s = s[8:]
	if len(s) == 0 || s[0] != '.' {
		return micros, s, true
	}
	s = s[1:]
	for unit := int64(100_000); len(s) > 0 && s[0] >= '0' && s[0] <= '9' && unit > 0; unit /= 10 {
		micros += int64(s[0]-'0') * unit
		s = s[1:]
	}
	return micros, s, true
}
