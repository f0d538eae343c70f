// Package query is the only door for reads. It lets one SELECT-like statement through, as the user
// who asks may run it, in a read-only transaction of its own, within a deadline, a row cap and a
// number of queries at once, and stops the engine when the asker goes away.
//
// The package knows the engine by database/sql and the interfaces Driver and Rows, and nothing of
// HTTP but status numbers.
package query

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Defaults of Options.
const (
	DefaultDeadline   = 60 * time.Second
	DefaultMaxRows    = 100_000
	DefaultConcurrent = 4
	DefaultQueue      = 16
	DefaultQueueWait  = 5 * time.Second
	DefaultMaxSQL     = 256 << 10
)

// Options bound what queries may use. Zero values stand for the defaults.
type Options struct {
	Deadline   time.Duration // from admission to the last row
	MaxRows    int           // rows of one result; what is beyond is cut and said; negative: no cap
	Concurrent int           // queries that run at once
	Queue      int           // queries that wait for a place; negative: none may
	QueueWait  time.Duration // how long they wait
	MaxSQL     int           // bytes of one statement
	Lakes      Lakes         // nil: no time travel, no functions over files
	// Derived are tables of the lake that are made of others, which whoever may read those may read, by name.
	Derived map[string]string
	Log     *slog.Logger // failures that are ours; nil: slog.Default
}

func (o Options) withDefaults() Options {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.MaxRows, DefaultMaxRows)
	set(&o.Concurrent, DefaultConcurrent)
	set(&o.Queue, DefaultQueue)
	set(&o.MaxSQL, DefaultMaxSQL)
	if o.Deadline == 0 {
		o.Deadline = DefaultDeadline
	}
	if o.QueueWait == 0 {
		o.QueueWait = DefaultQueueWait
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// Driver runs one statement on a connection and streams what comes. Its errors carry the engine's
// message as it is.
type Driver interface {
	// Stream prepares text, which must be one SELECT or EXPLAIN, binds params ($1 is the first: nil,
	// bool, int64, *big.Int, float64 or string) and starts it. When ctx ends the engine stops, and Next
	// fails. The connection must not be used before the rows are closed.
	Stream(ctx context.Context, conn *sql.Conn, text string, params []any) (Rows, error)
}

// Rows is a result as it comes. It is used by one goroutine.
type Rows interface {
	Columns() []Column
	// Next returns the next row, valid until the next call, or io.EOF.
	Next() ([]any, error)
	Close() error
}

// User is who asks. A nil Schemas means that every schema may be read.
type User struct {
	Name    string
	Schemas []string
}

// Request is one statement and the values of its parameters.
type Request struct {
	SQL    string
	Params []any // as Driver takes them; see Params for JSON
}

// Database is an open engine.
type Database interface {
	Driver
	SQL() *sql.DB
}

// Engine answers queries. It is safe for many goroutines.
type Engine struct {
	db        Database
	opts      Options
	admit     *admission
	catalog   *catalog
	functions *functions
	lakes     Lakes
}

// New returns an engine over db.
func New(db Database, opts Options) *Engine {
	opts = opts.withDefaults()
	return &Engine{
		db:        db,
		opts:      opts,
		admit:     newAdmission(opts.Concurrent, opts.Queue, opts.QueueWait),
		catalog:   &catalog{now: time.Now, derived: opts.Derived},
		functions: parseFunctions(functionsText),
		lakes:     opts.Lakes,
	}
}

// Running is how many queries run now; those that wait are not counted.
func (e *Engine) Running() int { return len(e.admit.running) }

// Deadline is how long a query may take.
func (e *Engine) Deadline() time.Duration { return e.opts.Deadline }

// Query admits, checks and starts a statement. The result must be closed; it holds a place among the
// running queries until then. Every error is an *Error. When ctx ends, the engine stops.
func (e *Engine) Query(ctx context.Context, user User, req Request) (*Result, error) {
	release, err := e.admit.enter(ctx)
	if err != nil {
		return nil, e.explain(ctx, err)
	}
	res := &Result{maxRows: e.opts.MaxRows}
	res.onClose(func() error { release(); return nil })
	return e.run(ctx, res, req, func(ctx context.Context, conn *sql.Conn) (statement, error) {
		return e.check(ctx, conn, user, req, res.onClose)
	})
}

// Own runs a statement of the program's own: unchecked, with no cap on rows, and without waiting for a
// place. Text that a user wrote must not come here.
func (e *Engine) Own(ctx context.Context, req Request) (*Result, error) {
	return e.run(ctx, &Result{}, req, func(context.Context, *sql.Conn) (statement, error) {
		return statement{text: req.SQL, params: req.Params}, nil
	})
}

// run starts a statement that check lets through and fills res, or closes it.
func (e *Engine) run(ctx context.Context, res *Result, req Request, check func(context.Context, *sql.Conn) (statement, error)) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Deadline)
	res.explain = func(err error) *Error { return e.explain(ctx, err) }
	res.onClose(func() error { cancel(); return nil })
	if err := e.start(ctx, res, req, check); err != nil {
		out := e.explain(ctx, err) // before Close ends ctx
		if err := res.Close(); err != nil {
			e.opts.Log.Warn("could not clean up after a query", "error", err)
		}
		return nil, out
	}
	return res, nil
}

