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
)

// BenchOptions are the command line of firth bench ingest.
type BenchOptions struct {
	Duration       time.Duration
	Rounds         int
	Connections    int
	Dir            string
	Only           []string // rows; empty: all
	Output         string   // table or json
	Stdout, Stderr io.Writer
}

// BenchIngest measures collecting beside a bare server.
func BenchIngest(ctx context.Context, o BenchOptions) error {
	if o.Output != "table" && o.Output != "json" {
		return &hinted{usage: true, err: fmt.Errorf("unknown output %q", o.Output), hint: "write -o table or -o json"}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
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
	return bench.Run(ctx, bench.Options{
		Role:   []string{self, "bench", "role"},
		Server: func(config string) *exec.Cmd { return exec.CommandContext(ctx, self, "serve", "-c", config) },
		Dir:    o.Dir, Loads: loads, Connections: o.Connections, Rounds: o.Rounds, Duration: o.Duration,
		JSON: o.Output == "json", Out: o.Stdout, Progress: o.Stderr,
	})
}

func loadName(l bench.Load) string {
	if l.Rate > 0 {
		return "paced"
	}
	return fmt.Sprint(l.Batch)
}

// BenchRole runs one part of the benchmark in this process.
func BenchRole(ctx context.Context, role string, in io.Reader, out io.Writer) error {
	return bench.ServeRole(ctx, role, in, out)
}
