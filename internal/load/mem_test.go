package load_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// memWarehouse keeps every table in memory and can do all that a warehouse may: it is the plain reading of the contract.
type memWarehouse struct {
	mu        sync.Mutex
	positions map[string]map[string]warehouse.Position // by source
	schemas   map[string]map[string]*memTable          // by schema and table
	owners    map[string]string                        // source to schema
	discards  map[string]map[string]event.Discard      // by schema
	fail      func(op string) error                    // before the work
	lose      func(op string) error                    // after it: the answer is lost
	swaps     int
	held      func() // at the start of a swap
}

type memTable struct {
	columns []table.Column
	rows    []map[string]table.Value
}

func newMemWarehouse() *memWarehouse {
	return &memWarehouse{
		positions: map[string]map[string]warehouse.Position{}, schemas: map[string]map[string]*memTable{}, owners: map[string]string{},
		discards: map[string]map[string]event.Discard{},
	}
}

func (w *memWarehouse) before(ctx context.Context, op string) error {
	if w.fail != nil {
		if err := w.fail(op); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *memWarehouse) after(op string) error {
	if w.lose != nil {
		return w.lose(op)
	}
	return nil
}

func (w *memWarehouse) Positions(ctx context.Context, source string) (map[string]warehouse.Position, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]warehouse.Position{}
	maps.Copy(out, w.positions[source])
	return out, w.before(ctx, "positions")
}

func (w *memWarehouse) Catalogue(ctx context.Context, source string) ([]warehouse.Table, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []warehouse.Table
	for name, t := range w.schemas[w.owners[source]] {
		out = append(out, warehouse.Table{Name: name, Columns: slices.Clone(t.columns)})
	}
	slices.SortFunc(out, func(a, b warehouse.Table) int { return cmp.Compare(a.Name, b.Name) })
	return out, w.before(ctx, "catalogue")
}

func (w *memWarehouse) evolve(schema string, b *table.Batch) (*memTable, error) {
	if w.schemas[schema] == nil {
		w.schemas[schema], w.discards[schema] = map[string]*memTable{}, map[string]event.Discard{}
	}
	t := w.schemas[schema][b.Name]
	if t == nil {
		t = &memTable{}
		w.schemas[schema][b.Name] = t
	}
	for _, c := range b.Columns {
		if c.Type == table.Null {
			continue
		}
		at := slices.IndexFunc(t.columns, func(o table.Column) bool { return o.Name == c.Name })
		switch {
		case at < 0:
			t.columns = append(t.columns, c)
		case t.columns[at].Type == table.Integer && c.Type == table.Float:
			t.columns[at].Type = table.Float
		case t.columns[at].Type != c.Type:
			return nil, fmt.Errorf("table %s: column %s is %s in the warehouse and %s in the batch", b.Name, c.Name, t.columns[at].Type, c.Type)
		}
	}
	return t, nil
}

func values(b *table.Batch, i int) map[string]table.Value {
	out := map[string]table.Value{}
	for _, c := range b.Rows[i].Cells {
		out[b.Columns[c.Col].Name] = c.Value
	}
	return out
}

func (w *memWarehouse) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.before(ctx, "load"); err != nil {
		return nil, err
	}
	at := w.positions[b.Source][b.Log].Next
	if at >= b.To {
		return &warehouse.Result{Duplicate: true}, nil
	}
	if at != b.From {
		return nil, &warehouse.Error{Op: "load", Object: b.Source, Kind: warehouse.Moved, Err: fmt.Errorf("at %d, the batch begins at %d", at, b.From)}
	}
	r := &warehouse.Result{Rows: map[string]int64{}}
	for _, tb := range b.Tables {
		t, err := w.evolve(b.Schema, tb)
		if err != nil {
			return nil, err
		}
		for i := range tb.Rows {
			t.rows = append(t.rows, values(tb, i))
		}
		r.Rows[tb.Name] += int64(len(tb.Rows))
	}
	for _, tb := range b.Upserts {
		t, err := w.evolve(b.Schema, tb)
		if err != nil {
			return nil, err
		}
		for i := range tb.Rows {
			t.upsert(tb.Columns[0].Name, values(tb, i))
		}
	}
	w.discard(b)
	w.owners[b.Source] = b.Schema
	if w.positions[b.Source] == nil {
		w.positions[b.Source] = map[string]warehouse.Position{}
	}
	w.positions[b.Source][b.Log] = warehouse.Position{Next: b.To, LoadedThrough: b.ReceivedThrough}
	return r, w.after("load")
}

func (w *memWarehouse) discard(b *warehouse.Batch) {
	for _, d := range b.Discards {
		w.discards[b.Schema][d.TableName+" "+d.ColumnName+" "+d.RowID] = d
	}
}

func (t *memTable) upsert(key string, row map[string]table.Value) {
	for _, have := range t.rows {
		if have[key].Text == row[key].Text {
			maps.Copy(have, row)
			return
		}
	}
	t.rows = append(t.rows, row)
}

