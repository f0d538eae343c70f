package load

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/name"
	"firth/internal/warehouse"
)

// walker reads a source's journals in chunks, in the order of the offsets.
type walker struct {
	o      *Options
	source string
	label  string // part of the names of temporary files; no two walkers at the same time have the same
	rows   int    // of the next chunk, about

	// file and call narrow down what is read; nil: all.
	file func(*lake.File) bool
	call func(*event.Call) bool

	snap  *lake.Snapshot // last seen
	spool *spool         // nil: chunks are read from the lake's files
}

// refresh takes the present snapshot, with the files that are asked for.
func (w *walker) refresh(ctx context.Context) error {
	snap, err := w.o.Lake.Snapshot(ctx, w.source)
	if err != nil {
		return fmt.Errorf("read the lake: %w", err)
	}
	if w.file != nil {
		part := *snap
		part.Files = slices.DeleteFunc(slices.Clone(snap.Files), func(f *lake.File) bool { return !w.file(f) })
		snap = &part
	}
	w.snap = snap
	return nil
}

// chunk is read, and once more from a newer snapshot where a file is gone.
func (w *walker) chunk(ctx context.Context, log string, from, end uint64) (*chunk, error) {
	for gone := 0; ; gone++ {
		c, err := w.read(ctx, log, from, end)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, lake.ErrFileGone) || gone == maxGone {
			return nil, readError(err, w.source)
		}
		if err := w.refresh(ctx); err != nil {
			return nil, err
		}
	}
}

// smaller makes chunks smaller after one of so many calls was too much for the warehouse's memory, and reports whether it did.
func (w *walker) smaller(err error, calls int) bool {
	if warehouse.KindOf(err) != warehouse.NoMemory || calls <= 1 {
		return false
	}
	w.rows = max(1, min(calls, w.rows)/4)
	return true
}

// read reads the next chunk: so many offsets as should give the rows of one by the bounds of the files, or what a spool has.
func (w *walker) read(ctx context.Context, log string, from, end uint64) (*chunk, error) {
	held, err := w.spool.holds(log, from)
	if err == nil && !held {
		err = w.respool(ctx, log, from, end)
	}
	if err != nil {
		return nil, err
	}
	if w.spool == nil {
		return readChunk(ctx, w.calls, log, from, upperBound(files(w.snap, log, from, end), from, end, int64(w.rows)), w.rows, w.o.Bytes)
	}
	c, err := readChunk(ctx, w.spool.read, log, from, min(end, w.spool.bucket(from).to), w.rows, w.o.Bytes)
	if err != nil && !ended(ctx) {
		err = errors.Join(err, w.dropSpool()) // the lake has it still
	}
	return c, err
}

// respool replaces the spool by one that begins at from, where one is needed.
func (w *walker) respool(ctx context.Context, log string, from, end uint64) error {
	if err := w.dropSpool(); err != nil {
		return err
	}
	found := files(w.snap, log, from, end)
	to := upperBound(found, from, end, int64(w.rows))
	if w.o.TempDir == "" || !wasteful(found, from, to, w.rows) {
		return nil
	}
	to = spoolEnd(found, from, to, end, spoolBuckets/2*int64(w.rows))
	sp, err := newSpool(ctx, w.o, w.calls, w.label, found, log, from, to, w.rows)
	if err != nil {
		return err
	}
	w.spool = sp
	return nil
}

func (w *walker) dropSpool() error {
	sp := w.spool
	w.spool = nil
	return sp.remove()
}

// calls is a reader of the snapshot's files.
func (w *walker) calls(ctx context.Context, log string, from, to uint64, fn func(*event.Call) error) error {
	if w.call != nil {
		all := fn
		fn = func(c *event.Call) error {
			if !w.call(c) {
				return nil
			}
			return all(c)
		}
	}
	if l, ok := w.o.Lake.(Leaner); ok && w.o.Rules.Mode != name.RudderStack {
		return l.CallsToShape(ctx, w.snap, log, from, to, fn)
	}
	return w.o.Lake.Calls(ctx, w.snap, log, from, to, fn)
}
