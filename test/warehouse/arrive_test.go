package warehouse

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"firth/test/rig"
)

// each runs a test against every kind of server.
func each(t *testing.T, test func(t *testing.T, d *target)) {
	t.Helper()
	t.Run("PostgreSQL 15", func(t *testing.T) { test(t, postgres(t, "15")) })
	t.Run("MariaDB 11.4", func(t *testing.T) { test(t, mariaDB(t, "11.4")) })
	if os.Getenv("FIRTH_LONG") != "" { // Debian's own is installed by test/setup full alone
		t.Run("MariaDB 10.11", func(t *testing.T) { test(t, mariaDB(t, "10.11")) })
	}
}

// send posts a batch of calls, which must be taken.
func send(t *testing.T, s *rig.Server, calls ...string) {
	t.Helper()
	status, text, err := s.Post(t.Context(), "/v1/batch", "k", []byte(`{"batch":[`+strings.Join(calls, ",")+`]}`))
	if err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, text, err)
	}
}

// arrives waits until a query gives the rows wanted.
func (d *target) arrives(s *rig.Server, query string, want ...[]string) {
	d.t.Helper()
	s.Eventually(patience, query, func() error {
		got, err := d.ask(query)
		if err == nil && !slices.EqualFunc(got, want, slices.Equal) {
			err = fmt.Errorf("%q, want %q", got, want)
		}
		if err != nil {
			_, components, _ := s.Ready()
			err = fmt.Errorf("%w; %+v", err, components)
		}
		return err
	})
}

