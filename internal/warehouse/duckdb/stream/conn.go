// Package stream reads the result of one statement off a DuckDB connection while the engine still
// makes it. The driver's own rows are complete before the first one is handed out, in memory that the
// engine's memory_limit does not count; here the engine stops and waits when the reader is behind.
//
// It opens nothing: it works on connections of a *sql.DB that the driver opened.
package stream

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"sync/atomic"
	"time"

	bindings "github.com/duckdb/duckdb-go-bindings"
	"github.com/duckdb/duckdb-go/v2"

	"firth/internal/query"
)

// Stream starts a statement as query.Driver has it. A text that is not one SELECT or EXPLAIN is an error
// before it is run.
func Stream(ctx context.Context, conn *sql.Conn, text string, params []any) (query.Rows, error) {
	handle, err := handleOf(conn)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &rows{}
	r.interruptWhen(ctx, handle)
	if err := r.open(handle, text, params); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Handle is the engine's connection within the driver's. It is the driver's still: whoever has it uses it while nothing else
// does, and closes nothing.
func Handle(conn *sql.Conn) (bindings.Connection, error) { return handleOf(conn) }

// handleOf takes the engine's connection out of the driver's. The driver has no accessor for it; its
// pinned version and the test of this function keep the look inside honest.
func handleOf(conn *sql.Conn) (handle bindings.Connection, err error) {
	err = conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*duckdb.Conn)
		if !ok {
			return fmt.Errorf("not a DuckDB connection: %T", driverConn)
		}
		field := reflect.ValueOf(c).Elem().FieldByName("conn")
		if !field.IsValid() || field.Type() != reflect.TypeFor[bindings.Connection]() {
			return errors.New("the driver's connection has another shape than expected")
		}
		handle.Ptr = field.FieldByName("Ptr").UnsafePointer()
		return nil
	})
	return handle, err
}

// interruptWhen stops the engine when ctx ends, until Close. One interrupt may get lost between two
// steps of the engine, so it is repeated.
func (r *rows) interruptWhen(ctx context.Context, handle bindings.Connection) {
	var closed atomic.Bool
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		for !closed.Load() {
			bindings.Interrupt(handle)
			time.Sleep(5 * time.Millisecond)
		}
	})
	r.quiet = func() {
		closed.Store(true)
		if !stop() {
			<-done
		}
	}
}

// open prepares, binds and starts text.
func (r *rows) open(handle bindings.Connection, text string, params []any) error {
	var list bindings.ExtractedStatements
	count := bindings.ExtractStatements(handle, text, &list)
	defer bindings.DestroyExtracted(&list)
	if count != 1 {
		if message := bindings.ExtractStatementsError(list); message != "" {
			return errors.New(message)
		}
		return fmt.Errorf("%d statements where one is due", count)
	}
	if bindings.PrepareExtractedStatement(handle, list, 0, &r.statement) == bindings.StateError {
		return errors.New(bindings.PrepareError(r.statement))
	}
	switch kind := bindings.PreparedStatementType(r.statement); kind {
	case bindings.StatementTypeSelect, bindings.StatementTypeExplain:
	default:
		return fmt.Errorf("Invalid Input Error: Cannot execute statement of type %d", kind) //nolint:staticcheck // worded as the engine does
	}
	if err := bind(r.statement, params); err != nil {
		return err
	}
	var pending bindings.PendingResult
	defer bindings.DestroyPending(&pending)
	if bindings.PendingPreparedStreaming(r.statement, &pending) == bindings.StateError { //nolint:staticcheck // deprecated without a successor; see the package comment
		return errors.New(bindings.PendingError(pending))
	}
	r.started = true
	if bindings.ExecutePending(pending, &r.result) == bindings.StateError {
		return errors.New(bindings.ResultError(&r.result))
	}
	return r.describe()
}

// bind gives the parameters their values.
func bind(statement bindings.PreparedStatement, params []any) error {
	if want := int(bindings.NParams(statement)); want > len(params) {
		return fmt.Errorf("Invalid Input Error: Values were not provided for the following prepared statement parameters: %d of %d given", len(params), want) //nolint:staticcheck // as above
	}
	for i := range bindings.NParams(statement) {
		var position int
		if _, err := fmt.Sscanf(bindings.ParameterName(statement, i+1), "%d", &position); err != nil || position < 1 || position > len(params) {
			return fmt.Errorf("Invalid Input Error: Values were not provided for the following prepared statement parameters: %s", bindings.ParameterName(statement, i+1)) //nolint:staticcheck // as above
		}
		if state, err := bindOne(statement, i+1, params[position-1]); err != nil {
			return err
		} else if state == bindings.StateError {
			return fmt.Errorf("Invalid Input Error: $%d: %s", position, bindings.PrepareError(statement)) //nolint:staticcheck // as above
		}
	}
	return nil
}

func bindOne(statement bindings.PreparedStatement, i bindings.IdxT, value any) (bindings.State, error) {
	switch v := value.(type) {
	case nil:
		return bindings.BindNull(statement, i), nil
	case bool:
		return bindings.BindBoolean(statement, i, v), nil
	case int64:
		return bindings.BindInt64(statement, i, v), nil
	case float64:
		return bindings.BindDouble(statement, i, v), nil
	case string:
		return bindings.BindVarcharLength(statement, i, v, bindings.IdxT(len(v))), nil
	case *big.Int:
		if v.BitLen() > 127 {
			return bindings.StateError, fmt.Errorf("Invalid Input Error: %s does not fit into a HUGEINT", v) //nolint:staticcheck // as above
		}
		upper := new(big.Int).Rsh(v, 64)
		lower := new(big.Int).Sub(v, new(big.Int).Lsh(upper, 64))
		return bindings.BindHugeInt(statement, i, bindings.NewHugeInt(lower.Uint64(), upper.Int64())), nil
	default:
		return bindings.StateError, fmt.Errorf("a parameter cannot be a %T", value)
	}
}
