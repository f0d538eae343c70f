package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// link is one connection. It is in a transaction from where it is taken to where it is put back; within a reading, until the reading ends.
type link struct {
	conn    *pgx.Conn
	reading *reading // whose snapshot it sees; nil: it is in no transaction
	keeper  bool     // it holds the snapshot of the reading for the others
}

// reading is what Begin began.
type reading struct {
	keeper   *link
	snapshot string        // exported; empty where the server cannot
	turn     chan struct{} // holds one entry: who takes it may use the keeper, where there is no other
}

var errClosed = errors.New("the source is closed")

// settings are how a session is for one transaction, whatever role and database say. SET LOCAL takes no snapshot.
func settings(version int) string {
	out := "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '15s'; SET LOCAL idle_in_transaction_session_timeout = 0; " +
		"SET LOCAL extra_float_digits = 3; SET LOCAL IntervalStyle = postgres; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL TimeZone = 'UTC'; " +
		"SET LOCAL bytea_output = hex; SET LOCAL xmlbinary = base64; SET LOCAL client_min_messages = warning"
	if version >= 11 {
		out += "; SET LOCAL jit = off" // compiling costs more than it gains where every row is written once
	}
	if version >= 17 {
		out += "; SET LOCAL transaction_timeout = 0"
	}
	return out
}

// version is the major version of the server.
func (l *link) version() int {
	text := l.conn.PgConn().ParameterStatus("server_version")
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	major, err := strconv.Atoi(text[:n])
	if err != nil {
		return 0
	}
	return major
}

// script runs statements without parameters in one round trip.
func (l *link) script(ctx context.Context, sql string) error {
	_, err := l.conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// dial makes a connection.
func (t *Table) dial(ctx context.Context) (*link, error) {
	conn, err := pgx.ConnectConfig(ctx, t.config.Copy())
	if err != nil {
		return nil, err
	}
	return &link{conn: conn}, nil
}

// drop closes a connection, at once.
func (t *Table) drop(l *link) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx) // there is nothing left to tell
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
}

// take hands out a connection in a transaction: with the snapshot of the reading where there is one. Give it back by put.
func (t *Table) take(ctx context.Context) (*link, error) {
	select {
	case t.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l, err := t.takeSlot(ctx)
	if err != nil {
		<-t.slots
		return nil, err
	}
	return l, nil
}

func (t *Table) takeSlot(ctx context.Context) (*link, error) {
	t.mu.Lock()
	r := t.reading
	t.mu.Unlock()
	if r != nil && r.snapshot == "" {
		select {
		case r.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if r.keeper.conn.IsClosed() {
			<-r.turn
			return nil, errCut
		}
		return r.keeper, nil
	}
	for {
		l, fresh, err := t.idleLink(ctx, r)
		if err != nil {
			return nil, err
		}
		err = l.begin(ctx, r)
		if err == nil {
			return l, nil
		}
		keeper := l.keeper
		t.drop(l)
		if fresh || keeper || ctx.Err() != nil || !isNetwork(err) {
			return nil, err
		}
	}
}

// idleLink takes an idle connection, or makes one. The keeper of the snapshot comes last.
func (t *Table) idleLink(ctx context.Context, r *reading) (l *link, fresh bool, err error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, false, errClosed
	}
	pick := -1
	for i, l := range t.idle {
		if !l.keeper || t.open >= cap(t.slots) && pick < 0 {
			pick = i
		}
	}
	if pick >= 0 {
		l := t.idle[pick]
		t.idle = append(t.idle[:pick], t.idle[pick+1:]...)
		t.mu.Unlock()
		return l, false, nil
	}
	t.open++
	t.mu.Unlock()
	if l, err = t.dial(ctx); err != nil {
		t.mu.Lock()
		t.open--
		t.mu.Unlock()
	}
	return l, true, err
}

// begin brings a connection into the transaction that it is needed in.
func (l *link) begin(ctx context.Context, r *reading) error {
	switch {
	case r != nil && l.reading == r:
		return nil
	case r == nil:
		return l.script(ctx, "BEGIN READ ONLY; "+settings(l.version()))
	}
	err := l.script(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT "+literal(r.snapshot)+"; "+settings(l.version()))
	if err != nil {
		return fmt.Errorf("share the snapshot: %w", err)
	}
	l.reading = r
	return nil
}

// put gives a connection back. Where it is not whole it is closed: the caller has an error already.
func (t *Table) put(l *link, whole bool) {
	defer func() { <-t.slots }()
	t.mu.Lock()
	r := t.reading
	t.mu.Unlock()
	if r != nil && r.snapshot == "" && l == r.keeper {
		if !whole {
			l.close()
		}
		<-r.turn
		return
	}
	if whole && l.reading == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		whole = l.script(ctx, "ROLLBACK") == nil // it only read
	}
	t.mu.Lock()
	whole = whole && !t.closed && (l.reading == nil || l.reading == t.reading)
	if whole {
		t.idle = append(t.idle, l)
	}
	t.mu.Unlock()
	if !whole {
		t.drop(l)
	}
}

func (l *link) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx) // there is nothing left to tell
}

