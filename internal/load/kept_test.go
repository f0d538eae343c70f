package load_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/load"
	"firth/internal/schedule"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// restarting is a server whose connections can be broken: all that are open, while new ones work.
type restarting struct {
	*memWarehouse

	mu    sync.Mutex
	opens int
	era   int
	kind  warehouse.Kind // of the error of a connection that is broken
	down  bool
}

// connection is one of a server; it works until the server is restarted.
type connection struct {
	*memWarehouse
	s   *restarting
	era int
}

func (s *restarting) open(context.Context) (load.Warehouse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	if s.down {
		return nil, refused()
	}
	return &connection{s.memWarehouse, s, s.era}, nil
}

func (s *restarting) restart(kind warehouse.Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.era++
	s.kind = kind
}

func (s *restarting) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

func (c *connection) alive() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.era == c.s.era {
		return nil
	}
	return &warehouse.Error{Op: "load", Object: "pg", Kind: c.s.kind, Err: errors.New("terminating connection"), Hint: "wait"}
}

func (c *connection) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	if err := c.alive(); err != nil {
		return nil, err
	}
	return c.memWarehouse.Load(ctx, b)
}

func (c *connection) Catalogue(ctx context.Context, source string) ([]warehouse.Table, error) {
	if err := c.alive(); err != nil {
		return nil, err
	}
	return c.memWarehouse.Catalogue(ctx, source)
}

func (c *connection) Replay(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	if err := c.alive(); err != nil {
		return nil, err
	}
	return c.memWarehouse.Replay(ctx, b)
}

// states are those that runs were ever recorded in.
type states struct {
	fakeReaders
	seen []string
}

func (s *states) RecordRun(ctx context.Context, r *warehouse.Run) error {
	s.mu.Lock()
	if !slices.Contains(s.seen, r.State) {
		s.seen = append(s.seen, r.State)
	}
	s.mu.Unlock()
	return s.fakeReaders.RecordRun(ctx, r)
}

func keeping(l *fakeLake, s *restarting, v *states) *load.Runner {
	o := options(l, nil, nil)
	o.Name, o.Warehouse, o.Rows, o.History = "pg", nil, 20, v
	return load.NewRunner(load.RunnerOptions{Loader: o, Open: s.open, Schedule: schedule.Every(20 * time.Second)})
}

// TestARestartBetweenRunsIsNoFailure: the kept connection is dead, a new one works.
func TestARestartBetweenRunsIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, v := newFakeLake(), &restarting{memWarehouse: newMemWarehouse()}, &states{}
		l.commit("a", journal, 50, calls(0, 50, 1)...)
		r := keeping(l, s, v)
		stop := begin(t, r)
		time.Sleep(5 * time.Second)
		for i := range uint64(3) {
			s.restart(warehouse.Down)
			l.commit("a", journal, 100+50*i, calls(50+50*i, 50, 1)...)
			time.Sleep(20 * time.Second)
			if c := r.State(); c.State != state.OK || s.opened() != int(i)+2 {
				t.Errorf("%+v, opened %d times", c, s.opened())
			}
		}
		// Orders are the same, whatever they begin with.
		at := uint64(200)
		for _, o := range []load.Order{{}, {From: time.Unix(1, 0)}, {From: time.Unix(1, 0), Tables: []string{"clicked"}}} {
			s.restart(warehouse.Down)
			l.commit("a", journal, at+10, calls(at, 10, 1)...)
			at += 10
			if report := do(t, r, o); report.Run.State != warehouse.RunSuccess {
				t.Errorf("%+v", report.Run)
			}
		}
		time.Sleep(time.Minute)
		stop()
		if slices.Contains(v.seen, warehouse.RunFailure) || slices.Contains(v.seen, warehouse.RunPartial) {
			t.Errorf("runs were %v: %v", v.seen, v.history())
		}
		if diff := cmp.Diff(plain(t, l), s.dump("a")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestAServerThatStaysDownIsTriedOnceMore and then fails as ever.
func TestAServerThatStaysDownIsTriedOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, v := newFakeLake(), &restarting{memWarehouse: newMemWarehouse()}, &states{}
		l.commit("a", journal, 50, calls(0, 50, 1)...)
		r := keeping(l, s, v)
		stop := begin(t, r)
		time.Sleep(5 * time.Second)
		s.restart(warehouse.Down)
		s.mu.Lock()
		s.down = true
		s.mu.Unlock()
		l.commit("a", journal, 60, calls(50, 10, 1)...)
		time.Sleep(15*time.Second + 500*time.Millisecond)
		if c := r.State(); c.State != state.Failed || s.opened() != 2 {
			t.Errorf("%+v, opened %d times", c, s.opened())
		}
		stop()
		if !slices.Contains(v.seen, warehouse.RunFailure) {
			t.Errorf("runs were %v", v.seen)
		}
		for _, run := range v.runs {
			if run.State == warehouse.RunFailure && slices.ContainsFunc(run.Notices, func(n string) bool { return strings.HasPrefix(n, "prepare ") }) {
				t.Errorf("a run that loaded nothing says how long that took: %q", run.Notices)
			}
		}
	})
}

