package query

import (
	"database/sql/driver"
	"errors"
	"io"
)

// errBroken makes database/sql drop a connection instead of keeping it for the next query.
var errBroken = driver.ErrBadConn

// Result is the answer to a query, row by row. It is used by one goroutine.
type Result struct {
	rows      Rows
	explain   func(error) *Error
	reason    func(error) error // finds out what an interrupt hides
	closers   []func() error
	columns   []Column
	pending   []any // the first row, read ahead so that a query that fails at once fails in Query
	ahead     bool
	count     int
	maxRows   int
	cells     [][]byte
	truncated bool
	done      bool
}

func (r *Result) onClose(f func() error) { r.closers = append(r.closers, f) }

// begin reads the first row.
func (r *Result) begin() error {
	r.columns = r.rows.Columns()
	names := make([]string, len(r.columns))
	for i, c := range r.columns {
		names[i] = c.Name
	}
	for i, name := range unique(names) {
		r.columns[i].Name = name
	}
	row, err := r.rows.Next()
	switch {
	case errors.Is(err, io.EOF):
		r.done = true
	case err != nil:
		return r.reason(err)
	}
	r.pending, r.ahead = row, err == nil
	return nil
}

// Columns returns names and types of the columns.
func (r *Result) Columns() []Column { return r.columns }

// Next returns the next row, valid until the next call, or io.EOF. Every other error is an *Error.
func (r *Result) Next() ([]any, error) {
	if r.done {
		return nil, io.EOF
	}
	row := r.pending
	if !r.ahead {
		var err error
		if row, err = r.rows.Next(); err != nil {
			r.done = true
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, r.explain(r.reason(err))
		}
	}
	r.ahead = false
	if r.maxRows > 0 && r.count == r.maxRows {
		r.truncated, r.done = true, true
		return nil, io.EOF
	}
	r.count++
	return row, nil
}

// Truncated says whether the row cap cut the result; it is known when Next has returned io.EOF.
func (r *Result) Truncated() bool { return r.truncated }

// Count is how many rows Next has returned.
func (r *Result) Count() int { return r.count }

// Close stops the engine if it still works on the query, and gives the place up. It may be called twice.
func (r *Result) Close() error {
	var errs []error
	for len(r.closers) > 0 {
		last := len(r.closers) - 1
		errs = append(errs, r.closers[last]())
		r.closers = r.closers[:last]
	}
	r.done = true
	return errors.Join(errs...)
}
