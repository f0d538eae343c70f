package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// QueryOptions say how large the lake is that questions are asked of.
type QueryOptions struct {
	Setup

	Events  int // over a month
	Flushes int // files that they come in, about
	Rounds  int // of every question
	Drain   time.Duration
	Memory  int64 // limit of both engines; 0: the default of a server
}

// queryDays is the month.
const queryDays = 30

// Goals of the questions.
const (
	queryOverBare   = 1.1 // of the server against bare DuckDB on the same merged files
	queryOverMerged = 3   // of the server on unmerged files against the server on merged ones
)

// question is asked of the view of the lake, of bare DuckDB, and of the typed tables. The second column is a whole number, which
// must be the same from all.
type question struct {
	name, sql, typed string // FROM in sql is %FROM%
}

// questions are those of a company that looks at its product: one event over a month, its users, one property.
func questions(start time.Time) []question {
	name, table := planEvent()
	month := fmt.Sprintf("ts >= TIMESTAMPTZ '%s' AND ts < TIMESTAMPTZ '%s'", start.Format(time.RFC3339), start.AddDate(0, 0, queryDays).Format(time.RFC3339))
	typedMonth := strings.ReplaceAll(month, "ts ", "timestamp ")
	return []question{
		{
			name:  "one event by day",
			sql:   "SELECT date_trunc('day', ts) AS day, count(*) AS n FROM %FROM% WHERE event = '" + name + "' AND " + month + " GROUP BY day ORDER BY day",
			typed: "SELECT date_trunc('day', timestamp) AS day, count(*) AS n FROM " + sourceName + "." + table + " WHERE " + typedMonth + " GROUP BY day ORDER BY day",
		},
		{
			name:  "users with most events",
			sql:   "SELECT user_id, count(*) AS n, count(DISTINCT event) AS kinds FROM %FROM% GROUP BY user_id ORDER BY n DESC, user_id LIMIT 20",
			typed: "SELECT user_id, count(*) AS n, count(DISTINCT event) AS kinds FROM " + sourceName + ".tracks GROUP BY user_id ORDER BY n DESC, user_id LIMIT 20",
		},
		{
			name:  "one event by JSON property",
			sql:   "SELECT json_extract_string(properties, '$.plan') AS plan, count(*) AS n FROM %FROM% WHERE event = '" + name + "' GROUP BY plan ORDER BY plan",
			typed: "SELECT plan, count(*) AS n FROM " + sourceName + "." + table + " GROUP BY plan ORDER BY plan",
		},
		{
			name: "all events by JSON property",
			sql:  "SELECT json_extract_string(properties, '$.plan') AS plan, count(*) AS n FROM %FROM% GROUP BY plan ORDER BY plan",
		},
	}
}

// Query asks the same questions of a server and of bare DuckDB on the same files, before and after merging, and of the typed
// tables, and prints how long each took.
func Query(ctx context.Context, o QueryOptions) (err error) {
	began := time.Now()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "query", Title: "Query: a month of events asked of the lake, of bare DuckDB and of the typed tables", Machine: machine}
	q := &queryRun{b: b, o: o, out: out, start: fillStart(queryDays), dir: filepath.Join(b.dir, "server"), times: map[string]*asked{}}
	if err := q.run(ctx); err != nil {
		return err
	}
	q.findings()
	return out.print(o.Setup, began)
}

// queryRun is one run of the benchmark.
type queryRun struct {
	b     *bench
	o     QueryOptions
	out   *Outcome
	start time.Time
	dir   string
	times map[string]*asked // by question
}

// asked is how long a question took at each place, every round.
type asked struct {
	Flushed     []time.Duration `json:"flushed_ns"`
	FlushedBare []time.Duration `json:"flushed_bare_ns"`
	Merged      []time.Duration `json:"merged_ns"`
	MergedBare  []time.Duration `json:"merged_bare_ns"`
	Typed       []time.Duration `json:"typed_ns"`

	numbers []int64 // the answer, which all must give
}

func (q *queryRun) data() string { return filepath.Join(q.dir, "data") }

