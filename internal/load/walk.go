package load

import (
	"context"
	"errors"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/name"
)

// walker reads a source's journals in chunks, in the order of the offsets.
type walker struct {
	o     *Options
	label string // part of the names of temporary files; no two walkers at the same time have the same
	rows  int    // of the next chunk, about

	snap  *lake.Snapshot // last seen
	spool *spool         // nil: chunks are read from the lake's files
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
	if l, ok := w.o.Lake.(Leaner); ok && w.o.Rules.Mode != name.RudderStack {
		return l.CallsToShape(ctx, w.snap, log, from, to, fn)
	}
	return w.o.Lake.Calls(ctx, w.snap, log, from, to, fn)
}
