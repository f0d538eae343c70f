package duckdb

import (
	"context"
	"database/sql"

	"firth/internal/query"
	"firth/internal/warehouse/duckdb/stream"
)

// Stream runs one SELECT or EXPLAIN on a connection of SQL and hands its rows out while the engine makes them; see query.Driver.
func (d *DB) Stream(ctx context.Context, conn *sql.Conn, text string, params []any) (query.Rows, error) {
	return stream.Stream(ctx, conn, text, params)
}