// use runs fn on a connection of its own.
func (t *Table) use(ctx context.Context, fn func(*link) error) error {
	l, err := t.take(ctx)
	if err != nil {
		return err
	}
	err = fn(l)
	t.put(l, err == nil)
	return err
}

// Begin starts a reading: one snapshot, exported so that parallel scans share it. The table is locked against being changed (not
// written): a table that is made anew by ALTER TABLE or TRUNCATE looks empty to a snapshot that is older. Where the server does not export snapshots all
// scans take turns on one connection.
func (t *Table) Begin(ctx context.Context) error {
	if err := t.End(); err != nil {
		return err
	}
	plan, err := t.planned(ctx)
	if err != nil {
		return t.fail("read", err)
	}
	l, _, err := t.idleLink(ctx, nil)
	if err != nil {
		return t.fail("connect", err)
	}
	r := &reading{turn: make(chan struct{}, 1)}
	if err = t.keep(ctx, l, r, plan); err != nil && isNetwork(err) && ctx.Err() == nil && l.conn.IsClosed() {
		// The connection stood idle and was ended by the server or by what lies between.
		t.drop(l)
		if l, _, err = t.idleLink(ctx, nil); err != nil {
			return t.fail("connect", err)
		}
		err = t.keep(ctx, l, r, plan)
	}
	if err != nil {
		t.drop(l)
		return t.fail("read", err)
	}
	l.keeper, l.reading, r.keeper = true, r, l
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading = r
	if r.snapshot != "" {
		t.idle = append(t.idle, l)
	}
	return nil
}

// keep takes the snapshot on a connection, with the locks before it where the role may.
func (t *Table) keep(ctx context.Context, l *link, r *reading, plan *plan) error {
	const begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
	var err error
	locked := false
	if plan.locks {
		err = l.script(ctx, begin+settings(l.version())+"; LOCK TABLE "+plan.from+" IN ACCESS SHARE MODE")
		locked = err == nil
		if code := codeOf(err); code == "42501" || code == "42809" {
			err = l.script(ctx, "ROLLBACK") // the right to read some columns does not suffice for LOCK
		}
		if err != nil {
			return err
		}
	}
	if !locked {
		if err := l.script(ctx, begin+settings(l.version())); err != nil {
			return err
		}
	}
	err = l.conn.QueryRow(ctx, "SELECT pg_catalog.pg_export_snapshot()").Scan(&r.snapshot)
	if isServer(err) && codeOf(err) != "57P01" {
		r.snapshot = ""
		err = l.script(ctx, "ROLLBACK; "+begin+settings(l.version()))
	}
	if err != nil {
		return err
	}
	// What was described may have changed before it was locked; for a query, to be planned is to be locked.
	now, err := t.describe(ctx, l)
	if err != nil {
		return err
	}
	if why := plan.differs(now); why != "" {
		return &changed{why}
	}
	return nil
}

// End ends the reading. It is no error when there is none.
func (t *Table) End() error {
	t.mu.Lock()
	r := t.reading
	t.reading = nil
	var mine, others []*link
	for _, l := range t.idle {
		if r != nil && l.reading == r {
			mine = append(mine, l)
		} else {
			others = append(others, l)
		}
	}
	t.idle = others
	t.mu.Unlock()
	if r == nil {
		return nil
	}
	if r.snapshot == "" {
		r.turn <- struct{}{} // a scan may be about to end
		mine = append(mine, r.keeper)
	}
	for _, l := range mine {
		l.reading, l.keeper = nil, false
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := l.script(ctx, "ROLLBACK")
		cancel()
		if err != nil {
			t.drop(l) // nothing was written, so nothing is lost
			continue
		}
		t.mu.Lock()
		t.idle = append(t.idle, l)
		t.mu.Unlock()
	}
	return nil
}

// Close ends all connections. Scans must have been closed.
func (t *Table) Close() error {
	err := t.End()
	t.mu.Lock()
	idle := t.idle
	t.idle, t.closed = nil, true
	t.mu.Unlock()
	for _, l := range idle {
		t.drop(l)
	}
	return err
}

// literal writes a text as SQL does, whatever standard_conforming_strings is.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// quote writes a name as SQL does.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
