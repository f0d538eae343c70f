package event

import (
	"strings"

	"firth/internal/name"
	"firth/internal/table"
)

// stdColumn is a standard column; its order here is that within every table.
type stdColumn uint8

const (
	stdID stdColumn = iota
	stdReceivedAt
	stdAnonymousID
	stdUserID
	stdSentAt
	stdTimestamp
	stdOriginalTimestamp
	stdEvent
	stdEventText
	stdName
	stdCategory
	stdGroupID
	stdPreviousID
	stdChannel   // RudderStack mode alone
	stdRequestIP // RudderStack mode alone
	stdUUIDTS    // filled by the warehouse
	stdLoadedAt  // filled by the warehouse
	stdCount
)

// overflowColumn holds what has no column of its own: a JSON object from original path to value. It is made when it is needed.
const overflowColumn = "_overflow"

func (c stdColumn) name() string {
	return [stdCount]string{
		"id", "received_at", "anonymous_id", "user_id", "sent_at", "timestamp", "original_timestamp", "event", "event_text",
		"name", "category", "group_id", "previous_id", "channel", "context_request_ip", "uuid_ts", "loaded_at",
	}[c]
}

func (c stdColumn) kind() table.Type {
	switch c {
	case stdReceivedAt, stdSentAt, stdTimestamp, stdOriginalTimestamp, stdUUIDTS, stdLoadedAt:
		return table.Timestamp
	}
	return table.String
}

// standardColumns lists the standard columns of a table, in order. Tables that are not standard are event tables.
func standardColumns(tableName string, mode name.Mode) []stdColumn {
	rudder := mode == name.RudderStack
	if tableName == "users" || tableName == "accounts" {
		if rudder {
			return []stdColumn{stdID, stdReceivedAt, stdSentAt, stdTimestamp, stdOriginalTimestamp, stdUUIDTS, stdLoadedAt}
		}
		return []stdColumn{stdID, stdReceivedAt, stdUUIDTS, stdLoadedAt}
	}
	cols := []stdColumn{stdID, stdReceivedAt, stdAnonymousID, stdUserID, stdSentAt, stdTimestamp, stdOriginalTimestamp}
	switch tableName {
	case "identifies":
	case "pages", "screens":
		cols = append(cols, stdName, stdCategory)
	case "groups":
		cols = append(cols, stdGroupID)
	case "aliases":
		cols = append(cols, stdPreviousID)
	default:
		cols = append(cols, stdEvent, stdEventText)
	}
	if rudder {
		cols = append(cols, stdChannel, stdRequestIP)
	}
	return append(cols, stdUUIDTS, stdLoadedAt)
}

// columnState is what is known of a column beyond its name.
type columnState struct {
	existing bool  // it has a type that was there before this batch
	seen     uint8 // the types of this batch's values, a bit each; in a survey, of all values
	row      int   // number of the last row that has a cell in it
	cell     int32 // that cell
	leaf     *leaf // and where it came from
}

// columnCache remembers which column a path of one tree has in one table.
type columnCache struct {
	tree *pathTree
	era  int
	code []int32 // by node: one of the codes below, or firstColumn plus the column's index
}

const (
	codeUnknown  = int32(iota)
	codeOverflow // no column: _overflow
	codeName     // a property of a page or screen that stands in for the call's own name
	codeCategory // likewise
	firstColumn
)

// shapeTable is one table on its way: its columns, and the rows since the last Take.
type shapeTable struct {
	name     string
	slug     string // of an event table
	standard []stdColumn
	std      [stdCount]int32 // their places; -1 where the table has none
	overflow int32           // place of _overflow, or -1
	columns  []table.Column
	state    []columnState
	byName   map[string]int32
	names    *name.Columns
	user     int // columns that are not standard
	odd      bool

	tree           *pathTree // of the properties or traits
	props, context columnCache

	rows    []table.Row
	rowNo   int
	inexact bool // a value of this batch is more than its column can hold
}

func (s *Shaper) newTable(tableName string, tree *pathTree) *shapeTable {
	t := &shapeTable{
		name: tableName, standard: standardColumns(strings.ToLower(tableName), s.rules.Mode), overflow: -1,
		byName: make(map[string]int32), tree: tree,
		props: columnCache{tree: tree}, context: columnCache{tree: s.context},
	}
	names := []string{overflowColumn}
	for i := range t.std {
		t.std[i] = -1
	}
	for _, c := range t.standard {
		names = append(names, c.name())
		t.addStandard(c, s.rules)
	}
	t.names = s.rules.NewColumns(names...)
	return t
}

