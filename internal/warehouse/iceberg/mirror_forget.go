package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// ForgetMirror removes rows of the past and rejects of people from the table of a mirror and from those of its arrays, in one commit that
// leaves none of their past: no snapshot but the new one, and no file that only an old one named. Rows of the present are counted, those of a
// table with history that are not closed and all of one without, and what a run has staged. It takes turns with publications.
func (m *Mirrors) ForgetMirror(ctx context.Context, f warehouse.ForgetMirror) (*warehouse.ForgottenMirror, error) {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, m.fail(ctx, "forget people in", f.Table.Name, ctx.Err())
	}
	defer func() { <-m.turn }()
	m.db.sweeping.Lock()
	defer m.db.sweeping.Unlock()
	if f.Step == nil {
		f.Step = func(string) error { return nil }
	}
	var out *warehouse.ForgottenMirror
	err := m.db.again(ctx, func() error {
		out = &warehouse.ForgottenMirror{Forgotten: warehouse.Forgotten{Rows: map[string]int64{}}}
		return m.db.inWorkshop(ctx, func(shop *duckdb.Workshop) error { return m.forget(ctx, shop, f, out) })
	})
	if err != nil {
		return nil, m.fail(ctx, "forget people in", f.Table.Name, err)
	}
	out.Erased = true
	return out, nil
}

// valuesTable has what people are called, in the column id.
const valuesTable = "_firth_values"

// forget is one attempt.
func (m *Mirrors) forget(ctx context.Context, shop *duckdb.Workshop, f warehouse.ForgetMirror, out *warehouse.ForgottenMirror) error {
	p, err := m.find(ctx, f.Table)
	if err != nil {
		return err
	}
	text, err := json.Marshal(f.Values)
	if err != nil {
		return err
	}
	if err := shop.Exec(ctx, "CREATE TABLE "+valuesTable+` AS SELECT DISTINCT unnest(from_json($1::JSON, '["VARCHAR"]')) AS id`, string(text)); err != nil {
		return fmt.Errorf("note the ids: %w", err)
	}
	all := &together{}
	defer all.release()
	if err := f.Step("delete"); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.records)) {
		if name != f.Table.Name && !strings.HasPrefix(name, f.Table.Name+"/") {
			continue
		}
		t := warehouse.MirrorTable{Name: name, Schema: f.Table.Schema, Table: p.records[name].Table}
		all.count++
		w := &publishing{
			Stage: &Stage{m: m, t: t}, p: &warehouse.Publication{}, out: &warehouse.Published{}, shop: shop, all: all, prefix: fmt.Sprintf("f%d_", all.count),
		}
		if err := w.forget(ctx, out); err != nil {
			return errors.Join(fmt.Errorf("table %s.%s: %w", t.Schema, t.Table, err), m.undo(all))
		}
	}
	if err := m.staged(ctx, shop, f.Table, out); err != nil {
		return errors.Join(err, m.undo(all))
	}
	if len(all.changes) > 0 {
		if err := m.db.commit(ctx, f.Table.Schema, all.changes); err != nil {
			return err
		}
	}
	if err := f.Step("deleted"); err != nil || p.book == nil {
		return err
	}
	if err := m.db.sweepNow(ctx, f.Table.Schema); err != nil {
		return fmt.Errorf("remove old files: %w", err)
	}
	return f.Step("erased")
}

// undo removes files that no commit will name.
func (m *Mirrors) undo(all *together) error {
	for _, c := range all.changes {
		m.db.discardAll(c.add)
	}
	return nil
}

// release gives up the files that were held for reading.
func (a *together) release() {
	for _, release := range a.releases {
		release()
	}
}

// forget removes rows of one table and of its rejects, and lets go of their past.
func (w *publishing) forget(ctx context.Context, out *warehouse.ForgottenMirror) error {
	var err error
	if w.present, err = w.m.find(ctx, w.t); err != nil {
		return err
	}
	if w.own {
		if err := w.forgetRows(ctx, out); err != nil {
			return err
		}
	}
	for _, name := range []string{w.t.Table + warehouse.RejectsSuffix, warehouse.IDsPrefix + w.t.Table} {
		t, err := w.m.look(ctx, w.t.Schema, name)
		if err != nil || t == nil {
			if err != nil {
				return err
			}
			continue
		}
		c := change{table: t, purge: true}
		if strings.HasSuffix(name, warehouse.RejectsSuffix) && t.props[mirrorProperty] == w.t.Name {
			if err := w.forgetRejects(ctx, &c, out); err != nil {
				return err
			}
		}
		w.all.letGo(c)
	}
	return nil
}

