package sdk

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"firth/test/rig"
)

// TestKilledServer: an SDK keeps sending while the server is killed, right after bytes of a request have reached it, and started
// again. Nothing that the SDK was told 200 for is lost, and nothing that it sent again is doubled.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	const kills = 6
	c := node("steady", "steady.js")
	s := rig.New(t, source(c))
	s.Start()
	tap := newTap(t, s.URL)
	p := c.start(t, tap.URL, runID())
	for range kills {
		time.Sleep(time.Duration(100+rand.IntN(500)) * time.Millisecond) // somewhere within the server's second between flushes
		awaitRequest(t, tap)
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // before, within or after the write of the journal
		s.Kill()
		s.Start()
	}
	awaitRequest(t, tap)
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	var out struct{ Delivered, Failed []string }
	decode(t, p.wait(t), &out)

	acked, sent, retries := map[string]bool{}, map[string]int{}, 0
	for _, e := range tap.exchanges(t) {
		if e.Header.Get("X-Retry-Count") != "" {
			retries++
		}
		for _, call := range items(t, e) {
			sent[call.ID]++
			if e.Status == 200 {
				acked[call.ID] = true
			}
		}
	}
	again := 0
	for _, n := range sent {
		if n > 1 {
			again++
		}
	}
	t.Logf("%d calls, %d answered 200, %d reached a server more than once; %d requests sent again; %d calls given up",
		len(sent), len(acked), again, retries, len(out.Failed))
	for _, id := range out.Delivered {
		if !acked[id] {
			t.Errorf("the SDK reports %s as delivered, no answer of 200 says so", id)
		}
	}
	if len(acked) == 0 || retries == 0 {
		t.Fatal("nothing was answered 200, or nothing was sent again: the kills met nobody")
	}
	checkOnce(t, s, c, acked, sent)
}

// awaitRequest returns when bytes of a request have just been passed on.
func awaitRequest(t *testing.T, p *tap) {
	t.Helper()
	select {
	case <-p.passed:
	default:
	}
	select {
	case <-p.passed:
	case <-time.After(time.Minute):
		t.Fatal("the SDK sends no more")
	}
}

// checkOnce waits until all acknowledged calls are in lake and tables, and checks that each row there was sent and is there once.
func checkOnce(t *testing.T, s *rig.Server, c client, acked map[string]bool, sent map[string]int) {
	t.Helper()
	for _, query := range []string{"SELECT message_id FROM lake.%s", "SELECT id FROM %s.tracks", "SELECT id FROM %s.steady"} {
		query = fmt.Sprintf(query, c.name)
		var rows [][]any
		eventually(t, time.Minute, query, func() error {
			out, err := s.SQL(query)
			if err != nil {
				return err
			}
			rows = out.Rows
			missing := len(acked)
			for _, cells := range rows {
				if acked[text(cells[0])] {
					missing--
				}
			}
			if missing > 0 {
				return fmt.Errorf("%d of %d acknowledged calls are missing", missing, len(acked))
			}
			return nil
		})
		seen := map[string]bool{}
		for _, cells := range rows {
			id := text(cells[0])
			if seen[id] {
				t.Errorf("%s: %s is there twice", query, id)
			}
			if sent[id] == 0 {
				t.Errorf("%s: %s was never sent", query, id)
			}
			seen[id] = true
		}
		for id := range acked {
			if !seen[id] {
				t.Errorf("%s: %s was answered 200 and is lost", query, id)
			}
		}
	}
}
