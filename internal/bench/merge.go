package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// MergeOptions say what to merge.
type MergeOptions struct {
	Setup

	Events   int // of one day, each round
	PerFlush int // events a file
	Rounds   int
	Memory   int64 // limit of DuckDB; 0: 8 GiB
	Threads  int   // of DuckDB; 0: one a processor
	Commits  int   // of the table whose planning is measured; 0: it is left out
}

// Goals of merging and planning.
const (
	mergeOverDuckDB = 0.7 // rows a second
	planGoal        = 50  // ms
	commitGoal      = 100 // ms
)

// Merge lets DuckDB sort and write a table's files as one, and then the lake's mergers merge them, in turn, and prints rates,
// memory and sizes; then it measures planning and committing on a table with a long life.
func Merge(ctx context.Context, o MergeOptions) (err error) {
	began := time.Now()
	if o.Memory == 0 {
		o.Memory = 8 << 30
	}
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "merge", Title: "Merge: a day's flushes made few, beside DuckDB's own sort and write of them", Machine: machine}
	threads := "a thread a core"
	if o.Threads > 0 {
		threads = fmt.Sprintf("%d threads", o.Threads)
	}
	out.set("%s events of a day, %s a file, %d rounds; DuckDB with %s MB and %s", count(float64(o.Events)), count(float64(o.PerFlush)),
		o.Rounds, count(float64(o.Memory)/1e6), threads)
	m := &mergeRun{b: b, o: o, out: out}
	for round := range o.Rounds {
		if err := m.round(ctx, round); err != nil {
			return err
		}
	}
	m.findings()
	if o.Commits > 0 {
		if err := b.plan(ctx, o, out); err != nil {
			return err
		}
	}
	return out.print(o.Setup, began)
}

// mergeRun is one run of the benchmark.
type mergeRun struct {
	b   *bench
	o   MergeOptions
	out *Outcome

	Mine   []MergeResult `json:"firth"`
	DuckDB []MergeResult `json:"duckdb"`
	Fill   []FillResult  `json:"fill"`
}

// fingerprint is a number of rows, of different ids, and a sum over everything that makes up a row.
const fingerprint = "SELECT 'rows', count(*) FROM %FILES% UNION ALL SELECT 'ids', count(DISTINCT message_id) FROM %FILES% UNION ALL " +
	"SELECT 'rows as a whole', CAST(bit_xor(hash(message_id, type, event, ts, received_at, sent_at, original_timestamp, user_id, anonymous_id, " +
	"properties, context, og_payload, _firth_log, _firth_offset)) % 9007199254740992 AS BIGINT) FROM %FILES%"

// round fills a table, lets DuckDB copy it and the lake merge it, and compares the rows before and after.
func (m *mergeRun) round(ctx context.Context, round int) (err error) {
	dir := filepath.Join(m.b.dir, fmt.Sprintf("merge-%d", round))
	data := filepath.Join(dir, "data")
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	var fill FillResult
	err = m.b.call(ctx, RoleFill, FillJob{
		Data: data, Source: sourceName, Log: fillLog, Events: m.o.Events, PerFlush: m.o.PerFlush,
		Start: fillStart(2), Span: 23 * time.Hour, Salt: uint64(round),
	}, &fill)
	if err != nil {
		return err
	}
	before, err := m.b.fingerprint(ctx, data)
	if err != nil {
		return err
	}
	var theirs, mine MergeResult
	if err := m.b.call(ctx, RoleCopy, CopyJob{Data: data, Source: sourceName, Out: filepath.Join(dir, "copy"), Memory: m.o.Memory, Threads: m.o.Threads}, &theirs); err != nil {
		return err
	}
	if err := m.b.call(ctx, RoleMerge, MergeJob{Data: data, Source: sourceName, Temp: filepath.Join(dir, "spill")}, &mine); err != nil {
		return err
	}
	after, err := m.b.fingerprint(ctx, data)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		m.out.wrong("round %d: rows, different ids and sum of rows were %v before merging and are %v after it", round+1, before, after)
	}
	if theirs.RowsOut != int64(m.o.Events) {
		m.out.wrong("round %d: DuckDB wrote %d of %d rows", round+1, theirs.RowsOut, m.o.Events)
	}
	m.b.say("round %d of %d: DuckDB %s rows/s, firth %s", round+1, m.o.Rounds, count(theirs.rate()), count(mine.rate()))
	m.Mine, m.DuckDB, m.Fill = append(m.Mine, mine), append(m.DuckDB, theirs), append(m.Fill, fill)
	return nil
}

