package event

import (
	"maps"
	"slices"

	"firth/internal/table"
)

// Columns returns the tables of a survey as they stand after the last Take, without rows, with their columns in order: those that a
// Shaper without Survey gives the same calls in the same order, each wide enough for all its values. A Shaper to which they are
// restored before it shapes these calls again discards nothing for its type; one that meets further calls goes on as ever.
//
// A restored column that no value came for keeps the type that it was restored with.
func (s *Shaper) Columns() []*table.Batch {
	var out []*table.Batch
	for _, t := range slices.SortedFunc(maps.Values(s.tables), inOrder) {
		out = append(out, &table.Batch{Name: t.name, Columns: slices.Clone(t.columns)})
	}
	return out
}

// survey settles the types of a table by all that was seen so far, and lets go of its rows.
func (s *Shaper) survey(t *shapeTable) {
	for i := range t.columns {
		st := &t.state[i]
		if !st.existing && st.seen != 0 {
			t.columns[i].Type = joinOf(st.seen)
		}
	}
	if t.inexact {
		// What a column holds but in part makes the overflow column.
		s.cast(t, &Load{})
	}
	t.rows, t.inexact = nil, false
}
