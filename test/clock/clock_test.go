// Package clock sets the clock of a running pipeline, from the tracking API to SQL, back and forward, and counts.
package clock

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/test/audit"
	"firth/test/rig"
)

const patience = time.Minute

// newLoad sends a share of the batches twice, so that copies cross the jumps of the clock.
func newLoad(t *testing.T, p *pipeline) *rig.Load {
	l := rig.NewLoad(rig.At(t, p.url), sourceName, writeKey, 4, 1)
	l.Resend, l.Pause = 0.3, 5*time.Millisecond
	return l
}

// sendFor runs the load for some time.
func sendFor(l *rig.Load, d time.Duration) {
	l.Start()
	time.Sleep(d)
	l.Stop()
}

// jumps are what the clock may do to a server in its life: somebody sets it, a battery is empty, a guest wakes up.
var jumps = []time.Duration{-time.Hour, 25 * time.Hour, -26 * time.Hour, 3 * time.Hour}

// TestJumps sets the clock under load. Nothing is lost or doubled, nothing waits for the clock, and times and files stay sound.
func TestJumps(t *testing.T) {
	dir, c := t.TempDir(), &clock{}
	p := run(t, dir, c, settings{})
	l := newLoad(t, p)
	l.Start()
	time.Sleep(2 * time.Second)
	for _, by := range jumps {
		c.set(by)
		time.Sleep(2 * time.Second)
		keepsUp(t, p, l)
	}
	l.Stop()
	if l.Resent.Load() == 0 {
		t.Error("nothing was sent twice")
	}
	l.Settle(patience)
	healthy(t, p)
	p.stop()
	timesRise(t, dir, l.Acked())
}

// TestJumpOverARestart sets the clock while nothing runs: what was sent before is still known after the start.
func TestJumpOverARestart(t *testing.T) {
	dir, c := t.TempDir(), &clock{}
	p := run(t, dir, c, settings{})
	l := newLoad(t, p)
	sendFor(l, 2*time.Second)
	for _, by := range jumps {
		p.stop()
		c.set(by)
		p = run(t, dir, c, settings{})
		l = l.Fork(rig.At(t, p.url))
		sendFor(l, 2*time.Second)
	}
	l.Settle(patience)
	healthy(t, p)
	p.stop()
	timesRise(t, dir, l.Acked())
}

// TestDedupOverADay: copies of the events of hours are sent just after the clock went a day forward. For those who sent them only a
// moment has passed.
func TestDedupOverADay(t *testing.T) {
	dir, c := t.TempDir(), &clock{}
	p := run(t, dir, c, settings{window: 24 * time.Hour})
	l := newLoad(t, p)
	l.Resend = 0
	for range 12 { // the events of twelve hours, so that the window has more than its youngest part
		sendFor(l, 300*time.Millisecond)
		l.Settle(patience)
		c.set(time.Hour)
	}
	c.set(24 * time.Hour)
	l.Resend = 1
	sendFor(l, 3*time.Second)
	l.Settle(patience)
	if l.Resent.Load() < 20 {
		t.Errorf("only %d batches were sent twice", l.Resent.Load())
	}
}

// TestNothingIsDroppedEarly: a clock that jumps a day forward makes neither retention drop a day, nor the sweeper a file whose
// grace has not passed.
func TestNothingIsDroppedEarly(t *testing.T) {
	dir, c := t.TempDir(), &clock{}
	p := run(t, dir, c, settings{keep: time.Hour, grace: 10 * time.Second})
	l := newLoad(t, p)
	sendFor(l, 2*time.Second)
	l.Settle(patience)
	snap, err := p.reader.Snapshot(t.Context(), sourceName)
	if err != nil {
		t.Fatal(err)
	}
	report, err := p.merger.Merge(t.Context(), lake.MergeAll, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("merged: %+v", report)
	before := p.tender.Stats()
	c.set(48 * time.Hour)
	began := time.Now()
	rounds(t, p, before.Rounds+2)
	// Who took a snapshot before the jump still reads all of it for as long as the grace is.
	n := 0
	if err := readAll(p, snap, &n); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Skipf("the machine is too slow: %s have passed of a grace of 10s", took)
	}
	if n != l.Acked() {
		t.Errorf("%d of %d rows", n, l.Acked())
	}
	sendFor(l, 2*time.Second)
	l.Settle(patience)
	rounds(t, p, p.tender.Stats().Rounds+2)
	if after := p.tender.Stats(); after.DroppedRows > 0 {
		t.Errorf("retention took the clock's word: %+v", after)
	}
}

