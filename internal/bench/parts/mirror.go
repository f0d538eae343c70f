package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"firth/internal/bench"
	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/source/exec"
	frompg "firth/internal/source/postgres"
	"firth/internal/source/redis"
	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/internal/warehouse/postgres"
)

// engineMemory is the embedded engine's limit in the benchmark: mirrors are measured in the memory that is left beside it.
const engineMemory = 64 << 20

// mirrorRun runs one mirror as a server does.
func mirrorRun(ctx context.Context, job bench.MirrorJob) (out bench.MirrorResult, err error) {
	target, done, err := mirrorTarget(ctx, job)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, done()) }()
	m := mirror.New(mirrorOptions(job, target))
	out.Before = peak()
	sampling, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { out.Sampled = sample(sampling) })
	began, cpu := time.Now(), cpuTime()
	report, err := m.Sync(ctx, mirror.RunOptions{}, func(mirror.Progress) {})
	out.Took, out.CPU = time.Since(began), cpuTime()-cpu
	stop()
	wait.Wait()
	if err != nil {
		return out, err
	}
	out.Rows, out.Rejects, out.Peak = report.Inserted, report.Rejects, peak()
	for range job.Again {
		began := time.Now()
		report, err := m.Sync(ctx, mirror.RunOptions{}, func(mirror.Progress) {})
		if err != nil {
			return out, err
		}
		if report.Inserted+report.Updated+report.Deleted > 0 {
			return out, fmt.Errorf("nothing changed, and %d rows were inserted, %d updated, %d deleted", report.Inserted, report.Updated, report.Deleted)
		}
		out.Again = append(out.Again, time.Since(began))
	}
	return out, nil
}

// sample looks at the resident set every second until ctx ends.
func sample(ctx context.Context) (out []int64) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return out
		case <-tick.C:
			out = append(out, resident())
		}
	}
}

// resident is the memory that the process has now; 0 when the system does not tell.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func mirrorTarget(ctx context.Context, job bench.MirrorJob) (mirror.Target, func() error, error) {
	if job.Into == "postgres" {
		m, err := postgres.OpenMirrors(ctx, job.Target, postgres.Options{Name: "bench"})
		if err != nil {
			return nil, nil, err
		}
		return mirror.Adapt(m), m.Close, nil
	}
	if err := os.MkdirAll(job.Data, 0o700); err != nil {
		return nil, nil, err
	}
	db, err := duckdb.Open(ctx, filepath.Join(job.Data, "warehouse.duckdb"), duckdb.Options{Memory: engineMemory, TempDir: filepath.Join(job.Data, "tmp")})
	if err != nil {
		return nil, nil, err
	}
	return mirror.Adapt(db.Mirrors()), db.Close, nil
}

func mirrorOptions(job bench.MirrorJob, target mirror.Target) mirror.Options {
	o := mirror.Options{Target: target, Lower: job.Into == "postgres", Unbounded: job.Into == "postgres"}
	o.Config = mirror.Config{Name: job.From, Mode: job.Mode, Table: warehouse.MirrorTable{Name: job.From, Schema: "bench_into", Table: job.From}}
	options := source.Options{Name: "bench"}
	switch job.From {
	case "rows":
		if job.Mode == mirror.ModeAppend {
			o.Config.Cursor = "id"
		}
		o.From = func(ctx context.Context) (mirror.Source, error) {
			return opened(frompg.Open(ctx, job.URL, source.Spec{Table: "bench_mirror.rows", Cursor: o.Config.Cursor}, options))
		}
	case "hashes":
		integer := vector.Type{Kind: vector.Int, Bits: 64}
		o.Config.Columns = []mirror.ColumnRule{{Path: "calls", Type: &integer}, {Path: "last_month", Type: &integer}, {Path: "plan"}}
		o.Config.Missing = mirror.MissingNull
		o.List = func(ctx context.Context) (mirror.Source, error) {
			return opened(redis.Open(ctx, job.URL, source.Spec{Keys: "bench:{id}:usage"}, options))
		}
		o.Get = func(ctx context.Context) (mirror.Source, error) {
			return opened(redis.Open(ctx, job.URL, source.Spec{Hash: "bench:{id}:usage"}, options))
		}
	case "docs":
		o.From = func(ctx context.Context) (mirror.Source, error) {
			program := append([]string{"env", docsVariable + "=" + strconv.Itoa(job.Docs)}, job.Program...)
			return opened(exec.Open(ctx, "", source.Spec{Exec: program}, options))
		}
	}
	return o
}

// opened keeps a nil pointer from being a source.
func opened[S mirror.Source](s S, err error) (mirror.Source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
