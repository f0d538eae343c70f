package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// controlled runs a control socket for the test; stop ends it and waits.
func controlled(t *testing.T, dir string, jobs map[string]lakeJob) (socket string, stop func()) {
	t.Helper()
	socket = filepath.Join(dir, "control.sock")
	c := newControl(socket, jobs, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	within(t, "the control socket", func() bool { _, err := os.Stat(socket); return err == nil })
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("control: %v", err)
		}
	}
	t.Cleanup(stop)
	return socket, stop
}

// counting is a job that takes steps as they are allowed and reports what it was asked for.
func counting(steps chan struct{}) lakeJob {
	return func(ctx context.Context, o lakeOrder, p func(progress)) (any, error) {
		p(progress{Stage: "begin"})
		for i := int64(1); i <= 3; i++ {
			select {
			case <-steps:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			p(progress{Stage: "step", Done: i, Total: 3, Unit: "files"})
		}
		return map[string]string{"source": o.Source}, nil
	}
}

func TestOrderIsCarriedOutWithProgress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 20)) // beyond what a Unix socket's address can hold
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	steps := make(chan struct{}, 3)
	steps <- struct{}{}
	steps <- struct{}{}
	steps <- struct{}{}
	socket, stop := controlled(t, dir, map[string]lakeJob{"merge": counting(steps)})
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	var stages []string
	report, err := sendOrder(t.Context(), socket, "merge", lakeOrder{Source: "production"}, func(p progress) { stages = append(stages, p.Stage) })
	if err != nil || string(report) != `{"source":"production"}` {
		t.Fatalf("report %s, error %v", report, err)
	}
	if len(stages) < 3 || stages[0] != "begin" || stages[len(stages)-1] != "step" {
		t.Errorf("stages: %v", stages)
	}
	stop()
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if _, err := sendOrder(t.Context(), socket, "merge", lakeOrder{}, func(progress) {}); !errors.Is(err, errNobody) {
		t.Errorf("with nobody there: %v", err)
	}
}

func TestCancelledOrderEndsTheJob(t *testing.T) {
	ended := make(chan error, 1)
	job := func(ctx context.Context, _ lakeOrder, p func(progress)) (any, error) {
		p(progress{Stage: "wait"})
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	socket, _ := controlled(t, t.TempDir(), map[string]lakeJob{"merge": job})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := sendOrder(ctx, socket, "merge", lakeOrder{}, func(progress) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the caller got %v", err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the job got %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the job goes on after its caller has gone")
	}
}

func TestSecondOrderOfAKindIsRefused(t *testing.T) {
	steps := make(chan struct{})
	socket, _ := controlled(t, t.TempDir(), map[string]lakeJob{"merge": counting(steps), "expire": counting(steps)})
	begun, first := make(chan struct{}, 10), make(chan error, 1)
	send := func(name string, out chan error) {
		_, err := sendOrder(t.Context(), socket, name, lakeOrder{}, func(progress) { begun <- struct{}{} })
		out <- err
	}
	go send("merge", first)
	<-begun
	_, err := sendOrder(t.Context(), socket, "merge", lakeOrder{}, func(progress) {})
	if err == nil || !strings.Contains(err.Error(), "another merge is under way") || hintOf(err) == "" {
		t.Errorf("the second merge: %v, hint %q", err, hintOf(err))
	}
	other := make(chan error, 1)
	go send("expire", other) // of another kind: both go on
	<-begun
	for range 6 {
		steps <- struct{}{}
	}
	if err := errors.Join(<-first, <-other); err != nil {
		t.Error(err)
	}
	go func() {
		for range 3 {
			steps <- struct{}{}
		}
	}()
	if _, err := sendOrder(t.Context(), socket, "merge", lakeOrder{}, func(progress) {}); err != nil {
		t.Errorf("the merge after it: %v", err)
	}
}

func TestStoppingServerEndsJobsInWords(t *testing.T) {
	begun := make(chan struct{}, 1)
	socket, stop := controlled(t, t.TempDir(), map[string]lakeJob{"merge": counting(nil)})
	out := make(chan error, 1)
	go func() {
		_, err := sendOrder(t.Context(), socket, "merge", lakeOrder{}, func(progress) { begun <- struct{}{} })
		out <- err
	}()
	<-begun
	stop()
	if err := <-out; err == nil || !strings.Contains(err.Error(), "the server stops") || !strings.Contains(hintOf(err), "run the command again") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
}

func TestServerThatGoesAwayInTheMiddle(t *testing.T) {
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := newJobWriter(w)
		out.progress(progress{Stage: "half"})
		panic(http.ErrAbortHandler) // the connection breaks, as when the process is killed
	})}
	socket := filepath.Join(t.TempDir(), "control.sock")
	l, err := listenSocket(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	var seen progress
	_, err = sendOrder(t.Context(), socket, "merge", lakeOrder{}, func(p progress) { seen = p })
	if !errors.Is(err, errBroken) || hintOf(err) == "" || seen.Stage != "half" {
		t.Errorf("%v, hint %q, after %+v", err, hintOf(err), seen)
	}
}

func TestOrdersThatCannotBeTaken(t *testing.T) {
	failing := func(context.Context, lakeOrder, func(progress)) (any, error) {
		return nil, hint(errors.New("no room"), "make some")
	}
	c := newControl("", map[string]lakeJob{"merge": failing}, slog.New(slog.DiscardHandler))
	for _, o := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/internal/lake/purge", "{}", 404, "knows no order"},
		{"GET", "/internal/lake/merge", "", 404, "knows no order"},
		{"POST", "/internal/lake/merge", "{", 400, "cannot be read"},
		{"POST", "/internal/lake/merge", "{}", 200, `{"error":{"message":"no room","hint":"make some"}}`},
	} {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequest(o.method, o.path, strings.NewReader(o.body)))
		if w.Code != o.status || !strings.Contains(w.Body.String(), o.says) {
			t.Errorf("%s %s %q: %d %s", o.method, o.path, o.body, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	newJobWriter(w).progress(progress{Stage: "merge", Done: 1})
	var line map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &line); err != nil || line["progress"] == nil {
		t.Errorf("%s: %v", w.Body, err)
	}
}
