package rowfile

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
)

// boundRunes is how many characters of a text a bound keeps.
const boundRunes = 64

// Stats say what a written file holds, in the terms of an Iceberg manifest.
type Stats struct {
	Rows    int64
	Splits  []int64 // where row groups start
	Columns []ColumnStats
}

// ColumnStats describe one column of a file.
type ColumnStats struct {
	ID    int
	Name  string
	Kind  Kind
	Size  int64 // bytes on disk
	Nulls int64
	// Min and Max bound the values that are not null; there are none when every value is null.
	Min, Max         int64
	MinText, MaxText string
	bounded          bool
}

func newStats[T any](t *Table[T], rows int) *Stats {
	s := &Stats{Rows: int64(rows), Columns: make([]ColumnStats, len(t.columns))}
	for i := range t.columns {
		c := &t.columns[i]
		s.Columns[i] = ColumnStats{ID: c.ID, Name: c.Name, Kind: c.Kind, Min: math.MaxInt64, Max: math.MinInt64}
	}
	return s
}

func (s *Stats) addFooter(f parquet.FileView) {
	for _, group := range f.Metadata().RowGroups {
		start := int64(math.MaxInt64)
		for i := range group.Columns {
			meta := &group.Columns[i].MetaData
			s.Columns[i].Size += meta.TotalCompressedSize
			start = min(start, meta.DataPageOffset)
			if meta.DictionaryPageOffset > 0 {
				start = min(start, meta.DictionaryPageOffset)
			}
		}
		s.Splits = append(s.Splits, start)
	}
}

func (c *ColumnStats) number(v int64) {
	c.Min, c.Max, c.bounded = min(c.Min, v), max(c.Max, v), true
}

func (c *ColumnStats) text(b []byte) {
	if c.Kind != Text {
		return
	}
	if !c.bounded {
		c.MinText, c.MaxText, c.bounded = string(b), string(b), true
		return
	}
	if string(b) < c.MinText {
		c.MinText = string(b)
	} else if string(b) > c.MaxText {
		c.MaxText = string(b)
	}
}

// Bounds returns the bounds in Iceberg's binary single-value form. Long texts are cut: the lower bound to a prefix, the
// upper one to a prefix raised by one. A missing bound is nil.
func (c *ColumnStats) Bounds() (lower, upper []byte) {
	if !c.bounded {
		return nil, nil
	}
	if c.Kind == Text {
		return []byte(cutLower(c.MinText)), cutUpper(c.MaxText)
	}
	return binary.LittleEndian.AppendUint64(nil, uint64(c.Min)), binary.LittleEndian.AppendUint64(nil, uint64(c.Max))
}

// prefix returns the first n characters and whether that is all.
func prefix(s string, n int) (string, bool) {
	for i := range s {
		if n == 0 {
			return s[:i], false
		}
		n--
	}
	return s, true
}

func cutLower(s string) string {
	cut, _ := prefix(s, boundRunes)
	return cut
}

// cutUpper raises the last character that can be raised; a text of highest characters has no shorter upper bound.
func cutUpper(s string) []byte {
	cut, whole := prefix(s, boundRunes)
	if whole {
		return []byte(s)
	}
	for len(cut) > 0 {
		r, size := utf8.DecodeLastRuneInString(cut)
		cut = cut[:len(cut)-size]
		if next, ok := successor(r); ok {
			return utf8.AppendRune([]byte(cut), next)
		}
	}
	return nil
}

func successor(r rune) (rune, bool) {
	switch r {
	case utf8.MaxRune:
		return 0, false
	case 0xD7FF: // the surrogates are no characters
		return 0xE000, true
	default:
		return r + 1, true
	}
}
