package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

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
	proxy := newProxy(socket, func() string { return "it is being started" })

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
