package query

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tableAhead is how many rows a table looks at to find the widths of its columns.
const tableAhead = 200

// WriteTable writes rows in boxes, for people: numbers at the right, NULL in words, what is too long
// for a terminal of width columns cut with an ellipsis (0: never). Widths are those of the first
// rows; a later, longer value is cut.
func WriteTable(w io.Writer, c Cells, width int) error {
	columns := c.Columns()
	head := make([]string, len(columns))
	widths := make([]int, len(columns))
	for i, col := range columns {
		head[i] = printable(col.Name)
		widths[i] = max(columnsOf(head[i]), 1)
	}
	var ahead [][]string
	var failed error
	for len(ahead) < tableAhead && failed == nil {
		var row []string
		if row, failed = tableRow(c); failed == nil {
			ahead = append(ahead, row)
			for i, cell := range row {
				widths[i] = max(widths[i], columnsOf(cell))
			}
		}
	}
	fit(widths, width)
	t := table{bufio.NewWriter(w), columns, widths}
	t.rule("┌", "┬", "┐")
	t.row(head)
	t.rule("├", "┼", "┤")
	for _, row := range ahead {
		t.row(row)
	}
	count := len(ahead)
	for failed == nil {
		var row []string
		if row, failed = tableRow(c); failed == nil {
			t.row(row)
			count++
		}
	}
	t.rule("└", "┴", "┘")
	if errors.Is(failed, io.EOF) {
		failed = nil
		t.foot(count, c.Truncated())
	}
	return errors.Join(failed, t.out.Flush())
}

// tableRow reads the next row as texts.
func tableRow(c Cells) ([]string, error) {
	cells, err := c.NextCells()
	if err != nil {
		return nil, err
	}
	columns := c.Columns()
	out := make([]string, len(cells))
	for i, cell := range cells {
		text, null := plainText(columns[i], cell)
		if null {
			text = "NULL"
		}
		out[i] = printable(text)
	}
	return out, nil
}

type table struct {
	out     *bufio.Writer // keeps its first error
	columns []Column
	widths  []int
}

func (t *table) rule(left, between, right string) {
	for _, w := range t.widths {
		_, _ = t.out.WriteString(left + strings.Repeat("─", w+2))
		left = between
	}
	_, _ = t.out.WriteString(right + "\n")
}

func (t *table) foot(count int, truncated bool) {
	switch {
	case truncated:
		_, _ = fmt.Fprintf(t.out, "the first %d rows; the others were cut\n", count)
	case count == 1:
		_, _ = t.out.WriteString("1 row\n")
	default:
		_, _ = fmt.Fprintf(t.out, "%d rows\n", count)
	}
}

func (t *table) row(cells []string) {
	for i, cell := range cells {
		cell = cut(cell, t.widths[i])
		pad := strings.Repeat(" ", t.widths[i]-columnsOf(cell))
		if numeric(t.columns[i].Type) {
			cell = pad + cell
		} else {
			cell += pad
		}
		_, _ = t.out.WriteString("│ " + cell + " ")
	}
	_, _ = t.out.WriteString("│\n")
}

// fit narrows the widest columns until the table has room in width.
func fit(widths []int, width int) {
	if width <= 0 {
		return
	}
	const narrowest = 4
	for {
		total, widest := 1, 0
		for i, w := range widths {
			total += w + 3
			if w > widths[widest] {
				widest = i
			}
		}
		if total <= width || len(widths) == 0 || widths[widest] <= narrowest {
			return
		}
		widths[widest] = max(narrowest, widths[widest]-max(1, (total-width)/len(widths)))
	}
}

// cut shortens a text to a number of columns, the last of them an ellipsis.
func cut(s string, width int) string {
	if columnsOf(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > width-1 {
			return s[:i] + strings.Repeat("…", width-used+runeColumns(r))
		}
	}
	return s
}

func columnsOf(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// runeColumns is how many columns of a terminal a character takes: none for marks, two for East
// Asian scripts and pictures.
func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), 0xFF01 <= r && r <= 0xFF60, 0x1F300 <= r && r <= 0x1FAFF:
		return 2
	}
	return 1
}

// printable replaces what would break the lines of a table or command the terminal.
func printable(s string) string {
	ok := func(r rune) bool { return r != utf8.RuneError && (r == ' ' || unicode.IsPrint(r)) }
	if strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case ok(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString("⏎")
		case r == '\t':
			b.WriteByte(' ')
		case !unicode.In(r, unicode.Cf):
			b.WriteRune('�')
		}
	}
	return b.String()
}

// unquote reads a JSON string, which is known to be one.
func unquote(cell []byte) string {
	inner := cell[1 : len(cell)-1]
	if !strings.ContainsRune(string(inner), '\\') {
		return string(inner)
	}
	var s string
	if json.Unmarshal(cell, &s) != nil {
		return string(inner)
	}
	return s
}
