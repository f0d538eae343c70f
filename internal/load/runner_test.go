package load_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/load"
	"firth/internal/schedule"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// remote is a fake warehouse that can be down, hang, or be there.
type remote struct {
	*fakeWarehouse
	opens, closes int
	down          error // returned by open
	hang          bool  // open waits for its context
}

func newRemote() *remote { return &remote{fakeWarehouse: newFakeWarehouse()} }

func (r *remote) open(ctx context.Context) (load.Warehouse, error) {
	r.mu.Lock()
	r.opens++
	down, hang := r.down, r.hang
	r.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if down != nil {
		return nil, down
	}
	return r, nil
}

func (r *remote) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closes++
	return nil
}

func (r *remote) set(down error, hang bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.hang = down, hang
}

// runner loads from a lake into a remote warehouse named pg.
func runner(l *fakeLake, r *remote, v *fakeReaders, s schedule.Schedule) *load.Runner {
	o := options(l, nil, nil)
	o.Name, o.Warehouse = "pg", nil
	if v != nil {
		o.History = v
	}
	return load.NewRunner(load.RunnerOptions{Loader: o, Open: r.open, Schedule: s})
}

// begin lets a runner run within a synctest bubble.
func begin(t *testing.T, r *load.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		before := time.Now()
		if err := <-done; err != nil {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(before); took > 0 {
			t.Errorf("the stop took %s", took)
		}
	}
}

func refused() error {
	return &warehouse.Error{Op: "open", Object: "pg", Kind: warehouse.Down, Err: errors.New("connection refused"), Hint: "start the server"}
}

func TestARunnerLoadsBySchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newRemote(), &fakeReaders{}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		r := runner(l, w, v, schedule.Every(time.Hour))
		if c := r.State(); c.State != state.Starting {
			t.Errorf("%+v before the start", c)
		}
		stop := begin(t, r)
		time.Sleep(time.Second)
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
		l.commit("a", journal, 20, calls(10, 10, 1)...)
		l.commit("b", journal, 3, calls(0, 3, 1)...)
		time.Sleep(30 * time.Minute)
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
		f := r.Freshness()
		if len(f) != 1 || f[0].PendingRows != 10 || f[0].Warehouse != "pg" || f[0].LoadedThrough != calls(9, 1, 1)[0].ReceivedAt {
			t.Errorf("freshness between runs: %+v", f)
		}
		time.Sleep(31 * time.Minute)
		wantIDs(t, w.loaded("a"), ids(calls(0, 20, 1)))
		wantIDs(t, w.loaded("b"), ids(calls(0, 3, 1)))
		time.Sleep(time.Hour)
		if c := r.State(); c.State != state.OK {
			t.Errorf("%+v", c)
		}
		stop()
		want := []string{"pg success 20", "pg success 26", "pg success 0"}
		if diff := cmp.Diff(want, v.history()); diff != "" {
			t.Errorf("runs differ (-want +got):\n%s", diff)
		}
		first := v.runs[v.order[0]]
		if first.Tables["a.tracks"] != 10 || first.Tables["a.clicked"] != 10 || !strings.HasPrefix(first.Notices[len(first.Notices)-1], "prepare ") {
			t.Errorf("%+v", first)
		}
		if w.opens != 3 || w.closes != 3 {
			t.Errorf("opened %d times, closed %d times", w.opens, w.closes)
		}
	})
}

func TestAWarehouseThatIsDownForDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newRemote(), &fakeReaders{}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		r := runner(l, w, v, schedule.Every(2*time.Second))
		stop := begin(t, r)
		time.Sleep(10 * time.Second)
		w.set(refused(), false)
		w.setFail(func(*warehouse.Batch) error { return refused() })
		var at uint64 = 10
		for range 72 {
			l.commit("a", journal, at+10, calls(at, 10, 1)...)
			at += 10
			time.Sleep(time.Hour)
		}
		c := r.State()
		if c.State != state.Failed || !strings.Contains(c.Error, "connection refused (tried ") || !strings.Contains(c.Error, "in 2 days)") && !strings.Contains(c.Error, "in 3 days)") ||
			!strings.Contains(c.Hint, "start the server") || !strings.Contains(c.Hint, "720 rows wait in the lake") {
			t.Errorf("%+v", c)
		}
		if w.opens > 72*13 {
			t.Errorf("opened %d times in 72 hours: the back-off is to grow to five minutes", w.opens)
		}
		if f := r.Freshness(); len(f) != 1 || f[0].PendingRows != 720 || f[0].LoadedAt.IsZero() {
			t.Errorf("freshness while it is down: %+v", f)
		}
		w.set(nil, false)
		w.setFail(nil)
		time.Sleep(5*time.Minute + time.Second)
		wantIDs(t, w.loaded("a"), ids(calls(0, int(at), 1)))
		if c := r.State(); c.State != state.OK {
			t.Errorf("%+v", c)
		}
		time.Sleep(10 * time.Minute)
		stop()
		want := []string{"pg success 20", "pg failure 0 source a: open pg: connection refused", "pg failure 0 open pg: connection refused", "pg success 1440"}
		if diff := cmp.Diff(want, v.history()); diff != "" {
			t.Errorf("runs differ (-want +got):\n%s", diff)
		}
	})
}

func TestAWarehouseThatHangsHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, other := newFakeLake(), newRemote(), newRemote()
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		w.hang = true
		r, fine := runner(l, w, nil, schedule.Every(time.Second)), runner(l, other, nil, schedule.Every(time.Second))
		stop, stopFine := begin(t, r), begin(t, fine)
		time.Sleep(10 * time.Second)
		wantIDs(t, other.loaded("a"), ids(calls(0, 10, 1)))
		time.Sleep(2 * time.Minute)
		if c := r.State(); c.State != state.Failed || !strings.Contains(c.Error, "connect to pg: no answer in") {
			t.Errorf("%+v", c)
		}
		// It opens and then hangs in the midst of a load.
		w.blocked = make(chan struct{})
		w.set(nil, false)
		time.Sleep(5 * time.Minute)
		if c := r.State(); !strings.Contains(c.Error, "load pg: no answer for") && !strings.Contains(c.Error, "no answer in") {
			t.Errorf("%+v", c)
		}
		stop()
		stopFine()
	})
}
