package iceberg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// PublishesChildren says that Publish takes Publication.Children.
func (s *Stage) PublishesChildren() {}

// children publishes the tables of arrays in the commit of the rows that they are in.
func (w *publishing) children(ctx context.Context) error {
	for _, c := range w.p.Children {
		if c.Table.Schema != w.t.Schema {
			return fmt.Errorf("the table of %s is in another schema than that of %s", c.Table.Name, w.t.Name)
		}
		child, err := w.child(ctx, c)
		if err != nil {
			return err
		}
		if err := child.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", c.Table.Table, err)
		}
		w.out.Rejects += child.out.Rejects
		w.out.Notices = append(w.out.Notices, child.out.Notices...)
	}
	return nil
}

// child is the publication of a child, whose stage is complete.
func (w *publishing) child(ctx context.Context, c warehouse.Child) (*publishing, error) {
	s := &Stage{m: w.m, t: c.Table}
	err := w.m.atBench(ctx, "publish", c.Table.Name, func(b *bench) (err error) {
		if open := b.stages[c.Table.Name]; open != nil {
			if err := open.flush(ctx, b); err != nil {
				return err
			}
		}
		s.note, err = readNote(w.m.stageDir(c.Table.Name))
		return err
	})
	if err == nil && !s.note.of(c.Table) {
		err = fmt.Errorf("nothing is staged of %s", c.Table.Name)
	}
	if err != nil {
		return nil, err
	}
	p := &warehouse.Publication{Mode: w.p.Mode, Key: []string{c.Parent}, Deletes: 1, At: w.p.At, Rejects: c.Rejects}
	switch {
	case p.Mode == warehouse.PublishAppend:
		p.Key = nil // compared as a whole
	case !w.own:
		p.Mode = warehouse.PublishReplace
	}
	return &publishing{Stage: s, p: p, out: &warehouse.Published{}, of: w, shop: w.shop, all: w.all}, nil
}

// items lets the staged rows of arrays take the place of those of all staged parents.
func (m *merging) items(ctx context.Context) error {
	of := m.of
	mine := m.key(m.p.Key)
	theirs := slices.IndexFunc(of.columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, of.p.Key[0]) })
	if len(mine) == 0 || theirs < 0 {
		return fmt.Errorf("the rows of arrays have no column %s", m.p.Key[0])
	}
	same := func(parent vector.Column) string {
		a, b := mine[0].main("t"), "p."+quote(parent.Name)
		if columnType(mine[0].as) != columnType(parent.Type) {
			a, b = textOf(a, mine[0].as), textOf(b, parent.Type)
		}
		return a + " = " + b
	}
	gone := "EXISTS (SELECT 1 FROM " + of.stage + " AS p WHERE " + same(of.columns[theirs]) + ")"
	if of.p.DeleteMissing {
		at := slices.IndexFunc(of.next, func(c vector.Column) bool { return strings.EqualFold(c.Name, of.p.Key[0]) })
		gone = "(" + gone + " OR NOT EXISTS (SELECT 1 FROM " + of.after() + " AS p WHERE " + same(of.next[at]) + "))"
	}
	return m.compare(ctx, gone)
}

// ids makes the staged ids the list, and takes the rows of others away.
func (w *publishing) ids(ctx context.Context) error {
	if _, err := w.uniqueKeys(ctx, []string{idColumn}); err != nil {
		return err
	}
	at := slices.IndexFunc(w.columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, idColumn) })
	id := w.columns[at]
	if err := w.deleteOthers(ctx, id.Type); err != nil {
		return err
	}
	name := warehouse.IDsPrefix + w.t.Table
	list, err := w.m.look(ctx, w.t.Schema, name)
	if err != nil {
		return err
	}
	query := "SELECT " + quote(id.Name) + " AS id FROM " + w.stage
	c := change{table: list}
	kind := icebergType(stored(id.Type), func() int { return 2 })
	if list == nil || w.record.IDType == nil || !list.fields[0].Type.Equals(kind) {
		if c.table, err = w.fresh(ctx, name, []iceberg.NestedField{{Name: idColumn, Type: kind}}, idColumn, nil); err != nil {
			return err
		}
	} else {
		r, err := w.m.db.scan(ctx, list, list.files)
		if err != nil {
			return err
		}
		w.all.releases = append(w.all.releases, r.release)
		n, err := w.number(ctx, "SELECT (SELECT count(*) FROM ("+query+" EXCEPT SELECT id FROM "+r.expr+")) + (SELECT count(*) FROM (SELECT id FROM "+r.expr+" EXCEPT "+query+"))")
		if err != nil || n == 0 {
			return err
		}
		c.remove = list.files
	}
	w.record.IDType = &id.Type
	c.add, err = w.m.db.write(ctx, w.shop, c.table, query)
	w.all.changes = append(w.all.changes, c)
	return err
}