func (q *queryRun) run(ctx context.Context) error {
	q.b.say("filling a lake with %s events in %s flushes", count(float64(q.o.Events)), count(float64(q.o.Flushes)))
	var fill FillResult
	err := q.b.call(ctx, RoleFill, FillJob{
		Data: q.data(), Source: sourceName, Log: fillLog, Events: q.o.Events, PerFlush: max(1, (q.o.Events+q.o.Flushes-1)/q.o.Flushes),
		Start: q.start, Span: queryDays*24*time.Hour - time.Minute,
	}, &fill)
	if err != nil {
		return err
	}
	q.out.set("%s events over %d days in %s files of %s MB, written by the lake's own writer in %s", count(float64(fill.Rows)), queryDays,
		count(float64(fill.Files)), count(float64(fill.Bytes)/1e6), fill.Took.Round(time.Second/10))
	err = q.serve(ctx, func(s *server) error {
		if err := q.load(ctx, s); err != nil {
			return err
		}
		return q.askAll(ctx, s, func(a *asked) (mine, bare *[]time.Duration) { return &a.Flushed, &a.FlushedBare }, true)
	})
	if err != nil {
		return err
	}
	q.b.say("merging")
	var merge MergeResult
	if err := q.b.call(ctx, RoleMerge, MergeJob{Data: q.data(), Source: sourceName, Temp: filepath.Join(q.dir, "spill")}, &merge); err != nil {
		return err
	}
	q.out.set("merged to %s files of %s MB in %s", count(float64(merge.FilesOut)), count(float64(merge.BytesOut)/1e6), merge.Took.Round(time.Second/10))
	if merge.RowsOut != int64(q.o.Events) {
		q.out.wrong("%s rows before merging and %s after it", count(float64(q.o.Events)), count(float64(merge.RowsOut)))
	}
	return q.serve(ctx, func(s *server) error {
		return q.askAll(ctx, s, func(a *asked) (mine, bare *[]time.Duration) { return &a.Merged, &a.MergedBare }, false)
	})
}

// serve runs fn on a server that does not merge, once its view of the lake is there.
func (q *queryRun) serve(ctx context.Context, fn func(*server) error) (err error) {
	config := noMerge
	if q.o.Memory > 0 {
		config += fmt.Sprintf("query:\n  memory: %d\n", q.o.Memory)
	}
	s, err := q.b.startServer(ctx, serving{dir: q.dir, config: config})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	there, err := poll(ctx, 100*time.Millisecond, q.o.Drain, func() (bool, error) {
		n, err := s.count(ctx, "SELECT count(*) FROM lake."+sourceName)
		return err == nil && n == int64(q.o.Events), nil
	})
	if err != nil {
		return err
	}
	if !there {
		q.out.wrong("the view of the lake does not show %s events", count(float64(q.o.Events)))
	}
	return fn(s)
}

// load waits until the typed tables have everything.
func (q *queryRun) load(ctx context.Context, s *server) error {
	q.b.say("loading the typed tables")
	began := time.Now()
	w := &arrivals{goal: int64(q.o.Events)}
	if _, err := poll(ctx, 500*time.Millisecond, q.o.Drain, func() (bool, error) {
		n, err := s.count(ctx, "SELECT count(*) FROM "+sourceName+".tracks")
		return err == nil && w.note(n, time.Now()), nil
	}); err != nil {
		return err
	}
	if w.last != w.goal {
		q.out.wrong("%s events in the lake, %s in the typed tables after %s", count(float64(w.goal)), count(float64(w.last)), q.o.Drain)
	}
	q.out.set("typed tables loaded in %s, %s rows/s", time.Since(began).Round(time.Second/10), count(w.rate()))
	return nil
}

