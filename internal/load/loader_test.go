package load_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// run starts the loader within a synctest bubble and returns what stops it and gives its error.
func run(t *testing.T, l *load.Loader) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func wantIDs(t *testing.T, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

func TestCatchUpInBoundedChunksAndInOrder(t *testing.T) {
	l, w := newFakeLake(), newFakeWarehouse()
	first, second := calls(0, 700, 3), calls(2100, 300, 1)
	l.commit("production", journal, 2100, first...)
	l.commit("production", journal, 2400, second...)
	o := options(l, w, nil)
	o.Rows = 100
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, w.loaded("production"), ids(first, second))
	if len(w.batches) < 9 {
		t.Errorf("%d batches of 100 rows, about, for 1000: %v", len(w.batches), w.batches)
	}
	// Another process goes on where this one ended, and knows the tables.
	third := []event.Call{call(2400, `{"n": 0.5}`)}
	l.commit("production", journal, 2500, third...)
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, w.loaded("production"), ids(first, second, third))
}

func TestOffsetsThatCrowdAreStillBounded(t *testing.T) {
	l, w := newFakeLake(), newFakeWarehouse()
	// One merged file whose bounds say a row every thousand offsets, while all but one stand at the end.
	crowd := append([]event.Call{call(0, `{}`)}, calls(999_000, 999, 1)...)
	l.commit("production", journal, 1_000_000, crowd...)
	o := options(l, w, nil)
	o.Rows = 50
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, w.loaded("production"), ids(crowd))
	for _, b := range w.batches {
		var from, to, rows int
		if _, err := fmt.Sscanf(b, "production [%d, %d) %d", &from, &to, &rows); err != nil || rows > 2*o.Rows {
			t.Errorf("batch %s: %d rows where 50 were wanted, and 100 are the most", b, rows)
		}
	}
}

func TestBytesBoundAChunk(t *testing.T) {
	l, w := newFakeLake(), newFakeWarehouse()
	big := calls(0, 20, 1)
	for i := range big {
		big[i].Properties = []byte(`{"text": "` + strings.Repeat("x", 10_000) + `"}`)
	}
	l.commit("production", journal, 20, big...)
	o := options(l, w, nil)
	o.Bytes = 45_000
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, w.loaded("production"), ids(big))
	if len(w.batches) < 5 {
		t.Errorf("batches %v for 200 KB with at most 45 KB each", w.batches)
	}
}

func TestOffsetsOfOtherSourcesAreNoRows(t *testing.T) {
	l, w := newFakeLake(), newFakeWarehouse()
	l.commit("production", journal, 500, calls(0, 5, 1)...)
	o := options(l, w, nil)
	loader := load.New(o)
	for i := range 3 {
		if err := loader.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.commit("production", journal, 1000*uint64(i+1))
	}
	last := calls(5000, 1, 1)
	l.commit("production", journal, 6000, last...)
	if err := loader.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"production [0, 500) 5", "production [500, 6000) 1"}
	if diff := cmp.Diff(want, w.batches); diff != "" {
		t.Errorf("batches differ (-want +got): offsets without rows are no loads\n%s", diff)
	}
}

func TestJournalsInTheOrderOfTheirReceipt(t *testing.T) {
	l, w := newFakeLake(), newFakeWarehouse()
	const older, newer = "ffffffff-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000"
	late := calls(10, 3, 1)
	for i := range late {
		late[i].ReceivedAt += int64(time.Hour / time.Microsecond)
	}
	early := calls(0, 3, 1)
	l.commit("production", newer, 20, late...)
	l.commit("production", older, 20, early...)
	if err := load.New(options(l, w, nil)).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, w.loaded("production"), ids(early, late))
}

func TestAFailureIsTriedAgainAndDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := newFakeLake(), newFakeWarehouse(), &fakeReaders{}
		broken, fine := calls(0, 10, 1), calls(0, 10, 1)
		l.commit("a", journal, 10, broken...)
		l.commit("b", journal, 10, fine...)
		w.setFail(func(b *warehouse.Batch) error {
			if b.Source == "a" {
				return &warehouse.Error{Op: "load", Object: "a", Kind: warehouse.Denied, Hint: "give the right", Err: errors.New("permission denied")}
			}
			return nil
		})
		loader := load.New(options(l, w, v))
		if c := loader.State(); c.State != state.Starting {
			t.Errorf("state %+v before the start", c)
		}
		stop := run(t, loader)
		time.Sleep(time.Minute)
		wantIDs(t, w.loaded("b"), ids(fine))
		if c := loader.State(); c.State != state.Degraded || c.Hint != "give the right" || !strings.Contains(c.Error, "source a") || !strings.Contains(c.Error, "permission denied") {
			t.Errorf("state %+v", c)
		}
		if walks := l.walks; walks > 10 {
			t.Errorf("%d looks at the rows in a minute: back-off is to grow to 30 s", walks)
		}
		w.setFail(nil)
		time.Sleep(31 * time.Second)
		wantIDs(t, w.loaded("a"), ids(broken))
		if c := loader.State(); c.State != state.OK || c.Error != "" {
			t.Errorf("state %+v afterwards", c)
		}
		if err := stop(); err != nil {
			t.Errorf("stopped: %v", err)
		}
		slices.Sort(v.order)
		want := []string{"local/a failure 0 load a: permission denied", "local/a success 20", "local/b success 20"}
		got := v.history()
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("runs differ (-want +got):\n%s", diff)
		}
	})
}

func TestAFailedLoadLeavesTheShaperBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newFakeWarehouse()
		l.commit("a", journal, 1, call(0, `{"n": 1}`))
		refused := 0
		w.setFail(func(b *warehouse.Batch) error {
			// The widening of the first try is not in; the second must bring it again.
			if b.To == 2 && refused == 0 {
				refused++
				return errors.New("connection lost")
			}
			return nil
		})
		stop := run(t, load.New(options(l, w, nil)))
		time.Sleep(time.Second)
		l.commit("a", journal, 2, call(1, `{"n": 1.5, "new": true}`))
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range w.tables["a"]["clicked"] {
			if c.Path != "" {
				got = append(got, c.Name+" "+c.Type.String())
			}
		}
		if diff := cmp.Diff([]string{"n float", "new boolean"}, got); diff != "" || refused != 1 {
			t.Errorf("columns differ (-want +got):\n%s", diff)
		}
	})
}

func TestAWarehouseThatMovedIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newFakeWarehouse()
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		stop := run(t, load.New(options(l, w, nil)))
		time.Sleep(time.Second)
		// Somebody else has loaded on.
		w.mu.Lock()
		w.positions["a"][journal] = warehouse.Position{Next: 15}
		w.mu.Unlock()
		l.commit("a", journal, 20, calls(10, 10, 1)...)
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1), calls(15, 5, 1)))
	})
}

func TestABrokenWarehouseEndsTheLoader(t *testing.T) {
	l, w := newFakeLake(), newFakeWarehouse()
	l.commit("a", journal, 10, calls(0, 10, 1)...)
	w.setFail(func(*warehouse.Batch) error {
		return &warehouse.Error{Op: "load", Kind: warehouse.Broken, Hint: "open it again", Err: errors.New("invalidated")}
	})
	loader := load.New(options(l, w, nil))
	if err := loader.Run(t.Context()); warehouse.KindOf(err) != warehouse.Broken {
		t.Errorf("ended with %v", err)
	}
	if c := loader.State(); c.State != state.Failed || c.Hint != "open it again" {
		t.Errorf("state %+v", c)
	}
}

func TestFewerRowsWhereMemoryIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newFakeWarehouse()
		all := calls(0, 2000, 1)
		l.commit("a", journal, 2000, all...)
		w.setFail(func(b *warehouse.Batch) error {
			if b.To-b.From > 200 {
				return &warehouse.Error{Op: "load", Kind: warehouse.NoMemory, Err: errors.New("out of memory")}
			}
			return nil
		})
		stop := run(t, load.New(options(l, w, nil)))
		time.Sleep(time.Hour)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, w.loaded("a"), ids(all))
	})
}

func TestRoomOnTheDiskIsFoundSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newFakeWarehouse()
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		full := time.Now().Add(time.Hour)
		w.setFail(func(*warehouse.Batch) error {
			if time.Now().Before(full) {
				return &warehouse.Error{Op: "load", Kind: warehouse.DiskFull, Err: errors.New("no space left on device")}
			}
			return nil
		})
		stop := run(t, load.New(options(l, w, nil)))
		time.Sleep(time.Hour + 6*time.Second)
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAFileThatIsGoneIsLookedForInTheNextSnapshot(t *testing.T) {
	l, w := newFakeLake(), newFakeWarehouse()
	all := calls(0, 10, 1)
	l.commit("a", journal, 10, all...)
	l.gone = 2
	if err := load.New(options(l, w, nil)).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, w.loaded("a"), ids(all))
	l.commit("a", journal, 20, calls(10, 10, 1)...)
	l.gone = 100
	if err := load.New(options(l, w, nil)).CatchUp(t.Context()); !errors.Is(err, lake.ErrFileGone) {
		t.Errorf("a file that stays gone: %v", err)
	}
}

func TestATroubledCatalogIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newFakeWarehouse()
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		l.sources = errors.New("database is locked")
		loader := load.New(options(l, w, nil))
		if err := loader.CatchUp(t.Context()); err == nil || !strings.Contains(err.Error(), "database is locked") {
			t.Errorf("catch up: %v", err)
		}
		stop := run(t, loader)
		time.Sleep(time.Second)
		if c := loader.State(); c.State != state.Failed {
			t.Errorf("state %+v", c)
		}
		l.mu.Lock()
		l.sources = nil
		l.mu.Unlock()
		time.Sleep(time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
	})
}

func TestStopIsPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newFakeWarehouse()
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		w.blocked = make(chan struct{})
		loader := load.New(options(l, w, nil))
		stop := run(t, loader)
		time.Sleep(time.Second)
		began := time.Now()
		if err := stop(); err != nil {
			t.Errorf("stopped in the midst of a load: %v", err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("took %s", took)
		}
		// What a stop left is loaded by a last look.
		close(w.blocked)
		if err := loader.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
	})
}
