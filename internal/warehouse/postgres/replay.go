package postgres

import (
	"context"
	"fmt"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Replay writes what the tables do not hold: rows by their ids, discards by all they say, and works out the touched rows of users and
// accounts from identifies and groups. No position moves.
func (d *DB) Replay(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	return d.load(ctx, "replay", b, func(l *loading, ctx context.Context) error {
		return l.settle(ctx, l.write)
	})
}

// origins are where the rows of a table of ids come from: the table of calls, and its column that holds the id.
func origins(name string) (from, key string) {
	switch name {
	case "users":
		return "identifies", "user_id"
	case "accounts":
		return "groups", "group_id"
	}
	return "", ""
}

// recompute brings the touched rows of users or accounts to what their calls say, per column the last value in the order of receipt.
// What the calls say nothing of is left: it may come from a table that was taken over, or whose calls are not loaded.
func (w *writer) recompute(ctx context.Context, t wanted) error {
	if len(t.Rows) == 0 {
		return nil
	}
	r := w.state[t.Name]
	p, err := project(t.Batch, t.scanned, r, w.now.UnixMicro())
	if err != nil {
		return err
	}
	staged, values, err := w.stage(ctx, p)
	if err != nil {
		return err
	}
	if err := w.listUnread(ctx, t.Batch, p, staged, ""); err != nil {
		return err
	}
	w.result.Rows[t.Name] += int64(len(t.Rows))
	origin, by := origins(t.Name)
	from := w.state[origin]
	key := p.names()[0]
	if !from.exists() || from.get(by) == nil || from.get("id") == nil || from.get("received_at") == nil || key != "id" {
		return w.merge(ctx, t.Name, staged, p, values)
	}
	target := qualified(w.schema, t.Name)
	if err := w.insertMissing(ctx, target, staged, p, values); err != nil {
		return err
	}
	columns, casts := shared(r, from, by)
	query := recomputeStaged(qualified(w.schema, origin), staged, by, columns, casts)
	_, err = w.db.conn.Exec(ctx, updateRecomputed(target, query, columns, stampsOf(r), r.adopted), w.now)
	if err != nil {
		return fmt.Errorf("work out anew: %w", err)
	}
	return nil
}

// shared are the columns that both tables have and that one can be filled from the other, with the cast that it takes.
func shared(to, from *relation, by string) (columns, casts []string) {
	for _, c := range to.columns {
		f := from.get(c.name)
		if f == nil || c.fixed || c.name == "id" || c.name == "received_at" || c.name == by || c.name == warehouse.UUIDTS || c.name == warehouse.LoadedAt {
			continue
		}
		switch {
		case c.oid == f.oid && c.mod == f.mod:
			columns, casts = append(columns, c.name), append(casts, "")
		case c.kind == table.Float && f.kind == table.Integer:
			columns, casts = append(columns, c.name), append(casts, "::"+c.sqlType)
		case c.form == formText && c.length() == 0 && f.kind != table.Timestamp:
			columns, casts = append(columns, c.name), append(casts, "::text")
		case c.form == f.form && c.form != formOdd && !c.narrow():
			columns, casts = append(columns, c.name), append(casts, "")
		}
	}
	return columns, casts
}

// stampsOf are the columns that take the time of the load.
func stampsOf(r *relation) []string {
	var out []string
	for _, name := range []string{warehouse.UUIDTS, warehouse.LoadedAt} {
		if c := r.get(name); c != nil && !c.fixed && c.kind == table.Timestamp {
			out = append(out, name)
		}
	}
	return out
}
