package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Limits are how long one call of a warehouse may take. Zero values stand for the defaults.
type Limits struct {
	Open time.Duration // and questions for positions and catalogue; default 1 minute
	Load time.Duration // of one batch, with what it alters; default 30 minutes
	Swap time.Duration // of a rebuild; default 2 hours
}

func (l *Limits) setDefaults() {
	for _, d := range []struct {
		at  *time.Duration
		def time.Duration
	}{{&l.Open, time.Minute}, {&l.Load, 30 * time.Minute}, {&l.Swap, 2 * time.Hour}} {
		if *d.at <= 0 {
			*d.at = d.def
		}
	}
}

// busy is what a warehouse was asked last and has not answered. The zero value is ready; it is safe for use by several goroutines.
type busy struct {
	mu    sync.Mutex
	what  string
	since time.Time
}

func (b *busy) set(what string, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.what, b.since = what, since
}

func (b *busy) get() (what string, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.what, b.since
}

// guarded is a warehouse whose calls have a time limit and are seen while they last. It is a Preparer, Replayer, Rebuilder and Tender
// where the warehouse is one.
type guarded struct {
	Warehouse
	name   string
	limits Limits
	now    func() time.Time
	busy   *busy
	// stretch is how often the limit of loads was doubled, since each had to be broken off: what alters a great table may take its
	// time, and would never end otherwise.
	stretch *atomic.Int32
}

// maxStretch bounds the limit of a load: 2^5 times that of Limits.
const maxStretch = 5

// write is a call within that writes a batch.
func (g *guarded) write(ctx context.Context, what string, fn func(ctx context.Context) error) error {
	n := g.stretch.Load()
	err := g.within(ctx, g.limits.Load<<n, what, fn)
	switch {
	case err == nil:
		g.stretch.Store(0)
	case warehouse.KindOf(err) == warehouse.Timeout && n < maxStretch && ctx.Err() == nil:
		g.stretch.Store(n + 1)
	}
	return err
}

// within makes one call.
func (g *guarded) within(ctx context.Context, limit time.Duration, what string, fn func(ctx context.Context) error) error {
	return timed(ctx, g.busy, g.now, limit, what, g.name, fn)
}

func timed(ctx context.Context, b *busy, now func() time.Time, limit time.Duration, what, name string, fn func(ctx context.Context) error) error {
	b.set(what, now())
	defer b.set("", time.Time{})
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := fn(inner)
	if err == nil || ctx.Err() != nil || inner.Err() == nil {
		return err
	}
	return &warehouse.Error{
		Op: what, Object: name, Kind: warehouse.Timeout, Err: fmt.Errorf("no answer in %s: %w", inWords(limit), err),
		Hint: "look whether the warehouse works and whether somebody holds a lock there; it is tried again by itself",
	}
}

func (g *guarded) Positions(ctx context.Context, source string) (out map[string]warehouse.Position, err error) {
	err = g.within(ctx, g.limits.Open, "read positions", func(ctx context.Context) (err error) {
		out, err = g.Warehouse.Positions(ctx, source)
		return err
	})
	return out, err
}

func (g *guarded) Catalogue(ctx context.Context, source string) (out []warehouse.Table, err error) {
	err = g.within(ctx, g.limits.Open, "read catalogue", func(ctx context.Context) (err error) {
		out, err = g.Warehouse.Catalogue(ctx, source)
		return err
	})
	return out, err
}

func (g *guarded) Load(ctx context.Context, b *warehouse.Batch) (out *warehouse.Result, err error) {
	err = g.write(ctx, "load", func(ctx context.Context) (err error) {
		out, err = g.Warehouse.Load(ctx, b)
		return err
	})
	return out, err
}

func (g *guarded) Prepare(ctx context.Context, source, schema string, tables []*table.Batch) error {
	p, ok := g.Warehouse.(Preparer)
	if !ok {
		return nil
	}
	return g.within(ctx, g.limits.Load, "prepare", func(ctx context.Context) error { return p.Prepare(ctx, source, schema, tables) })
}

func (g *guarded) Tend(ctx context.Context) error {
	t, ok := g.Warehouse.(Tender)
	if !ok {
		return nil
	}
	return g.within(ctx, g.limits.Load, "tidy up", t.Tend)
}

func (g *guarded) Replay(ctx context.Context, b *warehouse.Batch) (out *warehouse.Result, err error) {
	r, ok := g.Warehouse.(Replayer)
	if !ok {
		return nil, cannot("replay", g.name)
	}
	err = g.write(ctx, "replay", func(ctx context.Context) (err error) {
		out, err = r.Replay(ctx, b)
		return err
	})
	return out, err
}

func (g *guarded) Swap(ctx context.Context, s *warehouse.Swap) (out *warehouse.Result, err error) {
	r, ok := g.Warehouse.(Rebuilder)
	if !ok {
		return nil, cannot("rebuild", g.name)
	}
	err = g.within(ctx, g.limits.Swap, "swap", func(ctx context.Context) (err error) {
		out, err = r.Swap(ctx, s)
		return err
	})
	return out, err
}

func (g *guarded) DropRebuild(ctx context.Context, rebuildSource, rebuildSchema string) error {
	r, ok := g.Warehouse.(Rebuilder)
	if !ok {
		return cannot("rebuild", g.name)
	}
	return g.within(ctx, g.limits.Load, "drop a rebuild", func(ctx context.Context) error {
		return r.DropRebuild(ctx, rebuildSource, rebuildSchema)
	})
}

func (g *guarded) Forget(ctx context.Context, f warehouse.Forget) (out *warehouse.Forgotten, err error) {
	w, ok := g.Warehouse.(Forgetter)
	if !ok {
		return nil, cannot("forget people", g.name)
	}
	err = g.within(ctx, g.limits.Swap, "forget people in", func(ctx context.Context) (err error) {
		out, err = w.Forget(ctx, f)
		return err
	})
	return out, err
}

// close closes the warehouse where it holds connections.
func (g *guarded) close() error {
	if c, ok := g.Warehouse.(Closer); ok {
		return c.Close()
	}
	return nil
}

// inner is the warehouse itself, for questions of what it can do.
func inner(w Warehouse) Warehouse {
	if g, ok := w.(*guarded); ok {
		return g.Warehouse
	}
	return w
}

func cannot(what, name string) error {
	return &warehouse.Error{Op: what, Object: name, Kind: warehouse.NotThere, Err: errors.New("this kind of warehouse cannot do it"), Hint: "load into a warehouse of another kind"}
}
