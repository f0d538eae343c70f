package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"firth/internal/disk"
	"firth/internal/event"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// Loader keeps one warehouse in step with the lake. Make it with New. Run and CatchUp must not run at the same time; State,
// Freshness and Do may be called from anywhere.
type Loader struct {
	o     Options
	state *state.Cell
	fresh freshness
	pace  pace

	sources map[string]*source
	names   []string // of sources, in the order of their turns
	letters seenView
	filesOf map[string]int64 // snapshot by table that firth.files shows
	filesAt time.Time
	shown   []warehouse.Freshness // in firth.freshness
	noted   string                // trouble beside the loads that was logged last
	unread  error                 // why the lake's catalog could not be read at the last look
	swept   bool                  // the temporary files of an earlier process are gone

	gate   chan struct{}   // held by whoever uses the warehouse or the sources
	orders chan struct{}   // held by the order that is carried out
	told   map[string]bool // kinds of runs whose rows of an earlier process were ended
	// connect makes sure that Options.Warehouse is there; nil where it always is. The gate is held.
	connect func(ctx context.Context) error
	// disconnect closes Options.Warehouse; nil where connect is. The gate is held.
	disconnect func()
	marks      marks
}

// New makes a loader. It does nothing until Run or CatchUp.
func New(o Options) *Loader {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.Rows = cmp.Or(o.Rows, DefaultRows)
	o.Bytes = cmp.Or(o.Bytes, DefaultBytes)
	o.SpoolBytes = cmp.Or(o.SpoolBytes, DefaultSpoolBytes)
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = uuid.NewString
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wanted == nil {
		name := o.Name
		o.Wanted = func(c *event.Call) bool { return event.ForWarehouse(c.Integrations, name) }
	}
	return &Loader{
		o: o, state: state.New("load " + o.Name), sources: map[string]*source{},
		gate: make(chan struct{}, 1), orders: make(chan struct{}, 1), told: map[string]bool{},
	}
}

// lock waits for the turn to use the warehouse and the sources. A turn is a chunk long, about.
func (l *Loader) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Loader) unlock() { <-l.gate }

// State says how the loader is, for /readyz.
func (l *Loader) State() state.Component { return l.state.Get() }

// Freshness says how far each source is, as of the last look.
func (l *Loader) Freshness() []warehouse.Freshness { return l.fresh.get() }

// Run loads what comes until the context ends, and returns nil then, soon. Trouble with the lake, the warehouse or one source
// is shown by State and tried again with back-off. Only a warehouse that has to be opened again ends it with an error, of kind
// warehouse.Broken.
func (l *Loader) Run(ctx context.Context) error {
	defer l.finish(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			l.state.Set(state.Stopping)
			return nil
		case <-timer.C:
		}
		more, err := l.turn(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		wait := l.o.Every
		if more {
			wait = 0
		}
		timer.Reset(wait)
	}
}

// CatchUp loads until nothing is pending and returns nil; or the first failure. It is what a command and a clean stop call.
func (l *Loader) CatchUp(ctx context.Context) error {
	defer l.finish(ctx)
	for {
		for _, s := range l.sources {
			s.notBefore = time.Time{}
		}
		more, err := l.turn(ctx)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		for _, name := range l.names {
			if err := l.sources[name].err; err != nil {
				return fmt.Errorf("load %s: %w", name, err)
			}
		}
		if l.unread != nil {
			return l.unread
		}
		if !more {
			return nil
		}
	}
}

// finish ends the runs that go on and removes what was spooled.
func (l *Loader) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if l.lock(ctx) != nil {
		return
	}
	defer l.unlock()
	for _, name := range l.names {
		l.sources[name].session.end(ctx)
		if err := l.sources[name].dropSpool(); err != nil {
			l.o.Log.Warn("temporary files were left, the next start removes them", "err", err)
		}
	}
}

