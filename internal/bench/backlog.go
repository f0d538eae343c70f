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

func (b *bench) backlog(ctx context.Context, o BacklogOptions, out *Outcome) error {
	var acknowledged int64
	// phase runs fn on a server on the one folder.
	phase := func(what string, collectOnly bool, fn func(*server) error) (err error) {
		b.say("%s", what)
		s, err := b.startServer(ctx, serving{dir: b.dir, config: o.Config, collectOnly: collectOnly})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		return fn(s)
	}
	measure := func(s *server) (Result, error) {
		b.runs++
		pids, err := s.processes()
		if err != nil {
			return Result{}, err
		}
		r, err := b.load(ctx, GenOptions{
			Addr: s.addr, Key: writeKey, Connections: o.Connections, Batch: o.Batch, Rate: max(1, o.Rate/o.Batch),
			Warmup: o.Warmup, Duration: o.Duration, Salt: b.runs,
		}, pids)
		acknowledged += r.Generator.Accepted
		return r.Generator, err
	}
	var before, during, after Result
	err := phase("the door undisturbed", false, func(s *server) (err error) {
		if before, err = measure(s); err != nil {
			return err
		}
		return b.settle(ctx, s, acknowledged, o.Drain, "before", out)
	})
	if err != nil {
		return err
	}
	err = phase("collecting the backlog while nobody loads it", true, func(s *server) error {
		n, err := b.pile(ctx, o, s)
		acknowledged += n
		return err
	})
	if err != nil {
		return err
	}
	return phase("the door while the backlog is loaded", false, func(s *server) (err error) {
		began := time.Now()
		if during, err = measure(s); err != nil {
			return err
		}
		there, err := s.count(ctx, "SELECT count(*) FROM "+sourceName+".tracks")
		if err != nil {
			return err
		}
		left := acknowledged - there
		b.say("%s events are left to load: waiting", count(float64(left)))
		if err := b.settle(ctx, s, acknowledged, o.Drain, "backlog", out); err != nil {
			return err
		}
		took := time.Since(began)
		b.say("the door undisturbed again")
		if after, err = measure(s); err != nil {
			return err
		}
		if err := b.settle(ctx, s, acknowledged, o.Drain, "after", out); err != nil {
			return err
		}
		out.backlogFindings(o, before, during, after, left, took)
		return nil
	})
}

// pile sends events in large batches until there are enough, and returns how many were acknowledged.
func (b *bench) pile(ctx context.Context, o BacklogOptions, s *server) (int64, error) {
	const batch = 100
	var n int64
	pids, err := s.processes()
	if err != nil {
		return 0, err
	}
	step := time.Second
	for n < int64(o.Events) {
		b.runs++
		began := time.Now()
		r, err := b.load(ctx, GenOptions{
			Addr: s.addr, Key: writeKey, Connections: o.Connections, Batch: batch, Duration: step, Salt: b.runs,
		}, pids)
		if err != nil {
			return n, err
		}
		if r.Generator.Accepted == 0 {
			return n, fmt.Errorf("the server takes no events: %v", r.Generator.Failed)
		}
		n += r.Generator.Accepted
		// As long as the rest will take, so that the last step does not go far beyond.
		rate := float64(r.Generator.Accepted) / time.Since(began).Seconds()
		step = min(max(time.Duration(float64(int64(o.Events)-n)/rate*float64(time.Second)), 100*time.Millisecond), 10*time.Second)
	}
	return n, nil
}

// backlogFindings sums up the three phases.
func (o *Outcome) backlogFindings(opt BacklogOptions, before, during, after Result, left int64, took time.Duration) {
	calm := func(f func(Result) time.Duration) time.Duration { return (f(before) + f(after)) / 2 }
	p50 := func(r Result) time.Duration { return r.P50 }
	p99 := func(r Result) time.Duration { return r.P99 }
	o.addTime("door while the backlog loads, p50", during.P50, calm(p50), nil)
	o.addTime("door while the backlog loads, p99", during.P99, calm(p99), ratioAtMost(backlogTimes))
	o.addTime("door while the backlog loads, max", during.Max, 0, nil)
	o.addTime("  undisturbed before, p99", before.P99, 0, nil)
	o.addTime("  undisturbed after, p99", after.P99, 0, nil)
	o.add("backlog left after the measuring", float64(left), "events", float64(opt.Events), nil)
	o.add("backlog loaded within", took.Seconds(), "s", 0, nil)
	o.note("the baseline is the mean of undisturbed before and after, in the same run")
	if left <= 0 {
		o.note("the backlog was gone before the measuring ended: take more events or less time")
	}
}
