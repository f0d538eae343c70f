package load_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// forgetful is a memWarehouse that can forget.
type forgetful struct {
	*memWarehouse
	forgot []warehouse.Forget
	err    error
}

func (w *forgetful) Forget(_ context.Context, f warehouse.Forget) (*warehouse.Forgotten, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	w.forgot = append(w.forgot, f)
	out := &warehouse.Forgotten{Rows: map[string]int64{}, Erased: !f.More}
	for name, t := range w.schemas[f.Schema] {
		before := len(t.rows)
		t.rows = slices.DeleteFunc(t.rows, func(r map[string]table.Value) bool { return slices.Contains(f.UserIDs, r["user_id"].Text) })
		if n := before - len(t.rows); n > 0 {
			out.Rows[f.Schema+"."+name] = int64(n)
		}
	}
	return out, nil
}

func (w *forgetful) of(user string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.schemas["a"] {
		for _, r := range t.rows {
			if r["user_id"].Text == user {
				n++
			}
		}
	}
	return n
}

// purge takes a person out of the lake, as a new snapshot.
func (l *fakeLake) purge(source, user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tables[source]
	next := *t.snap
	next.ID++
	t.calls = slices.DeleteFunc(slices.Clone(t.calls), func(c event.Call) bool { return c.UserID == user })
	t.snap = &next
}

func (l *fakeLake) walked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.walks
}

// TestWhatWasReadBeforeIsNotLoaded: people are forgotten while a load is under way, after its next chunk was read from the lake as it was.
func TestWhatWasReadBeforeIsNotLoaded(t *testing.T) {
	l, w := newFakeLake(), &forgetful{memWarehouse: newMemWarehouse()}
	all := calls(0, 400, 1)
	for i := range all {
		if i%2 == 0 {
			all[i].UserID = "bob"
		}
	}
	l.commit("a", journal, 400, all...)
	o := options(l, nil, nil)
	o.Warehouse, o.Rows, o.Ahead = w, 20, true
	loader := load.New(o)
	var loads int
	var forgetting sync.WaitGroup
	var out *warehouse.Forgotten
	var failure error
	w.fail = func(op string) error {
		if op != "load" {
			return nil
		}
		if loads++; loads == 5 {
			// The chunk behind is read beside this load.
			for deadline := time.Now().Add(time.Minute); l.walked() < loads+1 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			l.purge("a", "bob")
			forgetting.Go(func() { out, failure = loader.Forget(t.Context(), load.Forgetting{UserIDs: []string{"bob"}}, nil) })
		}
		return nil
	}
	if err := loader.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	forgetting.Wait()
	if failure != nil {
		t.Fatal(failure)
	}
	if n := w.of("bob"); n > 0 {
		t.Errorf("%d rows came in after they were forgotten", n)
	}
	if n := w.of("ann"); n != 2*200 {
		t.Errorf("%d rows of others, want 400", n)
	}
	if len(out.Rows) != 2 || out.Rows["a.tracks"] < 10 || out.Rows["a.tracks"] > 150 {
		t.Errorf("rows %v, want those of the chunks that were loaded by then", out.Rows)
	}
	if p := w.positions["a"][journal].Next; p != 400 {
		t.Errorf("position %d, want 400", p)
	}
}

func TestForgetIsAnOrderLikeOthers(t *testing.T) {
	l, w, v := newFakeLake(), &forgetful{memWarehouse: newMemWarehouse()}, &fakeReaders{}
	l.commit("a", journal, 10, calls(0, 10, 1)...)
	l.commit("b", journal, 10, calls(0, 10, 1)...)
	r, _ := remoteOf(l, w, v)
	do(t, r, load.Order{})
	var seen []load.Progress
	out, err := r.Forget(t.Context(), load.Forgetting{UserIDs: []string{"ann"}, RowIDs: []string{"m1"}}, func(p load.Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Rows) != 4 || !out.Erased {
		t.Errorf("%+v, want rows of two tables of two sources, and the last call's Erased", out)
	}
	if len(w.forgot) != 2 || !w.forgot[0].More || w.forgot[1].More || w.forgot[0].Schema != "a" || w.forgot[1].Source != "b" || w.forgot[0].RowIDs[0] != "m1" {
		t.Errorf("%+v, want a call a source with More but for the last", w.forgot)
	}
	if last := seen[len(seen)-1]; last.Done != 2 || last.Total != 2 || last.Stage != load.StageForget {
		t.Errorf("progress %+v", seen)
	}
	history := strings.Join(v.history(), "; ")
	if !strings.Contains(history, "pg success 0") || strings.Contains(history, "ann") {
		t.Errorf("runs %s", history)
	}
	for _, run := range v.runs {
		if run.Kind == "forget" && (len(run.Notices) == 0 || run.Notices[0] != "40 rows of people who are to be forgotten were removed") {
			t.Errorf("notices %q", run.Notices)
		}
	}
	// A rebuild that was left behind goes.
	if w.schemas[warehouse.RebuildPrefix+"a"] != nil {
		t.Error("the rebuild's schema is left")
	}
}

// TestForgetFails: the failure is the caller's, and the run says no more than that there was one.
func TestForgetFails(t *testing.T) {
	l, w, v := newFakeLake(), &forgetful{memWarehouse: newMemWarehouse()}, &fakeReaders{}
	l.commit("a", journal, 10, calls(0, 10, 1)...)
	r, _ := remoteOf(l, w, v)
	do(t, r, load.Order{})
	w.err = &warehouse.Error{Op: "delete", Object: "ann", Kind: warehouse.Down, Err: errors.New("no answer for ann")}
	if _, err := r.Forget(t.Context(), load.Forgetting{UserIDs: []string{"ann"}}, nil); warehouse.KindOf(err) != warehouse.Down {
		t.Errorf("%v, want that the warehouse is down", err)
	}
	for _, run := range v.runs {
		if strings.Contains(run.Error+run.Hint+strings.Join(run.Notices, ""), "ann") {
			t.Errorf("the run names a person: %+v", run)
		}
	}
	w.err = nil
	if out, err := r.Forget(t.Context(), load.Forgetting{UserIDs: []string{"ann"}}, nil); err != nil || len(out.Rows) != 2 {
		t.Errorf("%+v, %v of the second try", out, err)
	}
	// A warehouse that cannot do it says so.
	plain, _ := remoteOf(l, newMemWarehouse(), nil)
	if _, err := plain.Forget(t.Context(), load.Forgetting{UserIDs: []string{"ann"}}, nil); warehouse.KindOf(err) != warehouse.NotThere {
		t.Errorf("%v, want that it cannot be done", err)
	}
	// The lake cannot say which sources there are.
	l.sources = lake.ErrFileGone
	if _, err := r.Forget(t.Context(), load.Forgetting{UserIDs: []string{"ann"}}, nil); !errors.Is(err, lake.ErrFileGone) {
		t.Errorf("%v, want that the lake cannot be read", err)
	}
}

// TestForgetWhereNothingIsLoaded: tables of a warehouse that is switched off are there all the same.
func TestForgetWhereNothingIsLoaded(t *testing.T) {
	l, w := newFakeLake(), &forgetful{memWarehouse: newMemWarehouse()}
	l.commit("a", journal, 10, calls(0, 10, 1)...)
	o := options(l, nil, nil)
	o.Warehouse = w
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.LakeOnly = true
	if out, err := load.New(o).Forget(t.Context(), load.Forgetting{UserIDs: []string{"ann"}, Sources: []string{"gone", "a"}}, nil); err != nil || out.Rows["a.tracks"] != 10 {
		t.Errorf("%+v, %v", out, err)
	}
}
