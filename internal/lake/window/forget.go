package window

import "math"

// Forget takes ids out of the window, in memory and on disk, and tells how many it had. Files that hold one are written anew, which leaves
// the others as they are.
func (w *Window) Forget(ids []ID) (int, error) {
	gone := make(map[ID]bool, len(ids))
	for _, id := range ids {
		if _, ok := w.current[id]; ok {
			gone[id] = true
			delete(w.current, id)
			w.dirty = true
		}
	}
	all := make([]int32, len(ids))
	for i := range ids {
		all[i] = int32(i)
	}
	changed := w.reused != nil // its file has what memory may have lost
	for i := range w.sealed {
		held := map[ID]bool{}
		g := w.sealed[i]
		g.filter.each(ids, all, func(k int32) { held[ids[k]] = true })
		for id := range held {
			_, ok, err := g.find(id)
			if err != nil {
				return 0, err
			}
			if !ok {
				delete(held, id)
			}
		}
		if len(held) == 0 {
			continue
		}
		if err := w.rewrite(i, held); err != nil {
			return 0, err
		}
		changed = true
		for id := range held {
			gone[id] = true
		}
	}
	if len(gone) == 0 || !changed && !w.dirty || w.start == unknown || w.loading {
		return len(gone), nil
	}
	if len(w.current) == 0 {
		w.oldest, w.dirty, w.reused = math.MaxInt64, false, nil
	}
	return len(gone), w.Seal()
}

// rewrite puts a generation without some ids in the place of one.
func (w *Window) rewrite(i int, without map[ID]bool) error {
	old := w.sealed[i]
	left := make(map[ID]uint64, old.header.count)
	err := old.each(func(id ID, offset uint64) {
		if !without[id] {
			left[id] = offset
		}
	})
	if err != nil {
		return err
	}
	oldest, newest := w.oldest, w.newest
	w.oldest, w.newest = old.header.minReceived, old.header.maxReceived
	err = w.write(old.header.log, left) // at the end
	w.oldest, w.newest = oldest, newest
	if err != nil {
		return err
	}
	last := len(w.sealed) - 1
	w.sealed[i] = w.sealed[last]
	w.sealed = w.sealed[:last]
	return old.close()
}
