package rowfile

import (
	"bytes"
	"errors"
	"slices"
	"sort"
)

// Find hands fn the rows of a textual column whose text holds one of the needles, page by page; a row may come once a needle. The text is
// good until fn returns. A page is searched as a whole, so that what costs is unpacking it.
func (in *Input) Find(column string, needles [][]byte, fn func(row int64, text []byte) error) error {
	if len(needles) == 0 {
		return nil
	}
	c, err := in.cursor(column)
	if err != nil {
		return err
	}
	for row := int64(0); row < in.Rows(); row = c.end {
		if err = c.load(row); err == nil {
			err = c.search(needles, fn)
		}
		if err != nil {
			return errors.Join(err, c.park())
		}
	}
	return c.park()
}

// Pick hands fn the values of some rows of a column, given in ascending order, as Each does.
func (in *Input) Pick(column string, rows []int64, fn func(row int64, text []byte, number int64, ok bool) error) error {
	if len(rows) == 0 {
		return nil
	}
	c, err := in.cursor(column)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row < c.first || row >= c.end {
			err = c.load(row)
		}
		if err == nil {
			text, number, ok := c.value(row)
			err = fn(row, text, number, ok)
		}
		if err != nil {
			return errors.Join(err, c.park())
		}
	}
	return c.park()
}

// search looks through the present page.
func (c *cursor) search(needles [][]byte, fn func(row int64, text []byte) error) error {
	switch {
	case c.lacks():
		return nil
	case c.indexes != nil:
		return c.searchWords(needles, fn)
	case len(c.offsets) < 2:
		return nil
	}
	var rows []int64 // of values
	begin, end := int(c.offsets[0]), int(c.offsets[len(c.offsets)-1])
	for _, needle := range needles {
		for at := begin; at < end; {
			found := bytes.Index(c.data[at:end], needle)
			if found < 0 {
				break
			}
			at += found
			i := sort.Search(len(c.offsets)-1, func(i int) bool { return int(c.offsets[i+1]) > at })
			if at+len(needle) > int(c.offsets[i+1]) { // it begins in one value and ends in the next
				at++
				continue
			}
			if rows == nil {
				rows = c.rows()
			}
			if err := fn(rows[i], c.data[c.offsets[i]:c.offsets[i+1]]); err != nil {
				return err
			}
			at = int(c.offsets[i+1])
		}
	}
	return nil
}

// rows tells the row of each value of the page.
func (c *cursor) rows() []int64 {
	rows := make([]int64, 0, c.end-c.first)
	for row := c.first; row < c.end; row++ {
		if len(c.places) == 0 || c.places[row-c.first] >= 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// searchWords is search for a page whose values are in a dictionary.
func (c *cursor) searchWords(needles [][]byte, fn func(row int64, text []byte) error) error {
	hits := map[int32]bool{}
	for i, word := range c.words {
		if slices.ContainsFunc(needles, func(n []byte) bool { return bytes.Contains(word, n) }) {
			hits[int32(i)] = true
		}
	}
	if len(hits) == 0 {
		return nil
	}
	rows := c.rows()
	for i, word := range c.indexes {
		if hits[word] {
			if err := fn(rows[i], c.words[word]); err != nil {
				return err
			}
		}
	}
	return nil
}
