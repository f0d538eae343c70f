package lake

import (
	"testing"
	"time"
)

// TestClockThatJumps sets the clock back an hour and forward a day between flushes. Nothing is held up, and the times of the
// snapshots never decrease.
func TestClockThatJumps(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(8, testStart)
	start := time.Now()
	rows := 0
	for i, off := range []time.Duration{0, -time.Hour, -time.Hour, 24 * time.Hour, 24 * time.Hour, 0, -400 * 24 * time.Hour} {
		at := start.Add(off + time.Duration(i)*time.Second)
		e.o.Now = func() time.Time { return at }
		e.journal.calls("production", c.calls(10)...)
		rows += 10
		e.mustDrain()
		if n := len(e.rows("production")); n != rows {
			t.Fatalf("clock moved by %s: %d rows, want %d", off, n, rows)
		}
	}
	for _, table := range []string{"production", DeadLetters} { // one is committed with files, the other without
		meta := e.metadata(table)
		last := int64(0)
		for _, s := range meta.Snapshots() {
			if s.TimestampMs <= last {
				t.Errorf("%s: a snapshot at %d follows one at %d", table, s.TimestampMs, last)
			}
			last = s.TimestampMs
		}
		if want := start.Add(24*time.Hour + 3*time.Second).UnixMilli(); table == "production" && meta.LastUpdatedMillis() < want {
			t.Errorf("last commit at %d, want %d or later", meta.LastUpdatedMillis(), want)
		}
		for at := range meta.PreviousFiles() {
			if at.TimestampMs > meta.LastUpdatedMillis() {
				t.Errorf("%s: metadata of %d is older than one of %d", table, meta.LastUpdatedMillis(), at.TimestampMs)
			}
		}
	}
}
