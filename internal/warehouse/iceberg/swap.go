package iceberg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Swap puts what was rebuilt into the tables that readers see; see load.Rebuilder. They stay the same tables, with their history: in one
// commit they get the columns and the rows of the rebuilt ones, whose files are written anew with the ids of their columns. A process
// that ends after the commit has the rebuild still; to swap it again changes nothing.
func (d *DB) Swap(ctx context.Context, s *warehouse.Swap) (*warehouse.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &warehouse.Batch{Source: s.Source, Schema: s.Schema}
	r, err := d.work(ctx, b, func(l *loading, ctx context.Context) error { return l.swap(ctx, s) })
	if err == nil {
		err = d.dropRebuild(ctx, s.RebuildSchema)
	}
	if err != nil {
		return nil, d.fail("swap", s.Source, err)
	}
	return r, nil
}

// DropRebuild removes what a rebuild left.
func (d *DB) DropRebuild(ctx context.Context, rebuildSource, rebuildSchema string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.dropRebuild(ctx, rebuildSchema); err != nil {
		return d.fail("drop the rebuild", rebuildSource, err)
	}
	return nil
}

// dropRebuild takes the tables of a rebuild out of the catalog. Their files are swept.
func (d *DB) dropRebuild(ctx context.Context, schema string) error {
	if !strings.HasPrefix(schema, warehouse.RebuildPrefix) {
		return &warehouse.Error{Op: "drop the rebuild", Object: schema, Kind: warehouse.BadName, Err: errors.New("that is no schema of a rebuild")}
	}
	schemas, err := d.present(ctx)
	if err != nil || !slices.Contains(schemas, schema) {
		return err
	}
	return d.again(ctx, func() error {
		names, err := d.tables(ctx, schema)
		if err != nil || len(names) == 0 {
			return err
		}
		var changes []change
		for _, name := range names {
			t, err := d.load(ctx, schema, name)
			if err != nil {
				return err
			}
			changes = append(changes, change{table: t, drop: true})
		}
		return d.commit(ctx, schema, changes)
	})
}

