package lake

import (
	"errors"
	"slices"
	"testing"
	"time"

	"firth/internal/event"
)

// TestHistoryIsKilled ends the process before and after the commit that leaves out what has outstayed its time in a table at rest. The rows
// stay what they are, and the next round leaves it out.
func TestHistoryIsKilled(t *testing.T) {
	for _, at := range []string{"history", "catalog row", "done history"} {
		t.Run(at, func(t *testing.T) {
			d := newTended(newEnv(t), 0)
			d.o.History = 2 * time.Hour
			d.mustOpen()
			defer d.close()
			c := newCorpus(63, testStart)
			for range 40 {
				d.pass(time.Minute)
				d.mustFlush("production", c.call())
			}
			before, rows := len(d.metadata("production").Snapshots()), d.rows("production")
			if before < 30 {
				t.Fatalf("%d snapshots are kept of forty minutes", before)
			}
			d.pass(24 * time.Hour)
			killed := errors.New("killed")
			d.o.step = func(name string) error {
				if name == at+" production" {
					return killed
				}
				return nil
			}
			d.mustOpen()
			if err := d.round(); !errors.Is(err, killed) {
				t.Fatalf("it was to be killed: %v", err)
			}
			d.o.step = nil
			d.mustOpen()
			if err := d.round(); err != nil {
				t.Fatal(err)
			}
			if n := len(d.metadata("production").Snapshots()); n >= before || n == 0 {
				t.Errorf("%d snapshots are left of %d", n, before)
			}
			same := slices.EqualFunc(d.rows("production"), rows, func(a, b event.Call) bool { return a.MessageID == b.MessageID })
			if !same {
				t.Error("the rows are others than before")
			}
		})
	}
}
