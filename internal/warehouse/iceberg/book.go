package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// bookName is the table of a schema that has no rows: its properties are the bookkeeping. It changes in the commit of the rows.
const bookName = "_firth"

// Properties of the book and of tables.
const (
	// positionsKey of the book: by source and journal, how far it has been loaded. A source that was prepared is in it without a journal.
	positionsKey = "firth.positions"
	// tablesKey of the book: the names of the tables that loads made.
	tablesKey = "firth.tables"
	// sourceKey of a table: the source whose loads made it.
	sourceKey = "firth.source"
	// columnsKey of a table: the field ids of the columns that loads made, as ranges. Others were added by somebody else.
	columnsKey = "firth.columns"
)

// position is a position as the book has it; times are in Unix microseconds.
type position struct {
	Next    uint64 `json:"next"`
	Through *int64 `json:"received_through,omitempty"`
	At      int64  `json:"at"`
}

// book is the bookkeeping of a schema.
type book struct {
	table     *tbl
	positions map[string]map[string]position // by source, by journal
	made      []string
}

// readBook opens the bookkeeping of a schema; errNoTable where there is none.
func (d *DB) readBook(ctx context.Context, schema string) (*book, error) {
	t, err := d.load(ctx, schema, bookName)
	if err != nil {
		return nil, err
	}
	b := &book{table: t, positions: map[string]map[string]position{}}
	for key, into := range map[string]any{positionsKey: &b.positions, tablesKey: &b.made} {
		if text := t.props[key]; text != "" {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return nil, fmt.Errorf("property %s of %s.%s: %w", key, schema, bookName, err)
			}
		}
	}
	return b, nil
}

// openBook is readBook that makes it where there is none.
func (d *DB) openBook(ctx context.Context, schema string) (*book, error) {
	b, err := d.readBook(ctx, schema)
	if !errors.Is(err, errNoTable) {
		return b, err
	}
	fields := []iceberg.NestedField{{Name: "nothing", Type: iceberg.PrimitiveTypes.String, Doc: "The properties of this table say how far its schema has been loaded."}}
	t, err := d.fresh(ctx, schema, bookName, fields, "", nil)
	if err != nil {
		return nil, err
	}
	return &book{table: t, positions: map[string]map[string]position{}}, nil
}

// change is that of the book, for the commit of what it tells of.
func (b *book) change() (change, error) {
	set := iceberg.Properties{}
	for key, v := range map[string]any{positionsKey: b.positions, tablesKey: b.made} {
		text, err := json.Marshal(v)
		if err != nil {
			return change{}, fmt.Errorf("encode property %s: %w", key, err)
		}
		set[key] = string(text)
	}
	return change{table: b.table, set: set, touch: true}, nil
}

// know puts a source and tables into the book.
func (b *book) know(source string, names ...string) {
	if b.positions[source] == nil {
		b.positions[source] = map[string]position{}
	}
	for _, n := range names {
		if !slices.Contains(b.made, n) {
			b.made = append(b.made, n)
		}
	}
	slices.Sort(b.made)
}

// move sets the position of a batch.
func (b *book) move(w *warehouse.Batch, now time.Time) {
	b.know(w.Source)
	p := b.positions[w.Source][w.Log]
	p.Next, p.At = w.To, now.UnixMicro()
	if w.ReceivedThrough != event.NoTime && (p.Through == nil || *p.Through < w.ReceivedThrough) {
		through := w.ReceivedThrough
		p.Through = &through
	}
	b.positions[w.Source][w.Log] = p
}

// eachBook calls fn with the books that know a source.
func (d *DB) eachBook(ctx context.Context, source string, fn func(schema string, b *book) error) error {
	schemas, err := d.present(ctx)
	if err != nil {
		return err
	}
	for _, schema := range schemas {
		b, err := d.readBook(ctx, schema)
		if errors.Is(err, errNoTable) {
			continue
		}
		if err == nil && b.positions[source] != nil {
			err = fn(schema, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Positions returns how far each journal has been loaded for the source; a journal that is missing has not been begun.
func (d *DB) Positions(ctx context.Context, source string) (map[string]warehouse.Position, error) {
	out := map[string]warehouse.Position{}
	err := d.eachBook(ctx, source, func(_ string, b *book) error {
		for log, p := range b.positions[source] {
			through := int64(event.NoTime)
			if p.Through != nil {
				through = *p.Through
			}
			out[log] = warehouse.Position{Next: p.Next, LoadedThrough: through, LoadedAt: time.UnixMicro(p.At).UTC()}
		}
		return nil
	})
	if err != nil {
		return nil, d.fail("read positions", source, err)
	}
	return out, nil
}

// Catalogue returns the tables that loads have made for the source and that are there, with the columns that they have, in order. A column
// whose type is none of ours is table.Null.
func (d *DB) Catalogue(ctx context.Context, source string) ([]warehouse.Table, error) {
	var out []warehouse.Table
	err := d.eachBook(ctx, source, func(schema string, _ *book) error {
		s, err := d.space(ctx, schema)
		if err != nil {
			return err
		}
		names, err := d.tables(ctx, schema)
		if err != nil {
			return err
		}
		for _, name := range names {
			t, err := s.catalog.Load(ctx, name)
			if err != nil {
				return err
			}
			if t.Properties()[sourceKey] != source || name == warehouse.Discards {
				continue
			}
			out = append(out, warehouse.Table{Name: name, Columns: columnsOf(t.Schema().Fields())})
		}
		return nil
	})
	if err != nil {
		return nil, d.fail("read catalogue", source, err)
	}
	return out, nil
}

func columnsOf(fields []iceberg.NestedField) []table.Column {
	out := make([]table.Column, len(fields))
	for i, f := range fields {
		out[i] = table.Column{Name: f.Name, Type: typeOf(f.Type), Path: f.Doc}
	}
	return out
}

// ours are the ids of the columns that loads made.
func ours(p iceberg.Properties) map[int]bool {
	out := map[int]bool{}
	for part := range strings.SplitSeq(p[columnsKey], ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || to-from > 1<<20 {
			continue
		}
		for id := from; id <= to; id++ {
			out[id] = true
		}
	}
	return out
}

// ranges writes ids as [ours] reads them.
func ranges(ids map[int]bool) string {
	var parts []string
	sorted := slices.Sorted(maps.Keys(ids))
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		part := strconv.Itoa(sorted[i])
		if j > i {
			part += "-" + strconv.Itoa(sorted[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}
