package redshift

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// errStuck says that a column was found not to grow: its parts must be written anew, with the long strings listed.
var errStuck = errors.New("a column does not grow")

// evolve makes what the batch needs and is not there: each table in a transaction of its own, so that a kill in between leaves empty
// columns that the catalogue knows.
func (l *loading) evolve(ctx context.Context) error {
	if !l.state.exists {
		if err := l.db.run(ctx, createSchema(l.batch.Schema)); err != nil {
			return fmt.Errorf("make the schema %s: %w", l.batch.Schema, err)
		}
	}
	for _, t := range append([]*target{l.discard}, l.targets...) {
		if t.rel != nil && t.known != nil && len(t.add)+len(t.widen) == 0 {
			continue
		}
		if err := l.db.inTx(ctx, func() error { return l.change(ctx, t) }); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	for _, t := range append([]*target{l.discard}, l.targets...) {
		for _, column := range slices.Sorted(maps.Keys(t.grow)) {
			if err := l.growColumn(ctx, t, column); err != nil {
				return fmt.Errorf("table %s: make room in column %s: %w", t.name, column, err)
			}
		}
	}
	return nil
}

// change brings one table to its columns.
func (l *loading) change(ctx context.Context, t *target) error {
	if t.rel == nil {
		return l.create(ctx, t)
	}
	if t.adopt {
		if err := l.adopt(ctx, t); err != nil {
			return fmt.Errorf("take it over: %w", err)
		}
	}
	if err := l.widenAll(ctx, t); err != nil {
		return err
	}
	for _, c := range t.add {
		statement, err := addColumn(l.batch.Schema, t.name, c)
		if err != nil {
			return err
		}
		if err := l.db.run(ctx, statement); err != nil {
			return fmt.Errorf("add column %s: %w", c.Name, err)
		}
	}
	if len(t.gone) > 0 {
		if err := l.db.run(ctx, "DELETE FROM _firth.columns WHERE "+l.key(t)+" AND column_name IN ("+literals(t.gone)+")"); err != nil {
			return err
		}
		l.notice("%s had lost the columns %s, which were made again", t.name, strings.Join(t.gone, ", "))
	}
	return l.record(ctx, t, t.add)
}

func (l *loading) create(ctx context.Context, t *target) error {
	columns := slices.DeleteFunc(slices.Clone(t.batch.Columns), func(c table.Column) bool { return c.Type == table.Null })
	statement, err := createTable(l.batch.Schema, t.name, columns)
	if err != nil {
		return err
	}
	if err := l.db.run(ctx, statement); err != nil {
		return fmt.Errorf("make it: %w", err)
	}
	if t.again {
		l.notice("%s had been dropped and was made again", t.name)
		if err := l.db.run(ctx, "DELETE FROM _firth.columns WHERE "+l.key(t), "DELETE FROM _firth.tables WHERE "+l.key(t)); err != nil {
			return err
		}
	}
	t.known = &known{}
	if err := l.db.run(ctx, l.recordTable(t, "CAST(NULL AS timestamp)")); err != nil {
		return err
	}
	return l.record(ctx, t, columns)
}

// key is the condition that finds a table in the bookkeeping.
func (l *loading) key(t *target) string {
	return "source = " + literal(l.batch.Source) + " AND schema_name = " + literal(l.batch.Schema) + " AND lower(table_name) = " + literal(strings.ToLower(t.name))
}

func (l *loading) recordTable(t *target, adopted string) string {
	return "INSERT INTO _firth.tables (source, schema_name, table_name, adopted_through, first_seen) VALUES (" +
		strings.Join([]string{literal(l.batch.Source), literal(l.batch.Schema), literal(t.name), adopted, stamp(l.now)}, ", ") + ")"
}

// recordsAtOnce keeps statements far below the 16 MB that one may have.
const recordsAtOnce = 200

// record notes columns that were made.
func (l *loading) record(ctx context.Context, t *target, columns []table.Column) error {
	width := t.known.width
	for chunk := range slices.Chunk(columns, recordsAtOnce) {
		var rows []string
		for _, c := range chunk {
			width++
			rows = append(rows, "("+strings.Join([]string{
				literal(l.batch.Source), literal(l.batch.Schema), literal(t.name), literal(c.Name), literal(c.Type.String()), literal(storable(c.Path)),
				stamp(l.now), strconv.Itoa(width),
			}, ", ")+")")
		}
		err := l.db.run(ctx, "INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) VALUES "+strings.Join(rows, ", "))
		if err != nil {
			return fmt.Errorf("note the columns: %w", err)
		}
	}
	t.known.width = width
	return nil
}

// adopt takes over a table that somebody else made: its columns are noted as they are, and how far its rows go.
func (l *loading) adopt(ctx context.Context, t *target) error {
	t.known = &known{}
	adopted := "CAST(NULL AS timestamp)"
	through := "CAST(NULL AS timestamp)"
	if c := t.rel.find("received_at"); c != nil && c.kind == table.Timestamp {
		through = "CAST(max(" + quote(c.name) + ") AS timestamp)"
	}
	r, err := l.db.exec(ctx, "SELECT count(*), "+through+" FROM "+qualified(l.batch.Schema, t.name))
	if err != nil {
		return err
	}
	if rows := r.rows[0][0].String; rows != "0" {
		t.known.adoptedThrough = l.now // without times of receipt: whatever was received until now
		if r.rows[0][1].Valid {
			if t.known.adoptedThrough, err = parseTime(r.rows[0][1].String); err != nil {
				return err
			}
		}
		adopted = stamp(t.known.adoptedThrough)
		l.notice("%s was there with %s rows and was taken over: rows received until %s are added only where their id is not in it", t.name, rows,
			t.known.adoptedThrough.Format("2006-01-02 15:04:05"))
	} else {
		l.notice("%s was there, empty, and was taken over", t.name)
	}
	if err := l.db.run(ctx, l.recordTable(t, adopted)); err != nil {
		return err
	}
	paths := map[string]string{}
	for _, c := range t.batch.Columns {
		paths[strings.ToLower(c.Name)] = c.Path
	}
	var columns []table.Column
	var foreign []string
	for _, c := range t.rel.columns {
		columns = append(columns, table.Column{Name: c.name, Type: c.kind, Path: paths[strings.ToLower(c.name)]})
		if c.foreign {
			foreign = append(foreign, c.name+" ("+c.physical+")")
		}
	}
	if len(foreign) > 0 {
		l.notice("%s has columns of types that are not written: %s; values for them are listed in %s", t.name, strings.Join(foreign, ", "), warehouse.Discards)
	}
	return l.record(ctx, t, columns)
}

// widenAll widens the columns that must be. Views that read them are made again.
func (l *loading) widenAll(ctx context.Context, t *target) error {
	if len(t.widen) == 0 {
		return nil
	}
	var names []string
	for _, c := range t.widen {
		names = append(names, c.Name)
	}
	views, err := l.db.putAside(ctx, l.batch.Schema, t.name, names...)
	if err != nil {
		return err
	}
	for _, c := range t.widen {
		if err := l.widen(ctx, t, c); err != nil {
			return fmt.Errorf("widen column %s: %w", c.Name, err)
		}
	}
	return l.db.restore(ctx, views)
}

// widen turns an integer column into a float one and lists the values that change by it.
func (l *loading) widen(ctx context.Context, t *target, c table.Column) error {
	var listed int64
	if t.rel.find("id") != nil && t.rel.find("received_at") != nil {
		r, err := l.db.exec(ctx, listInexact(l.batch.Schema, t.name, c.Name, stamp(l.now)))
		if err != nil {
			return fmt.Errorf("list rounded values: %w", err)
		}
		listed = r.affected
	}
	if err := l.db.run(ctx, widenColumn(l.batch.Schema, t.name, c.Name)...); err != nil {
		return err
	}
	if err := l.db.run(ctx, "UPDATE _firth.columns SET type = "+literal(c.Type.String())+" WHERE "+l.key(t)+" AND column_name = "+literal(c.Name)); err != nil {
		return fmt.Errorf("note the type: %w", err)
	}
	l.result.Discards += listed
	text := ""
	if listed > 0 {
		text = fmt.Sprintf("; %d values beyond 2^53 are rounded and listed in %s", listed, warehouse.Discards)
	}
	l.notice("%s.%s was widened from integer to float%s", t.name, c.Name, text)
	return nil
}

func (l *loading) growColumn(ctx context.Context, t *target, column string) error {
	err := l.db.run(ctx, growColumn(l.batch.Schema, t.name, column))
	var pe *pgconn.PgError
	if errors.As(err, &pe) && refusesGrowth(pe.Code) {
		// Some encodings, defaults and dependent views keep it from growing: then long strings are listed instead.
		l.db.stuck[l.batch.Schema+"\x00"+t.name+"\x00"+column] = true
		l.notice("%s.%s cannot hold longer strings (%s): they are listed in %s; to mend it: %s", t.name, column, pe.Message, warehouse.Discards,
			growColumn(l.batch.Schema, t.name, column))
		return errStuck
	}
	if err == nil {
		l.notice("%s.%s was given room for strings of %d bytes", t.name, column, longest)
	}
	return err
}

// refusesGrowth tells errors that will come again from those that pass.
func refusesGrowth(code string) bool {
	switch code {
	case "0A000", "2BP01", "42P16", "42809", "42601", "XX000":
		return true
	}
	return false
}

// pin keeps a column at its length; key is table and column.
func (st *state) pin(key string) {
	tableName, name, _ := strings.Cut(key, "\x00")
	if rel := st.relations[strings.ToLower(tableName)]; rel != nil {
		if c := rel.find(name); c != nil && c.physical == "varchar" {
			c.physical = "varchar, fixed"
		}
	}
}

func (l *loading) notice(format string, args ...any) {
	l.result.Notices = append(l.result.Notices, fmt.Sprintf(format, args...))
}
