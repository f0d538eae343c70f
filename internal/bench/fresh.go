package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// FreshOptions say how to measure how soon a call is a row.
type FreshOptions struct {
	Setup

	Rates       []int // events a second; nil: 500 and 5,000
	Batch       int   // events a request; 0: 1 up to 1,000 events a second, 20 beyond
	Connections int
	Warmup      time.Duration // at the full rate before the probes begin: the tables come into being
	Duration    time.Duration // of the probing
	Every       time.Duration // between two probes
	Drain       time.Duration // how long to wait for all rows at the end
	Config      string        // further lines of the server's configuration
	// Into is the URL of a Postgres, without a schema of the benchmark's source, that the server loads every two seconds; "": none.
	Into string
}

// remoteEvery is how often the server loads the Postgres, remoteGoal the wanted p99 from call to row there in milliseconds.
const (
	remoteEvery = 2 * time.Second
	remoteGoal  = 6000
)

// freshGoals are the wanted p99 from call to typed row by rate, in milliseconds.
func freshGoal(rate int) *Goal {
	if rate <= 500 {
		return atMost(2000)
	}
	if rate <= 5000 {
		return atMost(3000)
	}
	return nil
}

// Fresh measures, under paced load, the time from a call to its row in the typed table and in the view of the lake, as somebody
// sees it who asks by SQL, and prints it.
func Fresh(ctx context.Context, o FreshOptions) (err error) {
	began := time.Now()
	if o.Rates == nil {
		o.Rates = []int{500, 5000}
	}
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "fresh", Title: "Fresh: from the call to the row that SQL shows", Machine: machine}
	out.set("a server on an empty folder for each rate; %s of load, then %s with a probe every %s", o.Warmup, o.Duration, o.Every)
	b.say("%d runs of some %s", len(o.Rates), (o.Warmup + o.Duration + 5*time.Second).Round(time.Second))
	for _, rate := range o.Rates {
		if err := b.fresh(ctx, o, rate, out); err != nil {
			return fmt.Errorf("%d events a second: %w", rate, err)
		}
	}
	return out.print(o.Setup, began)
}

// lookEvery and lookLake are how often SQL is asked; the second costs more, and both hardly anything.
const (
	lookEvery = 20 * time.Millisecond
	lookLake  = 60 * time.Millisecond
)

// fresh measures one rate.
func (b *bench) fresh(ctx context.Context, o FreshOptions, rate int, out *Outcome) (err error) {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	remote, hangUp, err := o.remote(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hangUp()) }()
	s, err := b.startServer(ctx, serving{dir: dir, config: o.Config})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	pids, err := s.processes()
	if err != nil {
		return err
	}
	batch := o.batch(rate)
	b.runs++
	gen := GenOptions{
		Addr: s.addr, Key: writeKey, Connections: o.Connections, Batch: batch, Rate: max(1, rate/batch),
		Warmup: o.Warmup, Duration: o.Duration, Salt: b.runs,
	}
	p := &prober{server: s, every: o.Every, look: lookEvery, lake: lookLake, remote: remote}
	var result RunResult
	loading, stop := context.WithCancel(ctx)
	defer stop()
	drain, cancel := context.WithTimeout(ctx, o.Warmup+o.Duration+o.Drain+grace)
	defer cancel()
	g, gctx := errgroup.WithContext(drain)
	g.Go(func() error {
		defer stop()
		var err error
		result, err = b.load(gctx, gen, pids)
		return err
	})
	g.Go(func() error {
		select {
		case <-gctx.Done():
			return gctx.Err()
		case <-time.After(o.Warmup):
		}
		return p.run(gctx, loading)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	out.freshFindings(rate, p, result)
	what := fmt.Sprintf("%s/s", count(float64(rate)))
	b.say("%s: %d probes", what, p.sent())
	out.set("%s: %d events a request, door p50 %s ms, p99 %s ms; answering half %.2f cores, the looks included", what, batch,
		millis(result.Generator.P50), millis(result.Generator.P99), result.Load.Child.CPU.Seconds()/o.Duration.Seconds())
	return b.settle(ctx, s, result.Generator.Accepted+p.sent(), o.Drain, what, out)
}

// batch is how many events a request carries at a rate.
func (o *FreshOptions) batch(rate int) int {
	switch {
	case o.Batch > 0:
		return o.Batch
	case rate > 1000:
		return 20
	}
	return 1
}

// remote connects to the other warehouse, where there is one, and adds it to the configuration. It returns how to ask it.
func (o *FreshOptions) remote(ctx context.Context) (ask func(context.Context, string) (int64, error), hangUp func() error, err error) {
	if o.Into == "" {
		return nil, func() error { return nil }, nil
	}
	conn, err := emptied(ctx, o.Into)
	if err != nil {
		return nil, nil, err
	}
	o.Config += fmt.Sprintf("warehouses:\n  remote: { type: postgres, url: %q, every: %s }\n", o.Into, remoteEvery)
	ask = func(ctx context.Context, sql string) (n int64, err error) {
		err = conn.QueryRow(ctx, sql).Scan(&n)
		return n, err
	}
	return ask, func() error { return conn.Close(context.WithoutCancel(ctx)) }, nil
}

// emptied connects to a Postgres in which nothing is left of an earlier run.
func emptied(ctx context.Context, url string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connect to the Postgres: %w", err)
	}
	if _, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS _firth, "+sourceName+" CASCADE"); err != nil {
		return nil, errors.Join(fmt.Errorf("clear the Postgres: %w", err), conn.Close(ctx))
	}
	return conn, nil
}

