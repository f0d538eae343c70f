package load_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/schedule"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// mixed are calls of several types whose values have the same types whatever their order.
func mixed(rng *rand.Rand, from uint64, n int) []event.Call {
	out := make([]event.Call, n)
	for i := range out {
		c := call(from+uint64(i), fmt.Sprintf(`{"n": %d, "name": "x%d"}`, i, i%3))
		switch rng.IntN(6) {
		case 0:
			c.Type, c.Event, c.UserID = "identify", "identify", fmt.Sprintf("user %d", rng.IntN(5))
			c.Properties = []byte(fmt.Sprintf(`{"plan%d": "p%d", "age": %d}`, rng.IntN(3), i, i))
		case 1:
			c.Type, c.Event = "group", "group"
			c.Payload = []byte(fmt.Sprintf(`{"type":"group","groupId":"g%d"}`, rng.IntN(3)))
			c.Properties = []byte(fmt.Sprintf(`{"seats": %d}`, i))
		case 2:
			c.Event = "Bought"
			c.Properties = []byte(fmt.Sprintf(`{"price": %d.5}`, i))
		case 3:
			c.Properties = []byte(fmt.Sprintf(`{"n": %d.25}`, i))
		}
		out[i] = c
	}
	return out
}

// remoteOf makes a runner without a schedule for a warehouse.
func remoteOf(l *fakeLake, w load.Warehouse, v *fakeReaders) (*load.Runner, *load.Options) {
	o := options(l, nil, nil)
	o.Name, o.Warehouse, o.Rows = "pg", nil, 20
	o.NewSurvey = load.Survey(o.Rules, event.ShapeOptions{})
	if v != nil {
		o.History = v
	}
	return load.NewRunner(load.RunnerOptions{Loader: o, Open: func(context.Context) (load.Warehouse, error) { return w, nil }}), &o
}

func do(t *testing.T, r interface {
	Do(context.Context, load.Order, func(load.Progress)) (load.Report, error)
}, o load.Order) load.Report {
	t.Helper()
	report, err := r.Do(t.Context(), o, nil)
	if err != nil {
		t.Fatalf("%+v: %v", o, err)
	}
	return report
}

// plain is what one load of everything gives.
func plain(t *testing.T, l *fakeLake) string {
	t.Helper()
	w := newMemWarehouse()
	r, _ := remoteOf(l, w, nil)
	do(t, r, load.Order{})
	return w.dump("a")
}

// TestAnyInterleavingGivesTheSameTables is loads, failures before and after a commit, lost rows, replays and rebuilds in any order.
func TestAnyInterleavingGivesTheSameTables(t *testing.T) {
	for seed := range uint64(25) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			l, w := newFakeLake(), newMemWarehouse()
			var mu sync.Mutex
			trouble := func(string) error {
				mu.Lock()
				defer mu.Unlock()
				if rng.IntN(8) == 0 {
					return errLost
				}
				return nil
			}
			w.fail, w.lose = trouble, trouble
			r, _ := remoteOf(l, w, nil)
			var at uint64
			log := journal
			l.commit("a", log, 0)
			for range 25 {
				w.fail, w.lose = trouble, trouble
				var o load.Order
				switch rng.IntN(9) {
				case 0, 1, 2:
					if rng.IntN(4) == 0 {
						log = fmt.Sprintf("0b0e9fe0-0000-4000-8000-0000000001%02d", rng.IntN(100))
					}
					n := 1 + rng.IntN(60)
					l.commit("a", log, at+uint64(n), mixed(rng, at, n)...)
					at += uint64(n)
					continue
				case 3:
					w.forget(rng)
					continue
				case 4:
					o.Rebuild = true
				case 5:
					o.From = time.UnixMicro(call(uint64(rng.IntN(int(at)+1)), "").ReceivedAt)
				case 6:
					l.mu.Lock()
					l.gone = rng.IntN(3)
					l.mu.Unlock()
				}
				// Orders may fail; what they left must not matter.
				if _, err := r.Do(t.Context(), o, nil); err != nil && warehouse.KindOf(err) != warehouse.Down {
					t.Fatalf("seed %d: %+v: %v", seed, o, err)
				}
			}
			w.fail, w.lose = nil, nil
			l.gone = 0
			do(t, r, load.Order{})
			do(t, r, load.Order{From: time.Unix(1, 0)})
			if diff := cmp.Diff(plain(t, l), w.dump("a")); diff != "" {
				t.Fatalf("seed %d: tables differ from those of one load (-want +got):\n%s", seed, diff)
			}
			if report := do(t, r, load.Order{From: time.Unix(1, 0)}); report.Run.Rows != 0 {
				t.Errorf("seed %d: a second replay wrote %d rows", seed, report.Run.Rows)
			}
			if s := w.schemas[warehouse.RebuildPrefix+"a"]; s != nil {
				do(t, r, load.Order{Rebuild: true})
			}
			if s := w.schemas[warehouse.RebuildPrefix+"a"]; s != nil {
				t.Errorf("seed %d: the rebuild's schema is left", seed)
			}
		})
	}
}

