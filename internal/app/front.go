package app

import (
	"context"
	"encoding/json"
	"fmt"
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
func newProxy(socket string, why func() string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "firth"
			p.Out.Host = p.In.Host
			p.Out.Header.Set(frontMark, "1")
		},
		Transport:     socketTransport(socket),
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
			if forTables(r.URL.Path) {
				refuseTables(w, http.StatusServiceUnavailable, "ServiceUnavailableException", "the catalog is not available right now: "+why())
				return
			}
			w.Header().Set("Retry-After", "2")
			writeError(w, http.StatusServiceUnavailable, "unavailable", "SQL and pages are not available right now: "+why(),
				"collecting goes on; see /readyz, and try again in a few seconds")
		},
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader may be gone: nothing is left to do then
}

func writeError(w http.ResponseWriter, status int, code, message, hint string) {
	writeJSON(w, status, map[string]any{"error": map[string]string{"code": code, "message": message, "hint": hint}})
}
