package lake

import (
	"context"
	"slices"
	"testing"
	"time"

	"firth/internal/event"
)

// dated makes calls of one day that were received at a time.
func dated(c *corpus, day, received time.Time, n int) []*event.Call {
	calls := c.calls(n)
	for i, call := range calls {
		call.TS = day.Add(time.Duration(i+1) * time.Hour / 2).UnixMicro()
		call.ReceivedAt = received.UnixMicro()
	}
	return calls
}

func TestRetentionDropsWholeDaysAndNoOther(t *testing.T) {
	d := newTended(newEnv(t), 10*24*time.Hour)
	d.mustOpen()
	defer d.close()
	d.now = time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	c := newCorpus(71, testStart)
	today := d.now.Truncate(24 * time.Hour)
	var want []event.Call
	var dropped int64
	for back := range 20 {
		for range 2 { // two files a day
			calls := d.mustFlush("production", dated(c, today.AddDate(0, 0, -back), d.now.AddDate(0, 0, -back), 3)...)
			// All of the tenth day back ended 9 days and 6 hours ago, of the eleventh 10 days and 6 hours.
			if back <= 10 {
				want = append(want, calls...)
			} else {
				dropped += 3
			}
		}
	}
	for _, back := range []int{0, 10, 11, 300} {
		at := d.now.AddDate(0, 0, -back).UnixMicro()
		d.journal.append(at, item{dead: &event.DeadLetter{ReceivedAt: at, Reason: "missing_event"}})
		if err := d.flush(); err != nil {
			t.Fatal(err)
		}
	}
	before := d.metadata("production")
	report := d.mustRound()
	if report.DroppedDays != 9+2 || report.DroppedRows != dropped+2 || report.DroppedFiles != 18+2 {
		t.Errorf("%+v", report)
	}
	d.wantRows("production", want)
	if n := d.snapshot(DeadLetters).Rows; n != 2 {
		t.Errorf("%d dead letters, want 2", n)
	}
	after := d.metadata("production")
	if after.Properties()[positionKey+testLog] != before.Properties()[positionKey+testLog] {
		t.Error("the position moved")
	}
	d.wantHistory("production", "delete", "2026-11-10")
	if s := d.tender.Stats(); s.DroppedRows != dropped+2 || s.DroppedFiles != 20 {
		t.Errorf("%+v", s)
	}
	if report := d.mustRound(); report.DroppedFiles != 0 {
		t.Errorf("again %+v", report)
	}
	d.pass(testGrace) // files of 50 snapshots are still named
	d.mustRound()
	d.wantRows("production", want)
}

// wantHistory looks at the youngest snapshot of a table.
func (d *tended) wantHistory(table, operation, keptFrom string) {
	d.t.Helper()
	r, err := openReader(context.Background(), d.o.Catalog, d.o.withDefaults().FS)
	if err != nil {
		d.t.Fatal(err)
	}
	defer closeIt(d.t, r)
	history, err := r.History(context.Background(), table)
	if err != nil || len(history) == 0 {
		d.t.Fatal(history, err)
	}
	h, snap := history[0], d.snapshot(table)
	if h.Operation != operation || h.KeptFrom != keptFrom || !h.Current || h.ID != snap.ID || h.Rows != snap.Rows || h.Files != int64(len(snap.Files)) {
		d.t.Errorf("the youngest snapshot is %+v", h)
	}
	if !slices.IsSortedFunc(history, func(a, b SnapshotInfo) int { return b.Time.Compare(a.Time) }) {
		d.t.Error("the history is not sorted")
	}
}

// TestRetentionLeavesWhatJustCame imports old events. Loaders have an hour to read them, unless a person says otherwise.
func TestRetentionLeavesWhatJustCame(t *testing.T) {
	d := newTended(newEnv(t), 10*24*time.Hour)
	d.mustOpen()
	defer d.close()
	c := newCorpus(72, testStart)
	old := d.now.Truncate(24*time.Hour).AddDate(-1, 0, 0)
	d.mustFlush("production", dated(c, old, d.now, 5)...)
	if r := d.mustRound(); r.DroppedFiles != 0 {
		t.Fatalf("%+v", r)
	}
	d.pass(59 * time.Minute)
	second := d.mustFlush("production", dated(c, old, d.now, 4)...)
	d.pass(2 * time.Minute)
	if r := d.mustRound(); r.DroppedRows != 5 {
		t.Fatalf("%+v", r)
	}
	d.wantRows("production", second)
	r, err := d.tender.Expire(t.Context(), nil)
	if err != nil || r.DroppedRows != 4 || r.DroppedDays != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	d.wantRows("production", nil)
	d.wantRows("production", nil)
	d.mustFlush("production", dated(c, d.now.Truncate(24*time.Hour), d.now, 4)...) // an empty table takes rows
	if n := d.snapshot("production").Rows; n != 4 {
		t.Errorf("%d rows", n)
	}
}

// TestRetentionDoesNotBelieveAJump sets the clock forward by years while the server runs.
func TestRetentionDoesNotBelieveAJump(t *testing.T) {
	d := newTended(newEnv(t), 10*24*time.Hour)
	d.mustOpen()
	defer func() { d.close() }()
	c := newCorpus(73, testStart)
	want := d.mustFlush("production", dated(c, d.now.Truncate(24*time.Hour), d.now, 5)...)
	d.mustRound()
	d.now = d.now.AddDate(2, 0, 0)
	for range 23 {
		d.mustRound()
		d.pass(time.Hour)
	}
	d.wantRows("production", want)
	d.now = d.now.AddDate(-2, 0, 0) // somebody sets it right
	d.mustRound()
	d.pass(48 * time.Hour)
	d.mustRound()
	d.wantRows("production", want)
	d.now = d.now.AddDate(2, 0, 0) // and this time it is meant
	d.mustRound()
	d.pass(25 * time.Hour)
	if r := d.mustRound(); r.DroppedRows != 5 {
		t.Errorf("%+v", r)
	}
}
