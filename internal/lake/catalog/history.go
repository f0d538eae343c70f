package catalog

import (
	"time"

	"github.com/apache/iceberg-go/table"
)

// keeping says which snapshots of a table a commit leaves in its metadata.
type keeping struct {
	last    int           // so many of the newest; 0: all
	history time.Duration // beside them, thinned out, those of this span; 0: none
}

// Within a history the last snapshot of each minute of the past hour is kept, of each hour of the past day, and of each day before. So
// the state at a whole minute, hour or day is kept exactly, in some hundred snapshots a day of history.
const (
	minutesFor = time.Hour
	hoursFor   = 24 * time.Hour
)

// surplus lists the snapshots to leave out at a time (Unix milliseconds) at which a commit adds some: all but the newest, those of
// the history, and any that has a name (the last one is called main).
func (k keeping) surplus(m table.Metadata, added int, at int64) []int64 {
	if k.last <= 0 {
		return nil
	}
	snapshots := m.Snapshots() // in the order of their commits
	old := snapshots[:max(0, len(snapshots)-max(k.last-added, 0))]
	named := map[int64]bool{}
	for _, ref := range m.Refs() {
		named[ref.SnapshotID] = true
	}
	var drop []int64
	for i := range old {
		if !named[old[i].SnapshotID] && !k.remembers(snapshots, i, at) {
			drop = append(drop, old[i].SnapshotID)
		}
	}
	return drop
}

// remembers reports whether the history keeps a snapshot: the last one of its unit of time, and of those that are older than the
// history the last, which is the state at its beginning.
func (k keeping) remembers(snapshots []table.Snapshot, i int, at int64) bool {
	if k.history <= 0 {
		return false
	}
	if i+1 == len(snapshots) {
		return true
	}
	this, next := snapshots[i].TimestampMs, snapshots[i+1].TimestampMs
	since := at - k.history.Milliseconds()
	if this < since {
		return next >= since
	}
	// A unit ends with its last millisecond, which is the next whole minute, hour or day; its age is that of its end.
	last := func(unit, age time.Duration) bool {
		end := (this + unit.Milliseconds() - 1) / unit.Milliseconds() * unit.Milliseconds()
		return next > end && end >= at-age.Milliseconds()
	}
	return last(time.Minute, minutesFor) || last(time.Hour, hoursFor) || last(24*time.Hour, k.history)
}

// Overdue reports whether a commit now would leave out snapshots: those of a table that rests outstay their time.
func (c *Catalog) Overdue(m table.Metadata) bool {
	return c.keep.history > 0 && len(c.keep.surplus(m, 0, c.now().UnixMilli())) > 0
}
