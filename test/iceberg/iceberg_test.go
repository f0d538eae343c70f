// Package iceberg runs the real binary with a warehouse whose tables lie in the lake, beside the embedded one: what other engines read of it
// by the catalog's URL are the rows and values that the embedded one has, whoever was killed meanwhile.
package iceberg

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"firth/test/engine/stand"
)

// patience is how long a warehouse may take to have all that was sent, from the moment on that nothing is in its way.
const patience = 3 * time.Minute

// settings are lines of firth.yaml: both warehouses have the events and the company's tables.
func settings(database string) string {
	return fmt.Sprintf(`warehouses:
  ice: { type: iceberg, every: 1s, sources: production }
databases:
  app: { type: sqlite, url: %q }
mirrors:
  companies:      { from: { database: app, table: companies }, into: { warehouse: local, schema: app }, mode: upsert, key: id, delete_missing: true, max_delete: 100%%, every: 1s }
  companies-open: { from: { database: app, table: companies }, into: { warehouse: ice, schema: app, table: companies }, mode: upsert, key: id, delete_missing: true, max_delete: 100%%, every: 1s }
  plans:          { from: { database: app, table: plans }, into: { warehouse: local, schema: app }, every: 1s }
  plans-open:     { from: { database: app, table: plans }, into: { warehouse: ice, schema: app, table: plans }, every: 1s }
  log:            { from: { database: app, table: log }, into: { warehouse: local, schema: app }, mode: append, cursor: id, every: 1s }
  log-open:       { from: { database: app, table: log }, into: { warehouse: ice, schema: app, table: log }, mode: append, cursor: id, every: 1s }
`, "sqlite://"+database)
}

// company is a database of a company.
type company struct {
	t  *testing.T
	db *sql.DB
}

func newCompany(t *testing.T, path string) *company {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := &company{t, db}
	c.exec("PRAGMA journal_mode = WAL",
		"CREATE TABLE companies (id INTEGER PRIMARY KEY, name TEXT NOT NULL, seats INTEGER, score REAL, paid BOOLEAN, since TIMESTAMP, born DATE, logo BLOB)",
		"CREATE TABLE plans (name TEXT, price DECIMAL(12,2), at TIME)",
		"CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT)",
		"INSERT INTO plans VALUES ('free', 0, '09:00:00'), ('größer', 1234567890.25, NULL), (NULL, NULL, '23:59:59.5')")
	var rows []string
	for i := range 150 {
		rows = append(rows, fmt.Sprintf("(%d, 'Company %d', %d, %d.5, %d, '2024-05-%02d 12:00:00.25', '20%02d-02-28', x'00ff%02x')", i, i%5, i*7, i, i%2, 1+i%28, i%100, i%256))
	}
	c.exec("INSERT INTO companies VALUES " + strings.Join(rows, ", "))
	return c
}

func (c *company) exec(statements ...string) {
	c.t.Helper()
	for _, s := range statements {
		if _, err := c.db.Exec(s); err != nil {
			c.t.Fatalf("%s: %v", s, err)
		}
	}
}

// change changes, adds and removes rows.
func (c *company) change(n int) {
	c.t.Helper()
	c.exec(fmt.Sprintf("UPDATE companies SET name = 'Changed %[1]d', seats = NULL WHERE id %% 10 = %[1]d %% 10", n),
		fmt.Sprintf("DELETE FROM companies WHERE id = %d", 100+n), fmt.Sprintf("INSERT INTO companies (id, name) VALUES (%d, 'New')", 10_000+n),
		fmt.Sprintf("INSERT INTO log (text) SELECT 'line %d of ' || name FROM companies LIMIT 50", n),
		fmt.Sprintf("UPDATE plans SET price = price + %d WHERE name = 'free'", n))
}

