package rest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/disk"
	"firth/internal/lake/catalog"
)

var update = flag.Bool("update", false, "rewrite the expected answers of testdata/*.txt")

var testTime = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// stand is a catalog with some namespaces and tables.
type stand struct {
	t       *testing.T
	dir     string
	catalog *catalog.Catalog
	now     time.Time
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{t: t, dir: t.TempDir(), now: testTime}
	files, err := catalog.NewFileIO(disk.OS{}, filepath.Join(s.dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	s.catalog, err = catalog.Open(t.Context(), catalog.Options{
		Path: filepath.Join(s.dir, "catalog.db"), Name: "firth", Namespace: "lake", IO: files, Now: func() time.Time { return s.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.catalog.Close(); err != nil {
			t.Error(err)
		}
	})
	s.create(s.catalog, "none", "production", "staging", "firth_dead_letters")
	for _, namespace := range []string{"app", "crm.eu", "crm.us", "_firth", "größer & 1"} {
		below, err := files.Below("_tables")
		if err != nil {
			t.Fatal(err)
		}
		if below, err = below.Below(namespace); err != nil {
			t.Fatal(err)
		}
		space, err := s.catalog.Space(t.Context(), namespace, below, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.create(space, "gzip", "people", "Büro 2", "_firth_positions")
	}
	return s
}

func (s *stand) create(c *catalog.Catalog, codec string, names ...string) {
	s.t.Helper()
	for _, name := range names {
		_, err := c.Create(s.t.Context(), name, catalog.Spec{
			Schema:     iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "id", Type: iceberg.PrimitiveTypes.Int64, Required: true}),
			Partitions: *iceberg.UnpartitionedSpec, Order: table.UnsortedSortOrder,
			Properties: iceberg.Properties{table.MetadataCompressionKey: codec},
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *stand) handler(change func(*Options)) *Handler {
	o := Options{
		Catalog: s.catalog, Key: bytes.Repeat([]byte("k"), KeyLen), Now: func() time.Time { return s.now },
		Rand: bytes.NewReader(bytes.Repeat([]byte{7}, 1000)),
	}
	if change != nil {
		change(&o)
	}
	return New(o)
}

func users(o *Options) {
	o.Users = []User{
		{Name: "ana", Password: "secret-a", Token: "token-of-ana"},
		{Name: "bob", Password: "secret-b", May: func(s string) bool { return s == "production" || s == "app" }},
	}
}

// ask makes a request as a client would write it.
func ask(h http.Handler, method, path, auth, body string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func basic(name, password string) string {
	r, _ := http.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

var (
	uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	tags  = regexp.MustCompile(`(?m)^Etag: .*$`)
)

// transcript is what went over the wire, without what differs from run to run.
func (s *stand) transcript(b *strings.Builder, h http.Handler, method, path, auth, body string, header ...string) {
	s.t.Helper()
	fmt.Fprintf(b, "> %s %s\n", method, path)
	if auth != "" {
		fmt.Fprintf(b, "> Authorization: %s\n", auth)
	}
	if body != "" {
		fmt.Fprintf(b, "> %s\n", body)
	}
	r := ask(h, method, path, auth, body, header...)
	text, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(b, "%s\n", r.Status)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if !slices.Contains([]string{"Cache-Control", "X-Content-Type-Options", "Content-Type"}, name) {
			fmt.Fprintf(b, "%s: %s\n", http.CanonicalHeaderKey(name), strings.Join(r.Header[name], "; "))
		}
	}
	if len(text) > 0 {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, text, "", " "); err != nil {
			s.t.Errorf("%s %s: no JSON: %q", method, path, text)
		}
		b.WriteString(strings.TrimSpace(pretty.String()) + "\n")
	}
	b.WriteString("\n")
}

func (s *stand) golden(name, got string) {
	s.t.Helper()
	got = strings.ReplaceAll(got, s.dir, "/DATA")
	got = uuids.ReplaceAllString(got, "UUID")
	got = tags.ReplaceAllString(got, "ETag: TAG")
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if got != string(want) {
		s.t.Errorf("%s differs; run the test with -update and look at the difference\n%s", path, got)
	}
}

func TestReads(t *testing.T) {
	s := newStand(t)
	h := s.handler(func(o *Options) { o.Page = 2 })
	var b strings.Builder
	for _, path := range []string{
		"/v1/config", "/v1/config?warehouse=firth",
		"/v1/namespaces", "/v1/firth/namespaces?parent=&pageToken=", "/v1/firth/namespaces?pageToken=&pageSize=1000", "/v1/firth/namespaces?pageToken=YXBw",
		"/v1/namespaces?parent=crm", "/v1/namespaces?parent=crm%1Feu", "/v1/namespaces?parent=nobody",
		"/v1/namespaces/lake", "/v1/namespaces/crm%1Feu", "/v1/namespaces/crm", "/v1/namespaces/_firth", "/v1/namespaces/nobody",
		"/v1/namespaces/lake/tables", "/v1/namespaces/lake/tables?pageToken=", "/v1/namespaces/lake/tables?pageToken=cHJvZHVjdGlvbg", "/v1/namespaces/lake/tables?pageToken=&pageSize=1",
		"/v1/namespaces/lake/tables?pageToken=&pageSize=x", "/v1/namespaces/lake/tables?pageToken=%21", "/v1/namespaces/crm/tables",
		"/v1/firth/namespaces/gr%C3%B6%C3%9Fer%20%26%201/tables", "/v1/namespaces/nobody/tables",
		"/v1/namespaces/lake/tables/production", "/v1/namespaces/lake/tables/production?snapshots=some", "/v1/namespaces/lake/tables/nobody",
		"/v1/firth/namespaces/crm%1Feu/tables/B%C3%BCro%202?snapshots=refs", "/v1/namespaces/app/tables/_firth_positions", "/v1/namespaces/_firth/tables/people",
		"/v1/namespaces/lake/views", "/v1/namespaces/lake/views/any", "/v1/nothing", "/v2/config", "",
	} {
		s.transcript(&b, h, http.MethodGet, Root+path, "", "")
	}
	for _, path := range []string{"/v1/namespaces/lake", "/v1/namespaces/nobody", "/v1/namespaces/lake/tables/production", "/v1/namespaces/lake/tables/nobody"} {
		s.transcript(&b, h, http.MethodHead, Root+path, "", "")
	}
	s.golden("reads.txt", b.String())
}

// Every route of the specification that writes is refused with 403, which tells a client that nothing was committed.
func TestWritesAreRefused(t *testing.T) {
	s := newStand(t)
	h := s.handler(nil)
	before := tableRows(t, s)
	var b strings.Builder
	for _, r := range []string{
		"POST /v1/firth/namespaces", "DELETE /v1/firth/namespaces/lake", "POST /v1/firth/namespaces/lake/properties", "POST /v1/firth/namespaces/lake/tables",
		"POST /v1/firth/namespaces/lake/register", "POST /v1/firth/namespaces/lake/tables/production", "DELETE /v1/firth/namespaces/lake/tables/production?purgeRequested=true",
		"POST /v1/firth/tables/rename", "POST /v1/firth/transactions/commit", "POST /v1/firth/namespaces/lake/views", "POST /v1/namespaces/lake/tables/production",
		"PUT /v1/namespaces/lake", "TRACE /v1/namespaces/lake", "POST /v1/config", "POST /v1/namespaces/lake/tables/production/metrics", "POST /", "GET /v1/oauth/tokens",
	} {
		method, path, _ := strings.Cut(r, " ")
		s.transcript(&b, h, method, Root+path, "", "{}")
	}
	s.golden("writes.txt", b.String())
	if after := tableRows(t, s); !maps.Equal(before, after) {
		t.Errorf("the tables changed: %v, %v", before, after)
	}
}

func tableRows(t *testing.T, s *stand) map[string]string {
	t.Helper()
	rows, err := s.catalog.Tables(t.Context())
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d tables: %v", len(rows), err)
	}
	return rows
}

func TestUsers(t *testing.T) {
	s := newStand(t)
	h := s.handler(users)
	var b strings.Builder
	for _, auth := range []string{"", "Bearer None", "Bearer ", "Bearer token-of-an", "Bearer secret-a", basic("ana", "wrong"), basic("", ""), "Bearer firth.AAAA", basic("ana", "secret-a"), "bearer token-of-ana"} {
		s.transcript(&b, h, http.MethodGet, Root+"/v1/namespaces/lake/tables", auth, "")
	}
	bob := basic("bob", "secret-b")
	for _, path := range []string{
		"/v1/config", "/v1/namespaces", "/v1/namespaces/lake/tables", "/v1/namespaces/app/tables", "/v1/namespaces/crm", "/v1/namespaces/crm%1Feu", "/v1/namespaces/crm%1Feu/tables/people",
		"/v1/namespaces/lake/tables/staging", "/v1/namespaces/lake/tables/never_there", "/v1/namespaces/lake/tables/firth_dead_letters", "/v1/namespaces/lake/views",
	} {
		s.transcript(&b, h, http.MethodGet, Root+path, bob, "")
	}
	s.transcript(&b, h, http.MethodHead, Root+"/v1/namespaces/lake/tables/staging", bob, "")
	s.transcript(&b, h, http.MethodPost, Root+"/v1/namespaces/lake/tables/production", bob, "{}")
	s.golden("users.txt", b.String())
}

func form(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q.Encode()
}

func TestTokens(t *testing.T) {
	s := newStand(t)
	h := s.handler(users)
	const path = Root + "/v1/oauth/tokens"
	var b strings.Builder
	good := form("grant_type", "client_credentials", "client_id", "bob", "client_secret", "secret-b", "scope", "catalog")
	s.transcript(&b, h, http.MethodPost, path, "", good)
	s.transcript(&b, h, http.MethodPost, Root+"/v1/firth/oauth/tokens", basic("ana", "secret-a"), form("grant_type", "client_credentials"))
	for _, bad := range []string{
		form("grant_type", "client_credentials", "client_id", "bob", "client_secret", "secret-a"), form("grant_type", "client_credentials"),
		form("grant_type", "password", "username", "bob"), "grant_type=%zz", form("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", "x"),
	} {
		s.transcript(&b, h, http.MethodPost, path, "", bad)
	}
	s.golden("tokens.txt", b.String())

	token := take(t, ask(h, http.MethodPost, path, "", good))
	tables := func(h http.Handler, token string) int {
		return ask(h, http.MethodGet, Root+"/v1/namespaces/lake/tables", "Bearer "+token, "").StatusCode
	}
	if got := tables(h, token); got != http.StatusOK {
		t.Errorf("with the token: %d", got)
	}
	// The token of bob shows what bob may see.
	if got := ask(h, http.MethodGet, Root+"/v1/namespaces/lake/tables/staging", "Bearer "+token, "").StatusCode; got != http.StatusNotFound {
		t.Errorf("a table that is not bob's: %d", got)
	}
	if got := tables(h, token[:len(token)-3]); got != http.StatusUnauthorized {
		t.Errorf("with a shorter token: %d", got)
	}
	for name, change := range map[string]func(*Options){
		"another key":      func(o *Options) { users(o); o.Key = bytes.Repeat([]byte("x"), KeyLen) },
		"no key":           func(o *Options) { users(o); o.Key = nil },
		"another password": func(o *Options) { users(o); o.Users[1].Password = "changed" },
		"the user is gone": func(o *Options) { users(o); o.Users = o.Users[:1] },
	} {
		if got := tables(s.handler(change), token); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	s.now = s.now.Add(tokenLife - time.Second)
	fresh := take(t, ask(h, http.MethodPost, path, "Bearer "+token, form("grant_type", grantExchange, "subject_token", token, "subject_token_type", accessTokenType)))
	s.now = s.now.Add(time.Second)
	if got := tables(h, token); got != http.StatusUnauthorized {
		t.Errorf("after its end: %d", got)
	}
	if got := tables(h, fresh); got != http.StatusOK {
		t.Errorf("with the token that it was exchanged for: %d", got)
	}
}

func take(t *testing.T, r *http.Response) string {
	t.Helper()
	var body struct {
		Token string `json:"access_token"`
		Life  int    `json:"expires_in"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", r.Status, err)
	}
	if body.Token == "" || body.Life != int(tokenLife/time.Second) {
		t.Fatalf("%+v", body)
	}
	return body.Token
}

// Whoever attaches to a server without users may say what he likes.
func TestOpenServer(t *testing.T) {
	h := newStand(t).handler(nil)
	token := take(t, ask(h, http.MethodPost, Root+"/v1/oauth/tokens", "", form("grant_type", "client_credentials", "client_id", "x", "client_secret", "y")))
	for _, auth := range []string{"", "Bearer None", "Bearer " + token, basic("a", "b")} {
		if got := ask(h, http.MethodGet, Root+"/v1/namespaces", auth, "").StatusCode; got != http.StatusOK {
			t.Errorf("%q: %d", auth, got)
		}
	}
}

func FuzzToken(f *testing.F) {
	o := Options{Key: bytes.Repeat([]byte("k"), KeyLen), Now: func() time.Time { return testTime }}
	users(&o)
	h := New(o)
	token, err := h.newToken(o.Users[1])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("firth.")
	f.Add("token-of-ana")
	f.Fuzz(func(t *testing.T, other string) {
		// Base64 may be written in several ways, so what counts is what it stands for.
		had, _ := openToken(token)
		text, _ := openToken(other)
		if user, ok := h.bearer(other); ok && !bytes.Equal(text, had) && other != "token-of-ana" {
			t.Errorf("%q is taken for %s", other, user.Name)
		}
	})
}