// letGo adds a change that leaves nothing of what was, where there is something.
func (a *together) letGo(c change) {
	if c.purge = true; len(c.add)+len(c.remove) > 0 || len(c.table.t.Metadata().Snapshots()) > 1 {
		a.changes = append(a.changes, c)
	}
}

func (w *publishing) forgetRows(ctx context.Context, out *warehouse.ForgottenMirror) error {
	w.next = slices.Clone(w.record.Columns)
	if err := w.openAll(ctx); err != nil {
		return err
	}
	theirs := ofValues("t", w.next)
	if theirs == "" {
		w.all.letGo(change{table: w.main})
		return nil
	}
	here := theirs
	if w.main.field(warehouse.ValidTo) >= 0 {
		past := "t." + quote(warehouse.ValidTo) + " IS "
		n, err := w.leave(ctx, "SELECT t."+rowColumn+" FROM "+w.mainName()+" AS t WHERE "+theirs+" AND "+past+"NOT NULL")
		if err != nil {
			return err
		}
		if n > 0 {
			out.Rows[w.t.Schema+"."+w.t.Table] += n
		}
		here = theirs + " AND " + past + "NULL"
	}
	n, err := w.number(ctx, "SELECT count(*) FROM "+w.mainName()+" AS t WHERE "+here)
	if err != nil {
		return err
	}
	out.Present += n
	before := len(w.all.changes)
	if err := w.change(ctx); err != nil {
		return err
	}
	if len(w.all.changes) == before {
		w.all.letGo(change{table: w.main})
		return nil
	}
	w.all.changes[before].purge = true
	return nil
}

func (w *publishing) forgetRejects(ctx context.Context, c *change, out *warehouse.ForgottenMirror) error {
	if len(c.table.files) == 0 {
		return nil
	}
	r, err := w.m.db.scan(ctx, c.table, c.table.files)
	if err != nil {
		return err
	}
	w.all.releases = append(w.all.releases, r.release)
	goes := "coalesce(r.key IN (FROM " + valuesTable + ") OR r.value IN (FROM " + valuesTable + ") OR EXISTS (SELECT 1 FROM " + valuesTable +
		" AS v WHERE list_contains(string_split(r.key, ', '), v.id)), false)"
	n, err := w.number(ctx, "SELECT count(*) FROM "+r.expr+" AS r WHERE "+goes)
	if err != nil || n == 0 {
		return err
	}
	out.Rows[w.t.Schema+"."+c.table.name] += n
	c.remove = c.table.files
	c.add, err = w.m.db.write(ctx, w.shop, c.table, "SELECT r.* FROM "+r.expr+" AS r WHERE NOT "+goes)
	return err
}

// ofValues is the condition that a row is of one of the people: a column of text, of a number or a UUID is equal to an id. "": no column could
// say so.
func ofValues(alias string, columns []vector.Column) string {
	var list []string
	for _, c := range columns {
		e := alias + "." + quote(c.Name)
		switch c.Type.Kind {
		case vector.Text, vector.Null:
			list = append(list, e+" IN (FROM "+valuesTable+")")
		case vector.UUID:
			list = append(list, e+" IN (SELECT lower(id) FROM "+valuesTable+")")
		case vector.Int, vector.Uint, vector.Float, vector.Decimal:
			kind := columnType(c.Type)
			if kind == "VARCHAR" {
				list = append(list, e+" IN (FROM "+valuesTable+")")
				continue
			}
			list = append(list, e+" IN (SELECT TRY_CAST(id AS "+kind+") FROM "+valuesTable+" WHERE regexp_full_match(id, '-?[0-9]{1,38}') AND TRY_CAST(id AS "+kind+") IS NOT NULL)")
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "coalesce(" + strings.Join(list, " OR ") + ", false)"
}

// staged counts the rows of people that a run has staged.
func (m *Mirrors) staged(ctx context.Context, shop *duckdb.Workshop, t warehouse.MirrorTable, out *warehouse.ForgottenMirror) error {
	var n *note
	dir := m.stageDir(t.Name)
	err := m.atBench(ctx, "read what is staged of", t.Name, func(b *bench) (err error) {
		if s := b.stages[t.Name]; s != nil {
			if err := s.flush(ctx, b); err != nil {
				return err
			}
		}
		n, err = readNote(dir)
		return err
	})
	if err != nil || !n.of(t) {
		return err
	}
	theirs := ofValues("s", n.Columns)
	if theirs == "" {
		return nil
	}
	var found int64
	err = shop.One(ctx, "SELECT count(*) FROM ("+n.relation(dir, n.prefix(), n.Parts)+") AS s WHERE "+theirs, &found)
	out.Present += found
	return err
}
