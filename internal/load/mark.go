package load

import (
	"maps"
	"slices"
	"sync"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/warehouse"
)

// mark is how far a source is in a warehouse.
type mark struct {
	next          map[string]uint64 // by journal: where the next look begins
	loadedThrough int64
	loadedAt      time.Time
}

// marks are the last marks of the sources. They are read beside the loads, also while the warehouse does not answer. The zero value
// is ready.
type marks struct {
	mu sync.Mutex
	of map[string]mark
}

func (m *marks) set(source string, k mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[string]mark{}
	}
	m.of[source] = k
}

func (m *marks) get(source string) (mark, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.of[source]
	return k, ok
}

// names are the sources that have a mark, sorted.
func (m *marks) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.of))
}

// mark shows how far the source is.
func (s *source) mark() {
	next := make(map[string]uint64, len(s.positions))
	for log, p := range s.positions {
		next[log] = p.Next
	}
	for log, to := range s.empty {
		next[log] = max(next[log], to)
	}
	s.marks.set(s.name, mark{next: next, loadedThrough: s.loadedThrough, loadedAt: s.loadedAt})
}

// pending is the number of rows beyond the mark, as far as the files' bounds tell.
func (k *mark) pending(snap *lake.Snapshot) int64 {
	var n int64
	for log, end := range snap.Positions {
		if from := k.next[log]; from < end {
			n += max(1, expected(files(snap, log, from, end), from, end))
		}
	}
	return n
}

// freshness is how far the mark is behind the snapshot.
func (k *mark) freshness(name string, snap *lake.Snapshot) warehouse.Freshness {
	received := int64(event.NoTime)
	for _, f := range snap.Files {
		received = max(received, f.MaxReceived)
	}
	return warehouse.Freshness{
		Source: snap.Source, Warehouse: name,
		ReceivedThrough: received, LoadedThrough: k.loadedThrough, LoadedAt: k.loadedAt, PendingRows: k.pending(snap),
	}
}
