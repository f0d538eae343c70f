package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// LoadOptions say how to compare loading into large tables with loading into empty ones.
type LoadOptions struct {
	Setup

	Rows   int           // in the tables before the measuring
	Chunk  int           // rows that are measured, each time
	Rounds int           // of both, in turn
	Drain  time.Duration // how long one load may take
}

// loadHolds is the share of its rate on empty tables that the loader should keep.
const loadHolds = 0.9

// perFlush is how many events a flush has in a lake that a benchmark fills: two seconds of 5,000 a second.
const perFlush = 10_000

// The journal that filled rows are said to have come through.
const fillLog = "0f3c1b52-6f0e-4a35-9d0c-5f6b1f0a7e11"

// noMerge keeps servers from merging what is to be looked at as it is.
const noMerge = "lake:\n  merge: false\n"

// LoadRate measures the loader on tables that hold many rows and on empty ones, in turn, and prints both rates.
func LoadRate(ctx context.Context, o LoadOptions) (err error) {
	began := time.Now()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "load", Title: "Load: from the lake into typed tables that hold much, and into empty ones", Machine: machine}
	out.set("%s rows first; then %s more, and as many into empty tables, %d times in turn", count(float64(o.Rows)), count(float64(o.Chunk)), o.Rounds)
	full := &filled{b: b, dir: filepath.Join(b.dir, "full"), drain: o.Drain}
	b.say("filling a lake with %s events", count(float64(o.Rows)))
	if err := full.fill(ctx, o.Rows); err != nil {
		return err
	}
	b.say("loading them")
	first, err := full.load(ctx)
	if err != nil {
		return err
	}
	var large, empty []float64
	for round := range o.Rounds {
		if err := full.fill(ctx, o.Chunk); err != nil {
			return err
		}
		l, err := full.load(ctx)
		if err != nil {
			return err
		}
		fresh := &filled{b: b, dir: filepath.Join(b.dir, fmt.Sprintf("empty-%d", round)), drain: o.Drain}
		if err := fresh.fill(ctx, o.Chunk); err != nil {
			return err
		}
		e, err := fresh.load(ctx)
		if err := errors.Join(err, fresh.remove()); err != nil {
			return err
		}
		b.say("round %d of %d: %s rows/s beside many rows, %s into empty tables", round+1, o.Rounds, count(l.rate), count(e.rate))
		large, empty = append(large, l.rate), append(empty, e.rate)
		full.wrong = append(full.wrong, fresh.wrong...)
	}
	out.Wrong = full.wrong
	out.add(fmt.Sprintf("beside %s rows", count(float64(o.Rows))), quantile(large, 0.5), "rows/s", quantile(empty, 0.5), ratioAtLeast(loadHolds))
	out.add("the first rows, all of them", first.rate, "rows/s", 0, nil)
	out.add("answering half, most memory", float64(first.peak)/1e6, "MB", 0, nil)
	out.note("the baseline is the rate into empty tables, after their first chunk, which makes them")
	out.Detail = map[string][]float64{"large": large, "empty": empty}
	return out.print(o.Setup, began)
}

// filled is a data folder whose lake is filled without a server.
type filled struct {
	b     *bench
	dir   string
	drain time.Duration
	rows  int // so far
	fills uint64
	wrong []string
}

func (f *filled) data() string { return filepath.Join(f.dir, "data") }

// fillStart is when the events of a lake begin: at midnight, a number of days ago.
func fillStart(days int) time.Time {
	return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days)
}

// fill adds events, an hour a fill, so that later ones come later.
func (f *filled) fill(ctx context.Context, n int) error {
	job := FillJob{
		Data: f.data(), Source: sourceName, Log: fillLog, First: uint64(f.rows), Events: n, PerFlush: perFlush,
		Start: fillStart(2).Add(time.Duration(f.fills) * time.Hour), Span: 59 * time.Minute, Salt: f.fills,
	}
	var r FillResult
	if err := f.b.call(ctx, RoleFill, job, &r); err != nil {
		return err
	}
	f.fills++
	f.rows += n
	return nil
}

// loaded is what a load came to.
type loaded struct {
	rate float64 // rows a second, from the first chunk that was seen to the last
	peak int64   // largest resident set of the answering half
	took time.Duration
}

// load starts a server on the folder, waits until the typed tables have all rows, and stops it.
func (f *filled) load(ctx context.Context) (l loaded, err error) {
	began := time.Now()
	s, err := f.b.startServer(ctx, serving{dir: f.dir, config: noMerge})
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	w := &arrivals{goal: int64(f.rows)}
	if _, err := poll(ctx, 50*time.Millisecond, f.drain, func() (bool, error) {
		n, err := s.count(ctx, "SELECT count(*) FROM "+sourceName+".tracks")
		return err == nil && w.note(n, time.Now()), nil // the table is made by the first load
	}); err != nil {
		return l, err
	}
	l.rate, l.took = w.rate(), time.Since(began)
	if w.last != w.goal {
		f.wrong = append(f.wrong, fmt.Sprintf("%s rows in the lake, %s in the tables after %s", count(float64(w.goal)), count(float64(w.last)), l.took.Round(time.Second)))
	}
	pids, err := s.processes()
	if err != nil {
		return l, err
	}
	u, err := pids.usages()
	l.peak = u.Child.Peak
	return l, err
}

// arrivals measures the rate of a count that grows in steps, from the first step that was seen to the goal: what comes before
// the first step, which is the making of tables and the opening of files, does not count.
type arrivals struct {
	goal        int64
	base, first int64 // counted at the first look, and at the first step
	last        int64
	looked      bool
	began, end  time.Time
}

// note books a count and reports whether the goal is reached.
func (a *arrivals) note(n int64, now time.Time) bool {
	if !a.looked {
		a.looked, a.base, a.last = true, n, n
	}
	if n != a.last {
		if a.began.IsZero() {
			a.began, a.first = now, n
		}
		a.last, a.end = n, now
	}
	return n >= a.goal
}

// rate is in counts a second, 0 when fewer than two steps were seen.
func (a *arrivals) rate() float64 {
	if !a.end.After(a.began) {
		return 0
	}
	return float64(a.last-a.first) / a.end.Sub(a.began).Seconds()
}

// remove gives the folder's space back.
func (f *filled) remove() error { return removeAll(f.dir) }
