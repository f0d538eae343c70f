package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// Replay writes the rows, discards, users and accounts of the batch that are missing; see load.Replayer.
func (d *DB) Replay(ctx context.Context, b *warehouse.Batch) (r *warehouse.Result, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkSchema("replay", b); err != nil {
		return nil, err
	}
	l := &loading{db: d, batch: b, now: d.now().UTC().Truncate(time.Microsecond), result: &warehouse.Result{Rows: map[string]int64{}}}
	defer func() { err = errors.Join(err, d.texts.trim(arenaKeep)) }()
	if err = l.addManyColumns(ctx); err == nil {
		err = l.transact(ctx, l.replay)
	}
	if err != nil {
		delete(d.known, b.Schema)
		return nil, d.fail("replay", b.Source, err)
	}
	return l.result, d.committed(ctx, l)
}

func (l *loading) replay(ctx context.Context) error {
	if err := l.prepare(ctx); err != nil {
		return err
	}
	for _, t := range l.batch.Tables {
		if err := l.evolve(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		if err := l.appendMissing(ctx, t); err != nil {
			return fmt.Errorf("append to %s: %w", t.Name, err)
		}
	}
	for _, t := range l.batch.Upserts {
		if err := l.evolve(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		if err := l.recompute(ctx, t); err != nil {
			return fmt.Errorf("recompute rows of %s: %w", t.Name, err)
		}
	}
	return l.missingDiscards(ctx)
}

// appendMissing appends the rows whose id the table does not hold.
func (l *loading) appendMissing(ctx context.Context, t *table.Batch) error {
	t = firstOfEach(t)
	return l.counted(ctx, t.Name, func() error {
		return l.appendRows(ctx, t, func(conn bindings.Connection, p *projection) (*appender, error) {
			return newStatementAppender(conn, &l.db.texts, appendMissing(l.batch.Schema, t.Name, p.names), p.names, p.types)
		})
	})
}

// counted makes the result tell by how many rows a table grew while fn ran.
func (l *loading) counted(ctx context.Context, name string, fn func() error) error {
	before := l.result.Rows[name]
	var rows [2]int64
	for i := range rows {
		if err := l.db.writer.QueryRowContext(ctx, "SELECT count(*) FROM "+qualified(l.batch.Schema, name)).Scan(&rows[i]); err != nil {
			return fmt.Errorf("count rows: %w", err)
		}
		if i > 0 {
			break
		}
		if err := fn(); err != nil {
			return err
		}
	}
	l.result.Rows[name] = before + rows[1] - rows[0]
	return nil
}

// firstOfEach leaves out rows whose id came before in the batch.
func firstOfEach(t *table.Batch) *table.Batch {
	out := &table.Batch{Name: t.Name, Columns: t.Columns}
	seen := make(map[string]bool, len(t.Rows))
	for i := range t.Rows {
		id := t.Get(i, t.Columns[0].Name).Text
		if !seen[id] {
			seen[id] = true
			out.Rows = append(out.Rows, t.Rows[i])
		}
	}
	return out
}

// recompute brings the rows of the batch's users or accounts to what their calls say.
func (l *loading) recompute(ctx context.Context, t *table.Batch) error {
	calls, key := "identifies", "user_id"
	if strings.EqualFold(t.Name, "accounts") {
		calls, key = "groups", "group_id"
	}
	from, into := l.tables[calls], l.tables[strings.ToLower(t.Name)]
	if from == nil || len(t.Rows) == 0 {
		return nil
	}
	if _, ok := from.types[key]; !ok {
		return nil
	}
	var columns []table.Column
	for _, c := range t.Columns {
		switch lowered := strings.ToLower(c.Name); lowered {
		case "id", "received_at", warehouse.UUIDTS, warehouse.LoadedAt:
		default:
			_, ok := from.types[lowered]
			if kind := into.types[lowered]; ok && kind != table.Null {
				columns = append(columns, table.Column{Name: c.Name, Type: kind})
			}
		}
	}
	statement, err := recomputeRows(l.batch.Schema, t.Name, calls, key, columns, l.now)
	if err != nil {
		return err
	}
	ids := &table.Batch{Name: t.Name, Columns: t.Columns[:1]}
	for i := range t.Rows {
		ids.Rows = append(ids.Rows, table.Row{Cells: []table.Cell{{Value: t.Get(i, t.Columns[0].Name)}}})
	}
	return l.appendRows(ctx, ids, func(conn bindings.Connection, p *projection) (*appender, error) {
		return newStatementAppender(conn, &l.db.texts, statement, p.names, p.types)
	})
}

// missingDiscards appends the discards of the batch, and those of its rows, that are not listed yet.
func (l *loading) missingDiscards(ctx context.Context) error {
	seen := map[event.Discard]bool{}
	b := &table.Batch{Name: warehouse.Discards, Columns: warehouse.DiscardColumns()}
	for _, d := range l.discards() {
		if seen[d] {
			continue
		}
		seen[d] = true
		var row table.Row
		for i, text := range []string{d.TableName, d.ColumnName, d.Value, d.ValueType, d.ColumnType, d.Reason, d.RowID} {
			row.Cells = append(row.Cells, table.Cell{Col: int32(i), Value: table.Text(text)})
		}
		if d.ReceivedAt != event.NoTime {
			row.Cells = append(row.Cells, table.Cell{Col: 7, Value: table.Time(d.ReceivedAt)})
		}
		b.Rows = append(b.Rows, row)
	}
	if len(b.Rows) == 0 {
		return nil
	}
	err := l.counted(ctx, b.Name, func() error {
		return l.appendRows(ctx, b, func(conn bindings.Connection, p *projection) (*appender, error) {
			return newStatementAppender(conn, &l.db.texts, appendMissingDiscards(l.batch.Schema, p.names), p.names, p.types)
		})
	})
	if err != nil {
		return fmt.Errorf("append to %s: %w", b.Name, err)
	}
	l.result.Discards += l.result.Rows[b.Name]
	delete(l.result.Rows, b.Name)
	return nil
}
