package demo

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// capture is a server that checks every call by the rules of Segment's tracking API and counts it; asked for a number of rows
// it tells what it has counted, and asked a question of the demo it gives the expected answer.
type capture struct {
	month *Month
	today time.Time

	mu       sync.Mutex
	ids      map[string]bool
	types    map[string]int
	paths    map[string]int
	refused  int
	problems []string
}

func (c *capture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.problem("%s: %s", r.URL, err)
		return
	}
	if r.URL.Path == "/api/sql" {
		c.answer(w, body)
		return
	}
	// Refusals that pass: the sender must come again.
	if c.refused < 5 {
		c.refused++
		w.WriteHeader([]int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[c.refused%2])
		return
	}
	c.paths[r.URL.Path]++
	c.check(r, body)
	_, _ = io.WriteString(w, `{"success":true}`)
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func (c *capture) problem(format string, args ...any) {
	if len(c.problems) < 10 {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

type item struct {
	Type, MessageID, UserID, AnonymousID, Event, GroupID, PreviousID string
	Timestamp                                                        time.Time
	Properties, Traits                                               map[string]any
	Context                                                          struct {
		Library struct{ Name, Version string }
	}
}

// check looks at a batch as the specification has it: sizes, key, types, ids and times.
func (c *capture) check(r *http.Request, body []byte) {
	var batch struct {
		WriteKey string
		SentAt   time.Time
		Batch    []json.RawMessage
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		c.problem("%s: %s", r.URL, err)
		return
	}
	user, _, basic := r.BasicAuth()
	if key := user + batch.WriteKey; key != "key" || basic == (batch.WriteKey != "") {
		c.problem("%s: write key %q", r.URL, key)
	}
	if age := time.Since(batch.SentAt); age < -time.Second || age > time.Minute {
		c.problem("sent %s ago", age)
	}
	if len(body) > 512_000 || len(batch.Batch) == 0 || len(batch.Batch) > 2500 {
		c.problem("a batch of %d calls and %d bytes", len(batch.Batch), len(body))
	}
	for _, raw := range batch.Batch {
		var i item
		if err := json.Unmarshal(raw, &i); err != nil {
			c.problem("%s: %s", raw, err)
			continue
		}
		if what := c.invalid(&i, raw); what != "" {
			c.problem("%s: %s", what, raw)
		}
		c.ids[i.MessageID] = true
		c.types[i.Type]++
	}
}

// invalid says what is wrong with a call.
func (c *capture) invalid(i *item, raw []byte) string {
	end := i.Timestamp.Sub(i.Timestamp.Truncate(24 * time.Hour))
	switch {
	case len(raw) > 32_768:
		return "too large"
	case i.MessageID == "" || len(i.MessageID) > 100 || c.ids[i.MessageID]:
		return "messageId"
	case i.UserID == "" && i.AnonymousID == "":
		return "nobody"
	case i.Timestamp.Before(c.today.AddDate(0, 0, -days)) || !i.Timestamp.Before(c.today) || end > 24*time.Hour-10*time.Minute:
		return "time"
	case i.Context.Library.Name == "" || i.Context.Library.Version == "":
		return "library"
	}
	switch i.Type {
	case "track":
		if i.Event == "" || len(i.Properties) == 0 {
			return "track"
		}
	case "identify":
		if i.UserID == "" || i.Traits["email"] == "" {
			return "identify"
		}
	case "group":
		if i.GroupID == "" || i.Traits["plan"] == nil {
			return "group"
		}
	case "alias":
		if i.PreviousID == "" || i.UserID == "" {
			return "alias"
		}
	case "page", "screen":
	default:
		return "type"
	}
	return ""
}

func (c *capture) answer(w http.ResponseWriter, body []byte) {
	var q struct{ SQL string }
	if err := json.Unmarshal(body, &q); err != nil {
		c.problem("question: %s", err)
	}
	for i, question := range Questions() {
		if q.SQL == question.SQL {
			_ = json.NewEncoder(w).Encode(wire(c.month.Expected()[i]))
			return
		}
	}
	n := 0
	table := strings.TrimPrefix(q.SQL, "SELECT count(*) FROM ")
	for k := track; int(k) < kinds; k++ {
		if table == "demo."+k.table() || table == "lake.demo" {
			n += c.types[k.String()]
		}
	}
	_ = json.NewEncoder(w).Encode(wire(Answer{Columns: []string{"count"}, Rows: [][]string{{fmt.Sprint(n)}}}))
}

// wire is an answer as the server sends it.
func wire(a Answer) map[string]any {
	columns, rows := []map[string]string{}, [][]any{}
	for _, c := range a.Columns {
		columns = append(columns, map[string]string{"name": c})
	}
	for _, r := range a.Rows {
		row := []any{}
		for _, text := range r {
			var v any = text
			if !strings.Contains(text, "-") && text[0] >= '0' && text[0] <= '9' {
				v = json.Number(text)
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
	return map[string]any{"columns": columns, "rows": rows}
}

func TestRun(t *testing.T) {
	now := time.Date(2026, 11, 21, 15, 4, 5, 0, time.UTC)
	c := &capture{
		month: MakeMonth(DefaultSeed, now), today: now.Truncate(24 * time.Hour),
		ids: map[string]bool{}, types: map[string]int{}, paths: map[string]int{},
	}
	s := httptest.NewServer(c)
	defer s.Close()
	mirrored := 0
	var out bytes.Buffer
	o := Options{
		Start: func(context.Context) (Server, error) {
			return Server{
				URL: s.URL, WriteKey: "key", Data: "/tmp/firth-demo-123",
				Mirror: func(context.Context) (int64, error) {
					mirrored++
					return 12_345, nil
				},
			}, nil
		},
		Now: now, Once: true, Out: &out, Database: filepath.Join(t.TempDir(), "app.db"), Usage: filepath.Join(t.TempDir(), "usage.db"),
	}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	for _, p := range c.problems {
		t.Error(p)
	}
	if len(c.ids) != len(c.month.Calls) || len(c.ids) < 200_000 {
		t.Errorf("%d calls came, %d were to be sent, at least 200,000 are wanted", len(c.ids), len(c.month.Calls))
	}
	if len(c.types) != kinds {
		t.Errorf("types %v, want all six", c.types)
	}
	for _, path := range []string{"/v1/b", "/v1/batch", "/v1/import", "/v1/import/"} {
		if c.paths[path] == 0 {
			t.Errorf("nothing came by %s", path)
		}
	}
	if mirrored != 1 {
		t.Errorf("mirrored %d times", mirrored)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if utf8.RuneCountInString(line) > width && !strings.Contains(line, ".db") {
			t.Errorf("wider than a terminal: %q", line)
		}
	}
	checkDatabase(t, o.Database)
}

func checkDatabase(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var companies, users, administrators int
	const query = `select (select count(*) from companies), count(*), sum(role_in_company = 'ADMINISTRATOR') from users join companies c on c.id = company_id`
	if err := db.QueryRow(query).Scan(&companies, &users, &administrators); err != nil {
		t.Fatal(err)
	}
	if companies != companyCount || users != userCount || administrators < companyCount {
		t.Errorf("%d companies, %d users, %d administrators", companies, users, administrators)
	}
}

// The same day gives the same month, to the byte; another day another one.
func TestMonthIsEqualEveryTime(t *testing.T) {
	at := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	a, b, c := MakeMonth(7, at), MakeMonth(7, at.Add(20*time.Hour)), MakeMonth(7, at.Add(24*time.Hour))
	if len(a.Calls) != len(b.Calls) {
		t.Fatalf("%d and %d calls", len(a.Calls), len(b.Calls))
	}
	for i := 0; i < len(a.Calls); i += 97 {
		if x, y := a.appendCall(nil, i), b.appendCall(nil, i); !bytes.Equal(x, y) {
			t.Fatalf("call %d:\n%s\n%s", i, x, y)
		}
	}
	if a.messageID(5) == c.messageID(5) {
		t.Error("two days have the same message ids")
	}
	if diff := cmp.Diff(a.Expected(), b.Expected()); diff != "" {
		t.Error(diff)
	}
}

// The month is one in which the questions have something to tell, whatever day it is.
func TestMonthIsBelievable(t *testing.T) {
	for _, day := range []int{0, 3} {
		m := MakeMonth(DefaultSeed, time.Date(2026, 11, 15+day, 0, 0, 0, 0, time.UTC))
		answers := m.Expected()
		names := map[int16]bool{}
		for i := range m.Calls {
			if c := &m.Calls[i]; c.kind == track {
				names[c.event] = true
			}
		}
		if len(m.Calls) < 200_000 || len(names) != len(m.events) {
			t.Errorf("day %d: %d calls, %d of %d events", day, len(m.Calls), len(names), len(m.events))
		}
		if len(answers[0].Rows) != libraries || answers[0].Rows[0][0] != "analytics.js" {
			t.Errorf("day %d: libraries %v", day, answers[0].Rows)
		}
		for i, least := range map[int]int{3: 6, 4: shownRows, 5: shownRows} {
			if len(answers[i].Rows) < least {
				t.Errorf("day %d: question %d has %d rows: %v", day, i+1, len(answers[i].Rows), answers[i].Rows)
			}
		}
		all := answers[2].Rows[2]
		if all[0] != "all paying" || all[2] == "0" || all[3] == "0" || all[4] < "15" || all[4] > "40" {
			t.Errorf("day %d: %v", day, answers[2].Rows)
		}
	}
}

func TestRunGivesUpOnARefusal(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"message":"no such key"}`, http.StatusUnauthorized)
	}))
	defer s.Close()
	err := Run(t.Context(), Options{
		Start: func(context.Context) (Server, error) {
			return Server{URL: s.URL, Mirror: func(context.Context) (int64, error) { return 0, nil }}, nil
		},
		Once: true, Out: io.Discard, Database: filepath.Join(t.TempDir(), "app.db"), Usage: filepath.Join(t.TempDir(), "usage.db"),
	})
	if err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "no such key") {
		t.Errorf("error %v, want the server's own words", err)
	}
}

func TestCell(t *testing.T) {
	a, err := parseAnswer([]byte(`{"columns":[{"name":"a","type":"x"}],"rows":[[1,47.0,"2026-01-02",12.50,9007199254740993,null]]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "47", "2026-01-02", "12.5", "9007199254740993", "<nil>"}, a.Rows[0]); diff != "" {
		t.Error(diff)
	}
}

// The README shows the questions that join databases and events, as they are asked.
func TestReadmeShowsTheQuestions(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range Questions()[2:] {
		if !strings.Contains(string(readme), "```sql\n"+q.SQL+"\n```") {
			t.Errorf("the README does not show: %s", q.SQL)
		}
	}
}
