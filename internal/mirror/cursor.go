package mirror

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"firth/internal/vector"
)

// ordered reports whether values of a kind can be a cursor.
func ordered(k vector.Kind) bool {
	switch k {
	case vector.Int, vector.Uint, vector.Float, vector.Decimal, vector.Date, vector.Timestamp, vector.TimestampTZ, vector.Text,
		vector.UUID, vector.Blob:
		return true
	}
	return false
}

// usable reports whether a value can be a high mark: infinities and NaN say nothing about what came before.
func usable(v vector.Value) bool {
	switch v.Kind {
	case vector.Null:
		return false
	case vector.Float:
		f := math.Float64frombits(uint64(v.Num))
		return !math.IsNaN(f) && !math.IsInf(f, 0)
	case vector.Decimal:
		return v.Text != "" && (v.Text[len(v.Text)-1] >= '0' && v.Text[len(v.Text)-1] <= '9')
	case vector.Date, vector.Timestamp, vector.TimestampTZ:
		return v.Num != vector.PosInfinity && v.Num != vector.NegInfinity
	}
	return true
}

// compare orders two values of one kind as databases do; NULL is before all. Values of two kinds are ordered by kind.
func compare(a, b vector.Value) int {
	if a.Kind != b.Kind {
		return cmp.Compare(a.Kind, b.Kind)
	}
	switch a.Kind {
	case vector.Null:
		return 0
	case vector.Uint:
		return cmp.Compare(uint64(a.Num), uint64(b.Num))
	case vector.Float:
		return cmp.Compare(math.Float64frombits(uint64(a.Num)), math.Float64frombits(uint64(b.Num)))
	case vector.Decimal:
		return compareDecimals(a.Text, b.Text)
	case vector.Text, vector.JSON, vector.Blob, vector.UUID, vector.TimeTZ:
		return strings.Compare(a.Text, b.Text)
	}
	return cmp.Compare(a.Num, b.Num)
}

func compareDecimals(a, b string) int {
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	if !okX || !okY {
		return strings.Compare(a, b)
	}
	return x.Cmp(y)
}

// behind is the least cursor that rows may still have which were not read when high was the greatest.
func (l *Late) behind(high vector.Value) vector.Value {
	back := Late{Time: DefaultLateTime, Count: DefaultLateCount}
	if l != nil {
		back = *l
	}
	out := high
	switch high.Kind {
	case vector.Int:
		out.Num = high.Num - back.Count
		if out.Num > high.Num {
			out.Num = math.MinInt64
		}
		out.Num = max(out.Num, math.MinInt64>>(64-max(8, int(high.Bits))))
	case vector.Uint:
		out.Num = int64(uint64(high.Num) - min(uint64(high.Num), uint64(back.Count)))
	case vector.Float:
		out.Num = int64(math.Float64bits(math.Float64frombits(uint64(high.Num)) - float64(back.Count)))
	case vector.Timestamp, vector.TimestampTZ:
		out.Num = high.Num - back.Time.Microseconds()
	case vector.Date:
		const day = 24 * time.Hour
		out.Num = high.Num - int64((back.Time+day-1)/day)
	case vector.Text:
		out.Text = earlierObjectID(high.Text, back.Time)
	}
	return out
}

// earlierObjectID moves an id back that is the 24 digits of an ObjectID, whose first eight are seconds; any other stays.
func earlierObjectID(id string, by time.Duration) string {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != 12 || id != hex.EncodeToString(b) {
		return id
	}
	sec := binary.BigEndian.Uint32(b)
	sec -= uint32(min(by/time.Second, time.Duration(sec)))
	return fmt.Sprintf("%08x%016x", sec, 0)
}

// bounded keeps a high mark from lying in the future: one row that does would hide all others until then. ok is false where it did.
func bounded(high vector.Value, now time.Time) (vector.Value, bool) {
	limit := high
	switch high.Kind {
	case vector.TimestampTZ:
		limit.Num = now.UnixMicro()
	case vector.Timestamp:
		limit.Num = now.Add(14 * time.Hour).UnixMicro() // the zone is not known
	case vector.Date:
		limit.Num = now.Add(14*time.Hour).Unix() / 86400
	default:
		return high, true
	}
	if high.Num <= limit.Num {
		return high, true
	}
	return limit, false
}

// window digests the rows that lie close behind the greatest cursor, those that the next run will read again: where it reads the same,
// nothing has changed. Not safe for use by several goroutines.
type window struct {
	late *Late
	now  time.Time
	most int
	high vector.Value
	rows []seen
	full bool // there are too many to remember
	none int64
}

type seen struct {
	at   vector.Value
	hash uint64
}

// A window holds so many rows before it forgets those that the next run will not read, and at most so many: 64 bytes a row, and texts.
const (
	leastWindow = 4_096
	maxWindow   = 100_000
)

// add takes a row.
func (w *window) add(at vector.Value, hash uint64) {
	if !usable(at) {
		if at.Kind == vector.Null {
			w.none++
		}
		w.keep(at, hash)
		return
	}
	if w.high.Kind == vector.Null || compare(at, w.high) > 0 {
		w.high = at
	}
	w.keep(at, hash)
}

func (w *window) keep(at vector.Value, hash uint64) {
	if w.full {
		return
	}
	w.rows = append(w.rows, seen{at, hash})
	if w.most = max(w.most, leastWindow); len(w.rows) < w.most {
		return
	}
	w.prune()
	if len(w.rows) <= w.most/2 {
		return
	}
	if w.most *= 2; w.most > maxWindow {
		w.full, w.rows = true, nil
	}
}

// from is the least cursor of the next run.
func (w *window) from() vector.Value {
	high, _ := bounded(w.high, w.now)
	if high.Kind == vector.Null {
		return high
	}
	return w.late.behind(high)
}

// prune forgets what the next run will not read. Infinities are above all.
func (w *window) prune() {
	from, kept := w.from(), w.rows[:0]
	for _, s := range w.rows {
		if s.at.Kind == vector.Null && from.Kind != vector.Null {
			continue
		}
		if compare(s.at, from) >= 0 {
			kept = append(kept, s)
		}
	}
	w.rows = kept
}

// digest is that of the rows which the next run will read again; nil where there were too many.
func (w *window) digest() *digest {
	if w.full {
		return nil
	}
	w.prune()
	d := &digest{}
	for _, s := range w.rows {
		d.add(s.hash)
	}
	return d
}
