package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// relation is a table as it stands: types by column name in lower case, as the engine compares them.
type relation struct {
	types map[string]table.Type
	width int
}

// foreign tells a column that exists with a type that is none of ours.
func (r *relation) foreign(column string) bool {
	kind, ok := r.types[strings.ToLower(column)]
	return ok && kind == table.Null
}

// tables are the tables of one schema by name in lower case.
type tables map[string]*relation

// Load writes the batch in one transaction: schema, tables and columns that are missing, the rows, the discards, the
// catalogue and the position. A batch that the position says is in already is left alone (Duplicate); one that does not
// begin at the position is an error of kind warehouse.Moved. After an error nothing of the batch is in.
func (d *DB) Load(ctx context.Context, b *warehouse.Batch) (r *warehouse.Result, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkSchema("load", b); err != nil {
		return nil, err
	}
	l := &loading{db: d, batch: b, now: d.now().UTC().Truncate(time.Microsecond), result: &warehouse.Result{Rows: map[string]int64{}}}
	defer func() { err = errors.Join(err, d.texts.trim(arenaKeep)) }()
	err = l.addManyColumns(ctx)
	if err == nil {
		err = l.transact(ctx, l.run)
	}
	if err != nil {
		delete(d.known, b.Schema)
		err = d.fail("load", b.Source, err)
		if warehouse.KindOf(err) == warehouse.NoMemory {
			// What earlier loads left in memory goes into the file, so that the next try has it all.
			err = errors.Join(err, d.checkpoint(ctx))
		}
		return nil, err
	}
	if l.result.Duplicate {
		return l.result, nil
	}
	if err := d.committed(ctx, l); err != nil {
		return nil, err
	}
	return l.result, nil
}

// checkSchema refuses schemas that are not for sources.
func (d *DB) checkSchema(op string, b *warehouse.Batch) error {
	if slices.Contains(reserved, strings.ToLower(b.Schema)) || strings.EqualFold(b.Schema, d.catalog) || b.Schema == "" {
		return &warehouse.Error{
			Op: op, Object: b.Source, Kind: warehouse.BadName,
			Err: fmt.Errorf("the schema %q is taken", b.Schema), Hint: "rename the source: " + strings.Join(reserved, ", ") + " are taken",
		}
	}
	return nil
}

// committed remembers what a load did, and moves rows into the file when there are many. The rows are in, whatever becomes of that;
// an engine that fails there says so to the next who asks.
func (d *DB) committed(ctx context.Context, l *loading) error {
	if l.tables != nil {
		d.known[l.batch.Schema] = l.tables
		l.result.Notices = append(d.notices[l.batch.Schema], l.result.Notices...)
		delete(d.notices, l.batch.Schema)
	}
	d.dirty = true
	if d.unsaved += l.bytes; d.unsaved >= d.options.checkpointAt() {
		if err := d.checkpoint(ctx); err != nil && warehouse.KindOf(err) == warehouse.Broken {
			return err
		}
	}
	return nil
}

// loading is one load under way.
type loading struct {
	db     *DB
	batch  *warehouse.Batch
	now    time.Time
	tables tables
	unfit  []event.Discard // found while rows were appended
	bytes  int64           // that the rows take in memory, about
	result *warehouse.Result
}

func (l *loading) run(ctx context.Context) error {
	done, err := l.checkPosition(ctx)
	if err != nil {
		return err
	}
	if done {
		l.result.Duplicate = true
		return nil
	}
	if len(l.batch.Tables)+len(l.batch.Upserts)+len(l.batch.Discards) > 0 {
		if err := l.write(ctx); err != nil {
			return err
		}
	}
	return l.movePosition(ctx)
}

