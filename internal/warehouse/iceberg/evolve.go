package iceberg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	icetable "github.com/apache/iceberg-go/table"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// evolve opens a table and adds the columns of the batch that it lacks; it is made where it is missing.
func (l *loading) evolve(ctx context.Context, t *table.Batch) (*part, error) {
	p, err := l.open(ctx, t)
	if err != nil {
		return nil, err
	}
	wider, err := p.grow(t)
	if err == nil && len(wider) > 0 {
		err = fmt.Errorf("%w: columns became integers meanwhile", icetable.ErrCommitFailed)
	}
	return p, err
}

// widenAll goes before everything else that a load does: it refuses batches whose columns do not fit, and widens columns that must be.
func (l *loading) widenAll(ctx context.Context) error {
	type due struct {
		t     *table.Batch
		wider map[int]bool
	}
	var all []due
	for _, t := range slices.Concat(l.batch.Tables, l.batch.Upserts) {
		have, err := l.db.load(ctx, l.batch.Schema, t.Name)
		if errors.Is(err, errNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		p := &part{change: change{table: have}, ours: map[int]bool{}}
		wider, err := p.grow(t)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		if len(wider) > 0 {
			all = append(all, due{t, wider})
		}
	}
	for _, d := range all {
		if err := l.widen(ctx, d.t, d.wider); err != nil {
			return fmt.Errorf("widen columns of table %s: %w", d.t.Name, err)
		}
	}
	return nil
}

// open opens a table as it is, or makes one with the columns of the batch.
func (l *loading) open(ctx context.Context, t *table.Batch) (*part, error) {
	key := strings.ToLower(t.Name)
	if p := l.tables[key]; p != nil {
		return p, nil
	}
	have, err := l.db.load(ctx, l.batch.Schema, t.Name)
	if errors.Is(err, errNoTable) {
		have, err = l.make(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	p := &part{change: change{table: have}, ours: ours(have.props)}
	if have.isNew() {
		for _, f := range have.fields {
			p.ours[f.ID] = true
		}
	}
	if have.props[sourceKey] != l.batch.Source {
		p.set = iceberg.Properties{sourceKey: l.batch.Source}
	}
	l.noticeDropped(p)
	l.tables[key] = p
	l.order = append(l.order, p)
	return p, nil
}

// make makes a table of the columns of a batch that have a type. The rows of users and accounts are found by their ids, those of others by
// when they came.
func (l *loading) make(ctx context.Context, t *table.Batch) (*tbl, error) {
	var fields []iceberg.NestedField
	for _, c := range t.Columns {
		if c.Type == table.Null {
			continue
		}
		kind, err := typed(c.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		fields = append(fields, iceberg.NestedField{Name: c.Name, Type: kind, Doc: c.Path})
	}
	sorted := "received_at"
	if slices.ContainsFunc(l.batch.Upserts, func(u *table.Batch) bool { return u.Name == t.Name }) || upserted(t.Name) {
		sorted = "id"
	}
	return l.db.fresh(ctx, l.batch.Schema, t.Name, fields, sorted, iceberg.Properties{sourceKey: l.batch.Source})
}

// upserted says whether a table is one of those that Segment keeps a row an id in.
func upserted(name string) bool {
	return strings.EqualFold(name, "users") || strings.EqualFold(name, "accounts")
}

// noticeDropped tells of columns that somebody dropped.
func (l *loading) noticeDropped(p *part) {
	there := map[int]bool{}
	for _, f := range p.table.fields {
		there[f.ID] = true
	}
	for id := range p.ours {
		if there[id] {
			continue
		}
		delete(p.ours, id)
		name := fmt.Sprint(id)
		for _, s := range p.table.t.Metadata().Schemas() {
			if f, ok := s.FindFieldByID(id); ok {
				name = f.Name
			}
		}
		l.result.Notices = append(l.result.Notices, fmt.Sprintf("column %s.%s of %s was dropped by somebody: it is made again, empty", p.table.name, name, l.batch.Schema))
	}
}

// grow adds the columns that the table lacks, and says which must be widened.
func (p *part) grow(t *table.Batch) (wider map[int]bool, err error) {
	at := make(map[string]int, len(p.table.fields))
	for i, f := range p.table.fields {
		at[strings.ToLower(f.Name)] = i
	}
	for _, c := range t.Columns {
		if c.Type == table.Null {
			continue
		}
		i, ok := at[strings.ToLower(c.Name)]
		if !ok {
			kind, err := typed(c.Type)
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", c.Name, err)
			}
			at[strings.ToLower(c.Name)] = len(p.table.fields)
			p.ours[p.table.add(c.Name, kind, c.Path).ID] = true
			continue
		}
		switch have := typeOf(p.table.fields[i].Type); {
		case have == c.Type || have == table.Null: // the latter was made by a person: see foreign
		case have == table.Integer && c.Type == table.Float:
			if wider == nil {
				wider = map[int]bool{}
			}
			wider[p.table.fields[i].ID] = true
		default:
			return nil, fmt.Errorf("column %s is %s in the warehouse and %s in the batch", c.Name, have, c.Type)
		}
	}
	return wider, nil
}

// foreign are the columns, by name in lower case, that a person made with a type that is none of ours.
func (p *part) foreign() map[string]bool {
	out := map[string]bool{}
	for _, f := range p.table.fields {
		if typeOf(f.Type) == table.Null {
			out[strings.ToLower(f.Name)] = true
		}
	}
	return out
}

// widen turns integer columns into float ones, in a commit of its own that goes before the load. Iceberg knows no such change of a type, so
// a column gets a new id, and the files that have values of it are written anew. Values that change by it are listed.
func (l *loading) widen(ctx context.Context, b *table.Batch, ids map[int]bool) error {
	old, err := l.db.load(ctx, l.batch.Schema, b.Name)
	if err != nil {
		return err
	}
	wide := *old
	wide.fields = slices.Clone(old.fields)
	p := &part{change: change{table: &wide}, ours: ours(old.props)}
	var names []string
	for i, f := range old.fields {
		if !ids[f.ID] {
			continue
		}
		wide.lastID++
		names = append(names, f.Name)
		wide.fields[i].ID, wide.fields[i].Type = wide.lastID, iceberg.PrimitiveTypes.Float64
		delete(p.ours, f.ID)
		p.ours[wide.lastID] = true
	}
	for _, f := range old.files {
		if slices.ContainsFunc(old.fields, func(c iceberg.NestedField) bool { return ids[c.ID] && mayHoldValues(f, c.ID) }) {
			p.remove = append(p.remove, f)
		}
	}
	w := &loading{db: l.db, batch: &warehouse.Batch{Source: l.batch.Source, Schema: l.batch.Schema}, now: l.now, result: l.result, tables: map[string]*part{}, temps: 1 << 20}
	if w.shop, err = l.workshop(ctx); err != nil {
		return err
	}
	w.order = append(w.order, p)
	err = w.rewriteWide(ctx, old, p, names)
	w.shop = nil // it is the load's
	return errors.Join(err, w.close(ctx, err))
}

// mayHoldValues says whether a file has a value in a column that is not NULL, as far as the manifest tells.
func mayHoldValues(f dataFile, id int) bool {
	if len(f.ValueCounts()) == 0 {
		return true // somebody else wrote it
	}
	values, ok := f.ValueCounts()[id]
	return ok && f.NullValueCounts()[id] < values
}

func (l *loading) rewriteWide(ctx context.Context, old *tbl, p *part, names []string) error {
	var err error
	if l.book, err = l.db.readBook(ctx, l.batch.Schema); err != nil {
		return err
	}
	if err := l.begin(ctx); err != nil {
		return err
	}
	listed := int64(0)
	counts := make([]int64, len(names))
	for _, group := range grouped(p.remove) {
		r, err := l.db.scan(ctx, old, group)
		if err != nil {
			return err
		}
		l.held = append(l.held, r.release)
		if err := l.add(ctx, p, "SELECT * FROM "+r.expr); err != nil {
			return err
		}
		for i, name := range names {
			n, err := l.listInexact(ctx, old.name, name, r.expr)
			if err != nil {
				return fmt.Errorf("list rounded values: %w", err)
			}
			counts[i] += n
			listed += n
		}
	}
	if err := l.commit(ctx); err != nil {
		return err
	}
	for i, name := range names {
		notice := fmt.Sprintf("%s.%s was widened from integer to float", old.name, name)
		if counts[i] > 0 {
			notice += fmt.Sprintf("; %d values beyond 2^53 are rounded and listed in %s", counts[i], warehouse.Discards)
		}
		l.db.told[l.batch.Schema] = append(l.db.told[l.batch.Schema], notice)
	}
	l.db.listed[l.batch.Schema] += listed
	return nil
}

// listInexact writes into the discards those integers of a column that no float holds.
func (l *loading) listInexact(ctx context.Context, name, column, from string) (int64, error) {
	d := l.tables[warehouse.Discards]
	before := int64(0)
	for _, f := range d.add {
		before += f.Count()
	}
	if err := l.add(ctx, d, inexact(name, column, from, l.now)); err != nil {
		return 0, err
	}
	n := -before
	for _, f := range d.add {
		n += f.Count()
	}
	return n, nil
}

// groupBytes is about how much of a table's files is written anew by one statement.
const groupBytes = 256 << 20

// grouped cuts files into groups of a bounded size.
func grouped(files []dataFile) (out [][]dataFile) {
	size := int64(0)
	for _, f := range files {
		if len(out) == 0 || size+f.FileSizeBytes() > groupBytes {
			out, size = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], f)
		size += f.FileSizeBytes()
	}
	return out
}
