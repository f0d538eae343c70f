package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// checkCells refuses a batch whose values are not of the types that it names, before anything is changed for it.
func checkCells(t *table.Batch) error {
	for i := range t.Rows {
		for _, c := range t.Rows[i].Cells {
			want := t.Columns[c.Col]
			if c.Value.Type == want.Type {
				continue
			}
			if want.Type == table.Null && c.Value.Type != table.Null {
				return fmt.Errorf("row %d: a value in column %s, which has no type", i, want.Name)
			}
			if _, ok := c.Value.Cast(want.Type); !ok {
				return fmt.Errorf("row %d: column %s: a value of type %s in a column of type %s", i, want.Name, c.Value.Type, want.Type)
			}
		}
	}
	return nil
}

// rowSet is the rows of one table, ready to be written: every value fits its column.
type rowSet struct {
	relation *relation
	batch    *table.Batch
	rows     []table.Row
	columns  []*column // those that are written, the first is the id
	place    []int     // by column of the batch: the place among columns, or -1
	stamps   []string  // columns that take the time of the load
}

func (s *rowSet) names() []string {
	out := make([]string, len(s.columns))
	for i, c := range s.columns {
		out[i] = c.name
	}
	return out
}

// fitting finds out what of a batch fits its table.
type fitting struct {
	server *server
	t      *table.Batch
	have   []*column // by column of the batch
	width  int       // columns of the table
	unfit  []event.Discard
	grow   []*column
}

// fit takes out of the rows what does not fit their columns and lists it. Where columns can grow instead, they are named and
// the rest means nothing.
func (l *loading) fit(t *table.Batch) (set *rowSet, unfit []event.Discard, grow []*column) {
	r := l.tables[l.db.key(t.Name)]
	f := &fitting{server: &l.db.server, t: t, have: make([]*column, len(t.Columns)), width: len(r.columns)}
	for i, c := range t.Columns {
		f.have[i] = r.find(c.Name)
	}
	set = &rowSet{relation: r, batch: t, rows: t.Rows}
	copied := false
	for i := range t.Rows {
		cells, changed := f.row(i)
		if !changed {
			continue
		}
		if !copied {
			set.rows, copied = slices.Clone(t.Rows), true
		}
		set.rows[i].Cells = cells
	}
	l.project(set, f.have)
	return set, f.unfit, f.grow
}

// row returns the cells that fit, and whether those are others than the row has.
func (f *fitting) row(i int) ([]table.Cell, bool) {
	cells, changed := f.t.Rows[i].Cells, false
	drop := func(at int, reason string) {
		if !changed {
			cells, changed = slices.Clone(cells), true
		}
		f.discard(i, cells[at], reason)
		cells[at].Value = table.Value{}
	}
	size := 0
	for at, cell := range cells {
		c := f.have[cell.Col]
		if c == nil || cell.Value.Type == table.Null {
			continue
		}
		v, ok := cell.Value.Cast(c.typ)
		switch {
		case ok || c.foreign:
		case cell.Value.Type == c.typ:
			drop(at, warehouse.ReasonRange) // an infinite number
			continue
		default:
			drop(at, "incompatible schema conversion from "+c.typ.String()+" to "+cell.Value.Type.String())
			continue
		}
		if reason := c.fits(v, f.server.mostText); reason != "" {
			if f.grows(c, v) {
				continue
			}
			drop(at, reason)
			continue
		}
		size += inlineBytes(v)
	}
	// A bit a column that may be NULL is within the row too.
	if most := f.server.rowBytes - f.width/8; size > most {
		for at := len(cells) - 1; at > 0 && size > most; at-- {
			if v := cells[at].Value; v.Type != table.Null && f.t.Columns[cells[at].Col].Path != "" {
				size -= inlineBytes(v)
				drop(at, warehouse.ReasonRow)
			}
		}
	}
	return cells, changed
}

// grows notes that a column should grow for a value, if that would help.
func (f *fitting) grows(c *column, v table.Value) bool {
	if c.grown("") == "" || c.typ == table.Boolean {
		return false
	}
	wide := &column{data: "longtext", full: "longtext", charset: "utf8mb4", bytes: 1<<32 - 1, fraction: microDigits, typ: c.typ}
	switch c.typ {
	case table.Integer:
		wide.data, wide.full = "bigint", "bigint"
	case table.Float:
		wide.data, wide.full = "double", "double"
	case table.Timestamp:
		wide.data, wide.full = "datetime", "datetime(6)"
	}
	if wide.data == c.data && wide.full == c.full && c.charset == wide.charset || wide.fits(v, f.server.mostText) != "" {
		return false
	}
	if !slices.Contains(f.grow, c) {
		f.grow = append(f.grow, c)
	}
	return true
}

// mostDiscarded is how much of a value that does not fit is listed, in bytes.
const mostDiscarded = 64 << 10

func (f *fitting) discard(row int, cell table.Cell, reason string) {
	var received int64 = event.NoTime
	if v := f.t.Get(row, "received_at"); v.Type == table.Timestamp {
		received = v.Int64()
	}
	f.unfit = append(f.unfit, event.Discard{
		TableName: f.t.Name, ColumnName: f.t.Columns[cell.Col].Name, Value: cell.Value.String(), ValueType: cell.Value.Type.String(),
		ColumnType: f.t.Columns[cell.Col].Type.String(), Reason: reason,
		RowID: f.t.Get(row, f.t.Columns[0].Name).Text, ReceivedAt: received,
	})
}

// project chooses the columns that are written: those with a value, and the first, which is the id. The others are left to the
// server, so that defaults and generated columns of the table's owner work.
func (l *loading) project(set *rowSet, have []*column) {
	used := make([]bool, len(have))
	for i := range set.rows {
		for _, c := range set.rows[i].Cells {
			used[c.Col] = used[c.Col] || c.Value.Type != table.Null
		}
	}
	set.place = make([]int, len(have))
	for i, c := range have {
		set.place[i] = -1
		if c == nil || c.computed || i > 0 && !used[i] {
			continue
		}
		if isStamp(c) {
			continue
		}
		set.place[i] = len(set.columns)
		set.columns = append(set.columns, c)
	}
	for _, c := range set.relation.columns {
		if isStamp(c) {
			set.stamps = append(set.stamps, c.name)
		}
	}
}

// isStamp tells the columns that take the time of the load.
func isStamp(c *column) bool {
	return (c.name == warehouse.UUIDTS || c.name == warehouse.LoadedAt) && c.typ == table.Timestamp && c.path == "" && !c.computed
}

// readable is a text that can be listed: one that is not UTF-8 is quoted, a very long one is cut.
func readable(s string) string {
	if !utf8.ValidString(s) {
		s = strconv.QuoteToASCII(s)
	}
	if len(s) > mostDiscarded {
		s = strings.ToValidUTF8(s[:mostDiscarded], "")
	}
	return s
}

// discardRows makes a batch of discards.
func discardRows(list []event.Discard) *table.Batch {
	t := &table.Batch{Name: warehouse.Discards, Columns: warehouse.DiscardColumns()}
	for _, d := range list {
		texts := []string{d.TableName, d.ColumnName, d.Value, d.ValueType, d.ColumnType, d.Reason, d.RowID}
		row := table.Row{}
		for i, s := range texts {
			row.Cells = append(row.Cells, table.Cell{Col: int32(i), Value: table.Text(readable(s))})
		}
		if d.ReceivedAt != event.NoTime {
			row.Cells = append(row.Cells, table.Cell{Col: int32(len(texts)), Value: table.Time(d.ReceivedAt)})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
