package load_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/warehouse"
)

// TestABackFillTakesBoundedMemory loads many more rows than memory should hold, out of merged files.
func TestABackFillTakesBoundedMemory(t *testing.T) {
	const rows = 120_000
	l := &endlessLake{rows: rows, file: rows / 4}
	w := &counting{}
	o := options(nil, nil, nil)
	o.Name, o.Lake, o.Warehouse, o.TempDir = "pg", l, nil, t.TempDir()
	o.Rows = 4_000
	r := load.NewRunner(load.RunnerOptions{Loader: o, Open: func(context.Context) (load.Warehouse, error) { return w, nil }})
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most uint64
	_, err := r.Do(t.Context(), load.Order{}, func(load.Progress) {
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapAlloc)
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.rows != rows || w.loads < rows/o.Rows/2 {
		t.Errorf("%d rows in %d loads", w.rows, w.loads)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	if l.decoded > 3*rows {
		t.Errorf("%d rows were decoded for %d", l.decoded, rows)
	}
}

// endlessLake makes its rows as they are read, file by file in a scattered order.
type endlessLake struct {
	rows, file uint64
	decoded    int
}

func (l *endlessLake) Sources(context.Context) ([]string, error) { return []string{"a"}, nil }

func (l *endlessLake) Snapshot(_ context.Context, source string) (*lake.Snapshot, error) {
	snap := &lake.Snapshot{Source: source, ID: 1, Positions: map[string]uint64{journal: l.rows}, Rows: int64(l.rows)}
	for at := uint64(0); at < l.rows; at += l.file {
		f := fileOf([]event.Call{call(at, ""), call(at+l.file-1, "")}, fmt.Sprintf("/lake/%d", at))
		f.MinLog, f.MaxLog, f.Rows = journal, journal, int64(l.file)
		snap.Files = append(snap.Files, f)
	}
	return snap, nil
}

func (l *endlessLake) Calls(ctx context.Context, snap *lake.Snapshot, log string, from, to uint64, fn func(*event.Call) error) error {
	for _, f := range snap.Files {
		if !f.MayHold(log, from, to) {
			continue
		}
		for i := range l.file {
			l.decoded++
			offset := f.MinOffset + i*7919%l.file
			if offset < from || offset >= to {
				continue
			}
			c := call(offset, `{"url": "https://example.com/some/path", "n": 12345, "title": "a title of some length"}`)
			c.Log = log
			if err := errors.Join(fn(&c), ctx.Err()); err != nil {
				return err
			}
		}
	}
	return nil
}

// counting is a warehouse that counts rows and forgets them.
type counting struct {
	next        uint64
	rows, loads int
}

func (w *counting) Positions(context.Context, string) (map[string]warehouse.Position, error) {
	return map[string]warehouse.Position{}, nil
}
func (w *counting) Catalogue(context.Context, string) ([]warehouse.Table, error) { return nil, nil }

func (w *counting) Load(_ context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	if b.From != w.next {
		return nil, fmt.Errorf("from %d, not %d", b.From, w.next)
	}
	w.next = b.To
	w.loads++
	for _, t := range b.Tables {
		if t.Name == "tracks" {
			w.rows += len(t.Rows)
		}
	}
	return &warehouse.Result{}, nil
}
