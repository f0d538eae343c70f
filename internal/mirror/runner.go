package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"firth/internal/schedule"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// Runner runs one mirror by its clocks. Whatever becomes of it, no other mirror waits. Make it with NewRunner; Run once; everything else may
// be called from anywhere.
type Runner struct {
	m      *Mirror
	clocks []*scheduled
	turn   chan struct{} // holds one token: who has it runs the mirror

	mu      sync.Mutex
	last    *Report
	next    time.Time
	running string // what goes on
	stopped bool
	failed  map[string]*failure // by part
}

// scheduled is one of the parts of a mirror that has a schedule.
type scheduled struct {
	part string // copy, list or get
	s    schedule.Schedule
	run  func(context.Context, RunOptions, func(Progress)) (*Report, error)
	due  time.Time
}

// failure is how often a part failed, one time after the other, or what its last run could not do.
type failure struct {
	err   error
	hint  string
	tries int
	since time.Time
	part  bool // the run did what it could
}

const (
	// backOffLeast and backOffMost bound the pause before a run that failed is tried again.
	backOffLeast = time.Second
	backOffMost  = 5 * time.Minute
	// lookEvery is how often the clock is looked at, since a clock may be set.
	lookEvery = 5 * time.Second
)

// NewRunner makes a runner. It does nothing until Run or Do.
func NewRunner(m *Mirror, clocks Clocks) *Runner {
	r := &Runner{m: m, turn: make(chan struct{}, 1), failed: map[string]*failure{}}
	for _, c := range []scheduled{{part: "copy", s: clocks.Copy, run: m.Copy}, {part: "list", s: clocks.List, run: m.List}, {part: "get", s: clocks.Get, run: m.Get}} {
		if c.s != nil {
			r.clocks = append(r.clocks, &c)
		}
	}
	return r
}

// Run runs the mirror when its clocks say so until the context ends, and returns nil then. What failed is tried again after a second, then
// after twice as long each time up to five minutes.
func (r *Runner) Run(ctx context.Context) error {
	defer r.update(func() { r.stopped, r.next = true, time.Time{} })
	if len(r.clocks) == 0 {
		<-ctx.Done()
		return nil
	}
	for _, c := range r.clocks {
		c.due = schedule.First(c.s, r.m.o.Now())
	}
	for {
		// Of those due at the same time the list is first: the get asks for what it found.
		c := slices.MinFunc(r.clocks, func(a, b *scheduled) int { return a.due.Compare(b.due) })
		if !r.wait(ctx, c.due) {
			return nil
		}
		if err := r.round(ctx, c); err != nil {
			return nil
		}
	}
}

// wait waits for a time and reports whether it came.
func (r *Runner) wait(ctx context.Context, due time.Time) bool {
	r.update(func() { r.next = due })
	for ctx.Err() == nil {
		left := due.Sub(r.m.o.Now())
		if left <= 0 {
			return true
		}
		if r.m.o.Wait(ctx, min(left, lookEvery)) != nil {
			return false
		}
	}
	return false
}

// round is one run of a part by its clock. The error is the context's.
func (r *Runner) round(ctx context.Context, c *scheduled) error {
	var rep *Report
	var began time.Time
	err := r.take(ctx, c.part, func() error {
		began = r.m.o.Now()
		var err error
		rep, err = c.run(ctx, RunOptions{}, nil)
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	first := c.part == "list" && r.Last() == nil
	tries := r.note(c.part, rep, err)
	c.due = c.s.Next(began)
	if err != nil && warehouse.KindOf(err) != warehouse.TooManyDeletes {
		c.due = r.m.o.Now().Add(min(backOffLeast<<min(tries-1, 10), backOffMost))
	}
	if err == nil && first {
		for _, other := range r.clocks {
			if other.part == "get" {
				other.due = r.m.o.Now()
			}
		}
	}
	return nil
}

// take runs fn when no other run goes on.
func (r *Runner) take(ctx context.Context, what string, fn func() error) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.turn }()
	r.update(func() { r.running = what })
	defer r.update(func() { r.running = "" })
	return fn()
}

