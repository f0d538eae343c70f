package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"time"

	engine "github.com/duckdb/duckdb-go/v2"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// appendBatch appends the batch's rows, naming only the columns that have a value: a table may have a thousand of which a
// row fills thirty.
func (l *loading) appendBatch(ctx context.Context, t *table.Batch) error {
	if len(t.Rows) == 0 {
		return nil
	}
	p := l.project(t)
	err := l.db.raw(func(conn driver.Conn) error {
		a, err := engine.NewAppenderWithColumns(conn, l.db.catalog, l.batch.Schema, t.Name, p.names)
		if err != nil {
			return err
		}
		return p.fill(ctx, a, t)
	})
	if err == nil {
		l.result.Rows[t.Name] += int64(len(t.Rows))
	}
	return err
}

// mergeBatch upserts the batch's rows.
func (l *loading) mergeBatch(ctx context.Context, t *table.Batch) error {
	if len(t.Rows) == 0 {
		return nil
	}
	p := l.project(t)
	err := l.db.raw(func(conn driver.Conn) error {
		infos := make([]engine.TypeInfo, len(p.types))
		for i, kind := range p.types {
			info, err := engine.NewTypeInfo(engineTypes[kind])
			if err != nil {
				return err
			}
			infos[i] = info
		}
		a, err := engine.NewQueryAppender(conn, mergeRows(l.batch.Schema, t.Name, p.names), "appended_data", infos, p.names)
		if err != nil {
			return err
		}
		return p.fill(ctx, a, t)
	})
	if err == nil {
		l.result.Rows[t.Name] += int64(len(t.Rows))
	}
	return err
}

var engineTypes = map[table.Type]engine.Type{
	table.Boolean:   engine.TYPE_BOOLEAN,
	table.Integer:   engine.TYPE_BIGINT,
	table.Float:     engine.TYPE_DOUBLE,
	table.Timestamp: engine.TYPE_TIMESTAMP_TZ,
	table.String:    engine.TYPE_VARCHAR,
}

// projection is the columns of a batch that have a value, in the batch's order.
type projection struct {
	names []string
	types []table.Type
	place []int // by the batch's column: the place among names, or -1
	stamp []int // places that take the time of the load
	now   time.Time
}

// project keeps the first column always: it is the id.
func (l *loading) project(t *table.Batch) *projection {
	used := make([]bool, len(t.Columns))
	for i := range t.Rows {
		for _, c := range t.Rows[i].Cells {
			used[c.Col] = true
		}
	}
	p := &projection{place: make([]int, len(t.Columns)), now: l.now}
	for i, c := range t.Columns {
		stamp := c.Path == "" && c.Type == table.Timestamp && (c.Name == warehouse.UUIDTS || c.Name == warehouse.LoadedAt)
		p.place[i] = -1
		if (!used[i] && !stamp && i > 0) || c.Type == table.Null {
			continue
		}
		p.place[i] = len(p.names)
		if stamp {
			p.stamp = append(p.stamp, len(p.names))
		}
		p.names, p.types = append(p.names, c.Name), append(p.types, c.Type)
	}
	return p
}

// fill appends the rows and closes the appender, which writes them.
func (p *projection) fill(ctx context.Context, a *engine.Appender, t *table.Batch) error {
	values := make([]driver.Value, len(p.names))
	var now driver.Value = p.now
	for i := range t.Rows {
		clear(values)
		for _, at := range p.stamp {
			values[at] = now
		}
		for _, c := range t.Rows[i].Cells {
			at := p.place[c.Col]
			if at < 0 {
				if c.Value.Type != table.Null {
					return errors.Join(fmt.Errorf("row %d: a value in column %s, which has no type", i, t.Columns[c.Col].Name), a.Clear(), a.Close())
				}
				continue
			}
			v, err := cell(c.Value, p.types[at])
			if err != nil {
				return errors.Join(fmt.Errorf("row %d, column %s: %w", i, p.names[at], err), a.Clear(), a.Close())
			}
			values[at] = v
		}
		if err := a.AppendRow(values...); err != nil {
			return errors.Join(err, a.Clear(), a.Close())
		}
	}
	return a.CloseWithCancel(ctx)
}

// cell is a value as the appender takes it for a column of the given type, nil for NULL.
func cell(v table.Value, kind table.Type) (driver.Value, error) {
	if v.Type != kind {
		cast, ok := v.Cast(kind)
		if !ok {
			return nil, fmt.Errorf("a value of type %s in a column of type %s", v.Type, kind)
		}
		v = cast
	}
	if v.Type == table.Null {
		return nil, nil
	}
	switch kind {
	case table.Boolean:
		return v.Bits != 0, nil
	case table.Integer:
		return int64(v.Bits), nil
	case table.Float:
		return math.Float64frombits(v.Bits), nil
	case table.Timestamp:
		return time.UnixMicro(int64(v.Bits)).UTC(), nil
	case table.String:
		return v.Text, nil
	}
	return nil, nil
}

func (l *loading) appendDiscards(ctx context.Context) error {
	if len(l.batch.Discards) == 0 {
		return nil
	}
	l.result.Discards += int64(len(l.batch.Discards))
	return l.db.raw(func(conn driver.Conn) error {
		a, err := engine.NewAppender(conn, l.db.catalog, l.batch.Schema, warehouse.Discards)
		if err != nil {
			return err
		}
		for _, r := range l.batch.Discards {
			err := a.AppendRow(r.TableName, r.ColumnName, r.Value, r.ValueType, r.ColumnType, r.Reason, r.RowID, instant(r.ReceivedAt), l.now)
			if err != nil {
				return errors.Join(err, a.Clear(), a.Close())
			}
		}
		return a.CloseWithCancel(ctx)
	})
}