// forget takes rows out of tables that are appended to, as a user may have done.
func (w *memWarehouse) forget(rng *rand.Rand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range []string{"tracks", "clicked", "identifies", "groups"} {
		if t := w.schemas["a"][name]; t != nil {
			t.rows = slices.DeleteFunc(t.rows, func(map[string]table.Value) bool { return rng.IntN(5) == 0 })
		}
	}
}

func TestAReplayIsOfATimeAndOfTables(t *testing.T) {
	l, w, v := newFakeLake(), newMemWarehouse(), &fakeReaders{}
	l.commit("a", journal, 100, calls(0, 100, 1)...)
	r, _ := remoteOf(l, w, v)
	do(t, r, load.Order{})
	want := w.dump("a")
	empty := func() {
		for _, t := range w.schemas["a"] {
			t.rows = nil
		}
	}
	rows := func(name string) int { return len(w.schemas["a"][name].rows) }
	received := func(offset uint64) time.Time { return time.UnixMicro(call(offset, "").ReceivedAt) }

	empty()
	report := do(t, r, load.Order{From: received(10), To: received(30), Source: "a", Tables: []string{"clicked"}})
	if rows("clicked") != 20 || rows("tracks") != 0 || report.Run.Rows != 20 || report.Run.Kind != "replay" || report.Run.Name != "pg" || report.Run.Notices[0] != "by hand: replay of clicked of source a, received from 2023-11-14T22:13:20.01Z, received before 2023-11-14T22:13:20.03Z" {
		t.Errorf("%d rows of clicked, %d of tracks; %+v", rows("clicked"), rows("tracks"), report.Run)
	}
	do(t, r, load.Order{To: received(10)})
	if rows("clicked") != 30 || rows("tracks") != 10 {
		t.Errorf("%d rows of clicked, %d of tracks", rows("clicked"), rows("tracks"))
	}
	// Rows that are not loaded yet come by a load, once.
	l.commit("a", journal, 120, calls(100, 20, 1)...)
	var seen []load.Progress
	if _, err := r.Do(t.Context(), load.Order{From: received(0)}, func(p load.Progress) { seen = append(seen, p) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, w.dump("a")); diff != "" {
		t.Errorf("after a replay of all (-want +got):\n%s", diff)
	}
	last := seen[len(seen)-1]
	if last.Stage != load.StageReplay || last.Source != "a" || last.Total == 0 || last.Done != last.Total || len(seen) < 5 {
		t.Errorf("progress %+v", seen)
	}
	do(t, r, load.Order{})
	if diff := cmp.Diff(plain(t, l), w.dump("a")); diff != "" {
		t.Errorf("after a load (-want +got):\n%s", diff)
	}
	if got := v.history(); len(got) != 5 || got[1] != "pg success 20" {
		t.Errorf("runs %v", got)
	}
}

func TestUsersAreReplayedOfThemselves(t *testing.T) {
	l, w := newFakeLake(), newMemWarehouse()
	rng := rand.New(rand.NewPCG(3, 3))
	l.commit("a", journal, 300, mixed(rng, 0, 300)...)
	r, _ := remoteOf(l, w, nil)
	do(t, r, load.Order{})
	want := w.dump("a")
	w.schemas["a"]["users"].rows = nil
	w.schemas["a"]["clicked"].rows = w.schemas["a"]["clicked"].rows[5:]
	do(t, r, load.Order{From: time.Unix(1, 0), Tables: []string{"a.users"}})
	if n := len(w.schemas["a"]["users"].rows); n != 5 {
		t.Errorf("%d users", n)
	}
	if w.dump("a") == want {
		t.Error("clicked was replayed too")
	}
	do(t, r, load.Order{From: time.Unix(1, 0), Tables: []string{"clicked"}})
	if diff := cmp.Diff(want, w.dump("a")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestARebuildMendsAFirstType: the first value was a number and everything after it a text.
func TestARebuildMendsAFirstType(t *testing.T) {
	l, w, v := newFakeLake(), newMemWarehouse(), &fakeReaders{}
	l.commit("a", journal, 1, call(0, `{"plan": 5}`))
	r, _ := remoteOf(l, w, v)
	do(t, r, load.Order{})
	rest := calls(1, 200, 1)
	for i := range rest {
		rest[i].Properties = []byte(fmt.Sprintf(`{"plan": "pro %d"}`, i))
	}
	other := call(201, `{"plan": 1}`)
	other.Event = "Other"
	last := call(202, `{"plan": "x"}`)
	last.Event = "Other"
	l.commit("a", journal, 203, append(rest, other, last)...)
	do(t, r, load.Order{})
	if before := w.dump("a"); !strings.Contains(before, "clicked: plan integer") || strings.Count(before, "discard clicked.plan") != 200 {
		t.Fatalf("before:\n%s", before)
	}
	stages := map[string]int{}
	// What comes while the tables are made anew is there, too.
	late := false
	report, err := r.Do(t.Context(), load.Order{Rebuild: true, Tables: []string{"Clicked"}}, func(p load.Progress) {
		stages[p.Stage]++
		if p.Stage == load.StageRebuild && !late {
			late = true
			l.commit("a", journal, 300, call(250, `{"plan": "late"}`))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	after := w.dump("a")
	if !strings.Contains(after, "clicked: plan string") || strings.Contains(after, "discard clicked.plan") || !strings.Contains(after, "plan=pro 7") || !strings.Contains(after, "plan=5 ") {
		t.Errorf("after:\n%s", after)
	}
	if w.swaps != 1 || stages[load.StageSurvey] == 0 || stages[load.StageRebuild] < 5 || stages[load.StageSwap] != 2 {
		t.Errorf("%d swaps, stages %v", w.swaps, stages)
	}
	if report.Run.Kind != "rebuild" || report.Run.Rows != 201 || report.Run.Tables["a.clicked"] != 201 {
		t.Errorf("%+v", report.Run)
	}
	do(t, r, load.Order{})
	if after := w.dump("a"); !strings.Contains(after, "plan=late") || !strings.Contains(after, "other: plan ") {
		t.Errorf("after a load:\n%s", after)
	}
}

// TestARebuildFollowsWhoeverLoadsMeanwhile: the embedded loader goes on, and somebody else moves the position right before the swap.
func TestARebuildFollowsWhoeverLoadsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newMemWarehouse()
		rng := rand.New(rand.NewPCG(5, 5))
		l.commit("a", journal, 500, mixed(rng, 0, 500)...)
		o := options(l, nil, nil)
		o.Warehouse, o.Rows, o.NewSurvey = w, 20, load.Survey(o.Rules, event.ShapeOptions{})
		loader := load.New(o)
		stop := run(t, loader)
		time.Sleep(time.Second)
		var at uint64 = 500
		rebuilt := make(chan error, 1)
		go func() {
			_, err := loader.Do(t.Context(), load.Order{Rebuild: true}, func(load.Progress) {
				l.commit("a", journal, at+5, mixed(rng, at, 5)...)
				at += 5
				time.Sleep(100 * time.Millisecond)
			})
			rebuilt <- err
		}()
		if err := <-rebuilt; err != nil {
			t.Fatal(err)
		}
		moved := 0
		w.held = func() {
			if moved++; moved > 2 {
				return
			}
			other, _ := remoteOf(l, w, nil)
			l.commit("a", journal, at+5, mixed(rng, at, 5)...)
			at += 5
			if _, err := other.Do(t.Context(), load.Order{}, nil); err != nil {
				t.Error(err)
			}
		}
		do(t, loader, load.Order{Rebuild: true})
		if w.swaps != 2 || moved != 3 {
			t.Errorf("%d swaps, %d tries of the second", w.swaps, moved)
		}
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(plain(t, l), w.dump("a")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestARebuildThatIsCutOffLeavesNothing(t *testing.T) {
	l, w := newFakeLake(), newMemWarehouse()
	l.commit("a", journal, 300, calls(0, 300, 1)...)
	r, _ := remoteOf(l, w, nil)
	do(t, r, load.Order{})
	want := w.dump("a")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.Do(ctx, load.Order{Rebuild: true}, func(p load.Progress) {
		if p.Stage == load.StageRebuild && p.Done > 100 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if got := w.dump("a"); got != want || w.schemas[warehouse.RebuildPrefix+"a"] != nil || w.positions["a#rebuild"] != nil {
		t.Errorf("schemas %v, positions %v", w.schemas, w.positions)
	}
	do(t, r, load.Order{Rebuild: true})
	if diff := cmp.Diff(want, w.dump("a")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOrdersThatMakeNoSense(t *testing.T) {
	l, w := newFakeLake(), newMemWarehouse()
	l.commit("production", journal, 10, calls(0, 10, 1)...)
	l.commit("staging", journal, 10, calls(0, 10, 1)...)
	r, _ := remoteOf(l, w, nil)
	do(t, r, load.Order{})
	at := time.Unix(1_700_000_000, 0)
	for _, tt := range []struct {
		o    load.Order
		want string
	}{
		{load.Order{Source: "prodduction"}, `there is no source "prodduction"; did you mean "production"? There are: production, staging`},
		{load.Order{Source: "x"}, `there is no source "x". There are: production, staging`},
		{load.Order{Rebuild: true, Tables: []string{"clickd"}}, `there is no table "clickd"; did you mean "clicked"? There are: clicked, tracks`},
		{load.Order{From: at, Tables: []string{"staging.trakcs"}}, `there is no table "staging.trakcs"`},
		{load.Order{Rebuild: true, From: at}, "a rebuild is of all that the lake has"},
		{load.Order{From: at, To: at}, "nothing is received from 2023-11-14T22:13:20Z on and before 2023-11-14T22:13:20Z"},
		{load.Order{Tables: []string{"clicked"}}, "a load is of all tables"},
	} {
		if _, err := r.Do(t.Context(), tt.o, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %s", tt.o, err, tt.want)
		}
	}
	// A warehouse that cannot do it says so.
	simple := runner(l, newRemote(), nil, nil)
	for _, o := range []load.Order{{From: at}, {Rebuild: true}} {
		if _, err := simple.Do(t.Context(), o, nil); warehouse.KindOf(err) != warehouse.NotThere {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestAnOrderBesideASchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newRemote(), &fakeReaders{}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		r := runner(l, w, v, schedule.Every(time.Hour))
		stop := begin(t, r)
		time.Sleep(time.Minute)
		l.commit("a", journal, 20, calls(10, 10, 1)...)
		if report := do(t, r, load.Order{}); report.Run.Rows != 20 || report.Run.State != warehouse.RunSuccess {
			t.Errorf("%+v", report.Run)
		}
		wantIDs(t, w.loaded("a"), ids(calls(0, 20, 1)))
		if f := r.Freshness(); len(f) != 1 || f[0].PendingRows != 0 {
			t.Errorf("%+v", f)
		}
		stop()
		if diff := cmp.Diff([]string{"pg success 20", "pg success 20"}, v.history()); diff != "" {
			t.Errorf("runs differ (-want +got):\n%s", diff)
		}
	})
}
