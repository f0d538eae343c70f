package stream

import (
	"errors"
	"io"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"firth/internal/query"
)

// rows implements query.Rows over a streaming result.
type rows struct {
	statement bindings.PreparedStatement
	result    bindings.Result
	started   bool   // result may hold something
	quiet     func() // ends the watch over the context

	columns []query.Column
	readers []reader
	chunk   bindings.DataChunk
	at, end int
	row     []any
	err     error // sticky
}

// describe reads names and types of the columns.
func (r *rows) describe() error {
	n := bindings.ColumnCount(&r.result)
	for i := range n {
		logical := bindings.ColumnLogicalType(&r.result, i)
		read, err := newReader(logical)
		bindings.DestroyLogicalType(&logical)
		if err != nil {
			return err
		}
		r.readers = append(r.readers, read)
		r.columns = append(r.columns, query.Column{Name: bindings.ColumnName(&r.result, i), Type: read.typ})
	}
	r.row = make([]any, n)
	return nil
}

func (r *rows) Columns() []query.Column { return r.columns }

func (r *rows) Next() ([]any, error) {
	for r.at == r.end {
		if r.err == nil {
			r.err = r.fetch()
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	for i := range r.readers {
		r.row[i] = r.readers[i].value(r.at)
	}
	r.at++
	return r.row, nil
}

// fetch takes the next chunk from the engine, which works until it has one.
func (r *rows) fetch() error {
	r.drop()
	r.chunk = bindings.FetchChunk(r.result)
	if r.chunk.Ptr == nil {
		if message := bindings.ResultError(&r.result); message != "" {
			return errors.New(message)
		}
		return io.EOF
	}
	r.at, r.end = 0, int(bindings.DataChunkGetSize(r.chunk))
	for i := range r.readers {
		r.readers[i].point(bindings.DataChunkGetVector(r.chunk, bindings.IdxT(i)))
	}
	return nil
}

func (r *rows) drop() {
	if r.chunk.Ptr != nil {
		bindings.DestroyDataChunk(&r.chunk)
	}
}

// Close stops the engine if it still works on the result. It may be called twice.
func (r *rows) Close() error {
	if r.quiet != nil {
		r.quiet()
		r.quiet = nil
	}
	r.drop()
	if r.started {
		bindings.DestroyResult(&r.result)
		r.started = false
	}
	if r.statement.Ptr != nil {
		bindings.DestroyPrepare(&r.statement)
	}
	r.at, r.end = 0, 0
	if r.err == nil {
		r.err = io.EOF
	}
	return nil
}
