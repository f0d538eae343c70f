package lake

import (
	"cmp"
	"container/list"
	"fmt"
	"slices"
	"sort"
	"time"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// lateSlack is how far the ts of a call that is sent again may lie from the first one's: the clock correction adds the time
// that the request took, which differs.
const lateSlack = 10 * time.Minute

// markLate looks up, in the table itself, the message ids of calls that are older than the window: their first sending may
// have been received before the window's start. The calls of a file are looked up together, so that a mass of them costs
// one pass over the ids of each file concerned.
func (s *source) markLate(calls []*event.Call, seen []bool) error {
	start := s.window.Start()
	var late []int
	for i, c := range calls {
		if !seen[i] && c.TS < start {
			late = append(late, i)
		}
	}
	if len(late) == 0 {
		return nil
	}
	s.stats.Late += int64(len(late))
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	slices.SortFunc(late, func(a, b int) int { return cmp.Compare(calls[a].TS, calls[b].TS) })
	slack := lateSlack.Microseconds()
	for _, f := range snap.Files {
		if f.MinReceived >= start { // all of it is in the window
			continue
		}
		want := map[string]int{}
		from := sort.Search(len(late), func(k int) bool { return calls[late[k]].TS >= f.MinTS-slack })
		for _, i := range late[from:] {
			if calls[i].TS > f.MaxTS+slack {
				break
			}
			if !seen[i] {
				want[calls[i].MessageID] = i
			}
		}
		if len(want) == 0 {
			continue
		}
		if err := s.lookUp(f, want, seen); err != nil {
			return fmt.Errorf("look up late events: %w", err)
		}
	}
	return nil
}

// lookUp marks the wanted ids that the file has.
func (s *source) lookUp(f *File, want map[string]int, seen []bool) error {
	if blooms, ok := s.l.blooms.get(f.Path); ok && !blooms.mayHoldAny(want) {
		return nil
	}
	return withFile(s.l.verifier, s.l.calls, f, func(file *rowfile.File[event.Call]) error {
		blooms, err := file.Blooms(colMessageID)
		if err != nil {
			return err
		}
		s.l.blooms.put(f.Path, blooms)
		if !filters(blooms).mayHoldAny(want) {
			return nil
		}
		scan := rowfile.Scan{Columns: []string{colMessageID}}
		return file.Scan(scan, nil, func(c *event.Call) error {
			if i, ok := want[c.MessageID]; ok {
				seen[i] = true
			}
			return nil
		})
	})
}

// filters are the Bloom filters of a file's row groups.
type filters []rowfile.Bloom

// massive is from how many ids on a filter is not asked any more: one of them will be guessed at.
const massive = 256

func (fs filters) mayHoldAny(want map[string]int) bool {
	if len(want) > massive {
		return true
	}
	for id := range want {
		for _, f := range fs {
			if f.MayHold(id) {
				return true
			}
		}
	}
	return false
}

// bloomCache keeps the filters of files that were asked lately: late calls come in waves from the same days.
type bloomCache struct {
	bytes int
	order *list.List // of *cachedBlooms, the one used last in front
	files map[string]*list.Element
}

type cachedBlooms struct {
	path    string
	filters filters
	bytes   int
}

const bloomCacheBytes = 64 << 20

func newBloomCache() *bloomCache {
	return &bloomCache{order: list.New(), files: map[string]*list.Element{}}
}

func (c *bloomCache) get(path string) (filters, bool) {
	e, ok := c.files[path]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedBlooms).filters, true
}

func (c *bloomCache) put(path string, fs filters) {
	if _, ok := c.files[path]; ok {
		return
	}
	entry := &cachedBlooms{path: path, filters: fs}
	for _, f := range fs {
		entry.bytes += len(f)
	}
	c.bytes += entry.bytes
	c.files[path] = c.order.PushFront(entry)
	for c.bytes > bloomCacheBytes {
		last := c.order.Remove(c.order.Back()).(*cachedBlooms)
		delete(c.files, last.path)
		c.bytes -= last.bytes
	}
}
