package load_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
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
		want := []string{"pg success 20", "pg failure 0 open pg: connection refused", "pg success 1440"}
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

func TestOneSourceThatFailsIsTriedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newRemote(), &fakeReaders{}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		l.commit("b", journal, 5, calls(0, 5, 1)...)
		loads := map[string]int{}
		w.setFail(func(b *warehouse.Batch) error {
			loads[b.Source]++
			if b.Source == "a" {
				return &warehouse.Error{Op: "load", Object: "a.tracks", Kind: warehouse.Denied, Err: errors.New("permission denied for table tracks"), Hint: "GRANT ALL ON a.tracks TO firth"}
			}
			return nil
		})
		r := runner(l, w, v, schedule.Every(time.Hour))
		stop := begin(t, r)
		time.Sleep(10 * time.Minute)
		l.commit("b", journal, 9, calls(5, 4, 1)...)
		time.Sleep(40 * time.Minute)
		c := r.State()
		if c.State != state.Degraded || !strings.Contains(c.Error, "source a: load a.tracks: permission denied") || !strings.HasPrefix(c.Hint, "GRANT ALL ON a.tracks TO firth. Afterwards nothing has to be done: it is tried again by itself in ") {
			t.Errorf("%+v", c)
		}
		wantIDs(t, w.loaded("b"), ids(calls(0, 5, 1)))
		w.mu.Lock()
		if n := loads["a"]; n < 10 || n > 20 {
			t.Errorf("%d tries in 50 minutes", n)
		}
		w.mu.Unlock()
		time.Sleep(11 * time.Minute)
		wantIDs(t, w.loaded("b"), ids(calls(0, 9, 1)))
		w.setFail(nil)
		time.Sleep(5*time.Minute + time.Second)
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
		if c := r.State(); c.State != state.OK {
			t.Errorf("%+v", c)
		}
		stop()
		got := v.history()
		if len(got) < 3 || got[0] != "pg partial 10 source a: load a.tracks: permission denied for table tracks" || got[len(got)-1] != "pg success 20" {
			t.Errorf("runs %q", got)
		}
		first := v.runs[v.order[0]]
		if first.Hint != "GRANT ALL ON a.tracks TO firth" || !strings.HasPrefix(first.Notices[len(first.Notices)-1], "tried ") {
			t.Errorf("%+v", first)
		}
	})
}

func TestAHistoryThatIsAwayIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newRemote(), &fakeReaders{}
		r := runner(l, w, v, schedule.Every(5*time.Minute))
		v.mu.Lock()
		v.fail = errors.New("the warehouse is being opened again")
		v.mu.Unlock()
		stop := begin(t, r)
		time.Sleep(time.Minute)
		for i := range 3 {
			l.commit("a", journal, uint64(10*i+10), calls(uint64(10*i), 10, 1)...)
			time.Sleep(5 * time.Minute)
		}
		wantIDs(t, w.loaded("a"), ids(calls(0, 30, 1)))
		v.mu.Lock()
		v.fail, v.runs, v.order = nil, nil, nil
		v.mu.Unlock()
		time.Sleep(5 * time.Minute)
		stop()
		want := []string{"pg success 0", "pg success 20", "pg success 20", "pg success 20"}
		got := v.history()
		if diff := cmp.Diff(want, got[:min(4, len(got))]); diff != "" {
			t.Errorf("runs differ (-want +got):\n%s\n%q", diff, got)
		}
	})
}

func TestALongBackFillIsSeenWhileItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, v := newFakeLake(), &fakeReaders{}
		w := &slowWarehouse{fakeWarehouse: newFakeWarehouse()}
		w.pause.Store(int64(2 * time.Second))
		l.commit("a", journal, 4000, calls(0, 4000, 1)...)
		o := options(l, nil, nil)
		o.Name, o.Warehouse, o.History, o.Rows = "pg", nil, v, 20
		r := load.NewRunner(load.RunnerOptions{Loader: o, Schedule: schedule.Every(time.Hour), Open: func(context.Context) (load.Warehouse, error) { return w, nil }})
		stop := begin(t, r)
		time.Sleep(time.Minute)
		v.mu.Lock()
		seen := v.runs[v.order[0]]
		writes := v.writes
		v.mu.Unlock()
		if seen.State != warehouse.RunRunning || seen.Tables["a.tracks"] < 400 || seen.Load < 30*time.Second || writes < 5 || writes > 8 {
			t.Errorf("written %d times: %+v", writes, seen)
		}
		if f := r.Freshness(); len(f) != 1 || f[0].PendingRows > 3600 || f[0].PendingRows < 2000 {
			t.Errorf("%+v", f)
		}
		if s := r.Stats(); s.PendingRows == 0 || s.RowsPerSec < 5 || s.LastLoad.IsZero() {
			t.Errorf("%+v", s)
		}
		w.pause.Store(0)
		time.Sleep(time.Minute)
		stop()
		if diff := cmp.Diff([]string{"pg success 8000"}, v.history()); diff != "" {
			t.Errorf("runs differ (-want +got):\n%s", diff)
		}
	})
}

func TestAnEndInTheMidstOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newRemote(), &fakeReaders{}
		l.commit("a", journal, 100, calls(0, 100, 1)...)
		o := options(l, nil, nil)
		o.Name, o.Warehouse, o.History, o.Rows = "pg", nil, v, 30
		n := 0
		w.setFail(func(*warehouse.Batch) error {
			if n++; n == 2 {
				w.blocked = make(chan struct{})
			}
			return nil
		})
		r := load.NewRunner(load.RunnerOptions{Loader: o, Schedule: schedule.Every(time.Hour), Open: w.open})
		stop := begin(t, r)
		time.Sleep(time.Second)
		stop()
		if got := v.history(); len(got) != 1 || !strings.HasPrefix(got[0], "pg success ") || !slices.ContainsFunc(v.runs[v.order[0]].Notices, func(n string) bool { return strings.HasPrefix(n, "ended early") }) {
			t.Errorf("runs %q", got)
		}
		w.blocked = nil
		w.setFail(nil)
		r = load.NewRunner(load.RunnerOptions{Loader: o, Open: w.open})
		do(t, r, load.Order{})
		wantIDs(t, w.loaded("a"), ids(calls(0, 100, 1)))
	})
}

func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newRemote()
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		r := runner(l, w, nil, nil)
		stop := begin(t, r)
		time.Sleep(24 * time.Hour)
		if c := r.State(); c.State != state.OK || w.opens != 0 {
			t.Errorf("%+v, opened %d times", c, w.opens)
		}
		w.set(refused(), false)
		report, err := r.Do(t.Context(), load.Order{}, nil)
		if warehouse.KindOf(err) != warehouse.Down || report.Run.State != warehouse.RunFailure || report.Run.Hint != "start the server" {
			t.Errorf("%+v, %v", report, err)
		}
		if c := r.State(); c.State != state.Failed || c.Hint != "start the server. Then load again: this warehouse is loaded on demand" {
			t.Errorf("%+v", c)
		}
		w.set(nil, false)
		do(t, r, load.Order{})
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
		if c := r.State(); w.closes != 1 || c.State != state.OK {
			t.Errorf("closed %d times, %+v", w.closes, c)
		}
		l.commit("a", journal, 20, calls(10, 10, 1)...)
		time.Sleep(10 * time.Second)
		if f := r.Freshness(); len(f) != 1 || f[0].PendingRows != 10 {
			t.Errorf("%+v", f)
		}
		stop()
	})
}

// TestFreshnessOfOthers stands with that of the embedded warehouse, and changes without it.
func TestFreshnessOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newFakeWarehouse(), &fakeReaders{}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		var pending atomic.Int64
		o := options(l, w, v)
		o.Others = func() []warehouse.Freshness {
			return []warehouse.Freshness{{Source: "a", Warehouse: "pg", PendingRows: pending.Load()}}
		}
		loader := load.New(o)
		stop := run(t, loader)
		for _, n := range []int64{10, 3} {
			pending.Store(n)
			time.Sleep(time.Second)
			v.mu.Lock()
			if f := v.freshness; len(f) != 2 || f[0].Warehouse != "local" || f[1].Warehouse != "pg" || f[1].PendingRows != n {
				t.Errorf("%+v", f)
			}
			v.mu.Unlock()
		}
		if f := loader.Freshness(); len(f) != 1 {
			t.Errorf("the loader's own: %+v", f)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFreshnessOutlivesTheProcess: a warehouse that is down when the process starts.
func TestFreshnessOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newRemote()
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		next := func() *load.Runner {
			o := options(l, nil, nil)
			o.Name, o.Warehouse, o.TempDir = "pg", nil, dir
			return load.NewRunner(load.RunnerOptions{Loader: o, Open: w.open, Schedule: schedule.Every(time.Minute)})
		}
		stop := begin(t, next())
		time.Sleep(time.Second)
		stop()
		w.set(refused(), false)
		l.commit("a", journal, 17, calls(10, 7, 1)...)
		r := next()
		stop = begin(t, r)
		time.Sleep(time.Second)
		f := r.Freshness()
		if len(f) != 1 || f[0].PendingRows != 7 || f[0].LoadedThrough != call(9, "").ReceivedAt || f[0].LoadedAt.IsZero() {
			t.Errorf("%+v", f)
		}
		stop()
		// What the file says decides nothing.
		if err := os.WriteFile(filepath.Join(dir, "positions-pg.json"), []byte(`{"a":{"next":{"`+journal+`":1000}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		w.set(nil, false)
		stop = begin(t, next())
		time.Sleep(time.Second)
		wantIDs(t, w.loaded("a"), ids(calls(0, 17, 1)))
		stop()
	})
}

// TestALoadThatNeedsLongGetsLonger: what alters a great table takes its time.
func TestALoadThatNeedsLongGetsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), &patient{fakeWarehouse: newFakeWarehouse(), needs: 3 * time.Hour}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		o := options(l, nil, nil)
		o.Name, o.Warehouse = "pg", nil
		r := load.NewRunner(load.RunnerOptions{Loader: o, Schedule: schedule.Every(time.Minute), Open: func(context.Context) (load.Warehouse, error) { return w, nil }})
		stop := begin(t, r)
		time.Sleep(10 * time.Minute)
		if c := r.State(); c.State != state.Degraded || c.Error != "load pg: no answer for 9 minutes" && c.Error != "load pg: no answer for 10 minutes" {
			t.Errorf("%+v", c)
		}
		time.Sleep(25 * time.Minute)
		if c := r.State(); c.State != state.Failed || !strings.Contains(c.Error, "load pg: no answer in 30 minutes") {
			t.Errorf("%+v", c)
		}
		time.Sleep(12 * time.Hour)
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
		if c := r.State(); c.State != state.OK {
			t.Errorf("%+v", c)
		}
		stop()
	})
}

// patient needs so long for its first load.
type patient struct {
	*fakeWarehouse
	needs time.Duration
}

func (w *patient) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(w.needs):
	}
	return w.fakeWarehouse.Load(ctx, b)
}
