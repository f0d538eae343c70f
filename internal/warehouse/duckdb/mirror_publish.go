package duckdb

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// publishing is one publication under way, within the writer's transaction.
type publishing struct {
	*Stage
	p       *warehouse.Publication
	out     *warehouse.Published
	record  *record
	changed bool        // there is something that must be in the file when it returns
	of      *publishing // whose children these are; nil: of a mirror itself
}

// Publish makes the staged rows visible. It ends with a checkpoint where anything changed.
func (s *Stage) Publish(ctx context.Context, p *warehouse.Publication) (*warehouse.Published, error) {
	var w *publishing
	err := s.m.locked(ctx, "publish", s.t, func() error {
		if s.ended {
			return errEnded
		}
		err := s.transact(ctx, p.Children, func() error {
			w = &publishing{Stage: s, p: p, out: &warehouse.Published{}}
			return w.run(ctx)
		})
		if err != nil {
			return err
		}
		s.ended, s.m.db.dirty = true, true
		delete(s.m.db.known, s.t.Schema)
		if w.changed {
			// The rows are published in any case: whoever gives up here would have them lost.
			return s.m.checkpoint(context.WithoutCancel(ctx))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return w.out, nil
}

// beside is how the engine refuses a checkpoint for a moment: a reader is at tidying up what it saw of before.
var beside = regexp.MustCompile(`(?i)cannot checkpoint: there are other write transactions`)

// checkpoint moves what was committed into the file. Nobody else writes, so that the engine has no reason to refuse it for long.
func (m *Mirrors) checkpoint(ctx context.Context) error {
	const pause, tries = 2 * time.Millisecond, 250
	err := m.db.checkpoint(ctx)
	for i := 0; i < tries && err != nil && beside.MatchString(err.Error()); i++ {
		time.Sleep(pause)
		err = m.db.checkpoint(ctx)
	}
	if err == nil || !beside.MatchString(err.Error()) {
		return err
	}
	if err := m.db.exec(ctx, "FORCE CHECKPOINT "+quote(m.db.catalog)); err != nil {
		return err
	}
	m.db.dirty, m.db.unsaved = false, 0
	return nil
}

// transact runs fn in a transaction. Where the table cannot be altered for the sake of an index on it, which the engine lets nobody drop
// and make again in one transaction, the indexes are dropped before and made again after; none of it is in the file before the next
// checkpoint.
func (s *Stage) transact(ctx context.Context, children []warehouse.Child, fn func() error) error {
	d := s.m.db
	err := d.inTx(ctx, fn)
	if err == nil || !indexText.MatchString(err.Error()) {
		return err
	}
	dropped, indexErr := s.indexes(ctx)
	for _, c := range children {
		more, childErr := (&Stage{m: s.m, t: c.Table}).indexes(ctx)
		dropped, indexErr = append(dropped, more...), errors.Join(indexErr, childErr)
	}
	if indexErr != nil {
		return errors.Join(err, indexErr)
	}
	for _, i := range dropped {
		if err := d.exec(ctx, "DROP INDEX "+qualified(s.t.Schema, i.name)); err != nil {
			return fmt.Errorf("index %s: %w", i.name, err)
		}
	}
	err = d.inTx(ctx, fn)
	for _, i := range dropped {
		if again := d.exec(context.WithoutCancel(ctx), i.sql); again != nil && err == nil {
			err = fmt.Errorf("make the index %s again: %w", i.name, again)
		}
	}
	return err
}

// indexes are those of the published table.
func (s *Stage) indexes(ctx context.Context) ([]index, error) {
	return (&loading{db: s.m.db, batch: &warehouse.Batch{Schema: s.t.Schema}}).indexes(ctx, s.t.Table)
}

func (w *publishing) run(ctx context.Context) error {
	var err error
	if w.record, err = w.m.record(ctx, w.t.Name); err != nil {
		return err
	}
	f, own, err := w.m.claim(ctx, w.t, w.record)
	if err != nil {
		return err
	}
	if w.record.of(w.t) && w.record.columns != nil && !f.exists && w.p.Mode != warehouse.PublishIDs {
		w.out.Notices = append(w.out.Notices, fmt.Sprintf("the table %s.%s was dropped by somebody: it is made again", w.t.Schema, w.t.Table))
	}
	if !w.record.of(w.t) {
		w.record = &record{schema: w.t.Schema, table: w.t.Table}
	}
	if w.p.Mode == warehouse.PublishIDs {
		err = w.ids(ctx, own)
	} else {
		err = w.rows(ctx, f, own)
	}
	if err == nil {
		err = w.children(ctx, own)
	}
	if err != nil {
		return err
	}
	if err := w.rejects(ctx); err != nil {
		return fmt.Errorf("write to %s%s: %w", w.t.Table, warehouse.RejectsSuffix, err)
	}
	w.record.state = w.p.State
	if err := w.m.save(ctx, w.t.Name, w.record); err != nil {
		return fmt.Errorf("record the state: %w", err)
	}
	return w.m.dropStages(ctx, w.t.Name)
}

// rows publishes a stage of rows.
func (w *publishing) rows(ctx context.Context, f *found, own bool) error {
	staged, err := w.m.count(ctx, "SELECT count(*) FROM "+w.qualified())
	if err != nil {
		return err
	}
	if w.of != nil {
		// The key of a child is that of its parent.
	} else if w.p.Mode == warehouse.PublishUpsert || len(w.p.Key) > 0 && (w.p.Mode == warehouse.PublishAppend || w.p.Mode == warehouse.PublishReplace && w.p.History) {
		all := staged
		if staged, err = w.uniqueKeys(ctx, w.p.Key, staged); err != nil {
			return err
		}
		if staged != all && len(w.p.Children) > 0 && w.p.Mode == warehouse.PublishUpsert {
			return warehouse.ErrTwiceWithChildren(w.t.Name)
		}
	}
	if !own {
		if f.exists { // empty, and nobody's
			if err := w.m.db.exec(ctx, "DROP TABLE "+qualified(w.t.Schema, w.t.Table)); err != nil {
				return err
			}
		}
		w.out.Inserted = staged
		return w.become(ctx, nil)
	}
	if w.p.Mode == warehouse.PublishReplace && !w.p.History {
		w.out.Inserted = staged
		if w.out.Deleted, err = w.m.count(ctx, "SELECT count(*) FROM "+qualified(w.t.Schema, w.t.Table)); err != nil {
			return err
		}
		return w.replace(ctx)
	}
	columns, err := w.evolve(ctx, f)
	if err != nil {
		return err
	}
	m := &merging{publishing: w, columns: columns, staged: staged}
	switch {
	case w.p.Mode == warehouse.PublishAppend && len(w.p.Key) > 0:
		return m.appendKeys(ctx)
	case w.p.Mode == warehouse.PublishAppend:
		return m.appendRows(ctx)
	case w.p.Mode == warehouse.PublishGroups:
		return m.groups(ctx)
	case w.of != nil && w.p.Mode == warehouse.PublishUpsert:
		return m.items(ctx)
	case w.p.Mode == warehouse.PublishUpsert, len(w.p.Key) > 0:
		return m.upsert(ctx)
	}
	return m.compare(ctx)
}

// uniqueKeys fails where a key is NULL, and keeps of staged rows with the same key the last. It returns how many rows there are then.
func (w *publishing) uniqueKeys(ctx context.Context, key []string, staged int64) (int64, error) {
	var null, list []string
	for _, k := range key {
		if w.find(k) < 0 {
			return 0, &warehouse.Error{Op: "publish", Object: w.t.Name, Kind: warehouse.NoKey, Err: fmt.Errorf("the rows have no column %s, which is the key", k),
				Hint: "name columns in key: that the source has and that are not excluded"}
		}
		null, list = append(null, quote(k)+" IS NULL"), append(list, quote(k))
	}
	if len(key) == 0 {
		return 0, &warehouse.Error{Op: "publish", Object: w.t.Name, Kind: warehouse.NoKey, Err: errors.New("the mirror has no key"), Hint: "name the columns that tell its rows apart: key: id"}
	}
	n, err := w.m.count(ctx, "SELECT count(*) FROM "+w.qualified()+" WHERE "+strings.Join(null, " OR "))
	if err != nil {
		return 0, err
	}
	if n > 0 {
		return 0, &warehouse.Error{Op: "publish", Object: w.t.Name, Kind: warehouse.NoKey, Err: fmt.Errorf("%d rows have NULL in the key %s", n, strings.Join(key, ", ")),
			Hint: "name columns in key: that are never NULL, or leave such rows out (where: " + list[0] + " IS NOT NULL)"}
	}
	groups, err := w.m.count(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+w.qualified()+" GROUP BY "+strings.Join(list, ", ")+")")
	if err != nil || groups == staged {
		return staged, err
	}
	return groups, w.m.db.exec(ctx, "DELETE FROM "+w.qualified()+" WHERE rowid NOT IN (SELECT max(rowid) FROM "+w.qualified()+" GROUP BY "+strings.Join(list, ", ")+")")
}

// extras are the columns that publishing adds, with what rows that come now have there.
func (w *publishing) extras() (columns []vector.Column, values []string) {
	at := vector.Type{Kind: vector.TimestampTZ}
	if w.p.Synced {
		columns, values = append(columns, vector.Column{Name: warehouse.SyncedAt, Type: at}), append(values, instantOf(w.p.At))
	}
	if w.p.History {
		columns = append(columns, vector.Column{Name: warehouse.ValidFrom, Type: at}, vector.Column{Name: warehouse.ValidTo, Type: at})
		values = append(values, instantOf(w.p.At), nothing)
	}
	return columns, values
}

// become gives the staging table the name of the published one, and then the indexes.
func (w *publishing) become(ctx context.Context, after []string) error {
	w.changed = true
	columns, values := w.extras()
	statements := addExtras(w.t.Schema, w.table, columns, values)
	statements = append(statements, "ALTER TABLE "+w.qualified()+" RENAME TO "+quote(w.t.Table))
	for _, s := range append(statements, after...) {
		if err := w.m.db.exec(ctx, s); err != nil {
			return err
		}
	}
	w.record.columns = append([]vector.Column{}, w.columns...)
	return nil
}

// replace puts the staging table in the place of the published one. What people made on it is made again: indexes and comments.
func (w *publishing) replace(ctx context.Context) error {
	indexes, err := w.indexes(ctx)
	if err != nil {
		return err
	}
	comments, err := w.comments(ctx)
	if err != nil {
		return err
	}
	if err := w.m.db.exec(ctx, "DROP TABLE "+qualified(w.t.Schema, w.t.Table)); err != nil {
		return err
	}
	if err := w.become(ctx, comments); err != nil {
		return err
	}
	for _, i := range indexes {
		if err := w.m.db.exec(ctx, i.sql); err != nil {
			return &warehouse.Error{Op: "make the index", Object: i.name, Kind: warehouse.Unexpected, Err: err,
				Hint: fmt.Sprintf("the rows or columns do not go with the index: DROP INDEX %s", qualified(w.t.Schema, i.name))}
		}
	}
	return nil
}

// comments are the statements that give the table its comments again, of columns that are staged.
func (w *publishing) comments(ctx context.Context) ([]string, error) {
	d := w.m.db
	rows, err := d.writer.QueryContext(ctx, "SELECT '', comment FROM duckdb_tables() WHERE database_name = $1 AND lower(schema_name) = lower($2) AND lower(table_name) = lower($3) AND comment IS NOT NULL "+
		"UNION ALL SELECT column_name, comment FROM duckdb_columns() WHERE database_name = $1 AND lower(schema_name) = lower($2) AND lower(table_name) = lower($3) AND comment IS NOT NULL",
		d.catalog, w.t.Schema, w.t.Table)
	if err != nil {
		return nil, fmt.Errorf("read the comments: %w", err)
	}
	var out []string
	table := qualified(w.t.Schema, w.t.Table)
	for rows.Next() {
		var column, comment string
		if err = rows.Scan(&column, &comment); err != nil {
			break
		}
		if column == "" {
			out = append(out, "COMMENT ON TABLE "+table+" IS "+literal(comment))
		} else if w.find(column) >= 0 {
			out = append(out, "COMMENT ON COLUMN "+table+"."+quote(column)+" IS "+literal(comment))
		}
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}

// evolve brings the published table to the columns of the stage, and returns those that both have.
func (w *publishing) evolve(ctx context.Context, f *found) ([]pair, error) {
	next := slices.Clone(w.record.columns)
	var out []pair
	var statements []string
	for _, c := range w.columns {
		at := slices.IndexFunc(next, func(have vector.Column) bool { return strings.EqualFold(have.Name, c.Name) })
		if at < 0 {
			at, next = len(next), append(next, c)
		} else {
			to, lossless := vector.Grow(next[at].Type, c.Type)
			if !lossless {
				return nil, &warehouse.Error{Op: "publish", Object: w.t.Name, Kind: warehouse.Unexpected,
					Err: fmt.Errorf("column %s is %s in the warehouse and %s at the source", c.Name, next[at].Type, c.Type), Hint: "read it anew as a whole: firth sync " + w.t.Name + " --full"}
			}
			if f.has(c.Name) && mirrorType(to) != mirrorType(next[at].Type) {
				statements = append(statements, retypeMirror(w.t.Schema, w.t.Table, next[at].Name, next[at].Type, to))
			}
			next[at].Type, next[at].Path, next[at].Source = to, c.Path, c.Source
		}
		if !f.has(c.Name) {
			statements = append(statements, addMirrorColumn(w.t.Schema, w.t.Table, next[at]))
		}
		out = append(out, pair{name: next[at].Name, from: c.Name, is: c.Type, as: next[at].Type})
	}
	extras, values := w.extras()
	for i := len(extras) - 1; i >= 0; i-- {
		if f.has(extras[i].Name) {
			extras, values = slices.Delete(extras, i, i+1), slices.Delete(values, i, i+1)
		}
	}
	statements = append(statements, addExtras(w.t.Schema, w.t.Table, extras, values)...)
	for _, s := range statements {
		if err := w.m.db.exec(ctx, s); err != nil {
			return nil, err
		}
	}
	w.changed = w.changed || len(statements) > 0
	w.record.columns = next
	return out, nil
}