// TestAWarehouseThatMustBeOpenedAgainIs, by itself: somebody dropped its bookkeeping, say.
func TestAWarehouseThatMustBeOpenedAgainIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, v := newFakeLake(), &restarting{memWarehouse: newMemWarehouse()}, &states{}
		l.commit("a", journal, 50, calls(0, 50, 1)...)
		r := keeping(l, s, v)
		stop := begin(t, r)
		time.Sleep(5 * time.Second)
		s.restart(warehouse.Broken)
		l.commit("a", journal, 60, calls(50, 10, 1)...)
		time.Sleep(30 * time.Second)
		if c := r.State(); c.State != state.OK || s.opened() != 2 {
			t.Errorf("%+v, opened %d times", c, s.opened())
		}
		stop()
		if diff := cmp.Diff(plain(t, l), s.dump("a")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestATableThatSomebodyDropped can be named in orders: the lake knows it.
func TestATableThatSomebodyDropped(t *testing.T) {
	l, w := newFakeLake(), newMemWarehouse()
	l.commit("a", journal, 100, calls(0, 100, 1)...)
	late := call(150, `{"price": 2.5}`)
	late.Event = "Bought Twice"
	l.commit("a", journal, 200, late)
	r, _ := remoteOf(l, w, nil)
	do(t, r, load.Order{})
	want := w.dump("a")
	for _, o := range []load.Order{
		{Rebuild: true, Tables: []string{"clicked", "bought_twice"}}, {From: time.Unix(1, 0), Source: "a", Tables: []string{"a.bought_twice", "clicked"}},
	} {
		for _, name := range []string{"clicked", "bought_twice"} {
			delete(w.schemas["a"], name)
		}
		if report := do(t, r, o); report.Run.Rows != 101 {
			t.Errorf("%+v", report.Run)
		}
		if diff := cmp.Diff(want, w.dump("a")); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", o, diff)
		}
	}
	_, err := r.Do(t.Context(), load.Order{Rebuild: true, Tables: []string{"bought_twicf"}}, nil)
	if err == nil || !strings.Contains(err.Error(), `there is no table "bought_twicf"; did you mean "bought_twice"? There are: bought_twice, clicked, tracks`) {
		t.Error(err)
	}
}

// TestWithTheLakeAlone keeps the views and loads nothing.
func TestWithTheLakeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newFakeWarehouse(), &fakeReaders{}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		o := options(l, w, v)
		o.LakeOnly = true
		o.Others = func() []warehouse.Freshness {
			return []warehouse.Freshness{{Source: "a", Warehouse: "pg", PendingRows: 3}}
		}
		loader := load.New(o)
		stop := run(t, loader)
		time.Sleep(time.Minute)
		if c := loader.State(); c.State != state.OK || c.Error != "" || !strings.Contains(c.Hint, "switched off") {
			t.Errorf("%+v", c)
		}
		v.mu.Lock()
		if len(v.freshness) != 1 || v.freshness[0].Warehouse != "pg" || len(v.files) != 1 || !slices.Contains(v.calls, "a: /lake/a/1.parquet") || !slices.Contains(v.calls, "end runs of load local/a") {
			t.Errorf("freshness %+v, files %+v, calls %q", v.freshness, v.files, v.calls)
		}
		v.mu.Unlock()
		if len(w.loaded("a"))+len(w.batches)+len(loader.Freshness()) > 0 {
			t.Error("something was loaded")
		}
		for _, o := range []load.Order{{}, {Rebuild: true}, {From: time.Unix(1, 0)}} {
			if _, err := loader.Do(t.Context(), o, nil); warehouse.KindOf(err) != warehouse.NotThere || warehouse.HintOf(err) == "" {
				t.Errorf("%+v: %v", o, err)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if err := loader.CatchUp(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
