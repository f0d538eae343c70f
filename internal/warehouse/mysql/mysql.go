// Package mysql is the warehouse in MySQL or MariaDB: Segment's tables in a database (which is what MySQL calls a schema) a source,
// the bookkeeping beside them in the database _firth.
//
// DDL commits by itself there, so a load first brings the tables to the columns of its batch, in steps that can be repeated, and
// then writes rows and position in one InnoDB transaction. Whoever is killed between leaves empty tables and columns that are used by
// the next load. What exists is always read from information_schema; the bookkeeping adds where a column's values come from.
//
// Texts are compared byte by byte and with their trailing spaces, because 'A', 'a' and 'a ' are three users: utf8mb4_bin pads, so
// tables have a NO PAD binary collation, utf8mb4_0900_bin on MySQL and utf8mb4_nopad_bin on MariaDB. Tables that others made keep
// theirs; ids are compared as bytes there too.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	engine "github.com/go-sql-driver/mysql"

	"firth/internal/warehouse"
)

// formatVersion is the version of the bookkeeping that this program writes and the highest it reads.
const formatVersion = 1

// Options of Open. The zero value of each field stands for its default.
type Options struct {
	Name         string // as configured, for messages
	AccessMethod string // of Postgres; ignored
	Staging      string // of Redshift; ignored
	IAMRole      string // of Redshift; ignored
	CA           string // a file with the certificates that the server's is checked against; default: the system's
	Now          func() time.Time
	Log          *slog.Logger
}

// DB is the open warehouse. Its methods are safe for use by several goroutines; loads take turns.
type DB struct {
	sql    *sql.DB
	login  login
	now    func() time.Time
	log    *slog.Logger
	server server

	mu         sync.Mutex        // held by whoever writes
	known      map[string]tables // by source and schema, as they were at the end of the last load; forgotten after every error
	unfinished bool              // a swap was begun and has not ended
	streamed   int               // streams handed to the driver, which wants a name for each
	noInfile   bool              // the server does not take LOAD DATA LOCAL
	told       bool              // that has been said in a notice

	// step is called between the steps of evolving and swapping; tests let it fail.
	step func(name string) error
	// spoil, where a test sets it, wraps the streams of rows.
	spoil func(io.Reader) io.Reader
}

// server is what was found out about the server at Open.
type server struct {
	version   string
	collation string // of new tables
	mostText  int    // bytes of the longest text that fits into a packet beside others
	mostBatch int    // bytes of a statement of rows
	rowBytes  int    // that a row may take within its page
	foldNames bool   // table names are compared in lower case
}

// Open connects and makes or checks the bookkeeping; a swap that was cut off is ended or undone. A failure is a *warehouse.Error with
// a hint; it may be tried again. The url is mysql://user:password@host:port/?tls=... or a DSN of the driver.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	d, err := connect(url, o)
	if err != nil {
		return nil, err
	}
	if err := d.prepareServer(ctx); err != nil {
		return nil, errors.Join(d.fail("open", d.login.place(), err), d.sql.Close())
	}
	return d, nil
}

// connect makes the pool; no connection is made yet.
func connect(url string, o Options) (*DB, error) {
	config, l, err := parseURL(url, o)
	if err != nil {
		return nil, err
	}
	inner, err := engine.NewConnector(config)
	if err != nil {
		return nil, &warehouse.Error{Op: "open", Object: l.place(), Kind: warehouse.Unexpected, Err: err, Hint: "see the parameters in the url"}
	}
	d := &DB{
		sql: sql.OpenDB(connector{inner, 2 * config.Timeout}), login: l, now: o.Now, log: o.Log, known: map[string]tables{}, step: func(string) error { return nil },
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.sql.SetMaxOpenConns(4)
	d.sql.SetMaxIdleConns(1)
	d.sql.SetConnMaxIdleTime(time.Minute)
	return d, nil
}

// connector prepares each session. What the session's user may not set is left as it is: without it some wide tables cannot be
// made, and the error says so then.
type connector struct {
	driver.Connector
	patience time.Duration
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	within, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	conn, err := c.begin(within)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("no login within %v: %w", c.patience, os.ErrDeadlineExceeded)
	}
	return conn, err
}

