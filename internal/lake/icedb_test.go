package lake

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"

	"firth/internal/disk/disktest"
	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// The tests of this file are the defects of another open lake, found by running it, as claims about this one. The two that are about
// SQL are in internal/query and internal/warehouse; docs/testing.md names them.

func (d *tended) merger() *Merger { return d.l.Merger(MergeOptions{Temp: d.t.TempDir()}) }

func (d *tended) mustMerge(kind MergeKind) (r MergeReport, days []time.Time) {
	d.t.Helper()
	r, err := d.merger().Merge(context.Background(), kind, "", func(p MergeProgress) { days = append(days, p.Day) })
	if err != nil {
		d.t.Fatal(err)
	}
	return r, days
}

// sweepAll tends until what is out of use is gone.
func (d *tended) sweepAll() {
	d.t.Helper()
	for range 3 {
		d.mustRound()
		d.pass(testGrace)
	}
}

func sameIDs(t *testing.T, what string, got, want []event.Call) {
	t.Helper()
	ids := func(calls []event.Call) (out []string) {
		for _, c := range calls {
			out = append(out, c.MessageID)
		}
		slices.Sort(out)
		return out
	}
	if g, w := ids(got), ids(want); !slices.Equal(g, w) {
		t.Fatalf("%s: %d rows %v, want %d", what, len(g), g, len(w))
	}
}

// Defect: removing a partition and then cleaning up loses the rows of other partitions that shared a log object.
//
// Here: days that came in one flush share a manifest. The old ones are dropped, snapshots expire, files are swept, and all rows of the
// other days stay.
func TestDroppingADayLosesNoOther(t *testing.T) {
	e, _ := crashEnv(t)
	e.o.DedupIDs = 0
	d := newTended(e, sweepKeep)
	d.mustOpen()
	defer d.close()
	c := newCorpus(101, testStart)
	today := d.now.Truncate(24 * time.Hour)
	old := d.now.Add(-2 * time.Hour)
	calls := dated(c, today, old, 3)
	calls = append(calls, dated(c, today.AddDate(0, 0, -40), old, 3)...)
	calls = append(calls, dated(c, today.AddDate(0, 0, -1), old, 3)...)
	calls = append(calls, dated(c, today.AddDate(0, 0, -41), old, 3)...)
	d.mustFlush("production", calls...)
	want := append(values(calls[:3]), values(calls[6:9])...)
	if n := d.mustRound().DroppedRows; n != 6 {
		t.Fatalf("%d rows were dropped, want 6", n)
	}
	for range keepSnapshots { // the snapshot that names the old days goes
		d.pass(time.Second)
		want = append(want, d.mustFlush("production", dated(c, today, d.now, 1)...)...)
	}
	d.sweepAll()
	if n := d.tender.Stats().SweptFiles; n == 0 {
		t.Fatal("nothing was swept")
	}
	sameIDs(t, "after the sweep", d.rows("production"), want)
	d.wantClean("production")
}

// Defect: a cleanup that races a merge brings merged files back to life: rows double.
//
// Here: the lake is tended, to the end of every grace, while a merge has written its file and not committed it; and merged while the
// tender has condemned and not yet removed. Each row is there once, at each of these moments and in the end.
func TestTendingRacesAMerge(t *testing.T) {
	e, _ := crashEnv(t)
	e.o.DedupIDs = 0
	d := newTended(e, sweepKeep)
	var hook func(name string)
	d.o.step = func(name string) error {
		if hook != nil {
			hook(name)
		}
		return nil
	}
	d.mustOpen()
	defer d.close()
	c := newCorpus(102, testStart)
	today := d.now.Truncate(24 * time.Hour)
	var want []event.Call
	bring := func(n int) {
		for range n {
			d.pass(time.Second)
			want = append(want, d.mustFlush("production", dated(c, today, d.now, 2)...)...)
		}
	}
	bring(5)
	raced := 0
	hook = func(name string) {
		if name == "merge write production" {
			hook = nil
			raced++
			d.sweepAll()
			sameIDs(t, "while a merge is written", d.rows("production"), want)
		}
	}
	d.mustMerge(MergeSmall)
	sameIDs(t, "after the merge", d.rows("production"), want)
	bring(keepSnapshots + 2) // what the merge replaced is in no snapshot any more
	hook = func(name string) {
		if name == "condemn" {
			hook = nil
			raced++
			d.mustMerge(MergeAll)
			sameIDs(t, "while files are condemned", d.rows("production"), want)
		}
	}
	d.sweepAll()
	sameIDs(t, "after the sweep", d.rows("production"), want)
	bring(keepSnapshots + 2)
	d.sweepAll()
	sameIDs(t, "in the end", d.rows("production"), want)
	d.wantClean("production")
	if raced != 2 || d.tender.Stats().SweptFiles == 0 {
		t.Errorf("%d races, %d files swept", raced, d.tender.Stats().SweptFiles)
	}
}

