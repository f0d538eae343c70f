package query

import (
	"fmt"
	"io"
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

// Write writes a result in any format, for the command line; csv ends its lines as Unix does. width is
// that of the terminal for a table, 0 for none.
func Write(w io.Writer, format Format, r *Result, width int) error {
	switch format {
	case FormatArrow:
		return WriteArrow(w, r)
	case FormatParquet:
		return WriteParquet(w, r)
	default:
		return WriteCells(w, format, r, width)
	}
}

// WriteCells is Write for the formats made of texts.
func WriteCells(w io.Writer, format Format, c Cells, width int) error {
	switch format {
	case FormatJSON:
		return WriteJSON(w, c)
	case FormatList:
		return WriteList(w, c)
	case FormatNDJSON:
		return WriteNDJSON(w, c)
	case FormatCSV:
		return WriteCSV(w, c, "\n")
	case FormatTable:
		return WriteTable(w, c, width)
	}
	return fmt.Errorf("there is no text format %q", format)
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
