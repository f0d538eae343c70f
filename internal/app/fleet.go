package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/config"
	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/schedule"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// loadRunner loads one warehouse that is a server. *load.Runner is one.
type loadRunner interface {
	Run(ctx context.Context) error
	Do(ctx context.Context, o load.Order, progress func(load.Progress)) (load.Report, error)
	State() state.Component
	Freshness() []warehouse.Freshness
	Stats() load.Stats
	// Next is when the next run is due; zero: none is.
	Next() time.Time
}

// fleet keeps the warehouses that are servers in step with the lake, each by itself: one that is down, slow or refusing delays no
// other, and none of them has to do with the embedded one. It is safe for use by several goroutines.
type fleet struct {
	cfg     *config.Config
	dir     folders
	log     *slog.Logger
	kinds   map[string]serverKind
	history *runHistory
	now     func() time.Time

	lake    *state.Cell // while the lake cannot be opened
	reader  atomic.Pointer[lake.Reader]
	mu      sync.Mutex
	members []*member
}

// member is one warehouse of the fleet.
type member struct {
	*remote
	runner   loadRunner
	schedule schedule.Schedule // nil: on demand
	pace     loadPace
	over     atomic.Pointer[state.Component] // once the runner has ended by itself
}

func newFleet(cfg *config.Config, dir folders, log *slog.Logger, kinds map[string]serverKind, history *runHistory) *fleet {
	return &fleet{cfg: cfg, dir: dir, log: log, kinds: kinds, history: history, now: time.Now, lake: state.New("warehouses")}
}

// Run loads until ctx ends, and returns nil then.
func (f *fleet) Run(ctx context.Context) error {
	if len(f.cfg.Remote()) == 0 && f.cfg.Alerts.Webhook == "" {
		<-ctx.Done()
		return nil
	}
	reader := f.openLake(ctx)
	if reader == nil {
		return nil
	}
	defer func() {
		f.reader.Store(nil)
		if err := reader.Close(); err != nil {
			f.log.Warn("the lake was not closed", "error", err)
		}
	}()
	members := f.enlist(reader)
	f.reader.Store(reader)
	f.mu.Lock()
	f.members = members
	f.mu.Unlock()
	var group errgroup.Group
	group.Go(func() error { <-ctx.Done(); return nil }) // the lake stays open though there may be no member
	for _, m := range members {
		group.Go(func() error { m.run(ctx); return nil })
	}
	return group.Wait()
}

// run loads until ctx ends. A runner that ends by itself, however it does, takes no other with it.
func (m *member) run(ctx context.Context) {
	err := m.guarded(ctx)
	if ctx.Err() != nil {
		return
	}
	const hint = "the others are loaded all the same; start the server again when it suits, and report what the log says"
	if err == nil {
		err = errors.New("loading ended by itself")
	}
	m.over.Store(&state.Component{State: state.Failed, Error: err.Error(), Hint: hint})
	m.log.Error("a warehouse is no longer loaded", "warehouse", m.name, "error", err, "hint", hint)
}

func (m *member) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			m.log.Error("loading broke off", "warehouse", m.name, "reason", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("loading broke off: %v", p)
		}
	}()
	return m.runner.Run(ctx)
}

// openLake opens the lake for reading, again and again while it cannot be opened; nil: ctx has ended.
func (f *fleet) openLake(ctx context.Context) *lake.Reader {
	for ctx.Err() == nil {
		reader, err := openLakeReader(ctx, f.cfg, f.dir)
		if err == nil {
			return reader
		}
		err = lakeHint(fmt.Errorf("open lake: %w", err))
		f.lake.SetError(state.Failed, err, hintOf(err))
		select {
		case <-ctx.Done():
		case <-time.After(reopenEvery):
		}
	}
	return nil
}

// enlist makes the members.
func (f *fleet) enlist(reader *lake.Reader) []*member {
	var out []*member
	for _, r := range remotes(f.cfg, f.kinds, f.log) {
		m, err := f.member(r, reader, f.history)
		if err != nil {
			m = &member{remote: r, runner: &unable{name: r.name, err: err}}
		}
		out = append(out, m)
	}
	return out
}

