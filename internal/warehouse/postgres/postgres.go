// Package postgres is the warehouse of a PostgreSQL server (12 to 18), and of Hydra, which is PostgreSQL with columnar tables.
//
// A load is one transaction: rows by binary COPY, straight into their tables where the types are Firth's own, and the position. The
// schema is brought up to it before, in short transactions of their own, because ALTER TABLE stops the table's readers while it waits:
// it never waits for long. What a load needs to know of the tables is read from the server's catalogue each time, under the locks that
// keep it so; whatever people do to their tables is seen.
//
// The bookkeeping lies in the schema _firth of the same database.
package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/internal/warehouse"
)

// formatVersion is the version of the bookkeeping that this program writes and the highest it reads.
const formatVersion = 1

// Access methods of Options.
const (
	Heap     = "heap"
	Columnar = "columnar"
)

// Limits of waiting.
const (
	connectWithin = 10 * time.Second
	readWithin    = time.Minute      // for the small statements
	loadWithin    = 30 * time.Minute // for a load; a widened table is written anew in it
	swapWithin    = 6 * time.Hour    // for tables that are put in the place of others
	rowsLock      = 10 * time.Second // for the locks that rows are written under
)

// Options of Open. The zero value of each field stands for its default.
type Options struct {
	Name         string // of the warehouse, as configured; for messages
	AccessMethod string // of the tables of events: "" and Heap, or Columnar where Hydra's extension is installed
	CA           string // file of the authority whose certificates are trusted; "": those that the system trusts
	Now          func() time.Time
	Log          *slog.Logger

	// Of other kinds of warehouse, and without a meaning here.
	Staging, IAMRole string
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.AccessMethod == "" {
		o.AccessMethod = Heap
	}
	if o.Name == "" {
		o.Name = "postgres"
	}
	return o
}

// DB is the warehouse. It holds one connection, which is made again when it broke. Its methods are safe for use by several goroutines
// and take turns.
type DB struct {
	config  *pgx.ConnConfig
	options Options

	mu     sync.Mutex
	conn   *pgx.Conn // nil or closed: to be made
	closed bool
	// guessed are the tables that loads locked last, by schema: what saves a look at the catalogue before the lock.
	guessed map[string]map[string]int64
	notices map[string][]string // of preparations, by schema: for the result of the next load
}

var errClosed = errors.New("the warehouse is closed")

// Open connects, makes the bookkeeping where it is missing, and looks whether the server can be loaded into. A failure is a
// *warehouse.Error with a hint; it may be tried again.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	config, err := parse(url, o)
	if err != nil {
		return nil, err
	}
	d := &DB{config: config, options: o.withDefaults(), guessed: map[string]map[string]int64{}, notices: map[string][]string{}}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	if err := d.connect(ctx); err != nil {
		return nil, errors.Join(d.fail(ctx, "open", d.options.Name, err), d.Close())
	}
	if err := d.begin(ctx); err != nil {
		return nil, errors.Join(d.fail(ctx, "open", d.options.Name, err), d.Close())
	}
	return d, nil
}

// begin makes the bookkeeping, and looks at what must be there.
func (d *DB) begin(ctx context.Context) error {
	if err := d.checkServer(ctx); err != nil {
		return err
	}
	var exists, whole bool
	if err := d.conn.QueryRow(ctx, "SELECT to_regnamespace('_firth') IS NOT NULL, "+
		"to_regclass('_firth.format') IS NOT NULL AND to_regclass('_firth.columns') IS NOT NULL").Scan(&exists, &whole); err != nil {
		return fmt.Errorf("look for the bookkeeping: %w", err)
	}
	if !whole {
		if err := d.inTx(ctx, func(ctx context.Context) error { return d.makeBookkeeping(ctx, exists) }); err != nil {
			return fmt.Errorf("make the bookkeeping: %w", err)
		}
	}
	var version int
	if err := d.conn.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM _firth.format").Scan(&version); err != nil {
		return fmt.Errorf("version of the bookkeeping: %w", err)
	}
	if version > formatVersion {
		return &ill{
			kind: warehouse.Newer,
			err:  fmt.Errorf("the bookkeeping in the schema _firth has version %d, this program knows %d", version, formatVersion),
			hint: "run the version of Firth that loaded this database last, or a later one",
		}
	}
	return nil
}

func (d *DB) makeBookkeeping(ctx context.Context, exists bool) error {
	// IF NOT EXISTS asks for the right to create a schema even where there is nothing to create.
	if !exists {
		if _, err := d.conn.Exec(ctx, createSchema(bookkeeping)); err != nil {
			return err
		}
	}
	return d.script(ctx, bookkeepingSQL)
}

// checkServer refuses what cannot be loaded into.
func (d *DB) checkServer(ctx context.Context) error {
	s, err := d.readServer(ctx)
	if err != nil {
		return err
	}
	if e := s.trouble(d.options); e != nil {
		return e
	}
	return nil
}

