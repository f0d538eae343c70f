package http_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"firth/internal/source"
	web "firth/internal/source/http"
	"firth/internal/source/sourcetest"
	"firth/internal/vector"
	"firth/test/server"
)

const secret = "s3cret-token"

// service is a web service that a team might have: people page by page, and by id.
type service struct {
	people []sourcetest.Person
	paged  bool
	cut    atomic.Int64 // bytes after which the next answer breaks off; 0: none does
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+secret {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodPost {
		s.get(w, r)
		return
	}
	const size = 700
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	from, to := page*size, min((page+1)*size, len(s.people))
	if !s.paged {
		from, to = 0, len(s.people)
	}
	var body bytes.Buffer
	if s.paged {
		fmt.Fprintf(&body, `{"total":%d,"people":[`, len(s.people))
	}
	for i, p := range s.people[min(from, to):to] {
		if s.paged && i > 0 {
			body.WriteByte(',')
		}
		writePerson(&body, p)
	}
	if s.paged {
		next := "null"
		if to < len(s.people) {
			next = fmt.Sprintf(`"?page=%d"`, page+1)
		}
		fmt.Fprintf(&body, `],"next":%s}`, next)
	}
	if n := s.cut.Swap(0); n > 0 && int(n) < body.Len() {
		w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
		_, _ = w.Write(body.Bytes()[:n])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body.Bytes())
}

func (s *service) get(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		IDs []int64 `json:"ids"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var body bytes.Buffer
	for _, id := range asked.IDs {
		for _, p := range s.people {
			if p.ID == id {
				writePerson(&body, p)
			}
		}
	}
	_, _ = w.Write(body.Bytes())
}

func writePerson(w *bytes.Buffer, p sourcetest.Person) {
	name, _ := json.Marshal(p.Name)
	fmt.Fprintf(w, `{"id":%d,"name":%s`, p.ID, name)
	if p.Age != 0 {
		fmt.Fprintf(w, `,"age":%d`, p.Age)
	}
	w.WriteString("}\n")
}

func TestSource(t *testing.T) {
	for name, paged := range map[string]bool{"lines": false, "pages": true} {
		t.Run(name, func(t *testing.T) {
			s := &service{paged: paged}
			server := httptest.NewServer(s)
			defer server.Close()
			open := func(t *testing.T, spec source.Spec) sourcetest.Source {
				t.Helper()
				spec.URL, spec.Header = server.URL+"/people", map[string]string{"Authorization": "Bearer " + secret}
				if paged {
					spec.Next = "next"
				}
				table, err := web.Open(t.Context(), "", spec, source.Options{Name: "people"})
				if err != nil {
					t.Fatal(err)
				}
				return table
			}
			sourcetest.Documents(t, sourcetest.Stand{
				Fill:    func(_ *testing.T, people []sourcetest.Person) { s.people = people },
				Open:    func(t *testing.T, spec source.Spec, _ bool) sourcetest.Source { return open(t, spec) },
				Cut:     func(_ *testing.T, n int64) { s.cut.Store(min(n, 20_000)) },
				OpenCut: open,
				Secret:  secret,
				Lacks:   []string{"snapshot"},
			})
		})
	}
}

func fetch(ctx context.Context, spec source.Spec, o source.Options) (n int, err error) {
	s, err := web.Open(ctx, "", spec, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	rows, err := s.Scan(ctx, source.Request{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		var b source.Batch
		if err := rows.Next(ctx, &b); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
		n += len(b.Docs)
	}
}

func TestRefused(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token went to another place")
		}
	}))
	defer elsewhere.Close()
	mux := http.NewServeMux()
	answer := func(path string, status int, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		})
	}
	answer("/401", http.StatusUnauthorized, "no token")
	answer("/404", http.StatusNotFound, "what is that?")
	answer("/429", http.StatusTooManyRequests, "slowly")
	answer("/503", http.StatusServiceUnavailable, "resting")
	answer("/prose", http.StatusOK, "all is well")
	answer("/circle", http.StatusOK, `{"data":[1],"next":"/circle"}`)
	answer("/leads-away", http.StatusOK, `{"data":[1],"next":"`+elsewhere.URL+`"}`)
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	here := httptest.NewServer(mux)
	defer here.Close()
	for _, tt := range []struct {
		path, says, hint string
		retry            bool
	}{
		{"/401", "no token", "headers", false},
		{"/404", "what is that?", "address", false},
		{"/429", "slowly", "rate", true},
		{"/503", "resting", "log of the service", true},
		{"/prose", "no JSON", "one JSON object a line", true},
		{"/circle", "circle", "", false},
		{"/leads-away", "another place", "headers", false},
		{"/redirect", "another place", "write the address", false},
	} {
		n, err := fetch(t.Context(), source.Spec{URL: here.URL + tt.path + "?key=" + secret, Next: "next", Header: map[string]string{"Authorization": secret}}, source.Options{})
		var e *source.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(e.Hint(), tt.hint) || e.Retry != tt.retry {
			t.Errorf("%s: %d rows, %v, %+v", tt.path, n, err, e)
		}
		if err != nil && strings.Contains(err.Error()+e.Hint(), secret) {
			t.Errorf("%s: the error tells the secret: %v", tt.path, err)
		}
	}
	for _, address := range []string{"", "ftp://x/y", "//x", "http://", ":"} {
		if _, err := web.Open(t.Context(), "", source.Spec{URL: address}, source.Options{}); err == nil {
			t.Errorf("the address %q is taken", address)
		}
	}
}

// TestTLS: a certificate of an unknown authority is refused, and taken when the authority is named.
func TestTLS(t *testing.T) {
	authority := server.NewAuthority(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[1,2]`) }))
	s.TLS = tlsConfig(t, authority)
	s.StartTLS()
	defer s.Close()
	if n, err := fetch(t.Context(), source.Spec{URL: s.URL}, source.Options{}); err == nil || source.CanRetry(err) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %d rows, %v", n, err)
	}
	if n, err := fetch(t.Context(), source.Spec{URL: s.URL}, source.Options{CA: authority.File}); err != nil || n != 2 {
		t.Errorf("a known authority: %d rows, %v", n, err)
	}
}

// TestCursor: the service is told where to begin, beside what its address asks for.
func TestCursor(t *testing.T) {
	asked := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query().Get("team") + " from " + r.URL.Query().Get(web.CursorParameter)
		_, _ = io.WriteString(w, `[{"at":5},{"at":6},{"at":7.5},{"x":1}]`)
	}))
	defer s.Close()
	table, err := web.Open(t.Context(), "", source.Spec{URL: s.URL + "?team=a", Cursor: "at"}, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := table.Scan(t.Context(), source.Request{From: vector.Value{Kind: vector.Int, Bits: 64, Num: 6}})
	if err != nil {
		t.Fatal(err)
	}
	var b source.Batch
	if err := errors.Join(rows.Next(t.Context(), &b), rows.Close(), table.Close()); err != nil || len(b.Docs) != 2 || asked != "a from 6" {
		t.Errorf("%d rows, %v; it was asked for %s", len(b.Docs), err, asked)
	}
}

func tlsConfig(t *testing.T, a *server.Authority) *tls.Config {
	t.Helper()
	return &tls.Config{Certificates: []tls.Certificate{a.Issue(t, "127.0.0.1")}, MinVersion: tls.VersionTLS12}
}
