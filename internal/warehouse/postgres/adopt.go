package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

//go:embed sql/foreign.sql
var foreignSQL string

// adopt takes over a table that was there before: its columns as they are, and the time of receipt up to which its rows may be rows
// of the lake as well.
func (l *loading) adopt(ctx context.Context, c *change) ([]string, error) {
	paths := map[string]string{}
	for _, col := range c.columns {
		paths[col.Name] = col.Path
	}
	var columns []table.Column
	for _, have := range c.have.columns {
		if !have.fixed {
			columns = append(columns, table.Column{Name: have.name, Type: have.kind, Path: paths[have.name]})
		}
	}
	through, adopted, err := l.adoptedThrough(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	_, err = l.db.conn.Exec(ctx, "INSERT INTO _firth.tables VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
		l.source, l.schema, c.name, l.now, adopted, through)
	if err != nil {
		return nil, fmt.Errorf("record the table: %w", err)
	}
	if err := l.record(ctx, c.name, columns, 0); err != nil || !adopted {
		return nil, err
	}
	notice := fmt.Sprintf("%s.%s was there already and was taken over", l.schema, c.name)
	switch {
	case through == nil:
	case through.Year() >= farYear:
		notice += "; rows are added only where their id is missing"
	default:
		notice += "; rows received up to " + through.UTC().Format(time.RFC3339Nano) + " are added only where their id is missing"
	}
	return []string{notice}, nil
}

// adoptedThrough is the latest time of receipt in a table that is taken over: nil where it has no rows, the year 9999 where it does
// not say. The table of discards is nothing to be compared with.
func (l *loading) adoptedThrough(ctx context.Context, c *change) (*time.Time, bool, error) {
	if c.name == warehouse.Discards {
		return nil, false, nil
	}
	name := qualified(l.schema, c.name)
	if have := c.have.get("received_at"); have != nil && have.kind == table.Timestamp {
		var micros *int64
		// As a number, because infinite timestamps are none.
		err := l.db.conn.QueryRow(ctx, "SELECT (extract(epoch FROM CASE WHEN max(received_at) IS NOT NULL THEN greatest(least(max(received_at), '9999-01-01'::timestamptz), '0001-01-01'::timestamptz) END) * 1000000)::bigint FROM "+name).Scan(&micros)
		if err != nil {
			return nil, true, err
		}
		if micros != nil {
			at := time.UnixMicro(*micros).UTC()
			return &at, true, nil
		}
	}
	var rows bool
	if err := l.db.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+name+")").Scan(&rows); err != nil || !rows {
		return nil, true, err
	}
	at := time.Date(farYear, 1, 1, 0, 0, 0, 0, time.UTC)
	return &at, true, nil
}
