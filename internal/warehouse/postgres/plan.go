package postgres

import (
	"fmt"
	"math"
	"slices"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// change is what a table lacks for a batch.
type change struct {
	name    string
	have    *relation // nil where the server has no such table
	columns []table.Column
	key     string // the column that a new table has as its primary key, "" for none
	heap    bool   // a new table is a heap whatever the configuration says

	create bool
	adopt  bool
	add    []table.Column
	widen  []table.Column
	grow   []growth
	record []table.Column // there, and unknown to the bookkeeping
}

// growth is a column that takes a wider type of the same kind.
type growth struct{ column, to string }

func (c *change) none() bool {
	return !c.create && !c.adopt && len(c.add)+len(c.widen)+len(c.grow)+len(c.record) == 0
}

// wanted is a table that a batch writes to.
type wanted struct {
	*table.Batch
	upsert  bool // it holds one row an id
	discard bool // it is firth_discards
	scanned *scanned
}

// blocked are the columns that cannot be altered, as table.column, with the reason: their values are cast, or listed as discarded.
type blocked map[string]string

// plan compares the tables with what the server has. An error means that the batch was made for other tables than there are.
func plan(schema string, want []wanted, s state, not blocked) ([]*change, error) {
	var out []*change
	for _, w := range want {
		r := s[w.Name]
		if len(w.Name) > maxName {
			return nil, nameTooLong(schema, w.Name)
		}
		c := &change{name: w.Name, have: r, columns: typed(w.Columns), heap: w.upsert || w.discard}
		if w.upsert && len(w.Columns) > 0 {
			c.key = w.Columns[0].Name
		}
		if !r.exists() {
			for _, col := range c.columns {
				if len(col.Name) > maxName {
					return nil, nameTooLong(schema, col.Name)
				}
			}
			c.create = true
			out = append(out, c)
			continue
		}
		if err := r.checkKind(schema); err != nil {
			return nil, err
		}
		c.adopt = !r.known
		if err := c.compare(schema, w, r, not); err != nil {
			return nil, err
		}
		if !c.none() {
			out = append(out, c)
		}
	}
	return out, nil
}

// typed leaves out the columns that have no type yet.
func typed(columns []table.Column) []table.Column {
	return slices.DeleteFunc(slices.Clone(columns), func(c table.Column) bool { return c.Type == table.Null })
}

func nameTooLong(schema, name string) error {
	return &ill{
		kind: warehouse.BadName, err: fmt.Errorf("the name %q in the schema %q is longer than %d bytes", name, schema, maxName),
		hint: "this is a fault of the naming rules: report it",
	}
}

// compare finds what the columns of an existing table lack.
func (c *change) compare(schema string, w wanted, r *relation, not blocked) error {
	for _, col := range c.columns {
		have := r.get(col.Name)
		recorded, known := r.types[col.Name]
		switch {
		case have == nil && len(col.Name) > maxName:
			return nameTooLong(schema, col.Name)
		case have == nil:
			c.add = append(c.add, col)
			continue
		case !known && r.known:
			c.record = append(c.record, col)
		}
		switch {
		case have.kind == col.Type || have.fixed || have.form == formOdd || not[w.Name+"."+col.Name] != "":
		case have.kind == table.Integer && col.Type == table.Float:
			c.widen = append(c.widen, col)
		case r.known && !r.adopted && known && recorded == have.kind:
			return fmt.Errorf("table %s: column %s is %v in the warehouse and %v in the batch", w.Name, col.Name, have.kind, col.Type)
		}
	}
	c.growths(w, r, not)
	return nil
}

// growths finds the columns that are too narrow for a value of the batch.
func (c *change) growths(w wanted, r *relation, not blocked) {
	narrow := map[int32]*column{}
	for i, col := range w.Columns {
		have := r.get(col.Name)
		if have != nil && have.narrow() && !have.fixed && not[w.Name+"."+col.Name] == "" && !slices.ContainsFunc(c.widen, func(x table.Column) bool { return x.Name == col.Name }) {
			narrow[int32(i)] = have
		}
	}
	if len(narrow) == 0 {
		return
	}
	for i := range w.Rows {
		for _, cell := range w.Rows[i].Cells {
			have := narrow[cell.Col]
			if have == nil || cell.Value.Type == table.Null {
				continue
			}
			v, ok := cell.Value.Cast(have.kind)
			if !ok {
				continue
			}
			if _, wider := have.refuses(v); wider != "" {
				c.grow = append(c.grow, growth{have.name, wider})
				delete(narrow, cell.Col)
			}
		}
	}
}

// staging tells how a table's rows get in, beside a plain COPY.
type staging struct {
	needed bool
	where  string // condition on the staged rows, "" for none
}

// stagingOf decides whether rows go through a staging table: where some may be in already, and where the server must read values.
func stagingOf(target string, r *relation, p *projection, s *scanned) staging {
	var out staging
	for i := range p.columns {
		out.needed = out.needed || p.columns[i].form == formOdd
	}
	key := p.batch.Columns[0].Name
	switch {
	case r.uniqueID && key == "id":
		out.needed, out.where = true, notThere(target, key, "")
	case r.adopted && !r.through.IsZero() && (s.minReceived == event.NoTime || s.minReceived <= r.through.UnixMicro()):
		out.needed = true
		through := ""
		if s.minReceived != event.NoTime && r.through.Year() < farYear {
			through = r.through.UTC().Format("2006-01-02 15:04:05.999999+00")
		}
		out.where = notThere(target, key, through)
	}
	return out
}

// farYear stands for a table that was there and says nothing of times of receipt: every row is looked for.
const farYear = 9999

// instant is a timestamp parameter of Unix microseconds; event.NoTime is NULL.
func instant(micros int64) any {
	if micros == event.NoTime {
		return nil
	}
	return time.UnixMicro(micros).UTC()
}

// discardsBatch makes rows of firth_discards.
func discardsBatch(list []event.Discard, now time.Time) *table.Batch {
	t := &table.Batch{Name: warehouse.Discards, Columns: warehouse.DiscardColumns()}
	for _, d := range list {
		var cells []table.Cell
		for i, text := range []string{d.TableName, d.ColumnName, d.Value, d.ValueType, d.ColumnType, d.Reason, d.RowID} {
			cells = append(cells, table.Cell{Col: int32(i), Value: table.Text(readable(text))})
		}
		if d.ReceivedAt != event.NoTime && d.ReceivedAt > math.MinInt64+epoch {
			cells = append(cells, table.Cell{Col: 7, Value: table.Time(d.ReceivedAt)})
		}
		cells = append(cells, table.Cell{Col: 8, Value: table.Time(now.UnixMicro())})
		t.Rows = append(t.Rows, table.Row{Cells: cells})
	}
	return t
}
