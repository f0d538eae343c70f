package event

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"firth/internal/name"
	"firth/internal/table"
)

// Reasons of discards, beside "incompatible schema conversion from <column's type> to <value's type>".
const (
	DiscardFuture    = "ts_in_future"        // a timestamp more than a day ahead of receipt: received_at is stored
	DiscardInexact   = "integer_not_exact"   // an integer that no float64 is equal to, for a column of floats
	DiscardRange     = "number_out_of_range" // a number beyond the range of float64
	DiscardNotScalar = "not_a_scalar"        // an object or array where a standard column wants a scalar
	DiscardMalformed = "malformed_json"      // a document that cannot be read; what stands before the fault is stored
)

// Load is what Take returns: the rows of the calls since the last one.
type Load struct {
	// Tables are appended to: the tables of the call types and the event tables, in that order. The columns of each are those of
	// the table after the load, in order: columns that the warehouse lacks are new, and one that it has as integer and that is a
	// float here has been widened. Cells have the type of their column.
	Tables []*table.Batch
	// Upserts are users and accounts: one row an id, which is the first column. A cell takes the place of what is stored, a column
	// without one keeps it.
	Upserts []*table.Batch
	// Discards are the values that could not be stored where they belong.
	Discards []Discard
	// Widened are the columns of Tables and Upserts that existed as integers and are floats now.
	Widened []Widened
	// Notices are for a person to read.
	Notices []string
	// Calls is the number of calls.
	Calls int
}

// Widened names a column that was altered from integer to float.
type Widened struct{ Table, Column string }

// Take returns everything since the last Take. It supposes that the load will succeed: types and columns are settled by it.
func (s *Shaper) Take() *Load {
	load := &Load{Calls: s.calls}
	slices.SortFunc(s.touched, inOrder)
	for _, t := range s.touched {
		if s.opts.Survey {
			s.survey(t)
			continue
		}
		s.settle(t, load)
		b := &table.Batch{Name: t.name, Columns: slices.Clone(t.columns), Rows: t.rows}
		t.rows, t.inexact = nil, false
		switch strings.ToLower(t.name) {
		case "users", "accounts":
			b.Rows = latest(b.Rows, t.std[stdID], t.std[stdReceivedAt], len(b.Columns))
			load.Upserts = append(load.Upserts, b)
		default:
			load.Tables = append(load.Tables, b)
		}
	}
	if !s.opts.Survey {
		load.Discards = append(s.discards, load.Discards...)
	}
	if len(s.beyond) > 0 {
		some := slices.Sorted(maps.Keys(s.beyond))
		load.Notices = append(load.Notices, fmt.Sprintf("the cap of %d event tables is reached: events such as %s are rows of tracks alone",
			s.opts.MaxEventTables, strings.Join(some, ", ")))
		clear(s.beyond)
	}
	s.touched, s.discards, s.calls, s.cells = s.touched[:0], nil, 0, nil
	return load
}

// Standard lists the tables that a source has before its first call, each with its standard columns and without rows.
func Standard(rules name.Rules) []*table.Batch {
	s := NewShaper("", rules, ShapeOptions{})
	var out []*table.Batch
	for _, n := range name.StandardTables() {
		if isShaped(n) {
			t := s.standardTable(n)
			out = append(out, &table.Batch{Name: t.name, Columns: slices.Clone(t.columns)})
		}
	}
	return out
}

// inOrder sorts tables as Load has them.
func inOrder(a, b *shapeTable) int {
	return cmp.Or(cmp.Compare(tableRank(a.name), tableRank(b.name)), cmp.Compare(a.name, b.name))
}

// tableRank orders the standard tables before the event tables.
func tableRank(tableName string) int {
	if i := slices.Index(name.StandardTables(), strings.ToLower(tableName)); i >= 0 {
		return i
	}
	return math.MaxInt
}

// settle gives the new columns their types, widens, and brings the cells to the types of their columns.
func (s *Shaper) settle(t *shapeTable, load *Load) {
	mixed := t.odd || t.inexact
	var narrow []bool // integer columns that floats came for
	for i := range t.columns {
		st, col := &t.state[i], &t.columns[i]
		seen := st.seen
		st.seen = 0
		switch {
		case !st.existing:
			col.Type, st.existing = joinOf(seen), true
		case seen&^(1<<col.Type) != 0 && col.Type == table.Integer && seen&(1<<table.Float) != 0 && !s.opts.StrictTypes:
			if narrow == nil {
				narrow = make([]bool, len(t.columns))
			}
			narrow[i] = true
		}
		mixed = mixed || seen&^(1<<col.Type) != 0
	}
	if narrow != nil {
		t.widen(narrow, load)
	}
	if mixed {
		s.cast(t, load)
	}
}

// joinOf is the join of the types in a set.
func joinOf(seen uint8) table.Type {
	join := table.Null
	for typ := table.Boolean; typ <= table.String; typ++ {
		if seen&(1<<typ) != 0 {
			join = table.Join(join, typ)
		}
	}
	return join
}

