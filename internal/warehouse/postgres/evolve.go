package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/table"
	"firth/internal/warehouse"
)

//go:embed sql/holders.sql
var holdersSQL string

// tries are how long ALTER TABLE waits for its lock each time, and then stays away. While it waits, everybody who comes later waits
// behind it, readers too; so it waits briefly, lets them through, and asks again.
var tries = [...]struct{ wait, pause time.Duration }{
	{100 * time.Millisecond, 200 * time.Millisecond},
	{500 * time.Millisecond, time.Second},
	{3 * time.Second, 0},
}

// evolve brings the tables to what a batch needs, each in a transaction of its own.
func (l *loading) evolve(ctx context.Context, changes []*change) error {
	if err := l.makeSchema(ctx); err != nil {
		return err
	}
	for _, c := range changes {
		if !c.create && !c.have.owned && len(c.add)+len(c.widen)+len(c.grow) > 0 {
			return l.notOwner(c.have)
		}
		if err := l.alter(ctx, c); err != nil {
			return fmt.Errorf("table %s: %w", c.name, err)
		}
		for _, col := range c.widen {
			if err := l.retype(ctx, c, growth{col.Name, "double precision"}, true); err != nil {
				return fmt.Errorf("widen column %s of %s: %w", col.Name, c.name, err)
			}
		}
		for _, g := range c.grow {
			if err := l.retype(ctx, c, g, false); err != nil {
				return fmt.Errorf("widen column %s of %s: %w", g.column, c.name, err)
			}
		}
	}
	return nil
}

// makeSchema makes the schema where it is missing. To ask for it with IF NOT EXISTS takes the right to make schemas even where it is
// there.
func (l *loading) makeSchema(ctx context.Context) error {
	var there bool
	if err := l.db.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", l.schema).Scan(&there); err != nil || there {
		return err
	}
	if _, err := l.db.conn.Exec(ctx, createSchema(l.schema)); err != nil {
		return fmt.Errorf("make the schema %s: %w", l.schema, err)
	}
	return nil
}

// notOwner says what lets the login alter a table: membership in the owner, or, lest it become a superuser, the table itself.
func (l *loading) notOwner(r *relation) error {
	role := quote(l.db.config.User)
	mends := "GRANT " + quote(r.owner) + " TO " + role
	if r.super {
		mends = "ALTER TABLE " + qualified(l.schema, r.name) + " OWNER TO " + role
	}
	return &ill{
		kind: warehouse.Denied,
		err:  fmt.Errorf("the table %s belongs to %s: %s may not add or widen its columns", qualified(l.schema, r.name), quote(r.owner), role),
		hint: mends,
	}
}

// alter makes or takes over a table and adds columns.
func (l *loading) alter(ctx context.Context, c *change) error {
	if !c.create && !c.adopt && len(c.add)+len(c.record) == 0 {
		return nil
	}
	var oid int64
	if !c.create {
		oid = c.have.oid
	}
	var notices []string
	err := l.ddl(ctx, oid, c.name, func(ctx context.Context) (err error) {
		notices, err = l.alterIn(ctx, c)
		return err
	})
	if err == nil {
		l.result.Notices = append(l.result.Notices, notices...)
	}
	return err
}

// alterIn does the work of alter in its transaction.
func (l *loading) alterIn(ctx context.Context, c *change) (notices []string, err error) {
	d := l.db
	switch {
	case c.create:
		if c.have != nil {
			notices = append(notices, fmt.Sprintf("%s.%s had been dropped and was made again", l.schema, c.name))
		}
		if err := l.create(ctx, c); err != nil {
			return nil, err
		}
		return notices, l.record(ctx, c.name, c.columns, 0)
	case c.adopt:
		if notices, err = l.adopt(ctx, c); err != nil {
			return nil, err
		}
	}
	for _, col := range c.add {
		if _, known := c.have.types[col.Name]; known {
			notices = append(notices, fmt.Sprintf("%s.%s.%s had been dropped and was made again", l.schema, c.name, col.Name))
		}
	}
	place := len(c.have.columns)
	if len(c.add) > 0 {
		statement, err := addColumns(l.schema, c.name, c.add)
		if err != nil {
			return nil, err
		}
		if _, err := d.conn.Exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("add columns: %w", err)
		}
	}
	return notices, l.record(ctx, c.name, append(c.record, c.add...), place)
}

