package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// MirrorOptions say which mirrors to measure: those whose servers are named, and those that need none.
type MirrorOptions struct {
	Setup

	Postgres string // URL of a database without anything of value; empty: none
	Redis    string // URL of a database without anything of value; empty: none
	Rows     int    // of the table in Postgres
	Keys     int    // hashes in Redis
	Docs     int    // documents of a stream; 0: none
	Rounds   int
}

// What mirrors should reach.
const (
	mirrorOverPipe   = 1.15      // time from Postgres to Postgres, over a bare COPY pipe
	mirrorDuckDBTime = 5_000     // ms a million rows from Postgres to DuckDB
	mirrorDuckDBMB   = 256       // memory on that way, the engine's own apart
	mirrorKeys       = 100_000   // Redis hashes a second
	mirrorIdle       = 100       // ms where nothing changed
	mirrorMillion    = 1_000_000 // rows that the times are for
)

// MirrorJob is one mirror to be run once, or several times, in a process of its own.
type MirrorJob struct {
	From    string // rows, hashes or docs
	Into    string // postgres or duckdb
	URL     string // of the source's server
	Target  string // URL of the Postgres that is written
	Data    string // folder of the embedded warehouse
	Mode    string // replace or append
	Again   int    // further runs while nothing changes
	Program []string
	Docs    int
}

// MirrorResult is what it came to.
type MirrorResult struct {
	Rows    int64           `json:"rows"`
	Rejects int64           `json:"rejects"`
	Took    time.Duration   `json:"took_ns"`
	CPU     time.Duration   `json:"cpu_ns"`
	Peak    int64           `json:"peak_bytes"`
	Before  int64           `json:"before_bytes"` // the largest set before the run: program and engine
	Again   []time.Duration `json:"again_ns"`
	Bytes   int64           `json:"bytes"`
	Sampled []int64         `json:"sampled_bytes,omitempty"` // resident set, ten times over the run
}

// Mirror measures copies and a list/get table beside the bare pipes of the same rows, in one run.
func Mirror(ctx context.Context, o MirrorOptions) (err error) {
	began := time.Now()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "mirror", Title: "Mirrors: rows of databases into tables, beside bare pipes of the same rows", Machine: machine}
	m := &mirrorBench{bench: b, o: o, out: out}
	if o.Postgres != "" {
		if err := m.rows(ctx); err != nil {
			return err
		}
	}
	if o.Redis != "" {
		if err := m.hashes(ctx); err != nil {
			return err
		}
	}
	if err := m.documents(ctx); err != nil {
		return err
	}
	return out.print(o.Setup, began)
}

type mirrorBench struct {
	*bench
	o   MirrorOptions
	out *Outcome
	n   int // folders made
}

func (m *mirrorBench) run(ctx context.Context, role string, job MirrorJob) (r MirrorResult, err error) {
	m.n++
	job.Data = filepath.Join(m.dir, fmt.Sprint("mirror-", m.n))
	return r, m.call(ctx, role, job, &r)
}

// rows copies a table of fifteen columns.
func (m *mirrorBench) rows(ctx context.Context) error {
	o, out := m.o, m.out
	out.set("%s rows of 15 columns in Postgres, %d rounds", count(float64(o.Rows)), o.Rounds)
	if _, err := m.run(ctx, RoleMirrorFill, MirrorJob{From: "rows", URL: o.Postgres, Docs: o.Rows}); err != nil {
		return err
	}
	var pipes, copies, embedded, idle []float64
	var most, bare int64
	for round := range o.Rounds {
		pipe, err := m.run(ctx, RoleMirrorPipe, MirrorJob{From: "rows", URL: o.Postgres, Target: o.Postgres})
		if err != nil {
			return err
		}
		copied, err := m.run(ctx, RoleMirror, MirrorJob{From: "rows", Into: "postgres", Mode: "replace", URL: o.Postgres, Target: o.Postgres})
		if err != nil {
			return err
		}
		duck, err := m.run(ctx, RoleMirror, MirrorJob{From: "rows", Into: "duckdb", Mode: "append", URL: o.Postgres, Again: 5})
		if err != nil {
			return err
		}
		for what, r := range map[string]MirrorResult{"into Postgres": copied, "into DuckDB": duck, "the pipe": pipe} {
			if r.Rows != int64(o.Rows) || r.Rejects > 0 {
				out.wrong("%s: %d of %d rows, %d rejects", what, r.Rows, o.Rows, r.Rejects)
			}
		}
		pipes, copies, embedded = append(pipes, float64(pipe.Took)), append(copies, float64(copied.Took)), append(embedded, float64(duck.Took))
		for _, took := range duck.Again {
			idle = append(idle, float64(took))
		}
		most, bare = max(most, duck.Peak), max(bare, duck.Before)
		m.say("round %d of %d: pipe %s, into Postgres %s, into DuckDB %s", round+1, o.Rounds, pipe.Took.Round(time.Millisecond), copied.Took.Round(time.Millisecond), duck.Took.Round(time.Millisecond))
	}
	pipe := time.Duration(quantile(pipes, 0.5))
	out.addTime("Postgres to Postgres, beside a COPY pipe", time.Duration(quantile(copies, 0.5)), pipe, ratioAtMost(mirrorOverPipe))
	out.addTime("Postgres to DuckDB", time.Duration(quantile(embedded, 0.5)), pipe, atMost(mirrorDuckDBTime*float64(o.Rows)/mirrorMillion))
	out.add("Postgres to DuckDB, most memory", float64(most)/1e6, "MB", float64(bare)/1e6, atMost(mirrorDuckDBMB))
	out.addTime("nothing changed", time.Duration(quantile(idle, 0.5)), 0, atMost(mirrorIdle))
	out.note("the memory's baseline is the process with the engine open, before the copy")
	return nil
}

