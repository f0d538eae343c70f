package redshift

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// wire is a connection that carries out one statement at a time. Statements go by the simple protocol, as text without parameters:
// nothing is prepared, which Redshift's leader node does at a price and forgets, and nothing depends on how it describes types.
type wire interface {
	Exec(ctx context.Context, statement string) (*reply, error)
	Close(ctx context.Context) error
	Closed() bool
}

// reply is what a statement gave: its rows as text, and how many rows it wrote.
type reply struct {
	rows     [][]sql.NullString
	affected int64
}

// pgWire is a wire of pgx.
type pgWire struct{ conn *pgconn.PgConn }

func (w pgWire) Exec(ctx context.Context, statement string) (*reply, error) {
	results, err := w.conn.Exec(ctx, statement).ReadAll()
	if err != nil {
		return nil, err
	}
	out := &reply{}
	for _, r := range results {
		if r.Err != nil {
			return nil, r.Err
		}
		out.affected = r.CommandTag.RowsAffected()
		for _, row := range r.Rows {
			cells := make([]sql.NullString, len(row))
			for i, c := range row {
				cells[i] = sql.NullString{String: string(c), Valid: c != nil}
			}
			out.rows = append(out.rows, cells)
		}
	}
	return out, nil
}

// Close ends the connection. Of a statement that was given up, the driver tells the server to stop; a process that ends before would
// leave it running there.
func (w pgWire) Close(ctx context.Context) error {
	err := w.conn.Close(ctx)
	select {
	case <-w.conn.CleanupDone():
	case <-ctx.Done():
	}
	return err
}
func (w pgWire) Closed() bool { return w.conn.IsClosed() }

// defaultPort is Redshift's.
const defaultPort = "5439"

// address reads the URL of a warehouse: redshift:// or postgres://, with Redshift's port where none is named. No error shows the URL.
func address(raw string, o Options) (*pgconn.Config, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, errors.New("the address is no URL: want redshift://user:password@host:5439/database")
	}
	switch u.Scheme {
	case "redshift", "postgres", "postgresql":
		u.Scheme = "postgres"
	default:
		return nil, fmt.Errorf("the address begins with %s://: want redshift://user:password@host:5439/database", u.Scheme)
	}
	if u.Port() == "" {
		u.Host += ":" + defaultPort
	}
	q := u.Query()
	if o.CA != "" {
		q.Set("sslrootcert", o.CA)
		if q.Get("sslmode") == "" {
			q.Set("sslmode", "verify-full")
		}
	}
	if q.Get("connect_timeout") == "" {
		q.Set("connect_timeout", "15")
	}
	q.Set("application_name", "firth")
	u.RawQuery = q.Encode()
	c, err := pgconn.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("the address cannot be read: %s", secretsOf(u).clean(errors.Unwrap(err)))
	}
	return c, nil
}

// secretsOf lists the password of an address, as it is and as it is written there.
func secretsOf(u *url.URL) secrets {
	q := u.Query()
	out := append(secrets(q["password"]), q["sslpassword"]...)
	if password, ok := u.User.Password(); ok {
		_, escaped, _ := strings.Cut(u.User.String(), ":")
		out = append(out, password, escaped)
	}
	return out
}

// dial connects and sets up the session.
func dial(ctx context.Context, c *pgconn.Config) (wire, error) {
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	return pgWire{conn}, nil
}

// Longest waits for one statement, in milliseconds: for a lock or a change that takes a moment, and for the work on rows.
const (
	patience    = "60000"
	rowPatience = "1800000"
)

// exec carries out a statement on the open connection; whatever the error shows, secrets are not in it.
func (d *DB) exec(ctx context.Context, statement string) (*reply, error) {
	if d.conn == nil {
		return nil, errClosed
	}
	r, err := d.conn.Exec(ctx, statement)
	if err != nil {
		return nil, d.secrets.scrub(err)
	}
	return r, nil
}

var errClosed = errors.New("the connection is closed")

// connected makes a connection where there is none, or none that lives.
func (d *DB) connected(ctx context.Context) error {
	if d.closed {
		return errors.New("the warehouse is closed")
	}
	if d.conn != nil && !d.conn.Closed() {
		return nil
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return d.secrets.scrub(err)
	}
	d.conn = conn
	for _, s := range []string{"SET timezone TO 'UTC'", "SET datestyle TO 'ISO'", "SET statement_timeout TO " + patience} {
		if _, err := d.exec(ctx, s); err != nil {
			d.hangUp()
			return fmt.Errorf("set up the session: %w", err)
		}
	}
	return nil
}

// hangUp ends the connection; the next use makes another. Whatever was open on it is rolled back by the server.
func (d *DB) hangUp() {
	if d.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// What cannot be said goodbye to is gone all the same.
	_ = d.conn.Close(ctx)
	d.conn = nil
}

// inTx runs fn in a transaction that holds the loaders' turn. The lock is taken before the transaction reads anything: Redshift fixes
// what a transaction sees at its first statement, but LOCK is none of those, so it sees all that the one before committed.
func (d *DB) inTx(ctx context.Context, fn func() error) error {
	for _, s := range []string{"SET statement_timeout TO " + patience, "BEGIN", "LOCK TABLE _firth.turn", "SET statement_timeout TO " + rowPatience} {
		if _, err := d.exec(ctx, s); err != nil {
			d.rollBack(ctx)
			return fmt.Errorf("begin: %w", err)
		}
	}
	if err := fn(); err != nil {
		d.rollBack(ctx)
		return err
	}
	if _, err := d.exec(ctx, "COMMIT"); err != nil {
		// Nobody knows whether it is in; the position will tell.
		d.hangUp()
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollBack ends a transaction that failed, or the connection where that fails too.
func (d *DB) rollBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if d.conn == nil || d.conn.Closed() {
		d.hangUp()
		return
	}
	if _, err := d.exec(ctx, "ROLLBACK"); err != nil {
		d.hangUp()
	}
}

// run carries out statements in order.
func (d *DB) run(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := d.exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// secrets are texts that nobody may see.
type secrets []string

// clean is the text of an error without secrets.
func (s secrets) clean(err error) string {
	if err == nil {
		return ""
	}
	return s.text(err.Error())
}

func (s secrets) text(text string) string {
	for _, secret := range s {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// scrub returns an error of the same nature whose every text is clean: servers may repeat a statement, with the keys in it.
func (s secrets) scrub(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		c := *pe
		for _, t := range []*string{&c.Message, &c.Detail, &c.Hint, &c.InternalQuery, &c.Where} {
			*t = s.text(*t)
		}
		if text := s.clean(err); err.Error() != pe.Error() {
			return &scrubbed{text, &c}
		}
		return &c
	}
	if text := s.clean(err); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// scrubbed is an error around one of the server.
type scrubbed struct {
	text  string
	cause error
}

func (e *scrubbed) Error() string { return e.text }
func (e *scrubbed) Unwrap() error { return e.cause }
