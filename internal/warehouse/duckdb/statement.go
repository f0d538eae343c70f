package duckdb

import (
	"context"
	"database/sql"

	"firth/internal/query"
	"firth/internal/warehouse/duckdb/stream"
)

// Stream runs one SELECT or EXPLAIN on a connection of SQL and hands its rows out while the engine makes them; see query.Driver.
func (d *DB) Stream(ctx context.Context, conn *sql.Conn, text string, params []any) (query.Rows, error) {
	leave := d.crew.join()
	rows, err := stream.Stream(ctx, conn, text, params)
	if err != nil {
		leave()
		return nil, err
	}
	return &answered{rows, leave}, nil
}

// answered are rows that the crew works for until they are closed.
type answered struct {
	query.Rows
	leave func()
}

func (r *answered) Close() error {
	defer r.leave()
	return r.Rows.Close()
}
