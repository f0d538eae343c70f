package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// Positions returns how far each journal has been loaded for the source; a journal that is missing has not been begun.
func (d *DB) Positions(ctx context.Context, source string) (map[string]warehouse.Position, error) {
	var out map[string]warehouse.Position
	err := d.withSession(ctx, func(s session) (err error) {
		out, err = positions(ctx, s, source)
		return err
	})
	if err != nil {
		return nil, d.fail("read positions", source, err)
	}
	return out, nil
}

func positions(ctx context.Context, s session, source string) (map[string]warehouse.Position, error) {
	out := map[string]warehouse.Position{}
	err := s.each(ctx, "SELECT log, position, loaded_through, loaded_at FROM `_firth`.`positions` WHERE source = ?", []any{source}, func(rows *sql.Rows) error {
		var log string
		p := warehouse.Position{LoadedThrough: event.NoTime}
		var through sql.NullTime
		if err := rows.Scan(&log, &p.Next, &through, &p.LoadedAt); err != nil {
			return err
		}
		if through.Valid {
			p.LoadedThrough = through.Time.UnixMicro()
		}
		out[log] = p
		return nil
	})
	return out, err
}

// Catalogue returns the tables that loads have made or taken over for the source, with the columns that they really have. A
// swap that was cut off is ended or undone first.
func (d *DB) Catalogue(ctx context.Context, source string) ([]warehouse.Table, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []warehouse.Table
	err := d.withSession(ctx, func(s session) error {
		if err := d.settled(ctx, s); err != nil {
			return err
		}
		var schemas []string
		err := s.each(ctx, "SELECT DISTINCT schema_name FROM `_firth`.`tables` WHERE source = ?", []any{source}, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			schemas = append(schemas, name)
			return err
		})
		for _, schema := range schemas {
			if err != nil {
				break
			}
			var known tables
			if known, err = d.readSchema(ctx, s, source, schema); err == nil {
				out = append(out, known.list()...)
			}
		}
		return err
	})
	if err != nil {
		return nil, d.fail("read catalogue", source, err)
	}
	return out, nil
}

// list is what a shaper is told of.
func (t tables) list() []warehouse.Table {
	var out []warehouse.Table
	for _, r := range t {
		if !r.known || !r.exists || r.view || r.name == warehouse.Discards {
			continue
		}
		w := warehouse.Table{Name: r.name}
		for _, c := range r.columns {
			w.Columns = append(w.Columns, table.Column{Name: c.name, Type: c.typ, Path: c.path})
		}
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b warehouse.Table) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
