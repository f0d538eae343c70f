package postgres

import (
	"context"
	_ "embed"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

//go:embed sql/catalogue.sql
var catalogueSQL string

// Positions returns how far each journal has been loaded for the source; a journal that is missing has not been begun.
func (d *DB) Positions(ctx context.Context, source string) (map[string]warehouse.Position, error) {
	out := map[string]warehouse.Position{}
	err := d.turn(ctx, "read positions", source, readWithin, func(ctx context.Context) error {
		rows, err := d.conn.Query(ctx, "SELECT log, position, loaded_through, loaded_at FROM _firth.positions WHERE source = $1", source)
		if err != nil {
			return err
		}
		var log string
		var next int64
		var through *time.Time
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&log, &next, &through, &at}, func() error {
			p := warehouse.Position{Next: uint64(next), LoadedThrough: event.NoTime, LoadedAt: at.UTC()}
			if through != nil {
				p.LoadedThrough = through.UnixMicro()
			}
			out[log] = p
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Catalogue returns the tables of the source as they really are: every column that rows can be written to, in the order of the table.
func (d *DB) Catalogue(ctx context.Context, source string) ([]warehouse.Table, error) {
	var out []warehouse.Table
	err := d.turn(ctx, "read catalogue", source, readWithin, func(ctx context.Context) error {
		out = nil
		rows, err := d.conn.Query(ctx, catalogueSQL, source)
		if err != nil {
			return err
		}
		var name string
		var oid int64
		var c table.Column
		_, err = pgx.ForEachRow(rows, []any{&name, &c.Name, &oid, &c.Path}, func() error {
			_, c.Type = formOf(uint32(oid))
			if len(out) == 0 || out[len(out)-1].Name != name {
				out = append(out, warehouse.Table{Name: name})
			}
			last := &out[len(out)-1]
			last.Columns = append(last.Columns, c)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
