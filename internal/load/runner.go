package load

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"firth/internal/schedule"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// RunnerOptions say which warehouse is loaded when.
type RunnerOptions struct {
	// Loader.Warehouse and Loader.Views are not used. Loader.TempDir must be this runner's own.
	Loader Options
	// Open connects to the warehouse. The runner closes it, where it is a Closer.
	Open     func(ctx context.Context) (Warehouse, error)
	Schedule schedule.Schedule // nil: on demand
	Limits   Limits
}

// Runner loads one warehouse on a schedule. Whatever becomes of the warehouse, nothing else waits for it: the lake keeps what is to be
// loaded. Make it with NewRunner; Run once; everything else may be called from anywhere.
type Runner struct {
	o       RunnerOptions
	l       *Loader
	session *session // of the scheduled runs
	opened  *guarded // nil: not connected; the gate is held

	busy    busy
	stretch atomic.Int32

	mu     sync.Mutex
	status status
}

// status is what State tells.
type status struct {
	runs    int   // that ended
	running bool  // a scheduled run is
	err     error // what the last run failed for
	whole   bool  // nothing could be loaded
	tries   int   // that failed, one after the other
	since   time.Time
	next    time.Time
	stopped bool
}

const (
	// retryMost is the longest pause before a run that failed is tried again.
	retryMost = 5 * time.Minute
	// keepOpen is how long a connection may wait for the next run.
	keepOpen = 30 * time.Second
	// joinBelow is the gap of a schedule below which runs are told together.
	joinBelow = time.Minute
	// lookEvery is how often the lake is looked at between runs, for the freshness, and clocks that were set are noticed.
	lookEvery = 5 * time.Second
)

// runnerRows are fewer rows of a chunk than a Loader takes by itself, since two are held at once.
const runnerRows = DefaultRows / 2

// NewRunner makes a runner. It does nothing until Run or Do.
func NewRunner(o RunnerOptions) *Runner {
	o.Loader.Views, o.Loader.Warehouse, o.Loader.Ahead = nil, nil, true
	o.Loader.Rows = cmp.Or(o.Loader.Rows, runnerRows)
	o.Limits.setDefaults()
	r := &Runner{o: o, l: New(o.Loader)}
	r.l.connect, r.l.disconnect = r.connect, r.disconnect
	r.session = r.l.newSession(runKind, r.l.o.Name)
	r.session.schemas = true
	r.session.whole = o.Schedule != nil && schedule.Gap(o.Schedule, r.l.o.Now()) >= joinBelow
	return r
}

// Run loads when the schedule says so until the context ends, and returns nil then. Failures are tried again after a second, then
// after twice as long each time up to five minutes, from the stored position on. It opens the warehouse when a run is due and closes it
// when the next is far.
func (r *Runner) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(ctx) })
	defer watching.Wait()
	defer r.finish(ctx)
	if r.o.Schedule == nil {
		<-ctx.Done()
		return nil
	}
	scheduled := schedule.First(r.o.Schedule, r.l.o.Now())
	var failed outcome
	for r.wait(ctx, failed.due(scheduled)) {
		began := r.l.o.Now()
		alone := !failed.whole && began.Before(scheduled)
		if !began.Before(scheduled) {
			scheduled = r.o.Schedule.Next(began)
		}
		failed = r.round(ctx, began, alone)
		r.leave(ctx, failed.whole, failed.due(scheduled))
	}
	return nil
}

// outcome is what is left to be done after a run.
type outcome struct {
	whole bool      // nothing could be loaded
	retry time.Time // of what failed; zero: nothing did
}

// due is when the next run is.
func (o outcome) due(scheduled time.Time) time.Time {
	if o.whole || !o.retry.IsZero() && o.retry.Before(scheduled) {
		return o.retry
	}
	return scheduled
}

// wait waits for a time and reports whether it came. It looks at the clock now and then, since a clock may be set.
func (r *Runner) wait(ctx context.Context, due time.Time) bool {
	r.update(func(s *status) { s.next = due })
	for {
		left := due.Sub(r.l.o.Now())
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(left, lookEvery))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
		r.session.tick(ctx)
	}
}

