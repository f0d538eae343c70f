package infer

import (
	"encoding/json"
	"maps"
	"slices"

	"firth/internal/document"
	"firth/internal/vector"
)

// Plan says which column each field of the documents goes to. It is stored as JSON with the mirror, so that the next run goes on with
// it, whatever order the documents come in then.
type Plan struct {
	// Columns of the table, in order of first sight.
	Columns []vector.Column `json:"columns"`
	// Fields are the paths that have columns, or fields that have.
	Fields []Field `json:"fields"`
	// Extra is the number of the column [Extra], counted from 1; 0: there is none.
	Extra int `json:"extra,omitempty"`
	// Children are the tables that arrays became.
	Children []ChildPlan `json:"children,omitempty"`
	// Collisions are the fields whose name was taken.
	Collisions []Collision `json:"collisions,omitempty"`
}

// Field is what became of one path. The columns are counted from 1; 0: none.
type Field struct {
	Path string `json:"path"`
	// Own holds its scalars; where it is of kind JSON, all that is not flattened.
	Own int `json:"own,omitempty"`
	// Nested holds as JSON its arrays and those objects that are not flattened, where Own holds scalars.
	Nested int `json:"nested,omitempty"`
	// Order holds the ordinals of timestamps of MongoDB's oplog.
	Order int `json:"order,omitempty"`
	// Flat says that its objects become columns of their fields.
	Flat bool `json:"flat,omitempty"`
	// Fixed says that the type is a person's choice: it never changes.
	Fixed bool `json:"fixed,omitempty"`
	// Big says that Own has or had integers beyond 2^53: it cannot become a float.
	Big bool `json:"big,omitempty"`
}

// ChildPlan is the table that an array of each document becomes. Its columns begin with the key of the document and the place in the
// array.
type ChildPlan struct {
	Path string `json:"path"`
	Name string `json:"name"` // what follows parent__ in the table's name
	Plan *Plan  `json:"plan"`
}

// Collision is a field that got a number behind its name because another had it.
type Collision struct {
	Path string `json:"path"`
	Name string `json:"name"`
	With string `json:"with"` // the path that has the name without number
}

// ParsePlan reads a plan that was stored.
func ParsePlan(stored json.RawMessage) (*Plan, error) {
	p := &Plan{}
	return p, json.Unmarshal(stored, p)
}

func (p *Plan) clone() *Plan {
	out := &Plan{
		Columns: slices.Clone(p.Columns), Fields: slices.Clone(p.Fields), Extra: p.Extra, Collisions: slices.Clone(p.Collisions),
		Children: slices.Clone(p.Children),
	}
	for i := range out.Children {
		out.Children[i].Plan = out.Children[i].Plan.clone()
	}
	return out
}

// draft builds a plan: it gives out columns and their names.
type draft struct {
	o    *Options
	plan *Plan
	name *Namer
}

// newDraft goes on with a plan.
func newDraft(p *Plan, o *Options) *draft {
	d := &draft{o: o, plan: p, name: NewNamer(o.Lower, append([]string{Extra}, o.Taken...)...)}
	for _, c := range p.Columns {
		d.name.Restore(c.Path, c.Name)
	}
	return d
}

// Marks behind a path that make the paths of the further columns of a field.
const (
	nestedMark = "{}"
	orderMark  = "#ord"
)

// column adds one; 0 where the table is full. The last place is for Extra.
func (d *draft) column(path, want string, t vector.Type) int {
	if len(d.plan.Columns) >= d.o.maxColumns()-1 {
		return 0
	}
	return d.add(path, want, t)
}

func (d *draft) add(path, want string, t vector.Type) int {
	name, collided := d.name.NameAs(path, want)
	if collided {
		d.plan.Collisions = append(d.plan.Collisions, Collision{Path: path, Name: name, With: d.holder(want)})
	}
	d.plan.Columns = append(d.plan.Columns, vector.Column{Name: name, Type: t, Path: path})
	return len(d.plan.Columns)
}

// holder is the path of the column that has the name which another wanted.
func (d *draft) holder(want string) string {
	name := fold(d.name.clean(want))
	for _, c := range d.plan.Columns {
		if fold(c.Name) == name {
			return c.Path
		}
	}
	return "a name that Firth uses itself"
}

// want is what a path's column is to be called.
func (d *draft) want(path string) string {
	if as := d.o.Overrides[path].As; as != "" {
		return as
	}
	if path == itemValue {
		return "value"
	}
	return path
}

func (d *draft) own(f *Field, t vector.Type) bool {
	if f.Own == 0 {
		f.Own = d.column(f.Path, d.want(f.Path), t)
	}
	return f.Own > 0
}

func (d *draft) nested(f *Field) bool {
	if f.Nested == 0 {
		f.Nested = d.column(f.Path+nestedMark, d.want(f.Path)+"_json", vector.Type{Kind: vector.JSON})
	}
	return f.Nested > 0
}