func (t *shapeTable) addStandard(c stdColumn, r name.Rules) {
	t.std[c] = t.add(table.Column{Name: r.Standard(c.name()), Type: c.kind()}, true)
}

func (t *shapeTable) add(c table.Column, existing bool) int32 {
	at := int32(len(t.columns))
	t.columns = append(t.columns, c)
	t.state = append(t.state, columnState{existing: existing, row: -1})
	t.byName[strings.ToLower(c.Name)] = at
	return at
}

// restore takes over the columns of a table that exists, in their order; standard columns that it lacks are added at the end. A
// survey keeps a column's type only until a value comes, and a standard column's not at all.
func (t *shapeTable) restore(cols []table.Column, r name.Rules, survey bool) {
	isStandard := make(map[string]stdColumn, len(t.standard))
	for _, c := range t.standard {
		isStandard[c.name()] = c
	}
	t.columns, t.state, t.user, t.overflow = nil, nil, 0, -1
	clear(t.byName)
	for i := range t.std {
		t.std[i] = -1
	}
	for _, c := range cols {
		lowered := strings.ToLower(c.Name)
		std, ok := isStandard[lowered]
		switch {
		case survey && ok:
			c.Type = std.kind()
		case survey && lowered == overflowColumn:
			c.Type = table.String
		}
		at := t.add(c, c.Type != table.Null)
		if ok {
			t.std[std] = at
			t.odd = t.odd || c.Type != std.kind()
			continue
		}
		if lowered == overflowColumn {
			t.overflow = at
			t.odd = t.odd || c.Type != table.String
			continue
		}
		t.state[at].existing = t.state[at].existing && !survey
		t.user++
		t.names.Restore(c.Path, c.Name)
	}
	for _, c := range t.standard {
		if t.std[c] < 0 {
			t.addStandard(c, r)
		}
	}
}

// column finds the column of a path, makes it if there is room, or says that there is none.
func (s *Shaper) column(t *shapeTable, path string) (at int32, ok bool) {
	if !strings.Contains(path, ".") {
		return 0, false // the document itself, which should have been an object
	}
	known, found := t.names.Find(path)
	if found {
		if at, ok := t.byName[strings.ToLower(known)]; ok {
			return at, true
		}
	}
	if !found && t.user >= s.opts.MaxColumns {
		return 0, false
	}
	fresh, ok := t.names.Name(path)
	if !ok {
		return 0, false
	}
	t.user++
	return t.add(table.Column{Name: fresh, Path: path}, false), true
}

// code is where the values of a node go in a table; it is worked out once.
func (s *Shaper) code(t *shapeTable, c *columnCache, n *pathNode) int32 {
	if c.era != c.tree.era {
		clear(c.code)
		c.era = c.tree.era
	}
	if int(n.id) >= len(c.code) {
		grown := make([]int32, max(int(c.tree.nodes), 2*len(c.code)))
		s.cached += 4 * (len(grown) - len(c.code))
		copy(grown, c.code)
		c.code = grown
	}
	code := c.code[n.id]
	if code == codeUnknown {
		code = s.resolve(t, n)
		c.code[n.id] = code
	}
	return code
}

func (s *Shaper) resolve(t *shapeTable, n *pathNode) int32 {
	if t.std[stdName] >= 0 && strings.HasPrefix(n.path, "properties.") {
		switch s.rules.ColumnSlug(n.path) {
		case "name":
			return codeName
		case "category":
			return codeCategory
		}
	}
	at, ok := s.column(t, n.path)
	if !ok {
		return codeOverflow
	}
	return firstColumn + at
}

// clearCaches forgets every path. The columns stay.
func (s *Shaper) clearCaches() {
	s.cached = 0
	clear(s.events)
	s.context.clear()
	for _, tree := range s.trees {
		tree.clear()
	}
	for _, t := range s.tables {
		if t.tree != nil {
			t.tree.clear()
		}
		t.props.code, t.context.code = nil, nil
	}
}
