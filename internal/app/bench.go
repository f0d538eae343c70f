package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"firth/internal/bench"
	"firth/internal/bench/parts"
)

// BenchOptions are the command line of firth bench; each benchmark takes those that concern it.
type BenchOptions struct {
	Warmup      time.Duration
	Duration    time.Duration
	Drain       time.Duration
	Rounds      int
	Connections int
	Rates       []int // events a second
	Batch       int   // events a request
	Events      int
	Backlog     int // events; 0: a soak without one
	Rows        int
	Chunk       int
	Flushes     int
	Commits     int
	Days        int // of an archive
	Twice       int // every so many an event of an archive comes a second time
	Threads     int // of the engine that is the yardstick; 0: one a core
	Dir         string
	Only        []string // rows of ingest; empty: all
	Into        string   // URL of a Postgres to load into; empty: the embedded warehouse
	Postgres    string   // URL of a Postgres to mirror
	Redis       string   // URL of a Redis to mirror
	Keys        int      // hashes in it
	Docs        int      // documents to mirror
	Lake        string   // s3:// URL: ingest and query compare a lake there with one on local disk
	Config      string   // file with further lines for the servers' configuration
	Output      string   // table or json
	Stdout      io.Writer
	Stderr      io.Writer
}

// setup checks the output and says how the benchmark runs servers and parts of itself.
func (o BenchOptions) setup(ctx context.Context) (s bench.Setup, config string, err error) {
	if o.Output != "table" && o.Output != "json" {
		return s, "", &hinted{usage: true, err: fmt.Errorf("unknown output %q", o.Output), hint: "write -o table or -o json"}
	}
	self, err := os.Executable()
	if err != nil {
		return s, "", fmt.Errorf("find own binary: %w", err)
	}
	if o.Config != "" {
		text, err := os.ReadFile(o.Config)
		if err != nil {
			return s, "", hint(err, "--config takes a file with lines of a configuration other than listen, data and sources")
		}
		config = string(text)
	}
	return bench.Setup{
		Role: []string{self, "bench", "role"},
		Server: func(config string, args ...string) *exec.Cmd {
			return exec.CommandContext(ctx, self, append([]string{"serve", "-c", config}, args...)...)
		},
		Dir: o.Dir, JSON: o.Output == "json", Out: o.Stdout, Progress: o.Stderr,
	}, config, nil
}

// BenchIngest measures collecting beside a bare server.
func BenchIngest(ctx context.Context, o BenchOptions) error {
	setup, _, err := o.setup(ctx)
	if err != nil {
		return err
	}
	if o.Lake != "" {
		return bench.StoreIngest(ctx, o.store(setup))
	}
	var loads []bench.Load
	for _, l := range bench.Loads() {
		if len(o.Only) == 0 || slices.Contains(o.Only, loadName(l)) {
			loads = append(loads, l)
		}
	}
	if len(loads) == 0 {
		return &hinted{usage: true, err: fmt.Errorf("no such rows: %v", o.Only), hint: "the rows are 1, 20, 100 and paced"}
	}
	return bench.Run(ctx, bench.Options{Setup: setup, Loads: loads, Connections: o.Connections, Rounds: o.Rounds, Duration: o.Duration})
}

func loadName(l bench.Load) string {
	if l.Rate > 0 {
		return "paced"
	}
	return fmt.Sprint(l.Batch)
}

// BenchFresh measures how soon a call is a row.
func BenchFresh(ctx context.Context, o BenchOptions) error {
	setup, config, err := o.setup(ctx)
	if err != nil {
		return err
	}
	return bench.Fresh(ctx, bench.FreshOptions{
		Setup: setup, Rates: o.Rates, Batch: o.Batch, Connections: o.Connections,
		Warmup: o.Warmup, Duration: o.Duration, Every: 50 * time.Millisecond, Drain: o.Drain, Config: config, Into: o.Into,
	})
}

// BenchSoak loads a server for a long time; with a backlog it measures the door while that is loaded.
func BenchSoak(ctx context.Context, o BenchOptions) error {
	setup, config, err := o.setup(ctx)
	if err != nil {
		return err
	}
	rate := 20_000
	if o.Backlog > 0 {
		rate = 500
	}
	if len(o.Rates) > 0 {
		rate = o.Rates[0]
	}
	if o.Batch == 0 {
		o.Batch = 1
		if rate > 1000 {
			o.Batch = 20
		}
	}
	if o.Backlog > 0 {
		return bench.Backlog(ctx, bench.BacklogOptions{
			Setup: setup, Events: o.Backlog, Rate: rate, Batch: o.Batch, Connections: o.Connections,
			Warmup: o.Warmup, Duration: min(o.Duration, 20*time.Second), Drain: o.Drain, Config: config,
		})
	}
	return bench.Soak(ctx, bench.SoakOptions{
		Setup: setup, Rate: rate, Batch: o.Batch, Connections: o.Connections,
		Warmup: o.Warmup, Duration: o.Duration, Drain: o.Drain, Every: 10 * time.Second, Config: config,
	})
}

// BenchLoad measures loading beside many rows against loading into empty tables.
func BenchLoad(ctx context.Context, o BenchOptions) error {
	setup, _, err := o.setup(ctx)
	if err != nil {
		return err
	}
	if o.Into != "" {
		return bench.LoadInto(ctx, bench.IntoOptions{Setup: setup, URL: o.Into, Events: o.Events, Rounds: o.Rounds})
	}
	return bench.LoadRate(ctx, bench.LoadOptions{Setup: setup, Rows: o.Rows, Chunk: o.Chunk, Rounds: o.Rounds, Drain: o.Drain})
}

// BenchQuery asks the lake, bare DuckDB and the typed tables the same questions.
func BenchQuery(ctx context.Context, o BenchOptions) error {
	setup, _, err := o.setup(ctx)
	if err != nil {
		return err
	}
	if o.Lake != "" {
		return bench.StoreQuery(ctx, o.store(setup))
	}
	return bench.Query(ctx, bench.QueryOptions{Setup: setup, Events: o.Events, Flushes: o.Flushes, Rounds: o.Rounds, Drain: o.Drain})
}

// BenchMerge measures merging beside DuckDB, and planning and committing.
func BenchMerge(ctx context.Context, o BenchOptions) error {
	setup, _, err := o.setup(ctx)
	if err != nil {
		return err
	}
	return bench.Merge(ctx, bench.MergeOptions{Setup: setup, Events: o.Events, PerFlush: max(1, o.Events/max(1, o.Flushes)), Rounds: o.Rounds, Commits: o.Commits, Threads: o.Threads})
}

// BenchImport measures the import of an archive.
func BenchImport(ctx context.Context, o BenchOptions) error {
	setup, _, err := o.setup(ctx)
	if err != nil {
		return err
	}
	return bench.Import(ctx, bench.ImportOptions{Setup: setup, Events: o.Events, Days: max(1, o.Days), Twice: o.Twice})
}

// BenchRole runs one part of the benchmark in this process.
func BenchRole(ctx context.Context, role string, in io.Reader, out io.Writer) error {
	return parts.ServeRole(ctx, role, in, out)
}

// BenchMirror measures mirrors beside bare pipes.
func BenchMirror(ctx context.Context, o BenchOptions) error {
	setup, _, err := o.setup(ctx)
	if err != nil {
		return err
	}
	return bench.Mirror(ctx, bench.MirrorOptions{
		Setup: setup, Postgres: o.Postgres, Redis: o.Redis, Rows: o.Rows, Keys: o.Keys, Docs: o.Docs, Rounds: o.Rounds,
	})
}
