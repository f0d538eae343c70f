// Package mysql reads tables and queries of MySQL and MariaDB as they are: every value exact, or listed with what is wrong with it.
//
// What the columns are is asked of information_schema for a table, and of the statement for a query. Rows come in the text protocol,
// whose values lie in the driver's buffer as the server has them, dates that no calendar knows included; where a column is a float they
// come in the binary one, since the text of a FLOAT is rounded by the server. Nothing holds a result as a whole.
//
// A reading is a read-only transaction with a consistent snapshot on one connection, so all of it sees one moment. With a concurrency
// above one there are as many connections, whose snapshots begin one right after the other: rows that change in between may be seen as
// before by one range and as after by another.
package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	engine "github.com/go-sql-driver/mysql"

	"firth/internal/source"
)

// defaultConnections is how many there are at most where the options do not say.
const defaultConnections = 4

// Table is a table or query that is read. Its methods are safe for use by several goroutines.
type Table struct {
	login     login
	spec      source.Spec
	log       *slog.Logger
	pool      *pool
	snapshots int // connections of a reading

	mu        sync.Mutex
	described *description
	reading   *snapshot // nil: none was begun
}

// Open readies a source; connections are made when they are needed. The url is mysql://user:password@host:port/database?tls=... or a
// DSN of the driver. A failure is a *source.Error with a hint and without the password.
func Open(_ context.Context, url string, spec source.Spec, o source.Options) (*Table, error) {
	l, connector, err := ready(url, o)
	if err != nil {
		return nil, err
	}
	t := &Table{login: l, spec: spec, log: o.Log, snapshots: max(o.Concurrency, 1)}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.spec.Query = trimQuery(spec.Query)
	connections := o.Concurrency
	if connections <= 0 {
		connections = defaultConnections
	}
	t.pool = &pool{connector: connector, slots: make(chan struct{}, connections), account: l.grantee}
	return t, nil
}

func ready(url string, o source.Options) (login, driver.Connector, error) {
	config, l, err := parseURL(url, o)
	if err != nil {
		return l, nil, err
	}
	connector, err := engine.NewConnector(config)
	if err != nil {
		return l, nil, &source.Error{Op: "connect", Name: l.name, Err: err, Advice: "see the parameters in the url"}
	}
	return l, connector, nil
}

// subject is what is read, for messages.
func (t *Table) subject() string {
	if t.spec.Table != "" {
		return t.login.name + " table " + t.spec.Table
	}
	return t.login.name + " query"
}

func (t *Table) fail(op string, err error) error { return t.login.fail(op, t.subject(), err) }

// Begin starts a reading.
func (t *Table) Begin(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reading != nil {
		return t.fail("read", errors.New("a reading was begun before and has not ended"))
	}
	r := &snapshot{free: make(chan *session, t.snapshots)}
	for range t.snapshots {
		s, err := t.pool.get(ctx)
		if err == nil {
			// Without rights of any kind: a transaction that reads only.
			if err = s.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err != nil {
				t.pool.drop(s)
			}
		}
		if err != nil {
			r.end(t.pool)
			return t.fail("connect", err)
		}
		r.free <- s
	}
	if t.snapshots > 1 {
		t.log.DebugContext(ctx, "several connections read, each with a snapshot of its own moment", "database", t.login.name, "connections", t.snapshots)
	}
	t.reading, t.described = r, nil
	return nil
}

// End ends a reading. Rows that are still open go on to be valid until they are closed.
func (t *Table) End() error {
	t.mu.Lock()
	r := t.reading
	t.reading = nil
	t.mu.Unlock()
	if r != nil {
		r.end(t.pool)
	}
	return nil
}

// Close ends the reading and the connections.
func (t *Table) Close() error {
	if err := t.End(); err != nil {
		return err
	}
	t.pool.close()
	return nil
}

// session hands out a connection, one of the reading where one was begun, and how to give it back.
func (t *Table) session(ctx context.Context) (*session, func(), error) {
	t.mu.Lock()
	r := t.reading
	t.mu.Unlock()
	if r == nil {
		s, err := t.pool.get(ctx)
		return s, func() { t.pool.put(s) }, err
	}
	s, err := r.take(ctx)
	return s, func() { r.put(s, t.pool) }, err
}

// with runs fn with a connection.
func (t *Table) with(ctx context.Context, fn func(*session) error) error {
	s, release, err := t.session(ctx)
	if err != nil {
		return err
	}
	defer release()
	return fn(s)
}

// pool holds a bounded number of connections.
type pool struct {
	connector driver.Connector
	slots     chan struct{} // one in it for each connection in use
	account   *atomic.Pointer[string]

	mu     sync.Mutex
	free   []*session
	closed bool
}

func (p *pool) get(ctx context.Context) (*session, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		p.mu.Lock()
		var s *session
		if n := len(p.free); n > 0 {
			s, p.free = p.free[n-1], p.free[:n-1]
		}
		p.mu.Unlock()
		if s == nil {
			break
		}
		if s.alive(ctx) {
			return s, nil
		}
		s.close()
	}
	s, err := connect(ctx, p.connector)
	if err != nil {
		<-p.slots
		return nil, err
	}
	p.account.Store(&s.user)
	return s, nil
}

func (p *pool) put(s *session) {
	p.mu.Lock()
	if s.dead || p.closed {
		s.close()
	} else {
		p.free = append(p.free, s)
	}
	p.mu.Unlock()
	<-p.slots
}

// drop closes a connection that is in use.
func (p *pool) drop(s *session) {
	s.dead = true
	p.put(s)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.free {
		s.close()
	}
	p.free = nil
}

// snapshot is the connections of a reading. One that was lost stays among them, so that whoever takes it learns of it: another would
// see another moment.
type snapshot struct {
	free chan *session

	mu    sync.Mutex
	ended bool
}

var errMoment = errors.New("the connection that the reading began on is gone, and with it the moment that was read")

func (r *snapshot) take(ctx context.Context) (*session, error) {
	select {
	case s := <-r.free:
		if s.dead {
			r.free <- s
			return nil, &source.Error{Op: "read", Name: "snapshot", Err: errMoment, Advice: "it is read again from the beginning", Retry: true}
		}
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *snapshot) put(s *session, p *pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		r.give(s, p)
		return
	}
	r.free <- s
}

func (r *snapshot) end(p *pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for {
		select {
		case s := <-r.free:
			r.give(s, p)
		default:
			return
		}
	}
}

// give ends the transaction of a connection and gives it back.
func (r *snapshot) give(s *session, p *pool) {
	if !s.dead {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		if err := s.exec(ctx, "COMMIT"); err != nil {
			s.dead = true
		}
		cancel()
	}
	p.put(s)
}

// names joins names for a message.
func names(list []string, most int) string {
	out := ""
	for i, n := range list {
		if i == most {
			return out + fmt.Sprintf(" and %d more", len(list)-most)
		}
		if i > 0 {
			out += ", "
		}
		out += n
	}
	return out
}
