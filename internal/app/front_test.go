package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firth/internal/state"
)

func testFront(open bool) *front {
	name := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) })
	}
	return &front{tracking: name("tracking"), answer: name("answer"), metrics: name("metrics"), page: name("page"), open: open,
		ready: func(context.Context) (bool, []state.Component) {
			return false, []state.Component{{Name: "journal", State: state.Failed, Error: "disk full", Hint: "free some space"}}
		}}
}

func TestFrontRoutes(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/track": "tracking", "/t": "tracking", "/nowhere": "tracking", "/metrics": "metrics", "/": "page", "/api/sql": "answer",
		"/healthz": "{\"ok\":true}\n",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", path, nil)
		r.Host = "127.0.0.1:8080"
		testFront(true).ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestReadySaysWhatIsWrong(t *testing.T) {
	w := httptest.NewRecorder()
	testFront(true).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	want := `{"ready":false,"components":[{"name":"journal","state":"failed","error":"disk full","hint":"free some space"}]}` + "\n"
	if w.Code != 503 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOpenServerRefusesForeignNames(t *testing.T) {
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "localhost": 200, "[::1]:80": 200, "evil.example": 403, "localhost.evil.example:8080": 403, "": 403,
	} {
		for _, open := range []bool{true, false} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "/api/sql", nil)
			r.Host = host
			testFront(open).ServeHTTP(w, r)
			expect := want
			if !open {
				expect = 200
			}
			if w.Code != expect {
				t.Errorf("host %q, open %v: %d, want %d", host, open, w.Code, expect)
			}
		}
	}
}

func TestProxyOverALongSocketPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 20))
	if l, err := lockFolder(dir); err != nil {
		t.Fatal(err)
	} else {
		l.release()
	}
	socket := filepath.Join(dir, "firth.sock")
	l, err := listenSocket(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello "+r.URL.Path) })}
	go func() { _ = srv.Serve(l) }()
	proxy := newProxy(socket, func() string { return "it is being started" }, slog.New(slog.DiscardHandler))

	w := httptest.NewRecorder()
	proxy.ServeHTTP(w, httptest.NewRequest("GET", "/api/x", nil))
	if b, _ := io.ReadAll(w.Body); string(b) != "hello /api/x" {
		t.Errorf("through the socket: %q", b)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	w = httptest.NewRecorder()
	proxy.ServeHTTP(w, httptest.NewRequest("GET", "/api/x", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "it is being started") {
		t.Errorf("with nobody there: %d %s", w.Code, w.Body)
	}
}

// keepAlive is a front before a handler on a socket, and says how many connections callers made and what net/http complained of.
func keepAlive(t *testing.T, back http.Handler) (url string, connections *atomic.Int64, complaints *safeBuffer) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	if back != nil {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: back}
		t.Cleanup(func() { _ = srv.Close() }) // its listener may be gone
		go srv.Serve(listener)                //nolint:errcheck // it ends by Close
	}
	connections, complaints = new(atomic.Int64), new(safeBuffer)
	front := httptest.NewUnstartedServer(newProxy(socket, func() string { return "it is down" }, slog.New(slog.DiscardHandler)))
	front.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	front.Config.ErrorLog = log.New(complaints, "", 0)
	front.Start()
	t.Cleanup(front.Close)
	return front.URL, connections, complaints
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestConnectionsOutliveAnswersThatReadNoBody: a request is answered before anybody read its body when the answering half is down or
// refuses it by its header; the caller's connection serves the next request all the same.
func TestConnectionsOutliveAnswersThatReadNoBody(t *testing.T) {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	for name, c := range map[string]struct {
		back   http.Handler
		status int
	}{"down": {nil, 503}, "refuses": {refuse, 401}} {
		t.Run(name, func(t *testing.T) {
			url, connections, complaints := keepAlive(t, c.back)
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for i := range 300 {
				r, err := client.Post(url+"/api/sql", "application/json", strings.NewReader(strings.Repeat("x", i%3*100_000+10)))
				if err != nil {
					t.Fatalf("request %d: %v", i, err)
				}
				_, err = io.Copy(io.Discard, r.Body)
				if err := errors.Join(err, r.Body.Close()); err != nil || r.StatusCode != c.status {
					t.Fatalf("request %d: %d, %v", i, r.StatusCode, err)
				}
			}
			if n := connections.Load(); n != 1 || complaints.String() != "" {
				t.Errorf("%d connections for one caller; %s", n, complaints)
			}
		})
	}
}

// TestBodiesOfTheProxy: a body arrives whole whether or not its length is told, one that is too long is cut a byte after what is allowed.
func TestBodiesOfTheProxy(t *testing.T) {
	url, _, _ := keepAlive(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d of %d, %v", n, r.ContentLength, err)
	}))
	for sent, want := range map[int]string{
		0: "0 of 0, <nil>", 1: "1 of 1, <nil>", 1 << 20: "1048576 of 1048576, <nil>", 1<<20 + 1: "1048577 of 1048577, <nil>", 3 << 20: "1048577 of 1048577, <nil>",
	} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", sent))
			if chunked {
				body = io.MultiReader(body) // of unknown length
			}
			r, err := http.Post(url+"/api/sql", "application/json", body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r.Body)
			if err := errors.Join(err, r.Body.Close()); err != nil || string(got) != want {
				t.Errorf("%d bytes, chunked %v: %q, %v; want %q", sent, chunked, got, err, want)
			}
		}
	}
}

// TestBodyThatDoesNotArrive: a caller that is too slow is told so, by its path's kind of error.
func TestBodyThatDoesNotArrive(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if takeBody(w, r, 50*time.Millisecond) {
			t.Error("half a body was taken for a whole one")
		}
	}))
	defer srv.Close()
	for path, want := range map[string]string{
		"/api/sql": `"code":"timeout"`, "/iceberg/v1/oauth/tokens": `"type":"BadRequestException"`,
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf", path); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err := errors.Join(err, conn.Close()); err != nil || !strings.Contains(string(got), " 408 ") || !strings.Contains(string(got), want) {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
}

func TestServerLogTellsPanics(t *testing.T) {
	var out bytes.Buffer
	l := serverLog{slog.New(slog.NewTextHandler(&out, nil))}.logger()
	l.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	if out.Len() > 0 {
		t.Errorf("what callers do wrong is told: %s", &out)
	}
	l.Print("http: panic serving 127.0.0.1:1: oh\ngoroutine 1")
	if !strings.Contains(out.String(), "level=ERROR") || !strings.Contains(out.String(), "goroutine 1") {
		t.Errorf("of a panic it says %q", &out)
	}
}

// TestAnswerIsPassedAsItComes: its beginning does not wait for its end.
func TestAnswerIsPassedAsItComes(t *testing.T) {
	seen := make(chan struct{})
	url, _, _ := keepAlive(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "begun")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-seen
		fmt.Fprint(w, " and ended")
	}))
	r, err := http.Post(url+"/api/sql", "application/json", strings.NewReader(`{"sql":"SELECT 1"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	beginning := make([]byte, len("begun"))
	_, err = io.ReadFull(r.Body, beginning)
	close(seen)
	end, err2 := io.ReadAll(r.Body)
	if err := errors.Join(err, err2); err != nil || string(beginning)+string(end) != "begun and ended" {
		t.Errorf("%q, %q, %v", beginning, end, err)
	}
}
