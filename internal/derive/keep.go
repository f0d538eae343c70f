package derive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"firth/internal/lake"
	"firth/internal/warehouse"
)

// Properties of a table that say what it is.
const (
	propMark     = "firth.derived.mark"
	propMode     = "firth.derived.mode"
	propWhy      = "firth.derived.why"
	propColumns  = "firth.derived.columns"
	propAt       = "firth.derived.positions"
	propRemoved  = "firth.derived.removed"
	propSnapshot = "firth.derived.snapshot"
	propFrom     = "firth.derived.from"
)

// Store is where the tables are kept.
type Store interface {
	// Properties are those of a table; nil where there is none.
	Properties(ctx context.Context, name string) (map[string]string, error)
	// Replace makes a table hold the rows of a statement, which may read what it holds so far as stored, in one commit with its properties.
	// With erase nothing is left of what was before: no snapshot, no file. The statement may be asked for again where another committed.
	Replace(ctx context.Context, name string, columns []Column, set map[string]string, erase bool, statement func(present map[string]string, stored string) (string, error)) error
	// Only drops the tables but those named, and leaves nothing of what they held.
	Only(ctx context.Context, names []string) error
	// Tend removes files that are not needed any more; it is cheap where there is nothing to do.
	Tend(ctx context.Context) error
	// Files brings a table's files here until release is called.
	Files(ctx context.Context, name string) (local []string, release func(), err error)
	// Bench opens an engine for as long as fn runs.
	Bench(ctx context.Context, fn func(e Engine) error) error
}

// Events are the raw events.
type Events interface {
	// Relation is something to select the events of a snapshot from, until release is called.
	Relation(ctx context.Context, snap *lake.Snapshot) (events string, release func(), err error)
}

// Views are what readers see.
type Views interface {
	// ShowDerived makes lake.<name> the rows of a statement, which may read lake.<source>.
	ShowDerived(ctx context.Context, name, statement string) error
	// FailDerived makes every question to lake.<name> fail with the text.
	FailDerived(ctx context.Context, name, text string) error
	// Parquet is something to select the rows of files from.
	Parquet(files []string, columns []Column) string
}

// Options of a Keeper.
type Options struct {
	Specs  []Spec
	Store  Store
	Events Events
	Views  Views
	// Gate says whether the statements may be run, and why what they merge cannot be merged again, "" where it may be; nil: anything goes.
	Gate   func(ctx context.Context, s *Spec) (whole string, err error)
	Record func(ctx context.Context, r *warehouse.Run)
	Now    func() time.Time
	NewID  func() string
	Log    *slog.Logger
	// Latest is the present snapshot of a source.
	Latest func(ctx context.Context, source string) (*lake.Snapshot, error)
	// Grace is how long files of a view that was replaced stay held for those who still read it.
	Grace time.Duration
}

// Keeper keeps derived tables. Before and After are called by whoever changes the views of the sources; Run, once, makes the tables.
type Keeper struct {
	o Options

	mu    sync.Mutex // held while views change
	items []*item
	shown map[string]*lake.Snapshot // by source: what lake.<source> shows
}

// item is one table.
type item struct {
	spec Spec
	plan *Plan  // nil until it is known
	made *made  // nil: nothing that can be used
	view string // what readers see: "" for nothing yet, viewPlain, viewFailing or viewMade
	old  []retired

	state ItemState
	due   time.Time

	making sync.Mutex // held while the table is made; taken before Keeper.mu
}

const (
	viewPlain   = "plain"
	viewFailing = "failing"
	viewMade    = "made"
)

type retired struct {
	release func()
	until   time.Time
}

// made is the state of a table in the store.
type made struct {
	at       Position
	removed  uint64
	snapshot int64

	local   []string // its files
	release func()
}

// ItemState is how one table is, for people.
type ItemState struct {
	Name, From string
	Mode       Mode
	Why        string
	Made       time.Time
	Took       time.Duration
	Error      string
	Hint       string
}

// New makes a Keeper.
func New(o Options) *Keeper {
	k := &Keeper{o: o, shown: map[string]*lake.Snapshot{}}
	for _, s := range o.Specs {
		k.items = append(k.items, &item{spec: s, state: ItemState{Name: s.Name, From: s.From}})
	}
	return k
}

// States tells how the tables are.
func (k *Keeper) States() []ItemState {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]ItemState, len(k.items))
	for i, it := range k.items {
		out[i] = it.state
	}
	return out
}

