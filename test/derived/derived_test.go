// Package derived runs the examples of docs/derived.md with the real server, on local disk and at an object store.
package derived

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

const patience = 60 * time.Second

// example is the configuration of docs/derived.md.
func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/derived.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/derived.md has no example")
	}
	return strings.Replace(block, "lake:\n", "lake:\n  flush: { every: 100ms }\n  grace: 3s\n", 1) + "query: { deadline: 2s }\n"
}

// plain are the tables as plain queries.
var plain = map[string]string{ //nolint:gochecknoglobals // constant
	"last_seen": `SELECT user_id, event, ts, properties, _firth_offset FROM lake.production
		QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY ts DESC, _firth_offset DESC) = 1`,
	"spent": `SELECT user_id, count(*) AS orders, sum((properties->>'amount')::DECIMAL(18, 2)) AS amount, min(ts) AS first, max(ts) AS last
		FROM lake.production WHERE event = 'Order Completed' GROUP BY user_id`,
	"first_of_each": `SELECT * FROM (SELECT DISTINCT ON (user_id, event) * FROM lake.production ORDER BY ts, _firth_offset)`,
	"average":       `SELECT user_id, avg((properties->>'amount')::DECIMAL(18, 2)) AS amount FROM lake.production GROUP BY user_id`,
}

// same compares each table with its plain query.
func same(s *rig.Server) error {
	for name, query := range plain {
		n, err := s.Count("WITH b AS (" + query + ") SELECT (SELECT count(*) FROM (FROM lake." + name + " EXCEPT ALL FROM b)) + (SELECT count(*) FROM (FROM b EXCEPT ALL FROM lake." + name + "))")
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n != 0 {
			return fmt.Errorf("%s: %d rows differ from the plain query", name, n)
		}
	}
	return nil
}

// send posts events of some users.
func send(t *testing.T, s *rig.Server, from, n int) {
	t.Helper()
	var calls []string
	for i := from; i < from+n; i++ {
		event := []string{"Order Completed", "Seen"}[i%2]
		calls = append(calls, fmt.Sprintf(`{"type":"track","event":%q,"messageId":"m%d","userId":"user-%d","timestamp":"2026-01-02T03:%02d:00Z","properties":{"amount":"%d.25"}}`, event, i, i%7, i%60, i))
	}
	status, text, err := s.Post(t.Context(), "/v1/batch", "choose-a-key", []byte(`{"batch":[`+strings.Join(calls, ",")+`]}`))
	if err != nil || status != 200 {
		t.Fatalf("send: %d, %v: %s", status, err, text)
	}
}

func TestExamples(t *testing.T) {
	s := rig.New(t, example(t))
	run(t, s)
}

func TestExamplesAtAStore(t *testing.T) {
	real := server.S3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", real.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", real.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	config := strings.Replace(example(t), "lake:\n", fmt.Sprintf("lake:\n  url: %q\n", real.URL("derived")), 1)
	run(t, rig.New(t, config))
}

func run(t *testing.T, s *rig.Server) {
	t.Helper()
	s.Start()
	const batches, batch = 4, 40
	for i := range batches {
		send(t, s, i*batch, batch)
		s.Eventually(patience, "the tables with what came", func() error {
			n, err := s.Count("SELECT count(*) FROM lake.production")
			if err == nil && n < (i+1)*batch {
				err = fmt.Errorf("%d events", n)
			}
			if err != nil {
				return err
			}
			return same(s)
		})
		if i == 1 {
			s.Kill()
			s.Start()
		}
		if i > 0 {
			continue
		}
		s.Eventually(patience, "runs", func() error {
			n, err := s.Count("SELECT count(DISTINCT name) FROM firth.runs WHERE kind = 'derive' AND state = 'success'")
			if err == nil && n < len(plain) {
				err = fmt.Errorf("%d tables were made", n)
			}
			return err
		})
	}
	if got, err := s.Count("SELECT count(*) FROM lake.last_seen WHERE user_id = 'user-3'"); err != nil || got != 1 {
		t.Fatalf("%d rows of a user before the purge, %v", got, err)
	}
	text, err := s.Run("lake", "purge", "--user", "user-3", "--grace", "0s")
	if err != nil {
		t.Fatalf("purge: %v\n%s", err, text)
	}
	if !strings.Contains(text, "lake.spent was made anew") {
		t.Errorf("the receipt says nothing of the derived tables:\n%s", text)
	}
	s.Eventually(patience, "the tables without the person", func() error {
		for name := range plain {
			n, err := s.Count("SELECT count(*) FROM lake." + name + " WHERE user_id = 'user-3'")
			if err == nil && n != 0 {
				err = fmt.Errorf("%s has the person", name)
			}
			if err != nil {
				return err
			}
		}
		return same(s)
	})
	status, components, err := s.Ready()
	if err != nil || status != 200 || !strings.Contains(fmt.Sprint(components), "derived table spent") {
		t.Errorf("/readyz: %d, %v: %v", status, err, components)
	}
	found, err := s.Run("check")
	if !strings.Contains(found, "kept incremental") || !strings.Contains(found, "kept whole: merge_sql has avg") {
		t.Errorf("check: %v\n%s", err, found)
	}
	s.Stop()
	out, err := s.Run("query", "SELECT count(*) AS n FROM lake.spent")
	if err != nil || !strings.Contains(out, "6") {
		t.Errorf("query without a server: %v\n%s", err, out)
	}
}
