package lake

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// year is a lake that lives through a year in minutes: flushes, merges, retention, expiry and sweeps on a clock of its own.
type year struct {
	*tended
	c       *corpus
	out     *rowfile.Writer[event.Call]
	flushes int
	next    uint64
	took    time.Duration   // for the last round
	commits []time.Duration // since the last report
}

// yearKeep is how long events are kept: a quarter, so that most of the year drops days.
const yearKeep = 90 * 24 * time.Hour

func newYear(t *testing.T) *year {
	e := newEnv(t)
	dir, err := os.MkdirTemp("/dev/shm", "firth-lake-year-") // syncs in no time
	if err != nil {
		t.Skip("no file system in memory")
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	e.o.Catalog, e.o.Dir, e.o.Window = filepath.Join(dir, "catalog.db"), filepath.Join(dir, "lake"), filepath.Join(dir, "window")
	y := &year{tended: newTended(e, yearKeep), c: newCorpus(91, testStart), out: rowfile.NewWriter(callTable())}
	y.now = time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)
	y.mustOpen()
	return y
}

// one makes a flush of two events, at times of three days.
func (y *year) one() {
	y.t.Helper()
	s, err := y.l.store(context.Background(), "production")
	if err != nil {
		y.t.Fatal(err)
	}
	days := []int{0}
	if y.flushes%5 == 0 {
		days = []int{0, 1, 2}
	}
	var files []iceberg.DataFile
	var written []*newFile
	for _, back := range days {
		calls := dated(y.c, y.now.Truncate(24*time.Hour).AddDate(0, 0, -back), y.now, 2)
		for _, c := range calls {
			c.Offset, y.next = y.next, y.next+1
		}
		f, described, err := writeFile(s, y.out, dayOf(calls[0].TS), calls, calls[0].Offset)
		if err != nil {
			y.t.Fatal(err)
		}
		files, written = append(files, described), append(written, f)
	}
	began := time.Now()
	if err := s.commit(context.Background(), files, span{log: testLog, from: y.next, to: y.next}); err != nil {
		y.t.Fatal(err)
	}
	y.commits = append(y.commits, time.Since(began))
	for _, f := range written {
		f.release()
	}
	y.flushes++
}

func (y *year) merge(kind MergeKind) {
	y.t.Helper()
	m := y.l.Merger(MergeOptions{Temp: y.t.TempDir()})
	if _, err := m.Merge(context.Background(), kind, "production", nil); err != nil {
		y.t.Fatal(err)
	}
}

// state is what must stay flat.
type yearState struct {
	day, flushes                          int
	snapshots, manifests, files           int64
	metadata, folder, folderFiles         int64 // bytes of the current metadata; bytes and files in its folder
	catalog, onDisk, waiting              int64
	plan, start, commit, commitMax, round time.Duration
}

func (y *year) measure(day int) yearState {
	y.t.Helper()
	ctx := context.Background()
	s := y.tender.Stats()
	out := yearState{
		day: day, flushes: y.flushes, snapshots: s.Snapshots, manifests: s.Manifests, files: s.Files, catalog: s.CatalogBytes,
		waiting: s.CondemnedFiles, round: y.took,
	}
	slices.Sort(y.commits)
	if n := len(y.commits); n > 0 {
		out.commit, out.commitMax = y.commits[n/2], y.commits[n-1]
	}
	y.commits = y.commits[:0]
	began := time.Now()
	y.journal.next, y.journal.trimmed = y.next, y.next
	y.mustOpen() // Open, the writer's start and its clean end, a reader's first plan
	if err := y.flush(); err != nil {
		y.t.Fatal(err)
	}
	y.snapshot("production")
	out.start = time.Since(began)
	t, err := y.l.catalog.Load(ctx, "production")
	if err != nil {
		y.t.Fatal(err)
	}
	began = time.Now()
	if _, err := newPlanner("production", y.l.catalog.IO()).plan(t.Metadata()); err != nil {
		y.t.Fatal(err)
	}
	out.plan = time.Since(began)
	for _, name := range y.names("production") {
		info, err := os.Stat(filepath.Join(y.o.Dir, name))
		if err != nil {
			y.t.Fatal(err)
		}
		out.onDisk++
		if strings.Contains(name, "/metadata/") {
			out.folder += info.Size()
			out.folderFiles++
		}
		if strings.HasSuffix(t.MetadataLocation(), name) {
			out.metadata = info.Size()
		}
	}
	return out
}

