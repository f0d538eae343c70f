package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"firth/internal/lake"
	"firth/internal/warehouse"
)

// freshness holds what was last seen; it is read by other goroutines.
type freshness struct {
	mu   sync.Mutex
	rows []warehouse.Freshness
}

func (f *freshness) get() []warehouse.Freshness {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.rows)
}

func (f *freshness) set(rows []warehouse.Freshness) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = rows
}

// view brings lake.<source> to the snapshot.
func (s *source) view(ctx context.Context) error {
	if s.o.Views == nil {
		return nil
	}
	return s.viewed.refresh(ctx, s.o, s.snap,
		func(files []string) error { return s.o.Views.SetLakeFiles(ctx, s.schema, files) },
		func(damage string) error { return s.o.Views.SetLakeDamage(ctx, s.schema, damage) })
}

func paths(snap *lake.Snapshot) []string {
	out := make([]string, len(snap.Files))
	for i, f := range snap.Files {
		out[i] = f.Path
	}
	slices.Sort(out)
	return out
}

// refresh brings the dead letters, the list of files and the freshness up to date. What cannot be refreshed now is tried
// again at the next turn, and holds nothing up.
func (l *Loader) refresh(ctx context.Context) error {
	var rows []warehouse.Freshness
	told := l.upstream()
	for _, name := range l.names {
		if f, ok := l.sources[name].freshness(); ok {
			f.Upstream = told
			rows = append(rows, f)
		}
	}
	l.fresh.set(rows)
	if l.o.Views == nil {
		return nil
	}
	err := errors.Join(l.refreshDeadLetters(ctx), l.refreshFiles(ctx))
	if l.o.Others != nil {
		for _, f := range l.o.Others() {
			f.Upstream = told
			rows = append(rows, f)
		}
	}
	if !slices.Equal(rows, l.shown) {
		if e := l.o.Views.SetFreshness(ctx, rows); e != nil {
			err = errors.Join(err, e)
		} else {
			l.shown = rows
		}
	}
	if err != nil {
		return fmt.Errorf("refresh the views of the lake: %w", err)
	}
	return nil
}

func (s *source) freshness() (warehouse.Freshness, bool) {
	if s.snap == nil || s.positions == nil {
		return warehouse.Freshness{}, false
	}
	k, _ := s.marks.get(s.name)
	return k.freshness(s.o.Name, s.snap), true
}

func (l *Loader) refreshDeadLetters(ctx context.Context) error {
	snap, err := l.o.Lake.Snapshot(ctx, lake.DeadLetters)
	if errors.Is(err, lake.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	return l.letters.refresh(ctx, &l.o, snap,
		func(files []string) error { return l.o.Views.SetDeadLetterFiles(ctx, files) },
		func(damage string) error { return l.o.Views.SetDeadLetterDamage(ctx, damage) })
}

// filesEvery is how often firth.files is made anew at most, since a lake may have thousands of files and a flush a second.
const filesEvery = 5 * time.Second

func (l *Loader) refreshFiles(ctx context.Context) error {
	now := l.o.Now()
	if now.Sub(l.filesAt) < filesEvery {
		return nil
	}
	snaps := map[string]int64{}
	var rows []warehouse.LakeFile
	add := func(table string, snap *lake.Snapshot) {
		if snap == nil {
			return
		}
		snaps[table] = snap.ID
		for _, f := range snap.Files {
			rows = append(rows, warehouse.LakeFile{
				Table: table, Path: f.Path, Day: f.Day, Rows: f.Rows, Bytes: f.Bytes, MinTS: f.MinTS, MaxTS: f.MaxTS,
				MinReceived: f.MinReceived, MaxReceived: f.MaxReceived, MinOffset: f.MinOffset, MaxOffset: f.MaxOffset,
			})
		}
	}
	for _, name := range l.names {
		add(name, l.sources[name].snap)
	}
	add(lake.DeadLetters, l.letters.snap)
	if maps.Equal(snaps, l.filesOf) {
		return nil
	}
	if err := l.o.Views.SetFiles(ctx, rows); err != nil {
		return err
	}
	l.filesOf, l.filesAt = snaps, now
	return nil
}
