// Package rest serves the tables of a catalog to other engines by the reads of the Iceberg REST catalog: Spark, Trino, DuckDB and PyIceberg
// attach by a URL and a token. Nothing can be changed through it; every write is refused in words.
//
// The source of the routes, bodies and errors is the specification "Apache Iceberg REST Catalog API" (rest-catalog-open-api.yaml).
package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"firth/internal/lake/catalog"
)

// Root is the path below which a [Handler] serves.
const Root = "/iceberg"

// Prefix stands between the version and the rest of a path, as the configuration tells clients; paths without it mean the same.
const Prefix = "firth"

// hidden begins the names of tables and namespaces that Firth keeps for itself.
const hidden = "_firth"

// User may read.
type User struct {
	Name, Password string
	// Token, where set, is a bearer token that is good for as long as it stands in the configuration.
	Token string
	// May says which schemas the user sees; nil: all.
	May func(schema string) bool
}

// Store is what a reader must know of the object store that the tables lie in. The zero value is for tables on local disk.
type Store struct {
	Endpoint  string // http://host:port; empty: that of the region
	Region    string
	PathStyle bool

	// Keys that can read and nothing else, handed out to every reader; empty: readers bring their own.
	AccessKey, SecretKey, SessionToken string
}

// Options say what is served, and to whom.
type Options struct {
	Catalog *catalog.Catalog // of any namespace; it may be for reading
	Users   []User           // none: everyone sees everything
	Store   Store
	// Key signs the tokens that are handed out for a name and a password. Whoever knows it can make one.
	Key []byte

	Page int // names in an answer to a client that asks for pages; 0: 1000
	Now  func() time.Time
	Rand io.Reader // nil: the system's
	Log  *slog.Logger
}

// Handler serves everything below [Root]. It is safe for many goroutines.
type Handler struct {
	o Options

	mu     sync.Mutex
	spaces map[string]*catalog.Catalog // by namespace, as the catalog writes it
}

