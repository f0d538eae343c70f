package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"firth/internal/lake"
)

// What the commands print at their end, each from the JSON that the server sends.
func TestReportsForAPerson(t *testing.T) {
	var out bytes.Buffer
	for _, c := range []struct {
		job    string
		report any
	}{
		{jobMerge, reportOfMerge(lake.MergeReport{})},
		{jobMerge, reportOfMerge(lake.MergeReport{Merges: 3, FilesIn: 1200, FilesOut: 3, RowsIn: 1_234_600, RowsOut: 1_234_567, Duplicates: 33, BytesIn: 200 << 20, BytesOut: 150 << 20, Took: 83 * time.Second})},
		{jobExpire, reportOfExpire(lake.TendReport{ManifestsBefore: 3, ManifestsAfter: 3}, time.Second)},
		{jobExpire, reportOfExpire(lake.TendReport{DroppedDays: 2, DroppedFiles: 14, DroppedRows: 2_000_000, ManifestsBefore: 900, ManifestsAfter: 9,
			SweptFiles: 1200, SweptBytes: 3 << 30, WaitingFiles: 14, WaitingBytes: 1 << 30, ForeignFiles: 1}, time.Second)},
		{jobBackup, backupReport{lake.BackupReport{Dir: "/backup/firth", Took: 12 * time.Second, Tables: []lake.BackupTable{
			{Table: "firth_dead_letters", State: lake.BackupDone},
			{Table: "production", State: lake.BackupDone, Rows: 1_234_567, Bytes: 150 << 20, Files: 12, Copied: 3, Kept: 9, Removed: 4},
		}}}},
		{jobRestore, backupReport{lake.BackupReport{Dir: "/backup/firth", Took: 30 * time.Second, Tables: []lake.BackupTable{
			{Table: "firth_dead_letters", State: lake.BackupThere},
			{Table: "production", State: lake.BackupRestored, Rows: 1_234_567, Bytes: 150 << 20, Files: 12, Copied: 12},
		}}}},
	} {
		text, err := json.Marshal(c.report)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "# %s\n", c.job)
		if err := printReport(&out, c.job, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := printReport(&out, "purge", nil); err == nil {
		t.Error("a job without words was printed")
	}
	golden(t, "reports.txt", out.Bytes())
}

func TestSnapshotsForAPerson(t *testing.T) {
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	var list []lakeSnapshot
	for i, s := range []lake.SnapshotInfo{
		{ID: 9, Operation: "overwrite", AddedFiles: 1, RemovedFiles: 3, AddedRows: 95, RemovedRows: 100, Duplicates: 5, Files: 1, Rows: 95, Bytes: 4000, Current: true},
		{ID: 8, Operation: "replace", AddedFiles: 1, RemovedFiles: 2, AddedRows: 60, RemovedRows: 60, Files: 3, Rows: 100, Bytes: 9000},
		{ID: 7, Operation: "append", AddedFiles: 1, AddedRows: 10, Files: 4, Rows: 100, Bytes: 9900, Log: "l", From: 5, To: 15},
		{ID: 6, Operation: "delete", RemovedFiles: 4, RemovedRows: 1_000_000, Files: 3, Rows: 90, Bytes: 9000, KeptFrom: "2025-01-01"},
		{ID: 5, Operation: "append", AddedFiles: 9, AddedRows: 10, Files: 7, Rows: 1_000_090, Bytes: 10_000_000},
	} {
		s.Time = now.Add(-time.Duration(i*i) * 100 * time.Second)
		list = append(list, snapshotLine("production", &s))
	}
	var out bytes.Buffer
	printSnapshots(&out, list, now)
	fmt.Fprintln(&out, "---")
	printSnapshots(&out, nil, now)
	golden(t, "snapshots.txt", out.Bytes())
}
