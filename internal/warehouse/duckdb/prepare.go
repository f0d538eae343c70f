package duckdb

import (
	"context"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Prepare makes the schema of a source and those of the tables that it does not have yet, without rows.
func (d *DB) Prepare(ctx context.Context, source, schema string, tables []*table.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &loading{
		db: d, batch: &warehouse.Batch{Source: source, Schema: schema},
		now: d.now().UTC().Truncate(time.Microsecond), result: &warehouse.Result{Rows: map[string]int64{}},
	}
	err := d.inTx(ctx, func() error {
		if err := l.prepare(ctx); err != nil {
			return err
		}
		for _, t := range tables {
			if err := l.evolve(ctx, t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		delete(d.known, schema)
		return d.fail("prepare", source, err)
	}
	d.known[schema], d.dirty = l.tables, true
	if len(l.result.Notices) > 0 {
		d.notices[schema] = append(d.notices[schema], l.result.Notices...)
	}
	return nil
}
