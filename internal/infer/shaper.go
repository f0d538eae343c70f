package infer

import (
	"slices"

	"firth/internal/document"
	"firth/internal/vector"
)

// Shaper makes chunks of documents by a plan, and lets the plan grow where documents hold what it does not foresee. One goroutine uses
// it.
type Shaper struct {
	o     Options
	draft *draft
	cast  caster
	root  *slot
	slots int  // how many there are
	item  bool // the documents are elements of an array

	chunk *vector.Chunk // what is being filled
	row   int
	doc   *document.Value
	extra []byte // the fields of the row that have no column, as the inside of a JSON object
	grown bool

	children []*Child
}

// Child is the table that an array becomes, with the rows of the documents last shaped.
type Child struct {
	Path  string
	Name  string // what follows parent__ in the table's name
	Chunk *vector.Chunk
	Grown bool // the columns are not those of before

	shaper *Shaper
}

// Take hands out the rows that Shape made last; they are the caller's.
func (c *Child) Take() *vector.Chunk {
	out := c.Chunk
	c.Chunk = c.shaper.Chunk()
	return out
}

// Columns are those of the table now.
func (c *Child) Columns() []vector.Column { return c.shaper.Columns() }

// slot is a path of the documents, as the shaper meets it.
type slot struct {
	name   string
	at     int // among the fields of its parent
	level  int
	field  Field
	filter filter
	drop   bool
	child  *Child
	fields []*slot
	index  map[string]*slot
	lost   map[document.Kind]int64 // values that were rejected
}

// NewShaper makes a Shaper that goes on with a plan. The plan is not changed.
func NewShaper(p *Plan, o Options) *Shaper { return newShaper(p, o, newFilter(&o), false) }

func newShaper(p *Plan, o Options, f filter, item bool) *Shaper {
	s := &Shaper{o: o, root: &slot{filter: f}, item: item}
	s.cast.o = &s.o
	s.draft = newDraft(p.clone(), &s.o)
	for i := range s.draft.plan.Fields {
		f := &s.draft.plan.Fields[i]
		s.slot(f.Path).field = *f
	}
	for i := range s.draft.plan.Children {
		s.addChild(&s.draft.plan.Children[i])
	}
	return s
}

// slot is that of a path; it is made where there is none.
func (s *Shaper) slot(path string) *slot {
	at := s.root
	for _, part := range SplitPath(path) {
		next := at.find(part, 0)
		if next == nil {
			next = s.add(at, part)
		}
		at = next
	}
	return at
}

// Plan is the plan as it has grown, to be stored.
func (s *Shaper) Plan() *Plan {
	p := s.draft.plan
	p.Fields = p.Fields[:0]
	s.root.each(func(c *slot) {
		if c.field.Own > 0 || c.field.Nested > 0 || c.field.Flat {
			p.Fields = append(p.Fields, c.field)
		}
	})
	for _, c := range s.children {
		i := slices.IndexFunc(p.Children, func(x ChildPlan) bool { return x.Path == c.Path })
		p.Children[i].Plan = c.shaper.Plan()
	}
	return p.clone()
}

func (c *slot) each(visit func(*slot)) {
	for _, f := range c.fields {
		visit(f)
		f.each(visit)
	}
}

// Columns are those that the rows have now.
func (s *Shaper) Columns() []vector.Column { return slices.Clone(s.draft.plan.Columns) }

// Chunk makes an empty chunk of the columns that there are now.
func (s *Shaper) Chunk() *vector.Chunk { return vector.NewChunk(s.Columns()) }

// Children are the tables of arrays, each with the rows that the last Shape made. It is empty where there are none.
func (s *Shaper) Children() []*Child { return s.children }

