package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	bindings "github.com/duckdb/duckdb-go-bindings"
	engine "github.com/duckdb/duckdb-go/v2"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb/stream"
)

// appendBatch appends the batch's rows, naming only the columns that have a value: a table may have a thousand of which a
// row fills thirty.
func (l *loading) appendBatch(ctx context.Context, t *table.Batch) error {
	return l.appendRows(ctx, t, func(conn bindings.Connection, p *projection) (*appender, error) {
		return newTableAppender(conn, &l.db.texts, l.db.catalog, l.batch.Schema, t.Name, p.names, p.types)
	})
}

// mergeBatch upserts the batch's rows.
func (l *loading) mergeBatch(ctx context.Context, t *table.Batch) error {
	return l.appendRows(ctx, t, func(conn bindings.Connection, p *projection) (*appender, error) {
		return newStatementAppender(conn, &l.db.texts, mergeRows(l.batch.Schema, t.Name, p.names), p.names, p.types)
	})
}

func (l *loading) appendRows(ctx context.Context, t *table.Batch, open func(bindings.Connection, *projection) (*appender, error)) error {
	if len(t.Rows) == 0 {
		return nil
	}
	if l.db.writer == nil {
		return errClosed
	}
	conn, err := stream.Handle(l.db.writer)
	if err != nil {
		return err
	}
	p := l.project(t)
	a, err := open(conn, p)
	if err != nil {
		return err
	}
	for i := range t.Rows {
		if err := l.fill(a, p, t, i); err != nil {
			return a.cancel(fmt.Errorf("row %d: %w", i, err))
		}
	}
	if err := a.close(ctx); err != nil {
		return err
	}
	l.result.Rows[t.Name] += int64(len(t.Rows))
	return nil
}

// projection is the columns of a batch that are written, in the batch's order.
type projection struct {
	names []string
	types []table.Type
	place []int // by the batch's column: the place among names, or -1
	stamp []int // places that take the time of the load
	now   table.Value
	// Of the batch's columns those that the table has with a type that is none of ours.
	foreign map[int32]bool
}

// project leaves out the columns without a value, except the first, which is the id.
func (l *loading) project(t *table.Batch) *projection {
	used := make([]bool, len(t.Columns))
	for i := range t.Rows {
		for _, c := range t.Rows[i].Cells {
			used[c.Col] = true
		}
	}
	p := &projection{place: make([]int, len(t.Columns)), now: table.Time(l.now.UnixMicro())}
	known := l.tables[strings.ToLower(t.Name)]
	for i, c := range t.Columns {
		stamp := c.Path == "" && c.Type == table.Timestamp && (c.Name == warehouse.UUIDTS || c.Name == warehouse.LoadedAt)
		p.place[i] = -1
		if known != nil && known.foreign(c.Name) {
			if p.foreign == nil {
				p.foreign = map[int32]bool{}
			}
			p.foreign[int32(i)] = true
			continue
		}
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

// fill appends one row.
func (l *loading) fill(a *appender, p *projection, t *table.Batch, row int) error {
	for _, at := range p.stamp {
		if err := a.set(at, p.now); err != nil {
			return err
		}
	}
	for _, c := range t.Rows[row].Cells {
		l.bytes += int64(8 + len(c.Value.Text))
		at := p.place[c.Col]
		switch {
		case at < 0 && c.Value.Type == table.Null:
		case at < 0 && p.foreign[c.Col]:
			l.unfit = append(l.unfit, l.misfit(t, row, c))
		case at < 0:
			return fmt.Errorf("a value in column %s, which has no type", t.Columns[c.Col].Name)
		case !validText(c.Value):
			l.unfit = append(l.unfit, unfitText(t, row, c))
		default:
			if err := a.set(at, c.Value); err != nil {
				return fmt.Errorf("column %s: %w", p.names[at], err)
			}
		}
	}
	return a.next()
}

// unfitText lists a text that is not UTF-8, which the engine cannot hold. The decoder lets none through, so this is for other
// callers.
func unfitText(t *table.Batch, row int, c table.Cell) event.Discard {
	return event.Discard{
		TableName: t.Name, ColumnName: t.Columns[c.Col].Name, Value: strconv.QuoteToASCII(c.Value.Text), ValueType: table.String.String(),
		ColumnType: t.Columns[c.Col].Type.String(), Reason: warehouse.ReasonNotUTF8, RowID: strings.ToValidUTF8(t.Get(row, t.Columns[0].Name).Text, "\uFFFD"),
		ReceivedAt: receivedAt(t, row),
	}
}

func receivedAt(t *table.Batch, row int) int64 {
	if v := t.Get(row, "received_at"); v.Type == table.Timestamp {
		return v.Int64()
	}
	return event.NoTime
}

// discards are those of the batch and of its rows, as text that the engine holds.
func (l *loading) discards() []event.Discard {
	list := slices.Concat(l.batch.Discards, l.unfit)
	for i := range list {
		d := &list[i]
		for _, text := range []*string{&d.TableName, &d.ColumnName, &d.Value, &d.ValueType, &d.ColumnType, &d.Reason, &d.RowID} {
			*text = strings.ToValidUTF8(*text, "\uFFFD")
		}
	}
	return list
}

func (l *loading) appendDiscards(ctx context.Context) error {
	list := l.discards()
	if len(list) == 0 {
		return nil
	}
	l.result.Discards += int64(len(list))
	return l.db.raw(func(conn driver.Conn) error {
		a, err := engine.NewAppender(conn, l.db.catalog, l.batch.Schema, warehouse.Discards)
		if err != nil {
			return err
		}
		for _, r := range list {
			err := a.AppendRow(r.TableName, r.ColumnName, r.Value, r.ValueType, r.ColumnType, r.Reason, r.RowID, instant(r.ReceivedAt), l.now)
			if err != nil {
				return errors.Join(err, a.Clear(), a.Close())
			}
		}
		return a.CloseWithCancel(ctx)
	})
}