// askAll asks every question of the server and of bare DuckDB in turn, and when told so of the typed tables. The first answer of
// each is not timed.
func (q *queryRun) askAll(ctx context.Context, s *server, of func(*asked) (mine, bare *[]time.Duration), typed bool) (err error) {
	// The engine of a server runs at the niceness of its half; its yardstick does the same.
	bare, err := q.b.startNice(ctx, RoleAsk, AskJob{Data: q.data(), Source: sourceName, Dir: filepath.Join(q.dir, "bare"), Memory: q.o.Memory}, answeringNice)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.close(), removeAll(filepath.Join(q.dir, "bare"))) }()
	for _, x := range questions(q.start) {
		a, ok := q.times[x.name]
		if !ok {
			a = &asked{}
			q.times[x.name] = a
		}
		mine, yardstick := of(a)
		for round := range q.o.Rounds + 1 {
			for _, at := range []struct {
				place string
				into  *[]time.Duration
				ask   func() ([]int64, time.Duration, error)
			}{
				{"the lake", mine, func() ([]int64, time.Duration, error) {
					return s.numbers(ctx, strings.ReplaceAll(x.sql, "%FROM%", "lake."+sourceName))
				}},
				{"bare DuckDB", yardstick, func() ([]int64, time.Duration, error) {
					return bare.numbers(strings.ReplaceAll(x.sql, "%FROM%", "%FILES%"))
				}},
				{"the typed tables", &a.Typed, func() ([]int64, time.Duration, error) { return s.numbers(ctx, x.typed) }},
			} {
				if at.into == &a.Typed && (!typed || x.typed == "") {
					continue
				}
				numbers, took, err := at.ask()
				if err != nil {
					return fmt.Errorf("%s, asked of %s: %w", x.name, at.place, err)
				}
				if a.numbers == nil {
					a.numbers = numbers
				}
				if !slices.Equal(numbers, a.numbers) || len(numbers) == 0 {
					q.out.wrong("%s: %s answers %v, where %v was answered before", x.name, at.place, numbers, a.numbers)
				}
				if round > 0 {
					*at.into = append(*at.into, took)
				}
			}
		}
	}
	return nil
}

// answeringNice is the niceness of a server's answering half.
const answeringNice = 19

// findings sums up the times.
func (q *queryRun) findings() {
	for _, x := range questions(q.start) {
		a := q.times[x.name]
		merged := middle(a.Merged)
		q.out.addTime(x.name+", merged", merged, middle(a.MergedBare), ratioAtMost(queryOverBare))
		q.out.addTime(fmt.Sprintf("  after %s flushes", count(float64(q.o.Flushes))), middle(a.Flushed), merged, ratioAtMost(queryOverMerged))
		if x.typed != "" {
			q.out.addTime("  typed tables", middle(a.Typed), 0, nil)
		}
	}
	q.out.note("merged: the server's SQL API on lake.%s, against read_parquet on the same files by", sourceName)
	q.out.note("DuckDB alone with the same settings and niceness; flushes: against the merged time")
	q.out.note("medians of %d, the two in turn, warm; answers are compared", q.o.Rounds)
	q.out.Detail = q.times
}

// numbers asks the server and returns the second column of the answer.
func (s *server) numbers(ctx context.Context, sql string) ([]int64, time.Duration, error) {
	began := time.Now()
	rows, err := s.ask(ctx, sql)
	took := time.Since(began)
	if err != nil {
		return nil, 0, err
	}
	var out []int64
	for _, row := range rows {
		if len(row) < 2 {
			return nil, 0, fmt.Errorf("%s: %d columns", sql, len(row))
		}
		n, err := whole(row[1])
		if err != nil {
			return nil, 0, err
		}
		out = append(out, n)
	}
	return out, took, nil
}

// numbers asks an engine in the role ask.
func (r *role) numbers(sql string) ([]int64, time.Duration, error) {
	var a AskAnswer
	if err := r.tell(AskQuestion{SQL: sql}); err != nil {
		return nil, 0, err
	}
	if err := r.lines.Decode(&a); err != nil {
		return nil, 0, fmt.Errorf("role ended early: %w", err)
	}
	if a.Error != "" {
		return nil, 0, errors.New(a.Error)
	}
	return a.Numbers, a.Took, nil
}

// middle is the median of the durations, 0 where there are none.
func middle(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
