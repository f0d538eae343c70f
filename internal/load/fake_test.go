package load_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/table"
	"firth/internal/warehouse"
)

const journal = "0b0e9fe0-0000-4000-8000-000000000001"

// fakeLake holds calls in memory, in files whose bounds overlap as those of merged files do.
type fakeLake struct {
	mu      sync.Mutex
	tables  map[string]*fakeTable
	sources error // returned by Sources
	gone    int   // how many of the next walks find a file gone
	walks   int
}

type fakeTable struct {
	calls []event.Call
	snap  *lake.Snapshot
}

func newFakeLake() *fakeLake { return &fakeLake{tables: map[string]*fakeTable{}} }

// commit adds the calls to a source and moves the position of a journal.
func (l *fakeLake) commit(source, log string, position uint64, calls ...event.Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tables[source]
	if t == nil {
		t = &fakeTable{snap: &lake.Snapshot{Source: source, Positions: map[string]uint64{}}}
		l.tables[source] = t
	}
	for i := range calls {
		calls[i].Log = log
	}
	next := &lake.Snapshot{Source: source, ID: t.snap.ID + 1, Positions: maps.Clone(t.snap.Positions), Files: slices.Clone(t.snap.Files)}
	next.Positions[log], next.Rows = position, t.snap.Rows+int64(len(calls))
	if len(calls) > 0 {
		next.Files = append(next.Files, fileOf(calls, fmt.Sprintf("/lake/%s/%d.parquet", source, next.ID)))
	}
	t.calls, t.snap = append(t.calls, calls...), next
}

func fileOf(calls []event.Call, path string) *lake.File {
	f := &lake.File{Path: path, Rows: int64(len(calls)), MinLog: calls[0].Log, MaxLog: calls[0].Log,
		MinOffset: calls[0].Offset, MaxOffset: calls[0].Offset, MinReceived: calls[0].ReceivedAt, MaxReceived: calls[0].ReceivedAt}
	for _, c := range calls {
		f.MinOffset, f.MaxOffset = min(f.MinOffset, c.Offset), max(f.MaxOffset, c.Offset)
		f.MinReceived, f.MaxReceived = min(f.MinReceived, c.ReceivedAt), max(f.MaxReceived, c.ReceivedAt)
	}
	return f
}

func (l *fakeLake) Sources(context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for s := range l.tables {
		if s != lake.DeadLetters {
			out = append(out, s)
		}
	}
	return out, l.sources
}

func (l *fakeLake) Snapshot(_ context.Context, source string) (*lake.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tables[source]; t != nil {
		return t.snap, nil
	}
	return nil, lake.ErrNoTable
}

// Calls hands out the rows from the last to the first: the loader must not rely on an order.
func (l *fakeLake) Calls(ctx context.Context, snap *lake.Snapshot, log string, from, to uint64, fn func(*event.Call) error) error {
	l.mu.Lock()
	l.walks++
	gone := l.gone > 0
	if gone {
		l.gone--
	}
	calls := slices.Clone(l.tables[snap.Source].calls)
	l.mu.Unlock()
	if gone {
		return lake.ErrFileGone
	}
	buf := make([]byte, 0, 1<<16)
	for i := len(calls) - 1; i >= 0; i-- {
		c := calls[i]
		if c.Log != log || c.Offset < from || c.Offset >= to {
			continue
		}
		// Bytes that are good until fn returns and no longer.
		buf = append(buf[:0], c.Properties...)
		c.Properties = buf
		if err := errors.Join(fn(&c), ctx.Err()); err != nil {
			return err
		}
		clear(buf)
	}
	return nil
}

// fakeWarehouse keeps rows in memory and has the manners of a warehouse.
type fakeWarehouse struct {
	mu        sync.Mutex
	positions map[string]map[string]warehouse.Position
	tables    map[string]map[string][]table.Column
	ids       map[string][]string // ids of tracks by source, in the order they came
	batches   []string            // "source [from, to) rows"
	fail      func(*warehouse.Batch) error
	blocked   chan struct{} // loads wait until it is closed, or the context ends
}

func newFakeWarehouse() *fakeWarehouse {
	return &fakeWarehouse{positions: map[string]map[string]warehouse.Position{}, tables: map[string]map[string][]table.Column{}, ids: map[string][]string{}}
}

func (w *fakeWarehouse) Positions(_ context.Context, source string) (map[string]warehouse.Position, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := maps.Clone(w.positions[source])
	if out == nil {
		out = map[string]warehouse.Position{}
	}
	return out, nil
}

func (w *fakeWarehouse) Catalogue(_ context.Context, source string) ([]warehouse.Table, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []warehouse.Table
	for n, columns := range w.tables[source] {
		out = append(out, warehouse.Table{Name: n, Columns: columns})
	}
	return out, nil
}

