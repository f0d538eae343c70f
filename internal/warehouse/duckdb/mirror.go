package duckdb

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

//go:embed sql/mirror.sql
var mirrorSQL string

// Mirrors are the tables of the file that are copies of databases. Writes take turns with loads by the engine's own lock. Nothing of them
// is in the file before a checkpoint: publishing ends with one where it changed rows, and a long staging has one now and then; a process
// that ends before leaves rows, progress and state as they were at the last, together.
type Mirrors struct {
	db    *DB
	ready atomic.Bool // the bookkeeping is there
}

// Mirrors are the mirrors of the open file.
func (d *DB) Mirrors() *Mirrors { return &Mirrors{db: d} }

// prepare makes the bookkeeping; the caller holds the writer's lock.
func (m *Mirrors) prepare(ctx context.Context) error {
	if m.ready.Load() {
		return nil
	}
	if err := m.db.inTx(ctx, func() error { return m.db.exec(ctx, mirrorSQL) }); err != nil {
		return fmt.Errorf("make the bookkeeping of mirrors: %w", err)
	}
	m.ready.Store(true)
	return nil
}

// locked runs fn with the writer's lock and the bookkeeping there, and names what goes wrong.
func (m *Mirrors) locked(ctx context.Context, op string, t warehouse.MirrorTable, fn func() error) error {
	m.db.mu.Lock()
	defer m.db.mu.Unlock()
	err := m.prepare(ctx)
	if err == nil {
		err = fn()
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = errors.Join(ctx.Err(), err) // the engine says that it was interrupted
	}
	return m.db.fail(op, t.Name, err)
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
	return r.known && strings.EqualFold(r.schema, t.Schema) && strings.EqualFold(r.table, t.Table)
}

func (m *Mirrors) record(ctx context.Context, name string) (*record, error) {
	r := &record{}
	var columns, state, idType sql.NullString
	err := m.db.writer.QueryRowContext(ctx, "SELECT schema_name, table_name, columns::VARCHAR, state::VARCHAR, id_type::VARCHAR FROM _firth.mirrors WHERE name = $1", name).
		Scan(&r.schema, &r.table, &columns, &state, &idType)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	if err == nil && columns.Valid {
		err = json.Unmarshal([]byte(columns.String), &r.columns)
	}
	if err == nil && idType.Valid {
		err = json.Unmarshal([]byte(idType.String), &r.idType)
	}
	if err != nil {
		return nil, fmt.Errorf("read the bookkeeping of the mirror: %w", err)
	}
	if state.Valid {
		r.state = json.RawMessage(state.String)
	}
	r.known = true
	return r, nil
}

// save writes the record.
func (m *Mirrors) save(ctx context.Context, name string, r *record) error {
	columns, idType := any(nil), any(nil)
	if r.columns != nil {
		b, err := json.Marshal(r.columns)
		if err != nil {
			return err
		}
		columns = string(b)
	}
	if r.idType != nil {
		b, err := json.Marshal(r.idType)
		if err != nil {
			return err
		}
		idType = string(b)
	}
	if err := m.db.exec(ctx, "DELETE FROM _firth.mirrors WHERE name = $1", name); err != nil {
		return err
	}
	return m.db.exec(ctx, "INSERT INTO _firth.mirrors VALUES "+placeholders(1, 7), name, r.schema, r.table, columns, optional(string(r.state)), idType, m.now())
}

func (m *Mirrors) now() time.Time { return m.db.now().UTC().Truncate(time.Microsecond) }

// found is a table or view as the catalogue has it.
type found struct {
	exists, view bool
	rows         int64 // an estimate
	columns      []string
}

func (m *Mirrors) find(ctx context.Context, schema, name string) (*found, error) {
	f := &found{}
	var kind string
	err := m.db.writer.QueryRowContext(ctx, "SELECT 'table', estimated_size FROM duckdb_tables() WHERE database_name = $1 AND lower(schema_name) = lower($2) AND lower(table_name) = lower($3) "+
		"UNION ALL SELECT 'view', 0 FROM duckdb_views() WHERE database_name = $1 AND lower(schema_name) = lower($2) AND lower(view_name) = lower($3)",
		m.db.catalog, schema, name).Scan(&kind, &f.rows)
	if errors.Is(err, sql.ErrNoRows) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the table %s: %w", name, err)
	}
	f.exists, f.view = true, kind == "view"
	f.columns, err = m.texts(ctx, "SELECT column_name FROM duckdb_columns() WHERE database_name = $1 AND lower(schema_name) = lower($2) AND lower(table_name) = lower($3) ORDER BY column_index",
		m.db.catalog, schema, name)
	return f, err
}

func (f *found) has(column string) bool {
	return slices.ContainsFunc(f.columns, func(c string) bool { return strings.EqualFold(c, column) })
}

