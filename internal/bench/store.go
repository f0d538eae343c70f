package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// StoreOptions say how to compare a lake at an object store with one on local disk.
type StoreOptions struct {
	Setup

	URL   string // s3://BUCKET/PREFIX?...: every run has a prefix of its own below it
	Clear func(ctx context.Context, url string) error

	Connections int
	Rounds      int
	Duration    time.Duration // measured time of a run of ingest
	Events      int           // of the month that is asked about
	Flushes     int
	Drain       time.Duration
}

// Goals of a lake at an object store against one on local disk.
const (
	storeIngest = 0.8
	storeWarm   = 1.1
)

// at is the address of a run's own prefix.
func (o *StoreOptions) at(name string) string {
	path, query, found := strings.Cut(o.URL, "?")
	path = strings.TrimRight(path, "/") + "/" + name
	if found {
		path += "?" + query
	}
	return path
}

// lakePlaces are where a lake is in turn: on local disk, and at the store.
var lakePlaces = [...]string{"local", "store"} //nolint:gochecknoglobals // a constant list

// lakeAt are lines of a configuration.
func (o *StoreOptions) lakeAt(place, run, more string) string {
	if place == lakePlaces[0] {
		if more == "" {
			return ""
		}
		return "lake:\n" + more
	}
	return fmt.Sprintf("lake:\n  url: %q\n%s", o.at(run), more)
}

// StoreIngest puts as much load on a server as it takes, with the lake on local disk and at an object store in turn, and prints how many events
// a second came into the lake until the last one was there.
func StoreIngest(ctx context.Context, o StoreOptions) (err error) {
	began := time.Now()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	b.options = Options{Connections: o.Connections, Duration: o.Duration, Drain: o.Drain}.withDefaults()
	out := &Outcome{Bench: "ingest-store", Title: "Ingest: the lake at an object store, beside one on local disk", Machine: machine}
	load := Load{Name: "20 a request", Batch: 20}
	rates, taken := map[string][]float64{}, map[string][]float64{}
	for round := range o.Rounds {
		for _, place := range lakePlaces {
			run := fmt.Sprintf("ingest-%d", round)
			b.config = o.lakeAt(place, run, "")
			r, err := b.runServer(ctx, load)
			if place != lakePlaces[0] {
				err = errors.Join(err, o.Clear(ctx, o.at(run)))
			}
			if err != nil {
				return fmt.Errorf("the lake at %s: %w", place, err)
			}
			if !r.Complete {
				out.wrong("%s: of %s acknowledged events %s rows in the lake and %s in the tables", place, count(float64(r.Generator.Accepted)),
					count(float64(r.LakeRows)), count(float64(r.TableRows)))
			}
			whole := (r.Loaded + r.Arrival.Lake).Seconds()
			rates[place], taken[place] = append(rates[place], float64(r.Generator.Accepted)/whole), append(taken[place], r.rate())
			b.say("round %d of %d, %s: %s events a second acknowledged, %s into the lake", round+1, o.Rounds, place, count(r.rate()), count(float64(r.Generator.Accepted)/whole))
		}
	}
	out.add("into the lake, until the last one", quantile(rates["store"], 0.5), "events/s", quantile(rates["local"], 0.5), ratioAtLeast(storeIngest))
	out.add("acknowledged", quantile(taken["store"], 0.5), "events/s", quantile(taken["local"], 0.5), nil)
	out.note("%s, %d connections, %s a run; medians of %d, the two in turn; the baseline is the lake on local disk", load.Name, o.Connections, o.Duration, o.Rounds)
	out.Detail = map[string]any{"lake": rates, "acknowledged": taken}
	return out.print(o.Setup, began)
}

// StoreQuery asks about a month of events at an object store and on local disk: with an empty cache, and with a full one.
func StoreQuery(ctx context.Context, o StoreOptions) (err error) {
	began := time.Now()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "query-store", Title: "Query: a month of events at an object store, beside local disk", Machine: machine}
	q := &storeQuery{b: b, o: o, out: out, start: fillStart(queryDays), answers: map[string][]int64{}}
	err = q.run(ctx)
	if err = errors.Join(err, o.Clear(ctx, o.at("query"))); err != nil {
		return err
	}
	return out.print(o.Setup, began)
}