// Defect: two inserts in one millisecond on one host overwrite each other's log entry: rows vanish.
//
// Here: the clock stands still for a hundred commits and merges. No row vanishes, and no two files or snapshots share a name.
func TestManyCommitsInOneMillisecond(t *testing.T) {
	e, _ := crashEnv(t)
	e.o.DedupIDs = 0
	d := newTended(e, sweepKeep)
	d.mustOpen()
	defer d.close()
	c := newCorpus(103, testStart)
	today := d.now.Truncate(24 * time.Hour)
	var want []event.Call
	snapshots := map[int64]bool{}
	for i := range 100 {
		want = append(want, d.mustFlush("production", dated(c, today, d.now, 1)...)...)
		want = append(want, d.mustFlush("staging", dated(c, today, d.now, 1)...)...)
		if i%20 == 19 {
			d.mustMerge(MergeSmall)
		}
		snapshots[d.snapshot("production").ID] = true
	}
	sameIDs(t, "at one moment", append(d.rows("production"), d.rows("staging")...), want)
	if len(snapshots) != 100 {
		t.Errorf("%d snapshots of 100 commits", len(snapshots))
	}
}

// Defect: a merge forgets the sort order (a concatenation), so queries slow down after merging.
//
// Here: a merged file is in the order of (event, ts), its manifest says so, and its row groups have narrow bounds.
func TestAMergeKeepsTheSortOrder(t *testing.T) {
	e := newMergeEnv(t)
	c := newCorpus(104, testStart.Truncate(24*time.Hour).Add(time.Hour))
	c.step = time.Second
	for range 10 {
		e.put("production", c.calls(50))
	}
	e.mustMerge(e.merger(), MergeAll)
	files := e.files("production")
	if len(files) != 1 || len(files[0]) != 500 {
		t.Fatalf("%d files", len(files))
	}
	if !slices.IsSortedFunc(files[0], func(a, b event.Call) int {
		return cmp.Or(cmp.Compare(a.Event, b.Event), cmp.Compare(a.TS, b.TS))
	}) {
		t.Error("the merged file is not sorted by event and ts")
	}
	s, err := e.l.store(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.current().CurrentSnapshot().Manifests(e.l.catalog.IO())
	if err != nil {
		t.Fatal(err)
	}
	stated := 0
	for _, m := range list {
		for entry, err := range m.Entries(e.l.catalog.IO(), true) {
			if err != nil {
				t.Fatal(err)
			}
			if id := entry.DataFile().SortOrderID(); id == nil || *id != s.current().SortOrder().OrderID() {
				t.Errorf("%s states the sort order %v", entry.DataFile().FilePath(), id)
			}
			stated++
		}
	}
	if stated != 1 {
		t.Errorf("%d files are stated", stated)
	}
}

// Defect: a merge of a partition with no live file raises an error instead of doing nothing.
//
// Here: tables without rows, and a table whose days were all dropped, are merged without an error and without a commit.
func TestMergingNothingDoesNothing(t *testing.T) {
	e, _ := crashEnv(t)
	e.o.DedupIDs = 0
	e.o.Sources = []string{"empty"}
	d := newTended(e, sweepKeep)
	d.mustOpen()
	defer d.close()
	c := newCorpus(105, testStart)
	old := d.now.Add(-2 * time.Hour)
	for range 3 {
		d.mustFlush("production", dated(c, d.now.AddDate(0, 0, -40).Truncate(24*time.Hour), old, 2)...)
	}
	d.mustRound() // all days go
	before := d.snapshot("production")
	if len(before.Files) != 0 {
		t.Fatalf("%d files are left", len(before.Files))
	}
	for _, kind := range []MergeKind{MergeSmall, MergeLarge, MergeAll} {
		if r, _ := d.mustMerge(kind); r.Merges != 0 {
			t.Errorf("%v: %+v", kind, r)
		}
		for _, source := range []string{"empty", "production"} {
			if r, err := d.merger().Merge(t.Context(), kind, source, nil); err != nil || r.Merges != 0 {
				t.Errorf("%v of %s: %+v, %v", kind, source, r, err)
			}
		}
	}
	if after := d.snapshot("production"); after.ID != before.ID {
		t.Error("merging nothing made a snapshot")
	}
}

// Defect: "ASC/DESC" orders partitions by file count, not by date as documented.
//
// Here: the day in the middle has most files. The small merger begins with the newest day, the large one with the oldest.
func TestMergersGoByDate(t *testing.T) {
	for kind, want := range map[MergeKind][]int{MergeSmall: {0, 1, 2}, MergeLarge: {2, 1, 0}} {
		e, _ := crashEnv(t)
		e.o.DedupIDs = 0
		d := newTended(e, sweepKeep)
		d.mustOpen()
		c := newCorpus(106, testStart)
		today := d.now.Truncate(24 * time.Hour)
		for back, files := range []int{3, 9, 4} {
			for range files {
				d.mustFlush("production", dated(c, today.AddDate(0, 0, -back), d.now, 1)...)
			}
		}
		_, days := d.mustMerge(kind)
		var got []int
		for _, day := range days {
			got = append(got, int(today.Sub(day)/(24*time.Hour)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v merged the days %v back, want %v", kind, got, want)
		}
		d.close()
	}
}

// Defect: an integer in one batch and a float in another makes the whole table unreadable.
//
// Here, in the lake: both are read back as they were written, before and after a merge, beside other types under the same name. The
// typed tables are widened: see docs/testing.md.
func TestIntegerThenFloat(t *testing.T) {
	e, _ := crashEnv(t)
	e.o.DedupIDs = 0
	d := newTended(e, sweepKeep)
	d.mustOpen()
	defer d.close()
	c := newCorpus(107, testStart)
	want := map[string]string{}
	for _, text := range []string{`{"v":1}`, `{"v":1.5}`, `{"v":9007199254740993}`, `{"v":1e400}`, `{"v":"one"}`, `{"v":[1]}`, `{"v":{"v":1}}`, `{"v":null}`} {
		call := dated(c, d.now.Truncate(24*time.Hour), d.now, 1)[0]
		call.Properties = []byte(text)
		want[call.MessageID] = text
		d.mustFlush("production", call)
	}
	for _, when := range []string{"before the merge", "after the merge"} {
		rows := d.rows("production")
		for _, row := range rows {
			if want[row.MessageID] != string(row.Properties) {
				t.Errorf("%s: %s, want %s", when, row.Properties, want[row.MessageID])
			}
		}
		if len(rows) != len(want) {
			t.Errorf("%s: %d rows", when, len(rows))
		}
		d.mustMerge(MergeAll)
	}
}

// Defect: any_value per column can mix the columns of two rows that share an id: one whole row is to be kept.
//
// Here: rows that share an id and differ in every other column, with nulls where the other has a value. After the merge each id has
// one row, and that is the first one, whole.
func TestAMergeKeepsWholeRows(t *testing.T) {
	e := newMergeEnv(t)
	c := newCorpus(108, testStart)
	first := c.calls(40)
	again := c.calls(40)
	for i, call := range again {
		call.MessageID, call.TS = first[i].MessageID, first[i].TS+int64(i%3)*1000
		first[i].UserID, call.AnonymousID = "", ""
		first[i].Properties, call.Context = nil, nil
		first[i].SentAt = event.NoTime
	}
	e.put("production", again[:20])
	e.put("production", first)
	e.put("production", again[20:])
	r := e.mustMerge(e.merger(), MergeAll)
	if r.Duplicates != 40 {
		t.Errorf("%d duplicates were left out, want 40", r.Duplicates)
	}
	e.wantMerged("production", append(values(again), values(first)...))
	for _, rows := range e.files("production") {
		for _, got := range rows {
			i := slices.IndexFunc(first, func(f *event.Call) bool { return f.MessageID == got.MessageID })
			if got.Offset != first[i].Offset || got.UserID != "" || got.Properties != nil || !bytes.Equal(got.Context, first[i].Context) {
				t.Fatalf("id %s: a row of offset %d, user %q, properties %s", got.MessageID, got.Offset, got.UserID, got.Properties)
			}
		}
	}
}

// Defect: the insert buffer is cleared even when the flush failed.
//
// Here: flushes fail for want of room, of a sync and of a rename. Nothing is trimmed from the journal meanwhile, and every row is
// there once it goes again, in the same process or after a restart.
func TestAFailedFlushKeepsWhatItHad(t *testing.T) {
	for _, kind := range []disktest.Kind{disktest.Write, disktest.Sync, disktest.Rename, disktest.SyncDir, disktest.Create} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", kind, restart), func(t *testing.T) {
				e, fs := crashEnv(t)
				c := newCorpus(109, testStart)
				first := c.calls(5)
				e.journal.calls("production", first...)
				e.mustDrain()
				trimmed := e.journal.trimmed
				second := c.calls(5)
				e.journal.calls("production", second...)
				l, err := Open(t.Context(), e.o)
				if err != nil {
					t.Fatal(err)
				}
				coughs := errors.New("the disk coughs")
				fs.Fault(func(op disktest.Op) error {
					if op.Kind == kind && strings.HasPrefix(op.Path, e.o.Dir) {
						return coughs
					}
					return nil
				})
				w := l.Writer(e.journal, e.journal)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- w.Run(ctx) }()
				waitFor(t, func() bool { return w.State().State == StateFailing })
				if e.journal.trimmed != trimmed || len(e.rows("production")) != 5 {
					t.Errorf("the journal is trimmed to %d, the table has %d rows", e.journal.trimmed, len(e.rows("production")))
				}
				if !restart {
					fs.Fault(nil)
					waitFor(t, func() bool { return w.Stats().Rows == 5 })
				}
				cancel()
				if restart {
					l.o.final = func(error) bool { return true }
				}
				fs.Fault(nil)
				if err := <-done; err != nil && !errors.Is(err, coughs) {
					t.Fatal(err)
				}
				closeIt(t, l)
				e.mustDrain()
				e.wantRows("production", append(values(first), values(second)...))
			})
		}
	}
}