// New returns the handler over a catalog, which stays the caller's.
func New(o Options) *Handler {
	if o.Page <= 0 {
		o.Page = 1000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{o: o, spaces: map[string]*catalog.Catalog{}}
}

// request is one request, with its path taken apart.
type request struct {
	*http.Request
	user  User
	parts []string // of the path behind the version, unescaped
}

// ServeHTTP checks who asks, then answers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	parts, err := split(r.URL)
	if err != nil {
		h.fail(w, r, fault(http.StatusBadRequest, "BadRequestException", "the path cannot be read: %v", err))
		return
	}
	if slices.Equal(parts, []string{"oauth", "tokens"}) {
		h.serveToken(w, r)
		return
	}
	user, ok := h.user(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="firth"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="firth", charset="UTF-8"`)
		h.fail(w, r, fault(http.StatusUnauthorized, "NotAuthorizedException",
			"the token is missing, wrong or out of date: give the token of a user of users: in firth.yaml, or a name and a password (as credential NAME:PASSWORD, or by HTTP Basic)"))
		return
	}
	if err := h.answer(w, &request{r, user, parts}); err != nil {
		h.fail(w, r, err)
	}
}

// split takes the path apart at the slashes that were not escaped; levels of a namespace are parted by the character 0x1F within a part.
func split(u *url.URL) ([]string, error) {
	path, ok := strings.CutPrefix(u.EscapedPath(), Root+"/v1/")
	if !ok {
		return nil, nil
	}
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		if part == "" {
			continue // a client whose URI ends with a slash
		}
		plain, err := url.PathUnescape(part)
		if err != nil {
			return nil, err
		}
		parts = append(parts, plain)
	}
	if len(parts) > 1 && parts[0] == Prefix {
		parts = parts[1:]
	}
	return parts, nil
}

// levels are what a path or a parameter calls a namespace.
func levels(s string) []string { return strings.Split(s, "\x1f") }

// reads are the routes that are served, as the configuration lists them: a client that sees the list asks for nothing else.
var reads = []string{ //nolint:gochecknoglobals // a constant list
	"GET /v1/{prefix}/namespaces",
	"GET /v1/{prefix}/namespaces/{namespace}",
	"HEAD /v1/{prefix}/namespaces/{namespace}",
	"GET /v1/{prefix}/namespaces/{namespace}/tables",
	"GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
	"HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
}

func (h *Handler) answer(w http.ResponseWriter, r *request) error {
	p, n := r.parts, len(r.parts)
	if n == 1 && p[0] == "config" {
		return h.read(w, r, h.serveConfig)
	}
	if n == 0 || p[0] != "namespaces" {
		return h.other(r)
	}
	switch {
	case n == 1:
		return h.read(w, r, h.serveNamespaces)
	case n == 2:
		return h.read(w, r, h.serveNamespace)
	case n == 3 && p[2] == "tables":
		return h.read(w, r, h.serveTables)
	case n == 4 && p[2] == "tables":
		return h.read(w, r, h.serveTable)
	case n == 5 && p[2] == "tables" && p[4] == "metrics" && r.Method == http.MethodPost:
		w.WriteHeader(http.StatusNoContent) // what a client tells of its scan
		return nil
	case n == 3 && p[2] == "views":
		return h.read(w, r, h.serveViews)
	case n == 4 && p[2] == "views" && readOnly(r.Method):
		return fault(http.StatusNotFound, "NoSuchViewException", "there is no view %s: Firth has tables alone", dotted(p[1], p[3]))
	}
	return h.other(r)
}

func readOnly(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// read answers a path that can be read and no more.
func (h *Handler) read(w http.ResponseWriter, r *request, serve func(http.ResponseWriter, *request) error) error {
	if !readOnly(r.Method) {
		return h.other(r)
	}
	return serve(w, r)
}

// other answers what is not read: a write, or a path that means nothing.
func (h *Handler) other(r *request) error {
	switch {
	case readOnly(r.Method) && strings.TrimSuffix(r.URL.Path, "/") == Root:
		return fault(http.StatusNotFound, "NoSuchPathException", "this is the address that engines take; they add /v1/config and so on by themselves")
	case readOnly(r.Method):
		return fault(http.StatusNotFound, "NoSuchPathException", "there is no %s: the catalog is at %s, and the client adds /v1/config and so on by itself", r.URL.Path, Root)
	case r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodDelete || r.Method == http.MethodPatch:
		// A client that is told 403 knows that nothing was committed, and removes what it wrote, where it can.
		return fault(http.StatusForbidden, "ForbiddenException",
			"the catalog is read-only: Firth alone writes its tables, and %s %s changed nothing. Send events to the tracking API, or write to a catalog of your own", r.Method, r.URL.Path)
	}
	e := fault(http.StatusMethodNotAllowed, "MethodNotAllowedException", "%s takes GET and HEAD, not %s", r.URL.Path, r.Method)
	e.allow = "GET, HEAD"
	return e
}

func (h *Handler) serveConfig(w http.ResponseWriter, _ *request) error {
	return reply(w, struct {
		Defaults  map[string]string `json:"defaults"`
		Overrides map[string]string `json:"overrides"`
		Endpoints []string          `json:"endpoints"`
	}{map[string]string{}, map[string]string{"prefix": Prefix}, reads})
}

// space is the catalog of a namespace that is there and that the user may see.
func (h *Handler) space(ctx context.Context, user User, name string) (*catalog.Catalog, error) {
	names, err := h.namespaces(ctx, user)
	if err != nil {
		return nil, err
	}
	plain := strings.Join(levels(name), ".")
	if !slices.Contains(names, plain) {
		return nil, noNamespace(user, plain)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, ok := h.spaces[plain]; ok {
		return s, nil
	}
	s, err := h.o.Catalog.Space(ctx, plain, h.o.Catalog.IO(), 0)
	if err != nil {
		return nil, err
	}
	h.spaces[plain] = s
	return s, nil
}

// bounds says whose look it is that something is not there for. What a user may not read does not exist for him.
func (u User) bounds() string {
	if u.May == nil {
		return ""
	}
	return " that " + u.Name + " may read"
}

func noNamespace(user User, name string) *Error {
	return fault(http.StatusNotFound, "NoSuchNamespaceException", "there is no namespace %s%s", name, user.bounds())
}

func dotted(namespace, name string) string {
	return fmt.Sprintf("%s.%s", strings.Join(levels(namespace), "."), name)
}

// broken turns what went wrong below into an answer; the reason is for the log, since it may tell paths of the server.
func (h *Handler) broken(r *http.Request, err error) *Error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault(http.StatusServiceUnavailable, "ServiceUnavailableException", "the request was given up")
	}
	h.o.Log.Error("the catalog could not be read for another engine", "path", r.URL.Path, "error", err)
	if errors.Is(err, catalog.ErrDamaged) {
		return fault(http.StatusInternalServerError, "InternalServerError", "a file of the table is damaged; firth lake verify names it")
	}
	return fault(http.StatusServiceUnavailable, "ServiceUnavailableException", "the catalog could not be read; the server's log says why, and reading again may help")
}
