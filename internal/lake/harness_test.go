package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"

	"firth/internal/event"
)

// memJournal is a journal in memory whose records are lists of calls and dead letters.
type memJournal struct {
	mu      sync.Mutex
	log     string
	frames  []Frame
	items   map[uint64][]item
	next    uint64
	trimmed uint64
	grown   chan struct{}
}

// item is one call or one dead letter of a record.
type item struct {
	source string
	call   *event.Call
	dead   *event.DeadLetter
}

func newMemJournal(log string) *memJournal {
	return &memJournal{log: log, items: map[uint64][]item{}, grown: make(chan struct{})}
}

// append adds a record and gives its items their places in the log.
func (j *memJournal) append(received int64, items ...item) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := Frame{Offset: j.next, Count: len(items), ReceivedAt: received, Payload: []byte("frame")}
	for i := range items {
		if c := items[i].call; c != nil {
			own := *c
			own.Log, own.Offset = j.log, j.next+uint64(i)
			items[i].call = &own
		}
		if d := items[i].dead; d != nil {
			d.Log, d.Offset = j.log, j.next+uint64(i)
		}
	}
	j.frames = append(j.frames, f)
	j.items[f.Offset] = items
	j.next += uint64(len(items))
	close(j.grown)
	j.grown = make(chan struct{})
}

// calls adds one record of calls of a source.
func (j *memJournal) calls(source string, calls ...*event.Call) {
	var items []item
	for _, c := range calls {
		items = append(items, item{source: source, call: c})
	}
	j.append(calls[0].ReceivedAt, items...)
}

func (j *memJournal) Log() string { return j.log }

func (j *memJournal) Read(from uint64) Cursor { return &memCursor{j: j, from: from} }

func (j *memJournal) Extent() (oldest, next uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.trimmed, j.next
}

func (j *memJournal) Wait(ctx context.Context, beyond uint64) error {
	for {
		j.mu.Lock()
		next, grown := j.next, j.grown
		j.mu.Unlock()
		if next > beyond {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

func (j *memJournal) Trim(before uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if before > j.next {
		return errors.New("trim beyond the end")
	}
	j.trimmed = max(j.trimmed, before)
	return nil
}

func (j *memJournal) Decode(f Frame, log string, call func(string, *event.Call) error, dead func(*event.DeadLetter) error) error {
	j.mu.Lock()
	items := j.items[f.Offset]
	j.mu.Unlock()
	for _, it := range items {
		var err error
		if it.call != nil {
			c := *it.call
			err = call(it.source, &c)
		} else if it.dead != nil {
			d := *it.dead
			err = dead(&d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type memCursor struct {
	j    *memJournal
	from uint64
	at   int
}

func (c *memCursor) Next() (Frame, error) {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	if c.from < c.j.trimmed {
		return Frame{}, fmt.Errorf("offset %d was trimmed", c.from)
	}
	for ; c.at < len(c.j.frames); c.at++ {
		f := c.j.frames[c.at]
		if f.Offset+uint64(f.Count) > c.from {
			c.at++
			c.from = f.Offset + uint64(f.Count)
			return f, nil
		}
	}
	return Frame{}, io.EOF
}

// lakeEnv is a lake in a folder of its own, with a journal, that may be opened many times.
type lakeEnv struct {
	t       testing.TB
	dir     string
	journal *memJournal
	o       Options
	last    Stats
}

func newEnv(t testing.TB) *lakeEnv {
	dir := t.TempDir()
	return &lakeEnv{t: t, dir: dir, journal: newMemJournal(testLog), o: Options{
		Catalog: filepath.Join(dir, "catalog.db"), Dir: filepath.Join(dir, "lake"), Window: filepath.Join(dir, "window"),
		Every: 10 * time.Millisecond, Drain: time.Minute, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}}
}

// drain opens the lake, flushes all that the journal holds and closes it again, as a clean stop does.
func (e *lakeEnv) drain() error {
	e.t.Helper()
	l, err := Open(context.Background(), e.o)
	if err != nil {
		return err
	}
	w := l.Writer(e.journal, e.journal)
	// Everything was appended before: an ended context asks for the drain alone.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err = w.Run(ctx)
	e.last = w.Stats()
	return errors.Join(err, l.Close())
}

func (e *lakeEnv) mustDrain() {
	e.t.Helper()
	if err := e.drain(); err != nil {
		e.t.Fatal(err)
	}
}

// rows reads a table, as a reader in another process would.
func (e *lakeEnv) rows(source string) []event.Call {
	e.t.Helper()
	r, err := openReader(context.Background(), e.o.Catalog, e.o.withDefaults().FS)
	if err != nil {
		e.t.Fatal(err)
	}
	defer closeIt(e.t, r)
	snap, err := r.Snapshot(context.Background(), source)
	if err != nil {
		e.t.Fatal(err)
	}
	var out []event.Call
	for log := range snap.Positions {
		err := r.Calls(context.Background(), snap, log, 0, 1<<62, func(c *event.Call) error {
			own := *c
			own.Properties, own.Context, own.Payload = clone(c.Properties), clone(c.Context), clone(c.Payload)
			own.Integrations = clone(c.Integrations)
			out = append(out, own)
			return nil
		})
		if err != nil {
			e.t.Fatal(err)
		}
	}
	return out
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

func closeIt(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// end is the first offset behind the last record.
func (j *memJournal) end() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// metadata is what the catalog says of a table now.
func (e *lakeEnv) metadata(name string) table.Metadata {
	e.t.Helper()
	r, err := openReader(context.Background(), e.o.Catalog, e.o.withDefaults().FS)
	if err != nil {
		e.t.Fatal(err)
	}
	defer closeIt(e.t, r)
	t, err := r.catalog.Load(context.Background(), name)
	if err != nil {
		e.t.Fatal(err)
	}
	return t.Metadata()
}