// start fills res; what it opens is closed by res.Close, whether it succeeds or not.
func (e *Engine) start(ctx context.Context, res *Result, req Request, check func(context.Context, *sql.Conn) (statement, error)) error {
	if len(req.SQL) > e.opts.MaxSQL {
		return fail(CodeSyntax, "put long lists of values into a table or into params", "the statement has %d bytes; at most %d are read", len(req.SQL), e.opts.MaxSQL)
	}
	conn, err := e.db.SQL().Conn(ctx)
	if err != nil {
		return fmt.Errorf("open a connection: %w", err)
	}
	res.onClose(conn.Close)
	res.onClose(func() error { return rollback(conn) }) // also where the engine says that it was interrupted while it began
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	st, err := check(ctx, conn)
	if err != nil {
		return err
	}
	rows, err := e.db.Stream(ctx, conn, st.text, st.params)
	if err != nil {
		return err
	}
	res.onClose(rows.Close)
	res.rows = rows
	res.reason = func(err error) error {
		if ctx.Err() != nil || !strings.HasPrefix(err.Error(), "INTERRUPT") {
			return err
		}
		if why := e.again(ctx, conn, rows, st); why != nil {
			return why
		}
		return err
	}
	if err := res.begin(); err != nil {
		return err
	}
	return context.Cause(ctx) // the engine may finish although it was told to stop
}

// again finds the reason of an interrupt that nobody asked for: when one of the engine's threads fails it
// interrupts the others, and now and then the stream sees only that. Run without handing out rows, the
// statement fails with the error itself.
func (e *Engine) again(ctx context.Context, conn *sql.Conn, rows Rows, st statement) error {
	if err := errors.Join(rows.Close(), rollback(conn)); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, s := range st.setup {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	plan, err := e.db.Stream(ctx, conn, "EXPLAIN ANALYZE "+st.text, st.params)
	if err != nil {
		return err
	}
	_, err = plan.Next()
	return errors.Join(err, plan.Close())
}

// rollback ends the transaction of a connection, if there is one; a connection that cannot is not used again.
func rollback(conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := conn.ExecContext(ctx, "ROLLBACK")
	if err == nil || strings.Contains(err.Error(), "no transaction is active") {
		return nil
	}
	_ = conn.Raw(func(any) error { return errBroken })
	return fmt.Errorf("rollback: %w", err)
}

// explain words an error for the asker, by what became of ctx first: an engine that was interrupted
// gives no reason of its own. Errors that are ours are logged here, once.
func (e *Engine) explain(ctx context.Context, err error) *Error {
	var out *Error
	switch cause := context.Cause(ctx); {
	case errors.As(err, &out):
		return out
	case errors.Is(cause, context.DeadlineExceeded):
		return fail(CodeDeadline, "filter by time or event, or aggregate less; the limit is query.deadline in firth.yaml", "the query was stopped after %s", e.opts.Deadline)
	case cause != nil:
		return fail(CodeCanceled, "", "the query was cancelled")
	}
	out = classify(err)
	if out.Code == CodeInternal {
		e.opts.Log.Error("query failed", "error", err)
	}
	return out
}
