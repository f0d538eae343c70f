package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/iceberg-go/table"
)

// The library takes the time of a commit from the system's clock and refuses one that lies more than a minute behind the
// table's last. A clock may be set back, and events do not wait for it. So a transaction is made on metadata without times
// ([Catalog.Begin]), which nothing can lie behind, and the times are set when the commit is applied to the true metadata:
// the clock's, but at least a millisecond after the table's last. They never decrease.

// Begin starts a transaction on a table, whatever the clock says.
func (c *Catalog) Begin(t *table.Table) *table.Transaction {
	ident := t.Identifier()
	return c.table(ident[len(ident)-1], timeless{t.Metadata()}, t.MetadataLocation()).NewTransaction()
}

// timeless is metadata whose times all lie before any clock's.
type timeless struct{ table.Metadata }

func (timeless) LastUpdatedMillis() int64 { return 0 }

func (m timeless) SnapshotLogs() iter.Seq[table.SnapshotLogEntry] {
	return func(yield func(table.SnapshotLogEntry) bool) {
		for e := range m.Metadata.SnapshotLogs() {
			e.TimestampMs = 0
			if !yield(e) {
				return
			}
		}
	}
}

func (m timeless) PreviousFiles() iter.Seq[table.MetadataLogEntry] {
	return func(yield func(table.MetadataLogEntry) bool) {
		for e := range m.Metadata.PreviousFiles() {
			e.TimestampMs = 0
			if !yield(e) {
				return
			}
		}
	}
}

// after is the time, in Unix milliseconds, of a commit that follows metadata at a time.
func after(m table.Metadata, now int64) int64 {
	last := m.LastUpdatedMillis()
	for e := range m.SnapshotLogs() {
		last = max(last, e.TimestampMs)
	}
	for e := range m.PreviousFiles() {
		last = max(last, e.TimestampMs)
	}
	return max(now, last+1)
}

// apply makes the metadata that follows from updates at a time, without the snapshots that are not
// to be kept.
func apply(base table.Metadata, updates []table.Update, location string, at int64, keep keeping) (table.Metadata, error) {
	out, err := timed(base, updates, at, keep)
	if err != nil {
		return nil, err
	}
	if !addsSnapshot(out) {
		out = append([]table.Update{&touch{base, at}}, out...)
	}
	return table.UpdateTableMetadata(base, out, location)
}

func addsSnapshot(updates []table.Update) bool {
	return slices.ContainsFunc(updates, func(u table.Update) bool { return u.Action() == table.UpdateAddSnapshot })
}

// timed are the updates at a time, and the one that leaves out the snapshots that are not to be kept.
func timed(base table.Metadata, updates []table.Update, at int64, keep keeping) ([]table.Update, error) {
	out := make([]table.Update, 0, len(updates)+2)
	added := 0
	for _, u := range updates {
		if u.Action() != table.UpdateAddSnapshot {
			out = append(out, u)
			continue
		}
		s, err := snapshotOf(u)
		if err != nil {
			return nil, err
		}
		s.TimestampMs = at
		relabel(s)
		out = append(out, table.NewAddSnapshotUpdate(s))
		added++
	}
	if drop := keep.surplus(base, added, at); len(drop) > 0 {
		// Files are left to whoever sweeps: readers may still be at them.
		out = append(out, table.NewRemoveSnapshotsUpdate(drop, false))
	}
	return out, nil
}

// snapshotOf is the snapshot that an update adds. The library keeps the type to itself, but not its JSON.
func snapshotOf(u table.Update) (*table.Snapshot, error) {
	text, err := json.Marshal(u)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	var in struct {
		Snapshot *table.Snapshot `json:"snapshot"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("decode snapshot: %w", err)
	}
	if in.Snapshot == nil {
		return nil, fmt.Errorf("the update %s has no snapshot", u.Action())
	}
	return in.Snapshot, nil
}

// relabel calls a snapshot that only takes files away by its name in the specification; the library says "overwrite".
func relabel(s *table.Snapshot) {
	if s.Summary == nil || s.Summary.Operation != table.OpOverwrite {
		return
	}
	p := s.Summary.Properties
	if p.GetInt("added-data-files", 0) == 0 && p.GetInt("deleted-data-files", 0) > 0 {
		s.Summary.Operation = table.OpDelete
	}
}

// touch is the first change of a commit that adds no snapshot: it sets the time. The library's builder takes a time from a
// snapshot only, so it is given one without files and without a number of its own, and then told to forget it.
type touch struct {
	base table.Metadata
	at   int64
}

func (*touch) Action() string { return "touch" }

func (u *touch) Apply(b *table.MetadataBuilder) error {
	id := int64(1)
	for u.base.SnapshotByID(id) != nil {
		id++
	}
	err := b.AddSnapshot(&table.Snapshot{SnapshotID: id, SequenceNumber: u.base.LastSequenceNumber(), TimestampMs: u.at})
	if err != nil {
		return err
	}
	return b.RemoveSnapshots([]int64{id}, false)
}

func (*touch) PostCommit(context.Context, *table.Table, *table.Table) error { return nil }

// born gives the metadata of a new table its time.
func born(m table.Metadata, at int64) (table.Metadata, error) {
	base := timeless{m}
	return table.UpdateTableMetadata(base, []table.Update{&touch{base, at}}, "")
}
