package postgres

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

//go:embed sql/mirror.sql
var mirrorSQL string

// mirrorConnections is how many connections mirrors have at most.
const mirrorConnections = 8

// Mirrors are the tables of the database that are copies of others. Each piece of work has a connection of its own, of which some are kept.
// The methods are safe for use by several goroutines.
type Mirrors struct {
	of     *DB // what the connections are made like; it has none itself
	slots  chan struct{}
	limits limits

	mu     sync.Mutex
	idle   []*DB
	closed bool
}

// OpenMirrors connects, makes the bookkeeping where it is missing, and looks whether mirrors can be written there. A failure is a
// *warehouse.Error with a hint; it may be tried again.
func OpenMirrors(ctx context.Context, url string, o Options) (*Mirrors, error) {
	o.AccessMethod = "" // rows of mirrors are changed, which tables by columns are not made for
	d, err := Open(ctx, url, o)
	if err != nil {
		return nil, err
	}
	m := &Mirrors{of: &DB{config: d.config, options: d.options}, slots: make(chan struct{}, mirrorConnections), idle: []*DB{d}}
	err = m.turn(ctx, "open", d.options.Name, func(ctx context.Context, d *DB) error {
		var version int
		var there bool
		if err := d.conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::integer, to_regclass('_firth.mirror_stages') IS NOT NULL").Scan(&version, &there); err != nil {
			return err
		}
		m.limits.infinities = version >= 140000
		if there {
			return nil
		}
		err := d.inTx(ctx, func(ctx context.Context) error { return d.script(ctx, mirrorSQL) })
		if madeBeside(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Close ends the connections that are idle; others end when their work does.
func (m *Mirrors) Close() error {
	m.mu.Lock()
	idle := m.idle
	m.idle, m.closed = nil, true
	m.mu.Unlock()
	var err error
	for _, d := range idle {
		err = errors.Join(err, d.Close())
	}
	return err
}

// turn runs fn with a connection that nobody else has, and names what goes wrong.
func (m *Mirrors) turn(ctx context.Context, op, object string, fn func(context.Context, *DB) error) error {
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s %s: %w", op, object, ctx.Err())
	}
	defer func() { <-m.slots }()
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return fmt.Errorf("%s %s: %w", op, object, errClosed)
	}
	var d *DB
	if n := len(m.idle); n > 0 {
		d, m.idle = m.idle[n-1], m.idle[:n-1]
	} else {
		d = &DB{config: m.of.config, options: m.of.options, guessed: map[string]map[string]int64{}, notices: map[string][]string{}}
	}
	m.mu.Unlock()
	err := d.turn(ctx, op, object, swapWithin, func(ctx context.Context) error { return fn(ctx, d) })
	m.mu.Lock()
	closed := m.closed
	if !closed {
		m.idle = append(m.idle, d)
	}
	m.mu.Unlock()
	if closed {
		return errors.Join(err, d.Close())
	}
	return err
}

// record is what the bookkeeping has of a mirror.
type record struct {
	known   bool
	schema  string
	table   string
	columns []vector.Column // nil: no table was published
	state   json.RawMessage
	idType  *vector.Type
}

// of reports whether the record speaks of the mirror's table as it is configured now.
func (r *record) of(t warehouse.MirrorTable) bool {
	return r.known && r.schema == t.Schema && r.table == t.Table
}

// record reads what the bookkeeping has; lock keeps others from publishing the mirror as long as the transaction lasts.
func (d *DB) record(ctx context.Context, name string, lock bool) (*record, error) {
	r := &record{}
	var columns, state, idType *string
	query := "SELECT schema_name, table_name, columns::text, state::text, id_type::text FROM _firth.mirrors WHERE name = $1"
	if lock {
		query += " FOR UPDATE"
	}
	err := d.conn.QueryRow(ctx, query, name).Scan(&r.schema, &r.table, &columns, &state, &idType)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, nil
	}
	if err == nil && columns != nil {
		err = json.Unmarshal([]byte(*columns), &r.columns)
	}
	if err == nil && idType != nil {
		err = json.Unmarshal([]byte(*idType), &r.idType)
	}
	if err != nil {
		return nil, fmt.Errorf("read the bookkeeping of the mirror: %w", err)
	}
	if state != nil {
		r.state = json.RawMessage(*state)
	}
	r.known = true
	return r, nil
}

// saveRecord writes the record.
func (d *DB) saveRecord(ctx context.Context, name string, r *record) error {
	columns, err := optionalJSON(r.columns, r.columns == nil)
	if err != nil {
		return err
	}
	idType, err := optionalJSON(r.idType, r.idType == nil)
	if err != nil {
		return err
	}
	state, _ := optionalJSON(r.state, len(r.state) == 0)
	_, err = d.conn.Exec(ctx, "INSERT INTO _firth.mirrors AS m VALUES ($1, $2, $3, $4::text::json, $5::text::json, $6::text::json, $7) ON CONFLICT (name) DO UPDATE SET schema_name = excluded.schema_name, "+
		"table_name = excluded.table_name, columns = excluded.columns, state = excluded.state, id_type = excluded.id_type, updated_at = excluded.updated_at",
		name, r.schema, r.table, columns, state, idType, d.now())
	return err
}