// create makes a table, and forgets what was known of one of that name.
func (l *loading) create(ctx context.Context, c *change) error {
	method := l.db.options.AccessMethod
	if c.heap {
		method = Heap
	}
	statement, err := createTable(l.schema, c.name, c.columns, method, c.key)
	if err != nil {
		return err
	}
	if _, err := l.db.conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("make the table: %w", err)
	}
	if _, err := l.db.conn.Exec(ctx, "DELETE FROM _firth.columns WHERE source = $1 AND schema_name = $2 AND table_name = $3", l.source, l.schema, c.name); err != nil {
		return fmt.Errorf("forget the columns: %w", err)
	}
	_, err = l.db.conn.Exec(ctx, "INSERT INTO _firth.tables VALUES ($1, $2, $3, $4, false, NULL) "+
		"ON CONFLICT (source, schema_name, table_name) DO UPDATE SET first_seen = excluded.first_seen, adopted = false, adopted_through = NULL",
		l.source, l.schema, c.name, l.now)
	if err != nil {
		return fmt.Errorf("record the table: %w", err)
	}
	return nil
}

// record adds columns to the catalogue; after is the number of columns before them.
func (l *loading) record(ctx context.Context, name string, columns []table.Column, after int) error {
	if len(columns) == 0 {
		return nil
	}
	var names, types, paths []string
	var ordinals []int32
	for i, c := range columns {
		names, types, paths, ordinals = append(names, c.Name), append(types, c.Type.String()), append(paths, c.Path), append(ordinals, int32(after+i+1))
	}
	_, err := l.db.conn.Exec(ctx, "INSERT INTO _firth.columns SELECT $1, $2, $3, c.name, c.type, c.path, $4, c.ordinal "+
		"FROM unnest($5::text[], $6::text[], $7::text[], $8::integer[]) AS c (name, type, path, ordinal) "+
		"ON CONFLICT (source, schema_name, table_name, column_name) DO UPDATE SET type = excluded.type, path = excluded.path",
		l.source, l.schema, name, l.now, names, types, paths, ordinals)
	if err != nil {
		return fmt.Errorf("record columns: %w", err)
	}
	return nil
}

// ddl runs fn in a transaction that waits for locks as tries has it. oid and name are the table that somebody may hold.
func (l *loading) ddl(ctx context.Context, oid int64, name string, fn func(ctx context.Context) error) error {
	var err error
	for _, try := range tries {
		err = l.db.inTx(ctx, func(ctx context.Context) error {
			if _, err := l.db.conn.Exec(ctx, lockTimeout(try.wait)); err != nil {
				return err
			}
			return fn(ctx)
		})
		if !busy(err) {
			return err
		}
		if err := pause(ctx, try.pause); err != nil {
			return err
		}
	}
	return l.db.heldBy(ctx, "the table "+qualified(l.schema, name), []int64{oid}, tableBlockers[:], err)
}

func lockTimeout(d time.Duration) string {
	return fmt.Sprintf("SET LOCAL lock_timeout = '%dms'", d.Milliseconds())
}

// busy reports whether somebody else's lock was in the way.
func busy(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "55P03" || pg.Code == "40P01")
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Modes of locks that are in the way of rows, of a position, where it is one of its rows that is held, and of ALTER TABLE.
var (
	rowBlockers      = [...]string{"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
	positionBlockers = [...]string{"RowShareLock", "RowExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}

	tableBlockers = [...]string{"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
)

// heldBy makes an error of kind Busy that says who holds the tables.
func (d *DB) heldBy(ctx context.Context, name string, oids []int64, modes []string, cause error) error {
	e := &ill{kind: warehouse.Busy, err: fmt.Errorf("%s is locked: %w", name, cause)}
	e.hint = "it is tried again; to see who holds locks: SELECT pid, relation::regclass, mode FROM pg_locks WHERE relation IS NOT NULL AND granted"
	if d.conn == nil || d.conn.IsClosed() {
		return e
	}
	rows, err := d.conn.Query(ctx, holdersSQL, oids, modes)
	if err != nil {
		return e
	}
	var pid int
	var user, application, state, query string
	var since *time.Time
	var who []string
	_, err = pgx.ForEachRow(rows, []any{&pid, &user, &application, &state, &query, &since}, func() error {
		one := fmt.Sprintf("process %d of %s", pid, quote(user))
		if application != "" {
			one += " (" + application + ")"
		}
		if state != "" { // the server tells it to those with the rights of pg_read_all_stats
			one += ", " + state
		}
		if since != nil {
			one += " since " + since.UTC().Format("2006-01-02 15:04:05") + " UTC"
		}
		if query != "" {
			one += ": " + query
		}
		if len(who) == 0 {
			e.pid = pid
		}
		who = append(who, one)
		return nil
	})
	if err == nil && len(who) > 0 {
		e.hint = fmt.Sprintf("it is tried again; the table is held by %s. To end it: SELECT pg_terminate_backend(%d)", strings.Join(who, "; "), e.pid)
	}
	return e
}
