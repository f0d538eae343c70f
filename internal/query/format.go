package query

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Format is a way to write a result.
type Format string

// The formats. The first five are those of HTTP; List and Table are for the command line.
const (
	FormatJSON    Format = "json"    // {"columns": [...], "rows": [[...]]}
	FormatNDJSON  Format = "ndjson"  // one object a line
	FormatCSV     Format = "csv"     // RFC 4180 with a header
	FormatArrow   Format = "arrow"   // an Arrow IPC stream
	FormatParquet Format = "parquet" // one file, zstd
	FormatList    Format = "list"    // a JSON list of objects
	FormatTable   Format = "table"   // boxes, for people
)

// wireFormats are the formats that HTTP offers, with their media types.
var wireFormats = map[Format]string{
	FormatJSON:    "application/json",
	FormatNDJSON:  "application/x-ndjson",
	FormatCSV:     "text/csv; charset=utf-8",
	FormatArrow:   "application/vnd.apache.arrow.stream",
	FormatParquet: "application/vnd.apache.parquet",
}

// MediaType returns the media type of a format that HTTP offers, or "".
func (f Format) MediaType() string { return wireFormats[f] }

// ParseFormat returns the HTTP format of that name; "" is JSON.
func ParseFormat(name string) (Format, error) {
	f := Format(lower(name))
	if f == "" {
		return FormatJSON, nil
	}
	if f.MediaType() == "" {
		return "", &Error{Code: "bad_request", Message: fmt.Sprintf("there is no format %q", name), Hint: "json, ndjson, csv, arrow or parquet", Status: 400}
	}
	return f, nil
}

// Accepted returns the first format that an Accept header names; "" if it names none of ours.
func Accepted(accept string) Format {
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(lower(strings.TrimSpace(part)), ";")
		for _, f := range []Format{FormatJSON, FormatNDJSON, FormatCSV, FormatArrow, FormatParquet} {
			ours, _, _ := strings.Cut(f.MediaType(), ";")
			if strings.TrimSpace(media) == ours {
				return f
			}
		}
	}
	return ""
}

// Cells is a result whose values are JSON texts: a *Result, or one that came over HTTP.
type Cells interface {
	Columns() []Column
	// NextCells returns the values of the next row, valid until the next call, or io.EOF.
	NextCells() ([][]byte, error)
	// Truncated says whether the row cap cut the result; it is known after io.EOF.
	Truncated() bool
}

// NextCells implements Cells.
func (r *Result) NextCells() ([][]byte, error) {
	row, err := r.Next()
	if err != nil {
		return nil, err
	}
	if r.cells == nil {
		r.cells = make([][]byte, len(r.columns))
	}
	for i := range row {
		r.cells[i] = AppendJSON(r.cells[i][:0], &r.columns[i].Type, row[i])
	}
	return r.cells, nil
}

// ErrorJSON is an error as replies carry it.
func ErrorJSON(e *Error) []byte {
	dst := appendString([]byte(`{"code":`), string(e.Code))
	dst = appendString(append(dst, `,"message":`...), e.Message)
	if e.Hint != "" {
		dst = appendString(append(dst, `,"hint":`...), e.Hint)
	}
	return append(dst, '}')
}

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

// WriteJSON writes columns and rows as one object. If the query fails on the way the object ends with
// a member "error", which is returned too.
func WriteJSON(w io.Writer, c Cells) error {
	out := bufio.NewWriterSize(w, 32<<10)
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
	case errors.As(failed, &e):
		line = append(append(line, `,"error":`...), ErrorJSON(e)...)
	case failed != nil:
		return failed
	case c.Truncated():
		line = append(line, `,"truncated":true`...)
	}
	_, _ = out.Write(append(line, "}\n"...))
	return errors.Join(failed, out.Flush())
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
	out := bufio.NewWriterSize(w, 32<<10)
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
	if tail == "" && errors.As(failed, &e) {
		line = append(append(append(line[:0], `{"error":`...), ErrorJSON(e)...), "}\n"...)
		_, _ = out.Write(line)
	} else {
		_, _ = out.WriteString(tail)
	}
	return errors.Join(failed, out.Flush())
}

// WriteCSV writes a header and the rows after RFC 4180, with the given line end. NULL is empty, an
// empty text is "". What is not a plain value is JSON. A query that fails on the way leaves the rows
// written so far, and the error.
func WriteCSV(w io.Writer, c Cells, lineEnd string) error {
	out := bufio.NewWriterSize(w, 32<<10)
	var line []byte
	for i, col := range c.Columns() {
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
			if text, null := plainText(cell); !null {
				line = appendCSV(line, text)
			}
		}
		_, err := out.Write(append(line, lineEnd...))
		return err
	})
	return errors.Join(failed, out.Flush())
}

func appendCSV(dst []byte, field string) []byte {
	if field != "" && !strings.ContainsAny(field, "\",\r\n") && field[0] != ' ' && field[len(field)-1] != ' ' {
		return append(dst, field...)
	}
	return append(append(append(dst, '"'), strings.ReplaceAll(field, `"`, `""`)...), '"')
}

// plainText is the text of a JSON value: strings without quotes, everything else as it is.
func plainText(cell []byte) (text string, null bool) {
	switch {
	case string(cell) == "null":
		return "", true
	case len(cell) > 1 && cell[0] == '"':
		return unquote(cell), false
	default:
		return string(cell), false
	}
}

// numeric says whether the values of a type line up at the right.
func numeric(t Type) bool {
	return slices.Contains([]Kind{Int, Uint, BigInt, Decimal, Float, Double}, t.Kind)
}