func (t *memTable) has(id string) bool {
	return t != nil && slices.ContainsFunc(t.rows, func(r map[string]table.Value) bool { return r["id"].Text == id })
}

func (w *memWarehouse) Replay(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.before(ctx, "replay"); err != nil {
		return nil, err
	}
	r := &warehouse.Result{Rows: map[string]int64{}}
	for _, tb := range b.Tables {
		t, err := w.evolve(b.Schema, tb)
		if err != nil {
			return nil, err
		}
		for i := range tb.Rows {
			if row := values(tb, i); !t.has(row["id"].Text) {
				t.rows = append(t.rows, row)
				r.Rows[tb.Name]++
			}
		}
	}
	for _, tb := range b.Upserts {
		t, err := w.evolve(b.Schema, tb)
		if err != nil {
			return nil, err
		}
		for i := range tb.Rows {
			w.compute(b.Schema, t, tb.Name, values(tb, i)["id"].Text)
		}
	}
	w.discard(b)
	return r, w.after("replay")
}

// compute makes one row of users or accounts out of those of identifies or groups.
func (w *memWarehouse) compute(schema string, t *memTable, name, id string) {
	of, key := "identifies", "user_id"
	if name == "accounts" {
		of, key = "groups", "group_id"
	}
	t.rows = slices.DeleteFunc(t.rows, func(r map[string]table.Value) bool { return r["id"].Text == id })
	row := map[string]table.Value{}
	from := slices.Clone(w.schemas[schema][of].rows)
	slices.SortStableFunc(from, func(a, b map[string]table.Value) int {
		return cmp.Or(cmp.Compare(a["received_at"].Int64(), b["received_at"].Int64()), cmp.Compare(a["id"].Text, b["id"].Text))
	})
	for _, have := range from {
		if have[key].Text != id {
			continue
		}
		for _, c := range t.columns {
			if v, ok := have[c.Name]; ok {
				row[c.Name] = v
			}
		}
	}
	row["id"] = table.Text(id)
	t.rows = append(t.rows, row)
}

func (w *memWarehouse) Swap(ctx context.Context, s *warehouse.Swap) (*warehouse.Result, error) {
	if w.held != nil {
		w.held()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.before(ctx, "swap"); err != nil {
		return nil, err
	}
	at := func(source string) map[string]uint64 {
		out := map[string]uint64{}
		for log, p := range w.positions[source] {
			out[log] = p.Next
		}
		return out
	}
	if !maps.Equal(at(s.Source), at(s.RebuildSource)) {
		return nil, &warehouse.Error{Op: "swap", Object: s.Source, Kind: warehouse.Moved, Err: fmt.Errorf("%v and %v", at(s.Source), at(s.RebuildSource))}
	}
	for _, name := range s.Tables {
		if t := w.schemas[s.RebuildSchema][name]; t != nil {
			w.schemas[s.Schema][name] = t
			maps.DeleteFunc(w.discards[s.Schema], func(_ string, d event.Discard) bool { return d.TableName == name })
		}
	}
	maps.Copy(w.discards[s.Schema], w.discards[s.RebuildSchema])
	w.drop(s.RebuildSource, s.RebuildSchema)
	w.swaps++
	return &warehouse.Result{Notices: []string{"swapped"}}, w.after("swap")
}

func (w *memWarehouse) drop(source, schema string) {
	delete(w.positions, source)
	delete(w.owners, source)
	delete(w.schemas, schema)
	delete(w.discards, schema)
}

func (w *memWarehouse) DropRebuild(ctx context.Context, source, schema string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(source, schema)
	return w.before(ctx, "drop")
}

// dump is all that the schema holds, for comparisons: every row and type, sorted.
func (w *memWarehouse) dump(schema string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for name, t := range w.schemas[schema] {
		types := map[string]table.Type{}
		for _, c := range t.columns {
			types[c.Name] = c.Type
			if c.Path != "" {
				out = append(out, fmt.Sprintf("%s: %s %s", name, c.Name, c.Type))
			}
		}
		for _, r := range t.rows {
			var cells []string
			for n, v := range r {
				cast, ok := v.Cast(types[n])
				if !ok {
					cast = table.Text("does not fit: " + v.String())
				}
				text := cast.String()
				if cast.Type == table.Float {
					text = fmt.Sprint(cast.Float64())
				}
				cells = append(cells, n+"="+text)
			}
			slices.Sort(cells)
			out = append(out, name+" "+strings.Join(cells, " "))
		}
	}
	for _, d := range w.discards[schema] {
		out = append(out, fmt.Sprintf("discard %s.%s %s %s", d.TableName, d.ColumnName, d.RowID, d.Value))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

var errLost = &warehouse.Error{Op: "load", Kind: warehouse.Down, Err: errors.New("the connection was cut")}

var (
	_ load.Warehouse = (*memWarehouse)(nil)
	_ load.Replayer  = (*memWarehouse)(nil)
	_ load.Rebuilder = (*memWarehouse)(nil)
)
