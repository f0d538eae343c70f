package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// PublishesChildren says that Publish takes Publication.Children.
func (s *Stage) PublishesChildren() {}

// twice is the failure of rows with the same key beside children.
func (w *publishing) twice() error {
	var e *warehouse.Error
	if err := warehouse.ErrTwiceWithChildren(w.t.Name); !errors.As(err, &e) {
		return err
	}
	return &ill{kind: e.Kind, err: e.Err, hint: e.Hint}
}

// meetChildren brings the tables of arrays that are there to the columns of what is staged, before the rows' transaction. own says whether
// the rows' own table is there.
func (w *publishing) meetChildren(ctx context.Context, own bool) error {
	for _, c := range w.p.Children {
		left, err := w.d.staged(ctx, c.Table)
		if err != nil {
			return err
		}
		if left == nil {
			return fmt.Errorf("nothing is staged of %s", c.Table.Name)
		}
		p := &warehouse.Publication{Mode: w.p.Mode, Key: []string{c.Parent}, Deletes: 1, At: w.p.At, Rejects: c.Rejects}
		if !own && p.Mode != warehouse.PublishAppend {
			p.Mode = warehouse.PublishReplace
		}
		kid := &publishing{
			Stage: &Stage{m: w.m, t: c.Table, table: stageName(c.Table.Table), columns: left.Columns, key: p.Key},
			d:     w.d, p: p, out: &warehouse.Published{}, l: &loading{db: w.d, schema: c.Table.Schema},
		}
		f, there, err := kid.look(ctx, false)
		if err == nil {
			err = kid.exec(ctx, "ANALYZE "+kid.qualified())
		}
		if err == nil && there {
			err = kid.evolve(ctx, f)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.Table.Table, err)
		}
		w.kids = append(w.kids, kid)
	}
	return nil
}

// children publishes the tables of arrays in the rows' transaction.
func (w *publishing) children(ctx context.Context) error {
	for _, kid := range w.kids {
		kid.out = &warehouse.Published{}
		f, own, err := kid.look(ctx, true)
		if err != nil {
			return err
		}
		if own {
			err = kid.fill(ctx, w)
		} else {
			if f.exists() { // empty, and nobody's
				err = kid.exec(ctx, "DROP TABLE "+qualified(kid.t.Schema, kid.t.Table))
			}
			if err == nil {
				err = kid.become(ctx)
			}
		}
		if err == nil {
			err = kid.finish(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", kid.t.Table, err)
		}
		w.out.Rejects += kid.out.Rejects
	}
	return nil
}

// fill writes staged rows of arrays into their table.
func (w *publishing) fill(ctx context.Context, of *publishing) error {
	staged, err := w.count(ctx, "SELECT count(*) FROM "+w.qualified())
	if err != nil {
		return err
	}
	m := &merging{publishing: w, columns: w.pairs(), staged: staged}
	switch {
	case w.p.Mode == warehouse.PublishAppend:
		return m.appendRows(ctx)
	case w.p.Mode == warehouse.PublishUpsert:
		return m.items(ctx, of)
	case len(w.record.columns) == len(w.columns):
		return m.compare(ctx)
	}
	if m.out.Deleted, err = m.remove(ctx, ""); err != nil { // columns that the source has no more are NULL then
		return err
	}
	m.out.Inserted, err = m.insert(ctx, "")
	return err
}

// items lets the staged rows of arrays take the place of those of all staged parents.
func (m *merging) items(ctx context.Context, of *publishing) (err error) {
	mine := m.key(m.p.Key)
	find := func(columns []vector.Column) int {
		return slices.IndexFunc(columns, func(c vector.Column) bool { return c.Name == of.p.Key[0] })
	}
	staged, stored := find(of.columns), find(of.record.columns)
	if len(mine) == 0 || staged < 0 || stored < 0 {
		return fmt.Errorf("the rows of arrays have no column %s", m.p.Key[0])
	}
	if err := m.index(ctx, mine); err != nil {
		return err
	}
	same := func(parent vector.Column) string {
		a, b := mine[0].of("t"), "p."+quote(parent.Name)
		if mirrorType(mine[0].main) != mirrorType(parent) {
			a, b = a+"::text", b+"::text"
		}
		return a + " = " + b
	}
	if m.out.Deleted, err = m.remove(ctx, "EXISTS (SELECT FROM "+of.qualified()+" AS p WHERE "+same(of.columns[staged])+")"); err != nil {
		return err
	}
	if of.p.DeleteMissing {
		n, err := m.remove(ctx, "NOT EXISTS (SELECT FROM "+qualified(of.t.Schema, of.t.Table)+" AS p WHERE "+same(of.record.columns[stored])+")")
		if err != nil {
			return err
		}
		m.out.Deleted += n
	}
	m.out.Inserted, err = m.insert(ctx, "")
	return err
}
