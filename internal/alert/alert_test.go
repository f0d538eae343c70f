package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/state"
	"firth/internal/warehouse"
)

var start = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// hook is a webhook that keeps what it is told.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	answer func(w http.ResponseWriter, r *http.Request) bool // false: the message was not taken
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		h.mu.Lock()
		answer := h.answer
		h.mu.Unlock()
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s of %s: %v", r.Method, r.Header.Get("Content-Type"), err)
		}
		if answer != nil && !answer(w, r) {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bodies = append(h.bodies, string(body))
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) set(answer func(w http.ResponseWriter, r *http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

// told returns what came since it was called last, in short.
func (h *hook) told(t *testing.T) []string {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []string{}
	for _, body := range h.bodies {
		var m Message
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		out = append(out, m.Event+" "+m.Name+" "+m.State)
	}
	h.bodies = nil
	return out
}

// env is an alerter with a clock that stands.
type env struct {
	*Alerter
	t    *testing.T
	hook *hook
	o    Options
	log  *bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

func newEnv(t *testing.T) *env {
	t.Helper()
	e := &env{t: t, hook: newHook(t), now: start, log: &bytes.Buffer{}}
	e.o = Options{
		Webhook: e.hook.URL + "/hook/s3cr3t", Now: e.clock, Log: slog.New(slog.NewTextHandler(e.log, nil)),
		StateFile: filepath.Join(t.TempDir(), "alerts.json"), Lag: 15 * time.Minute, Quiet: 24 * time.Hour,
	}
	e.Alerter = New(e.o)
	return e
}

func (e *env) clock() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

// after lets time pass and has what is due done.
func (e *env) after(d time.Duration) {
	e.mu.Lock()
	e.now = e.now.Add(d)
	e.mu.Unlock()
	e.round(e.t.Context())
}

// restart is what a kill and a new process amount to.
func (e *env) restart() { e.Alerter = New(e.o) }

func (e *env) want(messages ...string) {
	e.t.Helper()
	if diff := cmp.Diff(append([]string{}, messages...), e.hook.told(e.t)); diff != "" {
		e.t.Errorf("at %s was told (-want +got):\n%s", e.clock().Format(time.TimeOnly), diff)
	}
}

func (e *env) run(state string) {
	now := e.clock()
	r := warehouse.Run{Kind: "load", Name: "main", State: state, StartedAt: now.Add(-3 * time.Second), FinishedAt: now}
	if state == warehouse.RunFailure {
		r.Error, r.Hint = "connect to main: connection refused", "start the server"
	}
	e.RunEnded(r)
}

func TestTheDocuments(t *testing.T) {
	e := newEnv(t)
	e.run(warehouse.RunFailure)
	e.Sources(map[string]time.Time{"production": start.Add(-26 * time.Hour)})
	e.Freshness([]warehouse.Freshness{{Source: "production", Warehouse: "main", PendingRows: 12, ReceivedThrough: start.UnixMicro(), LoadedThrough: start.Add(-time.Hour).UnixMicro()}})
	e.after(0)
	e.after(16 * time.Minute)
	e.Freshness([]warehouse.Freshness{{Source: "production", Warehouse: "main", PendingRows: 12, ReceivedThrough: start.UnixMicro(), LoadedThrough: start.Add(-time.Hour).UnixMicro()}})
	e.after(time.Minute)
	e.run(warehouse.RunSuccess)
	e.Sources(map[string]time.Time{"production": e.clock()})
	e.Freshness([]warehouse.Freshness{{Source: "production", Warehouse: "main", ReceivedThrough: start.UnixMicro(), LoadedThrough: start.UnixMicro()}})
	e.after(time.Minute)
	var got bytes.Buffer
	for _, body := range e.hook.bodies {
		if err := json.Indent(&got, []byte(body), "", "  "); err != nil {
			t.Fatal(err)
		}
		got.WriteString("\n")
	}
	path := filepath.Join("testdata", "messages.json")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s differs (-want +got); UPDATE=1 writes it:\n%s", path, diff)
	}
}

func TestOnceAndOnceAgainWhenWell(t *testing.T) {
	e := newEnv(t)
	e.run(warehouse.RunSuccess)
	e.run(warehouse.RunRunning)
	e.after(time.Hour)
	e.want()
	for range 5 {
		e.run(warehouse.RunFailure)
		e.run(warehouse.RunPartial)
		e.after(10 * time.Minute)
	}
	e.want("run_failed main firing")
	e.run(warehouse.RunSuccess)
	e.after(59 * time.Second)
	e.want()
	e.after(time.Second)
	e.want("run_failed main resolved")
	e.run(warehouse.RunSuccess)
	e.after(3 * time.Hour)
	e.want()
	if len(e.alerts) != 0 {
		t.Errorf("%d alerts are remembered that are over", len(e.alerts))
	}
	e.run(warehouse.RunPartial)
	e.after(0)
	e.want("run_failed main firing")
}

func TestFlapping(t *testing.T) {
	e := newEnv(t)
	e.o.StateFile = "" // hundreds of syncs are slow
	e.restart()
	for range 100 { // fails every other run
		e.run(warehouse.RunFailure)
		e.after(2 * time.Second)
		e.run(warehouse.RunSuccess)
		e.after(30 * time.Second)
	}
	e.want("run_failed main firing")
	e.after(time.Minute)
	e.want("run_failed main resolved")
	// Fails anew whenever it has been called well: each time it has to be well for longer.
	told := 0
	for range 12 * 60 {
		e.run(warehouse.RunFailure)
		e.after(time.Second)
		e.run(warehouse.RunSuccess)
		e.after(2 * time.Minute)
		told += len(e.hook.told(t))
	}
	if told > 4 {
		t.Errorf("%d messages in a day of a run that fails every two minutes", told)
	}
	e.after(longestHold)
	e.want("run_failed main resolved")
}

func TestRestarts(t *testing.T) {
	e := newEnv(t)
	e.run(warehouse.RunFailure)
	e.after(0)
	e.want("run_failed main firing")
	e.restart()
	e.after(time.Minute)
	e.run(warehouse.RunFailure)
	e.after(time.Minute)
	e.want()
	e.run(warehouse.RunSuccess)
	e.after(30 * time.Second)
	e.restart()
	e.after(30 * time.Second)
	e.want("run_failed main resolved")
	e.restart()
	e.after(time.Minute)
	e.want()

	// What was not delivered before the end is delivered after it.
	e.hook.set(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	e.run(warehouse.RunFailure)
	e.after(0)
	e.hook.set(nil)
	e.restart()
	e.after(0)
	e.want("run_failed main firing")
	info, err := os.Stat(e.o.StateFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state file has the mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(e.o.StateFile)
	if err != nil || bytes.Contains(text, []byte("s3cr3t")) {
		t.Errorf("the state file has the address: %s, %v", text, err)
	}
}

func TestSources(t *testing.T) {
	e := newEnv(t)
	e.o.QuietBy = map[string]time.Duration{"nightly": 72 * time.Hour, "test": 0}
	e.restart()
	last := map[string]time.Time{"production": start, "nightly": start, "test": start, "never": {}}
	e.Sources(last)
	e.after(24 * time.Hour)
	e.Sources(last)
	e.after(0)
	e.want()
	e.after(time.Second)
	e.Sources(last)
	e.after(0)
	e.want("source_quiet production firing")
	e.after(50 * time.Hour)
	e.Sources(last)
	e.after(0)
	e.want("source_quiet nightly firing")
	last["production"] = e.clock()
	e.Sources(last)
	e.after(time.Minute)
	e.want("source_quiet production resolved")
	last["nightly"] = time.Time{} // its events are older than what is kept
	e.Sources(last)
	e.after(time.Hour)
	e.want()
}

func TestFreshness(t *testing.T) {
	e := newEnv(t)
	e.o.LagBy = map[string]time.Duration{"hourly": 75 * time.Minute, "by hand": 0}
	e.restart()
	at := func(d time.Duration) int64 { return start.Add(d).UnixMicro() }
	row := func(name string, received, loaded int64) {
		e.Freshness([]warehouse.Freshness{{Source: "s", Warehouse: name, PendingRows: 1, ReceivedThrough: received, LoadedThrough: loaded}})
	}
	// After a silence of a day the first event is far from the last, and is loaded soon.
	row("main", at(0), at(-24*time.Hour))
	e.after(5 * time.Second)
	row("main", at(time.Second), at(0))
	e.after(14 * time.Minute)
	e.want()
	// One row that waits, though it was received right behind the last that is in.
	row("main", at(time.Second), at(0))
	e.after(2 * time.Minute)
	for _, w := range []string{"main", "hourly", "by hand"} {
		row(w, at(time.Second), at(0))
	}
	e.after(0)
	e.want("freshness main/s firing")
	e.after(74 * time.Minute)
	for _, w := range []string{"main", "hourly", "by hand"} {
		row(w, at(time.Second), at(0))
	}
	e.after(2 * time.Minute)
	row("hourly", at(time.Second), at(0))
	row("by hand", at(time.Second), at(0))
	e.after(0)
	e.want("freshness hourly/s firing")
	// A restart does not make it well, and a backlog that shrinks is not over before it is small.
	e.restart()
	row("main", at(time.Second), at(0))
	e.after(10 * time.Minute)
	row("main", at(80*time.Minute), at(20*time.Minute))
	e.after(10 * time.Minute)
	e.want()
	row("main", at(100*time.Minute), at(90*time.Minute))
	e.after(time.Minute)
	e.want("freshness main/s resolved")
	// Nothing was loaded ever.
	row("new", at(0), event.NoTime)
	e.after(16 * time.Minute)
	row("new", at(0), event.NoTime)
	e.after(0)
	e.want("freshness new/s firing")
	e.Freshness([]warehouse.Freshness{{Source: "s", Warehouse: "new", ReceivedThrough: at(0), LoadedThrough: at(0)}})
	e.after(time.Minute)
	e.want("freshness new/s resolved")
}

func TestForgetWhatNobodySpeaksOf(t *testing.T) {
	e := newEnv(t)
	e.run(warehouse.RunFailure)
	for range 50 {
		e.after(20 * 24 * time.Hour)
		e.run(warehouse.RunFailure)
		e.after(0)
		e.restart()
	}
	e.want("run_failed main firing")
	e.after(forgotten)
	e.after(0)
	if len(e.alerts) != 0 {
		t.Errorf("%d alerts of a warehouse that is gone", len(e.alerts))
	}
	e.want()
}

func TestNoWebhook(t *testing.T) {
	file := filepath.Join(t.TempDir(), "alerts.json")
	a := New(Options{StateFile: file})
	a.RunEnded(warehouse.Run{Kind: "load", Name: "main", State: warehouse.RunFailure})
	a.Sources(map[string]time.Time{"s": start})
	a.Freshness([]warehouse.Freshness{{PendingRows: 1}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil || len(a.alerts) != 0 || a.State().State != state.OK {
		t.Errorf("%v, %d alerts, %+v", err, len(a.alerts), a.State())
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state file: %v", err)
	}
}

func TestStateFileThatCannotBeRead(t *testing.T) {
	for name, text := range map[string]string{"cut short": `{"version":1,"alerts":[{`, "newer": `{"version":2}`, "null": `{"version":1,"alerts":[null]}`} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			if err := os.WriteFile(e.o.StateFile, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			e.restart()
			if !bytes.Contains(e.log.Bytes(), []byte("may be told again")) {
				t.Errorf("it is not logged: %s", e.log)
			}
			e.run(warehouse.RunFailure)
			e.after(0)
			e.want("run_failed main firing")
			e.restart()
			e.run(warehouse.RunFailure)
			e.after(0)
			e.want()
		})
	}
}

func TestSentencesAreHarmless(t *testing.T) {
	for text, want := range map[string]string{
		"a <!channel>\n\tb":      "a ‹!channel› b.",
		"ends.":                  "ends.",
		fmt.Sprintf("%0600d", 0): fmt.Sprintf("%0500d", 0) + "…",
		"broken \xff":            "broken \uFFFD.",
	} {
		if got := sentence(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// The documents that docs/alerts.md shows are ones that are sent.
func TestDocumentedMessages(t *testing.T) {
	sent, err := os.ReadFile(filepath.Join("testdata", "messages.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := bytes.Split(doc, []byte("```json\n"))[1:]
	if len(blocks) != 2 {
		t.Fatalf("%d documents, want one that fires and one that is resolved", len(blocks))
	}
	for _, b := range blocks {
		shown, _, _ := bytes.Cut(b, []byte("```"))
		if !bytes.Contains(sent, shown) {
			t.Errorf("no such message is sent:\n%s", shown)
		}
	}
}