func (c connector) begin(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(fmt.Errorf("unexpected driver connection %T", conn), conn.Close())
	}
	// Whatever the server's default: a dirty read would take a position for moved which is not.
	if _, err = execer.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	// A table whose rows might be too long can be made and used: rows are kept short enough, value by value.
	_, err = execer.ExecContext(ctx, "SET SESSION innodb_strict_mode = OFF", nil)
	var refused *engine.MySQLError
	if err != nil && !errors.As(err, &refused) {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (d *DB) prepareServer(ctx context.Context) error {
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return err
	}
	s := session{conn}
	if err = d.server.survey(ctx, s); err == nil {
		var name, host string
		name, host, err = s.who(ctx)
		d.login.grantee = accountOf(name, host)
	}
	if err == nil {
		err = d.makeBookkeeping(ctx, s)
	}
	if err == nil {
		err = d.finishSwaps(ctx, s)
	}
	return errors.Join(err, conn.Close())
}

// survey asks the server what it can do.
func (v *server) survey(ctx context.Context, s session) error {
	var packet, page int
	var fold int
	err := s.QueryRowContext(ctx, tagged("SELECT @@version, @@max_allowed_packet, @@innodb_page_size, @@lower_case_table_names")).
		Scan(&v.version, &packet, &page, &fold)
	if err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	v.foldNames = fold != 0
	v.mostText = max((packet-64<<10)/2, 16<<10)
	v.mostBatch = min(packet/2, 1<<20)
	// Two rows must fit into a page, which leaves 8,126 bytes of 16 KiB; the largest pages have a bound of their own. Off that go what
	// the server keeps in each row and the two times of the load.
	v.rowBytes = min(page/2-66, 16<<10) - 60
	err = s.QueryRowContext(ctx, tagged("SELECT coalesce(max(collation_name), 'utf8mb4_bin') FROM information_schema.collations "+
		"WHERE collation_name IN ('utf8mb4_0900_bin', 'utf8mb4_nopad_bin') AND character_set_name = 'utf8mb4'")).Scan(&v.collation)
	if err != nil {
		return fmt.Errorf("ask for collations: %w", err)
	}
	return nil
}

//go:embed sql/bookkeeping.sql
var bookkeepingSQL string

// makeBookkeeping makes what is missing of _firth and refuses one of a newer version.
func (d *DB) makeBookkeeping(ctx context.Context, s session) error {
	var exists bool
	err := s.QueryRowContext(ctx, tagged("SELECT count(*) > 0 FROM information_schema.tables WHERE table_schema = ? AND table_name = 'format'"), bookkeeping).Scan(&exists)
	if err != nil {
		return fmt.Errorf("look for the bookkeeping: %w", err)
	}
	version := 0
	if exists {
		if err := s.QueryRowContext(ctx, tagged("SELECT coalesce(max(version), 0) FROM `_firth`.`format`")).Scan(&version); err != nil {
			return fmt.Errorf("version of the bookkeeping: %w", err)
		}
	}
	switch {
	case version > formatVersion:
		return &warehouse.Error{
			Op: "open", Object: d.login.place(), Kind: warehouse.Newer,
			Err:  fmt.Errorf("its bookkeeping has version %d, this program knows %d", version, formatVersion),
			Hint: "run the version of Firth that wrote it, or a later one",
		}
	case version == formatVersion:
		return nil
	}
	if err := s.exec(ctx, createSchema(bookkeeping, d.server.collation)); err != nil {
		return fmt.Errorf("make the database %s: %w", bookkeeping, err)
	}
	for _, statement := range statements(bookkeepingSQL, d.server.collation) {
		if err := s.exec(ctx, statement); err != nil {
			return fmt.Errorf("bookkeeping tables: %w", err)
		}
	}
	// The version goes in last: without it everything above is tried again.
	return s.exec(ctx, "INSERT IGNORE INTO `_firth`.`format` VALUES (?)", formatVersion)
}