// hashes lists keys and gets their hashes.
func (m *mirrorBench) hashes(ctx context.Context) error {
	o, out := m.o, m.out
	out.set("%s hashes of 3 fields in Redis", count(float64(o.Keys)))
	if _, err := m.run(ctx, RoleMirrorFill, MirrorJob{From: "hashes", URL: o.Redis, Docs: o.Keys}); err != nil {
		return err
	}
	var pipes, first, again []float64
	for round := range o.Rounds {
		pipe, err := m.run(ctx, RoleMirrorPipe, MirrorJob{From: "hashes", URL: o.Redis})
		if err != nil {
			return err
		}
		got, err := m.run(ctx, RoleMirror, MirrorJob{From: "hashes", Into: "duckdb", URL: o.Redis, Again: 1})
		if err != nil {
			return err
		}
		if pipe.Rows != int64(o.Keys) || got.Rows != int64(o.Keys) || got.Rejects > 0 {
			out.wrong("of %d hashes the pipe read %d, the mirror %d with %d rejects", o.Keys, pipe.Rows, got.Rows, got.Rejects)
		}
		pipes, first = append(pipes, perSecond(pipe.Rows, pipe.Took)), append(first, perSecond(got.Rows, got.Took))
		for _, took := range got.Again {
			again = append(again, perSecond(got.Rows, took))
		}
		m.say("round %d of %d: bare pipelining %s keys/s, list and get %s", round+1, o.Rounds, count(pipes[round]), count(first[round]))
	}
	out.add("Redis hashes by list and get, all new", quantile(first, 0.5), "keys/s", quantile(pipes, 0.5), &Goal{Value: mirrorKeys, AtLeast: true})
	out.add("the same, nothing changed", quantile(again, 0.5), "keys/s", quantile(pipes, 0.5), nil)
	return nil
}

// documents copies what a program prints.
func (m *mirrorBench) documents(ctx context.Context) error {
	if m.o.Docs == 0 {
		return nil
	}
	m.out.set("%s documents of 8 fields, printed by a program", count(float64(m.o.Docs)))
	program := append(append([]string{}, m.Role...), RoleMirrorDocs)
	got, err := m.run(ctx, RoleMirror, MirrorJob{From: "docs", Into: "duckdb", Mode: "replace", Program: program, Docs: m.o.Docs})
	if err != nil {
		return err
	}
	if got.Rows != int64(m.o.Docs) || got.Rejects > 0 {
		m.out.wrong("%d of %d documents, %d rejects", got.Rows, m.o.Docs, got.Rejects)
	}
	m.out.add("documents into DuckDB", perSecond(got.Rows, got.Took), "docs/s", 0, nil)
	m.out.add("documents, most memory", float64(got.Peak)/1e6, "MB", float64(got.Before)/1e6, atMost(mirrorDuckDBMB))
	if n := len(got.Sampled); n > 2 {
		m.out.note("resident set while documents were copied: %.0f MB after a third, %.0f MB after two thirds", float64(got.Sampled[n/3])/1e6, float64(got.Sampled[2*n/3])/1e6)
	}
	return nil
}
