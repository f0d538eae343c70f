package infer

import (
	"strings"

	"firth/internal/document"
)

// Bounds of what a Counter keeps, whatever the documents hold: the paths, and the bytes of all their names.
const (
	maxPaths     = 20_000
	maxPathBytes = 16 << 20
)

// Counter counts what the fields of documents hold. It is not safe for use by several goroutines.
type Counter struct {
	o         Options
	root      *node
	docs      int64
	paths     int
	pathBytes int
	item      bool  // what is counted are elements of an array
	cut       int64 // values of paths that were not kept for there being too many
}

// node is one path.
type node struct {
	name, path string
	level      int // of objects around it
	filter     filter
	table      *Counter // where the arrays become rows of their own
	stats      stats
	tried      *tried // where a person gave the type
	fields     []*node
	index      map[string]*node
}

// NewCounter makes a Counter that has seen nothing.
func NewCounter(o Options) *Counter {
	return &Counter{o: o, root: &node{filter: newFilter(&o)}}
}

// Add counts one document. Nothing of it is kept but short copies of a few values. A value that is no object counts as the field value.
func (c *Counter) Add(d *document.Value) {
	c.docs++
	doc := asObject(d)
	text, known := "", false
	id := func() string {
		if !known {
			text, known = c.idOf(doc), true
		}
		return text
	}
	c.object(c.root, doc.Fields, id)
}

// asObject makes documents of the single values that lists hand out.
func asObject(d *document.Value) *document.Value {
	if d.Kind == document.Object {
		return d
	}
	return &document.Value{Kind: document.Object, Fields: []document.Field{{Name: "value", Value: *d}}}
}

// idOf is the text that names a document in reports.
func (c *Counter) idOf(d *document.Value) string {
	var out []string
	for _, path := range c.o.Key {
		parts := SplitPath(path)
		if v := lookup(d, parts); !nothing(v.Kind) && c.root.filter.wants(parts) {
			out = append(out, shorten(valueText(v, filter{})))
		}
	}
	for _, name := range []string{"_id", "id"} {
		if _, wanted := c.root.filter.step(name); !wanted {
			continue
		}
		if v := d.Find(name); len(out) == 0 && !nothing(v.Kind) {
			out = append(out, shorten(valueText(v, filter{})))
		}
	}
	return strings.Join(out, ",")
}

func shorten(s string) string {
	if len(s) > maxExampleText {
		return cut(s, maxExampleText) + "..."
	}
	return s
}

// lookup finds the first value at a path.
func lookup(d *document.Value, parts []string) *document.Value {
	for _, p := range parts {
		d = d.Find(p)
	}
	return d
}

func (c *Counter) object(n *node, fields []document.Field, id func() string) {
	for i := range fields {
		f := &fields[i]
		child := n.find(f.Name)
		if child == nil {
			if child = c.grow(n, f.Name); child == nil {
				continue
			}
		}
		c.value(child, &f.Value, id)
	}
}

func (c *Counter) value(n *node, v *document.Value, id func() string) {
	if !n.filter.scalar() && !nested(v.Kind) {
		return
	}
	n.stats.add(&c.o, v, n.filter, id)
	if n.tried != nil && !nothing(v.Kind) {
		n.tried.add(v, n.filter)
	}
	switch {
	case v.Kind == document.Object && n.level < c.o.depth() && !c.whole(n):
		c.object(n, v.Fields, id)
	case v.Kind == document.Array && n.table != nil:
		for i := range v.Items {
			n.table.addItem(&v.Items[i], id)
		}
	}
}

// whole reports whether a person gave the path a type, so that its objects stay in one piece.
func (c *Counter) whole(n *node) bool { return c.o.Overrides[n.path].Type != nil }

func (n *node) find(name string) *node {
	if n.index != nil {
		return n.index[name]
	}
	for _, f := range n.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// grow makes the node of a field that was not seen before; nil where it is not wanted or there are too many.
func (c *Counter) grow(n *node, name string) *node {
	within, wanted := n.filter.step(name)
	if c.item && n == c.root {
		within, wanted = itemStep(n.filter, name)
	}
	if !wanted {
		return nil
	}
	if c.paths >= maxPaths || c.pathBytes+len(n.path)+len(name) > maxPathBytes {
		c.cut++
		return nil
	}
	name = strings.Clone(name)
	child := &node{name: name, path: JoinPath(n.path, name), level: n.level + 1, filter: within}
	if n == c.root {
		child.path, child.level = JoinPath("", name), 0
	}
	if c.o.Overrides[child.path].Drop {
		return nil
	}
	if t := c.o.Overrides[child.path].Type; t != nil {
		child.tried = newTried(&c.o, *t)
	}
	if c.o.asTable(child.path) {
		below := c.o.below(child.path)
		child.table = NewCounter(below)
		child.table.root.filter, child.table.item = within, true
	}
	c.paths++
	c.pathBytes += len(child.path) + len(name)
	n.fields = append(n.fields, child)
	if n.index != nil {
		n.index[name] = child
	} else if len(n.fields) > 8 {
		n.index = map[string]*node{}
		for _, f := range n.fields {
			n.index[f.name] = f
		}
	}
	return child
}

// addItem counts one element of an array whose elements are rows.
func (c *Counter) addItem(v *document.Value, id func() string) {
	c.docs++
	if v.Kind == document.Object {
		c.object(c.root, v.Fields, id)
		return
	}
	c.object(c.root, []document.Field{{Name: itemValue, Value: *v}}, id)
}
