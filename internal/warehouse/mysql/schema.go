package mysql

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"strings"

	"firth/internal/event"
)

//go:embed sql/tables.sql
var tablesSQL string

//go:embed sql/columns.sql
var columnsSQL string

// relation is a table as it stands on the server and in the bookkeeping; either may not know it.
type relation struct {
	name    string
	exists  bool
	view    bool
	engine  string
	keyed   bool // an index begins with the id
	unique  bool // and takes each id once
	columns []*column
	byName  map[string]*column // by name in lower case, as the server compares them
	lost    map[string]bool    // columns of the bookkeeping that do not exist, by name in lower case: whether they once did

	known   bool // to the bookkeeping
	made    bool // the bookkeeping saw it made
	adopted bool
	through int64 // rows received until then may be in it already; event.NoTime: none
}

// tables are the tables of one schema by key, see DB.key.
type tables map[string]*relation

// key is the name under which a table is found.
func (d *DB) key(name string) string {
	if d.server.foldNames {
		return strings.ToLower(name)
	}
	return name
}

func (r *relation) find(name string) *column { return r.byName[strings.ToLower(name)] }

func (r *relation) add(c *column) {
	r.columns = append(r.columns, c)
	r.byName[strings.ToLower(c.name)] = c
}

func newRelation(name string) *relation {
	return &relation{name: name, byName: map[string]*column{}, lost: map[string]bool{}, through: event.NoTime}
}

// readSchema reads what a schema holds and what the bookkeeping knows of it.
func (d *DB) readSchema(ctx context.Context, s session, source, schema string) (tables, error) {
	out := tables{}
	get := func(name string) *relation {
		k := d.key(name)
		if out[k] == nil {
			out[k] = newRelation(name)
		}
		return out[k]
	}
	err := s.each(ctx, tablesSQL, []any{schema}, func(rows *sql.Rows) error {
		var name, kind, engine string
		var keyed, unique bool
		if err := rows.Scan(&name, &kind, &engine, &keyed, &unique); err != nil {
			return err
		}
		r := get(name)
		r.exists, r.view, r.engine, r.keyed, r.unique = true, kind != "BASE TABLE", engine, keyed, unique
		return nil
	})
	if err == nil {
		err = s.each(ctx, columnsSQL, []any{schema}, func(rows *sql.Rows) error {
			var name string
			c := &column{}
			err := rows.Scan(&name, &c.name, &c.ordinal, &c.data, &c.full, &c.charset, &c.collate, &c.chars, &c.bytes, &c.digits, &c.scale,
				&c.fraction, &c.nullable, &c.computed)
			if err != nil {
				return err
			}
			c.data, c.full = strings.ToLower(c.data), strings.ToLower(c.full)
			c.classify()
			get(name).add(c)
			return nil
		})
	}
	if err == nil {
		err = d.readBookkeeping(ctx, s, source, schema, get)
	}
	if err != nil {
		return nil, fmt.Errorf("read the schema %s: %w", schema, err)
	}
	return out, nil
}

func (d *DB) readBookkeeping(ctx context.Context, s session, source, schema string, get func(string) *relation) error {
	err := s.each(ctx, "SELECT table_name, adopted, adopted_through, made FROM `_firth`.`tables` WHERE source = ? AND schema_name = ?",
		[]any{source, schema}, func(rows *sql.Rows) error {
			var name string
			var adopted, made bool
			var through sql.NullTime
			if err := rows.Scan(&name, &adopted, &through, &made); err != nil {
				return err
			}
			r := get(name)
			r.known, r.made, r.adopted = true, made, adopted
			if through.Valid {
				r.through = through.Time.UnixMicro()
			}
			return nil
		})
	if err != nil {
		return err
	}
	return s.each(ctx, "SELECT table_name, column_name, path, made FROM `_firth`.`columns` WHERE source = ? AND schema_name = ?",
		[]any{source, schema}, func(rows *sql.Rows) error {
			var name, columnName, path string
			var made bool
			if err := rows.Scan(&name, &columnName, &path, &made); err != nil {
				return err
			}
			r := get(name)
			if c := r.find(columnName); c != nil {
				c.path, c.known, c.made = path, true, made
			} else {
				r.lost[strings.ToLower(columnName)] = made
			}
			return nil
		})
}