// texts reads one column of texts on the writer.
func (m *Mirrors) texts(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := m.db.writer.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	var out []string
	for rows.Next() {
		var s string
		if err = rows.Scan(&s); err != nil {
			break
		}
		out = append(out, s)
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}

// count runs a query that gives one number.
func (m *Mirrors) count(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := m.db.writer.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// Mirror tells what the file has of a mirror.
func (m *Mirrors) Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	out := &warehouse.MirrorState{}
	err := m.locked(ctx, "read the mirror", t, func() error {
		r, err := m.record(ctx, t.Name)
		if err != nil {
			return err
		}
		out.State = r.state
		f, err := m.find(ctx, t.Schema, t.Table)
		if err != nil {
			return err
		}
		if f.exists && r.of(t) {
			out.Columns, out.Rows = r.columns, f.rows
		}
		out.Staged, err = m.staged(ctx, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// staged reads what an earlier run left for the table; nil: nothing.
func (m *Mirrors) staged(ctx context.Context, t warehouse.MirrorTable) (*warehouse.Staged, error) {
	s := &warehouse.Staged{}
	var columns string
	var progress sql.NullString
	err := m.db.writer.QueryRowContext(ctx, "SELECT run, columns::VARCHAR, progress::VARCHAR, rows FROM _firth.mirror_stages WHERE name = $1 AND lower(schema_name) = lower($2) AND lower(stage_table) = lower($3)",
		t.Name, t.Schema, warehouse.StagePrefix+t.Table).Scan(&s.Run, &columns, &progress, &s.Rows)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(columns), &s.Columns)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is staged: %w", err)
	}
	if progress.Valid {
		s.Progress = json.RawMessage(progress.String)
	}
	f, err := m.find(ctx, t.Schema, warehouse.StagePrefix+t.Table)
	if err != nil || !f.exists {
		return nil, err
	}
	return s, nil
}

// IDs lists ids of the last list, in the order of the engine.
func (m *Mirrors) IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error) {
	var idType *vector.Type
	err := m.locked(ctx, "read the ids of", t, func() error {
		r, err := m.record(ctx, t.Name)
		if err != nil || !r.of(t) || r.idType == nil {
			return err
		}
		f, err := m.find(ctx, t.Schema, warehouse.IDsPrefix+t.Table)
		if err == nil && f.exists {
			idType = r.idType
		}
		return err
	})
	if err != nil || idType == nil {
		return nil, err
	}
	rows, err := m.db.sql.QueryContext(ctx, selectIDs(t, *idType, after, limit))
	if err != nil {
		return nil, m.db.fail("read the ids of", t.Name, err)
	}
	v := vector.New(*idType)
	for rows.Next() {
		var text string
		if err = rows.Scan(&text); err != nil {
			break
		}
		if !vector.ParseInto(v, text) {
			err = fmt.Errorf("the id %q is no %s", text, idType)
			break
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, m.db.fail("read the ids of", t.Name, err)
	}
	out := make([]vector.Value, v.Len())
	for i := range out {
		out[i] = v.At(i)
	}
	return out, nil
}

// claim finds out whether the mirror may have the table: it is not there, the mirror's own, or empty and nobody's. The result is what is
// there, and whether it is the mirror's.
func (m *Mirrors) claim(ctx context.Context, t warehouse.MirrorTable, r *record) (f *found, own bool, err error) {
	refuse := func(why string) error {
		return &warehouse.Error{
			Op: "mirror into", Object: t.Schema + "." + t.Table, Kind: warehouse.BadName, Err: errors.New(why),
			Hint: fmt.Sprintf("give the mirror %s another table (into), or remove this one: DROP TABLE %s", t.Name, qualified(t.Schema, t.Table)),
		}
	}
	if slices.Contains(reserved, strings.ToLower(t.Schema)) || t.Schema == "" || t.Table == "" {
		return nil, false, &warehouse.Error{Op: "mirror into", Object: t.Schema + "." + t.Table, Kind: warehouse.BadName, Err: fmt.Errorf("the schema %q is taken", t.Schema), Hint: "choose another schema"}
	}
	if f, err = m.find(ctx, t.Schema, t.Table); err != nil {
		return nil, false, err
	}
	other, err := m.texts(ctx, "SELECT name FROM _firth.mirrors WHERE name <> $1 AND lower(schema_name) = lower($2) AND lower(table_name) = lower($3) AND columns IS NOT NULL", t.Name, t.Schema, t.Table)
	switch {
	case err != nil:
		return nil, false, err
	case f.view:
		return nil, false, &warehouse.Error{Op: "mirror into", Object: t.Schema + "." + t.Table, Kind: warehouse.BadName, Err: errors.New("a view has the name of the table"),
			Hint: fmt.Sprintf("drop the view (DROP VIEW %s), or give the mirror another table (into)", qualified(t.Schema, t.Table))}
	case f.exists && len(other) > 0:
		return nil, false, refuse(fmt.Sprintf("the table is that of the mirror %s", other[0]))
	case f.exists && r.of(t) && r.columns != nil:
		return f, true, nil
	case f.exists:
		n, err := m.count(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+qualified(t.Schema, t.Table)+" LIMIT 1)")
		if err != nil {
			return nil, false, err
		}
		if n > 0 {
			return nil, false, refuse("the table is there already, has rows, and was not made by a mirror")
		}
	}
	return f, false, nil
}