// freshFindings adds what the probes of one rate saw.
func (o *Outcome) freshFindings(rate int, p *prober, r RunResult) {
	for place, name := range []string{inTyped: "typed row", inLake: "lake row", inRemote: "row in Postgres"} {
		if place == inRemote && p.remote == nil {
			continue
		}
		call, answer := p.delays(place)
		at := count(float64(rate)) + "/s, call to " + name
		goal := (*Goal)(nil)
		switch place {
		case inTyped:
			goal = freshGoal(rate)
		case inRemote:
			goal = atMost(remoteGoal)
		}
		o.addTime(at+", p50", call.quantile(0.5), 0, nil)
		o.addTime(at+", p95", call.quantile(0.95), 0, nil)
		o.addTime(at+", p99", call.quantile(0.99), 0, goal)
		o.addTime(at+", max", time.Duration(call.max), 0, nil)
		o.addTime("    from the answer, p99", answer.quantile(0.99), 0, nil)
		if n := p.unseen(place); n > 0 {
			o.wrong("%s/s: %d of %d probes never became a %s", count(float64(rate)), n, p.sent(), name)
		}
		o.note("%s/s, %s: %s looks of %s ms (p50) by SQL; a look's end is when a row counts as seen", count(float64(rate)), name,
			count(float64(p.looks[place].total)), millis(p.looks[place].quantile(0.5)))
	}
	if r.Generator.Requests == 0 {
		o.wrong("%s/s: no request was answered: %v", count(float64(rate)), r.Generator.Failed)
	}
}

// settle waits until everything that was acknowledged is a row, counts, and says what is wrong.
func (b *bench) settle(ctx context.Context, s *server, want int64, drain time.Duration, what string, out *Outcome) error {
	a, err := b.arrive(ctx, s, want, drain)
	if err != nil {
		return err
	}
	if !a.Complete {
		out.wrong("%s: of %s acknowledged events %s rows in the lake and %s in the tables after %s", what, count(float64(want)),
			count(float64(a.LakeRows)), count(float64(a.TableRows)), drain)
		return nil
	}
	for _, q := range []struct{ where, sql string }{
		{"the lake", "SELECT count(DISTINCT hash(message_id)) FROM lake." + sourceName},
		{"the tables", "SELECT count(DISTINCT hash(id)) FROM " + sourceName + ".tracks"},
	} {
		n, err := s.count(ctx, q.sql)
		if err != nil {
			return err
		}
		if n != want {
			out.wrong("%s: %s rows with %s different ids in %s", what, count(float64(want)), count(float64(n)), q.where)
		}
	}
	return nil
}

// processes finds the server's.
func (s *server) processes() (p processes, err error) {
	p.parent = s.cmd.Process.Pid
	p.child, err = children(p.parent)
	return p, err
}
