package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// schemaOf is the schema as the server spells it: that of a rebuild may be longer than a name can be.
func schemaOf(schema string) string {
	if strings.HasPrefix(schema, warehouse.RebuildPrefix) {
		return fitName(schema)
	}
	return schema
}

// Swap fills the tables with the rows of their rebuilt twins, in one transaction. The tables themselves stay, with all that people made
// on them. Where no column changes its type readers see the old rows until the end; where one does, they wait while the rows are copied.
func (d *DB) Swap(ctx context.Context, s *warehouse.Swap) (*warehouse.Result, error) {
	var result *warehouse.Result
	err := d.turn(ctx, "swap", s.Source, swapWithin, func(ctx context.Context) error {
		l, err := d.newLoading(&warehouse.Batch{Source: s.Source, Schema: s.Schema})
		if err != nil {
			return err
		}
		w := &swapping{loading: l, swap: s, from: schemaOf(s.RebuildSchema)}
		err = l.ddl(ctx, 0, warehouse.Discards, func(ctx context.Context) error {
			l.result = &warehouse.Result{Rows: map[string]int64{}}
			w.temporary = 0
			return w.run(ctx)
		})
		result = l.result
		var o *obstacle
		if errors.As(err, &o) {
			return &ill{kind: warehouse.Denied, err: err, hint: o.reason}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// swapping is one swap under way.
type swapping struct {
	*loading
	swap      *warehouse.Swap
	from      string // the schema of the rebuild
	temporary int
}

func (w *swapping) run(ctx context.Context) error {
	if err := w.checkPositions(ctx); err != nil {
		return err
	}
	names := append(slices.Clone(w.swap.Tables), warehouse.Discards)
	rebuilt, err := w.db.readState(ctx, w.swap.RebuildSource, w.from, names)
	if err != nil {
		return err
	}
	old, err := w.db.readState(ctx, w.source, w.schema, names)
	if err != nil {
		return err
	}
	var done []string
	tables := slices.Compact(slices.Sorted(slices.Values(w.swap.Tables)))
	for _, name := range tables {
		if !rebuilt[name].exists() || name == warehouse.Discards {
			continue
		}
		if err := w.table(ctx, name, old[name], rebuilt[name]); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
		done = append(done, name)
	}
	if err := w.discardsOf(ctx, done, old[warehouse.Discards], rebuilt[warehouse.Discards]); err != nil {
		return fmt.Errorf("table %s: %w", warehouse.Discards, err)
	}
	if err := w.catalogue(ctx, done); err != nil {
		return fmt.Errorf("move the catalogue: %w", err)
	}
	return w.db.dropRebuild(ctx, w.swap.RebuildSource, w.from)
}

// checkPositions holds both positions and compares them.
func (w *swapping) checkPositions(ctx context.Context) error {
	read := func(source string) (map[string]int64, error) {
		list, err := w.db.texts(ctx, "SELECT log || ' ' || position FROM _firth.positions WHERE source = $1 ORDER BY log FOR UPDATE", source)
		out := map[string]int64{}
		for _, one := range list {
			out[one]++
		}
		return out, err
	}
	have, err := read(w.source)
	if err != nil {
		return fmt.Errorf("read the positions: %w", err)
	}
	want, err := read(w.swap.RebuildSource)
	if err != nil {
		return fmt.Errorf("read the positions: %w", err)
	}
	if len(want) == 0 || !maps.Equal(have, want) {
		return &ill{
			kind: warehouse.Moved,
			err:  fmt.Errorf("the tables and their rebuild are not equally far: %v and %v", sorted(have), sorted(want)),
		}
	}
	return nil
}

// table fills one table anew.
func (w *swapping) table(ctx context.Context, name string, old, rebuilt *relation) error {
	target, from := qualified(w.schema, name), qualified(w.from, name)
	if !old.exists() {
		n, err := w.db.count(ctx, "SELECT FROM "+from)
		w.result.Rows[name] = n
		if err != nil {
			return err
		}
		return w.exec(ctx, "ALTER TABLE "+from+" SET SCHEMA "+quote(w.schema))
	}
	if err := old.checkKind(w.schema); err != nil {
		return err
	}
	added, retyped := differences(old, rebuilt)
	if (len(added) > 0 || len(retyped) > 0) && !old.owned {
		return w.notOwner(old)
	}
	mode, empty := "SHARE ROW EXCLUSIVE", "DELETE FROM "+target
	if len(added)+len(retyped) > 0 {
		mode, empty = "ACCESS EXCLUSIVE", "TRUNCATE "+target
	}
	if err := w.exec(ctx, lockTables([]string{target}, mode)); err != nil {
		return err
	}
	if err := w.adapt(ctx, name, old, added, retyped, empty, rebuilt); err != nil {
		return err
	}
	n, err := w.db.count(ctx, "SELECT FROM "+from)
	w.result.Rows[name] = n
	return err
}

// adapt keeps what the rebuild does not have, empties the table, brings its columns to those of the rebuild and fills it.
func (w *swapping) adapt(ctx context.Context, name string, old *relation, added, retyped []table.Column, empty string, rebuilt *relation) error {
	target, from := qualified(w.schema, name), qualified(w.from, name)
	own, err := w.ownColumns(ctx, name, old, rebuilt)
	if err != nil {
		return err
	}
	w.temporary++
	saved, kept := fmt.Sprintf("firth_saved_%d", w.temporary), fmt.Sprintf("firth_kept_%d", w.temporary)
	withIDs := old.get("id") != nil && rebuilt.get("id") != nil
	if len(own) > 0 && withIDs {
		if err := w.exec(ctx, saveOwn(saved, target, own)); err != nil {
			return fmt.Errorf("keep the columns %v: %w", own, err)
		}
	}
	keep := old.adopted && !old.through.IsZero() && withIDs
	if keep {
		if err := w.exec(ctx, keepAdopted(kept, target, from, old)); err != nil {
			return fmt.Errorf("keep the rows of before: %w", err)
		}
	}
	if err := w.exec(ctx, empty); err != nil {
		return err
	}
	if err := w.reshape(ctx, name, old, added, retyped); err != nil {
		return err
	}
	var columns []string
	for _, c := range rebuilt.columns {
		if have := old.get(c.name); have == nil || !have.fixed {
			columns = append(columns, c.name)
		}
	}
	savedFrom := ""
	if len(own) > 0 && withIDs {
		savedFrom = "pg_temp." + saved
	}
	for _, s := range fillFrom(target, from, savedFrom, columns, own) {
		if err := w.exec(ctx, s); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	if !keep {
		return nil
	}
	return w.restore(ctx, target, "pg_temp."+kept, old, retyped)
}

// reshape gives the empty table the columns of the rebuild.
func (w *swapping) reshape(ctx context.Context, name string, old *relation, added, retyped []table.Column) error {
	var statements, names []string
	if len(added) > 0 {
		s, err := addColumns(w.schema, name, added)
		if err != nil {
			return err
		}
		statements = append(statements, s)
	}
	for _, c := range retyped {
		to, err := typeName(c.Type)
		if err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
		statements, names = append(statements, retypeEmpty(w.schema, name, c.Name, to)), append(names, c.Name)
		w.result.Notices = append(w.result.Notices, fmt.Sprintf("%s.%s.%s is %v now", w.schema, name, c.Name, c.Type))
	}
	views, err := w.db.viewsOn(ctx, old.oid, names)
	if err != nil {
		return err
	}
	return w.db.withoutViews(ctx, views, statements...)
}

// restore brings back rows of before a take-over that the rebuild knows nothing of.
func (w *swapping) restore(ctx context.Context, target, kept string, old *relation, retyped []table.Column) error {
	var columns, values []string
	for _, c := range old.columns {
		if c.fixed {
			continue
		}
		value := "s." + quote(c.name)
		for i, r := range retyped {
			if r.Name != c.name {
				continue
			}
			to, err := typeName(r.Type)
			if err != nil {
				return err
			}
			if err := w.db.script(ctx, tryCast(i+1, to)); err != nil {
				return err
			}
			value = fmt.Sprintf("pg_temp.firth_read_%d(s.%s::text)", i+1, quote(c.name))
			if err := w.listLost(ctx, kept, old, r, value); err != nil {
				return fmt.Errorf("list what %s cannot hold now: %w", r.Name, err)
			}
		}
		columns, values = append(columns, c.name), append(values, value)
	}
	n, err := w.db.count(ctx, insertStaged(target, kept, columns, values, ""))
	if err != nil {
		return fmt.Errorf("bring back the rows of before: %w", err)
	}
	if n > 0 {
		w.result.Notices = append(w.result.Notices, fmt.Sprintf("%s has kept %d rows that were there before it was taken over", target, n))
	}
	return nil
}

// listLost lists values of rows of before that their column's new type cannot hold. They go to the discards of the rebuild, which take the
// place of the table's afterwards.
func (w *swapping) listLost(ctx context.Context, kept string, old *relation, c table.Column, read string) error {
	received := "NULL::timestamptz"
	if at := old.get("received_at"); at != nil && at.form == formTimestamp {
		received = "s." + quote("received_at")
	}
	n, err := w.db.count(ctx, listUnread(w.from, old.name, kept, c.Name, read, c.Type.String(), warehouse.ReasonNoFit, "s."+quote("id")+"::text", received, ""), w.now)
	w.result.Discards += n
	return err
}

// ownColumns are those that are none of the loads': people added them, or whoever made the table before.
func (w *swapping) ownColumns(ctx context.Context, name string, old, rebuilt *relation) ([]string, error) {
	loaded, err := w.db.texts(ctx, "SELECT column_name FROM _firth.columns WHERE source = $1 AND schema_name = $2 AND table_name = $3 AND path <> ''", w.source, w.schema, name)
	if err != nil {
		return nil, fmt.Errorf("read the columns: %w", err)
	}
	var out []string
	for _, c := range old.columns {
		if !c.fixed && rebuilt.get(c.name) == nil && !slices.Contains(loaded, c.name) {
			out = append(out, c.name)
		}
	}
	return out, nil
}

// differences are the columns of the rebuild that the table lacks, and those that it has with another type.
func differences(old, rebuilt *relation) (added, retyped []table.Column) {
	for _, c := range rebuilt.columns {
		have := old.get(c.name)
		col := table.Column{Name: c.name, Type: c.kind}
		switch {
		case have == nil:
			added = append(added, col)
		case have.fixed || have.oid == c.oid && have.mod == c.mod:
		case have.form == c.form && !have.narrow(): // text and varchar, times with a zone and without
		default:
			retyped = append(retyped, col)
		}
	}
	return added, retyped
}

// discardsOf moves the discards of the tables.
func (w *swapping) discardsOf(ctx context.Context, tables []string, old, rebuilt *relation) error {
	if len(tables) == 0 || !rebuilt.exists() {
		return nil
	}
	if !old.exists() {
		c := &change{name: warehouse.Discards, columns: warehouse.DiscardColumns(), heap: true}
		if err := errors.Join(w.create(ctx, c), w.record(ctx, c.name, c.columns, 0)); err != nil {
			return err
		}
	}
	target, from := qualified(w.schema, warehouse.Discards), qualified(w.from, warehouse.Discards)
	if err := w.exec(ctx, "DELETE FROM "+target+" WHERE table_name = ANY ($1)", tables); err != nil {
		return err
	}
	var columns, values []string
	for _, c := range warehouse.DiscardColumns() {
		columns, values = append(columns, c.Name), append(values, "s."+quote(c.Name))
	}
	return w.exec(ctx, insertStaged(target, from, columns, values, "s.table_name = ANY ($1)"), tables)
}

// catalogue moves what the bookkeeping knows of the rebuilt tables.
func (w *swapping) catalogue(ctx context.Context, tables []string) error {
	for _, s := range moveCatalogue() {
		if err := w.exec(ctx, s, w.source, w.schema, w.swap.RebuildSource, w.from, tables); err != nil {
			return err
		}
	}
	return nil
}

func (w *swapping) exec(ctx context.Context, statement string, args ...any) error {
	_, err := w.db.conn.Exec(ctx, statement, args...)
	return err
}

// DropRebuild removes the schema of a rebuild, its catalogue and its positions.
func (d *DB) DropRebuild(ctx context.Context, rebuildSource, rebuildSchema string) error {
	return d.turn(ctx, "drop the rebuild of", rebuildSource, loadWithin, func(ctx context.Context) error {
		return d.inTx(ctx, func(ctx context.Context) error {
			if _, err := d.conn.Exec(ctx, lockTimeout(rowsLock)); err != nil {
				return err
			}
			return d.dropRebuild(ctx, rebuildSource, schemaOf(rebuildSchema))
		})
	})
}

func (d *DB) dropRebuild(ctx context.Context, source, schema string) error {
	if !strings.HasPrefix(schema, warehouse.RebuildPrefix) {
		return &ill{
			kind: warehouse.BadName, err: fmt.Errorf("the schema %q is none of a rebuild", schema),
			hint: "this is a fault of the program: report it",
		}
	}
	for _, t := range []string{"positions", "tables", "columns"} {
		if _, err := d.conn.Exec(ctx, "DELETE FROM _firth."+t+" WHERE source = $1", source); err != nil {
			return fmt.Errorf("forget the rebuild: %w", err)
		}
	}
	if _, err := d.conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+quote(schema)+" CASCADE"); err != nil {
		return fmt.Errorf("drop the schema %s: %w", schema, err)
	}
	return nil
}
