package query

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
)

// each calls row with every row of c, and returns the error that ended them; nil at the end.
func each(c Cells, row func([][]byte) error) error {
	for {
		cells, err := c.NextCells()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := row(cells); err != nil {
			return err
		}
	}
}

// output buffers what a writer writes. While nothing has left it, a failed query can still become an
// error reply of its own. It keeps its first error until the flush.
type output struct {
	*bufio.Writer
	sent bool
	w    io.Writer
}

// outputBytes is how much a reply holds back.
const outputBytes = 32 << 10

func newOutput(w io.Writer) *output {
	o := &output{w: w}
	o.Writer = bufio.NewWriterSize(writerFunc(func(p []byte) (int, error) {
		o.sent = true
		return o.w.Write(p)
	}), outputBytes)
	return o
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// finish flushes what is buffered, unless the query failed before anything was sent.
func (o *output) finish(failed error) error {
	if failed != nil && !o.sent {
		return failed
	}
	return errors.Join(failed, o.Flush())
}

// WriteJSON writes columns and rows as one object. If the query fails on the way, the object ends with
// a member "error", which is returned too. Like every writer here it writes nothing at all if the
// query fails while the first bytes are still held back.
func WriteJSON(w io.Writer, c Cells) error {
	out := newOutput(w)
	line := []byte(`{"columns":[`)
	for i, col := range c.Columns() {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendString(append(line, `{"name":`...), col.Name)
		line = append(appendString(append(line, `,"type":`...), col.Type.Name), '}')
	}
	_, _ = out.Write(append(line, `],"rows":[`...)) // a bufio.Writer keeps its error
	separator := "\n["
	failed := each(c, func(cells [][]byte) error {
		line = append(line[:0], separator...)
		separator = ",\n["
		for i, cell := range cells {
			if i > 0 {
				line = append(line, ',')
			}
			line = append(line, cell...)
		}
		_, err := out.Write(append(line, ']'))
		return err
	})
	line = append(line[:0], "\n]"...)
	var e *Error
	switch {
	case failed != nil && !out.sent:
		return failed
	case errors.As(failed, &e):
		line = append(append(line, `,"error":`...), ErrorJSON(e)...)
	case failed != nil:
		return failed
	case c.Truncated():
		line = append(line, `,"truncated":true`...)
	}
	_, _ = out.Write(append(line, "}\n"...))
	return out.finish(failed)
}

// WriteNDJSON writes a row a line, as objects. If the query fails on the way the last line is
// {"error": ...}, and the error is returned too.
func WriteNDJSON(w io.Writer, c Cells) error {
	return writeObjects(w, c, "", "\n", "\n", "")
}

// WriteList writes rows as one JSON list of objects.
func WriteList(w io.Writer, c Cells) error {
	return writeObjects(w, c, "[", "\n", ",\n", "\n]\n")
}

// writeObjects writes rows as objects between head and tail. NDJSON ends each row with its separator;
// a list has it between rows, and shows no error: the command line prints it elsewhere.
func writeObjects(w io.Writer, c Cells, head, first, next, tail string) error {
	out := newOutput(w)
	var keys [][]byte
	for _, col := range c.Columns() {
		keys = append(keys, append(appendString(nil, col.Name), ':'))
	}
	_, _ = out.WriteString(head)
	var line []byte
	separator := first
	failed := each(c, func(cells [][]byte) error {
		line = line[:0]
		if tail != "" {
			line = append(line, separator...)
		}
		separator = next
		line = append(line, '{')
		for i, cell := range cells {
			if i > 0 {
				line = append(line, ',')
			}
			line = append(append(line, keys[i]...), cell...)
		}
		line = append(line, '}')
		if tail == "" {
			line = append(line, next...)
		}
		_, err := out.Write(line)
		return err
	})
	var e *Error
	switch {
	case failed != nil && !out.sent:
	case tail == "" && errors.As(failed, &e):
		line = append(append(append(line[:0], `{"error":`...), ErrorJSON(e)...), "}\n"...)
		_, _ = out.Write(line)
	default:
		if separator == first {
			tail = strings.TrimPrefix(tail, "\n")
		}
		_, _ = out.WriteString(tail)
	}
	return out.finish(failed)
}

// WriteCSV writes a header and the rows after RFC 4180, with the given line end. NULL is empty, an
// empty text is "". What is not a plain value is JSON. A query that fails on the way leaves the rows
// written so far, and the error.
func WriteCSV(w io.Writer, c Cells, lineEnd string) error {
	out := newOutput(w)
	var line []byte
	columns := c.Columns()
	for i, col := range columns {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendCSV(line, col.Name)
	}
	_, _ = out.Write(append(line, lineEnd...))
	failed := each(c, func(cells [][]byte) error {
		line = line[:0]
		for i, cell := range cells {
			if i > 0 {
				line = append(line, ',')
			}
			if text, null := plainText(columns[i], cell); !null {
				line = appendCSV(line, text)
			}
		}
		_, err := out.Write(append(line, lineEnd...))
		return err
	})
	return out.finish(failed)
}

func appendCSV(dst []byte, field string) []byte {
	if field != "" && !strings.ContainsAny(field, "\",\r\n") {
		return append(dst, field...)
	}
	return append(append(append(dst, '"'), strings.ReplaceAll(field, `"`, `""`)...), '"')
}

// plainText is the text of a value: strings without quotes, everything else, and what is JSON in the
// database, as it is.
func plainText(col Column, cell []byte) (text string, null bool) {
	switch {
	case string(cell) == "null":
		return "", true
	case len(cell) > 1 && cell[0] == '"' && col.Type.Name != "JSON":
		return unquote(cell), false
	default:
		return string(cell), false
	}
}

// numeric says whether the values of a type line up at the right.
func numeric(t Type) bool {
	return slices.Contains([]Kind{Int, Uint, BigInt, Decimal, Float, Double}, t.Kind)
}
