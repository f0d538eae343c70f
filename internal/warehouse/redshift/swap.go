package redshift

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Swap puts rebuilt tables in the place of those that readers see, in one transaction. Redshift cannot move a table to another schema,
// so the old tables stay and get the new rows: grants, views and columns that users added stay with them, the latter with their values
// where the row's id is still there. Rows are deleted, not truncated: TRUNCATE commits.
func (d *DB) Swap(ctx context.Context, s *warehouse.Swap) (*warehouse.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &swapping{db: d, swap: s, now: stamp(d.options.Now().UTC().Truncate(time.Microsecond)), result: &warehouse.Result{Rows: map[string]int64{}}}
	d.schema = s.Schema
	err := d.connected(ctx)
	if err == nil {
		err = d.inTx(ctx, func() error { return w.run(ctx) })
	}
	if err != nil {
		return nil, d.fail("swap", s.Source, err)
	}
	return w.result, nil
}

type swapping struct {
	db       *DB
	swap     *warehouse.Swap
	now      string
	old, new *state
	result   *warehouse.Result
}

func (w *swapping) run(ctx context.Context) error {
	s := w.swap
	if err := w.samePositions(ctx); err != nil {
		return err
	}
	var err error
	names := append([]string{warehouse.Discards}, s.Tables...)
	if w.old, err = w.db.readState(ctx, s.Source, s.Schema, names); err != nil {
		return err
	}
	if w.new, err = w.db.readState(ctx, s.RebuildSource, s.RebuildSchema, names); err != nil {
		return err
	}
	var swapped []string
	for _, name := range s.Tables {
		key := strings.ToLower(name)
		if w.new.relations[key] == nil || w.new.known[key] == nil || key == warehouse.Discards {
			continue
		}
		if err := w.table(ctx, key); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
		swapped = append(swapped, key)
	}
	if len(swapped) > 0 {
		if err := w.discards(ctx, swapped); err != nil {
			return fmt.Errorf("table %s: %w", warehouse.Discards, err)
		}
	}
	return w.db.dropRebuild(ctx, s.RebuildSource, s.RebuildSchema)
}

func (w *swapping) samePositions(ctx context.Context) error {
	at := func(source string) (map[string]uint64, error) {
		p, err := w.db.positions(ctx, source)
		out := map[string]uint64{}
		for log, p := range p {
			out[log] = p.Next
		}
		return out, err
	}
	old, err := at(w.swap.Source)
	if err != nil {
		return err
	}
	rebuilt, err := at(w.swap.RebuildSource)
	if err != nil {
		return err
	}
	if !maps.Equal(old, rebuilt) {
		return &warehouse.Error{
			Op: "swap", Object: w.swap.Source, Kind: warehouse.Moved,
			Err: fmt.Errorf("the tables are at %v, those made anew at %v", old, rebuilt),
		}
	}
	return nil
}

// table gives one table the rows and types of the one that was made anew.
func (w *swapping) table(ctx context.Context, key string) error {
	s, fresh, rel := w.swap, w.new.relations[key], w.old.relations[key]
	name := fresh.name
	var kept []column
	var views []view
	if rel == nil {
		statement, err := createTable(s.Schema, name, w.new.known[key].columns)
		if err != nil {
			return err
		}
		if err := w.db.run(ctx, statement); err != nil {
			return err
		}
	} else {
		name = rel.name
		if rel.kind != "r" {
			return fmt.Errorf("%s.%s is no table", s.Schema, name)
		}
		var err error
		if kept, err = w.keep(ctx, key); err != nil {
			return fmt.Errorf("keep the columns that were added by hand: %w", err)
		}
		if err := w.clear(ctx, key); err != nil {
			return err
		}
		if views, err = w.shape(ctx, rel, fresh); err != nil {
			return err
		}
	}
	if err := w.fill(ctx, name, fresh, kept); err != nil {
		return err
	}
	if err := w.db.restore(ctx, views); err != nil {
		return err
	}
	return w.note(ctx, name, fresh)
}