// TestEventsArrive sends calls of several kinds to one server that loads every kind and version of database, and finds them in the tables
// of each, within seconds, with what did not fit in the discards; and the questions of Hydra's guide have the right answers.
func TestEventsArrive(t *testing.T) {
	t.Parallel()
	targets := map[string]*target{
		"pg12": postgres(t, "12"), "pg15": postgres(t, "15"), "pg18": postgres(t, "18"), "maria11": mariaDB(t, "11.4"),
	}
	if os.Getenv("FIRTH_LONG") != "" { // Debian's own is installed by test/setup full alone
		targets["maria10"] = mariaDB(t, "10.11")
	}
	var warehouses []string
	for name, d := range targets {
		warehouses = append(warehouses, d.warehouse(name, d.url, "every: 1s"))
	}
	s := serve(t, warehouses...)
	arrives := func(query string, want ...[]string) {
		t.Helper()
		for _, d := range targets {
			d.arrives(s, query, want...)
		}
	}
	send(t, s,
		`{"type":"identify","messageId":"i1","userId":"ada","traits":{"name":"Ada","plan":"free","logins":1}}`,
		`{"type":"identify","messageId":"i2","userId":"bob","traits":{"name":"Bob","plan":"free","logins":7}}`,
		show("d1", "ada", "hydra-main", "2026-03-01T00:00:00.000Z"), show("d2", "ada", "hydra-main", "2026-03-31T23:59:59.999Z"),
		show("d3", "bob", "hydra-main", "2026-04-01T00:00:00.000Z"), show("d4", "ada", "other", "2026-02-28T23:59:59.999Z"))
	arrives("SELECT count(*) FROM production.tracks", []string{"4"})
	send(t, s,
		show("d4", "ada", "other", "2026-02-28T23:59:59.999Z"), // again
		`{"type":"identify","messageId":"i3","userId":"ada","traits":{"plan":"team","logins":2.5}}`,
		`{"type":"identify","messageId":"i4","userId":"bob","traits":{"logins":"many"}}`)
	arrives("SELECT id, name, plan, logins FROM production.users ORDER BY id", []string{"ada", "Ada", "team", "2.5"}, []string{"bob", "Bob", "free", "7"})
	arrives("SELECT count(*) FROM production.identifies", []string{"4"})
	arrives("SELECT column_name, value, row_id FROM production.firth_discards WHERE table_name = 'identifies'", []string{"logins", "many", "i4"})
	arrives("SELECT count(*) FROM production.tracks", []string{"4"})

	arrives("SELECT COUNT(id) FROM production.deployments_show WHERE deployment_name = 'hydra-main'", []string{"3"})
	arrives(`SELECT DISTINCT identifies.name FROM production.deployments_show
		JOIN production.identifies ON deployments_show.user_id = identifies.user_id
		WHERE identifies.name IS NOT NULL ORDER BY 1`, []string{"Ada"}, []string{"Bob"})
	arrives(`SELECT COUNT(DISTINCT id) FROM production.deployments_show
		WHERE original_timestamp >= '2026-03-01' AND original_timestamp < '2026-04-01'`, []string{"2"})

	s.Eventually(patience, "the runs in firth.runs", func() error {
		n, err := s.Count(`SELECT count(DISTINCT name) FROM firth.runs WHERE kind = 'load' AND name NOT LIKE 'local%' AND state IN ('running', 'success') AND rows > 0`)
		if err == nil && n != len(targets) {
			err = fmt.Errorf("of %d warehouses", n)
		}
		return err
	})
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// show is a call of the event Deployments Show.
func show(id, user, deployment, at string) string {
	return fmt.Sprintf(`{"type":"track","event":"Deployments Show","messageId":%q,"userId":%q,"timestamp":%q,"originalTimestamp":%q,"properties":{"deployment_name":%q}}`,
		id, user, at, at, deployment)
}

// report is what firth load -o json prints.
type report struct {
	State   string
	Rows    int
	Tables  map[string]int
	Notices []string
	Error   string
	Hint    string
}

// load runs firth load and returns its report; a failure of the run is in it.
func load(t *testing.T, s *rig.Server, args ...string) (report, error) {
	t.Helper()
	out, err := s.Run(append([]string{"load", "-o", "json"}, args...)...)
	var r report
	if text := strings.TrimSpace(out); text != "" {
		if problem := json.Unmarshal([]byte(text), &r); problem != nil {
			t.Fatalf("firth load printed %q: %v", out, problem)
		}
	}
	return r, err
}

// says reports whether the error of a run, or its hint, has some words.
func says(r report, words string) bool { return strings.Contains(r.Error+"\n"+r.Hint, words) }

// speaks reports whether a notice has a word.
func speaks(r report, word string) bool {
	return slices.ContainsFunc(r.Notices, func(n string) bool { return strings.Contains(n, word) })
}

// flushed waits until the lake has what was acknowledged.
func flushed(s *rig.Server, l *rig.Load) { l.SettleIn(patience, rig.Lake) }

// TestLoadByHand loads a warehouse that has no schedule: beside a server and without one, what is new, what is missing, and anew.
func TestLoadByHand(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *target) {
		s := serve(t, d.warehouse("analytics", d.url))
		l := rig.NewLoad(s, "production", "k", 2, 1)
		l.Send(20)
		flushed(s, l)
		if r, err := load(t, s, "analytics"); err != nil || r.State != "success" || r.Tables["production.tracks"] != l.Acked() {
			t.Fatalf("%+v, %v", r, err)
		}
		d.settle(s, l)
		if r, err := load(t, s, "analytics"); err != nil || r.State != "success" || r.Rows != 0 {
			t.Errorf("with nothing to do: %+v, %v", r, err)
		}
		time.Sleep(10 * time.Millisecond) // moments of receipt have milliseconds
		between := time.Now().UTC().Format(time.RFC3339Nano)
		l.Send(5)
		s.Stop()
		if r, err := load(t, s, "analytics"); err != nil || r.Tables["production.tracks"] != 50 {
			t.Errorf("without a server: %+v, %v", r, err)
		}
		d.settle(s, l)

		d.exec("DELETE FROM production.tracks WHERE id LIKE '%3'")
		s.Start()
		// Of the 250 events the first 200 were received before between, the others after it.
		for _, window := range [][]string{{"--from", between, "5"}, {"--from", between, "0"}, {"--from", "1h", "--to", between, "20"}, {"--from", "1h", "0"}} {
			flags, want := window[:len(window)-1], window[len(window)-1]
			if r, err := load(t, s, append([]string{"analytics"}, flags...)...); err != nil || strconv.Itoa(r.Tables["production.tracks"]) != want {
				t.Errorf("what is missing, %q: %+v, %v, want %s rows", flags, r, err, want)
			}
		}
		d.settle(s, l)

		d.exec("DROP TABLE production.thing_1")
		d.exec("DELETE FROM production.thing_2")
		l.Send(3)
		flushed(s, l)
		if r, err := load(t, s, "analytics"); err != nil || !speaks(r, "thing_1") {
			t.Errorf("with a table dropped: %+v, %v", r, err)
		}
		if r, err := load(t, s, "analytics", "--rebuild", "--tables", "thing_1,thing_2"); err != nil || r.State != "success" {
			t.Errorf("anew: %+v, %v", r, err)
		}
		d.settle(s, l)
		s.Stop()
		d.leavesNothing()
	})
}

// TestLatency: with every: 2s an event is a row within six seconds of its acknowledgement, measured one by one.
func TestLatency(t *testing.T) {
	d := postgres(t, "15")
	s := serve(t, d.warehouse("analytics", d.url, "every: 2s"))
	var worst time.Duration
	for i := range 4 {
		id := fmt.Sprintf("m%d", i)
		send(t, s, show(id, "ada", "hydra-main", "2026-03-01T00:00:00.000Z"))
		start := time.Now()
		d.arrives(s, "SELECT id FROM production.deployments_show WHERE id = '"+id+"'", []string{id})
		if i > 0 { // the first one connects and makes the tables
			worst = max(worst, time.Since(start))
		}
	}
	t.Logf("the slowest of three took %s", worst.Round(time.Millisecond))
	if worst > 6*time.Second {
		t.Errorf("an event took %s", worst)
	}
}
