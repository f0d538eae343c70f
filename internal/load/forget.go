package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"firth/internal/warehouse"
)

// Forgetter is a warehouse that can remove what it holds of people.
type Forgetter interface {
	// Forget removes it from the tables of one source, see [warehouse.Forget]. Nobody loads or rebuilds that source meanwhile.
	Forget(ctx context.Context, f warehouse.Forget) (*warehouse.Forgotten, error)
}

// StageForget is the stage of Progress of a Forget; Done and Total are sources.
const StageForget = "forget"

// Forgetting names the people whose rows go, and from which sources. None of the ids may be in the lake any more, or they are loaded again.
type Forgetting struct {
	Sources                       []string // none: all that the lake has
	UserIDs, AnonymousIDs, RowIDs []string // as in [warehouse.Forget]
}

// Forget removes people from the warehouse as an order that takes turns with all others and with the loads: while it lasts none is under
// way, and what had been read from the lake before is thrown away, so that it does not come in afterwards. It is recorded as a run,
// which names nobody. It may be called again with the same, after a failure or a kill, and then completes what is left. It may be called
// from anywhere; progress may be nil.
func (l *Loader) Forget(ctx context.Context, o Forgetting, progress func(Progress)) (*warehouse.Forgotten, error) {
	select {
	case l.orders <- struct{}{}:
		defer func() { <-l.orders }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	if len(o.Sources) == 0 {
		found, err := l.o.Lake.Sources(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the lake's catalog: %w", err)
		}
		o.Sources = slices.Sorted(slices.Values(found))
	}
	s := l.newSession(StageForget, l.o.Name)
	s.whole, s.schemas = true, true
	l.tidy(ctx, s)
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	kept := l.kept()
	l.unlock()
	began := l.o.Now()
	f := &forgetting{l: l, o: o, progress: progress, out: &warehouse.Forgotten{Rows: map[string]int64{}, Erased: true}}
	err := f.run(ctx)
	if kept.renewed(ctx, err) {
		err = f.run(ctx)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), historyWait)
	defer cancel()
	s.start(ending)
	s.run.StartedAt = began
	s.notice(fmt.Sprintf("%d rows of people who are to be forgotten were removed", f.removed()))
	if err != nil {
		// The text of the failure may name them: it is for the caller alone.
		s.failed(ending, &warehouse.Error{Op: StageForget, Object: l.o.Name, Kind: warehouse.KindOf(err), Err: errors.New("people could not be removed from it yet"),
			Hint: "it is tried again by itself; firth lake purge --list says how far it is"}, began)
		return nil, err
	}
	s.end(ending)
	return f.out, nil
}

// forgetting is a Forget under way.
type forgetting struct {
	l        *Loader
	o        Forgetting
	progress func(Progress)
	out      *warehouse.Forgotten
}

func (f *forgetting) removed() (n int64) {
	for _, rows := range f.out.Rows {
		n += rows
	}
	return n
}

// run removes the people from all sources in one turn, so that what is done once for all of them needs to be done once.
func (f *forgetting) run(ctx context.Context) error {
	l := f.l
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if err := l.connected(ctx); err != nil {
		return err
	}
	w, ok := l.o.Warehouse.(Forgetter)
	if _, can := inner(l.o.Warehouse).(Forgetter); !ok || !can {
		return cannot("forget people", l.o.Name)
	}
	l.sweep()
	f.out.Notices, f.out.Erased = nil, true
	for i, name := range f.o.Sources {
		f.progress(Progress{Source: name, Stage: StageForget, Done: int64(i), Total: int64(len(f.o.Sources))})
		if err := f.letGo(name); err != nil {
			return fmt.Errorf("source %s: %w", name, err)
		}
		if err := f.source(ctx, w, name, i+1 < len(f.o.Sources)); err != nil {
			return fmt.Errorf("source %s: %w", name, err)
		}
	}
	f.progress(Progress{Stage: StageForget, Done: int64(len(f.o.Sources)), Total: int64(len(f.o.Sources))})
	return nil
}

// letGo throws away what was read of a source from the lake as it was. The gate is held.
func (f *forgetting) letGo(name string) error {
	s := f.l.sources[name]
	if s == nil {
		return nil
	}
	s.ahead, s.stale, s.shaper = nil, true, nil
	return s.dropSpool()
}

// source removes the people from the tables of one source.
func (f *forgetting) source(ctx context.Context, w Forgetter, name string, more bool) error {
	l := f.l
	schema := l.o.Rules.Schema(name)
	if r, ok := l.o.Warehouse.(Rebuilder); ok {
		if _, can := inner(l.o.Warehouse).(Rebuilder); can {
			// No rebuild is under way: what one left is of no use, and may hold their rows.
			if err := r.DropRebuild(ctx, name+rebuildSuffix, rebuildSchema(l.o.Rules, schema)); err != nil {
				return err
			}
		}
	}
	got, err := w.Forget(ctx, warehouse.Forget{
		Source: name, Schema: schema, UserIDs: f.o.UserIDs, AnonymousIDs: f.o.AnonymousIDs, RowIDs: f.o.RowIDs, More: more,
	})
	if err != nil {
		return err
	}
	for t, n := range got.Rows {
		f.out.Rows[t] += n
	}
	if !more {
		f.out.Erased = f.out.Erased && got.Erased
	}
	for _, n := range got.Notices {
		if !slices.Contains(f.out.Notices, n) {
			f.out.Notices = append(f.out.Notices, n)
		}
	}
	return nil
}

// Forget removes people from the warehouse, beside Run; see Loader.Forget.
func (r *Runner) Forget(ctx context.Context, o Forgetting, progress func(Progress)) (*warehouse.Forgotten, error) {
	out, err := r.l.Forget(ctx, o, progress)
	r.mu.Lock()
	next, stopped := r.status.next, r.status.stopped
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	r.leave(ctx, stopped || err != nil && concernsAll(err), next)
	return out, err
}
