package mirror

import (
	"fmt"
	"slices"
	"strings"

	"firth/internal/name"
	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// column is one column of the staged rows.
type column struct {
	vector.Column
	from int // index among the source's columns; -1: NULLs
	mask mask
}

// layout is how the rows of a relational source become those of the warehouse.
type layout struct {
	columns []column
	keys    []int    // indexes of columns
	key     []string // their names
	cursor  int      // index among the source's columns; -1: none
	at      int      // index of the cursor among columns; -1: none
	drifted bool     // the table gets other columns, whether rows come or not
}

// names are the columns' names and types as they are staged.
func (l *layout) list() []vector.Column {
	out := make([]vector.Column, len(l.columns))
	for i := range l.columns {
		out[i] = l.columns[i].Column
	}
	return out
}

// plain reports whether the rows go through as they are, in the same order: nothing is masked, converted, added or left out.
func (l *layout) plain(from []vector.Column) bool {
	if len(l.columns) != len(from) {
		return false
	}
	for i := range l.columns {
		c := &l.columns[i]
		if c.from != i || c.mask.on() || !c.Type.Equal(from[i].Type) {
			return false
		}
	}
	return true
}

// taken are names that a mirror's table keeps for itself.
func (c *Config) taken() []string {
	if c.History {
		return []string{warehouse.ValidFrom, warehouse.ValidTo}
	}
	if c.Mode == "" {
		return []string{warehouse.SyncedAt}
	}
	return nil
}

// rule is that of a path; one that says nothing where there is none.
func (c *Config) rule(path string) *ColumnRule {
	for i := range c.Columns {
		if c.Columns[i].Path == path {
			return &c.Columns[i]
		}
	}
	return &ColumnRule{Path: path}
}

// wants reports whether a column of the source is copied.
func (c *Config) wants(path string) bool {
	if slices.Contains(c.Exclude, path) {
		return false
	}
	r := c.rule(path)
	if r.Mask == MaskDrop {
		return false
	}
	return !c.Only || slices.ContainsFunc(c.Columns, func(r ColumnRule) bool { return r.Path == path })
}

// desired is a column as the settings want it, whatever the table has.
type desired struct {
	column
	source vector.Column
	narrow bool // the type was chosen by the values, with those of the table in mind
}

// choose picks the columns that are copied, with the types that the settings ask for, or their values. Names are given later.
func (m *Mirror) choose(info *source.Info, narrow map[string]vector.Type) ([]desired, error) {
	c := &m.o.Config
	var out []desired
	for i, s := range info.Columns {
		if !c.wants(s.Path) {
			continue
		}
		r := c.rule(s.Path)
		k, err := newMask(r.Mask, c.Salt)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", s.Path, err)
		}
		d := desired{column: column{Column: s, from: i, mask: k}, source: s}
		switch {
		case k.on():
			d.Type = vector.Type{Kind: vector.Text}
		case r.Type != nil:
			d.Type = *r.Type
		default:
			if t, ok := narrow[s.Path]; ok {
				d.Type, d.narrow = t, true
			}
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		return nil, &source.Error{
			Op: "read", Name: c.Name, Err: fmt.Errorf("no column is left to be copied"), Advice: "look at columns and exclude of the mirror",
		}
	}
	return out, m.present(info)
}

// present fails where a column that the settings name is not at the source.
func (m *Mirror) present(info *source.Info) error {
	c := &m.o.Config
	named := slices.Clone(c.Key)
	for _, r := range c.Columns {
		if r.Mask != MaskDrop && (c.Only || r.Mask != "") {
			named = append(named, r.Path)
		}
	}
	if c.Cursor != "" {
		named = append(named, c.Cursor)
	}
	for _, path := range named {
		if slices.ContainsFunc(info.Columns, func(s vector.Column) bool { return s.Path == path }) {
			continue
		}
		var have []string
		for _, s := range info.Columns {
			have = append(have, s.Path)
		}
		advice := "correct the mirror's columns, key or cursor; firth check names those that the source has"
		if near := name.Nearest(path, have); near != "" {
			advice = "did you mean " + near + "? Correct the mirror's columns, key or cursor"
		}
		return &source.Error{Op: "read", Name: c.Name, Err: fmt.Errorf("there is no column %s", path), Changed: true, Advice: advice}
	}
	return nil
}

// arrange makes the layout: the columns that the settings want, reconciled with those of the table.
func (m *Mirror) arrange(r *run, info *source.Info, prior *warehouse.MirrorState, narrow map[string]vector.Type, same bool) (*layout, error) {
	want, err := m.choose(info, narrow)
	if err != nil {
		return nil, err
	}
	d := &drift{m: m, r: r, prior: own(prior.Columns), policy: m.o.Config.Drift, replace: m.o.Config.Mode == ModeReplace && !m.o.Config.History, same: same}
	if !same {
		d.policy = DriftEvolve
	}
	columns, err := d.settle(want)
	if err != nil {
		return nil, err
	}
	l := &layout{columns: columns, cursor: -1, at: -1, drifted: d.policy != DriftReport && len(d.changes) > 0}
	if err := m.findKey(l, info); err != nil {
		return nil, err
	}
	return l, m.findCursor(l, info)
}

// own leaves out the columns that publishing adds.
func own(columns []vector.Column) []vector.Column {
	var out []vector.Column
	for _, c := range columns {
		if c.Name != warehouse.ValidFrom && c.Name != warehouse.ValidTo && c.Name != warehouse.SyncedAt {
			out = append(out, c)
		}
	}
	return out
}

func (m *Mirror) findKey(l *layout, info *source.Info) error {
	c := &m.o.Config
	paths := c.Key
	if len(paths) == 0 {
		paths = info.Key
	}
	for _, p := range paths {
		i := slices.IndexFunc(l.columns, func(k column) bool { return k.Path == p && k.from >= 0 })
		if i < 0 {
			l.keys, l.key = nil, nil
			break
		}
		l.keys, l.key = append(l.keys, i), append(l.key, l.columns[i].Name)
	}
	if len(l.keys) == 0 && c.Mode == ModeUpsert {
		return &source.Error{
			Op: "read", Name: c.Name, Err: fmt.Errorf("upsert needs a key, and %s", missingKey(paths)),
			Advice: "name it with key: and let columns and exclude keep it, or use mode: replace",
		}
	}
	return nil
}

func missingKey(paths []string) string {
	if len(paths) == 0 {
		return "the source has none"
	}
	return "the key " + strings.Join(paths, ", ") + " is not among the columns that are copied"
}

func (m *Mirror) findCursor(l *layout, info *source.Info) error {
	c := &m.o.Config
	if c.Cursor == "" || c.Mode == ModeReplace {
		return nil
	}
	l.at = slices.IndexFunc(l.columns, func(k column) bool { return k.Path == c.Cursor && k.from >= 0 })
	if l.at < 0 || l.columns[l.at].mask.on() {
		return &source.Error{
			Op: "read", Name: c.Name, Err: fmt.Errorf("the cursor %s is left out or masked", c.Cursor),
			Advice: "let columns and exclude keep it as it is: what is new is told by it",
		}
	}
	l.cursor = l.columns[l.at].from
	if t := info.Columns[l.cursor].Type; !ordered(t.Kind) {
		return &source.Error{
			Op: "read", Name: c.Name, Err: fmt.Errorf("the cursor %s is of type %s", c.Cursor, t),
			Advice: "a cursor is a number, a time or an id that only grows",
		}
	}
	return nil
}
