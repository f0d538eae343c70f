package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// publishing is one publication under way: what it computes is in relations of a workshop, and what it comes to in changes of tables. Nothing
// is seen of it before the commit.
type publishing struct {
	*Stage
	p   *warehouse.Publication
	out *warehouse.Published
	of  *publishing // whose children these are; nil: of a mirror itself

	shop   *duckdb.Workshop
	all    *together
	prefix string // of the relations in the workshop
	*present
	columns []vector.Column // of the stage
	stage   string          // the relation of the staged rows
	keysOf  string          // the relation of the keys that came apart; "": the staged rows

	next  []vector.Column // the columns that the table is to have, without those that publishing adds
	table *tbl            // the one to change, with its new fields; nil: none is
	gone  string          // the relation of rows (r) of the table that go, or end with history; "": none
	come  string          // a query of the staged rows (r) that come; "": all of the stage. Means nothing where comes is false
	comes bool
	whole bool // all rows of the table go
}

// together is what the publications of one commit share.
type together struct {
	book     *tbl
	records  map[string]*record
	changes  []change
	set      iceberg.Properties // of the bookkeeping
	releases []func()
	ended    []*Stage
	made     []*tbl // whatever becomes of them
	count    int    // of publications, for the names of relations
}

// Publish makes the staged rows visible and ends the stage.
func (s *Stage) Publish(ctx context.Context, p *warehouse.Publication) (*warehouse.Published, error) {
	select {
	case s.m.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, s.m.fail(ctx, "publish", s.t.Name, ctx.Err())
	}
	defer func() { <-s.m.turn }()
	err := s.m.atBench(ctx, "publish", s.t.Name, func(b *bench) error {
		if err := s.flush(ctx, b); err != nil || s.keys == nil {
			return err
		}
		return b.spill(ctx, s.keys, s.m.stageDir(s.t.Name))
	})
	if err != nil {
		return nil, err
	}
	var out *warehouse.Published
	var ended []*Stage
	err = s.m.db.again(ctx, func() error {
		return s.m.db.inWorkshop(ctx, func(shop *duckdb.Workshop) (err error) {
			out, ended, err = s.publish(ctx, shop, p)
			return err
		})
	})
	if err != nil {
		return nil, s.m.fail(ctx, "publish", s.t.Name, err)
	}
	s.m.db.tendAfter(ctx)
	// The rows are published in any case: what is left of the stage is known by its mark.
	ctx = context.WithoutCancel(ctx)
	return out, s.m.atBench(ctx, "end the stage of", s.t.Name, func(b *bench) error {
		var err error
		for _, e := range ended {
			if open := b.stages[e.t.Name]; open != nil {
				e = open
			}
			err = errors.Join(err, e.end(ctx, b))
		}
		return err
	})
}

// publish is one attempt.
func (s *Stage) publish(ctx context.Context, shop *duckdb.Workshop, p *warehouse.Publication) (*warehouse.Published, []*Stage, error) {
	all := &together{set: iceberg.Properties{}}
	w := &publishing{Stage: s, p: p, out: &warehouse.Published{}, shop: shop, all: all}
	defer func() {
		all.release()
		for _, t := range all.made {
			if err := s.m.db.abandon(ctx, t); err != nil {
				s.m.db.o.Log.Debug("a table that nobody sees is left for later", "error", err)
			}
		}
	}()
	err := w.run(ctx)
	if err == nil {
		err = w.keep(ctx)
	}
	if err == nil && len(all.changes) > 0 {
		err = s.m.db.commit(ctx, s.t.Schema, all.changes)
		all.changes = nil
	}
	for _, c := range all.changes {
		s.m.db.discardAll(c.add)
	}
	return w.out, all.ended, err
}

// fresh makes a table that no one sees before the commit.
func (w *publishing) fresh(ctx context.Context, name string, fields []iceberg.NestedField, sorted string, props iceberg.Properties) (*tbl, error) {
	t, err := w.m.db.fresh(ctx, w.t.Schema, name, fields, sorted, props)
	if err == nil {
		w.all.made = append(w.all.made, t)
	}
	return t, err
}

// run computes one publication and adds it to the changes.
func (w *publishing) run(ctx context.Context) error {
	w.all.count++
	w.prefix = fmt.Sprintf("p%d_", w.all.count)
	w.all.ended = append(w.all.ended, w.Stage)
	var err error
	if w.present, err = w.m.find(ctx, w.t); err == nil {
		err = w.claim(w.t)
	}
	if err == nil {
		err = w.openStage(ctx)
	}
	if err != nil {
		return err
	}
	if w.all.records == nil {
		w.all.book, w.all.records = w.book, w.records
	}
	if w.record.of(w.t) && w.record.Columns != nil && w.main == nil && w.p.Mode != warehouse.PublishIDs {
		w.out.Notices = append(w.out.Notices, fmt.Sprintf("the table %s.%s was dropped by somebody: it is made again", w.t.Schema, w.t.Table))
	}
	if !w.record.of(w.t) {
		w.record = &record{Table: w.t.Table}
	}
	if w.p.Mode == warehouse.PublishIDs {
		err = w.ids(ctx)
	} else {
		err = w.rows(ctx)
	}
	if err == nil {
		err = w.change(ctx)
	}
	if err == nil {
		err = w.children(ctx)
	}
	if err != nil {
		return err
	}
	if err := w.rejects(ctx); err != nil {
		return fmt.Errorf("write to %s%s: %w", w.t.Table, warehouse.RejectsSuffix, err)
	}
	return w.remember()
}

