package iceberg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	icetable "github.com/apache/iceberg-go/table"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// Load writes the batch in one commit: tables and columns that are missing, the rows, the discards and the position. A batch that the
// position says is in already is left alone (Duplicate); one that does not begin at the position is an error of kind warehouse.Moved. After
// an error nothing of the batch is in, unless the catalog did not say whether it took the commit: then the position tells.
func (d *DB) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.work(ctx, b, (*loading).load)
	if err != nil {
		return nil, d.fail("load", b.Source, err)
	}
	return r, nil
}

// Prepare makes the schema of a source and those of the tables that it does not have yet, without rows.
func (d *DB) Prepare(ctx context.Context, source, schema string, tables []*table.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &warehouse.Batch{Source: source, Schema: schema, Tables: tables}
	r, err := d.work(ctx, b, (*loading).prepare)
	if err != nil {
		return d.fail("prepare", source, err)
	}
	if len(r.Notices) > 0 {
		d.told[schema] = append(d.told[schema], r.Notices...)
	}
	return nil
}

// loading is one write of typed tables under way.
type loading struct {
	db     *DB
	batch  *warehouse.Batch
	now    time.Time
	result *warehouse.Result

	shop   *duckdb.Workshop // opened when it is needed first
	book   *book
	tables map[string]*part // by name in lower case
	order  []*part
	unfit  []event.Discard // found while rows were appended
	temps  int             // tables made in the workshop
	held   []func()        // what is to be released in the end
}

// part is what becomes of one table.
type part struct {
	change
	source string       // the table of the workshop with the rows of the batch that are new; "": none
	ours   map[int]bool // columns that loads made
}

// work runs fn until it meets no other committer. The caller holds mu.
func (d *DB) work(ctx context.Context, b *warehouse.Batch, fn func(*loading, context.Context) error) (r *warehouse.Result, err error) {
	if err := checkSchema(b.Source, b.Schema); err != nil {
		return nil, err
	}
	err = d.again(ctx, func() error {
		l := &loading{db: d, batch: b, now: d.o.Now().UTC().Truncate(time.Microsecond), result: &warehouse.Result{Rows: map[string]int64{}}, tables: map[string]*part{}}
		r = l.result
		err := fn(l, ctx)
		return errors.Join(err, l.close(ctx, err))
	})
	if err != nil {
		return nil, err
	}
	if !r.Duplicate {
		r.Notices = append(d.told[b.Schema], r.Notices...)
		r.Discards += d.listed[b.Schema]
		delete(d.told, b.Schema)
		delete(d.listed, b.Schema)
	}
	return r, nil
}

// reserved are schema names that are not for sources.
func checkSchema(source, schema string) error {
	reserved := duckdb.ReservedSchemas()
	if schema != "" && !slices.Contains(reserved, strings.ToLower(schema)) {
		return nil
	}
	return &warehouse.Error{
		Op: "load", Object: source, Kind: warehouse.BadName, Err: fmt.Errorf("the schema %q is taken", schema),
		Hint: "rename the source: " + strings.Join(reserved, ", ") + " are taken",
	}
}

// close gives up what a loading holds; err is what it ended with.
func (l *loading) close(ctx context.Context, err error) error {
	var out error
	for _, fn := range l.held {
		fn()
	}
	if err != nil {
		for _, p := range l.order {
			l.db.discardAll(p.add)
			out = errors.Join(out, l.db.abandon(ctx, p.table))
		}
		if l.book != nil {
			out = errors.Join(out, l.db.abandon(ctx, l.book.table))
		}
	}
	if l.shop != nil {
		out = errors.Join(out, l.db.giveShop(ctx, l.shop, err != nil))
	}
	return out
}

// workshop is the engine of the loading.
func (l *loading) workshop(ctx context.Context) (*duckdb.Workshop, error) {
	if l.shop != nil {
		return l.shop, nil
	}
	var err error
	l.shop, err = l.db.takeShop(ctx)
	return l.shop, err
}

// temp is a new name for a table of the workshop.
func (l *loading) temp() string {
	l.temps++
	return "t" + strconv.Itoa(l.temps)
}

func (l *loading) load(ctx context.Context) error {
	b := l.batch
	holds := len(b.Tables)+len(b.Upserts)+len(b.Discards) > 0
	known, err := l.db.readBook(ctx, b.Schema)
	if errors.Is(err, errNoTable) {
		known, err = &book{}, nil
	}
	if err == nil {
		l.result.Duplicate, err = b.In(known.positions[b.Source][b.Log].Next)
	}
	if err != nil || l.result.Duplicate {
		return err
	}
	if holds {
		if err := l.widenAll(ctx); err != nil {
			return err
		}
	}
	if l.book, err = l.db.openBook(ctx, b.Schema); err != nil {
		return err
	}
	if in, err := b.In(l.book.positions[b.Source][b.Log].Next); err != nil || in {
		return errors.Join(icetable.ErrCommitFailed, err) // another was faster
	}
	if holds {
		if err := l.write(ctx); err != nil {
			return err
		}
	}
	l.book.move(b, l.now)
	return l.commit(ctx)
}