// fingerprint asks for that of a table.
func (b *bench) fingerprint(ctx context.Context, data string) (_ []int64, err error) {
	dir := data + ".check"
	r, err := b.startRole(ctx, RoleAsk, AskJob{Data: data, Source: sourceName, Dir: dir, Memory: 4 << 30})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close(), removeAll(dir)) }()
	numbers, _, err := r.numbers(fingerprint)
	return numbers, err
}

func (r MergeResult) rate() float64 { return float64(r.Rows) / r.Took.Seconds() }

// findings sums up the rounds.
func (m *mergeRun) findings() {
	mid := func(of []MergeResult, f func(MergeResult) float64) float64 {
		var v []float64
		for _, r := range of {
			v = append(v, f(r))
		}
		return quantile(v, 0.5)
	}
	both := func(what, unit string, goal *Goal, f func(MergeResult) float64) {
		m.out.add(what, mid(m.Mine, f), unit, mid(m.DuckDB, f), goal)
	}
	both("merged", "rows/s", ratioAtLeast(mergeOverDuckDB), MergeResult.rate)
	both("  by processor time", "rows/s", nil, func(r MergeResult) float64 { return float64(r.Rows) / r.CPU.Seconds() })
	both("  memory, most", "MB", nil, func(r MergeResult) float64 { return float64(r.Peak) / 1e6 })
	both("merges", "", nil, func(r MergeResult) float64 { return float64(r.Merges) })
	both("files afterwards", "", nil, func(r MergeResult) float64 { return float64(r.FilesOut) })
	both("bytes an event", "B", nil, func(r MergeResult) float64 { return float64(r.BytesOut) / float64(max(1, r.RowsOut)) })
	m.out.add("  before", mid(m.Mine, func(r MergeResult) float64 { return float64(r.BytesIn) / float64(max(1, r.Rows)) }), "B", 0, nil)
	m.out.add("files before", mid(m.Mine, func(r MergeResult) float64 { return float64(r.FilesIn) }), "", 0, nil)
	m.out.add("written over read", mid(m.Mine, func(r MergeResult) float64 { return float64(r.Written) / float64(max(1, r.BytesIn)) }), "", 0, nil)
	m.out.note("baseline: DuckDB's COPY ... ORDER BY event, ts of the same files into one, zstd, in a process")
	m.out.note("of its own; it neither looks for duplicates nor checks its output. Rows are compared whole.")
	m.out.Detail = m
}

// plan measures a table with many commits, a file each.
func (b *bench) plan(ctx context.Context, o MergeOptions, out *Outcome) error {
	data := filepath.Join(b.dir, "plan", "data")
	b.say("making a table of %s commits with a file each", count(float64(o.Commits)))
	var fill FillResult
	err := b.call(ctx, RoleFill, FillJob{
		Data: data, Source: sourceName, Log: fillLog, Events: 10 * o.Commits, PerFlush: 10,
		Start: fillStart(queryDays), Span: queryDays*24*time.Hour - time.Minute,
	}, &fill)
	if err != nil {
		return err
	}
	var plan PlanResult
	if err := b.call(ctx, RolePlan, PlanJob{Data: data, Source: sourceName, Rounds: 9}, &plan); err != nil {
		return err
	}
	if plan.Files != int(fill.Files) {
		out.wrong("%d files were written and %d are planned", fill.Files, plan.Files)
	}
	tenth := max(1, len(fill.Flushes)/10)
	out.addTime(fmt.Sprintf("plan %s files anew", count(float64(plan.Files))), middle(plan.Anew), 0, atMost(planGoal))
	out.addTime("  by processor time", plan.AnewCPU/time.Duration(max(1, len(plan.Anew))), 0, nil)
	out.addTime("  when nothing has changed", plan.Unchanged, 0, nil)
	out.addTime(fmt.Sprintf("flush of 10 rows after %s", count(float64(o.Commits))), middle(fill.Flushes[len(fill.Flushes)-tenth:]), middle(fill.Flushes[:tenth]), atMost(commitGoal))
	out.addTime("  the slowest hundredth of all", durationAt(fill.Flushes, 0.99), 0, nil)
	out.add("metadata on disk", float64(plan.Metadata)/1e6, "MB", 0, nil)
	out.note("flush: write, sync and commit of one small file; medians of the last tenth against the first")
	return nil
}

// durationAt is the duration that the share q does not exceed.
func durationAt(d []time.Duration, q float64) time.Duration {
	var v []float64
	for _, x := range d {
		v = append(v, float64(x))
	}
	return time.Duration(quantile(v, q))
}

// removeAll gives the space of a folder back.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove what the benchmark wrote: %w", err)
	}
	return nil
}