// send sends events of several kinds; each knows a company.
func send(t *testing.T, s *stand.Stand, from, to int) {
	t.Helper()
	var batch []string
	for i := from; i < to; i++ {
		batch = append(batch,
			fmt.Sprintf(`{"type":"track","event":"Order Done","messageId":"o-%d","userId":"u%d","timestamp":"2026-10-01T00:00:%02dZ","properties":{"company":%d,"total":%d.25,"gift":%t,"note":"größer \"%d\""}}`, i, i%13, i%60, i%7, i, i%2 == 0, i),
			fmt.Sprintf(`{"type":"identify","messageId":"i-%d","userId":"u%d","traits":{"plan":"p%d","age":%d}}`, i, i%13, i%3, i))
	}
	status, answer, err := s.Post(t.Context(), "/v1/batch", "key-of-production", []byte(`{"batch": [`+strings.Join(batch, ",")+`]}`))
	if err != nil || status != http.StatusOK {
		t.Fatalf("send: %d, %v: %s", status, err, answer)
	}
}

// tables are those that are compared. What differs by nature are the times of the load.
func tables() []string {
	return []string{"production.tracks", "production.order_done", "production.identifies", "production.users", "app.companies", "app.plans", "app.log"}
}

func byNature(column string) bool { return column == "uuid_ts" || column == "loaded_at" }

// found is what a table has: its columns, and its rows as texts.
type found struct {
	columns []string
	rows    [][]string
}

// local is what the embedded warehouse has.
func local(s *stand.Stand, table string) (*found, error) {
	schema, name, _ := strings.Cut(table, ".")
	columns, err := s.Ask(fmt.Sprintf("SELECT column_name, data_type FROM information_schema.columns WHERE table_catalog = 'warehouse' AND table_schema = '%s' AND table_name = '%s' ORDER BY 1", schema, name))
	if err != nil {
		return nil, err
	}
	out := &found{}
	var list []string
	for _, c := range columns {
		if byNature(c[0]) {
			continue
		}
		e := `"` + c[0] + `"`
		switch kind, _, _ := strings.Cut(c[1], "("); kind {
		case "TIMESTAMP", "TIMESTAMP WITH TIME ZONE":
			e = "epoch_us(" + e + ")"
		case "BLOB":
			e = "lower(hex(" + e + "))"
		}
		list, out.columns = append(list, "coalesce("+e+"::VARCHAR, 'null')"), append(out.columns, c[0])
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s is not there yet", table)
	}
	out.rows, err = s.Ask("SELECT " + strings.Join(list, ", ") + " FROM " + table)
	return out, err
}

// reader is the Python program beside this file.
type reader struct {
	in      io.Writer
	out     *bufio.Scanner
	problem *bytes.Buffer
	end     func()
}

func newReader(t *testing.T) *reader {
	t.Helper()
	var problem bytes.Buffer
	setup := exec.Command("../engine/setup.sh")
	setup.Stderr = &problem
	python, err := setup.Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("setup.sh: %v\n%s", err, &problem)
		}
		t.Skipf("the engines could not be installed, see test/engine/setup.sh: %v\n%s", err, &problem)
	}
	cmd := exec.CommandContext(t.Context(), strings.TrimSpace(string(python)), "read.py")
	cmd.Env = append(stand.ReaderEnv(), "FIRTH_TOKEN="+stand.Token)
	r := &reader{problem: &bytes.Buffer{}}
	cmd.Stderr = r.problem
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.in, r.out = in, bufio.NewScanner(out)
	r.out.Buffer(nil, 64<<20)
	r.end = sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Wait() // what it has to say is in problem
	})
	t.Cleanup(r.end)
	return r
}

