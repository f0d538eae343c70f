package parts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"firth/internal/app"
	"firth/internal/bench"
	"firth/internal/bench/parts"
)

// TestMain lets the test binary stand in for the product's: as the server, which starts itself again as its other half, and in
// the roles of benchmarks.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "serve" && os.Args[1] != "role" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := stand(ctx, os.Args[1], os.Args[2:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func stand(ctx context.Context, command string, args []string) error {
	if command == "role" {
		return parts.ServeRole(ctx, args[0], os.Stdin, os.Stdout)
	}
	o := app.ServeOptions{Version: "test", Stdin: os.Stdin, Stderr: os.Stderr}
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.StringVar(&o.Config, "c", "", "")
	f.StringVar(&o.LogFormat, "log", "text", "")
	f.StringVar(&o.Base, "base", "", "")
	f.Func("roles", "", func(s string) error { o.Roles = strings.Split(s, ","); return nil })
	if err := f.Parse(args); err != nil {
		return err
	}
	return app.Serve(ctx, o)
}

// setup runs the test binary in every part.
func setup(t *testing.T, out *bytes.Buffer) bench.Setup {
	t.Helper()
	return bench.Setup{
		Role: []string{os.Args[0], "role"},
		Server: func(config string, args ...string) *exec.Cmd {
			return exec.Command(os.Args[0], append([]string{"serve", "-c", config}, args...)...)
		},
		Dir: t.TempDir(), JSON: true, Out: out,
	}
}

// drain is how long anything may take on a machine that does other things too.
const drain = 3 * time.Minute