func (f *fleet) member(r *remote, reader *lake.Reader, history load.History) (*member, error) {
	k, err := kindOf(f.kinds, r)
	if err != nil {
		return nil, err
	}
	m := &member{remote: r}
	if m.schedule, err = scheduleOf(&r.Warehouse); err != nil {
		return nil, err
	}
	temp := f.dir.warehouseTemp(r.name)
	if err := ensureFolders(temp); err != nil {
		return nil, hint(err, "the folder %s must be writable", filepath.Dir(temp))
	}
	m.runner = load.NewRunner(load.RunnerOptions{
		Loader: loaderOptions(r, k, reader, history, temp, f.log), Schedule: m.schedule,
		Open: func(ctx context.Context) (load.Warehouse, error) { return k.open(ctx, r) },
	})
	return m, nil
}

// loaderOptions are the settings of what loads a warehouse that is a server.
func loaderOptions(r *remote, k serverKind, reader load.Lake, history load.History, temp string, log *slog.Logger) load.Options {
	rules := r.rules(k)
	return load.Options{
		Name: r.name, Lake: reader, History: history, Rules: rules, Standard: event.Standard(rules), Selection: selection(&r.Warehouse),
		NewShaper: load.Segment(rules, event.ShapeOptions{}), NewSurvey: load.Survey(rules, event.ShapeOptions{}), TempDir: temp, Log: log,
	}
}

// selection is what is loaded into a warehouse.
func selection(w *config.Warehouse) load.Selection {
	return load.Selection{
		Sources: w.Sources,
		Tables:  load.Choice{Include: w.Tables.Include, Exclude: w.Tables.Exclude},
		Columns: load.Choice{Include: w.Columns.Include, Exclude: w.Columns.Exclude},
	}
}

// scheduleOf is when a warehouse is loaded; nil: on demand.
func scheduleOf(w *config.Warehouse) (schedule.Schedule, error) {
	switch {
	case w.Every > 0:
		return schedule.Every(time.Duration(w.Every)), nil
	case w.Cron != "":
		return schedule.Cron(w.Cron)
	}
	return nil, nil //nolint:nilnil // no schedule is a schedule
}

// unable stands for the runner of a warehouse that cannot be loaded until the configuration is another.
type unable struct {
	name string
	err  error
}

func (u *unable) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (u *unable) Do(context.Context, load.Order, func(load.Progress)) (load.Report, error) {
	return load.Report{}, u.err
}

func (u *unable) State() state.Component {
	return state.Component{State: state.Failed, Error: u.err.Error(), Hint: hintOf(u.err)}
}

func (u *unable) Stats() load.Stats { return load.Stats{} }

func (u *unable) Next() time.Time { return time.Time{} }

func (u *unable) Freshness() []warehouse.Freshness { return nil }

// all are the members, none until the lake is open.
func (f *fleet) all() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.members
}

// find is the member of that name; nil: there is none, or not yet.
func (f *fleet) find(name string) *member {
	for _, m := range f.all() {
		if m.name == name {
			return m
		}
	}
	return nil
}

// freshness says how far each member is, for each of its sources.
func (f *fleet) freshness() []warehouse.Freshness {
	var out []warehouse.Freshness
	for _, m := range f.all() {
		out = append(out, m.runner.Freshness()...)
	}
	return out
}

// components say how the members are.
func (f *fleet) components() []state.Component {
	members := f.all()
	if len(members) == 0 && len(f.cfg.Remote()) > 0 {
		return []state.Component{f.lake.Get()}
	}
	var out []state.Component
	for _, m := range members {
		out = append(out, m.component())
	}
	return out
}

func (m *member) component() state.Component {
	c := m.runner.State()
	if over := m.over.Load(); over != nil {
		c = *over
	}
	c.Name = "warehouse " + m.name
	if c.State == state.Starting && m.schedule == nil {
		c.State = state.OK // it waits for an order
	}
	return c
}