func (r *reader) ask(t *testing.T, s *stand.Stand, into any, engine string, question ...string) {
	t.Helper()
	line, err := json.Marshal(append([]string{engine, s.Catalog()}, question...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.in.Write(append(line, '\n')); err != nil || !r.out.Scan() {
		r.end()
		t.Fatalf("%s: %v, %v\n%s", line, err, r.out.Err(), r.problem)
	}
	if err := json.Unmarshal(r.out.Bytes(), into); err != nil {
		t.Fatalf("%s: %v: %s", line, err, r.out.Bytes())
	}
}

// rows is what an engine reads of a table.
func (r *reader) rows(t *testing.T, s *stand.Stand, engine, table string) *found {
	t.Helper()
	var answer [2]json.RawMessage
	r.ask(t, s, &answer, engine, "rows", table)
	all, out := &found{}, &found{}
	if err := errors.Join(json.Unmarshal(answer[0], &all.columns), json.Unmarshal(answer[1], &all.rows)); err != nil {
		t.Fatal(err)
	}
	for _, row := range all.rows {
		var kept []string
		for i, v := range row {
			if !byNature(all.columns[i]) {
				kept = append(kept, v)
			}
		}
		out.rows = append(out.rows, kept)
	}
	out.columns = slices.DeleteFunc(all.columns, byNature)
	return out
}

func (f *found) sorted() []string {
	var out []string
	for _, row := range f.rows {
		out = append(out, strings.Join(row, "|"))
	}
	slices.Sort(out)
	return out
}

// wantSame compares all tables, as engines read them, with the embedded warehouse, and a join of events with companies.
func wantSame(t *testing.T, s *stand.Stand, r *reader, events int) {
	t.Helper()
	s.Eventually(patience, "the embedded warehouse to have all events", func() error {
		rows, err := s.Ask("SELECT count(*) FROM production.tracks")
		if err == nil && rows[0][0] != fmt.Sprint(events) {
			err = fmt.Errorf("%s of %d", rows[0][0], events)
		}
		return err
	})
	for _, table := range tables() {
		for _, engine := range []string{"duckdb", "pyiceberg"} {
			s.Eventually(patience, table+" by "+engine+" to be that of the embedded warehouse", func() error {
				want, err := local(s, table)
				if err != nil {
					return err
				}
				if !slices.Contains(names(t, s, r, engine, table), table) {
					return errors.New("it is not there")
				}
				got := r.rows(t, s, engine, table)
				if diff := cmp.Diff(want.columns, got.columns); diff != "" {
					return fmt.Errorf("columns (-local +%s):\n%s", engine, diff)
				}
				if diff := cmp.Diff(want.sorted(), got.sorted()); diff != "" {
					return fmt.Errorf("rows (-local +%s):\n%.2000s", engine, diff)
				}
				return nil
			})
		}
	}
	want := s.MustAsk("SELECT c.name, count(*) FROM production.order_done e JOIN app.companies c ON e.company = c.id GROUP BY ALL ORDER BY 1")
	for _, engine := range []string{"duckdb", "pyiceberg"} {
		var got [][]string
		r.ask(t, s, &got, engine, "join", "production.order_done", "app.companies")
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("events by company (-local +%s):\n%s", engine, diff)
		}
	}
}

// names are the tables that an engine lists in the namespace of a table.
func names(t *testing.T, s *stand.Stand, r *reader, engine, table string) []string {
	t.Helper()
	namespace, _, _ := strings.Cut(table, ".")
	var spaces, out []string
	r.ask(t, s, &spaces, "pyiceberg", "spaces")
	if !slices.Contains(spaces, namespace) {
		return nil
	}
	r.ask(t, s, &out, engine, "names", namespace)
	for i, n := range out {
		if strings.HasPrefix(n, "_firth") {
			t.Errorf("%s lists %s.%s, which is Firth's own", engine, namespace, n)
		}
		out[i] = namespace + "." + n
	}
	return out
}

// TestSameTables sends events and changes a company's tables while the server is killed now and then.
func TestSameTables(t *testing.T) {
	long := os.Getenv("FIRTH_LONG") != ""
	rounds := 1
	if long {
		rounds = 3
	}
	for name, onStore := range map[string]bool{"disk": false, "store": true} {
		t.Run(name, func(t *testing.T) {
			if onStore && !long {
				t.Skip("set FIRTH_LONG, or run make long: it takes minutes")
			}
			r := newReader(t)
			path := filepath.Join(t.TempDir(), "app.db")
			c := newCompany(t, path)
			s := stand.New(t, onStore, settings(path))
			began := time.Now()
			sent := 0
			more := func(n int) {
				send(t, s, sent, sent+n)
				sent += n
			}
			more(60)
			wantSame(t, s, r, sent)
			t.Logf("the first state after %s", time.Since(began))
			for n := range rounds {
				c.change(n)
				more(60)
				time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond) // a moment that nobody chose, within the schedule of loads and mirrors
				s.Kill()
				c.change(n + 20)
				s.Start()
			}
			more(50)
			t.Logf("the last events after %s", time.Since(began))
			wantSame(t, s, r, sent)
			t.Logf("the last state after %s", time.Since(began))
			if code := s.Stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