// Shape appends a row a document to a chunk that Chunk made, now or before the plan grew: it gets the columns that it lacks. A value
// that its column cannot hold becomes a reject of the chunk, and NULL. Grown says that the plan is not what it was before the call: there
// are new columns, or wider ones; the chunk has them then. An error is a fault of the caller.
func (s *Shaper) Shape(docs []document.Value, c *vector.Chunk) (grown bool, err error) {
	s.begin(c)
	for _, t := range s.children {
		t.Chunk.Reset()
		t.shaper.begin(t.Chunk)
	}
	for i := range docs {
		s.startRow()
		s.doc = asObject(&docs[i])
		s.object(s.root, s.doc.Fields)
		s.endRow()
	}
	s.end()
	for _, t := range s.children {
		t.shaper.end()
		t.Grown = t.shaper.grown
		s.grown = s.grown || t.Grown
	}
	return s.grown, nil
}

// begin makes the chunk the one that is filled and gives it the columns that the plan has.
func (s *Shaper) begin(c *vector.Chunk) {
	s.chunk, s.row, s.grown = c, c.Rows, false
	columns := s.draft.plan.Columns
	for i := range columns {
		switch {
		case i >= len(c.Columns):
			s.addVector()
		case !c.Columns[i].Type.Equal(columns[i].Type):
			s.retype(i)
		}
	}
}

func (s *Shaper) startRow() {
	s.row = s.chunk.Rows
	s.extra = s.extra[:0]
}

func (s *Shaper) endRow() {
	if len(s.extra) > 0 {
		n := s.draft.plan.Extra
		if n == 0 {
			n = s.draft.extra()
			s.addVector()
			s.grown = true
		}
		v := s.vector(n)
		v.AppendBytes(append(append([]byte{'{'}, s.extra...), '}'))
	}
	s.chunk.Rows++
}

// end fills up the columns that the last rows had nothing for.
func (s *Shaper) end() {
	for _, v := range s.chunk.Vectors {
		pad(v, s.chunk.Rows)
	}
}

func pad(v *vector.Vector, rows int) {
	for v.Len() < rows {
		v.AppendNull()
	}
}

// vector is that of a column, counted from 1, ready for the value of the row.
func (s *Shaper) vector(number int) *vector.Vector {
	v := s.chunk.Vectors[number-1]
	if len(v.Valid) < s.row {
		pad(v, s.row)
	}
	return v
}

// addVector gives the chunk the first of the plan's columns that it lacks.
func (s *Shaper) addVector() {
	c := s.chunk
	col := s.draft.plan.Columns[len(c.Columns)]
	c.Columns = append(c.Columns[:len(c.Columns):len(c.Columns)], col)
	c.Vectors = append(c.Vectors, vector.New(col.Type))
	pad(c.Vectors[len(c.Vectors)-1], c.Rows)
}

// retype gives a column of the chunk the type that the plan has for it now.
func (s *Shaper) retype(i int) {
	c := s.chunk
	from, to := c.Vectors[i], vector.New(s.draft.plan.Columns[i].Type)
	for row := range from.Len() {
		if reason := to.AppendConverted(from, row); reason != "" {
			c.Rejects = append(c.Rejects, vector.Reject{Row: row, Column: c.Columns[i].Name, Value: from.Text(row), Reason: reason})
		}
	}
	c.Columns = slices.Clone(c.Columns)
	c.Columns[i], c.Vectors[i] = s.draft.plan.Columns[i], to
}

// find looks a field up, first where it is expected: documents of a collection have their fields in the same order, mostly.
func (c *slot) find(name string, expected int) *slot {
	for i := expected; i < len(c.fields) && i < expected+3; i++ {
		if c.fields[i].name == name {
			return c.fields[i]
		}
	}
	if c.index != nil {
		return c.index[name]
	}
	for _, f := range c.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (s *Shaper) object(c *slot, fields []document.Field) {
	next := 0
	for i := range fields {
		f := &fields[i]
		at := c.find(f.Name, next)
		if at == nil {
			if at = s.unknown(c, f); at == nil {
				continue
			}
		}
		next = at.at + 1
		s.value(at, &f.Value)
	}
}