// remember notes the record of the mirror for the commit.
func (w *publishing) remember() error {
	w.record.State, w.record.Stage = w.p.State, ""
	if w.note.Rows > 0 {
		w.record.Stage = w.note.Mark // one without rows does no harm if it is gone on with
	}
	text, err := json.Marshal(w.record)
	if err != nil {
		return err
	}
	w.all.set[recordPrefix+w.t.Name] = string(text)
	return nil
}

// keep adds the bookkeeping to the changes, where it differs.
func (w *publishing) keep(ctx context.Context) error {
	book := w.all.book
	if book == nil {
		var err error
		fields := []iceberg.NestedField{{Name: "name", Type: iceberg.PrimitiveTypes.String}}
		if book, err = w.fresh(ctx, mirrorsTable, fields, "", nil); err != nil {
			return err
		}
	}
	for key, text := range w.all.set {
		if book.props[key] == text {
			delete(w.all.set, key)
		}
	}
	if len(w.all.set) > 0 {
		w.all.changes = append(w.all.changes, change{table: book, set: w.all.set})
	}
	return nil
}

// rows finds out what a stage of rows changes.
func (w *publishing) rows(ctx context.Context) error {
	staged := w.note.Rows
	var err error
	if w.of != nil {
		// The key of a child is that of its parent.
	} else if w.p.Mode == warehouse.PublishUpsert || len(w.p.Key) > 0 && (w.p.Mode == warehouse.PublishAppend || w.p.Mode == warehouse.PublishReplace && w.p.History) {
		if staged, err = w.uniqueKeys(ctx, w.p.Key); err != nil {
			return err
		}
		if staged != w.note.Rows && len(w.p.Children) > 0 && w.p.Mode == warehouse.PublishUpsert {
			return warehouse.ErrTwiceWithChildren(w.t.Name)
		}
	}
	if !w.own || w.p.Mode == warehouse.PublishReplace && !w.p.History {
		w.next = slices.Clone(w.columns)
		w.out.Inserted, w.whole, w.comes = staged, true, staged > 0
		if w.own {
			w.out.Deleted = w.main.rows()
		}
		return w.become(ctx)
	}
	m := &merging{publishing: w, staged: staged}
	if m.columns, err = w.evolve(ctx); err != nil {
		return err
	}
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
	return m.compare(ctx, "")
}

// uniqueKeys fails where a key is NULL, and keeps of staged rows with the same key the last. It returns how many rows there are then.
func (w *publishing) uniqueKeys(ctx context.Context, key []string) (int64, error) {
	refuse := func(err error, hint string) (int64, error) {
		return 0, &warehouse.Error{Op: "publish", Object: w.t.Name, Kind: warehouse.NoKey, Err: err, Hint: hint}
	}
	var null, list []string
	for _, k := range key {
		if !slices.ContainsFunc(w.columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, k) }) {
			return refuse(fmt.Errorf("the rows have no column %s, which is the key", k), "name columns in key: that the source has and that are not excluded")
		}
		null, list = append(null, quote(k)+" IS NULL"), append(list, quote(k))
	}
	if len(key) == 0 {
		return refuse(errors.New("the mirror has no key"), "name the columns that tell its rows apart: key: id")
	}
	var n, groups int64
	if err := w.shop.One(ctx, "SELECT count(*) FROM "+w.stage+" WHERE "+strings.Join(null, " OR "), &n); err != nil {
		return 0, err
	}
	if n > 0 {
		return refuse(fmt.Errorf("%d rows have NULL in the key %s", n, strings.Join(key, ", ")),
			"name columns in key: that are never NULL, or leave such rows out (where: "+list[0]+" IS NOT NULL)")
	}
	if err := w.shop.One(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+w.stage+" GROUP BY "+strings.Join(list, ", ")+")", &groups); err != nil || groups == w.note.Rows {
		return groups, err
	}
	last, of := quote(w.prefix+"last"), w.stage
	w.stage = quote(w.prefix + "unique")
	return groups, w.exec(ctx, "CREATE TABLE "+last+" AS SELECT max("+rowColumn+") AS r FROM "+of+" GROUP BY "+strings.Join(list, ", "),
		"CREATE VIEW "+w.stage+" AS SELECT * FROM "+of+" WHERE "+rowColumn+" IN (SELECT r FROM "+last+")")
}

func (w *publishing) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if err := w.shop.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// number is what a query gives.
func (w *publishing) number(ctx context.Context, query string) (n int64, err error) {
	return n, w.shop.One(ctx, query, &n)
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