func statements(text, collation string) []string {
	text = strings.ReplaceAll(text, "{{options}}", tableOptions(collation))
	var out []string
	for s := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(s) != "" {
			out = append(out, strings.TrimSpace(s))
		}
	}
	return out
}

// Close ends the connections.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.sql.Close(); err != nil {
		return fmt.Errorf("close warehouse %s: %w", d.login.place(), err)
	}
	return nil
}

// session is one connection; temporary tables live as long as it.
type session struct{ *sql.Conn }

// who is the account of the session.
func (s session) who(ctx context.Context) (name, host string, err error) {
	var text string
	if err := s.QueryRowContext(ctx, tagged("SELECT CURRENT_USER()")).Scan(&text); err != nil {
		return "", "", fmt.Errorf("ask for the account: %w", err)
	}
	at := strings.LastIndex(text, "@")
	return text[:max(at, 0)], text[at+1:], nil
}

// accountOf is an account as GRANT takes it.
func accountOf(name, host string) string { return literal(name) + "@" + literal(host) }

// tagged marks a statement as one of this program, for whoever looks at the list of processes.
func tagged(statement string) string { return "/* firth */ " + statement }

func (s session) exec(ctx context.Context, statement string, args ...any) error {
	_, err := s.ExecContext(ctx, tagged(statement), args...)
	return err
}

// count runs a statement and returns the rows that it matched.
func (s session) count(ctx context.Context, statement string, args ...any) (int64, error) {
	res, err := s.ExecContext(ctx, tagged(statement), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// each calls fn for every row.
func (s session) each(ctx context.Context, statement string, args []any, fn func(*sql.Rows) error) error {
	rows, err := s.QueryContext(ctx, tagged(statement), args...)
	if err != nil {
		return err
	}
	for err == nil && rows.Next() {
		err = fn(rows)
	}
	return errors.Join(err, rows.Err(), rows.Close())
}

// inTx runs fn in a transaction.
func (s session) inTx(ctx context.Context, fn func() error) error {
	if err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		// The context may have ended; a connection that cannot even do this is thrown away by its user.
		return errors.Join(err, ignoreLost(s.exec(context.WithoutCancel(ctx), "ROLLBACK")))
	}
	return s.exec(ctx, "COMMIT")
}

// ignoreLost is nil for errors that say that the connection is gone, which ends a transaction too.
func ignoreLost(err error) error {
	if err == nil || isLost(err) {
		return nil
	}
	return err
}

// stopWithin bounds how long a given-up statement is asked to end.
const stopWithin = 5 * time.Second

// stop ends a session whose context ended: the driver hangs up, which the server sees when its statement is through and not before, and
// until then it holds its locks.
func (d *DB) stop(ctx context.Context, id uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if _, err := d.sql.ExecContext(ctx, tagged("KILL "+strconv.FormatUint(id, 10))); err != nil && number(err) != errNoThread {
		d.log.WarnContext(ctx, "a statement that was given up may go on for a while on the server", "warehouse", d.login.place(), "error", err)
	}
}

// withSession hands fn a connection. One on which something failed is closed, and with it its transaction and temporary tables.
func (d *DB) withSession(ctx context.Context, fn func(session) error) error {
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return err
	}
	s := session{conn}
	var id uint64
	if err = s.QueryRowContext(ctx, tagged("SELECT CONNECTION_ID()")).Scan(&id); err == nil {
		err = fn(s)
	}
	if err != nil && ctx.Err() != nil && id > 0 {
		d.stop(ctx, id)
	}
	if err != nil {
		// Whatever Raw returns is the marker given to it.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	if closeErr := conn.Close(); closeErr != nil && !errors.Is(closeErr, driver.ErrBadConn) && !errors.Is(closeErr, sql.ErrConnDone) {
		err = errors.Join(err, closeErr)
	}
	return err
}
