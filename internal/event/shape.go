package event

import (
	"strings"

	"firth/internal/name"
	"firth/internal/table"
)

// Defaults of ShapeOptions.
const (
	DefaultMaxDepth       = 10
	DefaultMaxColumns     = 1000
	DefaultMaxEventTables = 1000
)

// ShapeOptions tune how calls become rows. Zero values stand for the defaults.
type ShapeOptions struct {
	// MaxDepth is how many keys deep objects are flattened; an object below that is a string holding its JSON.
	MaxDepth int
	// MaxColumns is how many columns beside the standard ones a table may have; values beyond them go to _overflow.
	MaxColumns int
	// MaxEventTables is how many event tables a schema may have; events beyond them are rows of tracks alone.
	MaxEventTables int
	// DropEmptyStrings leaves out "", as RudderStack does.
	DropEmptyStrings bool
	// StrictTypes keeps integer columns from being widened to float; what does not fit is discarded.
	StrictTypes bool
	// Survey shapes for the sake of the columns alone, see Shaper.Columns: Take returns no rows and no discards, and the type of a
	// column is the join of all values since the beginning, as if one load had brought them all. Memory is bounded as ever.
	Survey bool
}

// Shaper turns calls into rows of Segment's tables for one source under one naming rule. It remembers the tables and columns that it
// has given out, so it follows one warehouse; after a load that failed it must be made anew and restored.
//
// Its memory is bounded by the caps of tables and columns, besides the rows since the last Take. It is not goroutine-safe.
type Shaper struct {
	rules  name.Rules
	opts   ShapeOptions
	names  *name.Tables
	tables map[string]*shapeTable // by name in lower case
	events map[string]eventPlace  // by event text: a cache
	trees  map[string]*pathTree   // properties and traits of the calls that are not track, by type

	context *pathTree
	cached  int // bytes of events, paths and column caches, about
	flat    flattener

	// Of the call at hand.
	props, ctx []leaf
	std        [stdCount]table.Value
	over       overflow
	cells      []table.Cell // room for the cells of rows to come

	touched  []*shapeTable
	discards []Discard
	beyond   map[string]bool // events without a table, some of them
	calls    int
}

// eventPlace is where the calls of an event go; table is nil where they are rows of tracks alone.
type eventPlace struct {
	slug  string
	table *shapeTable
}

const (
	maxCachedBytes = 32 << 20 // the caches are emptied when they are that full
	maxNoticed     = 20       // events named in one notice
)

// NewShaper begins with an empty schema.
func NewShaper(_ string, rules name.Rules, opts ShapeOptions) *Shaper {
	s := &Shaper{
		rules: rules, opts: opts, names: rules.NewTables(),
		tables: make(map[string]*shapeTable), events: make(map[string]eventPlace), trees: make(map[string]*pathTree),
	}
	setDefault(&s.opts.MaxDepth, DefaultMaxDepth)
	setDefault(&s.opts.MaxColumns, DefaultMaxColumns)
	setDefault(&s.opts.MaxEventTables, DefaultMaxEventTables)
	s.flat.maxDepth, s.flat.dropEmpty = s.opts.MaxDepth, opts.DropEmptyStrings
	s.context = newPathTree("context", &s.cached)
	return s
}

func setDefault(v *int, def int) {
	if *v <= 0 {
		*v = def
	}
}

// Restore tells of a table that the warehouse has, with its columns in order. It comes before the first Add.
func (s *Shaper) Restore(tableName string, cols []table.Column) {
	key := strings.ToLower(tableName)
	t := s.tables[key]
	switch {
	case t != nil:
	case isShaped(key):
		t = s.standardTable(key)
	default:
		for _, system := range name.StandardTables() {
			if key == system {
				return
			}
		}
		s.names.Restore("", tableName)
		t = s.newTable(tableName, newPathTree("properties", &s.cached))
		s.tables[key] = t
	}
	t.restore(cols, s.rules, s.opts.Survey)
}

// RestoreEvent tells which event a restored table belongs to, where the table's name does not: the slug of the event. It comes
// before Restore of that table.
func (s *Shaper) RestoreEvent(slug, tableName string) { s.names.Restore(slug, tableName) }

// isShaped tells the standard tables that calls become rows of.
func isShaped(tableName string) bool {
	switch tableName {
	case "tracks", "identifies", "users", "pages", "screens", "groups", "accounts", "aliases":
		return true
	}
	return false
}

// standardTable returns a standard table by its usual name.
func (s *Shaper) standardTable(tableName string) *shapeTable {
	if t := s.tables[tableName]; t != nil {
		return t
	}
	var tree *pathTree
	switch tableName {
	case "tracks":
	case "users":
		tree = s.tree("identifies")
	case "accounts":
		tree = s.tree("groups")
	default:
		tree = s.tree(tableName)
	}
	t := s.newTable(s.rules.Standard(tableName), tree)
	s.tables[tableName] = t
	return t
}

// tree returns the paths of the properties or traits of the calls that are rows of a table.
func (s *Shaper) tree(tableName string) *pathTree {
	if t := s.trees[tableName]; t != nil {
		return t
	}
	root := "traits"
	if tableName == "pages" || tableName == "screens" {
		root = "properties"
	}
	t := newPathTree(root, &s.cached)
	s.trees[tableName] = t
	return t
}

// event finds the table of a track call, making it if there is room.
func (s *Shaper) event(text string) eventPlace {
	if p, ok := s.events[text]; ok {
		return p
	}
	slug, tableName := s.names.Find(text)
	p := eventPlace{slug: slug}
	if tableName == "" && slug != "" {
		if s.names.Len() < s.opts.MaxEventTables {
			_, tableName = s.names.Table(text)
		} else if len(s.beyond) < maxNoticed {
			if s.beyond == nil {
				s.beyond = make(map[string]bool)
			}
			s.beyond[slug] = true
		}
	}
	if tableName != "" {
		key := strings.ToLower(tableName)
		p.table = s.tables[key]
		if p.table == nil {
			p.table = s.newTable(tableName, newPathTree("properties", &s.cached))
			s.tables[key] = p.table
		}
		p.table.slug = slug
	}
	s.events[strings.Clone(text)] = p
	s.cached += nodeBytes + len(text)
	return p
}
