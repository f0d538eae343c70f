package duckdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Swap puts rebuilt tables in the place of the old ones; see load.Rebuilder. The rows are copied within the engine, in one
// transaction with the bookkeeping, and are in the file when Swap returns: a process that ends before leaves the old tables and the
// rebuild as the last checkpoint has them.
func (d *DB) Swap(ctx context.Context, s *warehouse.Swap) (*warehouse.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &swapping{
		loading: &loading{
			db: d, batch: &warehouse.Batch{Source: s.Source, Schema: s.Schema},
			now: d.now().UTC().Truncate(time.Microsecond), result: &warehouse.Result{Rows: map[string]int64{}},
		},
		rebuilt: &loading{db: d, batch: &warehouse.Batch{Source: s.RebuildSource, Schema: s.RebuildSchema}, result: &warehouse.Result{}},
	}
	err := d.inTx(ctx, func() error { return w.run(ctx, s) })
	delete(d.known, s.Schema)
	delete(d.known, s.RebuildSchema)
	if err != nil {
		return nil, d.fail("swap", s.Source, err)
	}
	d.dirty = true
	// The swap has been done, whatever becomes of this; an engine that fails here says so to the next who asks.
	if err := d.checkpoint(ctx); err != nil && warehouse.KindOf(err) == warehouse.Broken {
		return nil, err
	}
	return w.result, nil
}

// DropRebuild removes what a rebuild left.
func (d *DB) DropRebuild(ctx context.Context, rebuildSource, rebuildSchema string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, rebuildSchema)
	if err := d.inTx(ctx, func() error { return d.forget(ctx, rebuildSource, rebuildSchema) }); err != nil {
		return d.fail("drop the rebuild", rebuildSource, err)
	}
	return d.checkpoint(ctx)
}

// forget drops a rebuild with all that the bookkeeping has of it.
func (d *DB) forget(ctx context.Context, source, schema string) error {
	if !strings.HasPrefix(schema, warehouse.RebuildPrefix) {
		return &warehouse.Error{Op: "drop the rebuild", Object: schema, Kind: warehouse.BadName, Err: errors.New("that is no schema of a rebuild")}
	}
	if err := d.exec(ctx, "DROP SCHEMA IF EXISTS "+quote(schema)+" CASCADE"); err != nil {
		return err
	}
	for _, t := range []string{"positions", "columns"} {
		if err := d.exec(ctx, "DELETE FROM _firth."+t+" WHERE source = $1", source); err != nil {
			return fmt.Errorf("forget %s: %w", t, err)
		}
	}
	return nil
}

// swapping is one swap under way.
type swapping struct {
	*loading
	rebuilt *loading
}

func (w *swapping) run(ctx context.Context, s *warehouse.Swap) error {
	if err := w.samePositions(ctx); err != nil {
		return err
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	made, err := w.rebuilt.readTables(ctx)
	if err != nil {
		return fmt.Errorf("read the schema %s: %w", s.RebuildSchema, err)
	}
	for _, name := range s.Tables {
		if made[strings.ToLower(name)] == nil || strings.EqualFold(name, warehouse.Discards) {
			continue
		}
		if err := w.swap(ctx, name); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
		if made[warehouse.Discards] == nil {
			continue
		}
		for _, statement := range swapDiscards(s.Schema, s.RebuildSchema, name) {
			if err := w.db.exec(ctx, statement); err != nil {
				return fmt.Errorf("discards of %s: %w", name, err)
			}
		}
	}
	return w.db.forget(ctx, s.RebuildSource, s.RebuildSchema)
}

// samePositions fails where the rebuild does not hold exactly what the source holds.
func (w *swapping) samePositions(ctx context.Context) error {
	old, err := w.positions(ctx)
	if err != nil {
		return err
	}
	made, err := w.rebuilt.positions(ctx)
	if err != nil {
		return err
	}
	if len(made) == 0 || !maps.Equal(old, made) {
		return &warehouse.Error{
			Op: "swap", Object: w.batch.Source, Kind: warehouse.Moved,
			Err: fmt.Errorf("the tables are at %v, the rebuilt ones at %v", old, made),
		}
	}
	return nil
}

// positions are read in the transaction of the writer.
func (l *loading) positions(ctx context.Context) (map[string]uint64, error) {
	rows, err := l.db.writer.QueryContext(ctx, "SELECT log, position FROM _firth.positions WHERE source = $1", l.batch.Source)
	if err != nil {
		return nil, fmt.Errorf("read the positions: %w", err)
	}
	out := map[string]uint64{}
	for rows.Next() {
		var log string
		var at uint64
		if err = rows.Scan(&log, &at); err != nil {
			break
		}
		out[log] = at
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}

// swap makes one table anew from the rebuilt one, with the columns that people added to the old one: their values go with the ids.
func (w *swapping) swap(ctx context.Context, name string) error {
	columns, err := w.rebuilt.recorded(ctx, name)
	if err != nil {
		return err
	}
	var extra []extraColumn
	var indexes []index
	old := w.tables[strings.ToLower(name)]
	if old != nil {
		if extra, err = w.extraColumns(ctx, name); err != nil {
			return err
		}
		extra = slices.DeleteFunc(extra, func(e extraColumn) bool {
			return slices.ContainsFunc(columns, func(c table.Column) bool { return strings.EqualFold(c.Name, e.name) })
		})
		if _, ok := old.types["id"]; !ok {
			for i := range extra {
				extra[i].lost = true
			}
		}
		if indexes, err = w.indexes(ctx, name); err != nil {
			return err
		}
	}
	statements, err := swapTable(w.batch.Schema, w.rebuilt.batch.Schema, name, columns, extra, old != nil)
	if err != nil {
		return err
	}
	for _, i := range indexes {
		statements = append(statements, i.sql)
	}
	for _, statement := range statements {
		if err := w.db.exec(ctx, statement); err != nil {
			return err
		}
	}
	if err := w.db.exec(ctx, "DELETE FROM _firth.columns WHERE source = $1 AND schema_name = $2 AND table_name = $3", w.batch.Source, w.batch.Schema, name); err != nil {
		return err
	}
	if err := w.recordColumns(ctx, name, columns, 0); err != nil {
		return err
	}
	var rows int64
	if err := w.db.writer.QueryRowContext(ctx, "SELECT count(*) FROM "+qualified(w.batch.Schema, name)).Scan(&rows); err != nil {
		return err
	}
	w.result.Rows[name] = rows
	return nil
}

// recorded are the columns of a table as the bookkeeping has them.
func (l *loading) recorded(ctx context.Context, name string) ([]table.Column, error) {
	rows, err := l.db.writer.QueryContext(ctx,
		"SELECT column_name, type, path FROM _firth.columns WHERE source = $1 AND schema_name = $2 AND table_name = $3 ORDER BY ordinal", l.batch.Source, l.batch.Schema, name)
	if err != nil {
		return nil, err
	}
	var out []table.Column
	for rows.Next() {
		var c table.Column
		var kind string
		if err = rows.Scan(&c.Name, &kind, &c.Path); err != nil {
			break
		}
		c.Type, _ = table.ParseType(kind)
		out = append(out, c)
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}