// optionalJSON is a value as JSON text, or NULL.
func optionalJSON(v any, null bool) (*string, error) {
	if null {
		return nil, nil
	}
	if raw, ok := v.(json.RawMessage); ok {
		s := string(raw)
		return &s, nil
	}
	b, err := json.Marshal(v)
	s := string(b)
	return &s, err
}

// found is a relation as the catalogue has it.
type found struct {
	oid     int64 // 0: there is none
	kind    string
	rows    int64 // an estimate
	columns []string
}

func (f *found) exists() bool { return f.oid != 0 }

func (f *found) has(column string) bool { return slices.Contains(f.columns, column) }

func (d *DB) find(ctx context.Context, schema, name string) (*found, error) {
	f := &found{}
	err := d.conn.QueryRow(ctx, "SELECT r.oid::bigint, r.relkind::text, greatest(r.reltuples, 0)::bigint, "+
		"coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped), '{}') "+
		"FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE n.nspname = $1 AND r.relname = $2", schema, name).
		Scan(&f.oid, &f.kind, &f.rows, &f.columns)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("look for the table %s: %w", name, err)
	}
	return f, nil
}

// Mirror tells what the database has of a mirror.
func (m *Mirrors) Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	out := &warehouse.MirrorState{}
	err := m.turn(ctx, "read the mirror", t.Name, func(ctx context.Context, d *DB) error {
		r, err := d.record(ctx, t.Name, false)
		if err != nil {
			return err
		}
		out.State = r.state
		f, err := d.find(ctx, t.Schema, t.Table)
		if err != nil {
			return err
		}
		if f.exists() && r.of(t) {
			out.Columns, out.Rows = r.columns, f.rows
		}
		out.Staged, err = d.staged(ctx, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// staged reads what an earlier run left for the table; nil: nothing.
func (d *DB) staged(ctx context.Context, t warehouse.MirrorTable) (*warehouse.Staged, error) {
	s := &warehouse.Staged{}
	var columns string
	var progress *string
	err := d.conn.QueryRow(ctx, "SELECT run, columns::text, progress::text, rows FROM _firth.mirror_stages WHERE name = $1 AND schema_name = $2 AND stage_table = $3",
		t.Name, t.Schema, stageName(t.Table)).Scan(&s.Run, &columns, &progress, &s.Rows)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(columns), &s.Columns)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is staged: %w", err)
	}
	if progress != nil {
		s.Progress = json.RawMessage(*progress)
	}
	f, err := d.find(ctx, t.Schema, stageName(t.Table))
	if err != nil || !f.exists() {
		return nil, err
	}
	return s, nil
}

// IDs lists ids of the last list, in the order of the database.
func (m *Mirrors) IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error) {
	var out []vector.Value
	err := m.turn(ctx, "read the ids of", t.Name, func(ctx context.Context, d *DB) error {
		r, err := d.record(ctx, t.Name, false)
		if err != nil || !r.of(t) || r.idType == nil {
			return err
		}
		f, err := d.find(ctx, t.Schema, idsName(t.Table))
		if err != nil || !f.exists() {
			return err
		}
		texts, err := d.texts(ctx, selectIDs(qualified(t.Schema, idsName(t.Table)), after, limit))
		if err != nil {
			return err
		}
		v := vector.New(*r.idType)
		for i, text := range texts {
			if !vector.ParseInto(v, text) {
				return fmt.Errorf("the id %q is no %s", text, r.idType)
			}
			out = append(out, v.At(i))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// claim finds out whether the mirror may have the table: it is not there, the mirror's own, or empty and nobody's. The result is what is
// there, and whether it is the mirror's.
func (d *DB) claim(ctx context.Context, t warehouse.MirrorTable, r *record) (f *found, own bool, err error) {
	name := qualified(t.Schema, t.Table)
	refuse := func(why string) error {
		return &ill{kind: warehouse.BadName, err: fmt.Errorf("%s: %s", name, why), hint: fmt.Sprintf("give the mirror %s another table (into), or remove this one: DROP TABLE %s", t.Name, name)}
	}
	if reserved(t.Schema) || len(t.Schema) > maxName || len(t.Table) > maxName || t.Table == "" {
		return nil, false, &ill{kind: warehouse.BadName, err: fmt.Errorf("the name %s cannot be used", name),
			hint: "choose another: names have at most 63 bytes, and the schemas _firth, information_schema and those that begin with pg_ are taken"}
	}
	if f, err = d.find(ctx, t.Schema, t.Table); err != nil {
		return nil, false, err
	}
	other, err := d.texts(ctx, "SELECT name FROM _firth.mirrors WHERE name <> $1 AND schema_name = $2 AND table_name = $3 AND columns IS NOT NULL", t.Name, t.Schema, t.Table)
	switch {
	case err != nil:
		return nil, false, err
	case !f.exists():
		return f, false, nil
	case f.kind != "r" && f.kind != "p":
		return nil, false, &ill{kind: warehouse.BadName, err: fmt.Errorf("%s is no table, but has its name", name), hint: "drop it, or give the mirror another table (into)"}
	case len(other) > 0:
		return nil, false, refuse("the table is that of the mirror " + other[0])
	case r.of(t) && r.columns != nil:
		return f, true, nil
	}
	var rows bool
	if err := d.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+name+")").Scan(&rows); err != nil {
		return nil, false, err
	}
	if rows {
		return nil, false, refuse("the table is there already, has rows, and was not made by a mirror")
	}
	return f, false, nil
}