// Defect: its listing loops for ever past 1,000 log objects.
//
// Here: more than a thousand files in one folder and in one manifest are planned, listed, merged and swept.
func TestMoreThanAThousandFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	e, _ := crashEnv(t)
	e.o.DedupIDs = 0
	d := newTended(e, 0)
	d.mustOpen()
	defer d.close()
	c := newCorpus(110, testStart)
	today := d.now.Truncate(24 * time.Hour)
	s, err := d.l.store(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	var want []event.Call
	var files []iceberg.DataFile
	out := rowfile.NewWriter(d.l.calls)
	for i, call := range dated(c, today, d.now, 1_050) {
		call.TS = today.UnixMicro()
		if i >= 1_020 { // and some folders of their own
			call.TS -= int64(i) * microsPerDay
		}
		call.Log = testLog
		_, f, err := writeFile(s, out, dayOf(call.TS), []*event.Call{call}, call.Offset)
		if err != nil {
			t.Fatal(err)
		}
		files, want = append(files, f), append(want, *call)
	}
	if err := s.commit(t.Context(), files, span{log: testLog, to: c.next}); err != nil {
		t.Fatal(err)
	}
	snap := d.snapshot("production")
	if len(snap.Files) < 1_000 {
		t.Fatalf("%d files", len(snap.Files))
	}
	r := newReader(t, e)
	listed, err := r.Files(t.Context(), "production", time.Unix(0, 0), d.now.AddDate(1, 0, 0))
	if err != nil || len(listed) != len(snap.Files) {
		t.Fatalf("%d files are listed, %v", len(listed), err)
	}
	sameIDs(t, "all files", d.rows("production"), want)
	if r, _ := d.mustMerge(MergeSmall); r.FilesIn < 1_000 {
		t.Errorf("the merge took %d files", r.FilesIn)
	}
	d.sweepAll()
	sameIDs(t, "merged", d.rows("production"), want)
}
