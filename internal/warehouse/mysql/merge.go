package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// planMerge upserts rows by their first column: set-wise, through a temporary table, so that the target needs no unique key.
func (l *loading) planMerge(ctx context.Context, t *table.Batch) error {
	set, err := l.fitted(ctx, t)
	if err != nil || len(set.rows) == 0 {
		return err
	}
	set.rows = slices.DeleteFunc(slices.Clone(set.rows), func(r table.Row) bool {
		return !slices.ContainsFunc(r.Cells, func(c table.Cell) bool { return c.Col == 0 && c.Value.Type != table.Null })
	})
	stage, err := l.stage(ctx, set)
	if err != nil {
		return err
	}
	l.work = append(l.work, func(ctx context.Context) error { return l.merge(ctx, set, stage, false) })
	return nil
}

// merge brings the rows of a stage into their table.
func (l *loading) merge(ctx context.Context, set *rowSet, stage string, anew bool) error {
	target := qualified(l.batch.Schema, set.relation.name)
	names := append(set.names(), set.stamps...)
	if update := updateFromStage(target, stage, names, anew); update != "" {
		if err := l.session.exec(ctx, update); err != nil {
			return fmt.Errorf("update %s: %w", set.relation.name, &inTable{l.batch.Schema, set.relation, err})
		}
	}
	if err := l.session.exec(ctx, insertMissing(target, stage, names, "")); err != nil {
		return fmt.Errorf("insert into %s: %w", set.relation.name, &inTable{l.batch.Schema, set.relation, err})
	}
	l.result.Rows[set.batch.Name] += int64(len(set.rows))
	return nil
}

// origin is where the rows of users and accounts come from.
type origin struct{ table, id string }

func originOf(name string) (origin, bool) {
	switch name {
	case "users":
		return origin{"identifies", "user_id"}, true
	case "accounts":
		return origin{"groups", "group_id"}, true
	}
	return origin{}, false
}

// planAnew computes the rows that a batch names anew: per column the last value that is not null in the order of received_at and
// id. Where the table of the calls is missing there is nothing to compute from, and the rows are merged.
func (l *loading) planAnew(ctx context.Context, t *table.Batch) error {
	from, ok := originOf(t.Name)
	source := l.tables[l.db.key(from.table)]
	if !ok || source == nil || !source.exists || source.find(from.id) == nil || source.find("received_at") == nil || source.find("id") == nil {
		return l.planMerge(ctx, t)
	}
	// The ids alone are staged; their rows follow from what the transaction finds.
	ids := &table.Batch{Name: t.Name, Columns: t.Columns[:1]}
	for i := range t.Rows {
		ids.Rows = append(ids.Rows, table.Row{Cells: []table.Cell{{Value: t.Get(i, t.Columns[0].Name)}}})
	}
	set, err := l.fitted(ctx, ids)
	if err != nil || len(set.rows) == 0 {
		return err
	}
	set.stamps = nil
	idStage, err := l.stage(ctx, set)
	if err != nil {
		return err
	}
	anew := l.anewSet(set.relation, source, set.columns[0])
	rowStage, err := l.stage(ctx, anew)
	if err != nil {
		return err
	}
	l.work = append(l.work, func(ctx context.Context) error {
		if err := l.compute(ctx, anew, source, from, idStage); err != nil {
			return fmt.Errorf("compute %s anew: %w", t.Name, err)
		}
		if err := l.write(ctx, anew, rowStage); err != nil {
			return fmt.Errorf("stage %s: %w", t.Name, err)
		}
		// What was in a table that was taken over may come from calls that the warehouse does not have.
		return l.merge(ctx, anew, rowStage, !set.relation.adopted)
	})
	return nil
}

// anewSet is an empty set of the columns that both tables have.
func (l *loading) anewSet(r, source *relation, id *column) *rowSet {
	set := &rowSet{relation: r, batch: &table.Batch{Name: r.name}, columns: []*column{id}}
	for _, c := range r.columns {
		other := source.find(c.name)
		switch {
		case isStamp(c):
			set.stamps = append(set.stamps, c.name)
		case c == id || c.computed || c.foreign || !c.known || other == nil || other.foreign:
		default:
			set.columns = append(set.columns, c)
		}
	}
	for i, c := range set.columns {
		set.batch.Columns = append(set.batch.Columns, table.Column{Name: c.name, Type: c.typ, Path: c.path})
		set.place = append(set.place, i)
	}
	return set
}

