package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"errors"

	engine "github.com/duckdb/duckdb-go/v2"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

//go:embed sql/tables.sql
var tablesSQL string

//go:embed sql/catalogue.sql
var catalogueSQL string

//go:embed sql/gone.sql
var goneSQL string

//go:embed sql/users_columns.sql
var usersColumnsSQL string

// Positions returns how far each journal has been loaded for the source; a journal that is missing has not been begun.
func (d *DB) Positions(ctx context.Context, source string) (map[string]warehouse.Position, error) {
	rows, err := d.sql.QueryContext(ctx, "SELECT log, position, loaded_through, loaded_at FROM _firth.positions WHERE source = $1", source)
	if err != nil {
		return nil, d.fail("read positions", source, err)
	}
	out := map[string]warehouse.Position{}
	for rows.Next() {
		var log string
		p := warehouse.Position{LoadedThrough: event.NoTime}
		var through sql.NullTime
		if err = rows.Scan(&log, &p.Next, &through, &p.LoadedAt); err != nil {
			break
		}
		if through.Valid {
			p.LoadedThrough = through.Time.UnixMicro()
		}
		out[log] = p
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, d.fail("read positions", source, err)
	}
	return out, nil
}

// Catalogue returns the tables that loads have made for the source and that are there, with the columns that they have, in order. A
// column whose type is none of ours is table.Null.
func (d *DB) Catalogue(ctx context.Context, source string) ([]warehouse.Table, error) {
	rows, err := d.sql.QueryContext(ctx, catalogueSQL, source, d.catalog)
	if err != nil {
		return nil, d.fail("read catalogue", source, err)
	}
	var out []warehouse.Table
	for rows.Next() {
		var name, kind string
		var c table.Column
		if err = rows.Scan(&name, &c.Name, &kind, &c.Path); err != nil {
			break
		}
		c.Type = typeOf(kind)
		if len(out) == 0 || out[len(out)-1].Name != name {
			out = append(out, warehouse.Table{Name: name})
		}
		last := &out[len(out)-1]
		last.Columns = append(last.Columns, c)
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, d.fail("read catalogue", source, err)
	}
	return out, nil
}

// recordColumns adds columns to the catalogue; after is the number of columns that the table had before.
func (l *loading) recordColumns(ctx context.Context, name string, columns []table.Column, after int) error {
	return l.db.raw(func(conn driver.Conn) error {
		a, err := engine.NewAppender(conn, l.db.catalog, "_firth", "columns")
		if err != nil {
			return err
		}
		for i, c := range columns {
			err := a.AppendRow(l.batch.Source, l.batch.Schema, name, c.Name, c.Type.String(), c.Path, l.now, int32(after+i+1))
			if err != nil {
				return errors.Join(err, a.Clear(), a.Close())
			}
		}
		return a.CloseWithCancel(ctx)
	})
}

// typeOf is the inverse of typeName; a type that Firth never makes is table.Null.
func typeOf(name string) table.Type {
	switch name {
	case "BOOLEAN":
		return table.Boolean
	case "BIGINT":
		return table.Integer
	case "DOUBLE":
		return table.Float
	case "TIMESTAMP WITH TIME ZONE":
		return table.Timestamp
	case "VARCHAR":
		return table.String
	}
	return table.Null
}
