package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"time"

	"firth/internal/state"
)

// front is what listens on `listen`: the tracking routes go to collect, health and metrics are answered here, and everything
// that reads goes through to the answering half. It is safe for use by many goroutines.
type front struct {
	tracking http.Handler
	answer   http.Handler // the answering half
	metrics  http.Handler
	page     http.Handler
	// ready says whether writes are accepted, and how each component is.
	ready func(context.Context) (bool, []state.Component)
	// open is set when there are no users: then only requests that name this machine are answered, so that a web page
	// elsewhere cannot read the data by pointing its own name at 127.0.0.1.
	open bool
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch p := r.URL.Path; {
	case p == "/healthz":
		writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
	case p == "/readyz":
		f.serveReady(w, r)
	case p == "/metrics":
		f.metrics.ServeHTTP(w, r)
	case p == "/" || strings.HasPrefix(p, "/api/") || forTables(p):
		if f.open && !namesThisMachine(r.Host) {
			if forTables(p) {
				refuseTables(w, http.StatusForbidden, "ForbiddenException", fmt.Sprintf("the server is open (no users), so it answers only to its own address, not to %q: "+
					"use http://127.0.0.1:PORT or http://localhost:PORT, or configure users", r.Host))
				return
			}
			writeError(w, http.StatusForbidden, "forbidden_host",
				fmt.Sprintf("the server is open (no users), so it answers only to its own address, not to %q", r.Host),
				"use http://127.0.0.1:PORT or http://localhost:PORT, or configure users")
			return
		}
		if p == "/" {
			f.page.ServeHTTP(w, r)
			return
		}
		f.answer.ServeHTTP(w, r)
	default:
		f.tracking.ServeHTTP(w, r)
	}
}

func (f *front) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	ready, components := f.ready(ctx)
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, struct {
		Ready      bool              `json:"ready"`
		Components []state.Component `json:"components"`
	}{ready, components})
}

// codeUnavailable is the code of an answer that the answering half did not give.
const codeUnavailable = "unavailable"

// frontMark is the header that tells the answering half that a request came through the front door, whoever sent it.
const frontMark = "X-Firth-Front"

// namesThisMachine says whether a Host header is an address or localhost: names that no foreign DNS can hand out.
func namesThisMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || host == "firth" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// newProxy passes requests through to the answering half on its socket. While that is down the answer is 503 in words.
func newProxy(socket string, why func() string, log *slog.Logger) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "firth"
			p.Out.Host = p.In.Host
			p.Out.Header.Set(frontMark, "1")
		},
		Transport:     socketTransport(socket),
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
			if forTables(r.URL.Path) {
				refuseTables(w, http.StatusServiceUnavailable, "ServiceUnavailableException", "the catalog is not available right now: "+why())
				return
			}
			w.Header().Set("Retry-After", "2")
			writeError(w, http.StatusServiceUnavailable, codeUnavailable, "SQL and pages are not available right now: "+why(),
				"collecting goes on; see /readyz, and try again in a few seconds")
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if takeBody(w, r, bodyTime) {
			proxy.ServeHTTP(w, r)
		}
	})
}

const (
	// bodyMost is one byte more than any route of the answering half takes, which then says in its own words that it is too much.
	bodyMost = 1<<20 + 1
	// bodyTime is how long a request's body may take to arrive.
	bodyTime = 30 * time.Second
	// bodyDrain is how much of what is too long is read away, so that the caller is done sending and sees the answer.
	bodyDrain = 4 << 20
)

// takeBody reads the request's body into memory, or answers why it cannot be read in time. The proxy must not read it from the connection:
// net/http closes it when an answer begins and cuts that if the transport was not at the end yet; and its full duplex loses the
// connection without a word, whenever a request is answered before its body was read (https://go.dev/src/net/http/server.go, where
// finishRequest closes a body after it has ended the background read).
func takeBody(w http.ResponseWriter, r *http.Request, within time.Duration) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(within)) // a writer without a connection has no slow callers
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyMost))
	if err != nil {
		status, code, what := http.StatusBadRequest, "bad_request", "the body did not arrive whole: "+err.Error()
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
			status, code, what = http.StatusRequestTimeout, "timeout", fmt.Sprintf("the body did not arrive whole within %s", within)
		}
		if forTables(r.URL.Path) {
			refuseTables(w, status, "BadRequestException", what)
		} else {
			writeError(w, status, code, what, "send it again")
		}
		return false
	}
	if len(body) == bodyMost {
		_, _ = io.CopyN(io.Discard, r.Body, bodyDrain) // the answer is the same whether or not the rest comes
	}
	_ = conn.SetReadDeadline(time.Time{})
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	// With GetBody the transport may send it again over another connection where none of it was written.
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	return true
}

// serverLog takes what net/http has to say: of a handler that panicked loudly, of callers that went away or spoke nonsense at debug.
type serverLog struct{ log *slog.Logger }

func (s serverLog) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.Contains(line, []byte("panic serving")) {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

func (s serverLog) logger() *log.Logger { return log.New(s, "", 0) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader may be gone: nothing is left to do then
}

func writeError(w http.ResponseWriter, status int, code, message, hint string) {
	writeJSON(w, status, map[string]any{"error": map[string]string{"code": code, "message": message, "hint": hint}})
}