// round is one run: of all sources, or of those alone that failed and are due.
func (r *Runner) round(ctx context.Context, began time.Time, alone bool) outcome {
	r.l.tidy(ctx, r.session)
	r.update(func(s *status) { s.running = true })
	if r.session.whole {
		r.session.start(ctx)
	}
	loads := r.session.loads
	p, err := r.pass(ctx, func(s *source) bool { return !began.Before(s.notBefore) && (s.err != nil || !alone) })
	if ended(ctx) || r.l.lock(ctx) != nil {
		return outcome{}
	}
	defer r.l.unlock()
	now := r.l.o.Now()
	out := outcome{retry: p.settle(err, now)}
	failure := p.failure(err)
	tries := r.note(failure, err != nil, now)
	if err != nil {
		out = outcome{whole: true, retry: now.Add(min(backOffLeast<<min(tries-1, 10), retryMost))}
	}
	switch {
	case failure != nil:
		if !r.session.whole && r.session.loads == loads && r.session.failures == 0 {
			r.session.end(ctx) // the runs before were well
		}
		r.session.failed(ctx, failure, began)
	case r.session.whole:
		r.session.end(ctx)
	default:
		r.session.tick(ctx)
	}
	if failure == nil {
		r.tend(ctx)
	}
	return out
}

// pass loads what is pending of the chosen sources.
func (r *Runner) pass(ctx context.Context, chosen func(*source) bool) (*pass, error) {
	try := func() (*pass, error) {
		p := &pass{l: r.l, session: r.session, chosen: chosen}
		return p, p.run(ctx)
	}
	if err := r.l.lock(ctx); err != nil {
		return &pass{l: r.l}, err
	}
	before := r.l.kept()
	r.l.unlock()
	p, err := try()
	if before.renewed(ctx, err) {
		p, err = try()
	}
	return p, err
}

// note takes the outcome of a run into the state and returns how many have failed in a row.
func (r *Runner) note(failure error, whole bool, now time.Time) (tries int) {
	r.update(func(s *status) {
		s.running, s.whole = false, whole
		s.runs++
		if failure == nil {
			if s.err != nil {
				r.l.o.Log.Info("loading goes on", "warehouse", r.l.o.Name)
			}
			s.err, s.tries = nil, 0
			return
		}
		if s.err == nil {
			s.since = now
		}
		if !alike(s.err, failure) {
			r.l.o.Log.Error("a load failed", "warehouse", r.l.o.Name, "err", failure, "hint", warehouse.HintOf(failure))
		}
		s.err, s.tries = failure, s.tries+1
		tries = s.tries
	})
	return tries
}

// connect opens the warehouse where it is not open. The gate is held.
func (r *Runner) connect(ctx context.Context) error {
	if r.opened != nil {
		return nil
	}
	var w Warehouse
	err := timed(ctx, &r.busy, r.l.o.Now, r.o.Limits.Open, "connect to", r.l.o.Name, func(ctx context.Context) (err error) {
		w, err = r.o.Open(ctx)
		return err
	})
	if err != nil {
		return err
	}
	r.opened = &guarded{Warehouse: w, name: r.l.o.Name, limits: r.o.Limits, now: r.l.o.Now, busy: &r.busy, stretch: &r.stretch}
	r.l.o.Warehouse = r.opened
	return nil
}

// leave closes the warehouse after a failure, or where the next run is far. Sources that failed alone keep it.
func (r *Runner) leave(ctx context.Context, failed bool, next time.Time) {
	if !failed && !next.IsZero() && next.Sub(r.l.o.Now()) <= keepOpen {
		return
	}
	if r.l.lock(ctx) != nil {
		return
	}
	defer r.l.unlock()
	r.disconnect()
}

// disconnect closes the warehouse. The gate is held.
func (r *Runner) disconnect() {
	if r.opened == nil {
		return
	}
	if err := r.opened.close(); err != nil {
		r.l.o.Log.Warn("a warehouse could not be closed", "warehouse", r.l.o.Name, "err", err)
	}
	r.opened, r.l.o.Warehouse = nil, nil
	for _, s := range r.l.sources {
		s.stale, s.shaper, s.ahead = true, nil, nil // it may be long until it is needed
	}
}

// finish ends the run's row, removes what was spooled and closes the warehouse.
func (r *Runner) finish(ctx context.Context) {
	r.update(func(s *status) { s.stopped = true })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r.session.interrupt(ctx)
	r.l.finish(ctx)
	if r.l.lock(ctx) != nil {
		return
	}
	defer r.l.unlock()
	r.disconnect()
}

func (r *Runner) update(fn func(*status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(&r.status)
}

// State says how the warehouse is, with what a person can do about it.
func (r *Runner) State() state.Component {
	r.mu.Lock()
	s := r.status
	r.mu.Unlock()
	return r.describe(&s)
}

// Freshness says how far each source is, as far as the warehouse last told.
func (r *Runner) Freshness() []warehouse.Freshness { return r.l.fresh.get() }

// Next is when the next run is due, sooner after a failure; zero: none is.
func (r *Runner) Next() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status.next
}

// Stats say how the loads do.
func (r *Runner) Stats() Stats {
	r.l.pace.mu.Lock()
	defer r.l.pace.mu.Unlock()
	return r.l.pace.stats
}