// widen makes floats of those columns that a value does not fit otherwise; integral floats fit an integer column as it is.
func (t *shapeTable) widen(narrow []bool, load *Load) {
	for i := range t.rows {
		for _, c := range t.rows[i].Cells {
			if !narrow[c.Col] || c.Value.Type != table.Float || math.IsInf(c.Value.Float64(), 0) {
				continue
			}
			if _, ok := c.Value.Cast(table.Integer); ok {
				continue
			}
			narrow[c.Col] = false
			t.columns[c.Col].Type = table.Float
			load.Widened = append(load.Widened, Widened{Table: t.name, Column: t.columns[c.Col].Name})
		}
	}
}

// cast brings every cell to the type of its column. What does not fit is taken out and listed; what fits but in part, an integer
// beyond int64 or a time finer than a microsecond, has its text in the overflow as well.
func (s *Shaper) cast(t *shapeTable, load *Load) {
	for i := range t.rows {
		row := &t.rows[i]
		kept := row.Cells[:0]
		var over string
		for _, c := range row.Cells {
			col := &t.columns[c.Col]
			v, ok := c.Value.Cast(col.Type)
			if !ok {
				load.Discards = append(load.Discards, t.misfit(row, c.Value, col))
				continue
			}
			if t.inexact && !v.Exact() {
				raw := v.Text
				if v.Type == table.Timestamp {
					quoted, _ := jsontext.AppendQuote(nil, raw)
					raw = string(quoted)
				}
				over = withMember(over, cmp.Or(col.Path, col.Name), raw)
			}
			c.Value = v
			kept = append(kept, c)
		}
		row.Cells = kept
		if over != "" {
			row.Cells = t.addOverflow(row.Cells, over, s.rules)
		}
	}
}

// addOverflow joins members to those that the row has already.
func (t *shapeTable) addOverflow(cells []table.Cell, object string, r name.Rules) []table.Cell {
	at := t.overflowAt(r)
	for i := range cells {
		if c := &cells[i]; c.Col == at {
			c.Value = table.Text(strings.TrimSuffix(c.Value.Text, "}") + "," + object[1:])
			return cells
		}
	}
	return append(cells, table.Cell{Col: at, Value: table.Text(object)})
}

// misfit is the discard of a value that does not fit its column.
func (t *shapeTable) misfit(row *table.Row, v table.Value, col *table.Column) Discard {
	d := Discard{
		TableName: t.name, ColumnName: col.Name, Value: v.String(), ValueType: v.Type.String(), ColumnType: col.Type.String(),
	}
	for _, c := range row.Cells {
		switch c.Col {
		case t.std[stdID]:
			d.RowID = c.Value.Text
		case t.std[stdReceivedAt]:
			d.ReceivedAt = c.Value.Int64()
		}
	}
	switch {
	case v.Type == table.Float && math.IsInf(v.Float64(), 0):
		d.Reason = DiscardRange
	case v.Type == table.Integer && col.Type == table.Float:
		d.Reason = DiscardInexact
	default:
		d.Reason = fmt.Sprintf("incompatible schema conversion from %s to %s", col.Type, v.Type)
	}
	return d
}

// latest merges rows that share an id into one: of each column the last value, by time of receipt and then by offset.
func latest(rows []table.Row, idAt, receivedAt int32, columns int) []table.Row {
	received := func(r *table.Row) int64 {
		for i := range r.Cells {
			if r.Cells[i].Col == receivedAt {
				return r.Cells[i].Value.Int64()
			}
		}
		return NoTime
	}
	slices.SortStableFunc(rows, func(a, b table.Row) int {
		return cmp.Or(cmp.Compare(received(&a), received(&b)), cmp.Compare(a.Offset, b.Offset))
	})
	groups := make(map[string][]int, len(rows))
	var ids []string
	for i := range rows {
		id := cellText(&rows[i], idAt)
		if groups[id] == nil {
			ids = append(ids, id)
		}
		groups[id] = append(groups[id], i)
	}
	out := make([]table.Row, 0, len(ids))
	seen := make([]int, columns)
	for n, id := range ids {
		group := groups[id]
		row := rows[group[len(group)-1]]
		for _, c := range row.Cells {
			seen[c.Col] = n + 1
		}
		for k := len(group) - 2; k >= 0; k-- {
			for _, c := range rows[group[k]].Cells {
				if seen[c.Col] != n+1 {
					seen[c.Col] = n + 1
					row.Cells = append(row.Cells[:len(row.Cells):len(row.Cells)], c)
				}
			}
		}
		out = append(out, row)
	}
	return out
}

func cellText(r *table.Row, at int32) string {
	for i := range r.Cells {
		if r.Cells[i].Col == at {
			return r.Cells[i].Value.Text
		}
	}
	return ""
}