func (l *loading) swap(ctx context.Context, s *warehouse.Swap) error {
	var err error
	if l.book, err = l.db.openBook(ctx, s.Schema); err != nil {
		return err
	}
	schemas, err := l.db.present(ctx)
	if err != nil {
		return err
	}
	made := &book{}
	if slices.Contains(schemas, s.RebuildSchema) {
		if made, err = l.db.readBook(ctx, s.RebuildSchema); errors.Is(err, errNoTable) {
			made, err = &book{}, nil
		}
		if err != nil {
			return err
		}
	}
	if err := samePositions(s, l.book, made); err != nil {
		return err
	}
	if err := l.begin(ctx); err != nil {
		return err
	}
	var swapped []string
	for _, name := range s.Tables {
		if strings.EqualFold(name, warehouse.Discards) {
			continue
		}
		rebuilt, err := l.db.load(ctx, s.RebuildSchema, name)
		if errors.Is(err, errNoTable) {
			continue
		}
		if err == nil {
			err = l.replace(ctx, rebuilt)
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
		swapped = append(swapped, name)
	}
	if err := l.swapDiscards(ctx, s.RebuildSchema, swapped); err != nil {
		return fmt.Errorf("discards: %w", err)
	}
	return l.commit(ctx)
}

// samePositions fails where the rebuild does not hold exactly what the source holds.
func samePositions(s *warehouse.Swap, old, made *book) error {
	next := func(b *book, source string) map[string]uint64 {
		out := map[string]uint64{}
		for log, p := range b.positions[source] {
			out[log] = p.Next
		}
		return out
	}
	have, rebuilt := next(old, s.Source), next(made, s.RebuildSource)
	if len(rebuilt) == 0 || !maps.Equal(have, rebuilt) {
		return &warehouse.Error{
			Op: "swap", Object: s.Source, Kind: warehouse.Moved, Err: fmt.Errorf("the tables are at %v, the rebuilt ones at %v", have, rebuilt),
		}
	}
	return nil
}

// replace makes a table have the columns and rows of the rebuilt one, and the columns that people added to it, whose values go with the ids.
func (l *loading) replace(ctx context.Context, rebuilt *tbl) error {
	p, err := l.open(ctx, &table.Batch{Name: rebuilt.name, Columns: columnsOf(rebuilt.fields)})
	if err != nil {
		return err
	}
	old := p.table
	before := *old
	extra := p.adopt(rebuilt)
	p.remove = old.files
	var kept string
	if id := before.field("id"); len(extra) > 0 && id >= 0 && len(old.files) > 0 {
		r, err := l.db.scan(ctx, &before, old.files)
		if err != nil {
			return err
		}
		l.held = append(l.held, r.release)
		kept = r.expr
	}
	for _, group := range grouped(rebuilt.files) {
		r, err := l.db.scan(ctx, rebuilt, group)
		if err != nil {
			return err
		}
		l.held = append(l.held, r.release)
		if err := l.add(ctx, p, withKept(r.expr, kept, extra)); err != nil {
			return err
		}
	}
	l.result.Rows[rebuilt.name] = rebuilt.rows()
	return nil
}

// adopt gives the table the columns of the rebuilt one: those of the same name and type keep their ids. It returns those that people added.
func (p *part) adopt(rebuilt *tbl) (extra []iceberg.NestedField) {
	old, theirs := p.table.fields, ours(rebuilt.props)
	p.table.fields = nil
	before := p.ours
	p.ours = map[int]bool{}
	for _, f := range rebuilt.fields {
		at := slices.IndexFunc(old, func(o iceberg.NestedField) bool { return o.Name == f.Name && o.Type.Equals(f.Type) })
		var id int
		if at >= 0 {
			have := old[at]
			have.Doc = f.Doc
			p.table.fields = append(p.table.fields, have)
			id = have.ID
		} else {
			id = p.table.add(f.Name, f.Type, f.Doc).ID
		}
		if theirs[f.ID] {
			p.ours[id] = true
		}
	}
	for _, f := range old {
		if !before[f.ID] && p.table.field(f.Name) < 0 {
			extra = append(extra, f)
			p.table.fields = append(p.table.fields, f)
		}
	}
	return extra
}

// withKept is a query for the rows of a rebuilt table, with the columns that people added from those that were there.
func withKept(rebuilt, kept string, extra []iceberg.NestedField) string {
	if kept == "" {
		return "SELECT * FROM " + rebuilt
	}
	var list, first []string
	for _, f := range extra {
		q := quote(f.Name)
		list, first = append(list, "o."+q), append(first, "first("+q+") AS "+q)
	}
	return "SELECT r.*, " + strings.Join(list, ", ") + " FROM " + rebuilt + " AS r LEFT JOIN (SELECT id, " + strings.Join(first, ", ") +
		" FROM " + kept + " GROUP BY id) AS o ON o.id = r.id"
}

// swapDiscards puts the discards of rebuilt tables in the place of those of the old ones.
func (l *loading) swapDiscards(ctx context.Context, rebuildSchema string, tables []string) error {
	if len(tables) == 0 {
		return nil
	}
	list := make([]string, len(tables))
	for i, n := range tables {
		list[i] = literal(n)
	}
	of := " WHERE table_name IN (" + strings.Join(list, ", ") + ")"
	p := l.tables[warehouse.Discards]
	columns := []string{}
	for _, c := range warehouse.DiscardColumns() {
		columns = append(columns, c.Name)
	}
	rebuilt, err := l.db.load(ctx, rebuildSchema, warehouse.Discards)
	if errors.Is(err, errNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	stays, err := l.db.scan(ctx, p.table, p.table.files)
	if err != nil {
		return err
	}
	comes, err := l.db.scan(ctx, rebuilt, rebuilt.files)
	if err != nil {
		return err
	}
	l.held = append(l.held, stays.release, comes.release)
	p.remove = p.table.files
	return l.add(ctx, p, "SELECT "+quoted(columns)+" FROM "+stays.expr+" WHERE (table_name NOT IN ("+strings.Join(list, ", ")+")) IS NOT FALSE UNION ALL BY NAME SELECT "+
		quoted(columns)+" FROM "+comes.expr+of)
}
