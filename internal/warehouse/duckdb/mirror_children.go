package duckdb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// PublishesChildren says that Publish takes Publication.Children.
func (s *Stage) PublishesChildren() {}

// children publishes the tables of arrays behind the rows that they are in, within their transaction. own says whether the table was there.
func (w *publishing) children(ctx context.Context, own bool) error {
	for _, c := range w.p.Children {
		left, err := w.m.staged(ctx, c.Table)
		if err != nil {
			return err
		}
		if left == nil {
			return fmt.Errorf("nothing is staged of %s", c.Table.Name)
		}
		p := &warehouse.Publication{Mode: w.p.Mode, Key: []string{c.Parent}, Deletes: 1, At: w.p.At, Rejects: c.Rejects}
		switch {
		case p.Mode == warehouse.PublishAppend:
			p.Key = nil // compared as a whole
		case !own:
			p.Mode = warehouse.PublishReplace
		}
		child := &publishing{
			Stage: &Stage{m: w.m, t: c.Table, table: warehouse.StagePrefix + c.Table.Table, columns: left.Columns},
			p:     p, out: &warehouse.Published{}, of: w,
		}
		if err := child.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", c.Table.Table, err)
		}
		w.out.Rejects += child.out.Rejects
		w.out.Notices = append(w.out.Notices, child.out.Notices...)
		w.changed = w.changed || child.changed
	}
	return nil
}

// items lets the staged rows of arrays take the place of those of all staged parents.
func (m *merging) items(ctx context.Context) (err error) {
	of := m.of
	mine, theirs := m.key(m.p.Key), slices.IndexFunc(of.columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, of.p.Key[0]) })
	if len(mine) == 0 || theirs < 0 {
		return fmt.Errorf("the rows of arrays have no column %s", m.p.Key[0])
	}
	same := func(alias string, parent vector.Column) string {
		a, b := mine[0].main("t"), alias+"."+quote(parent.Name)
		if mirrorType(mine[0].as) != mirrorType(parent.Type) {
			a, b = textOfMirror(a, mine[0].as), textOfMirror(b, parent.Type)
		}
		return a + " = " + b
	}
	gone := "EXISTS (SELECT 1 FROM " + of.qualified() + " AS p WHERE " + same("p", of.columns[theirs]) + ")"
	if of.p.DeleteMissing {
		at := slices.IndexFunc(of.record.columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, of.p.Key[0]) })
		gone += " OR NOT EXISTS (SELECT 1 FROM " + qualified(of.t.Schema, of.t.Table) + " AS p WHERE " + same("p", of.record.columns[at]) + ")"
	}
	if m.out.Deleted, err = m.remove(ctx, gone); err != nil {
		return err
	}
	m.out.Inserted, err = m.insert(ctx, "")
	return err
}
