package infer

import (
	"strings"

	"firth/internal/document"
	"firth/internal/vector"
)

const (
	// maxSlots bounds the paths that a shaper knows: those with columns, and the objects around them.
	maxSlots = 4 * DefaultMaxColumns
	twice    = "the field comes twice in the document; the column holds the first"
)

// add makes the slot of a field.
func (s *Shaper) add(c *slot, name string) *slot {
	within, wanted := s.step(c, name)
	s.slots++
	name = strings.Clone(name)
	f := &slot{name: name, at: len(c.fields), filter: within, drop: !wanted}
	if c == s.root {
		f.field.Path = JoinPath("", name)
	} else {
		f.field.Path, f.level = JoinPath(c.field.Path, name), c.level+1
	}
	o, ok := s.o.Overrides[f.field.Path]
	if ok && o.Drop {
		f.drop = true
	}
	c.fields = append(c.fields, f)
	if c.index != nil {
		c.index[name] = f
	} else if len(c.fields) > 8 {
		c.index = map[string]*slot{}
		for _, x := range c.fields {
			c.index[x.name] = x
		}
	}
	return f
}

// step is the filter within a field. That of an element which is no object is that of the array.
func (s *Shaper) step(c *slot, name string) (within filter, wanted bool) {
	if s.item && c == s.root {
		return itemStep(c.filter, name)
	}
	return c.filter.step(name)
}

// unknown is for a field that no document had before: it becomes a column, or goes to Extra where there is none left. Fields without a
// value wait for one.
func (s *Shaper) unknown(c *slot, f *document.Field) *slot {
	if nothing(f.Value.Kind) {
		return nil
	}
	within, wanted := s.step(c, f.Name)
	path := JoinPath(c.field.Path, f.Name)
	if c == s.root {
		path = JoinPath("", f.Name)
	}
	if !wanted || s.o.Overrides[path].Drop || !within.scalar() && !nested(f.Value.Kind) {
		return nil
	}
	if (len(s.draft.plan.Columns) >= s.o.maxColumns()-1 || s.slots >= maxSlots+s.o.maxColumns()) && !s.o.asTable(path) {
		s.toExtra(path, &f.Value, within)
		return nil
	}
	return s.add(c, f.Name)
}

func (s *Shaper) toExtra(path string, v *document.Value, f filter) {
	if len(s.extra) > 0 {
		s.extra = append(s.extra, ',')
	}
	s.extra = append(document.AppendQuoted(s.extra, path), ':')
	s.extra = f.appendJSON(s.extra, v)
}

func (s *Shaper) value(c *slot, v *document.Value) {
	if nothing(v.Kind) || c.drop {
		return
	}
	switch v.Kind {
	case document.Object:
		s.objectValue(c, v)
	case document.Array:
		s.arrayValue(c, v)
	default:
		if c.filter.scalar() {
			s.scalar(c, v)
		}
	}
}

func (s *Shaper) objectValue(c *slot, v *document.Value) {
	if c.field.Own > 0 && (c.field.Fixed || !c.field.Flat && s.kind(c.field.Own) == vector.JSON) {
		s.store(c, c.field.Own, v)
		return
	}
	if len(v.Fields) > 0 && c.level < s.o.depth() && s.o.Overrides[c.field.Path].Type == nil {
		c.field.Flat = true
		s.object(c, v.Fields)
		return
	}
	s.asJSON(c, v)
}

func (s *Shaper) arrayValue(c *slot, v *document.Value) {
	if c.child == nil && s.o.asTable(c.field.Path) {
		s.newChild(c)
	}
	switch {
	case c.child != nil:
		s.items(c.child, v)
	case c.field.Own > 0 && c.field.Fixed:
		s.store(c, c.field.Own, v)
	case c.field.Own > 0 && s.kind(c.field.Own) == vector.List && s.list(c, v):
	default:
		s.asJSON(c, v)
	}
}

// list puts an array into a column of lists; false: its elements do not fit.
func (s *Shaper) list(c *slot, v *document.Value) bool {
	to := s.vector(c.field.Own)
	return c.filter.scalar() && len(to.Valid) == s.row && s.cast.put(to, v, c.filter, false) == ""
}

func (s *Shaper) kind(number int) vector.Kind { return s.draft.plan.Columns[number-1].Type.Kind }

// asJSON keeps a nested value whole: in the field's own column where that is JSON, in one beside it where it holds scalars.
func (s *Shaper) asJSON(c *slot, v *document.Value) {
	switch {
	case c.field.Own > 0 && s.kind(c.field.Own) == vector.JSON:
		s.store(c, c.field.Own, v)
	case c.field.Own > 0:
		if c.field.Nested == 0 && s.draft.nested(&c.field) {
			s.newColumn()
		}
		if c.field.Nested == 0 {
			s.toExtra(c.field.Path, v, c.filter)
			return
		}
		s.store(c, c.field.Nested, v)
	case s.newOwn(c, v):
		s.store(c, c.field.Own, v)
	}
}

// newOwn makes a field's own column for the first value that needs it; false: there is no room, the value went to Extra.
func (s *Shaper) newOwn(c *slot, v *document.Value) bool {
	t := s.o.natural(v)
	if o := s.o.Overrides[c.field.Path].Type; o != nil {
		t, c.field.Fixed = *o, true
	}
	if !s.draft.own(&c.field, t) {
		s.toExtra(c.field.Path, v, c.filter)
		return false
	}
	s.newColumn()
	return true
}

