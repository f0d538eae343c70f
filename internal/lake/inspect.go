package lake

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// SnapshotInfo is one state that a table was in.
type SnapshotInfo struct {
	ID, Parent int64 // 0: none
	Time       time.Time
	// Operation is "append" (a flush), "replace" (rows were moved), "overwrite" (a merge that left out duplicates) or "delete"
	// (days were dropped).
	Operation string

	AddedFiles, RemovedFiles int64
	AddedRows, RemovedRows   int64
	Duplicates               int64 // rows that a merge left out
	Files, Rows, Bytes       int64 // of the whole table then

	// Log, From and To are the part of a journal that a flush covered; KeptFrom is the first day that retention left.
	Log      string
	From, To uint64
	KeptFrom string

	Current bool
}

// History lists the states of a table that its metadata still names, newest first. An unknown table is [ErrNoTable].
func (r *Reader) History(ctx context.Context, name string) ([]SnapshotInfo, error) {
	t, err := r.catalog.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := checkFormat(t); err != nil {
		return nil, err
	}
	var out []SnapshotInfo
	current := t.CurrentSnapshot()
	for _, s := range t.Metadata().Snapshots() {
		info := snapshotInfo(&s)
		info.Current = current != nil && current.SnapshotID == s.SnapshotID
		out = append(out, info)
	}
	slices.Reverse(out)
	return out, nil
}

func snapshotInfo(s *table.Snapshot) SnapshotInfo {
	out := SnapshotInfo{ID: s.SnapshotID, Time: microsTime(s.TimestampMs * 1000)}
	if s.ParentSnapshotID != nil {
		out.Parent = *s.ParentSnapshotID
	}
	if s.Summary == nil {
		return out
	}
	p := s.Summary.Properties
	out.Operation = string(s.Summary.Operation)
	out.AddedFiles, out.RemovedFiles = countIn(p, "added-data-files"), countIn(p, "deleted-data-files")
	out.AddedRows, out.RemovedRows = countIn(p, "added-records"), countIn(p, "deleted-records")
	out.Files, out.Rows, out.Bytes = countIn(p, "total-data-files"), countIn(p, "total-records"), countIn(p, "total-files-size")
	out.Duplicates = countIn(p, noteDuplicates)
	out.Log, out.KeptFrom = p["firth.log"], p[keptKey]
	out.From, out.To = uint64(countIn(p, "firth.from")), uint64(countIn(p, "firth.to"))
	return out
}

// countIn is a property that counts; 0 where there is none.
func countIn(p iceberg.Properties, key string) int64 {
	n, err := strconv.ParseInt(p[key], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// DayTotal sums up the files of one day of a table.
type DayTotal struct {
	Day                      time.Time // midnight UTC
	Files, Rows, Bytes       int64
	MinReceived, MaxReceived time.Time
}

// Days sums up the files by day, oldest first.
func (s *Snapshot) Days() []DayTotal {
	by := map[time.Time]*DayTotal{}
	for _, f := range s.Files {
		from, to := microsTime(f.MinReceived), microsTime(f.MaxReceived)
		d, ok := by[f.Day]
		if !ok {
			d = &DayTotal{Day: f.Day, MinReceived: from, MaxReceived: to}
			by[f.Day] = d
		}
		d.Files++
		d.Rows += f.Rows
		d.Bytes += f.Bytes
		if from.Before(d.MinReceived) {
			d.MinReceived = from
		}
		if to.After(d.MaxReceived) {
			d.MaxReceived = to
		}
	}
	out := make([]DayTotal, 0, len(by))
	for _, d := range by {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b DayTotal) int { return a.Day.Compare(b.Day) })
	return out
}