// traits are what matters of a server.
type traits struct {
	version  int // such as 150004
	text     string
	readOnly bool
	standby  bool
	encoding string
	columnar bool // the access method is there
	database string
	user     string
}

func (d *DB) readServer(ctx context.Context) (*traits, error) {
	var s traits
	err := d.conn.QueryRow(ctx, serverSQL).Scan(&s.version, &s.text, &s.standby, &s.readOnly, &s.encoding, &s.columnar, &s.database, &s.user)
	if err != nil {
		return nil, fmt.Errorf("ask the server what it is: %w", err)
	}
	return &s, nil
}

// trouble says why the server cannot be loaded into, nil where it can.
func (s *traits) trouble(o Options) *ill {
	e := &ill{}
	switch {
	case s.version < 120000:
		e.kind, e.err = warehouse.NotThere, fmt.Errorf("the server is PostgreSQL %s", s.text)
		e.hint = "PostgreSQL 12 or later is needed"
	case s.standby:
		e.kind, e.err = warehouse.ReadOnly, errors.New("the server is a standby: it takes no writes")
		e.hint = "put the address of the primary server into the url"
	case s.readOnly:
		e.kind, e.err = warehouse.ReadOnly, errors.New("transactions are read only here")
		e.hint = fmt.Sprintf("ALTER ROLE %s SET default_transaction_read_only = off", quote(s.user))
	case s.encoding != "UTF8":
		e.kind, e.err = warehouse.NotThere, fmt.Errorf("the database's encoding is %s, which cannot hold every text", s.encoding)
		e.hint = fmt.Sprintf("make a database with another encoding and put it into the url: CREATE DATABASE %s ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
			quote(fitName(s.database+"_utf8")))
	case o.AccessMethod == Columnar && !s.columnar:
		e.kind, e.err = warehouse.NotThere, errors.New("access_method is columnar, and the database has no columnar tables")
		e.hint = "on a Hydra server run CREATE EXTENSION columnar in " + quote(s.database) + "; on another, take access_method out of the configuration"
	case o.AccessMethod != Heap && o.AccessMethod != Columnar:
		e.kind, e.err = warehouse.NotThere, fmt.Errorf("access_method %q is unknown", o.AccessMethod)
		e.hint = "access_method is heap or columnar"
	default:
		return nil
	}
	return e
}

// Close ends the connection; what was committed stays.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.drop()
	return nil
}

// drop lets the connection go.
func (d *DB) drop() {
	if d.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = d.conn.Close(ctx) // whatever becomes of it, it is not used again
	// Of a statement that was given up, the driver tells the server to stop; a process that ends before would leave it running there.
	select {
	case <-d.conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
	d.conn = nil
}

// turn runs fn with a connection, alone, and names what goes wrong.
func (d *DB) turn(ctx context.Context, op, object string, within time.Duration, fn func(ctx context.Context) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("%s %s: %w", op, object, errClosed)
	}
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := d.connect(limited)
	if err == nil {
		err = fn(limited)
	}
	if err == nil {
		return nil
	}
	err = d.fail(ctx, op, object, err)
	if d.conn != nil && (d.conn.IsClosed() || d.conn.PgConn().TxStatus() != 'I') {
		d.drop()
	}
	return err
}

// inTx runs fn in a transaction. The connection is left without one; where that fails it is dropped.
func (d *DB) inTx(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, err := d.conn.Exec(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"); err != nil {
		return err
	}
	err := fn(ctx)
	if err == nil {
		tag, commitErr := d.conn.Exec(ctx, "COMMIT")
		if commitErr == nil && tag.String() != "COMMIT" {
			commitErr = fmt.Errorf("the server answered %s to COMMIT", tag)
		}
		if err = commitErr; err == nil {
			return nil
		}
	}
	d.rollback(ctx)
	return err
}

func (d *DB) rollback(ctx context.Context) {
	if d.conn == nil || d.conn.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectWithin)
	defer cancel()
	if _, err := d.conn.Exec(ctx, "ROLLBACK"); err != nil {
		d.drop() // the server ends what a lost connection had begun
	}
}

// script runs statements that are parted by semicolons.
func (d *DB) script(ctx context.Context, statements string) error {
	return d.conn.PgConn().Exec(ctx, statements).Close()
}

// count runs a statement and returns how many rows it touched.
func (d *DB) count(ctx context.Context, statement string, args ...any) (int64, error) {
	tag, err := d.conn.Exec(ctx, statement, args...)
	return tag.RowsAffected(), err
}

// now is the time of a load.
func (d *DB) now() time.Time { return d.options.Now().UTC().Truncate(time.Microsecond) }

// reserved reports whether a schema is the server's, or Firth's own.
func reserved(schema string) bool {
	return schema == "" || schema == bookkeeping || schema == "information_schema" || strings.HasPrefix(schema, "pg_")
}

//go:embed sql/bookkeeping.sql
var bookkeepingSQL string

//go:embed sql/server.sql
var serverSQL string
