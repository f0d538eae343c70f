// Package api answers the HTTP routes that read: POST /api/sql and the GET routes behind the pages. It
// also holds the client for them that the command line uses.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"firth/internal/query"
)

// User may read. A nil Schemas means every schema.
type User struct {
	Name, Password, Role string
	Schemas              []string
}

// Engine is what answers.
type Engine interface {
	Query(context.Context, query.User, query.Request) (*query.Result, error)
	Own(context.Context, query.Request) (*query.Result, error)
}

// Handler serves everything below /api/. It is safe for many goroutines.
type Handler struct {
	engine Engine
	users  []User
	mux    *http.ServeMux

	// Trust, where set, says which requests need no password: those that came by a way that only the
	// owner of the data folder has. They may read everything.
	Trust func(*http.Request) bool
	// Warehouses, where set, tells how the warehouses are.
	Warehouses func() []Warehouse
	// Mirrors, where set, tells how the mirrors are.
	Mirrors func() []Mirror
	// Log gets what went wrong in the middle of a reply; nil: slog.Default.
	Log *slog.Logger
}

// New returns the handler over an engine. Without users everyone may read everything.
func New(engine Engine, users []User) *Handler {
	h := &Handler{engine: engine, users: users, mux: http.NewServeMux()}
	h.mux.HandleFunc("POST /api/sql", h.serveSQL)
	h.mux.HandleFunc("GET /api/warehouses", h.serveWarehouses)
	h.mux.HandleFunc("GET /api/mirrors", h.serveMirrors)
	for _, l := range listings() {
		h.mux.HandleFunc("GET /api/"+l.name, func(w http.ResponseWriter, r *http.Request) { h.serveListing(w, r, l) })
	}
	return h
}

// ServeHTTP checks who asks, then answers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if foreign(r) {
		h.fail(w, &query.Error{Code: query.CodeForbidden, Status: http.StatusForbidden,
			Message: "a page of another origin may not ask", Hint: "ask from a program, or from Firth's own pages"})
		return
	}
	user, ok := h.user(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="firth", charset="UTF-8"`)
		h.fail(w, &query.Error{Code: "unauthorized", Status: http.StatusUnauthorized,
			Message: "name and password are missing or wrong", Hint: "use HTTP Basic with a user of users: in firth.yaml"})
		return
	}
	if _, pattern := h.mux.Handler(r); pattern == "" {
		h.unknown(w, r)
		return
	}
	h.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
}

// userKey finds the user in a request's context.
type userKey struct{}

func userOf(r *http.Request) query.User {
	user, _ := r.Context().Value(userKey{}).(query.User)
	return user
}

// unknown answers a path or a method that is not served.
func (h *Handler) unknown(w http.ResponseWriter, r *http.Request) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := h.mux.Handler(other); pattern != "" {
			w.Header().Set("Allow", method)
			h.fail(w, &query.Error{Code: "bad_request", Status: http.StatusMethodNotAllowed, Message: fmt.Sprintf("%s takes %s", r.URL.Path, method)})
			return
		}
	}
	h.fail(w, &query.Error{Code: "not_found", Status: http.StatusNotFound, Message: fmt.Sprintf("there is no %s", r.URL.Path),
		Hint: "POST /api/sql; GET /api/sources, schemas, tables, warehouses, mirrors, runs, files, freshness"})
}

// foreign says whether a browser sends the request for a page of another origin.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host != r.Host
}

// fail answers with an error before anything else was sent.
func (h *Handler) fail(w http.ResponseWriter, e *query.Error) {
	w.Header().Del("Trailer")
	w.Header().Set("Content-Type", query.FormatJSON.MediaType())
	if e.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(e.Status)
	body, err := json.Marshal(map[string]json.RawMessage{"error": query.ErrorJSON(e)})
	if err == nil {
		_, err = w.Write(append(body, '\n'))
	}
	if err != nil && !errors.Is(err, http.ErrHandlerTimeout) {
		h.log().Debug("could not send an error", "error", err)
	}
}

func (h *Handler) log() *slog.Logger {
	if h.Log != nil {
		return h.Log
	}
	return slog.Default()
}