func (l *loading) write(ctx context.Context) error {
	if err := l.begin(ctx); err != nil {
		return err
	}
	for _, t := range l.batch.Tables {
		p, err := l.evolve(ctx, t)
		if err == nil && len(t.Rows) > 0 {
			err = l.append(ctx, p, t)
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	for _, t := range l.batch.Upserts {
		p, err := l.evolve(ctx, t)
		if err == nil && len(t.Rows) > 0 {
			err = l.upsert(ctx, p, t)
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	return l.writeDiscards(ctx)
}

// begin looks for what somebody dropped, and opens the table of discards.
func (l *loading) begin(ctx context.Context) error {
	l.book.know(l.batch.Source)
	names, err := l.db.tables(ctx, l.batch.Schema)
	if err != nil {
		return err
	}
	for _, made := range slices.Clone(l.book.made) {
		if !slices.Contains(names, made) {
			l.book.made = slices.DeleteFunc(l.book.made, func(n string) bool { return n == made })
			l.result.Notices = append(l.result.Notices, fmt.Sprintf("table %s of %s was dropped by somebody: it is made again, empty", made, l.batch.Schema))
		}
	}
	_, err = l.evolve(ctx, &table.Batch{Name: warehouse.Discards, Columns: warehouse.DiscardColumns()})
	return err
}

// prepare makes tables without rows.
func (l *loading) prepare(ctx context.Context) error {
	var err error
	if l.book, err = l.db.openBook(ctx, l.batch.Schema); err != nil {
		return err
	}
	if err := l.begin(ctx); err != nil {
		return err
	}
	for _, t := range l.batch.Tables {
		if _, err := l.evolve(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	return l.commit(ctx)
}

// append puts the rows of a batch into the workshop and from there into new files.
func (l *loading) append(ctx context.Context, p *part, t *table.Batch) error {
	if err := l.bring(ctx, p, t); err != nil {
		return err
	}
	l.result.Rows[t.Name] += int64(len(t.Rows))
	return l.add(ctx, p, "SELECT * FROM "+p.source)
}

// bring makes a table of the workshop with the rows of a batch.
func (l *loading) bring(ctx context.Context, p *part, t *table.Batch) error {
	w, err := l.workshop(ctx)
	if err != nil {
		return err
	}
	used := usedColumns(t)
	name := l.temp()
	unfit, err := w.AppendBatch(ctx, name, used, duckdb.BatchOptions{Stamp: l.now, Foreign: p.foreign()})
	if err != nil {
		return err
	}
	l.unfit = append(l.unfit, unfit...)
	p.source = name
	return nil
}

// usedColumns is a batch of the same rows without types for columns that none of them fills, but for those that the load fills: a table
// may have a thousand columns of which a row fills thirty.
func usedColumns(t *table.Batch) *table.Batch {
	used := make([]bool, len(t.Columns))
	for i := range t.Rows {
		for _, c := range t.Rows[i].Cells {
			used[c.Col] = true
		}
	}
	out := &table.Batch{Name: t.Name, Columns: slices.Clone(t.Columns), Rows: t.Rows}
	for i, c := range out.Columns {
		stamp := c.Path == "" && (c.Name == warehouse.UUIDTS || c.Name == warehouse.LoadedAt)
		if !used[i] && !stamp && i > 0 {
			out.Columns[i].Type = table.Null
		}
	}
	return out
}

// add writes the rows of a query into new files of a table.
func (l *loading) add(ctx context.Context, p *part, query string) error {
	w, err := l.workshop(ctx)
	if err != nil {
		return err
	}
	files, err := l.db.write(ctx, w, p.table, query)
	p.add = append(p.add, files...)
	return err
}

// discards are those of the batch and of its rows, as text that every engine reads.
func (l *loading) discards() *table.Batch {
	out := &table.Batch{Name: warehouse.Discards, Columns: warehouse.DiscardColumns()}
	for _, d := range slices.Concat(l.batch.Discards, l.unfit) {
		var row table.Row
		for i, text := range []string{d.TableName, d.ColumnName, d.Value, d.ValueType, d.ColumnType, d.Reason, d.RowID} {
			row.Cells = append(row.Cells, table.Cell{Col: int32(i), Value: table.Text(strings.ToValidUTF8(text, "\uFFFD"))})
		}
		if d.ReceivedAt != event.NoTime {
			row.Cells = append(row.Cells, table.Cell{Col: 7, Value: table.Time(d.ReceivedAt)})
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func (l *loading) writeDiscards(ctx context.Context) error {
	b := l.discards()
	if len(b.Rows) == 0 {
		return nil
	}
	p := l.tables[warehouse.Discards]
	if err := l.bring(ctx, p, b); err != nil {
		return fmt.Errorf("table %s: %w", b.Name, err)
	}
	l.result.Discards += int64(len(b.Rows))
	return l.add(ctx, p, "SELECT * FROM "+p.source)
}

// commit makes the changes, with the book's.
func (l *loading) commit(ctx context.Context) error {
	var changes []change
	for _, p := range l.order {
		if p.changed() {
			l.book.know(l.batch.Source, p.table.name)
			changes = append(changes, p.change)
			p.add = nil // from here on the commit looks after them
		}
	}
	c, err := l.book.change()
	if err != nil {
		return err
	}
	return l.db.commit(ctx, l.batch.Schema, append(changes, c))
}

// changed says whether a commit has anything to do for the table.
func (p *part) changed() bool {
	if set := ranges(p.ours); set != p.table.props[columnsKey] {
		if p.set == nil {
			p.set = iceberg.Properties{}
		}
		p.set[columnsKey] = set
	}
	return p.table.isNew() || len(p.add)+len(p.remove)+len(p.set) > 0 || !sameFields(p.table.t.Schema().Fields(), p.table.fields)
}
