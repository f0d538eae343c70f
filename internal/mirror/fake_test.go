package mirror

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// row is one row of a fake table, by column; a missing cell is NULL. Every cell is held as text.
type row map[string]string

func (r row) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(r)) {
		parts = append(parts, k+"="+r[k])
	}
	return strings.Join(parts, " ")
}

// fakeSource is a table in memory, with an integer key id.
type fakeSource struct {
	mu      sync.Mutex
	columns []vector.Column
	key     []string
	rows    []row
	batch   int
	pieces  int // 0: as asked

	snapshot []row // while a reading goes on
	step     func(what string) error
	scans    []source.Request
	begins   int
}

func newFake(columns ...vector.Column) *fakeSource {
	return &fakeSource{columns: columns, key: []string{"id"}, batch: 7, step: func(string) error { return nil }}
}

func col(name, typ string) vector.Column {
	t, ok := vector.ParseType(typ)
	if !ok {
		t = vector.Type{Kind: vector.Text}
	}
	return vector.Column{Name: name, Path: name, Type: t, Source: typ}
}

func (f *fakeSource) Describe(context.Context) (*source.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &source.Info{Columns: slices.Clone(f.columns), Key: f.key, Rows: int64(len(f.rows)), Bytes: -1}, f.step("describe")
}

func (f *fakeSource) Begin(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshot = slices.Clone(f.rows)
	f.begins++
	return f.step("begin")
}

func (f *fakeSource) Ranges(_ context.Context, pieces int) ([]source.Range, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pieces > 0 {
		pieces = f.pieces
	}
	n := len(f.snapshot)
	var out []source.Range
	var lo vector.Value
	for i := 1; i < pieces && n > 0; i++ {
		hi := vector.Value{Kind: vector.Int, Bits: 64, Num: int64(i * n / pieces)}
		out = append(out, source.Range{Label: fmt.Sprintf("id below %d", hi.Num), Lo: lo, Hi: hi})
		lo = hi
	}
	return append(out, source.Range{Label: "the rest", Lo: lo}), f.step("ranges")
}

