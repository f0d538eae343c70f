package redshift

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// once leaves out the rows of a batch whose id came before: what is inserted together cannot be seen by the question whether it is
// there.
func once(b *table.Batch) *table.Batch {
	out := *b
	out.Rows = nil
	seen := make(map[string]bool, len(b.Rows))
	for i, row := range b.Rows {
		id := b.Get(i, b.Columns[0].Name).String()
		if !seen[id] {
			out.Rows = append(out.Rows, row)
		}
		seen[id] = true
	}
	return &out
}

// onceEach leaves out discards that are listed twice.
func onceEach(list []event.Discard) []event.Discard {
	seen := make(map[event.Discard]bool, len(list))
	return slices.DeleteFunc(list, func(d event.Discard) bool {
		had := seen[d]
		seen[d] = true
		return had
	})
}

// history says which table the rows of an upserted one come from, and by which column.
func history(upserted string) (from, key string) {
	if upserted == "accounts" {
		return "groups", "group_id"
	}
	return "identifies", "user_id"
}

// recompute makes the staged rows of users or accounts anew from what was said of them: per column the last value that is not null, in
// the order of received_at and id.
func (l *loading) recompute(ctx context.Context, t *target, stage string) (int64, error) {
	schema := l.batch.Schema
	from, key := history(strings.ToLower(t.batch.Name))
	st, err := l.db.readState(ctx, l.batch.Source, schema, []string{t.name, from})
	if err != nil {
		return 0, err
	}
	source, to := st.relations[from], st.relations[strings.ToLower(t.name)]
	if source == nil || to == nil || source.find(key) == nil || source.find("received_at") == nil {
		return 0, nil // nothing was said
	}
	id := t.fields[0].col.name
	list := []assignment{{id, "s.c0", t.fields[0].col.keepsBlanks()}}
	var columns []column
	for _, c := range to.columns {
		said := source.find(c.name)
		switch {
		case c.name == id:
		case c.name == "received_at":
			list = append(list, assignment{column: c.name, expr: "s.received"})
		case isStamp(table.Column{Name: c.name, Type: c.kind}):
		case said == nil, said.foreign, c.foreign:
		case said.kind == c.kind, said.kind == table.Integer && c.kind == table.Float:
			columns = append(columns, *said)
			list = append(list, assignment{column: c.name, expr: fmt.Sprintf("s.c%d", len(columns))})
		}
	}
	for _, c := range to.columns {
		if isStamp(table.Column{Name: c.name, Type: c.kind}) {
			list = append(list, assignment{column: c.name, expr: stamp(l.now)})
		}
	}
	const again = "firth_again"
	if err := l.db.run(ctx, lastSaid(again, schema, source.name, key, stage, columns)); err != nil {
		return 0, fmt.Errorf("compute from %s: %w", from, err)
	}
	for _, s := range []string{updateRows(schema, t.name, again, list), insertMissing(schema, t.name, again, list), "DROP TABLE " + again} {
		if s == "" {
			continue
		}
		if err := l.db.run(ctx, s); err != nil {
			return 0, err
		}
	}
	return int64(len(t.batch.Rows)), nil
}

// lastSaid computes per key the last value of each column that is not null, into a temporary table of c0 (the key), received and c1, c2
// and so on. Rows are numbered in their order once; then each column's last number that has a value picks it. LAST_VALUE with IGNORE
// NULLS would do the same with a sort for each column.
func lastSaid(into, schema, from, key, stage string, columns []column) string {
	var values, last, pick strings.Builder
	for i, c := range columns {
		v, n := "i."+quote(c.name), i+1
		if c.kind == table.Boolean {
			v = "CASE WHEN " + v + " THEN 1 WHEN NOT " + v + " THEN 0 END" // there is no max of booleans
		}
		fmt.Fprintf(&values, ", %s AS v%d", v, n)
		fmt.Fprintf(&last, ", v%d, max(CASE WHEN v%d IS NOT NULL THEN n END) OVER (PARTITION BY k, w) AS m%d", n, n, n)
		chosen := fmt.Sprintf("max(CASE WHEN n = m%d THEN v%d END)", n, n)
		if c.kind == table.Boolean {
			chosen += " = 1"
		}
		fmt.Fprintf(&pick, ", %s AS c%d", chosen, n)
	}
	k := "i." + quote(key)
	w := "octet_length(" + k + ")" // texts that differ by blanks at their end are equal to the server, and different people
	return "CREATE TEMP TABLE " + into + " AS SELECT max(k) AS c0, max(received) AS received" + pick.String() +
		" FROM (SELECT k, w, received, n" + last.String() +
		" FROM (SELECT " + k + " AS k, " + w + " AS w, i.received_at AS received, row_number() OVER (PARTITION BY " + k + ", " + w + " ORDER BY i.received_at, i.id) AS n" + values.String() +
		" FROM " + qualified(schema, from) + " i WHERE " + k + " IN (SELECT c0 FROM " + stage + ")) said) numbered GROUP BY k, w"
}

// DropRebuild removes what a rebuild left that was given up. It is no error where there is nothing.
func (d *DB) DropRebuild(ctx context.Context, rebuildSource, rebuildSchema string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.connected(ctx)
	if err == nil {
		err = d.inTx(ctx, func() error { return d.dropRebuild(ctx, rebuildSource, rebuildSchema) })
	}
	if err != nil {
		return d.fail("drop the rebuild of", rebuildSource, err)
	}
	return nil
}

func (d *DB) dropRebuild(ctx context.Context, source, schema string) error {
	if !strings.HasPrefix(schema, warehouse.RebuildPrefix) {
		return fmt.Errorf("%q is no schema of a rebuild", schema)
	}
	for _, t := range []string{"columns", "tables", "positions"} {
		if err := d.run(ctx, "DELETE FROM _firth."+t+" WHERE source = "+literal(source)); err != nil {
			return err
		}
	}
	exists, err := d.schemaExists(ctx, schema)
	if err != nil || !exists {
		return err
	}
	return d.run(ctx, "DROP SCHEMA "+quote(schema)+" CASCADE")
}
