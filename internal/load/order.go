package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firth/internal/warehouse"
)

// Order asks for one run by hand. The zero value is a plain load of everything that is pending.
type Order struct {
	// From and To are times of receipt, half-open, zero for no bound. With one of them the order is a replay: what the lake has of that
	// time and the warehouse has not, though it was loaded, is written again.
	From, To time.Time
	Source   string   // "": all
	Tables   []string // of a replay or a rebuild; none: all. users and accounts are named of themselves
	// Rebuild makes the tables anew from the lake, beside the old ones, and then puts them in their place.
	Rebuild bool
}

// Stages of Progress.
const (
	StageLoad    = "load"
	StageReplay  = "replay"
	StageSurvey  = "survey"
	StageRebuild = "rebuild"
	StageSwap    = "swap"
)

// Progress says how far an order is; rows are rows of the lake, and Total is an estimate.
type Progress struct {
	Source, Stage string
	Done, Total   int64
}

// Report says what became of an order.
type Report struct {
	Run warehouse.Run // as the history has it
}

// kind is that of the order's runs.
func (o *Order) kind() string {
	switch {
	case o.Rebuild:
		return StageRebuild
	case !o.From.IsZero() || !o.To.IsZero():
		return StageReplay
	}
	return runKind
}

// words say what the order is, for the run's row.
func (o *Order) words() string {
	text := "by hand: " + o.kind()
	if len(o.Tables) > 0 {
		text += " of " + strings.Join(o.Tables, ", ")
	}
	if o.Source != "" {
		text += " of source " + o.Source
	}
	if !o.From.IsZero() {
		text += ", received from " + o.From.UTC().Format(time.RFC3339Nano)
	}
	if !o.To.IsZero() {
		text += ", received before " + o.To.UTC().Format(time.RFC3339Nano)
	}
	return text
}

// check refuses what makes no sense.
func (o *Order) check() error {
	replay := !o.From.IsZero() || !o.To.IsZero()
	switch {
	case o.Rebuild && replay:
		return errors.New("a rebuild is of all that the lake has: it takes no times")
	case !o.To.IsZero() && !o.From.Before(o.To):
		return fmt.Errorf("nothing is received from %s on and before %s", o.From.UTC().Format(time.RFC3339), o.To.UTC().Format(time.RFC3339))
	case len(o.Tables) > 0 && !o.Rebuild && !replay:
		return errors.New("a load is of all tables: tables are for a replay or a rebuild")
	}
	return nil
}

// Do carries one order out, beside Run, and records it as a run of its own. Orders take turns. progress may be nil; it is called from
// this goroutine after each chunk. The report is good also after an error. It may be called from anywhere.
func (l *Loader) Do(ctx context.Context, o Order, progress func(Progress)) (Report, error) {
	if err := o.check(); err != nil {
		return Report{}, err
	}
	if l.o.LakeOnly {
		return Report{}, &warehouse.Error{Op: "load", Object: l.o.Name, Kind: warehouse.NotThere, Err: errors.New("nothing is loaded into it"), Hint: lakeOnlyHint}
	}
	select {
	case l.orders <- struct{}{}:
		defer func() { <-l.orders }()
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	d := &doing{l: l, o: o, progress: progress, session: l.newSession(o.kind(), l.o.Name)}
	d.session.whole, d.session.schemas = true, true
	if err := d.resolve(ctx); err != nil {
		return Report{}, err
	}
	if len(o.Tables) > 0 {
		if err := d.choose(ctx); err != nil {
			return Report{}, err
		}
	}
	l.tidy(ctx, d.session)
	d.session.start(ctx)
	d.session.notice(o.words())
	began := l.o.Now()
	err := d.carryOut(ctx)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), historyWait)
	defer cancel()
	if err != nil {
		return Report{Run: *d.session.failed(ending, err, began)}, err
	}
	return Report{Run: *d.session.end(ending)}, nil
}

