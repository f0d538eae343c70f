package sdk

import (
	"fmt"
	"testing"
	"time"

	"firth/test/rig"
)

// TestKilledServer: an SDK keeps sending while the server is killed and started again. Nothing that it was told 200 for is lost,
// and nothing that it sent again is doubled.
func TestKilledServer(t *testing.T) {
	const seconds, kills = 6, 4
	c := node("steady", "steady.js")
	s := rig.New(t, source(c))
	s.Start()
	tap := newTap(t, s.URL)
	p := c.start(t, tap.URL, runID(), fmt.Sprintf("FIRTH_SECONDS=%d", seconds))
	pause := time.NewTicker(seconds * time.Second / (kills + 1))
	defer pause.Stop()
	for range kills {
		<-pause.C
		s.Kill()
		s.Start()
	}
	var out struct{ Delivered, Failed []string }
	decode(t, p.wait(t), &out)

	acked, tries := map[string]bool{}, map[string]int{}
	for _, e := range tap.exchanges(t) {
		for _, call := range items(t, e) {
			tries[call.ID]++
			acked[call.ID] = acked[call.ID] || e.Status == 200
		}
	}
	for _, id := range out.Delivered {
		if !acked[id] {
			t.Errorf("the SDK reports %s as delivered, no answer of 200 says so", id)
		}
	}
	again := 0
	for id, n := range tries {
		if n > 1 {
			again++
		}
		if !acked[id] {
			delete(acked, id)
		}
	}
	t.Logf("%d calls, %d of them sent more than once, %d answered 200, %d given up", len(tries), again, len(acked), len(out.Failed))
	if len(acked) == 0 {
		t.Fatal("nothing was answered 200")
	}
	checkOnce(t, s, c, acked, tries)
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
