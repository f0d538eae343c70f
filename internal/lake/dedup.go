package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
	"firth/internal/lake/window"
)

// source is the table of a source with its dedup window.
type source struct {
	*store
	window *window.Window
	stats  SourceStats
}

// openSource opens a source's table and brings its window up to what the table holds.
func (l *Lake) openSource(ctx context.Context, name, log string) (*source, error) {
	st, err := l.store(ctx, name)
	if err != nil {
		return nil, err
	}
	positions, err := offsets(st.current().Properties(), positionKey)
	if err != nil {
		return nil, err
	}
	w, err := window.Open(window.Options{
		FS: l.o.FS, Dir: filepath.Join(l.o.Window, name), Log: log, Span: l.o.DedupWindow, IDs: l.o.DedupIDs,
	}, positions)
	if err != nil {
		return nil, fmt.Errorf("open dedup window of %s: %w", name, err)
	}
	s := &source{store: st, window: w}
	if err := s.fill(log); err != nil {
		return nil, errors.Join(fmt.Errorf("fill dedup window of %s: %w", name, err), w.Close())
	}
	return s, nil
}

// fill reads from the table what its window does not know: after a crash the last ids, else nothing, or all of the span.
func (s *source) fill(log string) error {
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	complete := !s.window.Empty()
	for of, position := range snap.Positions {
		complete = complete && s.window.Complete(of, position)
	}
	if complete {
		return nil
	}
	if s.window.Empty() {
		start := s.reach(snap)
		if len(snap.Files) > 0 {
			s.l.o.Log.Info("the dedup window is made from the lake", "table", s.name, "files", len(snap.Files))
		}
		s.window.Refill(start)
		for _, f := range snap.Files {
			if f.MaxReceived >= start {
				if err := s.fillFrom(f, log, nil); err != nil {
					return err
				}
			}
		}
		return s.window.Refilled(snap.Positions)
	}
	start := int64(window.Always)
	for of := range snap.Positions {
		if of != log && s.window.Covered(of) == 0 { // a whole journal, from a backup: as far as a window of its own would reach
			start = s.reach(snap)
		}
	}
	s.window.Refill(start)
	start = max(start, s.window.Start()) // what was received before it would be let go of: most of an import
	for of := range snap.Positions {
		from := s.window.Covered(of)
		for _, f := range snap.Files {
			if f.MaxReceived < start || !f.MayHold(of, from, snap.Positions[of]) {
				continue
			}
			keep := func(c *event.Call) bool { return c.Log == of && c.Offset >= from }
			if err := s.fillFrom(f, log, keep); err != nil {
				return err
			}
		}
	}
	return s.window.Refilled(snap.Positions)
}

// catchUp makes sure that the window knows all that the table holds. It does unless rows came in from elsewhere, out of a backup.
func (s *source) catchUp(log string) error {
	positions, err := offsets(s.current().Properties(), positionKey)
	if err != nil {
		return err
	}
	for of, position := range positions {
		if s.window.Complete(of, position) {
			continue
		}
		if err := s.fill(log); err != nil {
			return fmt.Errorf("fill dedup window of %s: %w", s.name, err)
		}
		return nil
	}
	return nil
}

// reach is how far back a window may reach that is made from nothing: by its span, and by the number of its ids.
func (s *source) reach(snap *Snapshot) int64 {
	files := slices.Clone(snap.Files)
	slices.SortFunc(files, func(a, b *File) int { return cmp.Compare(b.MaxReceived, a.MaxReceived) })
	start, rows := int64(window.Always), int64(0)
	for _, f := range files {
		rows += f.Rows
		old := f.MaxReceived < files[0].MaxReceived-s.l.o.DedupWindow.Microseconds()
		if old || rows > int64(s.l.o.DedupIDs) {
			return f.MaxReceived + 1
		}
	}
	return start
}

// fillFrom takes the ids of a file's rows into the window.
func (s *source) fillFrom(f *File, log string, keep func(*event.Call) bool) error {
	var here, elsewhere []window.Seen
	scan := rowfile.Scan{Columns: []string{colMessageID, colReceivedAt, colLog, colOffset}}
	if keep != nil {
		scan.Probe = []string{colLog, colOffset}
	}
	return withFile(s.l.verifier, s.l.calls, f, func(file *rowfile.File[event.Call]) error {
		err := file.Scan(scan, keep, func(c *event.Call) error {
			seen := window.Seen{ID: window.Hash(c.MessageID), Offset: c.Offset, Received: c.ReceivedAt}
			if c.Log == log {
				here = append(here, seen)
			} else {
				elsewhere = append(elsewhere, seen)
			}
			if len(here)+len(elsewhere) < rowfile.RowsPerGroup {
				return nil
			}
			err := errors.Join(s.window.Load(here, false), s.window.Load(elsewhere, true))
			here, elsewhere = here[:0], elsewhere[:0]
			return err
		})
		return errors.Join(err, s.window.Load(here, false), s.window.Load(elsewhere, true))
	})
}

// fresh returns the calls, which are in the order of their offsets, less those whose message id was seen before: in this
// flush, in the window, or, for calls older than the window, in the table itself. The first one stays.
func (s *source) fresh(calls []*event.Call, log string) ([]*event.Call, []window.ID, error) {
	ids := make([]window.ID, 0, len(calls))
	kept := make([]*event.Call, 0, len(calls))
	here := make(map[window.ID]struct{}, len(calls))
	for _, c := range calls {
		id := window.Hash(c.MessageID)
		if _, twice := here[id]; twice {
			continue
		}
		here[id] = struct{}{}
		kept, ids = append(kept, c), append(ids, id)
	}
	seen := make([]bool, len(kept))
	mark := func(i int, offset uint64) { seen[i] = offset != kept[i].Offset }
	err := s.window.Find(ids, mark)
	if errors.Is(err, window.ErrCorrupt) {
		s.l.o.Log.Warn("dedup window is made again from the lake", "table", s.name, "error", err)
		if err = errors.Join(s.window.Reset(), s.fill(log)); err == nil {
			clear(seen)
			err = s.window.Find(ids, mark)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("look up message ids: %w", err)
	}
	if err := s.markLate(kept, seen); err != nil {
		return nil, nil, err
	}
	n := 0
	for i := range kept {
		if !seen[i] {
			kept[n], ids[n] = kept[i], ids[i]
			n++
		}
	}
	return kept[:n], ids[:n], nil
}

// note takes committed calls into the window.
func (s *source) note(calls []*event.Call, ids []window.ID, position uint64) error {
	rows := make([]window.Seen, len(calls))
	for i, c := range calls {
		rows[i] = window.Seen{ID: ids[i], Offset: c.Offset, Received: c.ReceivedAt}
	}
	if err := s.window.Add(rows, position); err != nil {
		return fmt.Errorf("write dedup window of %s: %w", s.name, err)
	}
	return nil
}

// count adds to the counters of the table and of all of them.
func (s *source) count(all *Stats, rows, duplicates int) {
	all.Rows += int64(rows)
	all.Duplicates += int64(duplicates)
	s.stats.Rows += int64(rows)
	s.stats.Duplicates += int64(duplicates)
	s.stats.WindowIDs, s.stats.WindowSpan = s.window.IDs(), s.window.Span()
	all.Sources[s.name] = s.stats
}
