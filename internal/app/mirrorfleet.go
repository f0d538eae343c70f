package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/config"
	"firth/internal/load"
	"firth/internal/mirror"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// mirrorRunner runs one mirror. *mirror.Runner is one.
type mirrorRunner interface {
	Run(ctx context.Context) error
	Do(ctx context.Context, o mirror.RunOptions, progress func(mirror.Progress)) (*mirror.Report, error)
	State() state.Component
	// Next is when the next run is due; zero: none is.
	Next() time.Time
	Last() *mirror.Report
}

// mirrorFleet runs the mirrors, each by itself: one whose database is down, slow or odd delays no other, and none of them has to do with
// the lake. It is safe for use by several goroutines.
type mirrorFleet struct {
	cfg     *config.Config
	log     *slog.Logger
	history load.History
	local   func() mirror.Target
	now     func() time.Time

	databases *databases
	targets   *mirrorTargets
	members   []*mirrorMember
}

// mirrorMember is one mirror of the fleet.
type mirrorMember struct {
	name   string
	cfg    config.Mirror
	runner mirrorRunner
	log    *slog.Logger
	joined *joinedRuns
	over   atomic.Pointer[state.Component] // once the runner has ended by itself

	mu      sync.Mutex
	counted mirrorCounts
}

// mirrorCounts is what has become of a mirror's runs since the start.
type mirrorCounts struct {
	running  int
	rows     int64
	runs     map[string]int64 // that have ended, by state
	success  time.Time        // of the last that was one
	last     warehouse.Run    // that has ended; a row of firth.runs may tell several
	underWay map[string]bool  // by id
}

// newMirrorFleet makes the members. Nothing is opened before Run or do. local is the embedded warehouse while it is open.
func newMirrorFleet(cfg *config.Config, log *slog.Logger, kinds mirrorKinds, history load.History, local func() mirror.Target) *mirrorFleet {
	f := &mirrorFleet{cfg: cfg, log: log, history: history, local: local, now: time.Now}
	f.databases, f.targets = newDatabases(cfg, kinds.sources, log), newMirrorTargets(cfg, kinds.targets, log, local)
	for _, name := range cfg.MirrorNames() {
		m := &mirrorMember{name: name, cfg: cfg.Mirrors[name], log: log}
		clocks, err := clocksOf(&m.cfg)
		if err != nil {
			m.over.Store(&state.Component{State: state.Failed, Error: err.Error(), Hint: "it runs on demand alone: firth sync " + name})
		}
		m.joined = newJoinedRuns(f.now, shortClocks(clocks.Copy, clocks.List, clocks.Get, f.now), func(r *warehouse.Run) { f.write(m, r) })
		maker := &mirrorMaker{cfg: cfg, databases: f.databases, targets: f.targets, log: log, now: f.now, record: func(r *warehouse.Run) { f.record(m, r) }}
		m.runner = mirror.NewRunner(maker.make(name), clocks)
		f.members = append(f.members, m)
	}
	return f
}

// record counts a run and hands it on.
func (f *mirrorFleet) record(m *mirrorMember, r *warehouse.Run) {
	m.count(r)
	m.joined.record(r)
}

// write writes a row of firth.runs.
func (f *mirrorFleet) write(m *mirrorMember, r *warehouse.Run) {
	if f.history == nil {
		return
	}
	if err := f.history.RecordRun(context.Background(), r); err != nil {
		f.log.Warn("a run of a mirror was not recorded", "mirror", m.name, "error", err)
	}
}

func (m *mirrorMember) count(r *warehouse.Run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.counted
	if c.runs == nil {
		c.runs, c.underWay = map[string]int64{}, map[string]bool{}
	}
	if r.State == warehouse.RunRunning {
		c.underWay[r.ID] = true
		c.running = len(c.underWay)
		return
	}
	delete(c.underWay, r.ID)
	c.running = len(c.underWay)
	c.rows += r.Rows
	c.runs[r.State]++
	c.last = *r
	if r.State == warehouse.RunSuccess {
		c.success = r.FinishedAt
	}
}

// counts is a copy of what was counted.
func (m *mirrorMember) counts() mirrorCounts {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.counted
	out.runs, out.underWay = map[string]int64{}, nil
	for k, v := range m.counted.runs {
		out.runs[k] = v
	}
	return out
}

