package duckdb

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// What people make of the tables while the file is theirs: columns, indexes, views, and what they drop.

// extraColumn is a column that a person added to a table.
type extraColumn struct {
	name, kind string
	def        string // the expression of its default, or nothing
	lost       bool   // its values cannot be told apart by id
}

func (l *loading) extraColumns(ctx context.Context, name string) ([]extraColumn, error) {
	rows, err := l.db.writer.QueryContext(ctx, usersColumnsSQL, l.batch.Source, l.batch.Schema, l.db.catalog, name)
	if err != nil {
		return nil, fmt.Errorf("read the columns that were added: %w", err)
	}
	var out []extraColumn
	for rows.Next() {
		var c extraColumn
		if err = rows.Scan(&c.name, &c.kind, &c.def); err != nil {
			break
		}
		out = append(out, c)
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}

// index is an index that a person made.
type index struct{ name, sql string }

func (l *loading) indexes(ctx context.Context, name string) ([]index, error) {
	rows, err := l.db.writer.QueryContext(ctx,
		"SELECT index_name, sql FROM duckdb_indexes() WHERE database_name = $1 AND lower(schema_name) = lower($2) AND lower(table_name) = lower($3) AND sql <> ''",
		l.db.catalog, l.batch.Schema, name)
	if err != nil {
		return nil, fmt.Errorf("read the indexes: %w", err)
	}
	var out []index
	for rows.Next() {
		var i index
		if err = rows.Scan(&i.name, &i.sql); err != nil {
			break
		}
		out = append(out, i)
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}

// transact runs fn in a transaction. Where a column cannot be altered for the sake of an index on its table, which the engine lets
// nobody drop and make again in one transaction, the indexes of the batch's tables are dropped before and made again after. Whoever is
// killed in between loses nothing: none of it is in the file before the next checkpoint.
func (l *loading) transact(ctx context.Context, fn func(context.Context) error) error {
	err := l.db.inTx(ctx, func() error { return fn(ctx) })
	if err == nil || !indexText.MatchString(err.Error()) {
		return err
	}
	l.tables, l.unfit, l.bytes, l.result = nil, nil, 0, &warehouse.Result{Rows: map[string]int64{}}
	delete(l.db.known, l.batch.Schema)
	var dropped []index
	for _, t := range slices.Concat(l.batch.Tables, l.batch.Upserts) {
		indexes, err := l.indexes(ctx, t.Name)
		if err != nil {
			return err
		}
		dropped = append(dropped, indexes...)
	}
	for _, i := range dropped {
		if err := l.db.exec(ctx, "DROP INDEX "+qualified(l.batch.Schema, i.name)); err != nil {
			return fmt.Errorf("index %s: %w", i.name, err)
		}
	}
	err = l.db.inTx(ctx, func() error { return fn(ctx) })
	for _, i := range dropped {
		// The context may have ended, which must not take a person's index away.
		if again := l.db.exec(context.WithoutCancel(ctx), i.sql); again != nil {
			l.result.Notices = append(l.result.Notices, fmt.Sprintf("the index %s could not be made again after a column of its table was widened: %v", i.name, again))
		}
	}
	return err
}

// indexText is how the engine refuses to alter a column.
var indexText = regexp.MustCompile(`(?i)an index depends on it`)

// gone takes out of the bookkeeping what somebody dropped, so that it is made again when it is needed, and says so.
func (l *loading) gone(ctx context.Context) error {
	rows, err := l.db.writer.QueryContext(ctx, goneSQL, l.batch.Source, l.batch.Schema, l.db.catalog)
	if err != nil {
		return err
	}
	var dropped [][2]string
	told := map[string]bool{}
	for rows.Next() {
		var name, column string
		var whole bool
		if err = rows.Scan(&name, &column, &whole); err != nil {
			break
		}
		dropped = append(dropped, [2]string{name, column})
		what := "column " + name + "." + column
		if whole {
			what = "table " + name
		}
		if !told[what] {
			told[what] = true
			l.result.Notices = append(l.result.Notices, fmt.Sprintf("%s of %s was dropped by somebody: it is made again, empty", what, l.batch.Schema))
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, c := range dropped {
		err := l.db.exec(ctx, "DELETE FROM _firth.columns WHERE source = $1 AND schema_name = $2 AND table_name = $3 AND column_name = $4",
			l.batch.Source, l.batch.Schema, c[0], c[1])
		if err != nil {
			return err
		}
	}
	return nil
}

// inPlace says what to do where the table cannot be made for a view that has its name.
func (l *loading) inPlace(ctx context.Context, name string, err error) error {
	var n int
	asked := l.db.sql.QueryRowContext(ctx, "SELECT count(*) FROM duckdb_views() WHERE database_name = $1 AND lower(schema_name) = lower($2) AND lower(view_name) = lower($3)",
		l.db.catalog, l.batch.Schema, name).Scan(&n)
	if asked != nil || n == 0 {
		return err
	}
	return &warehouse.Error{
		Op: "make table", Object: name, Kind: warehouse.BadName, Err: err,
		Hint: fmt.Sprintf("a view has the name of a table that calls are loaded into: drop it (DROP VIEW %[1]s) or rename it (ALTER VIEW %[1]s RENAME TO another)", qualified(l.batch.Schema, name)),
	}
}

// misfit lists a value of a column that a person made with a type that is none of ours.
func (l *loading) misfit(t *table.Batch, row int, c table.Cell) event.Discard {
	col := t.Columns[c.Col]
	text, _ := c.Value.Cast(table.String)
	return event.Discard{
		TableName: t.Name, ColumnName: col.Name, Value: text.Text, ValueType: c.Value.Type.String(), ColumnType: "another",
		Reason: warehouse.ReasonForeign, RowID: t.Get(row, t.Columns[0].Name).Text, ReceivedAt: receivedAt(t, row),
	}
}
