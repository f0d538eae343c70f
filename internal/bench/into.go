package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// IntoOptions say how to compare loading into a Postgres with a bare copy of the same rows.
type IntoOptions struct {
	Setup

	URL    string // of a database that has no schema bench and nothing else of value
	Events int
	Rounds int
}

// intoHolds is the share of the bare copy's rate that the loader should reach.
const intoHolds = 0.6

// intoMemory is what a back-fill should stay under, in MB.
const intoMemory = 512

// intoKinds is how many event tables there are beside tracks.
const intoKinds = 20

// LoadInto fills a lake, loads it into Postgres and copies the rows of the tables by COPY alone, in turn, and prints both rates.
func LoadInto(ctx context.Context, o IntoOptions) (err error) {
	began := time.Now()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "load", Title: "Load: from the lake into Segment's tables of a Postgres, beside COPY of the same rows", Machine: machine}
	out.set("%s events of %d kinds, %d rounds of both in turn, each load into a database without the tables", count(float64(o.Events)), intoKinds, o.Rounds)
	job := IntoJob{URL: o.URL, Temp: filepath.Join(b.dir, "tmp")}
	if err := os.MkdirAll(job.Temp, 0o700); err != nil {
		return err
	}
	var rates, bare, calls []float64
	var most int64
	var last IntoResult
	for round := range o.Rounds {
		// Each round has a lake and a source, and so a schema, of its own: nothing has to be cleared in between.
		job.Data = filepath.Join(b.dir, fmt.Sprint("data-", round))
		job.Source = fmt.Sprintf("bench_%s_%d", began.UTC().Format("20060102_150405"), round)
		fill := FillJob{
			Data: job.Data, Source: job.Source, Log: fillLog, Events: o.Events, PerFlush: perFlush,
			Start: fillStart(2), Span: 20 * time.Hour, Salt: uint64(round), Kinds: intoKinds,
		}
		var filled FillResult
		if err := b.call(ctx, RoleFill, fill, &filled); err != nil {
			return err
		}
		var ours, theirs IntoResult
		if err := b.call(ctx, RoleInto, job, &ours); err != nil {
			return err
		}
		if err := b.call(ctx, RolePipe, job, &theirs); err != nil {
			return err
		}
		if ours.Calls != int64(o.Events) || theirs.Calls != ours.Calls || ours.Rows != theirs.Rows {
			out.Wrong = append(out.Wrong, fmt.Sprintf("%d events: %d calls and %d rows loaded, the tables hold %d and %d", o.Events, ours.Calls, ours.Rows, theirs.Calls, theirs.Rows))
		}
		b.say("round %d of %d: %s rows/s loaded, %s by COPY alone", round+1, o.Rounds, count(perSecond(ours.Rows, ours.Took)), count(perSecond(theirs.Rows, theirs.Took)))
		rates, bare = append(rates, perSecond(ours.Rows, ours.Took)), append(bare, perSecond(theirs.Rows, theirs.Took))
		calls = append(calls, float64(ours.CPU.Microseconds())/float64(max(1, ours.Calls)))
		most, last = max(most, ours.Peak), theirs
	}
	out.add("rows of all tables", quantile(rates, 0.5), "rows/s", quantile(bare, 0.5), ratioAtLeast(intoHolds))
	out.add("the loader's processor time a call, the database's apart", quantile(calls, 0.5), "us", 0, nil)
	out.add("loader, most memory", float64(most)/1e6, "MB", 0, atMost(intoMemory))
	out.note("the baseline is COPY of the same rows in binary form from files, a table after the other: %d tables, %d MB", last.Tables, last.Bytes>>20)
	out.Detail = map[string][]float64{"loaded": rates, "copied": bare}
	return out.print(o.Setup, began)
}

// perSecond is a rate, 0 where there was no time.
func perSecond(n int64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}
