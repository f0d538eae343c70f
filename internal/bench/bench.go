// Package bench measures how fast a server takes events: how many a second, how soon it answers, and what that costs.
//
// Three processes take part: the server, a load generator that costs less than the server, and, in turn with the server and
// under the same load, a bare server that appends what it gets to a file with fsync and looks at nothing. The ratio of the two
// rates says what the server does beyond what no durable server can avoid, and holds from machine to machine as no rate does.
//
// The package speaks to the server over HTTP alone and looks at its processes and its data folder from outside; it needs
// Linux for epoll and /proc.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// Setup is what every benchmark needs to be told.
type Setup struct {
	// Role is the command line to which the name of a role is appended, and which then calls ServeRole with its standard
	// input and output: this binary with a hidden command.
	Role []string
	// Server returns the command that serves with the given configuration file until SIGTERM, with further arguments behind.
	// Its output is kept in a file.
	Server func(config string, args ...string) *exec.Cmd

	Dir      string    // where the temporary data is kept; "": the system's folder for temporary files
	JSON     bool      // print JSON and no table
	Out      io.Writer // the figures
	Progress io.Writer // what is under way, a line a run; nil: nothing
}

// Options of the ingest benchmark.
type Options struct {
	Setup

	Loads       []Load        // nil: Loads()
	Connections int           // 0: 64
	Rounds      int           // runs of either server a row, alternating; 0: 2
	Warmup      time.Duration // before the measuring of each run; 0: one second
	Duration    time.Duration // measured in each run; 0: 5 s
	Drain       time.Duration // how long to wait for all rows to arrive; 0: two minutes, negative: not at all
}

// Load is one row of the benchmark.
type Load struct {
	Name  string `json:"name"`
	Batch int    `json:"batch"`          // events a request
	Rate  int    `json:"rate,omitempty"` // requests a second; 0: as fast as the answers come
}

// Loads returns the rows measured unless others are asked for.
func Loads() []Load {
	return []Load{
		{Name: "1 a request", Batch: 1},
		{Name: "20 a request", Batch: 20},
		{Name: "100 a request", Batch: 100},
		{Name: "paced 500/s", Batch: 1, Rate: 500},
	}
}

// Run measures every load on the bare server and on the server in turn and prints the figures.
func Run(ctx context.Context, o Options) (err error) {
	o = o.withDefaults()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	b.options = o
	report := Report{Machine: machine, Connections: o.Connections, Rounds: o.Rounds, Warmup: o.Warmup, Duration: o.Duration}
	runs := time.Duration(2 * o.Rounds * len(o.Loads))
	b.say("%d runs of %s, and after each the wait for its rows: some %s", runs, o.Duration,
		(runs*(o.Warmup+o.Duration+5*time.Second) + 5*time.Second).Round(10*time.Second))
	for _, load := range o.Loads {
		row := Row{Load: load}
		for round := range o.Rounds {
			bare, err := b.runBare(ctx, load)
			if err != nil {
				return fmt.Errorf("bare server, %s: %w", load.Name, err)
			}
			row.Bare = append(row.Bare, bare)
			full, err := b.runServer(ctx, load)
			if err != nil {
				return fmt.Errorf("firth, %s: %w", load.Name, err)
			}
			row.Firth = append(row.Firth, full)
			b.say("%-14s round %d of %d: bare %s, firth %s events a second", load.Name, round+1, o.Rounds,
				count(bare.rate()), count(full.rate()))
		}
		report.Rows = append(report.Rows, row)
	}
	if o.JSON {
		return report.writeJSON(o.Out)
	}
	return report.writeText(o.Out)
}

func (o Options) withDefaults() Options {
	if o.Loads == nil {
		o.Loads = Loads()
	}
	if o.Connections == 0 {
		o.Connections = 64
	}
	if o.Rounds == 0 {
		o.Rounds = 2
	}
	if o.Warmup == 0 {
		o.Warmup = time.Second
	}
	if o.Duration == 0 {
		o.Duration = 5 * time.Second
	}
	if o.Drain == 0 {
		o.Drain = 2 * time.Minute
	}
	return o
}

// bench is one benchmark under way.
type bench struct {
	Setup
	options Options // of the ingest benchmark
	dir     string
	runs    uint64
	config  string // further lines of the configuration of servers that runServer starts
}

// open makes the throw-away folder of a benchmark and looks at the machine; done removes the folder.
func open(s Setup) (b *bench, m Machine, done func() error, err error) {
	dir, err := os.MkdirTemp(s.Dir, "firth-bench-")
	if err != nil {
		return nil, m, nil, fmt.Errorf("make a folder for the benchmark: %w", err)
	}
	done = func() error { return os.RemoveAll(dir) }
	if m, err = describe(dir); err != nil {
		return nil, m, nil, errors.Join(err, done())
	}
	return &bench{Setup: s, dir: dir}, m, done, nil
}

// say reports progress; that it cannot be written must not end a measurement.
func (b *bench) say(format string, args ...any) {
	if b.Progress != nil {
		_, _ = fmt.Fprintf(b.Progress, format+"\n", args...)
	}
}

// generator returns the options of the load for a server.
func (b *bench) generator(load Load, addr, key string) GenOptions {
	b.runs++
	return GenOptions{
		Addr: addr, Key: key, Connections: b.options.Connections, Batch: load.Batch, Rate: load.Rate,
		Warmup: b.options.Warmup, Duration: b.options.Duration, Salt: b.runs,
	}
}

// median returns the middle of the values that f takes, the mean of the two in the middle where they are even in number.
func median(runs []RunResult, f func(RunResult) float64) float64 {
	if len(runs) == 0 {
		return 0
	}
	var v []float64
	for _, r := range runs {
		v = append(v, f(r))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
