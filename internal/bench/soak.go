package bench

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// SoakOptions say how long to load a server, and how.
type SoakOptions struct {
	Setup

	Rate        int // events a second
	Batch       int // events a request
	Connections int
	Warmup      time.Duration
	Duration    time.Duration
	Drain       time.Duration // how long to wait for all rows at the end
	Every       time.Duration // between two lines of progress
	Config      string        // further lines of the server's configuration
}

// Goals of a soak.
const (
	soakMemory   = 1200 // MB of both processes
	soakFlat     = 1.1  // last third over middle third
	soakSustains = 0.98 // rows into the tables, as a share of the events acknowledged
)

// Soak puts paced load on a server for a long time while everything beside it runs as well, and prints whether it keeps up, what
// it uses and whether that grows.
func Soak(ctx context.Context, o SoakOptions) (err error) {
	began := time.Now()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "soak", Title: "Soak: paced load into lake and typed tables, everything else at work", Machine: machine}
	out.set("%s events/s, %d a request, on %d connections, for %s after %s of warm-up", count(float64(o.Rate)), o.Batch, o.Connections, o.Duration, o.Warmup)
	b.say("%s, and then the wait for the last rows", o.Warmup+o.Duration)
	if err := b.soak(ctx, o, out); err != nil {
		return err
	}
	return out.print(o.Setup, began)
}

// soak is the one run.
func (b *bench) soak(ctx context.Context, o SoakOptions, out *Outcome) (err error) {
	s, err := b.startServer(ctx, serving{dir: b.dir, config: o.Config})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	pids, err := s.processes()
	if err != nil {
		return err
	}
	before, err := pids.usages()
	if err != nil {
		return err
	}
	b.runs++
	gen := GenOptions{
		Addr: s.addr, Key: writeKey, Connections: o.Connections, Batch: o.Batch, Rate: max(1, o.Rate/o.Batch),
		Warmup: o.Warmup, Duration: o.Duration, Salt: b.runs,
	}
	m := &sampler{server: s, began: time.Now(), every: 500 * time.Millisecond, report: b.progress(o.Every)}
	var result RunResult
	watching, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(watching)
	g.Go(func() error { return m.run(gctx) })
	g.Go(func() error {
		defer stop()
		var err error
		if result, err = b.load(gctx, gen, pids); err != nil {
			return err
		}
		b.say("the load is over after %s: waiting for the last rows", time.Since(m.began).Round(time.Second))
		loaded := time.Now()
		if err := b.settle(gctx, s, result.Generator.Accepted, o.Drain, "soak", out); err != nil {
			return err
		}
		out.addTime("all rows there after the load", time.Since(loaded), 0, nil)
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if pids, err = s.processes(); err != nil {
		return err
	}
	after, err := pids.usages()
	if err != nil {
		return err
	}
	result.Total = after.minus(before)
	m.look(ctx, true) // at the files of the last flush too
	v, err := s.metrics(ctx)
	if err != nil {
		return err
	}
	out.soakFindings(o, m, result, v)
	return nil
}

// progress returns a function that prints a line of it now and then.
func (b *bench) progress(every time.Duration) func(Sample) {
	var last Sample
	return func(x Sample) {
		if x.At-last.At < every {
			return
		}
		rate := (x.Events - last.Events) / (x.At - last.At).Seconds()
		b.say("%5.0f s  %7s events/s  tables %4.1f s behind  journal %4.0f MB  memory %4.0f + %4.0f MB  files %d, %d alive", x.At.Seconds(),
			count(rate), x.Lag.Seconds(), x.JournalBytes/1e6, float64(x.Parent)/1e6, float64(x.Child)/1e6, x.Files, x.Alive)
		last = x
	}
}

// soakFindings sums up a soak.
func (o *Outcome) soakFindings(opt SoakOptions, m *sampler, r RunResult, metrics map[string]float64) {
	from, to := opt.Warmup, opt.Warmup+opt.Duration
	g := r.Generator
	sum := func(f func(Sample) float64) []float64 { return between(m.samples, from, to, f) }
	memory := sum(func(s Sample) float64 { return float64(s.Parent+s.Child) / 1e6 })
	rate := float64(g.Events) / g.Seconds
	o.add("acknowledged", rate, "events/s", float64(opt.Rate), ratioAtLeast(soakSustains))
	o.add("into the typed tables meanwhile", slope(m.samples, from, to, func(s Sample) float64 { return float64(s.Rows) }), "rows/s", rate, ratioAtLeast(soakSustains))
	o.addTime("door, p50", g.P50, 0, nil)
	o.addTime("door, p99", g.P99, 0, nil)
	lag := sum(func(s Sample) float64 { return s.Lag.Seconds() })
	o.add("tables behind, median", quantile(lag, 0.5), "s", 0, nil)
	o.add("tables behind, most", quantile(lag, 1), "s", 0, nil)
	o.add("memory of both, most", quantile(memory, 1), "MB", 0, atMost(soakMemory))
	third := len(memory) / 3
	if third > 0 {
		o.add("memory, last third", mean(memory[len(memory)-third:]), "MB", mean(memory[third:2*third]), ratioAtMost(soakFlat))
	}
	o.add("  collecting half, most", quantile(sum(func(s Sample) float64 { return float64(s.Parent) / 1e6 }), 1), "MB", 0, nil)
	o.add("  answering half, most", quantile(sum(func(s Sample) float64 { return float64(s.Child) / 1e6 }), 1), "MB", 0, nil)
	o.add("journal, most", quantile(sum(func(s Sample) float64 { return s.JournalBytes / 1e6 }), 1), "MB", 0, nil)
	o.add("journal", metrics["firth_journal_appended_bytes_total"]/float64(max(1, g.Accepted)), "B/event", 0, nil)
	if flushed := metrics["firth_lake_bytes_total"]; flushed > 0 {
		o.add("Parquet written, merges included", float64(m.written())/1e6, "MB", flushed/1e6, nil)
	}
	o.add("all written to disk", float64(r.Total.Parent.Written+r.Total.Child.Written)/float64(max(1, g.Accepted)), "B/event", 0, nil)
	o.add("CPU, collecting half", float64(r.Total.Parent.CPU)/1e3/float64(max(1, g.Accepted)), "µs/event", 0, nil)
	o.add("CPU, answering half", float64(r.Total.Child.CPU)/1e3/float64(max(1, g.Accepted)), "µs/event", 0, nil)
	if n := len(m.samples); n > 0 {
		last := m.samples[n-1]
		o.add("files on disk at the end", float64(last.Files), "", 0, nil)
		o.add("  of them condemned", float64(last.Files)-float64(last.Alive), "", 0, nil)
	}
	o.note("baseline of Parquet written: what the flushes wrote, so that the ratio is the lake's write amplification")
	o.note("memory is resident sets every %s; the ratio is the last third against the middle third", m.every)
	if n := metrics["firth_child_restarts_total"]; n > 0 {
		o.note("the answering half was started again %.0f times", n)
	}
	if m.missed > 0 {
		o.note("%d questions of the watch were not answered", m.missed)
	}
	for what, n := range g.Failed {
		o.note("%d x %s", n, what)
	}
	o.Detail = m.samples
}

// quantile returns the value that the share q of the values does not exceed; 0 where there are none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
