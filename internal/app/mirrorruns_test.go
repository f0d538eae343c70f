package app

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"firth/internal/warehouse"
)

// runBook keeps rows as firth.runs does: one an ID.
type runBook struct {
	now   time.Time
	rows  map[string]warehouse.Run
	order []string
	n     int
	j     *joinedRuns
}

func newRunBook(short bool) *runBook {
	b := &runBook{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), rows: map[string]warehouse.Run{}}
	b.j = newJoinedRuns(func() time.Time { return b.now }, func(string) bool { return short }, func(r *warehouse.Run) {
		if _, ok := b.rows[r.ID]; !ok {
			b.order = append(b.order, r.ID)
		}
		b.rows[r.ID] = *r
	})
	return b
}

// run carries one out that takes a while and is seen every five seconds, and waits a moment behind it.
func (b *runBook) run(name, state, failure string, took, wait time.Duration, notices ...string) {
	b.n++
	r := warehouse.Run{ID: fmt.Sprint(b.n), Kind: mirrorKind, Name: name, State: warehouse.RunRunning, StartedAt: b.now}
	at := r
	b.j.record(&at)
	for end := b.now.Add(took); b.now.Before(end); {
		step := min(5*time.Second, end.Sub(b.now))
		b.now = b.now.Add(step)
		if b.now.Before(end) {
			at := r
			b.j.record(&at)
		}
	}
	r.State, r.Error, r.FinishedAt, r.Rows, r.Notices = state, failure, b.now, 10, notices
	r.Tables = map[string]int64{"t": 10}
	b.j.record(&r)
	b.now = b.now.Add(wait)
}

func (b *runBook) told(t *testing.T) (out []string) {
	t.Helper()
	b.j.end()
	for _, id := range b.order {
		r := b.rows[id]
		if r.State == warehouse.RunRunning {
			t.Errorf("run %s stands as running", id)
		}
		out = append(out, fmt.Sprintf("%s %s %d %v", r.Name, r.State, r.Rows, r.Notices))
	}
	return out
}

func TestRunsThatFollowCloselyAreOne(t *testing.T) {
	b := newRunBook(true)
	for range 300 { // ten minutes
		b.run("m", warehouse.RunSuccess, "", 100*time.Millisecond, 1900*time.Millisecond)
	}
	if got := b.told(t); len(got) != 2 || got[0] != "m success 1500 [150 runs]" {
		t.Fatalf("rows: %q", got)
	}
	first, second := b.rows[b.order[0]], b.rows[b.order[1]]
	if first.Tables["t"] != 1500 || !second.StartedAt.After(first.FinishedAt) {
		t.Errorf("%+v, %+v", first, second)
	}
}

func TestRunsThatEndOtherwiseAreApart(t *testing.T) {
	b := newRunBook(true)
	for _, c := range []struct{ state, failure, note string }{
		{warehouse.RunSuccess, "", ""}, {warehouse.RunSuccess, "", ""}, {warehouse.RunFailure, "down", ""}, {warehouse.RunFailure, "down", ""}, {warehouse.RunFailure, "denied", ""},
		{warehouse.RunSuccess, "", ""}, {warehouse.RunPartial, "", "id 1: no"}, {warehouse.RunPartial, "", "id 2: no"}, {warehouse.RunSuccess, "", ""},
	} {
		var notes []string
		if c.note != "" {
			notes = []string{c.note}
		}
		b.run("m", c.state, c.failure, time.Second, time.Second, notes...)
		b.run("m/get", warehouse.RunSuccess, "", time.Second, 0)
	}
	want := []string{
		"m success 20 [2 runs]", "m/get success 90 [9 runs]", "m failure 20 [tried 2 times]", "m failure 10 []", "m success 10 []",
		"m partial 20 [id 1: no id 2: no 2 runs]", "m success 10 []",
	}
	if got := b.told(t); !slices.Equal(got, want) {
		t.Errorf("rows: %q, want %q", got, want)
	}
}

func TestRunsOfSlowClocksAreApartButFailuresAreNot(t *testing.T) {
	b := newRunBook(false)
	b.run("m", warehouse.RunSuccess, "", time.Second, time.Minute)
	b.run("m", warehouse.RunSuccess, "", time.Second, time.Minute)
	for range 100 {
		b.run("m", warehouse.RunFailure, "down", time.Second, 5*time.Minute)
	}
	b.run("m", warehouse.RunFailure, "down", time.Minute, 5*time.Minute) // seen while it goes on
	b.run("m", warehouse.RunSuccess, "", time.Minute, time.Minute)
	want := []string{"m success 10 []", "m success 10 []", "m failure 1000 [tried 100 times]", "m failure 10 []", "m success 10 []"}
	if got := b.told(t); !slices.Equal(got, want) {
		t.Errorf("rows: %q, want %q", got, want)
	}
}

func TestRunsThatTakeLongerThanTheirClockAreOne(t *testing.T) {
	b := newRunBook(true)
	for range 10 {
		b.run("m", warehouse.RunSuccess, "", 12*time.Second, 0)
	}
	b.run("m", warehouse.RunFailure, "down", 12*time.Second, 0)
	want := []string{"m success 100 [10 runs]", "m failure 10 []"}
	if got := b.told(t); !slices.Equal(got, want) {
		t.Errorf("rows: %q, want %q", got, want)
	}
}