// deleteOthers takes away the rows of ids that are not staged.
func (w *publishing) deleteOthers(ctx context.Context, idType vector.Type) error {
	i := slices.IndexFunc(w.record.Columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, idColumn) })
	if !w.own || i < 0 {
		return nil
	}
	w.next = slices.Clone(w.record.Columns)
	if err := w.openAll(ctx); err != nil {
		return err
	}
	id := w.next[i]
	a, b := "t."+quote(id.Name), "s."+quote(idColumn)
	if columnType(id.Type) != columnType(idType) {
		a, b = textOf(a, id.Type), textOf(b, idType)
	}
	n, err := w.leave(ctx, "SELECT t."+rowColumn+" FROM "+w.mainName()+" AS t WHERE "+w.now("NOT EXISTS (SELECT 1 FROM "+w.stage+" AS s WHERE "+a+" = "+b+")"))
	if err == nil && n > 0 {
		err = w.guard(ctx, n)
	}
	w.out.Deleted = n
	return err
}

// rejects brings the table of rejects up to date: those of rows that were written or deleted go, those of this stage come.
func (w *publishing) rejects(ctx context.Context) error {
	name := w.t.Table + warehouse.RejectsSuffix
	t, err := w.m.look(ctx, w.t.Schema, name)
	if err != nil || t == nil && len(w.p.Rejects) == 0 {
		return err
	}
	columns := warehouse.RejectColumns()
	var parts []string
	c := change{table: t}
	if t == nil {
		var fields []iceberg.NestedField
		for _, col := range columns {
			fields = append(fields, iceberg.NestedField{Name: col.Name, Type: icebergType(stored(col.Type), nil)})
		}
		if c.table, err = w.fresh(ctx, name, fields, "", iceberg.Properties{mirrorProperty: w.t.Name}); err != nil {
			return err
		}
	} else {
		if err := warehouse.OwnRejects(w.t.Name, name, func(column string) bool { return t.field(column) >= 0 }); err != nil {
			return err
		}
		if parts, err = w.settled(ctx, t); err != nil {
			return err
		}
		if parts != nil {
			c.remove = t.files
		}
	}
	if len(w.p.Rejects) > 0 {
		if err := w.appendRejects(ctx, columns); err != nil {
			return err
		}
		parts = append(parts, "SELECT * FROM "+quote(w.prefix+"rejects"))
		w.out.Rejects = int64(len(w.p.Rejects))
	}
	if len(parts) == 0 {
		return nil
	}
	c.add, err = w.m.db.write(ctx, w.shop, c.table, strings.Join(parts, " UNION ALL "))
	w.all.changes = append(w.all.changes, c)
	return err
}

// settled is a query of the rejects that are such still; nil: all of them are.
func (w *publishing) settled(ctx context.Context, t *tbl) ([]string, error) {
	if len(t.files) == 0 {
		return nil, nil
	}
	condition := w.settledIf()
	if condition == "" {
		return nil, nil
	}
	r, err := w.m.db.scan(ctx, t, t.files)
	if err != nil {
		return nil, err
	}
	w.all.releases = append(w.all.releases, r.release)
	n, err := w.number(ctx, "SELECT count(*) FROM "+r.expr+" AS r WHERE "+condition)
	if err != nil || n == 0 && len(t.files) < smallFiles {
		return nil, err
	}
	return []string{"SELECT r.* FROM " + r.expr + " AS r WHERE NOT coalesce(" + condition + ", false)"}, nil
}

// settledIf is the condition on r that a reject is no more: its row was written anew, or is gone. "": none is.
func (w *publishing) settledIf() string {
	switch w.p.Mode {
	case warehouse.PublishReplace:
		return "true"
	case warehouse.PublishAppend:
		return ""
	case warehouse.PublishGroups:
		var list []string
		for row := range w.p.Asked.Len() {
			list = append(list, constant(w.p.Asked.Text(row)))
		}
		if len(list) == 0 {
			return ""
		}
		return "r.key IN (" + strings.Join(list, ", ") + ")"
	}
	key := w.p.Key
	if w.p.Mode == warehouse.PublishIDs {
		key = []string{idColumn}
	}
	if w.next == nil {
		return ""
	}
	kept := "r.key NOT IN (SELECT " + keyText("t", key, w.next) + " FROM " + w.after() + " AS t)"
	if w.p.Mode == warehouse.PublishIDs {
		return kept
	}
	return "(" + kept + " OR r.key IN (SELECT " + keyText("s", key, w.columns) + " FROM " + w.stage + " AS s))"
}

// appendRejects puts the rejects of this stage into a table of the workshop.
func (w *publishing) appendRejects(ctx context.Context, columns []vector.Column) error {
	c := vector.NewChunk(columns)
	for _, r := range w.p.Rejects {
		for i, s := range []string{r.Key, r.Column, r.Value, r.Reason} {
			c.Vectors[i].AppendString(strings.ToValidUTF8(s, "\uFFFD"))
		}
		c.Vectors[4].AppendNum(r.At.UnixMicro())
		c.Rows++
	}
	if err := w.shop.CreateTable(ctx, w.prefix+"rejects", columns); err != nil {
		return err
	}
	_, err := w.shop.AppendChunk(ctx, w.prefix+"rejects", c)
	return err
}

// scanTexts calls fn for each row, which is one text, and closes the rows.
func scanTexts(rows *sql.Rows, fn func(text string) error) (err error) {
	for rows.Next() {
		var text string
		if err = rows.Scan(&text); err == nil {
			err = fn(text)
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, rows.Err(), rows.Close())
}
