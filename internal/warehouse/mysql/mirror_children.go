package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"firth/internal/warehouse"
)

// PublishesChildren says that Publish takes Publication.Children.
func (g *Stage) PublishesChildren() {}

// pendingChild is a table of arrays whose name changes with that of the rows.
type pendingChild struct {
	Name    string          `json:"name"`
	Table   string          `json:"table"`
	Columns json.RawMessage `json:"columns"`
}

// meetChildren makes the publications of the tables of arrays.
func (p *publishing) meetChildren(ctx context.Context) error {
	p.kids = nil
	for _, c := range p.p.Children {
		row, err := p.m.stageRow(ctx, p.session, c.Table.Name)
		if err != nil {
			return err
		}
		if row == nil || row.done {
			return fmt.Errorf("nothing is staged of %s", c.Table.Name)
		}
		own := &warehouse.Publication{Mode: p.p.Mode, Key: []string{c.Parent}, Deletes: 1, At: p.p.At, Rejects: c.Rejects}
		kid := &publishing{
			Stage:   &Stage{m: p.m, table: c.Table, name: row.name, key: own.Key, columns: row.Columns, long: map[string]bool{}},
			session: p.session, p: own, result: &warehouse.Published{}, columns: slices.Clone(row.Columns),
		}
		if err := kid.look(ctx, p.session); err != nil {
			return err
		}
		if kid.record, err = p.m.settle(ctx, p.session, c.Table); err != nil {
			return err
		}
		p.kids = append(p.kids, kid)
	}
	return nil
}

// readyChildren brings the tables of arrays to the columns of what is staged, before the rows' transaction.
func (p *publishing) readyChildren(ctx context.Context) error {
	for _, kid := range p.kids {
		if err := kid.ready(ctx); err != nil {
			return err
		}
		if err := kid.index(ctx, kid.name); err != nil {
			return err
		}
		listed, err := exists(ctx, p.session, kid.table.Schema, rejectsName(kid.table))
		if err != nil {
			return err
		}
		if !listed && len(kid.p.Rejects) > 0 {
			if err := kid.rejectsTable(ctx, qualified(kid.table.Schema, rejectsName(kid.table))); err != nil {
				return err
			}
			listed = true
		}
		kid.listed = listed
	}
	return nil
}

// writeChildren writes the tables of arrays, within the rows' transaction.
func (p *publishing) writeChildren(ctx context.Context) error {
	for _, kid := range p.kids {
		write := func() error { return kid.items(ctx, p) }
		if p.p.Mode == warehouse.PublishAppend {
			write = func() error { return kid.appendItems(ctx) }
		}
		err := write()
		if err == nil && len(kid.p.Rejects) > 0 {
			err = kid.writeRejects(ctx, qualified(kid.table.Schema, rejectsName(kid.table)))
		}
		if err == nil {
			err = kid.save(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", kid.table.Table, err)
		}
		p.result.Rejects += kid.result.Rejects
	}
	return nil
}

// appendItems adds staged rows that the table does not have as often.
func (p *publishing) appendItems(ctx context.Context) error {
	for _, name := range []string{goneTable, comeTable} {
		if err := p.session.exec(ctx, "DELETE FROM "+name); err != nil {
			return err
		}
	}
	p.p.Key = nil // compared as a whole
	if err := p.planWhole(ctx); err != nil {
		return err
	}
	if err := p.session.exec(ctx, "DELETE FROM "+goneTable); err != nil {
		return err
	}
	return p.apply(ctx)
}

// items lets the staged rows of arrays take the place of those of all staged parents.
func (p *publishing) items(ctx context.Context, of *publishing) error {
	gone := []string{"TRUE"}
	if of.found {
		a, b := findColumn(p.all, p.p.Key[0]), findColumn(of.all, of.p.Key[0])
		if a < 0 || b < 0 {
			return fmt.Errorf("the rows of arrays have no column %s", p.p.Key[0])
		}
		same := "m." + quote(p.p.Key[0]) + " = s." + quote(of.p.Key[0])
		if !p.all[a].Type.Equal(of.all[b].Type) {
			collation := p.m.db.server.collation
			same = keyText(p.all, p.p.Key, "m", collation) + " = " + keyText(of.all, of.p.Key, "s", collation)
		}
		gone = []string{"EXISTS (SELECT 1 FROM " + of.target() + " s WHERE " + same + ")"}
		if of.p.DeleteMissing {
			gone = append(gone, "NOT EXISTS (SELECT 1 FROM "+of.main()+" s WHERE "+same+")")
		}
	}
	for _, condition := range gone {
		if p.listed {
			rejects, text := qualified(p.table.Schema, rejectsName(p.table)), keyText(p.all, p.p.Key, "m", p.m.db.server.collation)
			if err := p.session.exec(ctx, "DELETE r FROM "+rejects+" r JOIN (SELECT DISTINCT "+text+" AS k FROM "+p.main()+" m WHERE "+condition+") k ON r.`key` = k.k"); err != nil {
				return fmt.Errorf("drop old rejects: %w", err)
			}
		}
		if err := p.session.exec(ctx, "DELETE m FROM "+p.main()+" m WHERE "+condition); err != nil {
			return fmt.Errorf("let rows go: %w", err)
		}
	}
	names := columnNames(p.columns)
	if err := p.session.exec(ctx, "INSERT INTO "+p.main()+" ("+quoteAll(names)+") SELECT "+prefixed("s", names)+" FROM "+p.target()+" s ORDER BY s."+quote(rowColumn)); err != nil {
		return fmt.Errorf("let rows come: %w", err)
	}
	return nil
}

// once fails where rows with the same key are staged: nothing tells which rows of arrays belong to the last.
func (p *publishing) once(ctx context.Context) error {
	n, err := p.count(ctx, "SELECT count(*) - count(DISTINCT "+quoteAll(p.key())+") FROM "+p.target())
	if err == nil && n > 0 {
		err = warehouse.ErrTwiceWithChildren(p.table.Name)
	}
	return err
}