// Before is called before lake.<source> shows another snapshot, or, where snap is nil, something that no snapshot is known for: tables
// whose rows would not be those of that snapshot are shown as the statement over all events from now on, which is right whatever the view
// below shows. Until After is called nothing else is shown.
func (k *Keeper) Before(ctx context.Context, source string, snap *lake.Snapshot) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.shown, source)
	for _, it := range k.items {
		if it.spec.From != source || it.view != viewMade || snap != nil && it.usable(snap) {
			continue
		}
		if err := k.show(ctx, it, nil); err != nil {
			return err
		}
	}
	return nil
}

// After is called when lake.<source> shows a snapshot.
func (k *Keeper) After(ctx context.Context, source string, snap *lake.Snapshot) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shown[source] = snap
	var all error
	for _, it := range k.items {
		if it.spec.From == source && it.view == "" && it.plan != nil {
			all = errors.Join(all, k.show(ctx, it, it.fit(snap)))
		}
	}
	return all
}

// usable says whether what was made, together with the events beyond, gives the table at a snapshot.
func (it *item) usable(snap *lake.Snapshot) bool {
	m := it.made
	if m == nil || it.plan == nil || m.removed != snap.Removed {
		return false
	}
	if it.plan.Mode == Whole {
		return m.snapshot == snap.ID
	}
	for log, offset := range m.at {
		if snap.Positions[log] < offset {
			return false
		}
	}
	return true
}

// fit is what was made where it can be used; a nil snapshot is none that is known.
func (it *item) fit(snap *lake.Snapshot) *made {
	if snap != nil && it.usable(snap) {
		return it.made
	}
	return nil
}

// show changes what readers see of a table: what was made and the events beyond, or, where m is nil, the statement over all events.
func (k *Keeper) show(ctx context.Context, it *item, m *made) error {
	events := "lake." + quote(it.spec.View)
	view, statement := viewPlain, it.plan.Plain(events)
	if m != nil {
		view = viewMade
		stored := k.o.Views.Parquet(m.local, it.plan.Columns)
		if it.plan.Mode == Whole {
			statement = typed(it.plan.Columns, "SELECT * FROM "+stored)
		} else {
			statement = it.plan.Together(stored, events, m.at)
		}
	}
	if err := k.o.Views.ShowDerived(ctx, it.spec.Name, statement); err != nil {
		return fmt.Errorf("show the derived table %s: %w", it.spec.Name, err)
	}
	it.view = view
	return nil
}

// put takes what was made last in the place of what was made before, whose files stay for those who still read them.
func (k *Keeper) put(it *item, m *made) {
	now := k.o.Now()
	if it.made != nil && it.made.release != nil {
		it.old = append(it.old, retired{it.made.release, now.Add(k.o.Grace)})
	}
	it.made = m
	it.let(now)
}

// let lets go of files that nobody reads any more.
func (it *item) let(now time.Time) {
	keep := it.old[:0]
	for _, r := range it.old {
		if now.Before(r.until) {
			keep = append(keep, r)
		} else {
			r.release()
		}
	}
	it.old = keep
}

// properties say in the store what a table is.
func (it *item) properties(p *Plan, m *made) (map[string]string, error) {
	columns, err := json.Marshal(p.Columns)
	if err != nil {
		return nil, err
	}
	at, err := json.Marshal(m.at)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		propMark: it.spec.Mark(), propMode: string(p.Mode), propWhy: p.Why, propColumns: string(columns), propFrom: it.spec.From,
		propAt: string(at), propRemoved: strconv.FormatUint(m.removed, 10), propSnapshot: strconv.FormatInt(m.snapshot, 10),
	}, nil
}

// readState is the reverse; nothing where the table was made by other statements.
func (it *item) readState(props map[string]string) (*Plan, *made, error) {
	if props[propMark] != it.spec.Mark() {
		return nil, nil, nil
	}
	p, m := &Plan{Spec: it.spec, Mode: Mode(props[propMode]), Why: props[propWhy]}, &made{}
	err := errors.Join(json.Unmarshal([]byte(props[propColumns]), &p.Columns), json.Unmarshal([]byte(props[propAt]), &m.at))
	if err != nil {
		return nil, nil, fmt.Errorf("properties of the derived table %s: %w", it.spec.Name, err)
	}
	if m.removed, err = strconv.ParseUint(props[propRemoved], 10, 64); err == nil {
		m.snapshot, err = strconv.ParseInt(props[propSnapshot], 10, 64)
	}
	return p, m, err
}

// positionOf is how far a snapshot goes.
func positionOf(snap *lake.Snapshot) Position { return Position(maps.Clone(snap.Positions)) }
