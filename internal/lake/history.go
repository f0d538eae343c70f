package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// recentSnapshots are kept beside a history, however close they follow on each other, for engines that have begun to read one.
const recentSnapshots = 16

func (o *Options) snapshots() int {
	if o.History > 0 {
		return recentSnapshots
	}
	return keepSnapshots
}

// ErrNoSnapshot says that a table has no snapshot of that id, or none that is as old as that. It is a *NoSnapshot.
var ErrNoSnapshot = errors.New("no such snapshot")

// NoSnapshot says which snapshots there are in the place of the one that was asked for.
type NoSnapshot struct {
	Table string
	Asked At
	There []SnapshotInfo // those next to it, oldest first; may be empty
}

func (e *NoSnapshot) Error() string {
	if e.Asked.ID != 0 {
		return fmt.Sprintf("the history of %s has no snapshot %d", e.Table, e.Asked.ID)
	}
	return fmt.Sprintf("the history of %s does not reach back to %s", e.Table, e.Asked.Time.UTC().Format(time.RFC3339Nano))
}

// Is makes it an ErrNoSnapshot.
func (e *NoSnapshot) Is(target error) bool { return target == ErrNoSnapshot }

// Hint names the snapshots that there are.
func (e *NoSnapshot) Hint() string {
	if len(e.There) == 0 {
		return "nothing was written to it yet"
	}
	list := make([]string, len(e.There))
	for i, s := range e.There {
		list[i] = s.Time.UTC().Format(timeText) + " (" + strconv.FormatInt(s.ID, 10) + ")"
	}
	word := "the oldest snapshots are "
	if e.Asked.ID != 0 {
		word = "the newest snapshots are "
	}
	return word + strings.Join(list, ", ") + "; firth lake snapshots lists all, lake.history says how far they reach"
}

// timeText is a time of a snapshot, which has milliseconds.
const timeText = "2006-01-02T15:04:05.000Z07:00"

// At names a state of a table: a snapshot by its id or, where that is 0, the newest one at or before a time.
type At struct {
	ID   int64
	Time time.Time
}

// nearest is how many snapshots an error names.
const nearest = 3

// SnapshotAt returns a state that a table was in, among those that its metadata still names; of these no file is removed before
// the sweeper's grace has passed. Where none fits the error is a *NoSnapshot, of an unknown table it is ErrNoTable. Positions are those of
// the present state, and mean nothing here.
func (r *Reader) SnapshotAt(ctx context.Context, name string, at At) (*Snapshot, error) {
	for try := 1; ; try++ {
		t, err := r.catalog.Load(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := checkFormat(t); err != nil {
			return nil, err
		}
		m := t.Metadata()
		found := at.find(m.Snapshots())
		if found == nil {
			return nil, missing(name, at, m.Snapshots())
		}
		snap, err := r.past(name, m, found)
		if errors.Is(err, fs.ErrNotExist) && try < maxPlans {
			continue // it went while it was read
		}
		if err != nil {
			return nil, fmt.Errorf("plan table %s as of snapshot %d: %w", name, found.SnapshotID, err)
		}
		return snap, nil
	}
}

// past plans a snapshot with what the planner of the present state has read, without changing that.
func (r *Reader) past(name string, m table.Metadata, s *table.Snapshot) (*Snapshot, error) {
	r.mu.Lock()
	known, ok := r.tables[name]
	r.mu.Unlock()
	p := newPlanner(name, r.catalog.IO())
	if ok {
		known.mu.Lock()
		p.manifests = known.planner.manifests // replaced as a whole when it changes
		known.mu.Unlock()
	}
	return p.planAt(m, s)
}

func (at At) find(list []table.Snapshot) *table.Snapshot {
	for i := range slices.Backward(list) { // in the order of their commits, and their times never decrease
		if s := &list[i]; at.ID != 0 && s.SnapshotID == at.ID || at.ID == 0 && s.TimestampMs <= at.Time.UnixMilli() {
			return s
		}
	}
	return nil
}

func missing(name string, at At, list []table.Snapshot) error {
	out := &NoSnapshot{Table: name, Asked: at}
	if at.ID != 0 {
		list = list[max(0, len(list)-nearest):]
	}
	for i := range list[:min(len(list), nearest)] {
		out.There = append(out.There, snapshotInfo(&list[i]))
	}
	return out
}

// forgetHistory makes a commit without a change where snapshots of a table that rests have outstayed their time: commits leave
// them out, and none comes by itself.
func (t *Tender) forgetHistory(ctx context.Context, name string) error {
	w, err := t.watch(ctx, name)
	if err != nil {
		return err
	}
	if !t.l.catalog.Overdue(w.s.current().Metadata()) {
		return nil
	}
	err = w.s.change(ctx, "history", func(_ *table.Table, tx *table.Transaction) error {
		return tx.SetProperties(iceberg.Properties{formatKey: formatVersion})
	})
	if err != nil {
		return errors.Join(err, w.s.reload(ctx))
	}
	return nil
}

// Location is a file's place as the table's metadata writes it: file:///... or s3://bucket/...
func (r *Reader) Location(f *File) string { return r.catalog.IO().Location(f.Path) }
