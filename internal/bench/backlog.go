package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// BacklogOptions say how to measure the door while the answering half loads a backlog.
type BacklogOptions struct {
	Setup

	Events      int // of the backlog
	Rate        int // events a second of the load that is measured
	Batch       int // events a request
	Connections int
	Warmup      time.Duration
	Duration    time.Duration // measured in each phase
	Drain       time.Duration // how long the backlog may take
	Config      string        // further lines of the server's configuration
}

// backlogTimes is how much slower than undisturbed the door may be.
const backlogTimes = 2

// Backlog lets events pile up in the lake while nobody loads them, and measures the door under the same paced load before that,
// while the answering half loads the pile, and after it.
func Backlog(ctx context.Context, o BacklogOptions) (err error) {
	began := time.Now()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "backlog", Title: "Backlog: the door while the answering half loads what has piled up", Machine: machine}
	out.set("%s events/s, %d a request, %s measured before, during and after the load of %s events", count(float64(o.Rate)), o.Batch, o.Duration, count(float64(o.Events)))
	if err := b.backlog(ctx, o, out); err != nil {
		return err
	}
	return out.print(o.Setup, began)
}

// backlogRun is one run of the benchmark, on one folder.
type backlogRun struct {
	b   *bench
	o   BacklogOptions
	out *Outcome

	acknowledged          int64
	before, during, after Result // of the measured load
	left                  int64  // of the backlog when the measuring beside it had ended
	took                  time.Duration
}

func (b *bench) backlog(ctx context.Context, o BacklogOptions, out *Outcome) error {
	r := &backlogRun{b: b, o: o, out: out}
	err := r.phase(ctx, "the door undisturbed", false, func(s *server) (err error) {
		if r.before, err = r.measure(ctx, s); err != nil {
			return err
		}
		return r.settle(ctx, s, "before")
	})
	if err != nil {
		return err
	}
	err = r.phase(ctx, "collecting the backlog while nobody loads it", true, func(s *server) error { return r.pile(ctx, s) })
	if err != nil {
		return err
	}
	if err := r.phase(ctx, "the door while the backlog is loaded", false, func(s *server) error { return r.catchUp(ctx, s) }); err != nil {
		return err
	}
	r.findings()
	return nil
}

// phase runs fn on a server, which is stopped again.
func (r *backlogRun) phase(ctx context.Context, what string, collectOnly bool, fn func(*server) error) (err error) {
	r.b.say("%s", what)
	s, err := r.b.startServer(ctx, serving{dir: r.b.dir, config: r.o.Config, collectOnly: collectOnly})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	return fn(s)
}

// measure puts the paced load on the server.
func (r *backlogRun) measure(ctx context.Context, s *server) (Result, error) {
	r.b.runs++
	pids, err := s.processes()
	if err != nil {
		return Result{}, err
	}
	run, err := r.b.load(ctx, GenOptions{
		Addr: s.addr, Key: writeKey, Connections: r.o.Connections, Batch: r.o.Batch, Rate: max(1, r.o.Rate/r.o.Batch),
		Warmup: r.o.Warmup, Duration: r.o.Duration, Salt: r.b.runs,
	}, pids)
	r.acknowledged += run.Generator.Accepted
	return run.Generator, err
}

func (r *backlogRun) settle(ctx context.Context, s *server, when string) error {
	return r.b.settle(ctx, s, r.acknowledged, r.o.Drain, when, r.out)
}

// catchUp measures the door while the backlog is loaded, waits for the rest of it, and measures the door once more.
func (r *backlogRun) catchUp(ctx context.Context, s *server) (err error) {
	began := time.Now()
	if r.during, err = r.measure(ctx, s); err != nil {
		return err
	}
	there, err := s.count(ctx, "SELECT count(*) FROM "+sourceName+".tracks")
	if err != nil {
		return err
	}
	r.left = r.acknowledged - there
	r.b.say("%s events are left to load: waiting", count(float64(r.left)))
	if err := r.settle(ctx, s, "the backlog"); err != nil {
		return err
	}
	r.took = time.Since(began)
	r.b.say("the door undisturbed again")
	if r.after, err = r.measure(ctx, s); err != nil {
		return err
	}
	return r.settle(ctx, s, "after")
}

// pile sends events in large batches until there are enough.
func (r *backlogRun) pile(ctx context.Context, s *server) error {
	const batch = 100
	pids, err := s.processes()
	if err != nil {
		return err
	}
	step := 200 * time.Millisecond
	for left := int64(r.o.Events); left > 0; {
		r.b.runs++
		run, err := r.b.load(ctx, GenOptions{
			Addr: s.addr, Key: writeKey, Connections: r.o.Connections, Batch: batch, Duration: step, Salt: r.b.runs,
		}, pids)
		if err != nil {
			return err
		}
		n := run.Generator.Accepted
		if n == 0 {
			return fmt.Errorf("the server takes no events: %v", run.Generator.Failed)
		}
		r.acknowledged += n
		left -= n
		// As long as the rest will take, so that the last step does not go far beyond.
		rest := time.Duration(float64(left) / float64(n) * float64(step))
		step = min(max(rest, 50*time.Millisecond), 10*time.Second)
	}
	return nil
}

// findings sums up the phases.
func (r *backlogRun) findings() {
	calm := func(f func(Result) time.Duration) time.Duration { return (f(r.before) + f(r.after)) / 2 }
	p50 := func(x Result) time.Duration { return x.P50 }
	p99 := func(x Result) time.Duration { return x.P99 }
	o := r.out
	o.addTime("door while the backlog loads, p50", r.during.P50, calm(p50), nil)
	o.addTime("door while the backlog loads, p99", r.during.P99, calm(p99), ratioAtMost(backlogTimes))
	o.addTime("door while the backlog loads, max", r.during.Max, 0, nil)
	o.addTime("  undisturbed before, p99", r.before.P99, 0, nil)
	o.addTime("  undisturbed after, p99", r.after.P99, 0, nil)
	o.add("backlog left after the measuring", float64(r.left), "events", float64(r.o.Events), nil)
	o.add("backlog loaded within", r.took.Seconds(), "s", 0, nil)
	o.note("the baseline is the mean of undisturbed before and after, in the same run")
	if r.left < int64(r.o.Events)/10 {
		o.note("the backlog was nearly gone before the measuring ended: take more events or less time")
	}
}
