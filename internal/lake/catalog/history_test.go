package catalog

import (
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"
)

// listed is metadata of which nothing but the snapshots is asked.
type listed struct {
	table.Metadata
	snapshots []table.Snapshot
}

func (m *listed) Snapshots() []table.Snapshot { return m.snapshots }

func (m *listed) Refs() iter.Seq2[string, table.SnapshotRef] {
	return maps.All(map[string]table.SnapshotRef{"main": {SnapshotID: m.snapshots[len(m.snapshots)-1].SnapshotID}})
}

// commit adds a snapshot at a time and leaves out what is not to be kept.
func (m *listed) commit(k keeping, at int64) {
	if len(m.snapshots) > 0 {
		drop := k.surplus(m, 1, at)
		m.snapshots = slices.DeleteFunc(m.snapshots, func(s table.Snapshot) bool { return slices.Contains(drop, s.SnapshotID) })
	}
	m.snapshots = append(m.snapshots, table.Snapshot{SnapshotID: at, TimestampMs: at})
}

// at is the newest snapshot at or before a time; 0 where there is none.
func (m *listed) at(t int64) int64 {
	var id int64
	for _, s := range m.snapshots {
		if s.TimestampMs <= t {
			id = s.SnapshotID
		}
	}
	return id
}

// A stream of commits, three a minute for two days and seventeen hours, is remembered exactly at each whole minute of an hour, hour of a day,
// and day before, and by few snapshots.
func TestAHistoryIsExactAtWholeTimes(t *testing.T) {
	const span = 50 * time.Hour
	k := keeping{last: 4, history: span}
	start := time.Date(2026, 11, 1, 0, 0, 7, 123e6, time.UTC).UnixMilli()
	m := &listed{}
	var all []int64
	now := start
	for now < start+(65*time.Hour).Milliseconds() {
		m.commit(k, now)
		all = append(all, now)
		now += 20_011
	}
	now -= 20_011
	was := func(at int64) int64 {
		i, found := slices.BinarySearch(all, at)
		if !found {
			i--
		}
		return all[i]
	}
	if n := len(m.snapshots); n > 4+62+24+3 {
		t.Errorf("%d snapshots are kept", n)
	}
	for _, s := range []struct{ unit, from, to time.Duration }{{time.Minute, 0, time.Hour}, {time.Hour, 0, 24 * time.Hour}, {24 * time.Hour, 0, span}} {
		unit := s.unit.Milliseconds()
		for at := now / unit * unit; at > now-s.to.Milliseconds(); at -= unit {
			if got, want := m.at(at), was(at); got != want {
				t.Errorf("as of %s: %d, want %d", time.UnixMilli(at).UTC(), got, want)
			}
		}
	}
	if c := (&Catalog{keep: k, now: func() time.Time { return time.UnixMilli(now + 4*24*3600e3) }}); !c.Overdue(m) {
		t.Error("nothing of a table that rests is overdue after four days")
	}
}

// The last snapshots before a pause longer than the history are the state during it.
func TestAHistoryKeepsTheStateAtItsBeginning(t *testing.T) {
	k := keeping{last: 1, history: time.Hour}
	m := &listed{}
	for _, at := range []time.Duration{0, time.Second, 10 * time.Hour, 10*time.Hour + time.Second, 10*time.Hour + 2*time.Minute} {
		m.commit(k, 1e12+at.Milliseconds())
	}
	if got, want := m.at(1e12+(10*time.Hour).Milliseconds()-1), int64(1e12+1000); got != want || len(m.snapshots) != 3 {
		t.Errorf("as of then: %d, want %d; %d snapshots", got, want, len(m.snapshots))
	}
}