// turn gives every source one chunk and reports whether one of them has more. The error is one that ends the loader.
func (l *Loader) turn(ctx context.Context) (more bool, err error) {
	if l.lock(ctx) != nil {
		return false, nil
	}
	defer l.unlock()
	if !l.findSources(ctx) {
		return false, nil
	}
	l.sweep()
	for _, name := range l.names {
		s := l.sources[name]
		if l.o.Now().Before(s.notBefore) {
			continue
		}
		again, err := s.step(ctx)
		if ended(ctx) {
			return false, nil
		}
		if warehouse.KindOf(err) == warehouse.Broken {
			l.state.SetError(state.Failed, err, warehouse.HintOf(err))
			return false, err
		}
		s.note(ctx, err)
		more = more || again
	}
	l.measure()
	err = l.refresh(ctx)
	l.report()
	if t, ok := l.o.Warehouse.(Tender); ok && !more {
		err = errors.Join(err, t.Tend(ctx))
	}
	return more, l.note(ctx, err)
}

// sweep removes temporary files of an earlier process, once.
func (l *Loader) sweep() {
	if l.swept || l.o.TempDir == "" {
		return
	}
	if err := removeSpools(&l.o); err != nil {
		l.o.Log.Warn("temporary files of an earlier process are left", "err", err)
	}
	l.swept = true
}

// note logs trouble beside the loads when it is new, and returns it when the warehouse has to be opened again.
func (l *Loader) note(ctx context.Context, err error) error {
	switch {
	case err == nil:
		l.noted = ""
	case ended(ctx):
	case warehouse.KindOf(err) == warehouse.Broken:
		l.state.SetError(state.Failed, err, warehouse.HintOf(err))
		return err
	case err.Error() != l.noted:
		l.noted = err.Error()
		l.o.Log.Warn("the warehouse is not all up to date; it is tried again", "warehouse", l.o.Name, "err", err)
	}
	return nil
}

func ended(ctx context.Context) bool { return ctx.Err() != nil }

// findSources adds the sources that are new in the lake and reports whether the lake could be asked.
func (l *Loader) findSources(ctx context.Context) bool {
	found, err := l.o.Lake.Sources(ctx)
	if err != nil {
		if !ended(ctx) {
			l.unread = fmt.Errorf("read the lake's catalog: %w", err)
			l.state.SetError(state.Failed, l.unread, warehouse.HintOf(err))
		}
		return false
	}
	l.unread = nil
	for _, name := range found {
		if l.sources[name] != nil || !l.o.Selection.source(name) {
			continue
		}
		schema := l.o.Rules.Schema(name)
		s := &source{
			walker: walker{o: &l.o, source: name, label: schema, rows: l.o.Rows},
			pace:   &l.pace, marks: &l.marks, name: name, schema: schema, loadedThrough: event.NoTime,
			session: l.newSession(runKind, l.o.Name+"/"+name),
			begun:   l.connect != nil, // the runner has sessions of its own
		}
		l.sources[name] = s
		l.names = append(l.names, name)
		slices.Sort(l.names)
	}
	return true
}

func (l *Loader) newSession(kind, name string) *session {
	return &session{history: l.o.History, log: l.o.Log, now: l.o.Now, newID: l.o.NewID, kind: kind, name: name}
}

// report puts the worst of the sources into the state.
func (l *Loader) report() {
	failed := 0
	var first *source
	for _, name := range l.names {
		if s := l.sources[name]; s.err != nil {
			failed++
			if first == nil {
				first = s
			}
		}
	}
	if first == nil {
		stats := l.Stats()
		if hint, err := stats.behind(); err != nil {
			l.state.SetError(state.Degraded, err, hint)
			return
		}
		if l.o.LakeOnly {
			l.state.SetError(state.OK, nil, lakeOnlyHint)
			return
		}
		l.state.Set(state.OK)
		return
	}
	as := state.Degraded
	if failed == len(l.names) {
		as = state.Failed
	}
	l.state.SetError(as, fmt.Errorf("source %s: %w", first.name, first.err), warehouse.HintOf(first.err))
}