// clear deletes the rows that those made anew take the place of. Rows of before a take-over that the lake has no calls of stay.
func (w *swapping) clear(ctx context.Context, key string) error {
	rel, fresh, k := w.old.relations[key], w.new.relations[key], w.old.known[key]
	statement := "DELETE FROM " + qualified(w.swap.Schema, rel.name)
	if k == nil || k.adoptedThrough.IsZero() || rel.find("id") == nil || fresh.find("id") == nil {
		return w.db.run(ctx, statement)
	}
	statement += " WHERE id IN (SELECT id FROM " + qualified(w.swap.RebuildSchema, fresh.name) + ")"
	if at := rel.find("received_at"); at != nil && at.kind == table.Timestamp {
		statement += " OR received_at > " + stamp(k.adoptedThrough)
	}
	if err := w.db.run(ctx, statement); err != nil {
		return err
	}
	r, err := w.db.exec(ctx, "SELECT count(*) FROM "+qualified(w.swap.Schema, rel.name))
	if err != nil {
		return err
	}
	if n := r.rows[0][0].String; n != "0" {
		w.result.Notices = append(w.result.Notices, fmt.Sprintf("%s has kept %s rows that were there before it was taken over", rel.name, n))
	}
	return nil
}

// listLost lists what rows that stay lose with a column that is made again. It goes to the discards of the rebuild, which take the place of
// the table's afterwards.
func (w *swapping) listLost(ctx context.Context, rel *relation, have *column, to table.Type) error {
	k := w.old.known[strings.ToLower(rel.name)]
	if k == nil || k.adoptedThrough.IsZero() || w.new.relations[warehouse.Discards] == nil {
		return nil // the table is empty
	}
	c, id, at := quote(have.name), "NULL", "CAST(NULL AS timestamp)"
	if rel.find("id") != nil {
		id = "CAST(id AS varchar(65535))"
	}
	if r := rel.find("received_at"); r != nil && r.physical == "timestamp" {
		at = "received_at"
	}
	value := "CAST(" + c + " AS varchar(65535))"
	if have.kind == table.Boolean {
		value = "CASE WHEN " + c + " THEN 'true' ELSE 'false' END"
	}
	return w.db.run(ctx, "INSERT INTO "+qualified(w.swap.RebuildSchema, warehouse.Discards)+
		" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at) SELECT "+
		strings.Join([]string{literal(rel.name), literal(have.name), value, literal(have.kind.String()), literal(to.String()), literal(warehouse.ReasonNoFit), id, at, w.now}, ", ")+
		" FROM "+qualified(w.swap.Schema, rel.name)+" WHERE "+c+" IS NOT NULL")
}

const keptRows = "firth_kept"

// keep puts the values of columns that users added aside.
func (w *swapping) keep(ctx context.Context, key string) ([]column, error) {
	rel, fresh := w.old.relations[key], w.new.relations[key]
	ours := map[string]bool{}
	if k := w.old.known[key]; k != nil {
		for _, c := range k.columns {
			ours[strings.ToLower(c.Name)] = true
		}
	}
	var kept []column
	list := ""
	for _, c := range rel.columns {
		if !ours[strings.ToLower(c.name)] && fresh.find(c.name) == nil {
			list += ", " + quote(c.name) + " AS u" + strconv.Itoa(len(kept))
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 || rel.find("id") == nil {
		return nil, nil
	}
	return kept, w.db.run(ctx, "CREATE TEMP TABLE "+keptRows+" AS SELECT * FROM (SELECT id AS k, row_number() OVER (PARTITION BY id ORDER BY id) AS n"+list+
		" FROM "+qualified(w.swap.Schema, rel.name)+") t WHERE n = 1")
}

// shape gives an emptied table the columns of the one made anew; columns that are of another type are made again.
func (w *swapping) shape(ctx context.Context, rel, fresh *relation) (views []view, err error) {
	schema := w.swap.Schema
	for _, c := range fresh.columns {
		have := rel.find(c.name)
		same, err := w.holds(ctx, have, fresh, c)
		if err != nil {
			return nil, err
		}
		if same {
			continue
		}
		if have != nil {
			// A view that was put aside for an earlier column is not there to be found again.
			aside, err := w.db.putAside(ctx, schema, rel.name, have.name)
			if err != nil {
				return nil, err
			}
			views = append(views, aside...)
			if err := w.listLost(ctx, rel, have, c.kind); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.name, err)
			}
			if err := w.db.run(ctx, dropColumn(schema, rel.name, have.name)); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.name, err)
			}
			w.result.Notices = append(w.result.Notices, fmt.Sprintf("%s.%s was %s and is %s", rel.name, c.name, have.physical, c.physical))
		}
		statement, err := addColumn(schema, rel.name, table.Column{Name: c.name, Type: c.kind})
		if err != nil {
			return nil, err
		}
		if err := w.db.run(ctx, statement); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return views, nil
}

