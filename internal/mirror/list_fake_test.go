package mirror

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// kept is a fake source of documents: ids to a list, and to a get those of the ids that it has.
type kept struct {
	mu    sync.Mutex
	list  []string            // JSON, in order
	docs  map[string][]string // JSON without the id, by id
	batch int
	next  func(n int) error // before the page n of a list
	ask   func(ids []string) error
	asked [][]string
	key   string
	arena document.Arena
}

func newKept(ids ...string) *kept {
	return &kept{list: ids, docs: map[string][]string{}, batch: 100, key: "id"}
}

func (k *kept) Describe(context.Context) (*source.Info, error) {
	return &source.Info{Key: []string{k.key}, Rows: int64(len(k.list)), Bytes: -1}, nil
}
func (k *kept) Begin(context.Context) error { return nil }
func (k *kept) Ranges(context.Context, int) ([]source.Range, error) {
	return []source.Range{{}}, nil
}
func (k *kept) End() error                             { return nil }
func (k *kept) Check(context.Context) []source.Finding { return nil }
func (k *kept) Close() error                           { return nil }

func (k *kept) parse(texts []string) (out []document.Value) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range texts {
		v, err := document.Parse([]byte(t), &k.arena)
		if err != nil {
			panic(err)
		}
		out = append(out, v)
	}
	return out
}

func (k *kept) Scan(_ context.Context, r source.Request) (source.Rows, error) {
	if len(r.Only) != 1 || r.Only[0] != k.key {
		return nil, fmt.Errorf("asked for %v", r.Only)
	}
	var texts []string
	for _, id := range k.list {
		if !strings.HasPrefix(id, "{") {
			id = `{"` + k.key + `":` + id + `}`
		}
		texts = append(texts, id)
	}
	return &keptRows{k: k, texts: texts, each: k.next}, nil
}

func (k *kept) Get(_ context.Context, ids []vector.Value) (source.Rows, error) {
	var asked, texts []string
	for _, id := range ids {
		text := valueText(id)
		asked = append(asked, text)
		quoted := text
		if id.Kind == vector.Text {
			quoted = string(document.AppendQuoted(nil, text))
		}
		for _, d := range k.docs[text] {
			texts = append(texts, strings.Replace(d, "{", `{"`+k.key+`":`+quoted+`,`, 1))
		}
	}
	k.mu.Lock()
	k.asked = append(k.asked, asked)
	ask := k.ask
	k.mu.Unlock()
	rows := &keptRows{k: k, texts: texts}
	if ask == nil {
		return rows, nil
	}
	if rows.end = ask(asked); rows.end != nil {
		rows.texts = texts[:len(texts)/2]
	}
	return rows, nil
}

type keptRows struct {
	k     *kept
	texts []string
	each  func(n int) error
	n     int
	end   error
}

func (r *keptRows) Next(_ context.Context, b *source.Batch) error {
	if r.each != nil {
		if err := r.each(r.n); err != nil {
			return err
		}
	}
	r.n++
	if len(r.texts) == 0 {
		if r.end != nil {
			return r.end
		}
		return io.EOF
	}
	n := min(r.k.batch, len(r.texts))
	b.Docs, b.Bytes = r.k.parse(r.texts[:n]), int64(n)
	r.texts = r.texts[n:]
	return nil
}

func (r *keptRows) Close() error { return nil }

// idTarget is a fake warehouse of list/get tables.
type idTarget struct {
	mu       sync.Mutex
	columns  []vector.Column
	rows     map[string][]string // by id, each as name=value
	ids      []vector.Value
	state    json.RawMessage
	rejects  []warehouse.MirrorReject
	step     func(what string) error
	written  int
	slices   [][]string // the ids of each publication
	discards int
}

func newIDTarget() *idTarget {
	return &idTarget{rows: map[string][]string{}, step: func(string) error { return nil }}
}

func (t *idTarget) Mirror(context.Context, warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	return &warehouse.MirrorState{Columns: t.columns, Rows: int64(len(t.rows)), State: t.state}, nil
}

func compareIDs(a, b vector.Value) int {
	if a.Kind == vector.Text {
		return cmp.Compare(a.Text, b.Text)
	}
	return cmp.Compare(a.Num, b.Num)
}

func (t *idTarget) IDs(_ context.Context, _ warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []vector.Value
	for _, id := range t.ids {
		if (after.Kind == vector.Null || compareIDs(id, after) > 0) && len(out) < limit {
			out = append(out, id)
		}
	}
	return out, nil
}

func (t *idTarget) Stage(_ context.Context, _ warehouse.MirrorTable, o warehouse.StageOptions) (Stage, error) {
	return &idStage{t: t, columns: o.Columns}, t.step("stage")
}

type idStage struct {
	t       *idTarget
	columns []vector.Column
	rows    map[string][]string
	ids     []vector.Value
}

