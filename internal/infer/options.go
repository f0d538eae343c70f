// Package infer makes columns of documents: it counts what the fields of a sample hold, plans a column for each, says openly how sure
// that is, and then shapes documents into chunks by the plan, which grows with what turns up. No value is lost on the way: it is in its
// column exactly, in a JSON column, or among the rejects with the reason.
package infer

import "firth/internal/vector"

// Defaults of Options.
const (
	DefaultDepth      = 3
	DefaultThreshold  = 1.0
	DefaultMaxColumns = 1000
)

// Extra is the name of the column that holds, as a JSON object by path, the fields for which there was no column left.
const Extra = "_extra"

// ExtraPath is the path of that column.
const ExtraPath = "*"

// Override is what a person decided about a path.
type Override struct {
	Type   *vector.Type // nil: inferred
	As     string       // the column's name; empty: from the path
	Arrays string       // json or table; empty: as ArraysAsTables says
	Drop   bool         // the field and all below never become a column
}

// Options say how documents become columns. The zero Options are the defaults.
type Options struct {
	// Depth is how many levels of objects are flattened; objects below are JSON. 0: DefaultDepth; less: none.
	Depth int
	// Threshold is which part of a field's values its type must hold, above 0 to 1: the rest is rejected. 0: DefaultThreshold, all.
	Threshold float64
	// Overrides by path, as JoinPath writes it.
	Overrides map[string]Override
	// Columns are the only paths that are wanted, with all below them; none: all. Exclude are those that never leave, with all below
	// them, also inside JSON and in every element of an array.
	Columns, Exclude []string
	// MaxColumns is the most columns of a table, Extra among them. 0: DefaultMaxColumns.
	MaxColumns int
	// Lower makes the names of columns lower case.
	Lower bool
	// Taken are names that no column gets.
	Taken []string
	// ArraysAsTables are paths of arrays that become child tables.
	ArraysAsTables []string
	// Lists makes lists of arrays whose elements are all of one scalar type; other arrays that come later are JSON in a column beside.
	// Without it arrays are JSON.
	Lists bool
	// Key are the paths of the fields that identify a document, for child tables and examples; none: _id, or id.
	Key []string
	// UUIDSubtype3 says which driver wrote UUIDs of the old binary subtype 3, whose order of bytes differs: java, csharp or python. Empty:
	// unknown, they stay bytes.
	UUIDSubtype3 string
}

func (o *Options) depth() int {
	switch {
	case o.Depth == 0:
		return DefaultDepth
	case o.Depth < 0:
		return 0
	}
	return o.Depth
}

func (o *Options) threshold() float64 {
	if o.Threshold <= 0 || o.Threshold > 1 {
		return DefaultThreshold
	}
	return o.Threshold
}

func (o *Options) maxColumns() int {
	if o.MaxColumns <= 0 {
		return DefaultMaxColumns
	}
	return o.MaxColumns
}

// asTable reports whether the array at a path becomes a child table.
func (o *Options) asTable(path string) bool {
	if a := o.Overrides[path].Arrays; a != "" {
		return a == "table"
	}
	for _, p := range o.ArraysAsTables {
		if p == path {
			return true
		}
	}
	return false
}
