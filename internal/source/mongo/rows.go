package mongo

import (
	"context"
	"io"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"firth/internal/source"
)

// mostTries is how often a reading goes on after it was lost without having got anywhere.
const mostTries = 8

// rows is one scan or get.
type rows struct {
	t         *Table
	condition bson.D // beyond the range
	segments  segments
	wanted    wanted
	pruner    *pruner
	paged     bool

	cursor *mongo.Cursor
	arena  *arena
	last   *bson.RawValue // the _id of the last document that was taken, where paged
	size   int64          // of a document, a moving mean
	tries  int
	done   bool
	err    error // that comes after the documents which were read before it
}

func (t *Table) rows(condition bson.D, s segments, w wanted, paged bool) *rows {
	return &rows{t: t, condition: condition, segments: s, wanted: w, pruner: w.pruner(), paged: paged, arena: newArena()}
}

// Next fills the batch with documents; it waits for more from the server only when it has none.
func (r *rows) Next(ctx context.Context, b *source.Batch) error {
	r.arena.reset()
	*b = source.Batch{Docs: r.arena.docs}
	for !r.done && r.err == nil && len(r.arena.docs) < batchDocs && b.Bytes < batchBytes {
		if len(r.arena.docs) > 0 && r.cursor != nil && r.cursor.RemainingBatchLength() == 0 {
			break
		}
		n, err := r.one(ctx)
		if err != nil {
			r.err = err
		}
		b.Bytes += n
	}
	b.Docs = r.arena.docs
	if len(b.Docs) > 0 {
		return nil
	}
	if r.err != nil {
		return r.t.fail(ctx, "read", r.err)
	}
	return io.EOF
}

// one takes one document and returns how many bytes it has; none where the cursor is at its end, or was lost and can be opened again.
func (r *rows) one(ctx context.Context) (int64, error) {
	if r.cursor == nil {
		if err := r.open(ctx); err != nil {
			return 0, r.lost(ctx, err)
		}
	}
	if r.done {
		return 0, nil
	}
	if !r.cursor.Next(ctx) {
		err := r.cursor.Err()
		r.end(ctx)
		if err != nil {
			return 0, r.lost(ctx, err)
		}
		r.done = true
		return 0, nil
	}
	raw := r.cursor.Current
	if err := r.arena.add(raw); err != nil {
		return 0, err
	}
	if r.paged {
		if err := r.mark(raw); err != nil {
			return 0, err
		}
	}
	r.pruner.document(&r.arena.docs[len(r.arena.docs)-1])
	r.tries = 0
	r.size += (int64(len(raw)) - r.size) / 16
	if r.cursor.RemainingBatchLength() == 0 {
		r.cursor.SetBatchSize(fitting(max(r.size, int64(len(raw)))))
	}
	return int64(len(raw)), nil
}

// mark remembers the _id, whose bytes are the cursor's.
func (r *rows) mark(raw bson.Raw) error {
	id, err := raw.LookupErr("_id")
	if err != nil {
		return &badDocument{err: err}
	}
	if r.last == nil {
		r.last = &bson.RawValue{}
	}
	r.last.Type, r.last.Value = id.Type, append(r.last.Value[:0], id.Value...)
	return nil
}

// lost decides whether the reading goes on after an error: then it waits a moment and returns nil.
func (r *rows) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil || !r.paged || !passes(err) || r.tries >= mostTries {
		return err
	}
	r.tries++
	if ctxErr := r.t.pause(ctx, r.tries-1); ctxErr != nil {
		return ctxErr
	}
	return nil
}

func (r *rows) open(ctx context.Context) error {
	r.t.mu.Lock()
	batch, known := r.t.batch, r.t.known
	r.t.mu.Unlock()
	piece, ok := r.segments.condition(known, r.last)
	if !ok {
		r.done = true
		return nil
	}
	s := r.t.plan.scan(and(r.condition, piece), r.paged, r.wanted)
	if r.size > 0 {
		batch = fitting(r.size)
	}
	var err error
	if s.stages != nil {
		r.cursor, err = r.t.from.Aggregate(ctx, s.stages, options.Aggregate().SetBatchSize(batch).SetAllowDiskUse(true))
		return err
	}
	o := options.Find().SetBatchSize(batch).SetAllowDiskUse(len(s.sort) > 0)
	if len(s.projection) > 0 {
		o.SetProjection(s.projection)
	}
	if len(s.sort) > 0 {
		o.SetSort(s.sort)
	}
	r.cursor, err = r.t.from.Find(ctx, s.filter, o)
	return err
}

// end closes the cursor.
func (r *rows) end(ctx context.Context) {
	if r.cursor != nil {
		_ = r.cursor.Close(context.WithoutCancel(ctx)) // the server forgets it by itself
		r.cursor = nil
	}
}

// Close ends the scan, also on the server.
func (r *rows) Close() error {
	r.end(context.Background())
	r.done = true
	return nil
}

// without reports whether a field does not leave the server.
func (w wanted) without(field string) bool {
	if w.all {
		return slices.ContainsFunc(w.exclude, func(e string) bool { return within(field, e) })
	}
	return !slices.ContainsFunc(w.include, func(c string) bool { return within(field, c) })
}