// Every benchmark in its least form, on the real server: it ends, finds nothing wrong, has its figures and leaves nothing behind.
func TestBenchmarks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for _, tt := range []struct {
		name  string
		run   func(context.Context, bench.Setup) error
		wants []string // findings that are not zero
	}{
		{"fresh", func(ctx context.Context, s bench.Setup) error {
			return bench.Fresh(ctx, bench.FreshOptions{
				Setup: s, Rates: []int{200}, Connections: 4, Warmup: 2 * time.Second, Duration: 2 * time.Second,
				Every: 50 * time.Millisecond, Drain: drain,
			})
		}, []string{"200/s, call to typed row, p99", "200/s, call to lake row, p99"}},
		{"soak", func(ctx context.Context, s bench.Setup) error {
			return bench.Soak(ctx, bench.SoakOptions{
				Setup: s, Rate: 400, Batch: 20, Connections: 4, Warmup: time.Second, Duration: 4 * time.Second, Drain: drain, Every: time.Second,
				Config: "lake: { merge: { small: { every: 1s } } }\n",
			})
		}, []string{"acknowledged", "door, p99", "memory of both, most", "  answering half, most", "journal", "files on disk at the end"}},
		{"backlog", func(ctx context.Context, s bench.Setup) error {
			return bench.Backlog(ctx, bench.BacklogOptions{
				Setup: s, Events: 3000, Rate: 200, Batch: 1, Connections: 4, Duration: time.Second, Drain: drain,
			})
		}, []string{"door while the backlog loads, p99", "  undisturbed before, p99", "  undisturbed after, p99"}},
		{"load", func(ctx context.Context, s bench.Setup) error {
			return bench.LoadRate(ctx, bench.LoadOptions{Setup: s, Rows: 2000, Chunk: 500, Rounds: 1, Drain: drain})
		}, []string{"answering half, most memory"}},
		{"merge", func(ctx context.Context, s bench.Setup) error {
			return bench.Merge(ctx, bench.MergeOptions{Setup: s, Events: 3000, PerFlush: 250, Rounds: 1, Memory: 1 << 30, Commits: 60})
		}, []string{"merged", "  memory, most", "bytes an event", "written over read", "plan 60 files anew", "flush of 10 rows after 60"}},
		{"query", func(ctx context.Context, s bench.Setup) error {
			return bench.Query(ctx, bench.QueryOptions{Setup: s, Events: 6000, Flushes: 60, Rounds: 2, Drain: drain})
		}, []string{"one event by day, merged", "users with most events, merged", "one event by JSON property, merged", "  after 60 flushes", "  typed tables"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			s := setup(t, &out)
			if err := tt.run(t.Context(), s); err != nil {
				t.Fatalf("%v\n%s", err, out.Bytes())
			}
			var o bench.Outcome
			if err := json.Unmarshal(out.Bytes(), &o); err != nil {
				t.Fatal(err)
			}
			if o.Bench != tt.name {
				t.Errorf("bench %q", o.Bench)
			}
			for _, want := range tt.wants {
				if f := find(o, want); f == nil || f.Measured <= 0 {
					t.Errorf("%q: %+v", want, f)
				}
			}
			left, err := os.ReadDir(s.Dir)
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func find(o bench.Outcome, what string) *bench.Finding {
	for i := range o.Findings {
		if o.Findings[i].What == what {
			return &o.Findings[i]
		}
	}
	return nil
}

// A fill gives the lake exactly the events that were asked for, also where records and bodies do not divide evenly, and a second
// one goes on behind it.
func TestFill(t *testing.T) {
	data := t.TempDir()
	start := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3)
	for i, job := range []bench.FillJob{
		{Events: 1234, PerFlush: 500, Span: time.Hour},
		{Events: 77, PerFlush: 1, First: 1234, Span: time.Hour, Start: start.Add(2 * time.Hour), Salt: 1},
	} {
		job.Data, job.Source, job.Log = data, "bench", "0f3c1b52-6f0e-4a35-9d0c-5f6b1f0a7e11"
		if job.Start.IsZero() {
			job.Start = start
		}
		var r bench.FillResult
		role(t, bench.RoleFill, job, &r)
		if r.Rows != int64(job.Events) || len(r.Flushes) != (job.Events+job.PerFlush-1)/job.PerFlush || r.Files != int64(len(r.Flushes)) {
			t.Errorf("fill %d: %d rows, %d flushes, %d files", i, r.Rows, len(r.Flushes), r.Files)
		}
	}
	var p bench.PlanResult
	role(t, bench.RolePlan, bench.PlanJob{Data: data, Source: "bench", Rounds: 2}, &p)
	if p.Files != 3+77 || len(p.Anew) != 2 || p.Metadata == 0 {
		t.Errorf("plan %+v", p)
	}
	var in, out bytes.Buffer
	e := json.NewEncoder(&in)
	if err := errors.Join(
		e.Encode(bench.AskJob{Data: data, Source: "bench", Dir: t.TempDir()}),
		e.Encode(bench.AskQuestion{SQL: "SELECT 'rows', count(*) FROM %FILES% UNION ALL SELECT 'ids', count(DISTINCT message_id) FROM %FILES%"}),
		e.Encode(bench.AskQuestion{SQL: "SELECT nonsense"}),
		e.Encode(bench.AskQuestion{SQL: "SELECT 1"}),
	); err != nil {
		t.Fatal(err)
	}
	if err := parts.ServeRole(t.Context(), bench.RoleAsk, &in, &out); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&out)
	var answers [3]bench.AskAnswer
	for i := range answers {
		if err := d.Decode(&answers[i]); err != nil {
			t.Fatal(err)
		}
	}
	if a := answers[0]; len(a.Numbers) != 2 || a.Numbers[0] != 1311 || a.Numbers[1] != 1311 || a.Files != 80 {
		t.Errorf("answer %+v", a)
	}
	if answers[1].Error == "" || answers[2].Error == "" {
		t.Errorf("bad questions were answered: %+v", answers[1:])
	}
}

// role runs a part in this process.
func role(t *testing.T, name string, job, result any) {
	t.Helper()
	in, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := parts.ServeRole(t.Context(), name, bytes.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), result); err != nil {
		t.Fatal(err)
	}
}

func TestRolesRefuseBadJobs(t *testing.T) {
	empty := fmt.Sprintf(`{"Data":%q,"Source":"bench","Rounds":1}`, t.TempDir()) // without a lake
	for _, tt := range []struct{ role, job string }{
		{bench.RoleFill, "{}"}, {bench.RoleFill, "no json"}, {bench.RoleAsk, ""}, {"no such role", "{}"},
		{bench.RoleMerge, empty}, {bench.RoleCopy, empty}, {bench.RolePlan, empty},
	} {
		if err := parts.ServeRole(t.Context(), tt.role, strings.NewReader(tt.job), &bytes.Buffer{}); err == nil {
			t.Errorf("role %q took the job %q", tt.role, tt.job)
		}
	}
}
