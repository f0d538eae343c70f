package rowfile

import "hash/maphash"

// Sums hashes rows, so that a set of rows can be compared with another whatever their order: values by column, so that columns of
// two rows are not exchanged unseen. Sums of different [Sums] cannot be compared. Safe for concurrent use.
type Sums struct {
	textual []bool
	texts   []maphash.Seed
	numbers []uint64
}

// Sum stands for a set of rows.
type Sum struct {
	Rows int64
	Hash uint64
}

// NewSums returns hashes for files of the table.
func NewSums[T any](t *Table[T]) *Sums {
	s := &Sums{}
	for i := range t.columns {
		seed := maphash.MakeSeed()
		s.textual = append(s.textual, t.columns[i].textual())
		s.texts = append(s.texts, seed)
		s.numbers = append(s.numbers, maphash.Bytes(seed, nil))
	}
	return s
}

// value hashes the value of a column.
func (s *Sums) value(column int, text []byte, number int64, ok bool) uint64 {
	switch {
	case !ok:
		return s.numbers[column]
	case s.textual[column]:
		return maphash.Bytes(s.texts[column], text)
	default:
		return scramble(uint64(number) ^ s.numbers[column])
	}
}

// mark adds the values of the cursor's page to the hashes of their rows, unless they were added before.
func (s *Sums) mark(c *cursor, rows []uint64) {
	for row := max(c.first, c.marked); row < c.end; row++ {
		text, number, ok := c.value(row)
		rows[row] += s.value(c.column, text, number, ok)
	}
	c.marked = max(c.marked, c.end)
}

// scramble is the finalizer of splitmix64.
func scramble(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