// doing is an order that is being carried out.
type doing struct {
	l        *Loader
	o        Order
	progress func(Progress)
	session  *session
	sources  []string            // to be treated, in order
	tables   map[string][]string // of each source, in lower case; nil: all
	worked   bool                // the warehouse did something
	kept     *kept
}

func (d *doing) carryOut(ctx context.Context) error {
	if d.o.kind() == runKind {
		return d.load(ctx)
	}
	for _, name := range d.sources {
		var err error
		if d.o.Rebuild {
			err = d.rebuild(ctx, name)
		} else {
			err = d.replay(ctx, name)
		}
		if err != nil {
			return fmt.Errorf("source %s: %w", name, err)
		}
	}
	return nil
}

// load is a plain run, which goes on from the stored position where it was held up.
func (d *doing) load(ctx context.Context) error {
	for try := 1; ; try++ {
		loads := d.session.loads
		err := d.pass(ctx)
		if d.session.loads > loads {
			d.worked, try = true, 1
		}
		if err == nil || !d.kept.renewed(ctx, err) && !d.pause(ctx, err, try) {
			return err
		}
	}
}

func (d *doing) pass(ctx context.Context) error {
	p := &pass{
		l: d.l, session: d.session, chosen: func(s *source) bool { return slices.Contains(d.sources, s.name) },
		tell: func(source string, done, total int64) {
			d.progress(Progress{Source: source, Stage: StageLoad, Done: done, Total: total})
		},
	}
	err := p.run(ctx)
	if e := d.l.lock(ctx); e != nil {
		return errors.Join(err, e)
	}
	defer d.l.unlock()
	return p.failure(err)
}

// tidy ends the rows that an earlier process left of the session's kind and name, once.
func (l *Loader) tidy(ctx context.Context, s *session) {
	if l.lock(ctx) != nil {
		return
	}
	defer l.unlock()
	key := s.kind + " " + s.name
	if l.told[key] {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, historyWait)
	defer cancel()
	if err := s.begin(ctx); err != nil {
		l.o.Log.Warn("runs of an earlier process could not be ended", "warehouse", l.o.Name, "err", err)
		return
	}
	l.told[key] = true
}

// resolve finds the sources that the order names.
func (d *doing) resolve(ctx context.Context) error {
	l := d.l
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if !l.findSources(ctx) {
		return errors.Join(ctx.Err(), l.unread)
	}
	l.sweep()
	d.sources = slices.Clone(l.names)
	if d.o.Source != "" {
		if !slices.Contains(l.names, d.o.Source) {
			return unknown("source", d.o.Source, l.names)
		}
		d.sources = []string{d.o.Source}
	}
	d.kept = l.kept()
	return nil
}

// wants reports whether the order is about a table of a source.
func (d *doing) wants(source, tableName string) bool {
	return d.tables == nil || slices.Contains(d.tables[source], strings.ToLower(tableName))
}

// Do carries one order out, beside Run; see Loader.Do.
func (r *Runner) Do(ctx context.Context, o Order, progress func(Progress)) (Report, error) {
	report, err := r.l.Do(ctx, o, progress)
	if !ended(ctx) {
		r.look(ctx)
		r.learn(&o, &report, err)
	}
	r.mu.Lock()
	next, stopped := r.status.next, r.status.stopped
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	r.leave(ctx, stopped || err != nil && concernsAll(err), next)
	return report, err
}

// learn takes from an order what it says about the warehouse.
func (r *Runner) learn(o *Order, report *Report, err error) {
	now := r.l.o.Now()
	r.update(func(s *status) {
		switch {
		case err == nil && (s.whole || o.kind() == runKind && o.Source == ""):
			s.err, s.whole, s.tries = nil, false, 0
		case err != nil && r.o.Schedule == nil && report.Run.ID != "":
			if s.err == nil {
				s.since = now
			}
			s.err, s.whole, s.tries = err, concernsAll(err), s.tries+1
		}
	})
}