// rounds waits until the tender has been round so often.
func rounds(t *testing.T, p *pipeline, n int64) {
	rig.At(t, p.url).Eventually(patience, "the tender's rounds", func() error {
		if s := p.tender.Stats(); s.Rounds < n {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

func readAll(p *pipeline, snap *lake.Snapshot, n *int) error {
	for log, end := range snap.Positions {
		if err := p.reader.Calls(p.t.Context(), snap, log, 0, end, func(*event.Call) error { *n++; return nil }); err != nil {
			return err
		}
	}
	return nil
}

// keepsUp waits until what was acknowledged a moment ago is in the lake: no commit waits for the clock.
func keepsUp(t *testing.T, p *pipeline, l *rig.Load) {
	t.Helper()
	acked := int64(l.Acked())
	s := rig.At(t, p.url)
	s.Eventually(time.Minute, "the lake to follow", func() error {
		snap, err := p.reader.Snapshot(context.Background(), sourceName)
		if err == nil && snap.Rows < acked {
			err = fmt.Errorf("%d of %d rows; writer: %+v; merger: %+v; tender: %+v", snap.Rows, acked, p.writer.State(), p.merger.State(), p.tender.State())
		}
		return err
	})
}

// healthy checks that no part is in trouble.
func healthy(t *testing.T, p *pipeline) {
	t.Helper()
	for _, s := range []lake.State{p.writer.State(), p.merger.State(), p.tender.State()} {
		if s.State != lake.StateOK {
			t.Errorf("%+v", s)
		}
	}
	if m := p.merger.Stats(); m.Merges == 0 {
		t.Error("nothing was merged")
	}
}

// timesRise checks what a stopped pipeline has left: received_at rises with the offset, the snapshots' times rise, and no named
// file is missing.
func timesRise(t *testing.T, dir string, rows int) {
	t.Helper()
	found, err := audit.Read(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(found)
	if len(found.Missing) > 0 {
		t.Errorf("missing: %v", found.Missing)
	}
	if found.Rows[sourceName] != int64(rows) {
		t.Errorf("%d rows in the manifests, want %d", found.Rows[sourceName], rows)
	}
	for name, times := range found.Times {
		if !slices.IsSorted(times) {
			t.Errorf("%s: the times of snapshots decrease: %v", name, times)
		}
	}
	reader, err := lake.OpenReader(t.Context(), dir+"/catalog.db")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}()
	snap, err := reader.Snapshot(t.Context(), sourceName)
	if err != nil {
		t.Fatal(err)
	}
	type at struct {
		offset   uint64
		received int64
	}
	var all []at
	for log, end := range snap.Positions {
		if err := reader.Calls(t.Context(), snap, log, 0, end, func(c *event.Call) error {
			all = append(all, at{c.Offset, c.ReceivedAt})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(all, func(a, b at) int { return int(int64(a.offset) - int64(b.offset)) })
	for i := 1; i < len(all); i++ {
		if all[i].received < all[i-1].received || all[i].offset == all[i-1].offset {
			t.Fatalf("%+v comes after %+v", all[i], all[i-1])
		}
	}
	if span := time.Duration(all[len(all)-1].received-all[0].received) * time.Microsecond; span < 23*time.Hour {
		t.Errorf("received_at spans %s: the clock did not jump", span)
	}
}
