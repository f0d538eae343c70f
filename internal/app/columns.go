package app

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// columns prints rows of text under a header, each column as wide as it needs. A header that begins with > is of a column of
// numbers, which stand to the right.
type columns struct {
	header []string
	rows   [][]string
}

func (c *columns) add(cells ...string) { c.rows = append(c.rows, cells) }

func (c *columns) print(w io.Writer) {
	right := make([]bool, len(c.header))
	head := make([]string, len(c.header))
	width := make([]int, len(c.header))
	for i, h := range c.header {
		head[i], right[i] = strings.TrimPrefix(h, ">"), strings.HasPrefix(h, ">")
		width[i] = utf8.RuneCountInString(head[i])
	}
	for _, row := range c.rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(cells []string) {
		var b strings.Builder
		for i, cell := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				b.WriteString(pad + cell + "  ")
			} else {
				b.WriteString(cell + pad + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	line(head)
	for _, row := range c.rows {
		line(row)
	}
}
