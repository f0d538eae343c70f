package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// change is what one table needs before a load; nothing is changed until all tables are known to fit.
type change struct {
	name   string
	create bool
	adopt  bool
	key    string // the column that a new table has an index on
	add    []table.Column
	widen  []*column // from integer to float
}

func (c *change) empty() bool { return !c.create && !c.adopt && len(c.add)+len(c.widen) == 0 }

// evolve brings the schema to the columns of the batch. DDL commits by itself, so it goes in steps that can be taken again: what is
// going to be made is recorded, made, and marked as made.
func (l *loading) evolve(ctx context.Context) error {
	plan, err := l.plan()
	if err != nil || len(plan) == 0 {
		return err
	}
	if err := l.makeSchema(ctx); err != nil {
		return err
	}
	if err := l.session.inTx(ctx, func() error { return l.recordIntent(ctx, plan) }); err != nil {
		return fmt.Errorf("record what is to be made: %w", err)
	}
	for _, c := range plan {
		if err := l.db.step("change " + c.name); err != nil {
			return err
		}
		if err := l.apply(ctx, c); err != nil {
			return fmt.Errorf("table %s: %w", c.name, err)
		}
	}
	if err := l.session.inTx(ctx, func() error { return l.recordMade(ctx, plan) }); err != nil {
		return fmt.Errorf("record what was made: %w", err)
	}
	return l.readTables(ctx)
}

// plan compares the batch with what is there.
func (l *loading) plan() ([]*change, error) {
	var plan []*change
	discards := &table.Batch{Name: warehouse.Discards, Columns: warehouse.DiscardColumns()}
	for i, t := range append(append([]*table.Batch{discards}, l.batch.Tables...), l.batch.Upserts...) {
		c, err := l.planTable(t)
		if err != nil {
			return nil, err
		}
		switch {
		case i == 0:
			c.key = "row_id"
		case i > len(l.batch.Tables) && len(t.Columns) > 0:
			c.key = t.Columns[0].Name
		}
		if !c.empty() {
			plan = append(plan, c)
		}
	}
	return plan, nil
}

func (l *loading) planTable(t *table.Batch) (*change, error) {
	c := &change{name: t.Name}
	columns := slices.DeleteFunc(slices.Clone(t.Columns), func(c table.Column) bool { return c.Type == table.Null })
	r := l.tables[l.db.key(t.Name)]
	if r == nil || !r.exists {
		c.create, c.add = true, columns
		return c, nil
	}
	if err := l.usable(r); err != nil {
		return nil, err
	}
	c.adopt = !r.known
	for _, want := range columns {
		have := r.find(want.Name)
		switch {
		case have == nil:
			c.add = append(c.add, want)
		case have.typ == want.Type || have.foreign || have.computed:
		case have.typ == table.Integer && want.Type == table.Float:
			c.widen = append(c.widen, have)
		case table.Join(have.typ, want.Type) == have.typ || c.adopt || r.adopted || !have.known:
			// Values are cast one by one.
		default:
			return nil, fmt.Errorf("table %s: column %s is %s in the warehouse and %s in the batch", t.Name, want.Name, have.typ, want.Type)
		}
	}
	return c, nil
}

// usable refuses what rows cannot be loaded into, with the statement that mends it.
func (l *loading) usable(r *relation) error {
	name := qualified(l.batch.Schema, r.name)
	switch {
	case r.view:
		return &warehouse.Error{
			Op: "load", Object: l.batch.Source, Kind: warehouse.BadName, Err: fmt.Errorf("%s.%s is a view", l.batch.Schema, r.name),
			Hint: "give the view another name: RENAME TABLE " + name + " TO " + qualified(l.batch.Schema, r.name+"_view"),
		}
	case !strings.EqualFold(r.engine, "InnoDB"):
		return &warehouse.Error{
			Op: "load", Object: l.batch.Source, Kind: warehouse.NotThere,
			Err:  fmt.Errorf("%s.%s is a table of the engine %s, which has no transactions", l.batch.Schema, r.name, r.engine),
			Hint: "ALTER TABLE " + name + " ENGINE=InnoDB",
		}
	}
	return nil
}

func (l *loading) makeSchema(ctx context.Context) error {
	var exists bool
	err := l.session.QueryRowContext(ctx, tagged("SELECT count(*) > 0 FROM information_schema.schemata WHERE schema_name = ?"), l.batch.Schema).Scan(&exists)
	if err != nil {
		return fmt.Errorf("look for the schema: %w", err)
	}
	if exists {
		return nil
	}
	if err := l.session.exec(ctx, createSchema(l.batch.Schema, l.db.server.collation)); err != nil {
		return fmt.Errorf("make the schema %s: %w", l.batch.Schema, err)
	}
	return nil
}