func (s *idStage) Write(_ context.Context, c *vector.Chunk, _ json.RawMessage) ([]vector.Reject, error) {
	if err := s.t.step("write"); err != nil {
		return nil, err
	}
	if s.rows == nil {
		s.rows = map[string][]string{}
	}
	at := c.Find(idColumn)
	for row := range c.Rows {
		s.t.written++
		s.ids = append(s.ids, c.Vectors[at].At(row))
		var parts []string
		for i, col := range c.Columns {
			if i != at && c.Vectors[i].Valid[row] {
				parts = append(parts, col.Name+"="+c.Vectors[i].Text(row))
			}
		}
		id := c.Vectors[at].Text(row)
		s.rows[id] = append(s.rows[id], strings.Join(parts, " "))
	}
	return nil, nil
}

func (s *idStage) AddColumns(_ context.Context, columns []vector.Column) error {
	for _, c := range columns {
		i := slices.IndexFunc(s.columns, func(h vector.Column) bool { return h.Name == c.Name })
		if i < 0 {
			s.columns = append(s.columns, c)
			continue
		}
		if s.columns[i].Type.Kind != c.Type.Kind && c.Type.Kind == vector.Text {
			for n := range s.ids {
				s.ids[n] = vector.Value{Kind: vector.Text, Text: valueText(s.ids[n])}
			}
		}
		s.columns[i] = c
	}
	return nil
}

func (s *idStage) Discard(context.Context) error {
	s.t.discards++
	return nil
}

func (s *idStage) Publish(_ context.Context, p *warehouse.Publication) (*warehouse.Published, error) {
	if err := s.t.step("publish"); err != nil {
		return nil, err
	}
	t := s.t
	t.mu.Lock()
	defer t.mu.Unlock()
	out := &warehouse.Published{}
	if p.Mode == warehouse.PublishIDs {
		listed := map[string]bool{}
		for _, id := range s.ids {
			listed[valueText(id)] = true
		}
		for id := range t.rows {
			if !listed[id] {
				out.Deleted++
			}
		}
		if len(t.rows) >= 10 && float64(out.Deleted) > p.Deletes*float64(len(t.rows)) {
			return nil, &warehouse.Error{Op: "publish", Kind: warehouse.TooManyDeletes, Err: fmt.Errorf("%d of %d rows would go", out.Deleted, len(t.rows))}
		}
		for id := range t.rows {
			if !listed[id] {
				delete(t.rows, id)
			}
		}
		slices.SortFunc(s.ids, compareIDs)
		t.ids, t.state = slices.Compact(s.ids), p.State
		return out, nil
	}
	var asked []string
	for row := range p.Asked.Len() {
		id := p.Asked.Text(row)
		asked = append(asked, id)
		switch now, ok := s.rows[id]; {
		case !ok:
			delete(t.rows, id)
		case slices.Equal(now, t.rows[id]):
			out.Unchanged++
		default:
			t.rows[id] = now
			out.Updated++
		}
	}
	t.columns, t.state, t.slices = s.columns, p.State, append(t.slices, asked)
	t.rejects = append(t.rejects, p.Rejects...)
	return out, nil
}

// getClock is a time that only goes on when somebody waits.
type getClock struct {
	mu  sync.Mutex
	now time.Time
	sum time.Duration
}

func (c *getClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *getClock) Wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.sum = c.now.Add(d), c.sum+d
	return ctx.Err()
}

// pairOf makes a mirror of a list and a get.
func pairOf(c Config, list, get Source, t Target, at *getClock) *Mirror {
	c.Name = "m"
	c.Table = warehouse.MirrorTable{Name: "m", Schema: "app", Table: "m"}
	return New(Options{
		Config: c, Target: t, Now: at.Now, Wait: at.Wait,
		List: func(context.Context) (Source, error) { return list, nil },
		Get:  func(context.Context) (Source, error) { return get, nil },
	})
}

func newClock() *getClock { return &getClock{now: time.Unix(1_800_000_000, 0)} }

// numbered are the ids from 0 to before n.
func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

// wants runs a mirror and wants a state.
func (m *Mirror) wants(t *testing.T, o RunOptions, state string) *Report {
	t.Helper()
	r, err := m.Sync(t.Context(), o, nil)
	if r.State != state || (err != nil) != (state == warehouse.RunFailure) {
		t.Fatalf("%s, %v: %s", r.State, err, r.Text())
	}
	return r
}

func wantRows(t *testing.T, target *idTarget, want map[string][]string) {
	t.Helper()
	for id, rows := range want {
		if !slices.Equal(target.rows[id], rows) {
			t.Errorf("id %s: %q, want %q", id, target.rows[id], rows)
		}
	}
	if len(target.rows) != len(want) {
		t.Errorf("%d ids have rows, want %d: %v", len(target.rows), len(want), target.rows)
	}
}

var errCut = &source.Error{Op: "read", Name: "usage", Err: errors.New("connection lost"), Retry: true}
