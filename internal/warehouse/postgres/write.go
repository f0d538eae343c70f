package postgres

import (
	"context"
	"fmt"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// writer writes the rows of one transaction.
type writer struct {
	*loading
	state  state
	unfit  []event.Discard // found on the way
	stages int
	reads  map[string]int // functions that read odd types, by type
}

// append adds the rows of a table of events.
func (w *writer) append(ctx context.Context, t wanted) error {
	if len(t.Rows) == 0 {
		return nil
	}
	r := w.state[t.Name]
	p, err := project(t.Batch, t.scanned, r, w.now.UnixMicro())
	if err != nil {
		return err
	}
	target := qualified(w.schema, t.Name)
	how := w.how(target, r, p, t)
	if !how.needed {
		n, err := w.copy(ctx, target, p)
		w.result.Rows[t.Name] += n
		return err
	}
	staged, values, err := w.stage(ctx, p)
	if err != nil {
		return err
	}
	switch {
	case t.discard && how.where != "":
		how.where = notListed(target, staged)
	case how.where != "":
		how.where += " AND " + notTwice(staged, t.Columns[0].Name)
	}
	if err := w.listUnread(ctx, t.Batch, p, staged, how.where); err != nil {
		return err
	}
	n, err := w.db.count(ctx, insertStaged(target, staged, p.names(), values, how.where))
	w.result.Rows[t.Name] += n
	return err
}

// how decides whether rows go straight into their table.
func (w *writer) how(target string, r *relation, p *projection, t wanted) staging {
	out := stagingOf(target, r, p, t.scanned)
	if w.replays {
		out.needed, out.where = true, notThere(target, t.Columns[0].Name, "")
	}
	return out
}

// copy streams rows into a relation whose columns have the forms of the projection.
func (w *writer) copy(ctx context.Context, relation string, p *projection) (int64, error) {
	rows := newRowReader(p)
	tag, err := w.db.conn.PgConn().CopyFrom(ctx, rows, copyInto(relation, p.names()))
	rows.end()
	if err != nil {
		return 0, err
	}
	w.unfit = append(w.unfit, rows.unfit...)
	return tag.RowsAffected(), nil
}

// stage writes the rows into a temporary table, and returns it with an expression for each column: what goes into the target.
func (w *writer) stage(ctx context.Context, p *projection) (staged string, values []string, err error) {
	w.stages++
	staged = stage(w.stages)
	p.heap = true
	types := make([]string, len(p.columns))
	values = make([]string, len(p.columns))
	for i := range p.columns {
		c := &p.columns[i]
		types[i], values[i] = c.staged(), "s."+quote(c.name)
		if c.form == formOdd {
			if values[i], err = w.read(ctx, c); err != nil {
				return "", nil, err
			}
		}
	}
	if _, err := w.db.conn.Exec(ctx, createStage(w.stages, p.names(), types)); err != nil {
		return "", nil, fmt.Errorf("make a staging table: %w", err)
	}
	if _, err := w.copy(ctx, staged, p); err != nil {
		return "", nil, fmt.Errorf("fill the staging table: %w", err)
	}
	if _, err := w.db.conn.Exec(ctx, "ANALYZE "+staged); err != nil {
		return "", nil, fmt.Errorf("count the staging table: %w", err)
	}
	return staged, values, nil
}

// read is the expression that makes a staged text a value of an odd type.
func (w *writer) read(ctx context.Context, c *column) (string, error) {
	n, ok := w.reads[c.sqlType]
	if !ok {
		if w.reads == nil {
			w.reads = map[string]int{}
		}
		n = len(w.reads) + 1
		w.reads[c.sqlType] = n
		if err := w.db.script(ctx, tryCast(n, c.sqlType)); err != nil {
			return "", fmt.Errorf("read texts as %s: %w", c.sqlType, err)
		}
	}
	return fmt.Sprintf("pg_temp.firth_read_%d(s.%s)", n, quote(c.name)), nil
}

// listUnread lists what the server cannot read as its column's type, of the rows that where lets in. It goes before they are in.
func (w *writer) listUnread(ctx context.Context, t *table.Batch, p *projection, staged, where string) error {
	id, received := "NULL", "NULL::timestamptz"
	for i := range p.columns {
		switch p.columns[i].name {
		case t.Columns[0].Name:
			id = "s." + quote(p.columns[i].name) + "::text"
		case "received_at":
			received = "s." + quote("received_at")
			if p.columns[i].form != formTimestamp {
				received = "NULL::timestamptz"
			}
		}
	}
	for i := range p.columns {
		c := &p.columns[i]
		if c.form != formOdd {
			continue
		}
		read, err := w.read(ctx, c)
		if err != nil {
			return err
		}
		n, err := w.db.count(ctx, listUnread(w.schema, t.Name, staged, c.name, read, c.kind.String(), warehouse.ReasonNoFit, id, received, where), w.now)
		if err != nil {
			return fmt.Errorf("list values of %s: %w", c.name, err)
		}
		w.result.Discards += n
	}
	return nil
}

// upsert brings rows to those of the batch, and adds those that are missing.
func (w *writer) upsert(ctx context.Context, t wanted) error {
	if len(t.Rows) == 0 {
		return nil
	}
	p, err := project(t.Batch, t.scanned, w.state[t.Name], w.now.UnixMicro())
	if err != nil {
		return err
	}
	staged, values, err := w.stage(ctx, p)
	if err != nil {
		return err
	}
	if err := w.merge(ctx, t.Name, staged, p, values); err != nil {
		return err
	}
	w.result.Rows[t.Name] += int64(len(t.Rows))
	return w.listUnread(ctx, t.Batch, p, staged, "")
}

func (w *writer) merge(ctx context.Context, name, staged string, p *projection, values []string) error {
	target := qualified(w.schema, name)
	if update := updateStaged(target, staged, p.names(), values); update != "" {
		if _, err := w.db.conn.Exec(ctx, update); err != nil {
			return fmt.Errorf("update: %w", err)
		}
	}
	return w.insertMissing(ctx, target, staged, p, values)
}

// insertMissing adds the staged rows whose id the table does not hold.
func (w *writer) insertMissing(ctx context.Context, target, staged string, p *projection, values []string) error {
	key := quote(p.names()[0])
	where := "s." + key + " IS NOT NULL AND NOT EXISTS (SELECT FROM " + target + " AS t WHERE t." + key + " = " + values[0] + ")"
	if _, err := w.db.conn.Exec(ctx, insertStaged(target, staged, p.names(), values, where)); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	return nil
}

// list adds rows to firth_discards.
func (w *writer) list(ctx context.Context, discards []event.Discard) error {
	if len(discards) == 0 {
		return nil
	}
	found, before := w.unfit, w.result.Rows[warehouse.Discards]
	t := wanted{Batch: discardsBatch(discards, w.now), discard: true}
	var err error
	if t.scanned, err = scan(t.Batch); err != nil {
		return err
	}
	err = w.append(ctx, t)
	w.unfit = found // nothing is listed of what is listed
	w.result.Discards += w.result.Rows[warehouse.Discards] - before
	delete(w.result.Rows, warehouse.Discards)
	return err
}
