package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"firth/internal/query"
)

// Rows is a reply of POST /api/sql, read as it comes; it implements query.Cells. It is used by one goroutine.
type Rows struct {
	body      io.Closer
	d         *json.Decoder
	columns   []query.Column
	cells     [][]byte
	raw       []json.RawMessage
	truncated bool
	err       error // sticky
}

// Rows runs a statement. The rows must be closed.
func (c *Client) Rows(ctx context.Context, req query.Request) (*Rows, error) {
	resp, err := c.post(ctx, query.FormatJSON, req) //nolint:bodyclose // Rows.Close closes it
	if err != nil {
		return nil, err
	}
	r := &Rows{body: resp.Body, d: json.NewDecoder(resp.Body)}
	if err := r.head(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the reply: %w", err), r.Close())
	}
	return r, nil
}

// head reads up to the first row.
func (r *Rows) head() error {
	var columns []struct{ Name, Type string }
	if err := errors.Join(r.expect(json.Delim('{')), r.expect("columns")); err != nil {
		return err
	}
	if err := r.d.Decode(&columns); err != nil {
		return err
	}
	for _, c := range columns {
		r.columns = append(r.columns, query.Column{Name: c.Name, Type: query.NamedType(c.Type)})
	}
	return errors.Join(r.expect("rows"), r.expect(json.Delim('[')))
}

func (r *Rows) expect(want json.Token) error {
	got, err := r.d.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v came where %v was due", got, want)
	}
	return err
}

// Columns implements query.Cells. Of a type only what the reply tells is known: its name, and whether it
// is a number.
func (r *Rows) Columns() []query.Column { return r.columns }

// NextCells implements query.Cells. A query that fails on the way is a *query.Error.
func (r *Rows) NextCells() ([][]byte, error) {
	if r.err == nil && !r.d.More() {
		r.err = r.tail()
	}
	if r.err == nil {
		r.raw = r.raw[:0]
		if err := r.d.Decode(&r.raw); err != nil {
			r.err = fmt.Errorf("read a row: %w", err)
		} else if len(r.raw) != len(r.columns) {
			r.err = fmt.Errorf("a row has %d values for %d columns", len(r.raw), len(r.columns))
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	r.cells = r.cells[:0]
	for _, cell := range r.raw {
		r.cells = append(r.cells, cell)
	}
	return r.cells, nil
}

// tail reads what follows the rows; io.EOF is success.
func (r *Rows) tail() error {
	if err := r.expect(json.Delim(']')); err != nil {
		return fmt.Errorf("the reply is cut off: %w", err)
	}
	for r.d.More() {
		name, err := r.d.Token()
		if err != nil {
			return fmt.Errorf("the reply is cut off: %w", err)
		}
		switch name {
		case "truncated":
			err = r.d.Decode(&r.truncated)
		case "error":
			var e wireError
			if err = r.d.Decode(&e); err == nil {
				return e.error(http.StatusOK)
			}
		default:
			var other json.RawMessage
			err = r.d.Decode(&other)
		}
		if err != nil {
			return fmt.Errorf("read the end of the reply: %w", err)
		}
	}
	return io.EOF
}

// Truncated implements query.Cells.
func (r *Rows) Truncated() bool { return r.truncated }

// Close gives the connection up.
func (r *Rows) Close() error { return r.body.Close() }
