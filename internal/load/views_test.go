package load_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/warehouse"
)

func TestViewsFollowTheLake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newFakeWarehouse(), &fakeReaders{}
		l.commit("my-app", journal, 10, calls(0, 10, 1)...)
		loader := load.New(options(l, w, v))
		stop := run(t, loader)
		time.Sleep(time.Minute)
		l.commit("my-app", journal, 20, calls(10, 10, 1)...)
		l.commit(lake.DeadLetters, journal, 20, call(11, `{}`))
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"my_app: /lake/my-app/1.parquet", "end runs of load local/my-app",
			"my_app: /lake/my-app/1.parquet /lake/my-app/2.parquet", "dead letters: /lake/firth_dead_letters/1.parquet",
		}
		if diff := cmp.Diff(want, v.calls); diff != "" {
			t.Errorf("refreshed (-want +got):\n%s", diff)
		}
		if len(v.files) != 3 {
			t.Errorf("%d files, want 3", len(v.files))
		}
	})
}

func TestFreshness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newFakeWarehouse(), &fakeReaders{}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		loader := load.New(options(l, w, v))
		stop := run(t, loader)
		time.Sleep(time.Second)
		first := call(9, "").ReceivedAt
		want := []warehouse.Freshness{{Source: "a", Warehouse: "local", ReceivedThrough: first, LoadedThrough: first, LoadedAt: loader.Freshness()[0].LoadedAt}}
		if diff := cmp.Diff(want, loader.Freshness()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.setFail(func(*warehouse.Batch) error { return errors.New("down") })
		l.commit("a", journal, 110, calls(100, 10, 1)...)
		time.Sleep(5 * time.Second)
		want[0].ReceivedThrough, want[0].PendingRows = call(109, "").ReceivedAt, 10
		if diff := cmp.Diff(want, loader.Freshness()); diff != "" {
			t.Errorf("while loads fail (-want +got):\n%s", diff)
		}
		// A failure makes the loader read the positions again, when it comes to them.
		w.setFail(nil)
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		last := loader.Freshness()[0]
		if last.PendingRows != 0 || last.LoadedThrough != last.ReceivedThrough || last.LoadedThrough == event.NoTime {
			t.Errorf("in the end %+v", last)
		}
		if diff := cmp.Diff(loader.Freshness(), v.freshness); diff != "" {
			t.Errorf("readers see something else (-loader +readers):\n%s", diff)
		}
	})
}

// TestViewsThatFailHoldNothingUp: rows are loaded while readers' views cannot be refreshed, and the views come later.
func TestViewsThatFailHoldNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newFakeWarehouse(), &fakeReaders{}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		o := options(l, w, v)
		o.History = nil
		loader := load.New(o)
		v.fail = errors.New("no such file")
		stop := run(t, loader)
		time.Sleep(time.Minute)
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
		v.mu.Lock()
		v.fail, v.calls = nil, nil
		v.mu.Unlock()
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a: /lake/a/1.parquet"}, v.calls); diff != "" {
			t.Errorf("refreshed (-want +got):\n%s", diff)
		}
		if len(v.freshness) != 1 || len(v.files) != 1 {
			t.Errorf("freshness %v, files %v", v.freshness, v.files)
		}
	})
}

func TestAStreamIsARunEveryFewMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newFakeWarehouse(), &fakeReaders{}
		stop := run(t, load.New(options(l, w, v)))
		for i := range uint64(12 * 60) {
			l.commit("a", journal, i+1, call(i, `{}`))
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got := v.history()
		if len(got) != 3 {
			t.Errorf("%d runs for twelve minutes, want 3: %v", len(got), got)
		}
		var rows int64
		for _, r := range v.runs {
			rows += r.Rows
			if r.State != warehouse.RunSuccess || r.FinishedAt.Before(r.StartedAt) || r.FinishedAt.Sub(r.StartedAt) > 6*time.Minute {
				t.Errorf("run %+v", r)
			}
		}
		if rows != 2*12*60 {
			t.Errorf("%d rows in the runs, want 1440: one in tracks and one in clicked for each call", rows)
		}
		if v.writes > 100 {
			t.Errorf("%d writes for twelve minutes", v.writes)
		}
	})
}
