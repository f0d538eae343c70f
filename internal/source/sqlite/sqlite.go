// Package sqlite reads tables and queries of SQLite database files, which it opens read-only. SQLite's column types are only a
// preference: each value has a type of its own. So a column's type follows from how it was declared, and where that says little, from a look at
// the values; a value that does not fit is listed and never changed.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the driver

	"firth/internal/source"
)

// Table is a table, a view or a query that is read. It implements the mirrors' Source: Scan and Get may be called by several
// goroutines, the rest by one at a time. Within a reading all scans share one connection, for SQLite has no snapshots that several can share.
type Table struct {
	db   *sql.DB
	path string
	spec source.Spec
	name string

	mu   sync.Mutex
	conn *sql.Conn // of the reading; nil: there is none
	plan *plan
}

const urlHint = "write the path of the file, as in sqlite:///var/lib/app/app.db or ./app.db"

// Open prepares to read what the spec says: Table with Where, or Query; in a get also Key. The address is a path, or one behind
// sqlite: or file:. A file that does not exist is an error; it is never made.
func Open(_ context.Context, address string, spec source.Spec, o source.Options) (*Table, error) {
	path := filePath(address)
	t := &Table{path: path, spec: spec, name: o.Name}
	if t.name == "" {
		t.name = filepath.Base(path)
	}
	info, err := os.Stat(path)
	switch {
	case path == "":
		return nil, &source.Error{Op: "open", Name: t.name, Err: errors.New("no file is named"), Advice: urlHint}
	case errors.Is(err, os.ErrNotExist):
		return nil, &source.Error{Op: "open", Name: t.name, Err: fmt.Errorf("there is no file %s", path), Advice: "correct the path; one that is not absolute is looked for below the folder that firth was started in"}
	case err != nil:
		return nil, &source.Error{Op: "open", Name: t.name, Err: err, Advice: "let the user that firth runs as read the file and its folder"}
	case info.IsDir():
		return nil, &source.Error{Op: "open", Name: t.name, Err: fmt.Errorf("%s is a folder", path), Advice: urlHint}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, &source.Error{Op: "open", Name: t.name, Err: err, Advice: urlHint}
	}
	dsn := url.URL{Scheme: "file", Path: absolute, RawQuery: "mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)"}
	if t.db, err = sql.Open("sqlite", dsn.String()); err != nil {
		return nil, t.fail("open", err)
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 4
	}
	t.db.SetMaxOpenConns(o.Concurrency + 1) // that of the reading, beside those of Get
	return t, nil
}

// filePath is the path in an address.
func filePath(address string) string {
	for _, scheme := range []string{"sqlite://", "sqlite3://", "sqlite:", "sqlite3:", "file://", "file:"} {
		rest, ok := strings.CutPrefix(address, scheme)
		if !ok {
			continue
		}
		rest, _, _ = strings.Cut(rest, "?")
		if plain, err := url.PathUnescape(rest); err == nil {
			return plain
		}
		return rest
	}
	return address
}

// Begin starts a reading: one transaction that sees one moment. A database in WAL mode is written to meanwhile; in any other mode its
// writers wait.
func (t *Table) Begin(ctx context.Context) error {
	if err := t.End(); err != nil {
		return err
	}
	conn, err := t.db.Conn(ctx)
	if err != nil {
		return t.fail("open", err)
	}
	// The snapshot is taken by the first look, not by BEGIN.
	if _, err = conn.ExecContext(ctx, "BEGIN"); err == nil {
		var n int
		err = conn.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM sqlite_schema LIMIT 1)").Scan(&n)
	}
	if err != nil {
		return t.fail("read", errors.Join(err, discard(conn)))
	}
	now, err := t.describe(ctx, conn)
	if err == nil {
		t.mu.Lock()
		have := t.plan
		if have == nil {
			t.plan = now
		} else if why := have.differs(now); why != "" {
			err = &source.Error{Op: "read", Name: t.what(), Err: errors.New("it was changed since it was described: " + why), Changed: true, Retry: true, Advice: "it is described anew at the next try"}
		}
		t.mu.Unlock()
	}
	if err != nil {
		return t.fail("read", errors.Join(err, discard(conn)))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn = conn
	return nil
}

// discard ends a connection with whatever transaction it is in.
func discard(conn *sql.Conn) error {
	_, err := conn.ExecContext(context.Background(), "ROLLBACK")
	if err != nil && strings.Contains(err.Error(), "no transaction is active") {
		err = nil // BEGIN had failed, or an error ended it
	}
	return errors.Join(err, conn.Close())
}

// End ends the reading. It is no error when there is none.
func (t *Table) End() error {
	t.mu.Lock()
	conn := t.conn
	t.conn = nil
	t.mu.Unlock()
	if conn == nil {
		return nil
	}
	if err := discard(conn); err != nil {
		return t.fail("read", err)
	}
	return nil
}

// Close closes the file. Scans must have been closed.
func (t *Table) Close() error { return errors.Join(t.End(), t.db.Close()) }

// querier is the connection of the reading, or any.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (t *Table) querier() querier {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		return t.conn
	}
	return t.db
}

// Describe reads the schema, and looks at some rows where that says little.
func (t *Table) Describe(ctx context.Context) (*source.Info, error) {
	q := t.querier()
	p, err := t.describe(ctx, q)
	if err != nil {
		return nil, t.fail("read", err)
	}
	t.mu.Lock()
	t.plan = p
	t.mu.Unlock()
	out := &source.Info{Key: p.key, Rows: -1, Bytes: -1}
	for _, f := range p.fields {
		out.Columns = append(out.Columns, f.Column)
	}
	if p.rowid != "" && p.where == "" {
		lo, hi, err := p.bounds(ctx, q)
		if err != nil {
			return nil, t.fail("read", err)
		}
		if lo != nil && hi != nil {
			out.Rows = max(0, *hi-*lo+1)
		} else {
			out.Rows = 0
		}
	}
	return out, nil
}

func (t *Table) planned(ctx context.Context) (*plan, error) {
	t.mu.Lock()
	p := t.plan
	t.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := t.describe(ctx, t.querier())
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plan = p
	return p, nil
}
