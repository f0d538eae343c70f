package api_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/google/go-cmp/cmp"

	"firth/internal/api"
	"firth/internal/query"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// fixed is the time of everything in the test warehouse.
var fixed = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// openWarehouse makes the warehouse of two sources.
func openWarehouse(t *testing.T) *duckdb.DB {
	t.Helper()
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	if err := os.Mkdir(lake, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := duckdb.Open(t.Context(), filepath.Join(dir, "warehouse.duckdb"), duckdb.Options{LakeDir: lake, Memory: 256 << 20, Threads: 2, Now: func() time.Time { return fixed }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	exec(t, db.SQL(),
		"CREATE SCHEMA production; CREATE SCHEMA app",
		"CREATE TABLE production.tracks (id VARCHAR, event VARCHAR, received_at TIMESTAMPTZ)",
		"INSERT INTO production.tracks VALUES ('m1', 'signed_up', '2026-11-01 12:00:00+00'), ('m2', 'order_completed', '2026-11-01 12:00:01.5+00')",
		"CREATE TABLE app.companies (id INTEGER, plan VARCHAR)",
		"INSERT INTO app.companies VALUES (1, 'paid')",
		"COPY (SELECT 'm1' AS message_id, 'track' AS type, 'x' AS event, now() AS ts, now() AS received_at, now() AS sent_at, now() AS original_timestamp, 'u' AS user_id, 'a' AS anonymous_id, '{}' AS properties, '{}' AS context, '{}' AS og_payload, 'l' AS _firth_log, 1::BIGINT AS _firth_offset) TO '"+lake+"/1.parquet'",
		"INSERT INTO _firth.runs VALUES ('r1', 'load', 'production', 'success', '2026-11-01 12:00:00+00', '2026-11-01 12:00:02+00', 2, '{\"tracks\": 2}', '[]', NULL, NULL), ('r2', 'load', 'app', 'failure', '2026-11-01 12:00:01+00', NULL, 0, '{}', '[\"late\"]', 'it broke', 'mend it')",
	)
	micros := fixed.UnixMicro()
	err = errors.Join(
		db.SetLakeFiles(t.Context(), "production", []string{filepath.Join(lake, "1.parquet")}),
		db.SetLakeFiles(t.Context(), "app", []string{filepath.Join(lake, "1.parquet")}),
		db.SetFiles(t.Context(), []warehouse.LakeFile{
			{Table: "production", Path: filepath.Join(lake, "1.parquet"), Day: fixed.Truncate(24 * time.Hour), Rows: 7, Bytes: 700, MinTS: micros, MaxTS: micros, MinReceived: micros, MaxReceived: micros},
			{Table: "app", Path: filepath.Join(lake, "2.parquet"), Day: fixed.Truncate(24 * time.Hour), Rows: 3, Bytes: 300, MinTS: micros, MaxTS: micros, MinReceived: micros, MaxReceived: micros},
		}),
		db.SetFreshness(t.Context(), []warehouse.Freshness{
			{Source: "production", Warehouse: "local", ReceivedThrough: micros + 2e6, LoadedThrough: micros, LoadedAt: fixed, PendingRows: 4},
			{Source: "app", Warehouse: "local", ReceivedThrough: micros, LoadedThrough: micros, LoadedAt: fixed},
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, text := range statements {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// serve returns the address of a server over the warehouse.
func serve(t *testing.T, o query.Options, users ...api.User) (string, *query.Engine) {
	t.Helper()
	engine := query.New(openWarehouse(t), o)
	h := api.New(engine, users)
	h.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL, engine
}

// do sends a request and returns the reply as the golden files show it: status, some headers, body, trailers.
func do(t *testing.T, method, address, body string, header ...string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, resp.StatusCode)
	for _, name := range []string{"Content-Type", "Allow", "Retry-After", "WWW-Authenticate"} {
		if v := resp.Header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&b, "\n%s", text)
	for name := range resp.Trailer {
		if v := resp.Trailer.Get(name); v != "" {
			fmt.Fprintf(&b, "\n%s: %s", name, v)
		}
	}
	return b.String()
}

func TestRepliesOfSQL(t *testing.T) {
	address, _ := serve(t, query.Options{MaxRows: 3})
	var b strings.Builder
	for _, c := range []struct {
		body   string
		header []string
	}{
		{`{"sql": "SELECT event, count(*) AS n FROM production.tracks GROUP BY ALL ORDER BY 1"}`, nil},
		{`{"sql": "FROM production.tracks WHERE event = $1", "params": ["signed_up"], "format": "ndjson"}`, nil},
		{`{"sql": "FROM production.tracks ORDER BY id", "format": "csv"}`, nil},
		{`{"sql": "SELECT 1 AS x"}`, []string{"Accept", "text/html, text/csv;q=0.9"}},
		{`{"sql": "SELECT 1 AS x", "format": "json"}`, []string{"Accept", "text/csv"}},
		{`{"sql": "SELECT t.id, l.type FROM production.tracks t JOIN lake.production l ON l.message_id = t.id"}`, nil},
		{`{"sql": "SELECT name, state FROM firth.runs ORDER BY id"}`, nil},
		{`{"sql": "FROM range(5)"}`, nil},
		{`{"sql": "FROM range(5)", "format": "csv"}`, nil},
		{`{"sql": "FROM range(5)", "format": "ndjson"}`, nil},
		{`{"sql": "SELEC 1"}`, nil},
		{`{"sql": "DELETE FROM production.tracks"}`, nil},
		{`{"sql": "FROM 'x.csv'"}`, nil},
		{`{"sql": "FROM production.nope"}`, nil},
		{`{"sql": "SELECT $1", "params": [[1]]}`, nil},
		{`{"sql": "SELECT 1", "format": "xml"}`, nil},
		{`{"sql": "SELECT 1", "limit": 5}`, nil},
		{`{"sql": ""}`, nil},
		{`{"sql": 5}`, nil},
		{`SELECT 1`, nil},
		{`{"sql": "SELECT 1"} {"sql": "SELECT 2"}`, nil},
		{``, nil},
		{`{"sql": "SELECT 1"}`, []string{"Origin", "https://example.com"}},
		{`{"sql": "SELECT 1"}`, []string{"Sec-Fetch-Site", "cross-site"}},
	} {
		fmt.Fprintf(&b, "POST %s %q\n%s\n----\n", c.body, c.header, do(t, "POST", address+"/api/sql", c.body, c.header...))
	}
	fmt.Fprintf(&b, "a body of 2 MB\n%s\n", do(t, "POST", address+"/api/sql", `{"sql": "SELECT 1", "params": ["`+strings.Repeat("x", 2<<20)+`"]}`))
	golden(t, "sql.txt", []byte(b.String()))
}

// TestWarehousesAreListed asks as somebody who sees everything, and as one who sees one source.
func TestWarehousesAreListed(t *testing.T) {
	h := api.New(query.New(openWarehouse(t), query.Options{}), []api.User{{Name: "ana", Password: "pw", Schemas: []string{"production"}}, {Name: "root", Password: "pw"}})
	before, after := fixed.Add(-time.Minute), fixed.Add(time.Hour)
	h.Warehouses = func() []api.Warehouse {
		return []api.Warehouse{
			{Name: "local", Type: "duckdb", Schedule: "continuous", State: "ok", Freshness: []api.WarehouseFreshness{{Source: "production"}}},
			{Name: "pg", Type: "postgres", Schedule: "every 1h", State: "degraded", Error: "connection refused", Hint: "start it", NextRun: &after,
				LastRun: &api.WarehouseRun{ID: "r1", State: "failure", StartedAt: before, FinishedAt: &before},
				Freshness: []api.WarehouseFreshness{
					{Source: "production", ReceivedThrough: &before, LoadedThrough: &before, LoadedAt: &before, LagSeconds: 1.5, PendingRows: 7}, {Source: "staging"},
				}},
		}
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	var b strings.Builder
	for _, user := range []string{"root", "ana", "nobody"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(user, "pw")
		fmt.Fprintf(&b, "GET /api/warehouses as %s\n%s\n----\n", user, do(t, "GET", srv.URL+"/api/warehouses", "", "Authorization", req.Header.Get("Authorization")))
	}
	golden(t, "warehouses.txt", []byte(b.String()))
}

func TestListings(t *testing.T) {
	users := []api.User{{Name: "ana", Password: "pw", Schemas: []string{"production"}}, {Name: "root", Password: "pw"}}
	address, _ := serve(t, query.Options{}, users...)
	var b strings.Builder
	for _, route := range []string{
		"sources", "schemas", "tables", "tables?schema=app", "runs", "runs?state=failure", "runs?limit=1", "runs?limit=x", "files", "files?source=app", "freshness",
		"nothing", "", "sql",
	} {
		for _, user := range []string{"root", "ana"} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(user, "pw")
			fmt.Fprintf(&b, "GET /api/%s as %s\n%s\n----\n", route, user, do(t, "GET", address+"/api/"+route, "", "Authorization", req.Header.Get("Authorization")))
		}
	}
	// The name of a temporary folder is in no reply.
	if regexp.MustCompile(`/tmp/|/lake/`).MatchString(b.String()) {
		t.Error("a path is told")
	}
	golden(t, "listings.txt", []byte(b.String()))
}

func TestAuthentication(t *testing.T) {
	address, _ := serve(t, query.Options{}, api.User{Name: "ana", Password: "sésame", Schemas: []string{"production"}}, api.User{Name: "empty"})
	ask := func(user, password, text string) error {
		c, err := api.NewClient(address)
		if user != "" {
			c, err = api.NewClient(strings.Replace(address, "://", "://"+user+":"+password+"@", 1))
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Write(t.Context(), io.Discard, query.FormatJSON, query.Request{SQL: text}, 0)
		return err
	}
	for _, c := range []struct {
		user, password, text string
		want                 query.Code
	}{
		{"ana", "s%C3%A9same", "FROM production.tracks", ""},
		{"ana", "s%C3%A9same", "FROM app.companies", query.CodeForbidden},
		{"ana", "wrong", "SELECT 1", "unauthorized"},
		{"Ana", "s%C3%A9same", "SELECT 1", "unauthorized"},
		{"", "", "SELECT 1", "unauthorized"},
		{"empty", "", "SELECT 1", "unauthorized"},
		{"nobody", "s%C3%A9same", "SELECT 1", "unauthorized"},
	} {
		err := ask(c.user, c.password, c.text)
		var got query.Code
		if err != nil {
			got = query.AsError(err).Code
		}
		if got != c.want {
			t.Errorf("%s:%s %s: %v", c.user, c.password, c.text, err)
		}
	}
	reply := do(t, "POST", address+"/api/sql", `{"sql": "SELECT 1"}`)
	golden(t, "unauthorized.txt", []byte(reply))
}

func TestTrustedRequestsNeedNoPassword(t *testing.T) {
	h := api.New(query.New(openWarehouse(t), query.Options{}), []api.User{{Name: "ana", Password: "pw"}})
	h.Trust = func(r *http.Request) bool { return r.Header.Get("Forwarded") == "" }
	for forwarded, want := range map[string]int{"": 200, "for=1.2.3.4": 401} {
		r := httptest.NewRequest("GET", "/api/sources", nil)
		r.Header.Set("Forwarded", forwarded)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d", forwarded, w.Code)
		}
	}
}

// The client prints what a server sends as the engine alone would.
func TestClientPrintsAsTheEngineDoes(t *testing.T) {
	address, engine := serve(t, query.Options{MaxRows: 1000})
	byURL, err := api.NewClient(address + "/")
	if err != nil {
		t.Fatal(err)
	}
	const text = "SELECT range AS n, 'row ' || range AS s, [range] AS l, NULL AS x, range / 7 AS d, (range * 1.5)::DECIMAL(9,1) AS p FROM range(1500)"
	for _, format := range []query.Format{query.FormatJSON, query.FormatNDJSON, query.FormatCSV, query.FormatList, query.FormatTable, query.FormatParquet, query.FormatArrow} {
		res, err := engine.Query(t.Context(), query.User{}, query.Request{SQL: text})
		if err != nil {
			t.Fatal(err)
		}
		var want, got bytes.Buffer
		if err := errors.Join(query.Write(&want, format, res, 80), res.Close()); err != nil {
			t.Fatal(err)
		}
		truncated, err := byURL.Write(t.Context(), &got, format, query.Request{SQL: text}, 80)
		if err != nil || !truncated {
			t.Errorf("%s: truncated %t, %v", format, truncated, err)
		}
		if !bytes.Equal(want.Bytes(), got.Bytes()) {
			t.Errorf("%s differs:\n%.300s\n%.300s", format, want.Bytes(), got.Bytes())
		}
	}
}

func TestArrowReply(t *testing.T) {
	address, _ := serve(t, query.Options{})
	c, err := api.NewClient(address)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := c.Write(t.Context(), &b, query.FormatArrow, query.Request{SQL: "FROM production.tracks WHERE id = $1", Params: []any{"m2"}}, 0); err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if !r.Next() || r.RecordBatch().NumRows() != 1 || r.RecordBatch().Column(0).ValueStr(0) != "m2" {
		t.Errorf("got %v", r.Err())
	}
}

const runaway = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE (a.range * b.range) % 7 = 3"

// A client that goes away stops its query: the only place is free at once.
func TestDisconnectStopsTheQuery(t *testing.T) {
	address, engine := serve(t, query.Options{Concurrent: 1, Queue: -1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		c, err := api.NewClient(address)
		if err == nil {
			_, err = c.Write(ctx, io.Discard, query.FormatJSON, query.Request{SQL: runaway}, 0)
		}
		done <- err
	}()
	until(t, func() bool { return engine.Running() == 1 })
	if reply := do(t, "POST", address+"/api/sql", `{"sql": "SELECT 1"}`); !strings.HasPrefix(reply, "429\n") || !strings.Contains(reply, "Retry-After: 1") {
		t.Errorf("a second query: %s", reply)
	}
	cancel()
	begin := time.Now()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client: %v", err)
	}
	until(t, func() bool { return engine.Running() == 0 })
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the engine stopped after %s", took)
	}
	if reply := do(t, "POST", address+"/api/sql", `{"sql": "SELECT 1"}`); !strings.HasPrefix(reply, "200\n") {
		t.Errorf("the next query: %s", reply)
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass")
		}
	}
}

func TestDeadlineReply(t *testing.T) {
	address, _ := serve(t, query.Options{Deadline: 100 * time.Millisecond})
	golden(t, "deadline.txt", []byte(do(t, "POST", address+"/api/sql", `{"sql": "`+runaway+`"}`)))
}

// A query that fails when much has been sent: in JSON and NDJSON the reply says so, others break off.
func TestFailureInTheMiddle(t *testing.T) {
	address, _ := serve(t, query.Options{MaxRows: -1})
	c, err := api.NewClient(address)
	if err != nil {
		t.Fatal(err)
	}
	const text = "SELECT CASE WHEN range = 399999 THEN error('no more')::VARCHAR ELSE 'row ' || range END AS x FROM range(400000)"
	for _, format := range []query.Format{query.FormatJSON, query.FormatTable, query.FormatCSV} { // asked for as JSON
		_, err := c.Write(t.Context(), io.Discard, format, query.Request{SQL: text}, 0)
		if got := query.AsError(err); got.Code != query.CodeFailed || got.Message != "no more" {
			t.Errorf("%s: %v", format, err)
		}
	}
	for _, format := range []query.Format{query.FormatParquet, query.FormatArrow} {
		if _, err := c.Write(t.Context(), io.Discard, format, query.Request{SQL: text}, 0); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", format, err)
		}
	}
	for format, whole := range map[string]bool{"json": true, "ndjson": true, "csv": false} {
		body, err := json.Marshal(map[string]string{"sql": text, "format": format})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post(address+"/api/sql", "application/json", bytes.NewReader(body)) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if whole != (err == nil) || whole != (resp.Trailer.Get("Firth-Error") == "query_failed") || whole != bytes.Contains(got, []byte(`"error":{"code":"query_failed"`)) {
			t.Errorf("%s: %v, trailers %v, ends with %s", format, err, resp.Trailer, got[max(0, len(got)-100):])
		}
	}
}

func TestSocketClient(t *testing.T) {
	h := api.New(query.New(openWarehouse(t), query.Options{}), nil)
	for _, dir := range []string{"s", strings.Repeat("a-long-name-for-a-folder-", 6)} {
		path := filepath.Join(t.TempDir(), dir, "firth.sock")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		back, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		t.Chdir(filepath.Dir(path)) // a short name for a long path
		l, err := new(net.ListenConfig).Listen(t.Context(), "unix", "firth.sock")
		if err != nil {
			t.Fatal(err)
		}
		t.Chdir(back)
		srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
		done := make(chan error, 1)
		go func() { done <- srv.Serve(l) }()
		c := api.NewSocketClient(path)
		var b bytes.Buffer
		if _, err := c.Write(t.Context(), &b, query.FormatCSV, query.Request{SQL: "SELECT 1 AS x"}, 0); err != nil || b.String() != "x\n1\n" {
			t.Errorf("%d bytes of path: %q, %v", len(path), b.String(), err)
		}
		if body, err := c.Get(t.Context(), "freshness"); err != nil || !json.Valid(body) {
			t.Errorf("freshness: %s, %v", body, err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if _, err := c.Get(t.Context(), "freshness"); err == nil {
			t.Error("a server that is gone answered")
		}
	}
}
