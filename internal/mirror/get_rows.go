package mirror

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"firth/internal/infer"
	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// getTable makes rows of those of a relational source.
type getTable struct {
	g      *getting
	layout *layout
	at     int // of the id among the source's columns
	from   []vector.Column
}

// newTabular finds out which columns there are and reconciles them with those of the table.
func (g *getting) newTabular(info *source.Info) (rowMaker, error) {
	t := &getTable{g: g, at: pathIn(info.Columns, g.key), from: info.Columns}
	if t.at < 0 {
		return nil, g.noID()
	}
	m := &Mirror{o: g.m.o}
	m.o.Config.Exclude = append(slices.Clone(g.cfg.Exclude), info.Columns[t.at].Path)
	prior := *g.prior
	prior.Columns = withoutID(prior.Columns)
	plain := *info
	plain.Key = nil
	l, err := m.arrange(g.run, &plain, &prior, nil, g.last.Settings == g.settings)
	if err != nil {
		return nil, err
	}
	for i := range l.columns {
		c := &l.columns[i]
		if strings.EqualFold(c.Name, idColumn) {
			c.Name = idColumn + "_2"
			g.notice("column %s is called %s: the id has its name", c.Path, c.Name)
		}
	}
	t.layout = l
	return t, nil
}

// withoutID are the columns of the table that come from the get.
func withoutID(columns []vector.Column) (out []vector.Column) {
	for _, c := range columns {
		if c.Name != idColumn {
			out = append(out, c)
		}
	}
	return out
}

func (t *getTable) columns() []vector.Column { return t.layout.list() }
func (t *getTable) plan() json.RawMessage    { return nil }

func (t *getTable) owners(b *source.Batch, each func(row int, id string)) error {
	if b.Chunk == nil || t.at >= len(b.Chunk.Vectors) {
		return t.g.noID()
	}
	v := b.Chunk.Vectors[t.at]
	for row := range b.Chunk.Rows {
		if !v.Valid[row] {
			return t.g.noID()
		}
		each(row, v.Text(row))
	}
	return nil
}

func (t *getTable) make(b *source.Batch, owner []int) (*vector.Chunk, error) {
	x := newTransform(t.layout)
	out := vector.NewChunk(x.list)
	for lo := 0; lo < len(owner); {
		if owner[lo] < 0 {
			lo++
			continue
		}
		hi := lo + 1
		for hi < len(owner) && owner[hi] >= 0 {
			hi++
		}
		x.append(out, b.Chunk, lo, hi)
		lo = hi
	}
	return out, nil
}

// getDocs makes rows of documents.
type getDocs struct {
	g    *getting
	path string
	own  docs // the settings of inference, and the masks

	mu     sync.Mutex
	shaper *infer.Shaper
	more   []vector.Column // that are declared and have not been seen
	stored json.RawMessage
}

// sampleIDs is how many ids are asked for to see what columns there are, where nothing is known.
const sampleIDs = 10_000

// newDocuments goes on with the plan of the last run, or makes one by a sample.
func (g *getting) newDocuments(ctx context.Context) (rowMaker, error) {
	d := &getDocs{g: g, path: g.key, own: docs{cfg: g.cfg, keys: []string{g.key}}}
	if err := d.own.configure(&g.m.o); err != nil {
		return nil, err
	}
	if len(g.cfg.Tables) > 0 {
		g.notice("arrays become JSON in a get: tables of their own are for copies")
	}
	o := d.own.options
	o.Exclude = append(slices.Clone(o.Exclude), g.key)
	o.Taken = []string{idColumn, warehouse.SyncedAt, warehouse.ValidFrom, warehouse.ValidTo}
	var plan *infer.Plan
	if len(g.last.Plan) > 0 && g.last.Settings == g.settings {
		p, err := infer.ParsePlan(g.last.Plan)
		if err != nil {
			return nil, err
		}
		plan = p
	}
	if plan == nil {
		var err error
		if plan, err = d.sample(ctx, o); err != nil {
			return nil, err
		}
	}
	d.shaper = infer.NewShaper(plan, o)
	d.declared()
	return d, d.store()
}

// sample makes a plan by the first ids. Ids that fail are left to the run itself.
func (d *getDocs) sample(ctx context.Context, o infer.Options) (*infer.Plan, error) {
	c := infer.NewCounter(o)
	ids, err := d.g.order.sample(ctx, sampleIDs)
	if err != nil {
		return nil, err
	}
	size := d.g.order.size()
	for len(ids) > 0 && ctx.Err() == nil {
		n := min(size, len(ids))
		if err := d.g.order.pace(ctx, n); err != nil {
			return nil, err
		}
		if err := d.count(ctx, c, ids[:n]); err != nil {
			d.g.m.o.Log.Debug("some ids of the sample could not be read", "mirror", d.g.cfg.Name, "err", err)
		}
		ids = ids[n:]
	}
	d.g.order.sent = 0
	return c.Plan(), ctx.Err()
}

func (d *getDocs) count(ctx context.Context, c *infer.Counter, ids []vector.Value) error {
	ctx, cancel := context.WithTimeout(ctx, batchPatience)
	defer cancel()
	rows, err := d.g.src.Get(ctx, ids)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // what was read was read
	var b source.Batch
	for {
		if err := rows.Next(ctx, &b); err != nil {
			return err // io.EOF, too: the sample is what there is
		}
		for i := range b.Docs {
			d.own.hide(&b.Docs[i])
			c.Add(&b.Docs[i])
		}
	}
}

// declared finds the columns whose type is given by hand and that no document has had yet: the table has them all the same.
func (d *getDocs) declared() {
	have := d.shaper.Columns()
	names := infer.NewNamer(d.g.m.o.Lower, idColumn, warehouse.SyncedAt)
	for _, c := range have {
		names.Restore(c.Path, c.Name)
	}
	d.more = nil
	for _, r := range d.g.cfg.Columns {
		if r.Type == nil || r.Mask == MaskDrop || pathIn(have, r.Path) >= 0 || r.Path == d.path || slices.Contains(d.g.cfg.Exclude, r.Path) {
			continue
		}
		want := r.As
		if want == "" {
			want = r.Path
		}
		name, _ := names.NameAs(r.Path, want)
		d.more = append(d.more, vector.Column{Name: name, Type: *r.Type, Path: r.Path})
	}
}

func (d *getDocs) columns() []vector.Column {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append(d.shaper.Columns(), d.more...)
}

func (d *getDocs) plan() json.RawMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stored
}

func (d *getDocs) store() error {
	text, err := json.Marshal(d.shaper.Plan())
	d.stored = text
	return err
}

func (d *getDocs) owners(b *source.Batch, each func(row int, id string)) error {
	for i := range b.Docs {
		id := findPath(&b.Docs[i], d.path)
		if _, ok := typeOfID(id); !ok {
			return d.g.noID()
		}
		each(i, string(plainText(id)))
	}
	return nil
}

func (d *getDocs) make(b *source.Batch, owner []int) (*vector.Chunk, error) {
	docs := b.Docs
	if slices.Contains(owner, -1) {
		docs = nil
		for i := range b.Docs {
			if owner[i] >= 0 {
				docs = append(docs, b.Docs[i])
			}
		}
	}
	for i := range docs {
		d.own.hide(&docs[i])
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.shaper.Chunk()
	grown, err := d.shaper.Shape(docs, c)
	if err == nil && grown {
		d.declared()
		err = d.store()
	}
	return c, err
}
