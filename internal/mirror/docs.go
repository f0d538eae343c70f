package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"firth/internal/infer"
	"firth/internal/source"
	"firth/internal/vector"
)

// docs makes rows of documents by a plan that grows. Its methods do nothing where it is nil: of a relational source. They may be called
// by several goroutines.
type docs struct {
	cfg     *Config
	options infer.Options
	masks   []fieldMask
	keys    []string
	cursor  []string // the parts of its path

	known     []vector.Column // of the run before; nil: there was none
	knownKids []infer.ChildPlan

	mu     sync.Mutex
	shaper *infer.Shaper
	stored json.RawMessage // the plan; nil: it has grown since
	n      map[string]counts
	rows   int64
}

// fieldMask masks the field at a path.
type fieldMask struct {
	parts []string
	mask  mask
}

// sampleDocs is how many documents are looked at before a table is made.
const sampleDocs = 10_000

// planDocs finds the columns for documents: those of the run before, or by looking at some.
func (c *copying) planDocs(ctx context.Context, same bool) (*docs, error) {
	d := &docs{cfg: c.cfg, n: map[string]counts{}, keys: c.cfg.Key}
	if len(d.keys) == 0 {
		d.keys = c.info.Key
	}
	if c.cfg.Mode == ModeUpsert && len(d.keys) == 0 {
		return nil, &source.Error{Op: "read", Name: c.cfg.Name, Err: errors.New("upsert needs a key, and the documents have none that is known"), Advice: "name it with key:"}
	}
	if c.cfg.Cursor != "" {
		d.cursor = infer.SplitPath(c.cfg.Cursor)
	}
	if c.cfg.asTables() {
		if err := c.cfg.mayHaveChildren(d.keys); err != nil {
			return nil, err
		}
		c.kids, c.remake = &children{c: c}, true
	}
	c.abandoned()
	if err := d.configure(&c.m.o); err != nil {
		return nil, err
	}
	var plan *infer.Plan
	known := len(c.last.Plan) > 0 && (same || c.cfg.Mode != ModeReplace)
	var err error
	if known {
		plan, err = infer.ParsePlan(c.last.Plan)
	} else {
		plan, err = d.sample(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	if known && c.cfg.Drift == DriftReport {
		d.options.MaxColumns = len(plan.Columns) + 1 // what is new goes to the column of extra fields
	}
	if known {
		d.known, d.knownKids = plan.Columns, plan.Children
	}
	for _, x := range plan.Collisions {
		if !known {
			c.notice("field %s is called %s: %s has its name", x.Path, x.Name, x.With)
		}
	}
	d.shaper = infer.NewShaper(plan, d.options)
	return d, nil
}

// configure makes the options of inference of the mirror's rules.
func (d *docs) configure(m *Options) error {
	c := d.cfg
	columns, exclude := c.Selection()
	if len(columns) > 0 {
		columns = append(columns, d.keys...)
		if c.Cursor != "" {
			columns = append(columns, c.Cursor)
		}
	}
	d.options = infer.Options{
		Depth: c.Depth, Threshold: c.Threshold, MaxColumns: c.MaxColumns, Lower: m.Lower, Lists: m.Lists, Taken: c.taken(), Key: d.keys, UUIDSubtype3: c.UUIDSubtype3,
		Columns: columns, Exclude: exclude, Overrides: map[string]infer.Override{}, ArraysAsTables: c.Tables,
	}
	for _, r := range c.Columns {
		o := infer.Override{Type: r.Type, As: r.As, Arrays: r.Arrays}
		m, err := newMask(r.Mask, c.Salt)
		if r.Mask == MaskDrop {
			o.Drop, err = true, nil
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", r.Path, err)
		}
		if m.on() {
			d.masks = append(d.masks, fieldMask{infer.SplitPath(r.Path), m})
			o.Type = &vector.Type{Kind: vector.Text}
		}
		d.options.Overrides[r.Path] = o
	}
	return nil
}

// sample looks at the first documents.
func (d *docs) sample(ctx context.Context, c *copying) (*infer.Plan, error) {
	rows, err := c.src.Scan(ctx, source.Request{})
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // it was read
	counter := infer.NewCounter(d.options)
	var b source.Batch
	for n := 0; n < sampleDocs; n += len(b.Docs) {
		err := rows.Next(ctx, &b)
		if source.AtEnd(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		for i := range b.Docs {
			d.hide(&b.Docs[i])
			counter.Add(&b.Docs[i])
		}
	}
	return counter.Plan(), nil
}

// restore goes on with the plan of what is staged; false: it cannot be read.
func (d *docs) restore(s *staged) bool {
	if d == nil {
		return true
	}
	plan, err := infer.ParsePlan(s.Plan)
	if err != nil || len(s.Plan) == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shaper, d.stored = infer.NewShaper(plan, d.options), nil
	return true
}

// plan is the plan as it has grown.
func (d *docs) plan() json.RawMessage {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stored == nil {
		b, err := json.Marshal(d.shaper.Plan())
		if err != nil {
			return nil
		}
		d.stored = b
	}
	return d.stored
}

func (d *docs) columns() []vector.Column {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shaper.Columns()
}

// name is the column of a path; empty: there is none.
func (d *docs) name(path string) string {
	for _, c := range d.columns() {
		if c.Path == path {
			return c.Name
		}
	}
	return ""
}

func (d *docs) key() []string {
	var out []string
	for _, p := range d.keys {
		if n := d.name(p); n != "" {
			out = append(out, n)
		}
	}
	return out
}

func (d *docs) keyPaths() []string { return d.keys }

func (d *docs) cursorName() string { return d.name(d.cfg.Cursor) }

// targetValue is a cursor as its column has it; NULL where the column cannot hold it.
func (d *docs) targetValue(v vector.Value) vector.Value {
	columns := d.columns()
	i := slices.IndexFunc(columns, func(c vector.Column) bool { return c.Path == d.cfg.Cursor })
	if i < 0 {
		return vector.Value{}
	}
	from, to := vector.New(vector.Type{Kind: v.Kind, Bits: v.Bits}), vector.New(columns[i].Type)
	from.AppendValue(v)
	if to.AppendConverted(from, 0) != "" {
		return vector.Value{}
	}
	return to.At(0)
}

// drifted tells what has become new since the run before, or fails for it.
func (d *docs) drifted(r *run) error {
	if d == nil || d.known == nil {
		return nil
	}
	names := d.grown()
	if len(names) == 0 {
		return nil
	}
	text := "new or wider columns: " + strings.Join(names, ", ")
	if d.cfg.Drift == DriftFreeze {
		return &source.Error{
			Op: "read", Name: d.cfg.Name, Err: errors.New("the documents have changed and drift is freeze: " + text),
			Advice: "nothing was published; set drift: evolve for one run, or name the columns that are wanted",
		}
	}
	r.notice("%s", text)
	return nil
}

// grown are the columns that the run before did not have so, those of the tables of arrays among them.
func (d *docs) grown() (names []string) {
	grown, _ := merge(d.known, d.columns())
	for _, c := range grown {
		names = append(names, fmt.Sprintf("%s (%s)", c.Name, c.Type))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.shaper.Children() {
		i := slices.IndexFunc(d.knownKids, func(p infer.ChildPlan) bool { return p.Path == k.Path })
		if i < 0 {
			continue // a table that is new as a whole
		}
		grown, _ := merge(d.knownKids[i].Plan.Columns, k.Columns())
		for _, c := range grown {
			names = append(names, fmt.Sprintf("%s of %s (%s)", c.Name, k.Path, c.Type))
		}
	}
	return names
}

// proposals say what would keep the values that were rejected while documents were shaped.
func (d *docs) proposals() []string {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shaper.Proposals()
}

// counts are those of columns by what was shaped.
func (d *docs) counts(columns []vector.Column) []counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]counts, len(columns))
	for i, c := range columns {
		out[i] = d.n[c.Name]
		out[i].null = d.rows - out[i].exact - out[i].rejected
	}
	return out
}

// keyChunk makes rows of the keys alone.
func (d *docs) keyChunk(b *source.Batch) (*vector.Chunk, error) {
	for i := range b.Docs {
		d.hide(&b.Docs[i])
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.shaper.Chunk()
	if _, err := d.shaper.Shape(b.Docs, all); err != nil {
		return nil, err
	}
	out := &vector.Chunk{Rows: all.Rows}
	for _, p := range d.keys {
		for i, c := range all.Columns {
			if c.Path == p {
				out.Columns, out.Vectors = append(out.Columns, c), append(out.Vectors, all.Vectors[i])
			}
		}
	}
	if len(out.Columns) != len(d.keys) {
		return nil, &source.Error{Op: "read", Name: d.cfg.Name, Err: errors.New("the documents do not have the key"), Advice: "look at key: of the mirror"}
	}
	return out, nil
}

func (d *docs) intake() intake { return &shaping{d: d, n: map[string]counts{}} }

// shaping is the intake of one range of documents.
type shaping struct {
	d      *docs
	kids   []childRows
	bytes  int // of them
	hashes []uint64
	n      map[string]counts
	rows   int64
}

func (s *shaping) look(b *source.Batch) ([]uint64, func(int) vector.Value) {
	s.hashes = s.hashes[:0]
	for i := range b.Docs {
		s.hashes = append(s.hashes, hashDocument(&b.Docs[i]))
	}
	if s.d.cursor == nil {
		return s.hashes, nil
	}
	return s.hashes, func(row int) vector.Value { return cursorOf(&b.Docs[row], s.d.cursor) }
}

// takeChildren hands out the rows of arrays of the documents that were appended since.
func (s *shaping) takeChildren() []childRows {
	out := s.kids
	s.kids, s.bytes = nil, 0
	return out
}

func (s *shaping) childBytes() int { return s.bytes }

func (s *shaping) chunk() *vector.Chunk {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	return s.d.shaper.Chunk()
}

func (s *shaping) append(into *vector.Chunk, b *source.Batch, lo, hi int) (bool, error) {
	part := b.Docs[lo:hi]
	for i := range part {
		s.d.hide(&part[i])
	}
	s.d.mu.Lock()
	before, bad := into.Rows, len(into.Rejects)
	grown, err := s.d.shaper.Shape(part, into)
	if grown {
		s.d.stored = nil
	}
	for _, k := range s.d.shaper.Children() {
		if k.Chunk.Rows > 0 && err == nil {
			rows := childRows{k.Path, k.Take()}
			s.kids, s.bytes = append(s.kids, rows), s.bytes+rows.chunk.Size()
		}
	}
	s.d.mu.Unlock()
	if err != nil {
		return false, err
	}
	s.rows += int64(hi - lo)
	for i, c := range into.Columns {
		n := s.n[c.Name]
		n.exact += countValid(into.Vectors[i].Valid[before:])
		s.n[c.Name] = n
	}
	for _, r := range into.Rejects[bad:] {
		n := s.n[r.Column]
		n.rejected++
		s.n[r.Column] = n
	}
	return true, nil
}

// counts are kept by name, as columns come.
func (s *shaping) counts() []counts {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	for name, n := range s.n {
		sum := s.d.n[name]
		sum.add(n)
		s.d.n[name] = sum
	}
	s.d.rows += s.rows
	return nil
}
