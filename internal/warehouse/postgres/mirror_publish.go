package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// publishing is one publication under way.
type publishing struct {
	*Stage
	d      *DB
	p      *warehouse.Publication
	out    *warehouse.Published
	record *record
	l      *loading // for what it has of changing tables
	kids   []*publishing
}

// Publish makes the staged rows visible. What the table's columns need is done before, in short transactions of its own; the rows, the
// rejects and the state are one transaction.
func (s *Stage) Publish(ctx context.Context, p *warehouse.Publication) (*warehouse.Published, error) {
	if _, err := s.present(); err != nil {
		return nil, err
	}
	s.shapes.Lock()
	defer s.shapes.Unlock()
	var w *publishing
	err := s.m.turn(ctx, "publish", s.t.Name, func(ctx context.Context, d *DB) error {
		w = &publishing{Stage: s, d: d, p: p, out: &warehouse.Published{}, l: &loading{db: d, schema: s.t.Schema}}
		if err := w.run(ctx); err != nil {
			return &inSchema{s.t.Schema, err}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	return w.out, nil
}

func (w *publishing) run(ctx context.Context) error {
	f, own, err := w.look(ctx, false)
	if err != nil {
		return err
	}
	if w.record.of(w.t) && w.record.columns != nil && !f.exists() && w.p.Mode != warehouse.PublishIDs {
		w.out.Notices = append(w.out.Notices, fmt.Sprintf("the table %s.%s was dropped by somebody: it is made again", w.t.Schema, w.t.Table))
	}
	if err := w.exec(ctx, "ANALYZE "+w.qualified()); err != nil {
		return err
	}
	if err := w.meetChildren(ctx, own); err != nil {
		return err
	}
	switch {
	case w.p.Mode == warehouse.PublishIDs:
		return w.transact(ctx, w.ids)
	case !own:
		return w.first(ctx)
	case w.p.Mode == warehouse.PublishReplace && !w.p.History:
		return w.replace(ctx, f)
	}
	if err := w.evolve(ctx, f); err != nil {
		return err
	}
	return w.transact(ctx, w.merge)
}

// look reads the record and the table.
func (w *publishing) look(ctx context.Context, lock bool) (f *found, own bool, err error) {
	if w.record, err = w.d.record(ctx, w.t.Name, lock); err != nil {
		return nil, false, err
	}
	if f, own, err = w.d.claim(ctx, w.t, w.record); err != nil {
		return nil, false, err
	}
	if !w.record.of(w.t) {
		w.record = &record{schema: w.t.Schema, table: w.t.Table}
	}
	return f, own, nil
}

func (w *publishing) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := w.d.conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (w *publishing) count(ctx context.Context, query string) (n int64, err error) {
	err = w.d.conn.QueryRow(ctx, query).Scan(&n)
	return n, err
}

// transact runs fn, which writes rows, in a transaction with the rejects and the state.
func (w *publishing) transact(ctx context.Context, fn func(ctx context.Context, own bool) error) error {
	return w.d.inTx(ctx, func(ctx context.Context) error {
		_, own, err := w.look(ctx, true)
		if err != nil {
			return err
		}
		if err := fn(ctx, own); err != nil {
			return err
		}
		return w.finish(ctx)
	})
}

// finish writes what goes with the rows, and ends the stage.
func (w *publishing) finish(ctx context.Context) error {
	if err := w.rejects(ctx); err != nil {
		return fmt.Errorf("write to %s: %w", rejectsName(w.t.Table), err)
	}
	if err := w.children(ctx); err != nil {
		return err
	}
	w.record.state = w.p.State
	if err := w.d.saveRecord(ctx, w.t.Name, w.record); err != nil {
		return fmt.Errorf("record the state: %w", err)
	}
	return w.d.dropStages(ctx, w.t.Name)
}

// first publishes where there is no table yet, or an empty one that is nobody's.
func (w *publishing) first(ctx context.Context) error {
	return w.d.inTx(ctx, func(ctx context.Context) error {
		f, own, err := w.look(ctx, true)
		if err != nil {
			return err
		}
		if own {
			return errAgain
		}
		staged, err := w.count(ctx, "SELECT count(*) FROM "+w.qualified())
		if err != nil {
			return err
		}
		if w.keyed() {
			all := staged
			if staged, err = w.uniqueKeys(ctx, w.p.Key, staged); err != nil {
				return err
			}
			if staged != all && len(w.kids) > 0 && w.p.Mode == warehouse.PublishUpsert {
				return w.twice()
			}
		}
		if f.exists() {
			if err := w.exec(ctx, "DROP TABLE "+qualified(w.t.Schema, w.t.Table)); err != nil {
				return err
			}
		}
		w.out.Inserted = staged
		if err := w.become(ctx); err != nil {
			return err
		}
		return w.finish(ctx)
	})
}

// keyed reports whether rows are told apart by the key.
func (w *publishing) keyed() bool {
	switch w.p.Mode {
	case warehouse.PublishUpsert:
		return true
	case warehouse.PublishAppend:
		return len(w.p.Key) > 0
	case warehouse.PublishReplace:
		return len(w.p.Key) > 0 && w.p.History
	}
	return false
}

// prepare makes the staging table like the published one, but for its name.
func (w *publishing) prepare(ctx context.Context) error {
	columns, values := w.extras()
	statements := []string{"ALTER TABLE " + w.qualified() + " DROP COLUMN IF EXISTS " + order}
	for i, c := range columns {
		// The server keeps one constant for all rows that are there.
		statements = append(statements, addMirrorColumn(w.t.Schema, w.table, c)+" DEFAULT "+values[i], "ALTER TABLE "+w.qualified()+" ALTER COLUMN "+quote(c.Name)+" DROP DEFAULT")
	}
	return w.exec(ctx, statements...)
}

// become gives the staging table the name of the published one.
func (w *publishing) become(ctx context.Context) error {
	if err := w.prepare(ctx); err != nil {
		return err
	}
	w.record.columns = append([]vector.Column{}, w.columns...)
	return w.exec(ctx, "ALTER TABLE "+w.qualified()+" RENAME TO "+quote(w.t.Table))
}

// extras are the columns that publishing adds, with what rows that come now have there.
func (w *publishing) extras() (columns []vector.Column, values []string) {
	at := vector.Type{Kind: vector.TimestampTZ}
	if w.p.Synced {
		columns, values = append(columns, vector.Column{Name: warehouse.SyncedAt, Type: at}), append(values, instantOf(w.p.At))
	}
	if w.p.History {
		columns = append(columns, vector.Column{Name: warehouse.ValidFrom, Type: at}, vector.Column{Name: warehouse.ValidTo, Type: at})
		values = append(values, instantOf(w.p.At), "NULL::timestamptz")
	}
	return columns, values
}

func (w *publishing) find(name string) int {
	return slices.IndexFunc(w.columns, func(c vector.Column) bool { return c.Name == name })
}

// uniqueKeys fails where a key is NULL, and keeps of staged rows with the same key the last. It returns how many rows there are then.
func (w *publishing) uniqueKeys(ctx context.Context, key []string, staged int64) (int64, error) {
	var null []string
	list := strings.Join(quoteAll(key), ", ")
	for _, k := range key {
		if w.find(k) < 0 {
			return 0, &ill{kind: warehouse.NoKey, err: fmt.Errorf("the rows have no column %s, which is the key", k), hint: "name columns in key: that the source has and that are not excluded"}
		}
		null = append(null, quote(k)+" IS NULL")
	}
	if len(key) == 0 {
		return 0, &ill{kind: warehouse.NoKey, err: errors.New("the mirror has no key"), hint: "name the columns that tell its rows apart: key: id"}
	}
	n, err := w.count(ctx, "SELECT count(*) FROM "+w.qualified()+" WHERE "+strings.Join(null, " OR "))
	if err != nil {
		return 0, err
	}
	if n > 0 {
		return 0, &ill{kind: warehouse.NoKey, err: fmt.Errorf("%d rows have NULL in the key %s", n, strings.Join(key, ", ")),
			hint: "name columns in key: that are never NULL, or leave such rows out (where: " + quote(key[0]) + " IS NOT NULL)"}
	}
	groups, err := w.count(ctx, "SELECT count(*) FROM (SELECT FROM "+w.qualified()+" GROUP BY "+list+") AS g")
	if err != nil || groups == staged {
		return staged, err
	}
	by := "ctid DESC"
	f, err := w.d.find(ctx, w.t.Schema, w.table)
	if err != nil {
		return 0, err
	}
	if f.has(order) {
		by = order + " DESC NULLS LAST, ctid DESC"
	}
	return groups, w.exec(ctx, "DELETE FROM "+w.qualified()+" AS a USING (SELECT ctid AS r, row_number() OVER (PARTITION BY "+list+" ORDER BY "+by+") AS n FROM "+w.qualified()+") AS b WHERE a.ctid = b.r AND b.n > 1")
}

// evolve brings the published table to the columns of the stage, in a short transaction of its own.
func (w *publishing) evolve(ctx context.Context, f *found) error {
	next, statements, retyped, err := w.changes(f)
	if err != nil {
		return err
	}
	if len(statements)+len(retyped) == 0 {
		told := func(a, b vector.Column) bool { return a.Path == b.Path && a.Source == b.Source && a.Type.Equal(b.Type) }
		if slices.EqualFunc(w.record.columns, next, told) {
			return nil
		}
		w.record.columns = next // the source has other types, which go into those that there are
		return w.d.saveRecord(ctx, w.t.Name, w.record)
	}
	return w.alter(ctx, f, next, statements, retyped)
}

// alter changes the table's columns. Views that stand on those that get another type are dropped and made again.
func (w *publishing) alter(ctx context.Context, f *found, next []vector.Column, statements, retyped []string) error {
	err := w.l.ddl(ctx, f.oid, w.t.Table, func(ctx context.Context) error {
		if err := w.exec(ctx, lockTables([]string{qualified(w.t.Schema, w.t.Table)}, "ACCESS EXCLUSIVE")); err != nil {
			return err
		}
		views, err := w.d.viewsOn(ctx, f.oid, retyped)
		if err != nil {
			return err
		}
		if err := w.d.withoutViews(ctx, views, statements...); err != nil {
			return err
		}
		w.record.columns = next
		return w.d.saveRecord(ctx, w.t.Name, w.record)
	})
	var o *obstacle
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &o):
		return &ill{kind: warehouse.Denied, err: fmt.Errorf("change the columns of %s: %w", qualified(w.t.Schema, w.t.Table), err), hint: o.reason}
	case errors.As(err, &pg) && (pg.Code == "0A000" || pg.Code == "2BP01"):
		return &ill{kind: warehouse.Unexpected, err: fmt.Errorf("change the columns of %s: %w", qualified(w.t.Schema, w.t.Table), err),
			hint: strings.TrimSpace("something stands on the column: drop it, and make it again afterwards. " + pg.Detail)}
	}
	return err
}

// changes are what the published table lacks: its columns as they will be, the statements, and the columns that get another type.
func (w *publishing) changes(f *found) (next []vector.Column, statements, retyped []string, err error) {
	next = slices.Clone(w.record.columns)
	for _, c := range w.columns {
		at := slices.IndexFunc(next, func(have vector.Column) bool { return have.Name == c.Name })
		if at < 0 {
			at, next = len(next), append(next, c)
		}
		to, lossless := vector.Grow(next[at].Type, c.Type)
		if !lossless {
			return nil, nil, nil, &ill{kind: warehouse.Unexpected, err: fmt.Errorf("column %s is %s in the warehouse and %s at the source", c.Name, next[at].Type, c.Type),
				hint: "read it anew as a whole: firth sync " + w.t.Name + " --full"}
		}
		from := next[at]
		next[at].Type, next[at].Path = to, c.Path
		// json stays json where the source has jsonb now; what is gone there, and comes back, is marked behind its type.
		if is := next[at].Source; to.Kind != vector.JSON || strings.HasPrefix(c.Source, is) || strings.HasPrefix(is, c.Source+" ") {
			next[at].Source = c.Source
		}
		switch {
		case !f.has(c.Name):
			statements = append(statements, addMirrorColumn(w.t.Schema, w.t.Table, next[at]))
		case mirrorType(from) != mirrorType(next[at]):
			statements, retyped = append(statements, retypeMirror(w.t.Schema, w.t.Table, from, next[at])), append(retyped, c.Name)
		}
	}
	extras, values := w.extras()
	for i, c := range extras {
		if !f.has(c.Name) {
			statements = append(statements, addMirrorColumn(w.t.Schema, w.t.Table, c)+" DEFAULT "+values[i], "ALTER TABLE "+qualified(w.t.Schema, w.t.Table)+" ALTER COLUMN "+quote(c.Name)+" DROP DEFAULT")
		}
	}
	return next, statements, retyped, nil
}

// pairs are the columns that the table and the stage both have.
func (w *publishing) pairs() []pair {
	var out []pair
	for _, c := range w.columns {
		for _, have := range w.record.columns {
			if have.Name == c.Name {
				out = append(out, pair{main: have, stage: c})
			}
		}
	}
	return out
}