func (d *draft) order(f *Field) bool {
	if f.Order == 0 {
		f.Order = d.column(f.Path+orderMark, d.want(f.Path)+"_ord", vector.Type{Kind: vector.Int, Bits: 64})
	}
	return f.Order > 0
}

func (d *draft) extra() int {
	if d.plan.Extra == 0 {
		d.name.without(Extra)
		d.plan.Extra = d.add(ExtraPath, Extra, vector.Type{Kind: vector.JSON})
	}
	return d.plan.Extra
}

// Plan decides on the columns by what was counted so far. Fields of which nothing but null was seen have none until a value comes.
func (c *Counter) Plan() *Plan {
	p := &Plan{Columns: []vector.Column{}, Fields: []Field{}}
	d := newDraft(p, &c.o)
	c.plan(d, c.root, c.most(d))
	c.root.walk(func(n *node) {
		if n.table != nil && n.stats.counts[document.Array] > 0 {
			d.child(n)
		}
	})
	d.declared(c.root.filter)
	return p
}

// declared gives columns to the paths whose type a person gave and that no document had.
func (d *draft) declared(f filter) {
	for _, path := range slices.Sorted(maps.Keys(d.o.Overrides)) {
		o := d.o.Overrides[path]
		known := slices.ContainsFunc(d.plan.Fields, func(f Field) bool { return f.Path == path })
		if o.Type == nil || o.Drop || known || !f.wants(SplitPath(path)) {
			continue
		}
		field := Field{Path: path, Fixed: true}
		if d.own(&field, *o.Type) {
			d.plan.Fields = append(d.plan.Fields, field)
		}
	}
}

// most tells the fields that get columns where there are too many: those that most documents have.
func (c *Counter) most(d *draft) func(*node) bool {
	var all []*node
	c.root.walk(func(n *node) {
		if n.stats.values() > 0 {
			all = append(all, n)
		}
	})
	room := d.o.maxColumns() - 1
	if len(all)*2 <= room {
		return func(*node) bool { return true }
	}
	slices.SortStableFunc(all, func(a, b *node) int { return int(b.stats.values() - a.stats.values()) })
	chosen := map[*node]bool{}
	for _, n := range all {
		need := c.columnsOf(n)
		if room -= need; room < 0 {
			break
		}
		chosen[n] = true
	}
	return func(n *node) bool { return chosen[n] }
}

func (n *node) walk(visit func(*node)) {
	for _, f := range n.fields {
		visit(f)
		f.walk(visit)
	}
}

// columnsOf is how many columns a path takes by itself.
func (c *Counter) columnsOf(n *node) int {
	s, count := &n.stats, 0
	if s.scalars() > 0 {
		count++
	}
	if c.keepsNested(n) {
		count++
	}
	if s.counts[document.Timestamp] > 0 {
		count++
	}
	return count
}

// flat reports whether the objects of a path become columns of their fields.
func (c *Counter) flat(n *node) bool {
	return n.level < c.o.depth() && !c.whole(n) && n.stats.counts[document.Object] > n.stats.emptyObjects
}

// keepsNested reports whether a path has values that are held as JSON.
func (c *Counter) keepsNested(n *node) bool {
	s := &n.stats
	if n.table == nil && s.counts[document.Array] > 0 || s.emptyObjects > 0 {
		return true
	}
	return s.counts[document.Object] > 0 && !c.flat(n)
}

func (c *Counter) plan(d *draft, n *node, room func(*node) bool) {
	for _, f := range n.fields {
		if f.stats.values() == 0 {
			continue
		}
		c.planField(d, f, room(f))
		c.plan(d, f, room)
	}
}

func (c *Counter) planField(d *draft, n *node, room bool) {
	s := &n.stats
	f := Field{Path: n.path, Flat: c.flat(n), Big: s.bigInts > 0}
	if override := c.o.Overrides[n.path].Type; override != nil {
		f.Fixed, f.Flat = true, false
		d.own(&f, *override)
	} else if room {
		ch := c.o.choose(s)
		switch {
		case ch.typ.Kind == vector.Null && c.keepsNested(n):
			t, ok := s.list()
			if !ok || !c.o.Lists || !n.filter.scalar() {
				t = vector.Type{Kind: vector.JSON}
			}
			d.own(&f, t)
		case ch.typ.Kind != vector.Null:
			d.own(&f, ch.typ)
			if c.keepsNested(n) {
				d.nested(&f)
			}
			if s.counts[document.Timestamp] > 0 && ch.typ.Kind == vector.TimestampTZ {
				d.order(&f)
			}
		}
	}
	if f.Own > 0 || f.Flat {
		d.plan.Fields = append(d.plan.Fields, f)
	}
}