func (f *fakeSource) Scan(_ context.Context, r source.Request) (source.Rows, error) {
	if err := f.step("scan"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scans = append(f.scans, r)
	var picked []row
	for _, x := range f.snapshot {
		if inRange(x, r) {
			picked = append(picked, x)
		}
	}
	columns := f.columns
	if r.Only != nil {
		columns = slices.DeleteFunc(slices.Clone(columns), func(c vector.Column) bool { return !slices.Contains(r.Only, c.Path) })
	}
	return &fakeRows{f: f, rows: picked, chunk: vector.NewChunk(columns)}, nil
}

func inRange(x row, r source.Request) bool {
	id := num(x["id"])
	if r.Range.Lo.Kind != vector.Null && id < r.Range.Lo.Num || r.Range.Hi.Kind != vector.Null && id >= r.Range.Hi.Num {
		return false
	}
	if r.From.Kind == vector.Null {
		return true
	}
	at, ok := x["at"]
	return ok && num(at) >= r.From.Num
}

func num(s string) int64 {
	var n int64
	_, _ = fmt.Sscan(s, &n)
	return n
}

func (f *fakeSource) Get(context.Context, []vector.Value) (source.Rows, error) { return nil, io.EOF }
func (f *fakeSource) End() error                                               { return f.step("end") }
func (f *fakeSource) Check(context.Context) []source.Finding                   { return nil }
func (f *fakeSource) Close() error                                             { return nil }

type fakeRows struct {
	f     *fakeSource
	rows  []row
	chunk *vector.Chunk
}

func (r *fakeRows) Next(_ context.Context, b *source.Batch) error {
	if err := r.f.step("next"); err != nil {
		return err
	}
	if len(r.rows) == 0 {
		return io.EOF
	}
	r.chunk.Reset()
	n := min(r.f.batch, len(r.rows))
	for i, x := range r.rows[:n] {
		for at, c := range r.chunk.Columns {
			text, ok := x[c.Path]
			if !ok {
				r.chunk.Vectors[at].AppendNull()
			} else if !vector.ParseInto(r.chunk.Vectors[at], text) {
				if r.chunk.Vectors[at].Len() == i {
					r.chunk.Vectors[at].AppendNull()
				}
				r.chunk.Rejects = append(r.chunk.Rejects, vector.Reject{Row: i, Column: c.Name, Value: text, Reason: "odd"})
			}
		}
	}
	r.chunk.Rows, r.rows = n, r.rows[n:]
	b.Chunk, b.Bytes = r.chunk, int64(20*n)
	return nil
}

func (r *fakeRows) Close() error { return nil }

// fakeTarget is a warehouse in memory with the semantics of a real one. What is done survives, what fails does not.
type fakeTarget struct {
	mu      sync.Mutex
	columns []vector.Column
	rows    []row
	rejects []warehouse.MirrorReject
	state   json.RawMessage
	stage   *fakeStage
	step    func(what string) error
	unfit   string // a text that cannot be held
	counts  map[string]int
	takes   bool // keys apart
}

func newTarget() *fakeTarget {
	return &fakeTarget{step: func(string) error { return nil }, counts: map[string]int{}}
}

func (t *fakeTarget) Mirror(context.Context, warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &warehouse.MirrorState{Columns: t.columns, Rows: int64(len(t.rows)), State: t.state}
	if t.stage != nil {
		s.Staged = &warehouse.Staged{Run: t.stage.o.Run, Columns: t.stage.o.Columns, Progress: t.stage.progress, Rows: int64(len(t.stage.rows))}
	}
	return s, t.step("mirror")
}

func (t *fakeTarget) IDs(context.Context, warehouse.MirrorTable, vector.Value, int) ([]vector.Value, error) {
	return nil, nil
}

func (t *fakeTarget) Stage(_ context.Context, table warehouse.MirrorTable, o warehouse.StageOptions) (Stage, error) {
	if strings.HasSuffix(table.Name, "/check") {
		other := newTarget()
		other.unfit = t.unfit
		return other.Stage(context.Background(), warehouse.MirrorTable{}, o)
	}
	if err := t.step("stage"); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts["stage"]++
	if t.stage == nil || !o.Resume || t.stage.o.Run != o.Run {
		t.stage = &fakeStage{o: o}
	}
	t.stage.t, t.stage.keys = t, nil
	if t.takes {
		return &keyStage{t.stage}, t.step("staged")
	}
	return t.stage, t.step("staged")
}

type fakeStage struct {
	t        *fakeTarget
	o        warehouse.StageOptions
	rows     []row
	progress json.RawMessage
	keys     map[string]bool
}

type keyStage struct{ *fakeStage }

func (s *keyStage) WriteKeys(_ context.Context, c *vector.Chunk) error {
	if s.keys == nil {
		s.keys = map[string]bool{}
	}
	for i := range c.Rows {
		s.keys[keyText(c, s.o.Key, i)] = true
	}
	return s.t.step("keys")
}

func (s *fakeStage) Write(_ context.Context, c *vector.Chunk, progress json.RawMessage) ([]vector.Reject, error) {
	if err := s.t.step("write"); err != nil {
		return nil, err
	}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.counts["write"]++
	var rejects []vector.Reject
	for i := range c.Rows {
		r := row{}
		for at, col := range c.Columns {
			if !c.Vectors[at].Valid[i] {
				continue
			}
			text := c.Vectors[at].Text(i)
			if s.t.unfit != "" && text == s.t.unfit {
				rejects = append(rejects, vector.Reject{Row: i, Column: col.Name, Value: text, Reason: "unfit"})
				continue
			}
			r[col.Name] = text
		}
		s.rows = append(s.rows, r)
	}
	s.progress = slices.Clone(progress)
	return rejects, s.t.step("written")
}

func (s *fakeStage) AddColumns(_ context.Context, columns []vector.Column) error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	_, s.o.Columns = merge(s.o.Columns, columns)
	return s.t.step("columns")
}

