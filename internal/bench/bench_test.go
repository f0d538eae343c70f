package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary stand in for the product's: run with a role it takes that role.
func TestMain(m *testing.M) {
	role := os.Getenv("BENCH_TEST_ROLE")
	if role == "" {
		os.Exit(m.Run())
	}
	var err error
	if role == "server" {
		err = serveFake(os.Args[1])
	} else {
		err = ServeRole(context.Background(), os.Args[1], os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fake is a server as the benchmark sees one: it takes calls, keeps files where they belong, and counts rows when asked. It
// refuses every event that is not as it should be.
type fake struct {
	mu   sync.Mutex
	ids  map[string]bool
	log  *os.File
	lake *os.File
	off  string // how its answers are off: "lost", "doubled" or "same id"
}

func serveFake(config string) error {
	b, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var addr, data string
	for _, line := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, "listen: "); ok {
			addr = v
		}
		if v, ok := strings.CutPrefix(line, "data: "); ok {
			data = v
		}
	}
	f := &fake{ids: map[string]bool{}, off: os.Getenv("BENCH_TEST_OFF")}
	for _, file := range []struct {
		path string
		to   **os.File
	}{{"journal/1.seg", &f.log}, {"lake/bench/data/1.parquet", &f.lake}} {
		path := filepath.Join(data, file.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if *file.to, err = os.Create(path); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/track", f.take)
	mux.HandleFunc("POST /v1/batch", f.take)
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /api/sql", f.sql)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# TYPE firth_lake_bytes_total counter\nfirth_lake_bytes_total 1000\n")
	})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := &http.Server{Handler: mux}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func (f *fake) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if user, pass, _ := r.BasicAuth(); user != writeKey || pass != "" {
		http.Error(w, "wrong key", http.StatusUnauthorized)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.check(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, err = f.log.Write(body)
	if _, err2 := f.lake.Write(body[:100]); err != nil || err2 != nil {
		http.Error(w, "cannot write", http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, `{"success":true}`)
}

// check decodes the calls of a body.
func (f *fake) check(body []byte) error {
	var request struct {
		call
		Batch []call `json:"batch"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	if request.Batch == nil {
		request.Batch = []call{request.call}
	}
	if request.SentAt.IsZero() || time.Since(request.SentAt) > time.Minute {
		return fmt.Errorf("sent at %s", request.SentAt)
	}
	for _, c := range request.Batch {
		age := request.SentAt.Sub(c.Timestamp)
		if c.Type != "track" || c.Event == "" || c.UserID == "" || len(c.MessageID) != 36 || f.ids[c.MessageID] || age < 0 || age > 3*time.Second {
			return fmt.Errorf("event %+v", c)
		}
		f.ids[c.MessageID] = true
	}
	return nil
}

type call struct {
	Type, Event, UserID, MessageID string
	Timestamp, SentAt              time.Time
}

func (f *fake) sql(w http.ResponseWriter, r *http.Request) {
	var q struct{ SQL string }
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.ids)
	switch {
	case f.off == "lost" && n > 0, f.off == "same id" && strings.Contains(q.SQL, "DISTINCT"):
		n--
	case f.off == "doubled" && n > 0:
		n++
	}
	_, _ = fmt.Fprintf(w, `{"columns":[{"name":"count","type":"BIGINT"}],"rows":[[%d]]}`, n)
}

// A benchmark whose server loses or doubles rows says so and fails, after it has printed what it measured.
func TestWrongResultsFail(t *testing.T) {
	for _, tt := range []struct{ off, says string }{
		{"", ""},
		{"lost", "acknowledged events"},
		{"doubled", "acknowledged events"},
		{"same id", "different ids"},
	} {
		t.Run(tt.off, func(t *testing.T) {
			o := testOptions(t)
			t.Setenv("BENCH_TEST_OFF", tt.off)
			var out bytes.Buffer
			o.Out = &out
			err := Soak(t.Context(), SoakOptions{
				Setup: o.Setup, Rate: 200, Batch: 2, Connections: 2, Duration: 300 * time.Millisecond, Drain: time.Second, Every: time.Second,
			})
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrWrong) || !strings.Contains(out.String(), "! WRONG: ") || !strings.Contains(out.String(), tt.says) {
				t.Errorf("error %v, printed %s", err, out.String())
			}
		})
	}
}

// testOptions runs the test binary in every role.
func testOptions(t *testing.T) Options {
	t.Helper()
	t.Setenv("BENCH_TEST_ROLE", "role")
	return Options{
		Setup: Setup{
			Role: []string{os.Args[0]},
			Server: func(config string, _ ...string) *exec.Cmd {
				cmd := exec.Command(os.Args[0], config)
				cmd.Env = append(os.Environ(), "BENCH_TEST_ROLE=server")
				return cmd
			},
			Dir: t.TempDir(),
		},
		Loads:       []Load{{Name: "1 a request", Batch: 1}, {Name: "3 a request", Batch: 3}, {Name: "paced 500/s", Batch: 1, Rate: 500}},
		Connections: 8, Rounds: 1, Warmup: 50 * time.Millisecond, Duration: 200 * time.Millisecond, Drain: 10 * time.Second,
	}
}

func TestRun(t *testing.T) {
	o := testOptions(t)
	var out, progress bytes.Buffer
	o.Out, o.Progress, o.JSON = &out, &progress, true
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 3 {
		t.Fatalf("%d rows, want 3", len(r.Rows))
	}
	for _, row := range r.Rows {
		for _, run := range append(row.Bare, row.Firth...) {
			if row.Load.Rate > 0 {
				delete(run.Generator.Failed, "no answer") // what was due when the time was over: a busy disk falls behind
			}
			if len(run.Generator.Failed) > 0 || run.Generator.Events == 0 || run.Generator.P50 == 0 || run.JournalBytes < 900*run.Generator.Accepted {
				t.Errorf("%s: %+v", row.Load.Name, run)
			}
		}
		if a := row.Firth[0].Arrival; !a.Complete {
			t.Errorf("%s: arrival %+v of %d", row.Load.Name, a, row.Firth[0].Generator.Accepted)
		}
	}
	out.Reset()
	if err := r.writeText(&out); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if len([]rune(line)) > 80 && !strings.Contains(line, "!") && !strings.Contains(line, "machine") && !strings.Contains(line, "disk ") {
			t.Errorf("wider than a terminal: %q", line)
		}
	}
	t.Log(progress.String() + out.String())
}

func TestRunReportsFailures(t *testing.T) {
	o := testOptions(t)
	var out bytes.Buffer
	o.Out = &out
	o.Loads = o.Loads[:1]
	o.Server = func(string, ...string) *exec.Cmd { return exec.Command("false") }
	err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "firth, 1 a request") {
		t.Fatalf("error %v, want one that names server and load", err)
	}
}
