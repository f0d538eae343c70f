package lake

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/test/rig"
)

// send posts a batch of ten events with 30 KB of text each.
func send(t *testing.T, s *rig.Server, n int) (events int, r *http.Response) {
	t.Helper()
	const batch = 10
	var body strings.Builder
	body.WriteString(`{"batch":[`)
	for i := range batch {
		var b [15_000]byte
		if _, err := rand.Read(b[:]); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"type":"track","event":"Big","userId":"u","messageId":"m%d-%d","properties":{"text":"%s"}}`, n, i, hex.EncodeToString(b[:]))
	}
	body.WriteString("]}")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/batch", bytes.NewReader([]byte(body.String())))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("k", "")
	r, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return batch, r
}

// TestJournalFillsUpAndHeals takes the lake's folder away from the writer: events are accepted until the journal's budget is used
// up, which is said in words before, then refused with 503 and Retry-After; and when the folder is back all goes on by itself.
func TestJournalFillsUpAndHeals(t *testing.T) {
	s := rig.New(t, `
sources: { production: { write_key: k } }
journal: { max_bytes: 16MiB }
lake: { flush: { every: 100ms }, grace: 5s }
query: { deadline: 4s }
`)
	s.Start()
	acked, r := send(t, s, 0)
	if r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	s.Eventually(time.Minute, "the first events", func() error { return holds(s, acked) })

	// The table's data folder is gone, and in its place lies a file: no user, not even root, can write a file into that.
	folder := filepath.Join(s.Data, "lake", "production", "data")
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	goes, said := 1, false
	for ; r.StatusCode == http.StatusOK; goes++ {
		if goes > 1000 {
			t.Fatal("the journal takes more than its budget")
		}
		var n int
		if n, r = send(t, s, goes); r.StatusCode == http.StatusOK {
			acked += n
		}
		if !said && goes > 37 { // about two thirds of the budget
			s.SaysInReady(time.Minute, "of journal.max_bytes is used", "the lake cannot be written", "503 with Retry-After")
			if err := s.Accepts(); err != nil {
				t.Errorf("with room in the journal: %v", err)
			}
			said = true
		}
	}
	if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("with the budget used up: %s, Retry-After %q", r.Status, r.Header.Get("Retry-After"))
	}
	if !said {
		t.Errorf("the budget was used up after %d batches already", goes)
	}
	status, components, err := s.Ready()
	failed := slices.IndexFunc(components, func(c rig.Component) bool { return c.Name == "journal" && c.State == "failed" && c.Hint != "" })
	if err != nil || status != http.StatusServiceUnavailable || failed < 0 {
		t.Errorf("/readyz with the budget used up: %d %+v, %v", status, components, err)
	}

	s.Eventually(time.Minute, "the log to say it", func() error {
		if !strings.Contains(s.Log(0), "writes are refused with 503") {
			return errors.New("it does not")
		}
		return nil
	})

	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	s.Eventually(60*time.Second, "the events that were acknowledged, each once", func() error { return holds(s, acked) })
	s.Eventually(time.Minute, "writes to be accepted again", func() error {
		n, r := send(t, s, goes)
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", r.Status)
		}
		acked += n
		return nil
	})
	s.Eventually(time.Minute, "every component to be well", func() error {
		_, components, err := s.Ready()
		for _, c := range components {
			if c.State != "ok" {
				return fmt.Errorf("%+v", c)
			}
		}
		return err
	})
	s.Eventually(time.Minute, "the last events", func() error { return holds(s, acked) })
	log := s.Log(0)
	at := 0
	for _, line := range []string{"the journal fills up", "writes are refused with 503", "writes are accepted again"} {
		i := strings.Index(log[at:], line)
		if i < 0 {
			t.Fatalf("the log does not say %q where it should", line)
		}
		at += i
	}
}

// holds returns nil when lake and typed tables have so many events, each once.
func holds(s *rig.Server, want int) error {
	for _, table := range []string{"lake.production", "production.tracks"} {
		id := map[bool]string{true: "message_id", false: "id"}[strings.HasPrefix(table, "lake.")]
		n, err := s.Count("SELECT count(*) FROM " + table)
		if err != nil {
			return err
		}
		ids, err := s.Count("SELECT count(DISTINCT " + id + ") FROM " + table)
		if err != nil {
			return err
		}
		if n != want || ids != want {
			return fmt.Errorf("%s has %d rows with %d ids, want %d", table, n, ids, want)
		}
	}
	return nil
}