// recordIntent writes down tables and columns that are about to be made.
func (l *loading) recordIntent(ctx context.Context, plan []*change) error {
	for _, c := range plan {
		r := l.tables[l.db.key(c.name)]
		if r == nil {
			r = newRelation(c.name)
		}
		var through int64 = event.NoTime
		if c.adopt {
			var err error
			if through, err = l.adopt(ctx, r, c); err != nil {
				return err
			}
		} else if !c.create {
			through = r.through
		}
		if c.create || c.adopt {
			if r.known && r.made && c.create {
				l.notice("%s.%s had been dropped and was made again", l.batch.Schema, c.name)
			}
			err := l.session.exec(ctx, "REPLACE INTO `_firth`.`tables` (source, schema_name, table_name, adopted, adopted_through, made, first_seen) VALUES (?, ?, ?, ?, ?, ?, ?)",
				l.batch.Source, l.batch.Schema, c.name, c.adopt, instant(through), c.adopt, l.now)
			if err != nil {
				return err
			}
		}
		for _, column := range c.add {
			if r.exists && r.lost[strings.ToLower(column.Name)] {
				l.notice("%s.%s.%s had been dropped and was made again", l.batch.Schema, c.name, column.Name)
			}
		}
		if err := l.recordColumns(ctx, c.name, c.add, len(r.columns)); err != nil {
			return err
		}
	}
	return nil
}