func (w *fakeWarehouse) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	if w.blocked != nil {
		select {
		case <-w.blocked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		if err := w.fail(b); err != nil {
			return nil, err
		}
	}
	at := w.positions[b.Source][b.Log].Next
	if at >= b.To {
		return &warehouse.Result{Duplicate: true}, nil
	}
	if at != b.From {
		return nil, &warehouse.Error{Op: "load", Object: b.Source, Kind: warehouse.Moved, Err: fmt.Errorf("at %d, the batch begins at %d", at, b.From)}
	}
	if w.positions[b.Source] == nil {
		w.positions[b.Source], w.tables[b.Source] = map[string]warehouse.Position{}, map[string][]table.Column{}
	}
	w.positions[b.Source][b.Log] = warehouse.Position{Next: b.To, LoadedThrough: b.ReceivedThrough, LoadedAt: time.Now()}
	r := &warehouse.Result{Rows: map[string]int64{}, Discards: int64(len(b.Discards))}
	rows := 0
	for _, t := range slices.Concat(b.Tables, b.Upserts) {
		w.tables[b.Source][t.Name] = t.Columns
		r.Rows[t.Name] += int64(len(t.Rows))
		if t.Name == "tracks" {
			rows = len(t.Rows)
			for i := range t.Rows {
				w.ids[b.Source] = append(w.ids[b.Source], t.Get(i, "id").Text)
			}
		}
	}
	w.batches = append(w.batches, fmt.Sprintf("%s [%d, %d) %d", b.Source, b.From, b.To, rows))
	return r, nil
}

func (w *fakeWarehouse) loaded(source string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.ids[source])
}

func (w *fakeWarehouse) setFail(f func(*warehouse.Batch) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = f
}

// fakeReaders keeps what readers would see: views and runs.
type fakeReaders struct {
	mu        sync.Mutex
	calls     []string
	freshness []warehouse.Freshness
	files     []warehouse.LakeFile
	runs      map[string]warehouse.Run
	order     []string // ids of runs as they were begun
	writes    int
	fail      error
}

func (v *fakeReaders) note(format string, args ...any) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, fmt.Sprintf(format, args...))
	return v.fail
}

func (v *fakeReaders) SetLakeFiles(_ context.Context, name string, files []string) error {
	return v.note("%s: %s", name, strings.Join(files, " "))
}

func (v *fakeReaders) SetDeadLetterFiles(_ context.Context, files []string) error {
	return v.note("dead letters: %s", strings.Join(files, " "))
}

func (v *fakeReaders) SetLakeDamage(_ context.Context, name, text string) error {
	return v.note("%s: %s", name, text)
}

func (v *fakeReaders) SetDeadLetterDamage(_ context.Context, text string) error {
	return v.note("dead letters: %s", text)
}

func (v *fakeReaders) SetFiles(_ context.Context, files []warehouse.LakeFile) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files = files
	return v.fail
}

func (v *fakeReaders) SetFreshness(_ context.Context, rows []warehouse.Freshness) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.freshness = rows
	return v.fail
}

func (v *fakeReaders) RecordRun(_ context.Context, r *warehouse.Run) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.runs == nil {
		v.runs = map[string]warehouse.Run{}
	}
	if _, ok := v.runs[r.ID]; !ok {
		v.order = append(v.order, r.ID)
	}
	kept := *r
	kept.Tables, kept.Notices = maps.Clone(r.Tables), slices.Clone(r.Notices)
	v.runs[r.ID] = kept
	v.writes++
	return v.fail
}

func (v *fakeReaders) EndRuns(_ context.Context, kind, name, _, _ string, _ time.Time) error {
	return v.note("end runs of %s %s", kind, name)
}

// history is the runs in the order they were begun: name, state, rows, error.
func (v *fakeReaders) history() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []string
	for _, id := range v.order {
		r := v.runs[id]
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", r.Name, r.State, r.Rows, r.Error)))
	}
	return out
}

// call is a track call whose properties are those given.
func call(offset uint64, properties string) event.Call {
	at := int64(1_700_000_000_000_000) + int64(offset)*1000
	return event.Call{
		MessageID: fmt.Sprintf("m%06d", offset), Type: "track", Event: "Clicked", UserID: "ann", TS: at, ReceivedAt: at,
		SentAt: event.NoTime, OriginalTimestamp: event.NoTime, Properties: []byte(properties), Payload: []byte(`{"type":"track"}`), Offset: offset,
	}
}

// calls are n track calls from an offset on, step apart.
func calls(from uint64, n int, step uint64) []event.Call {
	out := make([]event.Call, n)
	for i := range out {
		out[i] = call(from+uint64(i)*step, fmt.Sprintf(`{"n": %d}`, i))
	}
	return out
}

// ids are the message ids of calls, in the order of their offsets.
func ids(calls ...[]event.Call) []string {
	var out []string
	for _, c := range slices.Concat(calls...) {
		out = append(out, c.MessageID)
	}
	return out
}

func options(l *fakeLake, w *fakeWarehouse, v *fakeReaders) load.Options {
	rules := name.DuckDB()
	n := 0
	o := load.Options{
		Name: "local", Lake: l, Warehouse: w, Rules: rules, NewShaper: load.Segment(rules, event.ShapeOptions{}),
		NewID: func() string { n++; return fmt.Sprintf("run-%d", n) },
	}
	if v != nil {
		o.Views, o.History = v, v
	}
	return o
}