// holds reports whether a column takes all values of the one made anew.
func (w *swapping) holds(ctx context.Context, have *column, fresh *relation, c column) (bool, error) {
	switch {
	case have == nil || have.foreign || have.kind != c.kind:
		return false, nil
	case have.physical == c.physical && have.length >= c.length, have.physical == "timestamptz", have.physical == "text":
		return true, nil
	case have.physical != "varchar":
		return false, nil
	}
	r, err := w.db.exec(ctx, "SELECT count(*) FROM "+qualified(w.swap.RebuildSchema, fresh.name)+" WHERE octet_length("+quote(c.name)+") > "+strconv.Itoa(have.length))
	return err == nil && r.rows[0][0].String == "0", err
}

// fill copies the rows.
func (w *swapping) fill(ctx context.Context, name string, fresh *relation, kept []column) error {
	var into, from []string
	for _, c := range fresh.columns {
		into, from = append(into, quote(c.name)), append(from, "n."+quote(c.name))
	}
	join := ""
	for i, c := range kept {
		into, from = append(into, quote(c.name)), append(from, "k.u"+strconv.Itoa(i))
		join = " LEFT JOIN " + keptRows + " k ON k.k = n.id"
	}
	r, err := w.db.exec(ctx, "INSERT INTO "+qualified(w.swap.Schema, name)+" ("+strings.Join(into, ", ")+") SELECT "+strings.Join(from, ", ")+
		" FROM "+qualified(w.swap.RebuildSchema, fresh.name)+" n"+join)
	if err != nil {
		return err
	}
	w.result.Rows[name] = r.affected
	if len(kept) > 0 {
		return w.db.run(ctx, "DROP TABLE "+keptRows)
	}
	return nil
}

// note gives the bookkeeping of the table made anew to the one that stays. Columns that it has no more stay noted, after the others.
func (w *swapping) note(ctx context.Context, name string, fresh *relation) error {
	s := w.swap
	names := make([]string, len(fresh.columns))
	for i, c := range fresh.columns {
		names[i] = strings.ToLower(c.name)
	}
	at := func(source, schema string) string {
		return "source = " + literal(source) + " AND schema_name = " + literal(schema) + " AND lower(table_name) = " + literal(strings.ToLower(name))
	}
	place := literal(s.Source) + ", " + literal(s.Schema) + ", " + literal(name)
	adopted := "NULL"
	if k := w.old.known[strings.ToLower(name)]; k != nil && !k.adoptedThrough.IsZero() {
		adopted = stamp(k.adoptedThrough)
	}
	return w.db.run(ctx,
		"DELETE FROM _firth.columns WHERE "+at(s.Source, s.Schema)+" AND lower(column_name) IN ("+literals(names)+")",
		"UPDATE _firth.columns SET ordinal = ordinal + "+strconv.Itoa(maxColumns)+" WHERE "+at(s.Source, s.Schema),
		"INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) SELECT "+place+
			", column_name, type, path, first_seen, ordinal FROM _firth.columns WHERE "+at(s.RebuildSource, s.RebuildSchema),
		"DELETE FROM _firth.tables WHERE "+at(s.Source, s.Schema),
		"INSERT INTO _firth.tables (source, schema_name, table_name, first_seen, adopted_through) VALUES ("+place+", "+w.now+", "+adopted+")")
}

// discards exchanges the discards of the swapped tables.
func (w *swapping) discards(ctx context.Context, swapped []string) error {
	s := w.swap
	if w.old.relations[warehouse.Discards] == nil || w.new.relations[warehouse.Discards] == nil {
		return nil
	}
	var columns []string
	for _, c := range warehouse.DiscardColumns() {
		columns = append(columns, quote(c.Name))
	}
	list := strings.Join(columns, ", ")
	where := " WHERE lower(table_name) IN (" + literals(swapped) + ")"
	if err := w.db.run(ctx, "DELETE FROM "+qualified(s.Schema, warehouse.Discards)+where); err != nil {
		return err
	}
	r, err := w.db.exec(ctx, "INSERT INTO "+qualified(s.Schema, warehouse.Discards)+" ("+list+") SELECT "+list+" FROM "+qualified(s.RebuildSchema, warehouse.Discards)+where)
	if err != nil {
		return err
	}
	w.result.Discards = r.affected
	return nil
}