func (s *fakeStage) Discard(context.Context) error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.stage = nil
	s.t.counts["discard"]++
	return s.t.step("discard")
}

func (s *fakeStage) Publish(_ context.Context, p *warehouse.Publication) (*warehouse.Published, error) {
	if err := s.t.step("publish"); err != nil {
		return nil, err
	}
	t := s.t
	t.mu.Lock()
	defer t.mu.Unlock()
	out := &warehouse.Published{Rejects: int64(len(p.Rejects))}
	switch p.Mode {
	case warehouse.PublishReplace:
		t.rows, t.rejects = s.rows, nil
		out.Inserted = int64(len(s.rows))
	case warehouse.PublishAppend:
		t.rows = append(slices.Clone(t.rows), s.fresh(p)...)
	case warehouse.PublishUpsert:
		if err := s.upsert(p, out); err != nil {
			return nil, err
		}
	}
	old := slices.DeleteFunc(slices.Clone(t.columns), func(c vector.Column) bool {
		return slices.ContainsFunc(s.o.Columns, func(n vector.Column) bool { return n.Name == c.Name })
	})
	t.columns = append(slices.Clone(s.o.Columns), old...)
	if p.Mode == warehouse.PublishReplace {
		t.columns = s.o.Columns
	}
	t.rejects = append(t.rejects, p.Rejects...)
	t.state, t.stage = p.State, nil
	t.counts["publish"]++
	return out, t.step("published")
}

// fresh are the staged rows that the table does not have, each as often as it is missing.
func (s *fakeStage) fresh(p *warehouse.Publication) []row {
	have := map[string]int{}
	for _, r := range s.t.rows {
		if at, ok := r[p.Cursor]; p.From.Kind == vector.Null || ok && num(at) >= p.From.Num {
			have[r.String()]++
		}
	}
	var out []row
	for _, r := range s.rows {
		if have[r.String()] > 0 {
			have[r.String()]--
			continue
		}
		out = append(out, r)
	}
	return out
}

func (s *fakeStage) upsert(p *warehouse.Publication, out *warehouse.Published) error {
	id := func(r row) string {
		var parts []string
		for _, k := range p.Key {
			parts = append(parts, r[k])
		}
		return strings.Join(parts, ",")
	}
	by, staged := map[string]row{}, map[string]bool{}
	for _, r := range s.t.rows {
		by[id(r)] = r
	}
	for _, r := range s.rows {
		by[id(r)], staged[id(r)] = r, true
	}
	if s.keys != nil {
		staged = s.keys
	}
	before := len(s.t.rows)
	if p.DeleteMissing {
		for k := range by {
			if !staged[k] {
				delete(by, k)
				out.Deleted++
			}
		}
	}
	if before >= 10 && float64(out.Deleted) > p.Deletes*float64(before) {
		return &warehouse.Error{Op: "publish", Kind: warehouse.TooManyDeletes, Err: fmt.Errorf("%d of %d rows would go", out.Deleted, before)}
	}
	s.t.rows = slices.Collect(maps.Values(by))
	return nil
}

// sorted are the rows as text, in order.
func sorted(rows []row) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.String()
	}
	slices.SortFunc(out, cmp.Compare)
	return out
}

// testMirror makes a mirror of a fake source into a fake target, with a clock that stands.
func testMirror(c Config, f *fakeSource, t *fakeTarget) *Mirror {
	if c.Name == "" {
		c.Name = "m"
	}
	c.Table = warehouse.MirrorTable{Name: c.Name, Schema: "app", Table: c.Name}
	return New(Options{
		Config: c, Target: t,
		From: func(context.Context) (Source, error) { return f, f.step("open") },
		Now:  func() time.Time { return time.Unix(1_800_000_000, 0) },
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },

		chunkRows: 100, lazyBytes: 1000,
	})
}
