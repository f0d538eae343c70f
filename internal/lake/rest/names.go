package rest

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"firth/internal/lake/catalog"
)

// events is the namespace of raw events, whose tables are the sources: a user's schemas choose among them.
const events = "lake"

// may says whether a user sees a schema.
func (u User) may(schema string) bool { return u.May == nil || u.May(schema) }

// sees says whether a user sees a table.
func (u User) sees(namespace, table string) bool {
	switch {
	case strings.HasPrefix(table, hidden), strings.HasPrefix(namespace, hidden):
		return false
	case namespace == events:
		return u.may(table)
	default:
		return u.may(namespace)
	}
}

// namespaces are those that a user sees, sorted, with dots between levels. Every level above one is there too.
func (h *Handler) namespaces(ctx context.Context, user User) ([]string, error) {
	all, err := h.o.Catalog.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, name := range all {
		if strings.HasPrefix(name, hidden) || name != events && !user.may(name) {
			continue
		}
		for ; name != ""; name = parentOf(name) {
			seen[name] = true
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// parentOf is the level above a namespace; that of the first level is empty.
func parentOf(name string) string {
	i := strings.LastIndexByte(name, '.')
	return name[:max(i, 0)]
}

// tables are the names that a user sees in a namespace, sorted.
func (h *Handler) tables(ctx context.Context, user User, s *catalog.Catalog) ([]string, error) {
	all, err := s.Tables(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if user.sees(s.Namespace(), name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// page cuts a sorted list for a client that asks for pages, which it does by giving a token, empty at first; any other gets all. The
// token is the last name of the page before, so names that come and go in between shift nothing.
func (h *Handler) page(q url.Values, names []string) (list []string, next *string, err error) {
	if !q.Has("pageToken") {
		return names, nil, nil
	}
	size := h.o.Page
	if text := q.Get("pageSize"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, nil, fault(http.StatusBadRequest, "BadRequestException", "pageSize is a number from 1 on, not %q", text)
		}
		size = min(n, size)
	}
	if token := q.Get("pageToken"); token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, nil, fault(http.StatusBadRequest, "BadRequestException", "pageToken is none that this catalog gave")
		}
		at, found := slices.BinarySearch(names, string(last))
		if found {
			at++
		}
		names = names[at:]
	}
	if len(names) <= size {
		return names, nil, nil
	}
	names = names[:size]
	token := base64.RawURLEncoding.EncodeToString([]byte(names[size-1]))
	return names, &token, nil
}

func (h *Handler) serveNamespaces(w http.ResponseWriter, r *request) error {
	all, err := h.namespaces(r.Context(), r.user)
	if err != nil {
		return err
	}
	parent := strings.Join(levels(r.URL.Query().Get("parent")), ".")
	if parent != "" && !slices.Contains(all, parent) {
		return noNamespace(r.user, parent)
	}
	names := slices.DeleteFunc(all, func(name string) bool { return parentOf(name) != parent })
	names, next, err := h.page(r.URL.Query(), names)
	if err != nil {
		return err
	}
	list := make([][]string, 0, len(names))
	for _, name := range names {
		list = append(list, strings.Split(name, "."))
	}
	return reply(w, struct {
		Next *string    `json:"next-page-token"`
		List [][]string `json:"namespaces"`
	}{next, list})
}

func (h *Handler) serveNamespace(w http.ResponseWriter, r *request) error {
	s, err := h.space(r.Context(), r.user, r.parts[1])
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return reply(w, struct {
		Name       []string          `json:"namespace"`
		Properties map[string]string `json:"properties"`
	}{strings.Split(s.Namespace(), "."), map[string]string{}})
}

// identifier names a table.
type identifier struct {
	Namespace []string `json:"namespace"`
	Name      string   `json:"name"`
}

// identifiers is a page of names.
type identifiers struct {
	Next *string      `json:"next-page-token"`
	List []identifier `json:"identifiers"`
}

func (h *Handler) serveTables(w http.ResponseWriter, r *request) error {
	s, err := h.space(r.Context(), r.user, r.parts[1])
	if err != nil {
		return err
	}
	names, err := h.tables(r.Context(), r.user, s)
	if err != nil {
		return err
	}
	names, next, err := h.page(r.URL.Query(), names)
	if err != nil {
		return err
	}
	out := identifiers{Next: next, List: make([]identifier, 0, len(names))}
	for _, name := range names {
		out.List = append(out.List, identifier{strings.Split(s.Namespace(), "."), name})
	}
	return reply(w, out)
}

// serveViews lists none, for clients that ask all the same.
func (h *Handler) serveViews(w http.ResponseWriter, r *request) error {
	if _, err := h.space(r.Context(), r.user, r.parts[1]); err != nil {
		return err
	}
	return reply(w, identifiers{List: []identifier{}})
}

// errNoTable turns the catalog's word into the specification's.
func errNoTable(err error, user User, namespace, table string) error {
	if errors.Is(err, catalog.ErrNoTable) {
		return noTable(user, namespace, table)
	}
	return err
}

func noTable(user User, namespace, table string) *Error {
	return fault(http.StatusNotFound, "NoSuchTableException", "there is no table %s%s", dotted(namespace, table), user.bounds())
}