func (s *Shaper) newColumn() {
	s.addVector()
	s.grown = true
}

func (s *Shaper) scalar(c *slot, v *document.Value) {
	if c.field.Own == 0 && !s.newOwn(c, v) {
		return
	}
	if v.Kind != document.Binary && !c.field.Fixed && s.kind(c.field.Own) == vector.List {
		s.asJSON(c, v)
		return
	}
	if v.Kind == document.Int64 && !c.field.Big && (v.Num > maxExact || v.Num < -maxExact) && s.kind(c.field.Own) == vector.Int {
		c.field.Big, s.grown = true, true
	}
	s.store(c, c.field.Own, v)
	if v.Kind == document.Timestamp && !c.field.Fixed && s.kind(c.field.Own) == vector.TimestampTZ {
		s.ordinal(c, v)
	}
}

// ordinal keeps the second half of a timestamp of the oplog.
func (s *Shaper) ordinal(c *slot, v *document.Value) {
	if c.field.Order == 0 {
		if !s.draft.order(&c.field) {
			s.toExtra(c.field.Path+orderMark, &document.Value{Kind: document.Int64, Num: int64(uint32(v.Num))}, filter{})
			return
		}
		s.newColumn()
	}
	if to := s.vector(c.field.Order); to.Len() == s.row {
		to.AppendNum(int64(uint32(v.Num)))
	}
}

// store puts a value into a column, which widens where it must and can; else the value is rejected.
func (s *Shaper) store(c *slot, number int, v *document.Value) {
	to := s.vector(number)
	if len(to.Valid) > s.row {
		s.reject(c, number, v, twice)
		return
	}
	reason := s.cast.put(to, v, c.filter, c.field.Fixed)
	if reason == "" {
		return
	}
	if column := &s.draft.plan.Columns[number-1]; !c.field.Fixed && !nested(v.Kind) {
		if t, ok := s.o.wider(column.Type, v, c.field.Big); ok {
			column.Type, s.grown = t, true
			s.retype(number - 1)
			to = s.vector(number)
			if reason = s.cast.put(to, v, c.filter, false); reason == "" {
				return
			}
		}
	}
	s.reject(c, number, v, reason)
}

func (s *Shaper) reject(c *slot, number int, v *document.Value, reason string) {
	if c.lost == nil {
		c.lost = map[document.Kind]int64{}
	}
	c.lost[v.Kind]++
	name := s.draft.plan.Columns[number-1].Name
	s.chunk.Rejects = append(s.chunk.Rejects, vector.Reject{Row: s.row, Column: name, Value: valueText(v, c.filter), Reason: reason})
}

// Proposals says of each column from which values were rejected since the shaper was made what would keep them, for a person.
func (s *Shaper) Proposals() []string {
	var out []string
	s.root.each(func(c *slot) {
		if len(c.lost) == 0 || c.field.Own == 0 {
			return
		}
		var parts []string
		for k := range document.Kind(kinds) {
			if n := c.lost[k]; n > 0 {
				parts = append(parts, grouped(n)+" "+kindName(k))
			}
		}
		column := s.draft.plan.Columns[c.field.Own-1]
		text := "values of " + c.field.Path + " that do not fit " + column.Type.String() + " were rejected: " + strings.Join(parts, ", ")
		if column.Type.Kind != vector.Text && !c.field.Fixed {
			text += "; types: {" + yamlKey(c.field.Path) + ": text} in the mirror, and a full copy, would keep them"
		}
		out = append(out, text)
	})
	for _, c := range s.children {
		for _, text := range c.shaper.Proposals() {
			out = append(out, "in the table of "+c.Path+": "+text)
		}
	}
	return out
}

// newChild makes the table of an array that was not planned.
func (s *Shaper) newChild(c *slot) {
	n := &node{name: c.name, path: c.field.Path, table: NewCounter(s.o.below(c.field.Path))}
	s.draft.child(n)
	s.addChild(&s.draft.plan.Children[len(s.draft.plan.Children)-1])
	s.grown = true
	for _, t := range s.children {
		if t.shaper.chunk == nil {
			t.shaper.begin(t.Chunk)
		}
	}
}

func (s *Shaper) addChild(p *ChildPlan) {
	at := s.slot(p.Path)
	c := &Child{Path: p.Path, Name: p.Name, shaper: newShaper(p.Plan, s.o.below(p.Path), at.filter, true)}
	c.Chunk = c.shaper.Chunk()
	at.child = c
	s.children = append(s.children, c)
}

// items makes a row of each element of an array.
func (s *Shaper) items(c *Child, v *document.Value) {
	t := c.shaper
	for i := range v.Items {
		t.startRow()
		for _, key := range t.o.Key {
			if id := lookup(s.doc, SplitPath(key)); !nothing(id.Kind) {
				t.value(t.root.find(itemParent+key, 0), id)
			}
		}
		t.value(t.root.find(itemOrdinal, len(t.o.Key)), &document.Value{Kind: document.Int64, Num: int64(i + 1)})
		switch item := &v.Items[i]; {
		case item.Kind == document.Object:
			t.object(t.root, item.Fields)
		case !nothing(item.Kind):
			t.object(t.root, []document.Field{{Name: itemValue, Value: *item}})
		}
		t.endRow()
	}
}
