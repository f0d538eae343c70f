package load_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// damagedLake is a lake some of whose files are damaged.
type damagedLake struct {
	*fakeLake
	bad map[string]bool // by path
}

func (l *damagedLake) Check(_ context.Context, files []*lake.File) (out []lake.Damage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range files {
		if l.bad[f.Path] {
			out = append(out, lake.Damage{Path: f.Path, Reason: "bytes 4-90"})
		}
	}
	return out
}

func (l *damagedLake) set(path string, bad bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad[path] = bad
}

func (l *damagedLake) Calls(ctx context.Context, snap *lake.Snapshot, log string, from, to uint64, fn func(*event.Call) error) error {
	if bad := l.Check(ctx, snap.Files); len(bad) > 0 && to > 10 {
		return bad[0]
	}
	return l.fakeLake.Calls(ctx, snap, log, from, to, fn)
}

// TestDamageStopsOneSource shows the file in view and state, lets the other source go on, and heals.
func TestDamageStopsOneSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, v := &damagedLake{newFakeLake(), map[string]bool{}}, newFakeWarehouse(), &fakeReaders{}
		l.commit("a", journal, 10, calls(0, 10, 1)...)
		o := options(l.fakeLake, w, v)
		o.Lake = l
		loader := load.New(o)
		stop := run(t, loader)
		time.Sleep(time.Second)
		l.set("/lake/a/2.parquet", true)
		l.commit("a", journal, 20, calls(10, 10, 1)...)
		l.commit("b", journal, 8, calls(0, 8, 1)...)
		time.Sleep(10 * time.Second)
		c := loader.State()
		if c.State != state.Degraded || !strings.Contains(c.Error, "lake file /lake/a/2.parquet is damaged: bytes 4-90") || !strings.Contains(c.Hint, "firth lake restore") {
			t.Errorf("%+v", c)
		}
		wantIDs(t, w.loaded("a"), ids(calls(0, 10, 1)))
		wantIDs(t, w.loaded("b"), ids(calls(0, 8, 1)))
		v.mu.Lock()
		last := ""
		for _, text := range v.calls {
			if strings.HasPrefix(text, "a: ") {
				last = text
			}
		}
		v.mu.Unlock()
		if last != "a: lake file /lake/a/2.parquet is damaged: bytes 4-90" {
			t.Errorf("the view of a is %q", last)
		}
		l.set("/lake/a/2.parquet", false)
		time.Sleep(time.Minute)
		if c := loader.State(); c.State != state.OK {
			t.Errorf("%+v", c)
		}
		wantIDs(t, w.loaded("a"), ids(calls(0, 20, 1)))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// slowWarehouse takes its time for a load.
type slowWarehouse struct {
	*fakeWarehouse
	pause atomic.Int64
}

func (w *slowWarehouse) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	time.Sleep(time.Duration(w.pause.Load()))
	return w.fakeWarehouse.Load(ctx, b)
}

// TestBehindInWords lets more arrive than can be loaded, then nothing more.
func TestBehindInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newFakeLake(), newFakeWarehouse()
		slow := &slowWarehouse{fakeWarehouse: w}
		slow.pause.Store(int64(time.Second))
		o := options(l, w, nil)
		o.Warehouse = slow
		o.Rows = 10
		loader := load.New(o)
		loader.SetUpstream(warehouse.Upstream{FlushLag: 1.5, MergeFiles: 7})
		stop := run(t, loader)
		var at uint64
		for range 200 {
			c := calls(at, 20, 1)
			for i := range c {
				c[i].ReceivedAt = time.Now().UnixMicro()
			}
			at += 20
			l.commit("a", journal, at, c...)
			time.Sleep(time.Second)
		}
		c, s := loader.State(), loader.Stats()
		if c.State != state.Degraded || !strings.Contains(c.Error, "seconds behind: it loads ") || !strings.Contains(c.Error, " arrive; ") || !strings.Contains(c.Hint, "nothing is lost") {
			t.Errorf("%+v", c)
		}
		if s.RowsPerSec < 5 || s.RowsPerSec > 15 || s.PendingRows < 1000 || s.Lag < time.Minute || s.ChunkRows == 0 || s.Slowest < time.Second || s.LastLoad.IsZero() {
			t.Errorf("%+v", s)
		}
		if f := loader.Freshness()[0].Upstream; !f.Known || f.FlushLag != 1.5 || f.MergeFiles != 7 {
			t.Errorf("%+v", f)
		}
		slow.pause.Store(0)
		time.Sleep(10 * time.Minute)
		if c := loader.State(); c.State != state.OK {
			t.Errorf("%+v", c)
		}
		if s := loader.Stats(); s.PendingRows != 0 || s.Lag != 0 || s.Rows != int64(at) {
			t.Errorf("%+v", s)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
