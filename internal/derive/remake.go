package derive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"firth/internal/lake"
)

// Remake makes the tables of a source anew from its present events, and leaves nothing of what they held, nor of tables that are not
// configured any more: it is for events that were taken out of the lake. It returns the names of the tables.
func (k *Keeper) Remake(ctx context.Context, source string) (names []string, err error) {
	if err := k.o.Store.Only(ctx, k.names()); err != nil {
		return nil, err
	}
	snap, err := k.o.Latest(ctx, source)
	if errors.Is(err, lake.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, it := range k.items {
		if it.spec.From != source {
			continue
		}
		if err := k.remake(ctx, it, snap); err != nil {
			return names, fmt.Errorf("make the derived table %s anew: %w", it.spec.Name, err)
		}
		names = append(names, it.spec.Name)
	}
	return names, nil
}

func (k *Keeper) remake(ctx context.Context, it *item, snap *lake.Snapshot) error {
	it.making.Lock()
	defer it.making.Unlock()
	if err := k.know(ctx, it, snap); err != nil {
		var fault *Fault
		if errors.As(err, &fault) { // a statement that is of no use any more: what it made once goes
			return k.o.Store.Only(ctx, slices.DeleteFunc(k.names(), func(n string) bool { return n == it.spec.Name }))
		}
		return err
	}
	k.mu.Lock()
	if it.made != nil {
		it.made.removed = ^snap.Removed // of no use, whatever it was
	}
	err := k.show(ctx, it, nil)
	k.mu.Unlock()
	if err != nil {
		return err
	}
	if err := k.make(ctx, it, snap, true); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range it.old {
		r.release()
	}
	it.old = nil
	return nil
}

// Know finds out what the statements give and shows the tables, without making any: for a command that answers and ends.
func (k *Keeper) Know(ctx context.Context) {
	for _, it := range k.items {
		k.mu.Lock()
		snap := k.shown[it.spec.From]
		k.mu.Unlock()
		if snap == nil {
			continue
		}
		if err := k.know(ctx, it, snap); err != nil {
			k.note(ctx, it, k.o.Now(), false, err)
		}
	}
}

// Reading is how a table's rows come of events: for who reads files that no view names.
type Reading struct {
	Columns []Column
	Events  []*lake.File // that are needed
	// Statement gives the rows, of something to select the rows of the events from.
	Statement func(events string) string
}

// Reading is for a snapshot of the source. Files that its statement names stay for as long as Options.Grace. The table must be one of the
// Keeper's; the error says what is wrong with it otherwise.
func (k *Keeper) Reading(ctx context.Context, name string, snap *lake.Snapshot) (*Reading, error) {
	at := slices.IndexFunc(k.items, func(it *item) bool { return it.spec.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("there is no derived table %s", name)
	}
	it := k.items[at]
	if err := k.know(ctx, it, snap); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	plan, m := it.plan, it.fit(snap)
	if m == nil {
		return &Reading{plan.Columns, snap.Files, plan.Plain}, nil
	}
	stored := k.o.Views.Parquet(m.local, plan.Columns)
	if plan.Mode == Whole {
		return &Reading{plan.Columns, nil, func(string) string { return typed(plan.Columns, "SELECT * FROM "+stored) }}, nil
	}
	position := m.at
	var beyond []*lake.File
	for _, f := range snap.Files {
		if !position.covers(f) {
			beyond = append(beyond, f)
		}
	}
	return &Reading{plan.Columns, beyond, func(events string) string { return plan.Together(stored, events, position) }}, nil
}

// covers says that no row of a file lies beyond the position.
func (p Position) covers(f *lake.File) bool {
	offset, ok := p[f.MinLog]
	return ok && f.MinLog == f.MaxLog && f.MaxOffset < offset
}

// Some is a snapshot with some of the files, the newest, for trying a statement on.
func Some(snap *lake.Snapshot) *lake.Snapshot {
	out := *snap
	out.Files, out.Rows, out.Bytes = nil, 0, 0
	files := slices.Clone(snap.Files)
	slices.SortFunc(files, func(a, b *lake.File) int { return cmp.Compare(b.MaxReceived, a.MaxReceived) })
	for _, f := range files {
		if len(out.Files) > 0 && out.Rows+f.Rows > 10*sampleRows {
			break
		}
		out.Files, out.Rows, out.Bytes = append(out.Files, f), out.Rows+f.Rows, out.Bytes+f.Bytes
	}
	return &out
}
