package mirror

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/internal/schedule"
	"firth/internal/source"
	"firth/internal/state"
)

// handClock is a clock that moves when somebody waits for it.
type handClock struct {
	mu  sync.Mutex
	now time.Time
	end time.Time
	off context.CancelFunc
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) Wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now = c.now.Add(d); c.now.After(c.end) {
		c.off()
	}
	return ctx.Err()
}

func TestRunnerKeepsItsScheduleAndBacksOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Unix(1_800_000_000, 0)
	clock := &handClock{now: start, end: start.Add(31 * time.Minute), off: cancel}
	f, tgt := people(10), newTarget()
	m := testMirror(Config{Mode: ModeReplace}, f, tgt)
	m.o.Now, m.o.Wait = clock.Now, clock.Wait
	var at []time.Duration
	var seen []state.Component
	r := NewRunner(m, Clocks{Copy: schedule.Every(10 * time.Minute)})
	f.step = func(what string) error {
		if what != "open" {
			return nil
		}
		at = append(at, clock.Now().Sub(start))
		seen = append(seen, r.State())
		if n := len(at); n >= 2 && n <= 5 {
			return &source.Error{Op: "connect", Name: "m", Err: errors.New("no such user"), Advice: "create it"}
		}
		return nil
	}
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{0, 10 * time.Minute, 10*time.Minute + time.Second, 10*time.Minute + 3*time.Second, 10*time.Minute + 7*time.Second, 10*time.Minute + 15*time.Second,
		20*time.Minute + 15*time.Second, 30*time.Minute + 15*time.Second}
	if len(at) != len(want) {
		t.Fatalf("runs at %v, wanted %v", at, want)
	}
	for i := range want {
		if at[i] != want[i] {
			t.Errorf("run %d at %v, wanted %v", i, at[i], want[i])
		}
	}
	if s := seen[1]; s.State != state.OK {
		t.Errorf("before it failed: %+v", s)
	}
	if s := seen[4]; s.State != state.Failed || !strings.Contains(s.Error, "no such user (tried 3 times in ") || !strings.HasPrefix(s.Hint, "create it. ") {
		t.Errorf("while it failed: %+v", s)
	}
	if s := seen[6]; s.State != state.OK {
		t.Errorf("afterwards: %+v", s)
	}
	if s := r.State(); s.State != state.Stopping {
		t.Errorf("at the end: %+v", s)
	}
}

func TestRunsOfOneMirrorTakeTurns(t *testing.T) {
	f, tgt := people(100), newTarget()
	var mu sync.Mutex
	inside, most := 0, 0
	m := testMirror(Config{Mode: ModeReplace}, f, tgt)
	open := m.o.From
	m.o.From = func(ctx context.Context) (Source, error) {
		mu.Lock()
		inside++
		most = max(most, inside)
		mu.Unlock()
		return open(ctx)
	}
	tgt.step = func(what string) error {
		if what == "published" {
			mu.Lock()
			inside--
			mu.Unlock()
		}
		return nil
	}
	r := NewRunner(m, Clocks{})
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if rep, err := r.Do(t.Context(), RunOptions{}, func(Progress) {}); err != nil || rep.Rows != 100 {
				t.Errorf("%v %v", rep, err)
			}
		})
	}
	group.Wait()
	if most != 1 {
		t.Errorf("%d runs at once", most)
	}
	if r.Last() == nil || r.State().State != state.OK {
		t.Errorf("%+v", r.State())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if rep, err := r.Do(ctx, RunOptions{}, nil); err == nil || rep == nil {
		t.Error("a run that was called off is well")
	}
}