// compute reads the calls of the staged ids in order and keeps the last value of each column.
func (l *loading) compute(ctx context.Context, set *rowSet, source *relation, from origin, idStage string) error {
	key := quote(set.columns[0].name)
	list := "s." + key
	for _, c := range set.columns[1:] {
		list += ", i." + quote(c.name)
	}
	// The calls are gone through once, and each looks its id up: that they have an index is not known.
	statement := "SELECT " + list + " FROM " + qualified(l.batch.Schema, source.name) + " i STRAIGHT_JOIN " + idStage + " s ON " +
		sameText("s."+key, set.columns[0], "i."+quote(from.id)) + " ORDER BY CAST(s." + key + " AS BINARY), i.received_at, CAST(i.id AS BINARY)"
	values, into := make([]any, len(set.columns)), make([]any, len(set.columns))
	for i := range values {
		into[i] = &values[i]
	}
	var current []table.Value
	flush := func() {
		if current == nil {
			return
		}
		row := table.Row{}
		for i, v := range current {
			if v.Type != table.Null {
				row.Cells = append(row.Cells, table.Cell{Col: int32(i), Value: v})
			}
		}
		set.rows = append(set.rows, row)
	}
	err := l.session.each(ctx, statement, nil, func(rows *sql.Rows) error {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		id := valueOf(values[0])
		if current == nil || current[0].String() != id.String() {
			flush()
			current = make([]table.Value, len(set.columns))
			current[0] = id
		}
		for i, c := range set.columns[1:] {
			v, ok := valueOf(values[i+1]).Cast(c.typ)
			if c.typ == table.Boolean && values[i+1] != nil {
				v, ok = boolOf(values[i+1])
			}
			if ok && v.Type != table.Null && c.fits(v, l.db.server.mostText) == "" {
				current[i+1] = v
			}
		}
		return nil
	})
	flush()
	return err
}

// valueOf is what the driver read as one of ours.
func valueOf(v any) table.Value {
	switch v := v.(type) {
	case int64:
		return table.Int(v)
	case uint64:
		return table.Number(strconv.FormatUint(v, 10))
	case float64:
		return table.Float64(v)
	case float32:
		return table.Float64(float64(v))
	case time.Time:
		return table.Time(v.UnixMicro())
	case []byte:
		return table.Text(string(v))
	case string:
		return table.Text(v)
	}
	return table.Value{}
}

func boolOf(v any) (table.Value, bool) {
	n, ok := v.(int64)
	return table.Bool(n != 0), ok
}

// Replay writes those rows of the batch whose id their table lacks, and computes users and accounts anew; no position moves. It may be
// called again.
func (d *DB) Replay(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	return d.write(ctx, "replay", b, true)
}

// insertNewDiscards copies the discards of a stage that the table does not hold.
func insertNewDiscards(target, stage string, columns []string) string {
	list := quoteAll(columns)
	same := sameKey("d", "s", "row_id")
	for _, c := range []string{"table_name", "column_name", "reason", "value"} {
		same += fmt.Sprintf(" AND CAST(d.%[1]s AS BINARY) <=> CAST(s.%[1]s AS BINARY)", quote(c))
	}
	return "INSERT INTO " + target + " (" + list + ") SELECT " + list + " FROM " + stage + " s WHERE NOT EXISTS (SELECT 1 FROM " + target + " d WHERE " + same + ")"
}

// once leaves the first row of each id.
func (s *rowSet) once() {
	seen := make(map[string]bool, len(s.rows))
	s.rows = slices.DeleteFunc(slices.Clone(s.rows), func(r table.Row) bool {
		i := slices.IndexFunc(r.Cells, func(c table.Cell) bool { return c.Col == 0 && c.Value.Type != table.Null })
		if i < 0 {
			return false
		}
		id := r.Cells[i].Value.String()
		again := seen[id]
		seen[id] = true
		return again
	})
}

// discardsOnce leaves the first of discards that say the same.
func discardsOnce(list []event.Discard) []event.Discard {
	seen := make(map[event.Discard]bool, len(list))
	return slices.DeleteFunc(list, func(d event.Discard) bool {
		d.ReceivedAt, d.ValueType, d.ColumnType = 0, "", ""
		again := seen[d]
		seen[d] = true
		return again
	})
}
