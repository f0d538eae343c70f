package iceberg

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Replay writes the rows, discards, users and accounts of the batch that are missing, in one commit; see load.Replayer.
func (d *DB) Replay(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.work(ctx, b, (*loading).replay)
	if err != nil {
		return nil, d.fail("replay", b.Source, err)
	}
	return r, nil
}

func (l *loading) replay(ctx context.Context) error {
	if err := l.widenAll(ctx); err != nil {
		return err
	}
	var err error
	if l.book, err = l.db.openBook(ctx, l.batch.Schema); err != nil {
		return err
	}
	if err := l.begin(ctx); err != nil {
		return err
	}
	for _, t := range l.batch.Tables {
		p, err := l.evolve(ctx, t)
		if err == nil && len(t.Rows) > 0 {
			err = l.appendMissing(ctx, p, firstOfEach(t))
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	for _, t := range l.batch.Upserts {
		p, err := l.evolve(ctx, t)
		if err == nil && len(t.Rows) > 0 {
			err = l.recompute(ctx, p, t)
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	if err := l.missingDiscards(ctx); err != nil {
		return fmt.Errorf("table %s: %w", warehouse.Discards, err)
	}
	return l.commit(ctx)
}

// firstOfEach leaves out rows whose id came before in the batch.
func firstOfEach(t *table.Batch) *table.Batch {
	out := &table.Batch{Name: t.Name, Columns: t.Columns}
	seen := make(map[string]bool, len(t.Rows))
	for i := range t.Rows {
		id := t.Get(i, t.Columns[0].Name).Text
		if !seen[id] {
			seen[id] = true
			out.Rows = append(out.Rows, t.Rows[i])
		}
	}
	return out
}

// appendMissing appends the rows whose id the table does not hold.
func (l *loading) appendMissing(ctx context.Context, p *part, t *table.Batch) error {
	if err := l.bring(ctx, p, t); err != nil {
		return err
	}
	key := t.Columns[0].Name
	stored, err := l.rowsOf(ctx, p.table, key, textsOf(t))
	if err != nil {
		return err
	}
	k := quote(key)
	return l.addMissing(ctx, p, "SELECT DISTINCT "+k+" FROM "+stored+" WHERE "+k+" IN (SELECT "+k+" FROM "+p.source+")", "h."+k+" = s."+k)
}

// addMissing adds those rows of the part's source that match none of what a query finds in the table. The query is run first, so that what
// is held in memory is of the batch's size.
func (l *loading) addMissing(ctx context.Context, p *part, found, match string) error {
	w, err := l.workshop(ctx)
	if err != nil {
		return err
	}
	hit, missing := l.temp(), l.temp()
	if err := w.Exec(ctx, "CREATE TABLE "+hit+" AS "+found); err != nil {
		return err
	}
	err = w.Exec(ctx, "CREATE TABLE "+missing+" AS SELECT * FROM "+p.source+" AS s WHERE NOT EXISTS (SELECT 1 FROM "+hit+" AS h WHERE "+match+")")
	if err != nil {
		return err
	}
	p.source = missing
	var n int64
	if err := w.One(ctx, "SELECT count(*) FROM "+missing, &n); err != nil {
		return err
	}
	l.result.Rows[p.table.name] += n
	if n == 0 {
		return nil
	}
	return l.add(ctx, p, "SELECT * FROM "+missing)
}

// rowsOf is a relation of those files of a table that may have one of some sorted texts in a column.
func (l *loading) rowsOf(ctx context.Context, t *tbl, column string, texts []string) (string, error) {
	var files []dataFile
	if at := t.field(column); at >= 0 {
		for _, f := range t.files {
			if mayHoldText(f, t.fields[at].ID, texts) {
				files = append(files, f)
			}
		}
	}
	r, err := l.db.scan(ctx, t, files)
	if err != nil {
		return "", err
	}
	l.held = append(l.held, r.release)
	return r.expr, nil
}

// recompute brings the rows of the batch's users or accounts to what their calls say.
func (l *loading) recompute(ctx context.Context, p *part, t *table.Batch) error {
	calls, key := "identifies", "user_id"
	if strings.EqualFold(t.Name, "accounts") {
		calls, key = "groups", "group_id"
	}
	from, source, err := l.callsOf(ctx, calls, key, t)
	if from == nil || err != nil {
		return err
	}
	if err := l.bring(ctx, p, &table.Batch{Name: t.Name, Columns: t.Columns[:1], Rows: idsOnly(t)}); err != nil {
		return err
	}
	statement, err := recomputeRows(source, key, p.source, l.recomputed(p.table, from, t), l)
	if err != nil {
		return err
	}
	w, err := l.workshop(ctx)
	if err != nil {
		return err
	}
	name := l.temp()
	if err := w.Exec(ctx, "CREATE TABLE "+name+" AS "+statement); err != nil {
		return err
	}
	l.result.Rows[t.Name] += int64(len(t.Rows))
	return l.merge(ctx, p, t.Columns[0].Name, name, textsOf(t))
}

func idsOnly(t *table.Batch) []table.Row {
	rows := make([]table.Row, len(t.Rows))
	for i := range t.Rows {
		rows[i].Cells = []table.Cell{{Value: t.Get(i, t.Columns[0].Name)}}
	}
	return rows
}

// callsOf is a relation of the calls that made the rows of a batch of users or accounts, those of this replay among them; nil where there is
// no such table.
func (l *loading) callsOf(ctx context.Context, calls, key string, t *table.Batch) (*tbl, string, error) {
	replayed := l.tables[calls]
	var from *tbl
	var err error
	if replayed != nil {
		from = replayed.table
	} else if from, err = l.db.load(ctx, l.batch.Schema, calls); errors.Is(err, errNoTable) {
		return nil, "", nil
	}
	if err != nil || from.field(key) < 0 {
		return nil, "", err
	}
	source, err := l.rowsOf(ctx, from, key, textsOf(t))
	if err != nil {
		return nil, "", err
	}
	if replayed != nil && replayed.source != "" {
		source = "(SELECT * FROM " + source + " UNION ALL BY NAME SELECT * FROM " + replayed.source + ")"
	}
	return from, source, nil
}

// recomputed are the columns that a table has of those that calls have values for.
func (l *loading) recomputed(into, from *tbl, t *table.Batch) []iceberg.NestedField {
	var out []iceberg.NestedField
	for _, c := range t.Columns {
		switch strings.ToLower(c.Name) {
		case "id", "received_at", warehouse.UUIDTS, warehouse.LoadedAt:
			continue
		}
		if at := into.field(c.Name); at >= 0 && from.field(c.Name) >= 0 && typeOf(into.fields[at].Type) != table.Null {
			out = append(out, into.fields[at])
		}
	}
	return out
}

// recomputeRows gives for each id of a relation what its calls say: of each column the last value that is not null, in the order of
// received_at and id.
func recomputeRows(calls, key, ids string, columns []iceberg.NestedField, l *loading) (string, error) {
	stamp := stampText(l.now)
	k := "c." + quote(key)
	list := []string{k + " AS id", "max(c.received_at) AS received_at", stamp + " AS uuid_ts", stamp + " AS loaded_at"}
	for _, f := range columns {
		kind, err := engineType(f.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", f.Name, err)
		}
		value := "TRY_CAST(c." + quote(f.Name) + " AS " + kind + ")"
		list = append(list, "arg_max("+value+", (c.received_at, c.id)) FILTER (WHERE "+value+" IS NOT NULL) AS "+quote(f.Name))
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + calls + " AS c WHERE " + k + " IN (SELECT id FROM " + ids + ") GROUP BY " + k, nil
}

// missingDiscards appends the discards of the batch, and those of its rows, that are not listed yet, by all but the times.
func (l *loading) missingDiscards(ctx context.Context) error {
	b := l.discards()
	if len(b.Rows) == 0 {
		return nil
	}
	p := l.tables[warehouse.Discards]
	if err := l.bring(ctx, p, distinctRows(b)); err != nil {
		return err
	}
	stored, err := l.db.scan(ctx, p.table, p.table.files)
	if err != nil {
		return err
	}
	l.held = append(l.held, stored.release)
	var list, match []string
	for _, c := range warehouse.DiscardColumns() {
		if c.Type == table.String {
			list = append(list, quote(c.Name))
			match = append(match, "h."+quote(c.Name)+" IS NOT DISTINCT FROM s."+quote(c.Name))
		}
	}
	found := "SELECT DISTINCT " + strings.Join(list, ", ") + " FROM " + stored.expr + " AS h SEMI JOIN " + p.source + " AS s ON " + strings.Join(match, " AND ")
	if err := l.addMissing(ctx, p, found, strings.Join(match, " AND ")); err != nil {
		return err
	}
	l.result.Discards += l.result.Rows[b.Name]
	delete(l.result.Rows, b.Name)
	return nil
}

// distinctRows leaves out rows that came before, with the same time of receipt.
func distinctRows(t *table.Batch) *table.Batch {
	out := &table.Batch{Name: t.Name, Columns: t.Columns}
	seen := map[string]bool{}
	for i := range t.Rows {
		var b strings.Builder
		for _, c := range t.Rows[i].Cells {
			fmt.Fprintf(&b, "%d:%d:%d:%s;", c.Col, c.Value.Bits, len(c.Value.Text), c.Value.Text)
		}
		if !seen[b.String()] {
			seen[b.String()] = true
			out.Rows = append(out.Rows, t.Rows[i])
		}
	}
	return out
}
