package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"firth/internal/query"
)

var (
	//go:embed sql/sources.sql
	sourcesSQL string
	//go:embed sql/schemas.sql
	schemasSQL string
	//go:embed sql/tables.sql
	tablesSQL string
	//go:embed sql/runs.sql
	runsSQL string
	//go:embed sql/files.sql
	filesSQL string
	//go:embed sql/freshness.sql
	freshnessSQL string
)

// listing is a GET route: the rows of a statement as {"<name>": [{...}]}. The statement's $1 is the
// schemas that the user may see; the parameters named here follow.
type listing struct {
	name, sql string
	params    []string // of the URL, texts; "limit" is a number
}

func listings() []listing {
	return []listing{
		{"sources", sourcesSQL, nil},
		{"schemas", schemasSQL, nil},
		{"tables", tablesSQL, []string{"schema"}},
		{"runs", runsSQL, []string{"name", "state", "limit"}},
		{"files", filesSQL, []string{"source", "limit"}},
		{"freshness", freshnessSQL, nil},
	}
}

// Rows that a listing returns: unless asked otherwise, and at most.
const (
	defaultLimit = 100
	maxLimit     = 10_000
)

func (h *Handler) serveListing(w http.ResponseWriter, r *http.Request, l listing) {
	params, err := l.read(r)
	if err != nil {
		h.fail(w, query.AsError(err))
		return
	}
	body, err := h.list(r, l, params)
	if err != nil {
		h.fail(w, query.AsError(err))
		return
	}
	w.Header().Set("Content-Type", query.FormatJSON.MediaType())
	if _, err := w.Write(body); err != nil {
		h.log().Debug("could not send a list", "error", err)
	}
}

// list runs the statement; a list is small, so it is complete before it is sent.
func (h *Handler) list(r *http.Request, l listing, params []any) ([]byte, error) {
	res, err := h.engine.Own(r.Context(), query.Request{SQL: l.sql, Params: params})
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "{%q:", l.name)
	if err := query.WriteList(&body, res); err != nil {
		_ = res.Close() // the reason is known already
		return nil, err
	}
	body.WriteString("}\n")
	return body.Bytes(), res.Close()
}

// read makes the statement's parameters.
func (l listing) read(r *http.Request) ([]any, error) {
	schemas, err := visible(userOf(r))
	if err != nil {
		return nil, err
	}
	out := []any{schemas}
	q := r.URL.Query()
	for _, name := range l.params {
		value := q.Get(name)
		switch {
		case name == "limit":
			n, err := strconv.ParseInt(value, 10, 64)
			if value == "" {
				n, err = defaultLimit, nil
			}
			if err != nil || n < 1 || n > maxLimit {
				return nil, &query.Error{Code: query.CodeBadParam, Status: http.StatusBadRequest, Message: fmt.Sprintf("limit=%s is not a number from 1 to %d", value, maxLimit)}
			}
			out = append(out, n)
		case value == "":
			out = append(out, nil)
		default:
			out = append(out, value)
		}
	}
	return out, nil
}

// visible is the list of schemas, as SchemaKey writes them, that the statements compare with.
func visible(user query.User) (any, error) {
	if user.Schemas == nil {
		return nil, nil
	}
	names := []string{}
	for _, s := range user.Schemas {
		names = append(names, query.SchemaKey(s))
	}
	text, err := json.Marshal(names)
	return string(text), err
}