// note takes the outcome of a run into the state and returns how many have failed in a row.
func (r *Runner) note(part string, rep *Report, err error) (tries int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = rep
	before := r.failed[part]
	switch {
	case err != nil:
		f := &failure{err: err, hint: HintOf(err), since: r.m.o.Now(), tries: 1}
		if before != nil && !before.part {
			f.since, f.tries = before.since, before.tries+1
		}
		if before == nil || before.err.Error() != err.Error() {
			r.m.o.Log.Error("a mirror failed", "mirror", r.m.Name(), "part", part, "err", err, "hint", f.hint)
		}
		r.failed[part] = f
		return f.tries
	case rep != nil && rep.State == warehouse.RunPartial:
		f := &failure{err: errors.New("a part of it could not be done"), part: true}
		if n := len(rep.Failed); n > 0 {
			f.err = fmt.Errorf("%d ids could not be read; the first is %s: %s", n, rep.Failed[0].ID, rep.Failed[0].Error)
			f.hint = "their rows stay as they are, and they are asked for first the next time"
		}
		r.failed[part] = f
	default:
		if before != nil && !before.part {
			r.m.o.Log.Info("a mirror goes on", "mirror", r.m.Name(), "part", part)
		}
		delete(r.failed, part)
	}
	return 0
}

// Do runs the mirror once, as Sync does, as soon as no other run goes on.
func (r *Runner) Do(ctx context.Context, o RunOptions, progress func(Progress)) (rep *Report, err error) {
	err = r.take(ctx, "sync", func() error {
		rep, err = r.m.Sync(ctx, o, progress)
		return err
	})
	if rep == nil {
		return &Report{Name: r.m.Name(), State: warehouse.RunFailure, Started: r.m.o.Now(), Finished: r.m.o.Now(), Error: err.Error()}, err
	}
	if err == nil && !o.DryRun && len(o.IDs) == 0 {
		r.update(func() { r.failed = map[string]*failure{} })
		if rep.State == warehouse.RunPartial {
			r.note("get", rep, nil)
		}
		r.update(func() { r.last = rep })
	}
	return rep, err
}

func (r *Runner) update(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

// State says how the mirror is, with what a person can do about it.
func (r *Runner) State() state.Component {
	r.mu.Lock()
	defer r.mu.Unlock()
	cell := state.New("mirror " + r.m.Name())
	var worst *failure
	for _, part := range []string{"copy", "list", "get"} {
		if f := r.failed[part]; f != nil && (worst == nil || worst.part && !f.part) {
			worst = f
		}
	}
	switch {
	case r.stopped:
		cell.Set(state.Stopping)
	case worst != nil && worst.part:
		cell.SetError(state.Degraded, worst.err, worst.hint)
	case worst != nil:
		cell.SetError(state.Failed, worst.tried(r.m.o.Now()), r.advice(worst))
	case r.last == nil && r.running == "" && len(r.clocks) > 0 && !r.next.After(r.m.o.Now()):
		cell.Set(state.Starting)
	default:
		cell.Set(state.OK)
	}
	return cell.Get()
}

// tried is the failure with its history.
func (f *failure) tried(now time.Time) error {
	if f.tries < 2 {
		return f.err
	}
	return fmt.Errorf("%w (tried %d times in %s)", f.err, f.tries, spell(now.Sub(f.since)))
}

// advice is the failure's hint and what happens by itself. The lock is held.
func (r *Runner) advice(f *failure) string {
	text := "the table stays as it is; run it again: firth sync " + r.m.Name()
	if left := r.next.Sub(r.m.o.Now()); len(r.clocks) > 0 && left > 0 {
		text = "the table stays as it is; it is tried again by itself in " + spell(left)
	}
	if f.hint == "" {
		return text
	}
	end := ". "
	if strings.HasSuffix(f.hint, ";") { // a statement
		end = " "
	}
	return strings.TrimSuffix(f.hint, ".") + end + strings.ToUpper(text[:1]) + text[1:]
}

// Next is when the next run is due, sooner after a failure; zero: none is.
func (r *Runner) Next() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// Last is the report of the last run that ended; nil: none has. It is not to be changed.
func (r *Runner) Last() *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