// Run runs the mirrors until ctx ends, and returns nil then.
func (f *mirrorFleet) Run(ctx context.Context) error {
	f.endRuns(ctx)
	var group errgroup.Group
	group.Go(func() error { <-ctx.Done(); return nil })
	for _, m := range f.members {
		group.Go(func() error {
			if f.awaitLocal(ctx, m) {
				m.run(ctx)
			}
			return nil
		})
	}
	err := group.Wait()
	for _, m := range f.members {
		m.joined.end()
	}
	return errors.Join(err, f.close())
}

// close gives connections up. Nothing runs any more.
func (f *mirrorFleet) close() error {
	if err := errors.Join(f.targets.close(), f.databases.close()); err != nil {
		f.log.Warn("a connection of the mirrors was not closed", "error", err)
	}
	return nil
}

// forgetRuns is after how long runs of mirrors are forgotten.
const forgetRuns = 90 * 24 * time.Hour

// endRuns ends in firth.runs what an earlier process has left running.
func (f *mirrorFleet) endRuns(ctx context.Context) {
	if f.history == nil {
		return
	}
	for _, m := range f.members {
		for _, name := range []string{m.name, m.name + "/list", m.name + "/get"} {
			err := f.history.EndRuns(ctx, mirrorKind, name, "the process ended before the run did", "nothing: the next run goes on with what is staged, or begins anew", f.now().Add(-forgetRuns))
			if err != nil {
				f.log.Warn("runs of an earlier process still stand as running", "mirror", m.name, "error", err)
			}
		}
	}
}

// awaitLocal waits until the embedded warehouse is open where a mirror goes into it; false: ctx has ended before.
func (f *mirrorFleet) awaitLocal(ctx context.Context, m *mirrorMember) bool {
	for m.cfg.Into.Warehouse == config.Local && f.local() == nil {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
	return true
}

// run runs one mirror until ctx ends. A runner that ends by itself, however it does, takes no other with it.
func (m *mirrorMember) run(ctx context.Context) {
	err := m.guarded(func() error { return m.runner.Run(ctx) })
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = errors.New("the mirror ended by itself")
	}
	const hint = "the others run all the same; start the server again when it suits, and report what the log says"
	m.over.Store(&state.Component{State: state.Failed, Error: err.Error(), Hint: hint})
	m.log.Error("a mirror no longer runs", "mirror", m.name, "error", err, "hint", hint)
}

func (m *mirrorMember) guarded(run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			m.log.Error("the mirror broke off", "mirror", m.name, "reason", p, "stack", string(debug.Stack()))
			err = hint(fmt.Errorf("the mirror broke off: %v", p), "the table is as it was; report what the log says")
		}
	}()
	return run()
}

// do runs the mirror once, in turn with its clocks.
func (m *mirrorMember) do(ctx context.Context, o mirror.RunOptions, progress func(mirror.Progress)) (report *mirror.Report, err error) {
	err = m.guarded(func() error {
		var err error
		report, err = m.runner.Do(ctx, o, progress)
		return err
	})
	return report, err
}

func (m *mirrorMember) component() state.Component {
	c := m.runner.State()
	if over := m.over.Load(); over != nil {
		c = *over
	}
	c.Name = mirrorKey(m.name)
	if c.State == state.Starting && m.runner.Next().IsZero() {
		c.State = state.OK // it waits for an order
	}
	return c
}

// find is the member of that name; nil: there is none.
func (f *mirrorFleet) find(name string) *mirrorMember {
	for _, m := range f.members {
		if m.name == name {
			return m
		}
	}
	return nil
}

// components say how the members are.
func (f *mirrorFleet) components() []state.Component {
	var out []state.Component
	for _, m := range f.members {
		out = append(out, m.component())
	}
	return out
}

// mirrorSchemas are the schemas that mirrors write in a warehouse.
func mirrorSchemas(cfg *config.Config, into string) []string {
	var out []string
	for _, name := range cfg.MirrorNames() {
		if m := cfg.Mirrors[name]; m.Into.Warehouse == into && !slices.Contains(out, m.Into.Schema) {
			out = append(out, m.Into.Schema)
		}
	}
	return out
}

// sourceText is the kind that a mirror reads; both of a list and a get.
func sourceText(m *config.Mirror) string {
	var kinds []string
	for _, b := range []*config.Block{m.From, m.List, m.Get} {
		if b != nil {
			kinds = append(kinds, b.Kind)
		}
	}
	return strings.Join(slices.Compact(kinds), "/")
}
