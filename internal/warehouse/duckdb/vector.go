package duckdb

import (
	"context"
	"fmt"
	"math"
	"unicode/utf8"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
	engine "github.com/duckdb/duckdb-go/v2"

	"firth/internal/table"
)

// appender writes rows into a table, or through a statement, by filling the engine's vectors in place: the driver's own
// appender boxes every value and crosses into C for every NULL and every text, which costs more than all the rest of an append.
type appender struct {
	conn    bindings.Connection
	handle  bindings.Appender
	chunk   bindings.DataChunk
	vectors []filling
	texts   *arena
	rows    int // in the chunk
	size    int // rows that a chunk holds
}

// filling is a column of the chunk that is being filled.
type filling struct {
	kind  table.Type
	data  unsafe.Pointer // of size values
	valid []uint64       // a bit a row
}

var logicalTypes = map[table.Type]bindings.Type{
	table.Boolean:   bindings.TypeBoolean,
	table.Integer:   bindings.TypeBigInt,
	table.Float:     bindings.TypeDouble,
	table.Timestamp: bindings.TypeTimestampTZ,
	table.String:    bindings.TypeVarchar,
}

// newTableAppender appends to the named columns of a table; the others are NULL.
func newTableAppender(conn bindings.Connection, texts *arena, catalog, schema, name string, columns []string, kinds []table.Type) (*appender, error) {
	a := &appender{conn: conn, texts: texts}
	if bindings.AppenderCreateExt(conn, catalog, schema, name, &a.handle) == bindings.StateError {
		return nil, a.abandon()
	}
	for _, c := range columns {
		if bindings.AppenderAddColumn(a.handle, c) == bindings.StateError {
			return nil, a.abandon()
		}
	}
	a.begin(kinds)
	return a, nil
}

// newStatementAppender hands the rows to a statement, which knows them as the relation appended_data.
func newStatementAppender(conn bindings.Connection, texts *arena, statement string, columns []string, kinds []table.Type) (*appender, error) {
	a := &appender{conn: conn, texts: texts}
	types := logicals(kinds)
	defer destroy(types)
	if bindings.AppenderCreateQuery(conn, statement, types, "appended_data", columns, &a.handle) == bindings.StateError {
		return nil, a.abandon()
	}
	a.begin(kinds)
	return a, nil
}

func logicals(kinds []table.Type) []bindings.LogicalType {
	types := make([]bindings.LogicalType, len(kinds))
	for i, k := range kinds {
		types[i] = bindings.CreateLogicalType(logicalTypes[k])
	}
	return types
}

func destroy(types []bindings.LogicalType) {
	for i := range types {
		bindings.DestroyLogicalType(&types[i])
	}
}

func (a *appender) begin(kinds []table.Type) {
	types := logicals(kinds)
	defer destroy(types)
	a.chunk = bindings.CreateDataChunk(types)
	a.size = int(bindings.VectorSize())
	a.vectors = make([]filling, len(kinds))
	for i, k := range kinds {
		a.vectors[i].kind = k
	}
	a.reset()
}

// reset makes the chunk one without rows, in which every value is NULL until it is set.
func (a *appender) reset() {
	a.rows = 0
	a.texts.reset()
	bindings.DataChunkReset(a.chunk)
	for i := range a.vectors {
		v := bindings.DataChunkGetVector(a.chunk, bindings.IdxT(i))
		bindings.VectorEnsureValidityWritable(v)
		a.vectors[i].data = bindings.VectorGetData(v)
		a.vectors[i].valid = unsafe.Slice((*uint64)(bindings.VectorGetValidity(v)), (a.size+63)/64)
		clear(a.vectors[i].valid)
	}
}

// set gives the column of the present row a value of the column's type, or fails. Text must be UTF-8.
func (a *appender) set(column int, value table.Value) error {
	v := &a.vectors[column]
	if value.Type != v.kind {
		cast, ok := value.Cast(v.kind)
		if !ok {
			return fmt.Errorf("a value of type %s in a column of type %s", value.Type, v.kind)
		}
		value = cast
	}
	row := uintptr(a.rows)
	switch value.Type {
	case table.Null:
		return nil
	case table.Boolean:
		*(*bool)(unsafe.Add(v.data, row)) = value.Bits != 0
	case table.Integer, table.Timestamp, table.Float:
		*(*uint64)(unsafe.Add(v.data, 8*row)) = value.Bits
	case table.String:
		if err := a.setText((*stringHeader)(unsafe.Add(v.data, 16*row)), value.Text); err != nil {
			return err
		}
	}
	v.valid[row/64] |= 1 << (row % 64)
	return nil
}

// stringHeader is duckdb_string_t of the engine's C API: up to twelve bytes stand within, longer text has its first four here
// and stands elsewhere. What is not used is zero.
type stringHeader struct {
	length uint32
	inline [12]byte
}

const (
	inlineText = 12
	prefixText = 4
)

func (a *appender) setText(h *stringHeader, text string) error {
	if len(text) > math.MaxUint32 {
		return fmt.Errorf("a text of %d bytes", len(text))
	}
	*h = stringHeader{length: uint32(len(text))}
	if len(text) <= inlineText {
		copy(h.inline[:], text)
		return nil
	}
	at, err := a.texts.keep(text)
	if err != nil {
		return err
	}
	copy(h.inline[:prefixText], text)
	*(*uintptr)(unsafe.Pointer(&h.inline[prefixText])) = at
	return nil
}

// next ends the present row.
func (a *appender) next() error {
	a.rows++
	if a.rows < a.size {
		return nil
	}
	return a.push()
}

// push hands the chunk to the engine, which copies it.
func (a *appender) push() error {
	if a.rows == 0 {
		return nil
	}
	bindings.DataChunkSetSize(a.chunk, bindings.IdxT(a.rows))
	if bindings.AppendDataChunk(a.handle, a.chunk) == bindings.StateError {
		return a.failure()
	}
	a.reset()
	return nil
}

// close writes what was appended and frees the appender; when ctx ends it gives up.
func (a *appender) close(ctx context.Context) error {
	if err := a.push(); err != nil {
		return a.cancel(err)
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		bindings.Interrupt(a.conn)
	})
	state := bindings.AppenderFlush(a.handle)
	if !stop() {
		<-done // an interrupt that comes late would hit the next statement
	}
	if state == bindings.StateError {
		return a.cancel(a.failure())
	}
	bindings.DestroyDataChunk(&a.chunk)
	if bindings.AppenderDestroy(&a.handle) == bindings.StateError {
		return fmt.Errorf("free the appender")
	}
	return ctx.Err()
}

// cancel frees the appender, drops what was not written and returns err.
func (a *appender) cancel(err error) error {
	bindings.DestroyDataChunk(&a.chunk)
	bindings.AppenderClear(a.handle)
	bindings.AppenderDestroy(&a.handle)
	return err
}

// abandon is cancel for an appender that could not be made.
func (a *appender) abandon() error {
	err := a.failure()
	bindings.AppenderDestroy(&a.handle)
	return err
}

// failure is the engine's last error of this appender, as the driver would give it.
func (a *appender) failure() error {
	data := bindings.AppenderErrorData(a.handle)
	defer bindings.DestroyErrorData(&data)
	return &engine.Error{Type: engine.ErrorType(bindings.ErrorDataErrorType(data)), Msg: bindings.ErrorDataMessage(data)}
}

func validText(v table.Value) bool { return v.Type != table.String || utf8.ValidString(v.Text) }