func (l *loading) write(ctx context.Context) error {
	if err := l.prepare(ctx); err != nil {
		return err
	}
	for _, t := range l.batch.Tables {
		if err := l.evolve(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		if err := l.appendBatch(ctx, t); err != nil {
			return fmt.Errorf("append to %s: %w", t.Name, err)
		}
	}
	for _, t := range l.batch.Upserts {
		if err := l.evolve(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		if err := l.mergeBatch(ctx, t); err != nil {
			return fmt.Errorf("merge into %s: %w", t.Name, err)
		}
	}
	if err := l.appendDiscards(ctx); err != nil {
		return fmt.Errorf("append to %s: %w", warehouse.Discards, err)
	}
	return nil
}

// checkPosition says whether the batch is in already.
func (l *loading) checkPosition(ctx context.Context) (bool, error) {
	var at uint64
	err := l.db.writer.QueryRowContext(ctx, "SELECT position FROM _firth.positions WHERE source = $1 AND log = $2", l.batch.Source, l.batch.Log).Scan(&at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("read the position: %w", err)
	}
	return l.batch.In(at)
}

func (l *loading) movePosition(ctx context.Context) error {
	b := l.batch
	through := instant(b.ReceivedThrough)
	res, err := l.db.writer.ExecContext(ctx,
		"UPDATE _firth.positions SET position = $3, loaded_through = greatest(loaded_through, $4), loaded_at = $5 WHERE source = $1 AND log = $2",
		b.Source, b.Log, b.To, through, l.now)
	if err != nil {
		return fmt.Errorf("move the position: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	if err := l.db.exec(ctx, "INSERT INTO _firth.positions VALUES ($1, $2, $3, $4, $5)", b.Source, b.Log, b.To, through, l.now); err != nil {
		return fmt.Errorf("set the position: %w", err)
	}
	return nil
}

// instant is a timestamp parameter of Unix microseconds; event.NoTime is NULL.
func instant(micros int64) any {
	if micros == event.NoTime {
		return nil
	}
	return time.UnixMicro(micros).UTC()
}

// prepare reads the schema as it stands and makes it, with its table of discards, where it does not exist.
func (l *loading) prepare(ctx context.Context) error {
	known, ok := l.db.known[l.batch.Schema]
	if !ok {
		if err := l.db.exec(ctx, createSchema(l.batch.Schema)); err != nil {
			return fmt.Errorf("make the schema %s: %w", l.batch.Schema, err)
		}
		var err error
		if known, err = l.readTables(ctx); err != nil {
			return fmt.Errorf("read the schema %s: %w", l.batch.Schema, err)
		}
		if err := l.gone(ctx); err != nil {
			return fmt.Errorf("compare the schema %s with the bookkeeping: %w", l.batch.Schema, err)
		}
	}
	l.tables = maps.Clone(known)
	if l.tables[warehouse.Discards] != nil {
		return nil
	}
	return l.create(ctx, warehouse.Discards, warehouse.DiscardColumns())
}

func (l *loading) readTables(ctx context.Context) (tables, error) {
	rows, err := l.db.writer.QueryContext(ctx, tablesSQL, l.db.catalog, l.batch.Schema)
	if err != nil {
		return nil, err
	}
	out := tables{}
	for rows.Next() {
		var name, column, kind string
		if err = rows.Scan(&name, &column, &kind); err != nil {
			break
		}
		r := out[name]
		if r == nil {
			r = &relation{types: map[string]table.Type{}}
			out[name] = r
		}
		r.types[column] = typeOf(kind)
		r.width++
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}

// columnsAtOnce is how many columns a transaction adds to tables that have rows: each takes some blocks of memory until the next
// checkpoint.
const columnsAtOnce = 100

// addManyColumns goes before a load that adds more columns than a transaction should: it adds them in transactions of their
// own, with a checkpoint after each. Should the load fail then, the columns are there, known to the catalogue and empty.
func (l *loading) addManyColumns(ctx context.Context) error {
	batches := slices.Concat(l.batch.Tables, l.batch.Upserts)
	if !slices.ContainsFunc(batches, func(t *table.Batch) bool { return len(t.Columns) > columnsAtOnce }) {
		return nil
	}
	known, ok := l.db.known[l.batch.Schema]
	if !ok {
		if err := l.db.inTx(ctx, func() error { return l.prepare(ctx) }); err != nil {
			return err
		}
		known = l.tables
		l.db.known[l.batch.Schema] = known
	}
	for _, t := range batches {
		r := known[strings.ToLower(t.Name)]
		if r == nil {
			continue
		}
		added := slices.DeleteFunc(slices.Clone(t.Columns), func(c table.Column) bool {
			_, ok := r.types[strings.ToLower(c.Name)]
			return ok || c.Type == table.Null
		})
		for len(added) > columnsAtOnce {
			part := added[:columnsAtOnce]
			added = added[columnsAtOnce:]
			l.tables = maps.Clone(l.db.known[l.batch.Schema])
			if err := l.db.inTx(ctx, func() error { return l.addColumns(ctx, t.Name, part) }); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			l.db.known[l.batch.Schema] = l.tables
			if err := l.db.checkpoint(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// evolve brings the table to the columns of the batch.
func (l *loading) evolve(ctx context.Context, t *table.Batch) error {
	r := l.tables[strings.ToLower(t.Name)]
	if r == nil {
		return l.create(ctx, t.Name, t.Columns)
	}
	var added []table.Column
	for _, c := range t.Columns {
		have, ok := r.types[strings.ToLower(c.Name)]
		switch {
		case c.Type == table.Null: // no value yet, no column yet
		case !ok:
			added = append(added, c)
		case have == c.Type || have == table.Null: // the latter was made by a person: see misfit
		case have == table.Integer && c.Type == table.Float:
			if err := l.widen(ctx, t.Name, c); err != nil {
				return fmt.Errorf("widen column %s: %w", c.Name, err)
			}
		default:
			return fmt.Errorf("column %s is %s in the warehouse and %s in the batch", c.Name, have, c.Type)
		}
	}
	return l.addColumns(ctx, t.Name, added)
}

func (l *loading) addColumns(ctx context.Context, name string, added []table.Column) error {
	if len(added) == 0 {
		return nil
	}
	// The relation is shared with the committed state: change a copy.
	old := l.tables[strings.ToLower(name)]
	r := &relation{types: maps.Clone(old.types), width: old.width + len(added)}
	l.tables[strings.ToLower(name)] = r
	for _, c := range added {
		statement, err := addColumn(l.batch.Schema, name, c)
		if err != nil {
			return err
		}
		if err := l.db.exec(ctx, statement); err != nil {
			return fmt.Errorf("add column %s: %w", c.Name, err)
		}
		r.types[strings.ToLower(c.Name)] = c.Type
	}
	return l.recordColumns(ctx, name, added, old.width)
}

func (l *loading) create(ctx context.Context, name string, columns []table.Column) error {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c table.Column) bool { return c.Type == table.Null })
	statement, err := createTable(l.batch.Schema, name, columns)
	if err != nil {
		return err
	}
	if err := l.db.exec(ctx, statement); err != nil {
		return l.inPlace(ctx, name, fmt.Errorf("make table: %w", err))
	}
	r := &relation{types: make(map[string]table.Type, len(columns)), width: len(columns)}
	for _, c := range columns {
		r.types[strings.ToLower(c.Name)] = c.Type
	}
	l.tables[strings.ToLower(name)] = r
	return l.recordColumns(ctx, name, columns, 0)
}

// widen turns an integer column into a float one and lists the values that change by it.
func (l *loading) widen(ctx context.Context, name string, c table.Column) error {
	res, err := l.db.writer.ExecContext(ctx, listInexact(l.batch.Schema, name, c.Name), l.now)
	if err != nil {
		return fmt.Errorf("list rounded values: %w", err)
	}
	listed, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("count rounded values: %w", err)
	}
	if err := l.db.exec(ctx, widenColumn(l.batch.Schema, name, c.Name)); err != nil {
		return err
	}
	if err := l.db.exec(ctx, "UPDATE _firth.columns SET type = $4 WHERE source = $1 AND table_name = $2 AND column_name = $3",
		l.batch.Source, name, c.Name, c.Type.String()); err != nil {
		return fmt.Errorf("record the type: %w", err)
	}
	old := l.tables[strings.ToLower(name)]
	r := &relation{types: maps.Clone(old.types), width: old.width}
	r.types[strings.ToLower(c.Name)] = c.Type
	l.tables[strings.ToLower(name)] = r
	l.result.Discards += listed
	notice := fmt.Sprintf("%s.%s was widened from integer to float", name, c.Name)
	if listed > 0 {
		notice += fmt.Sprintf("; %d values beyond 2^53 are rounded and listed in %s", listed, warehouse.Discards)
	}
	l.result.Notices = append(l.result.Notices, notice)
	return nil
}