type storeQuery struct {
	b       *bench
	o       StoreOptions
	out     *Outcome
	start   time.Time
	answers map[string][]int64
}

func (q *storeQuery) dir(place string) string { return filepath.Join(q.b.dir, place) }

func (q *storeQuery) run(ctx context.Context) error {
	for _, place := range lakePlaces {
		job := FillJob{
			Data: filepath.Join(q.dir(place), "data"), Source: sourceName, Log: fillLog, Events: q.o.Events,
			PerFlush: max(1, (q.o.Events+q.o.Flushes-1)/q.o.Flushes), Start: q.start, Span: queryDays*24*time.Hour - time.Minute,
		}
		if place != lakePlaces[0] {
			job.Lake = q.o.at("query")
		}
		q.b.say("filling a lake with %s events: %s", count(float64(q.o.Events)), place)
		var fill FillResult
		if err := q.b.call(ctx, RoleFill, job, &fill); err != nil {
			return err
		}
		q.out.set("%s: %s events in %s files of %s MB, written in %s", place, count(float64(fill.Rows)), count(float64(fill.Files)), count(float64(fill.Bytes)/1e6),
			fill.Took.Round(time.Second/10))
	}
	cold, warm := map[string][]time.Duration{}, map[string]map[string][]time.Duration{"local": {}, "store": {}}
	for range q.o.Rounds {
		for _, place := range lakePlaces {
			if err := q.round(ctx, place, cold, warm[place]); err != nil {
				return err
			}
		}
	}
	q.out.addTime("first answer, the cache empty", middle(cold["store"]), middle(cold["local"]), nil)
	for _, x := range questions(q.start) {
		q.out.addTime(x.name+", the cache full", middle(warm["store"][x.name]), middle(warm["local"][x.name]), ratioAtMost(storeWarm))
	}
	q.out.note("medians of %d, the two in turn; the baseline is the lake on local disk; answers are compared", q.o.Rounds)
	q.out.note("first answer: from the moment the server answers SQL to the first whole answer about one event")
	q.out.Detail = map[string]any{"cold": cold, "warm": warm}
	return nil
}

// round starts a server, whose cache is empty, and asks it.
func (q *storeQuery) round(ctx context.Context, place string, cold map[string][]time.Duration, warm map[string][]time.Duration) (err error) {
	if err := os.RemoveAll(filepath.Join(q.dir(place), "data", "cache")); err != nil {
		return err
	}
	s, err := q.b.startServer(ctx, serving{dir: q.dir(place), config: q.o.lakeAt(place, "query", "  merge: false\n")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	list, began := questions(q.start), time.Now()
	there, err := poll(ctx, 10*time.Millisecond, q.o.Drain, func() (bool, error) {
		numbers, _, err := s.numbers(ctx, strings.ReplaceAll(list[0].sql, "%FROM%", "lake."+sourceName))
		return err == nil && len(numbers) > 0, nil // until the view is there, there is no such table
	})
	if err != nil || !there {
		return errors.Join(err, fmt.Errorf("%s: no answer within %s", place, q.o.Drain))
	}
	cold[place] = append(cold[place], time.Since(began))
	for _, x := range list {
		for try := range 3 {
			numbers, took, err := s.numbers(ctx, strings.ReplaceAll(x.sql, "%FROM%", "lake."+sourceName))
			if err != nil {
				return fmt.Errorf("%s, asked of %s: %w", x.name, place, err)
			}
			if q.answers[x.name] == nil {
				q.answers[x.name] = numbers
			}
			if !slices.Equal(numbers, q.answers[x.name]) || len(numbers) == 0 {
				q.out.wrong("%s: %s answers %v, where %v was answered before", x.name, place, numbers, q.answers[x.name])
			}
			if try > 0 {
				warm[x.name] = append(warm[x.name], took)
			}
		}
	}
	return nil
}
