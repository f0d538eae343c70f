package window

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
)

// Reset forgets everything: the window is to be filled from the table.
func (w *Window) Reset() error {
	var err error
	for _, g := range w.sealed {
		err = errors.Join(err, g.close())
	}
	w.blank()
	w.start, w.loading = unknown, false
	return err
}

// Refill begins to take in what the table holds and the window does not. Rows received before start are not part of it
// any more; Always says that the table has none. Nothing of it lasts before Refilled returns.
func (w *Window) Refill(start int64) {
	if w.start == unknown {
		w.start = start
	}
	w.start, w.loading = max(w.start, start), true
}

// Load takes in rows of the table during a refill, those of other logs with elsewhere set, in any order.
func (w *Window) Load(rows []Seen, elsewhere bool) error {
	for _, r := range rows {
		if r.Received < w.start {
			continue
		}
		if elsewhere {
			r.Offset = Elsewhere
		}
		w.put(r)
		if len(w.current) >= w.generationIDs() {
			if err := w.Seal(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Refilled ends a refill: the window knows the table's rows up to these positions.
func (w *Window) Refilled(positions map[string]uint64) error {
	for log, to := range positions {
		w.covered[log] = to
	}
	w.loading = false
	return w.Seal()
}

// sweep removes files that the manifest does not name: those of generations that went, and what a crash left.
func (w *Window) sweep() error {
	keep := map[string]bool{manifestName: true}
	if w.reused != nil {
		keep[w.reused.File] = true
	}
	for _, g := range w.sealed {
		keep[filepath.Base(g.name)] = true
	}
	entries, err := w.o.FS.ReadDir(w.o.Dir)
	if err != nil {
		return fmt.Errorf("list dedup window: %w", err)
	}
	for _, e := range entries {
		if keep[e.Name()] || !ours(e.Name()) {
			continue
		}
		if err := w.o.FS.Remove(filepath.Join(w.o.Dir, e.Name())); err != nil {
			return fmt.Errorf("tidy dedup window: %w", err)
		}
	}
	return nil
}

func ours(name string) bool {
	return strings.HasSuffix(name, ".ids") || strings.HasSuffix(name, ".tmp")
}

// save makes the window on disk the one in memory, less the ids that only memory holds.
func (w *Window) save() error {
	m := &manifest{Version: version, Start: w.start, Covered: map[string]uint64{}, Written: w.written}
	for log, to := range w.covered {
		m.Covered[log] = to
	}
	for _, g := range w.sealed {
		m.Generations = append(m.Generations, *g.entry())
	}
	if w.reused != nil {
		m.Generations = append(m.Generations, *w.reused)
	}
	return writeManifest(w.o.FS, w.o.Dir, m)
}

func (g *generation) entry() *manifestEntry {
	h := &g.header
	return &manifestEntry{
		File: filepath.Base(g.name), Log: h.log, MinOffset: h.minOffset, EndOffset: h.endOffset,
		MinReceived: h.minReceived, MaxReceived: h.maxReceived, IDs: h.count,
	}
}

// bounds returns the least offset of ids of this log and the one after the greatest; both are 0 when there are none.
func bounds(ids map[ID]uint64) (lo, end uint64) {
	lo = math.MaxUint64
	for _, offset := range ids {
		if offset != Elsewhere {
			lo, end = min(lo, offset), max(end, offset+1)
		}
	}
	return min(lo, end), end
}
