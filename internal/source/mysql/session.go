package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	engine "github.com/go-sql-driver/mysql"

	"firth/internal/source"
)

// session is one connection. The driver is used without database/sql, so that values come as they lie in its buffer. It is not safe
// for use by several goroutines.
type session struct {
	conn driver.Conn
	id   uint64 // of the connection, for KILL
	user string // the account as GRANT takes it
	dead bool   // an error of the connection was seen: it is not used again
}

// conn is what the driver's connection can do.
type conn interface {
	driver.Conn
	driver.QueryerContext
	driver.ExecerContext
	driver.ConnPrepareContext
	driver.SessionResetter
}

// connect opens a session.
func connect(ctx context.Context, connector driver.Connector) (*session, error) {
	within, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	s, err := begin(within, connector)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("no login within %v: %w", 2*dialTimeout, os.ErrDeadlineExceeded)
	}
	return s, err
}

func begin(ctx context.Context, connector driver.Connector) (*session, error) {
	c, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := c.(conn); !ok {
		return nil, errors.Join(fmt.Errorf("unexpected driver connection %T", c), c.Close())
	}
	s := &session{conn: c}
	// Limits of time that servers set for everybody would end a long reading; each of the two kinds of server has its own.
	for _, statement := range []string{"SET SESSION max_statement_time = 0", "SET SESSION max_execution_time = 0"} {
		if err := s.exec(ctx, statement); err != nil && number(err) == 0 {
			return nil, errors.Join(err, c.Close())
		}
	}
	err = s.exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
	if err == nil {
		err = s.each(ctx, "SELECT CONNECTION_ID(), CURRENT_USER()", func(row []driver.Value) (err error) {
			account := asText(row[1])
			at := max(strings.LastIndexByte(account, '@'), 0)
			s.user = literal(account[:at]) + "@" + literal(account[min(at+1, len(account)):])
			s.id, err = strconv.ParseUint(asText(row[0]), 10, 64)
			return err
		})
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

func (s *session) close() {
	s.dead = true
	_ = s.conn.Close() // it is read from alone; nothing can be lost
}

// see remembers an error that ended the connection.
func (s *session) see(err error) error {
	if err != nil && !source.AtEnd(err) && number(err) == 0 || isLost(err) {
		s.dead = true
	}
	return err
}

// tagged marks a statement as one of this program, for whoever looks at the list of processes.
func tagged(statement string) string { return "/* firth */ " + statement }

func (s *session) exec(ctx context.Context, statement string) error {
	execer, ok := s.conn.(driver.ExecerContext)
	if !ok {
		return driver.ErrSkip
	}
	_, err := execer.ExecContext(ctx, tagged(statement), nil)
	return s.see(err)
}

// query sends a statement in the text protocol, or prepared, whose rows come in the binary one.
func (s *session) query(ctx context.Context, statement string, binary bool) (driver.Rows, func(), error) {
	c, ok := s.conn.(conn)
	if !ok {
		return nil, nil, driver.ErrSkip
	}
	if !binary {
		rows, err := c.QueryContext(ctx, tagged(statement), nil)
		return rows, func() {}, s.see(err)
	}
	prepared, err := c.PrepareContext(ctx, tagged(statement))
	if err != nil {
		return nil, nil, s.see(err)
	}
	done := func() { _ = prepared.Close() } // it says nothing that matters once the rows are in
	querier, ok := prepared.(driver.StmtQueryContext)
	if !ok {
		done()
		return nil, nil, driver.ErrSkip
	}
	rows, err := querier.QueryContext(ctx, nil)
	if err != nil {
		done()
		return nil, nil, s.see(err)
	}
	return rows, done, nil
}

// each calls fn for every row; its values are valid until fn returns.
func (s *session) each(ctx context.Context, statement string, fn func(row []driver.Value) error) error {
	rows, done, err := s.query(ctx, statement, false)
	if err != nil {
		return err
	}
	defer done()
	row := make([]driver.Value, len(rows.Columns()))
	for err == nil {
		if err = rows.Next(row); err == nil {
			err = fn(row)
		}
	}
	if source.AtEnd(err) {
		err = nil
	}
	return s.see(errors.Join(err, rows.Close()))
}

// alive readies a session that was used before, and tells whether it still stands.
func (s *session) alive(ctx context.Context) bool {
	r, ok := s.conn.(driver.SessionResetter)
	if s.dead || !ok || r.ResetSession(ctx) != nil {
		return false
	}
	pinger, ok := s.conn.(driver.Pinger)
	return !ok || pinger.Ping(ctx) == nil
}

// asText is a value of a small query as text; NULL is empty.
func asText(v driver.Value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	}
	return fmt.Sprint(v)
}

// stopWithin bounds how long a given-up statement is asked to end.
const stopWithin = 5 * time.Second

// interrupt ends the statement of another session and leaves its transaction as it is.
func interrupt(ctx context.Context, connector driver.Connector, id uint64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	s, err := connect(ctx, connector)
	if err != nil {
		return err
	}
	defer s.close()
	return s.exec(ctx, "KILL QUERY "+strconv.FormatUint(id, 10))
}

// number is the server's number of an error, 0 where there is none.
func number(err error) uint16 {
	var e *engine.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}