// recordColumns adds columns to the catalogue; after is the number of columns that the table has.
func (l *loading) recordColumns(ctx context.Context, name string, columns []table.Column, after int) error {
	for part := range slices.Chunk(columns, 500) {
		args := make([]any, 0, 9*len(part))
		for i, c := range part {
			args = append(args, l.batch.Source, l.batch.Schema, name, c.Name, c.Type.String(), c.Path, 0, l.now, after+i+1)
		}
		after += len(part)
		marks := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?, ?), ", len(part)), ", ")
		err := l.session.exec(ctx, "REPLACE INTO `_firth`.`columns` (source, schema_name, table_name, column_name, type, path, made, first_seen, ordinal) VALUES "+marks, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// adopt takes over a table that somebody else made: what is in it until its latest time of receipt may come again.
func (l *loading) adopt(ctx context.Context, r *relation, c *change) (int64, error) {
	var through int64 = event.NoTime
	target := qualified(l.batch.Schema, r.name)
	var rows bool
	if err := l.session.QueryRowContext(ctx, tagged("SELECT EXISTS (SELECT 1 FROM "+target+")")).Scan(&rows); err != nil {
		return 0, fmt.Errorf("look into %s: %w", r.name, err)
	}
	at := r.find("received_at")
	switch {
	case !rows:
	case at == nil || at.typ != table.Timestamp:
		through = maxTime // there is nothing to tell old rows by
	default:
		var latest sql.NullTime
		if err := l.session.QueryRowContext(ctx, tagged("SELECT max("+quote(at.name)+") FROM "+target)).Scan(&latest); err != nil {
			return 0, fmt.Errorf("latest row of %s: %w", r.name, err)
		}
		through = maxTime // where no row says when it was received
		if latest.Valid {
			// The rows may have come later by what the column does not tell.
			through = min(latest.Time.UnixMicro()+at.step()-1, maxTime)
		}
	}
	l.notice("%s.%s was there before: it was taken over with its %d columns%s", l.batch.Schema, r.name, len(r.columns), adoptedUntil(through))
	have := make([]table.Column, len(r.columns))
	for i, column := range r.columns {
		have[i] = table.Column{Name: column.name, Type: column.typ, Path: l.pathOf(c.name, column.name)}
	}
	return through, l.recordColumns(ctx, r.name, have, 0)
}

func adoptedUntil(through int64) string {
	if through == event.NoTime {
		return ""
	}
	return "; rows received until " + time.UnixMicro(through).UTC().Format(time.RFC3339) + " are loaded only where it lacks their id"
}

// pathOf is where the values of a batch's column come from.
func (l *loading) pathOf(tableName, columnName string) string {
	for _, t := range slices.Concat(l.batch.Tables, l.batch.Upserts) {
		if t.Name != tableName {
			continue
		}
		if i := t.Find(columnName); i >= 0 {
			return t.Columns[i].Path
		}
	}
	return ""
}

func (l *loading) apply(ctx context.Context, c *change) error {
	if c.create {
		statement, err := createTable(l.batch.Schema, c.name, c.add, c.key, l.db.server.collation)
		if err != nil {
			return err
		}
		if err := l.session.exec(ctx, statement); err != nil && number(err) != errTableExists {
			return fmt.Errorf("make the table: %w", err)
		}
		return nil
	}
	for _, column := range c.widen {
		if err := l.widen(ctx, c.name, column); err != nil {
			return fmt.Errorf("widen column %s: %w", column.name, err)
		}
	}
	if len(c.add) == 0 {
		return nil
	}
	statement, err := addColumns(l.batch.Schema, c.name, c.add, l.db.server.collation)
	if err != nil {
		return err
	}
	if err := l.session.exec(ctx, statement); err != nil {
		return fmt.Errorf("add columns: %w", err)
	}
	return nil
}

// widen turns an integer column into a float one. The values that change by it are listed first: should the change itself fail, it
// is taken again, and they are not listed twice.
func (l *loading) widen(ctx context.Context, name string, c *column) error {
	listed, err := l.listInexact(ctx, name, c.name)
	if err != nil {
		return fmt.Errorf("list rounded values: %w", err)
	}
	if err := l.session.exec(ctx, modifyColumn(l.batch.Schema, name, c.name, "DOUBLE", c.nullable)); err != nil {
		return err
	}
	l.result.Discards += listed
	text := ""
	if listed > 0 {
		text = fmt.Sprintf("; %d values beyond 2^53 are rounded and listed in %s", listed, warehouse.Discards)
	}
	l.notice("%s.%s was widened from integer to float%s", name, c.name, text)
	return nil
}

func (l *loading) listInexact(ctx context.Context, name, column string) (int64, error) {
	r := l.tables[l.db.key(name)]
	return l.session.count(ctx, listInexact(l.batch.Schema, name, column, r.find("id") != nil, r.find("received_at") != nil, timeLiteral(l.now.UnixMicro()), l.db.server.collation))
}

// recordMade marks what the plan made, and drops from the catalogue what a table that was made again lacks.
func (l *loading) recordMade(ctx context.Context, plan []*change) error {
	for _, c := range plan {
		key := []any{l.batch.Source, c.name}
		if c.create {
			if err := l.session.exec(ctx, "DELETE FROM `_firth`.`columns` WHERE source = ? AND table_name = ? AND made = 1", key...); err != nil {
				return err
			}
		}
		for _, statement := range []string{
			"UPDATE `_firth`.`tables` SET made = 1 WHERE source = ? AND table_name = ?",
			"UPDATE `_firth`.`columns` SET made = 1 WHERE source = ? AND table_name = ?",
		} {
			if err := l.session.exec(ctx, statement, key...); err != nil {
				return err
			}
		}
		for _, column := range c.widen {
			err := l.session.exec(ctx, "UPDATE `_firth`.`columns` SET type = 'float' WHERE source = ? AND table_name = ? AND column_name = ?", append(key, column.name)...)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// grow gives columns that cannot hold a value of the batch a type that does. One that is bound by an index over all of it grows
// as far as an index can; what does not fit then is discarded.
func (l *loading) grow(ctx context.Context, r *relation, columns []*column) error {
	for _, c := range columns {
		kind := c.grown(l.db.server.collation)
		err := l.session.exec(ctx, modifyColumn(l.batch.Schema, r.name, c.name, kind, c.nullable))
		if number(err) == errKeyWithoutLength {
			// 768 characters of four bytes are the longest key.
			kind = "VARCHAR(768) CHARACTER SET utf8mb4 COLLATE " + l.db.server.collation
			err = l.session.exec(ctx, modifyColumn(l.batch.Schema, r.name, c.name, kind, c.nullable))
		}
		var known *warehouse.Error
		switch {
		case err == nil:
			l.notice("%s.%s was changed from %s to %s for values that did not fit", r.name, c.name, c.full, strings.ToLower(strings.Fields(kind)[0]))
		case isLost(err) || ctx.Err() != nil || errors.As(err, &known) || !slices.Contains([]uint16{errKeyWithoutLength, errKeyTooLong, errKeyColumnForeign, errKeyColumnForeign2}, number(err)):
			return fmt.Errorf("change column %s: %w", c.name, err)
		default:
			l.notice("%s.%s could not be changed from %s, an index holds it: values that do not fit are listed in %s", r.name, c.name, c.full, warehouse.Discards)
		}
	}
	return nil
}

func (l *loading) notice(format string, args ...any) {
	l.result.Notices = append(l.result.Notices, fmt.Sprintf(format, args...))
}