// TestAYearOfCommits lets a lake live through a year of small flushes, merges, retention and sweeps, and shows that nothing that a
// start, a plan or a commit reads grows with its age. FIRTH_YEAR=1 makes it 15,000 flushes and all their merges.
func TestAYearOfCommits(t *testing.T) {
	perDay, mergeDays, every := 2, 7, 73
	switch {
	case os.Getenv("FIRTH_YEAR") != "":
		perDay, mergeDays, every = 40, 1, 30
	case testing.Short():
		perDay, mergeDays = 1, 14
	}
	y := newYear(t)
	defer func() { y.close() }()
	var states []yearState
	t.Logf("%5s %7s %6s %9s %6s %9s %8s %7s %8s %7s %7s %8s %8s %8s %8s %8s", "day", "flushes", "snaps", "manifests", "files",
		"meta B", "folder B", "in it", "catalog B", "on disk", "waiting", "plan", "start", "commit", "slowest", "round")
	for day := 1; day <= 365; day++ {
		for i := range perDay {
			y.pass(20 * time.Hour / time.Duration(perDay))
			y.one()
			if i%20 == 19 {
				y.merge(MergeSmall)
				y.mustRound()
			}
		}
		if day%mergeDays == 0 {
			y.merge(MergeAll)
		}
		y.pass(2 * time.Hour)
		began := time.Now()
		y.mustRound()
		y.took = time.Since(began)
		y.pass(2 * time.Hour)
		if day%every == 0 || day == 365 {
			s := y.measure(day)
			states = append(states, s)
			t.Logf("%5d %7d %6d %9d %6d %9d %8d %7d %8d %7d %7d %8.2f %8.2f %8.2f %8.2f %8.2f", s.day, s.flushes, s.snapshots, s.manifests, s.files,
				s.metadata, s.folder, s.folderFiles, s.catalog, s.onDisk, s.waiting, ms(s.plan), ms(s.start), ms(s.commit), ms(s.commitMax), ms(s.round))
		}
	}
	y.wantFlat(states)
	y.pass(testGrace)
	y.mustRound()
	y.pass(testGrace)
	y.mustRound()
	y.wantClean("production")
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// wantFlat compares the second half of the year with the time when retention had begun.
func (y *year) wantFlat(states []yearState) {
	y.t.Helper()
	first := states[max(0, slices.IndexFunc(states, func(s yearState) bool { return s.day > 100 }))]
	for _, s := range states {
		if s.day <= first.day {
			continue
		}
		for _, c := range []struct {
			what       string
			was, is    int64
			slack, top int64
		}{
			{"bytes of metadata", first.metadata, s.metadata, 2000, 0},
			{"bytes in the metadata folder", first.folder, s.folder, 200_000, 0},
			{"files in the metadata folder", first.folderFiles, s.folderFiles, 150, 0},
			{"manifests", first.manifests, s.manifests, 0, 60},
			{"files of the table", first.files, s.files, 20, 0},
			{"files on disk", first.onDisk, s.onDisk, 200, 0},
			{"bytes of the catalog", first.catalog, s.catalog, 0, 6 << 20}, // most of it is the write-ahead log, which is used again
			{"snapshots", first.snapshots, s.snapshots, 0, 2 * keepSnapshots},
		} {
			if limit := cmp.Or(c.top, c.was*6/5+c.slack); c.is > limit {
				y.t.Errorf("on day %d: %d %s, on day %d %d", s.day, c.is, c.what, first.day, c.was)
			}
		}
	}
}
