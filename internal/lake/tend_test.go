package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/event"
)

// tended is a lake that is kept open, with clocks that tests set.
type tended struct {
	*lakeEnv
	l       *Lake
	tender  *Tender
	o2      TendOptions
	now     time.Time
	elapsed time.Duration
}

const testGrace = 15 * time.Minute

func newTended(e *lakeEnv, keep time.Duration) *tended {
	d := &tended{lakeEnv: e, now: testStart.Add(48 * time.Hour), elapsed: time.Hour}
	e.o.Now = func() time.Time { return d.now }
	d.o2 = TendOptions{Grace: testGrace, Keep: keep, elapsed: func() time.Duration { return d.elapsed }}
	return d
}

// open opens the lake, as after a restart.
func (d *tended) open() error {
	if d.l != nil {
		if err := d.l.Close(); err != nil {
			return err
		}
		d.l = nil
	}
	l, err := Open(context.Background(), d.o)
	if err != nil {
		return err
	}
	d.l, d.tender = l, l.Tender(d.o2)
	return nil
}

func (d *tended) mustOpen() {
	d.t.Helper()
	if err := d.open(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *tended) close() {
	d.t.Helper()
	if d.l != nil {
		closeIt(d.t, d.l)
		d.l = nil
	}
}

// pass lets time go by, on both clocks.
func (d *tended) pass(by time.Duration) { d.now, d.elapsed = d.now.Add(by), d.elapsed+by }

// flush brings what the journal has into the tables of the open lake.
func (d *tended) flush() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return d.l.Writer(d.journal, d.journal).Run(ctx)
}

func (d *tended) mustFlush(source string, calls ...*event.Call) []event.Call {
	d.t.Helper()
	d.journal.calls(source, calls...)
	if err := d.flush(); err != nil {
		d.t.Fatal(err)
	}
	return values(calls)
}

// round tends the lake once, as Run does.
func (d *tended) round() error {
	_, err := d.tender.tend(context.Background(), false, nil)
	return err
}

func (d *tended) mustRound() TendReport {
	d.t.Helper()
	report, err := d.tender.tend(context.Background(), false, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return report
}

// names lists the files in a table's folders, whatever file system they lie on.
func (d *tended) names(table string) []string {
	d.t.Helper()
	l := &Lake{o: d.o.withDefaults()}
	list, err := listTable(l, table)
	if err != nil {
		d.t.Fatal(err)
	}
	var out []string
	for n := range list.files {
		out = append(out, n.Value())
	}
	slices.Sort(out)
	return out
}

// wantClean fails when a table's folders hold more or less than what the table names.
func (d *tended) wantClean(table string) {
	d.t.Helper()
	s, err := d.l.store(context.Background(), table)
	if err != nil {
		d.t.Fatal(err)
	}
	seen, err := (&watch{s: s, root: d.o.Dir}).look(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	var want []string
	for n := range seen.live {
		want = append(want, n.Value())
	}
	slices.Sort(want)
	if got := d.names(table); !slices.Equal(got, want) {
		for _, n := range got {
			if !slices.Contains(want, n) {
				d.t.Errorf("%s is left over", n)
			}
		}
		for _, n := range want {
			if !slices.Contains(got, n) {
				d.t.Errorf("%s is missing", n)
			}
		}
	}
	days, err := d.o.withDefaults().FS.ReadDir(filepath.Join(d.o.Dir, table, "data"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.t.Fatal(err)
	}
	for _, day := range days {
		if list, err := d.o.withDefaults().FS.ReadDir(filepath.Join(d.o.Dir, table, "data", day.Name())); err != nil || len(list) == 0 {
			d.t.Errorf("the folder %s is empty, %v", day.Name(), err)
		}
	}
}

// TestSweepAfterTheGrace follows files that go out of use from the commit that drops them to their removal.
func TestSweepAfterTheGrace(t *testing.T) {
	d := newTended(newEnv(t), 0)
	d.mustOpen()
	defer d.close()
	c := newCorpus(61, testStart)
	var want []event.Call
	for range keepSnapshots + 12 {
		d.pass(time.Second)
		want = append(want, d.mustFlush("production", c.call())...)
	}
	before := d.names("production")
	d.mustRound()
	s := d.tender.Stats()
	if s.CondemnedFiles < 20 || s.CondemnedBytes == 0 || !s.Oldest.Equal(d.now.Truncate(time.Millisecond)) || s.SweptFiles != 0 {
		t.Errorf("after the first round: %+v", s)
	}
	if s.Files != int64(len(want)) || s.Snapshots != keepSnapshots || s.Manifests == 0 || s.MetadataFiles < keepSnapshots || s.CatalogBytes == 0 {
		t.Errorf("after the first round: %+v", s)
	}
	d.pass(testGrace - time.Minute)
	d.mustRound()
	if got := d.names("production"); !slices.Equal(got, before) {
		t.Errorf("%d files a minute before the end of the grace, %d before", len(got), len(before))
	}
	want = append(want, d.mustFlush("production", c.call())...) // condemns two more
	d.mustRound()
	d.pass(time.Minute)
	report := d.mustRound()
	if report.SweptFiles != s.CondemnedFiles || report.SweptBytes != s.CondemnedBytes || report.WaitingFiles == 0 {
		t.Errorf("%+v, want %d files swept", report, s.CondemnedFiles)
	}
	d.pass(testGrace)
	d.mustRound()
	d.wantClean("production")
	d.wantClean(DeadLetters)
	d.wantRows("production", want)
	if s := d.tender.Stats(); s.CondemnedFiles != 0 || s.CondemnedBytes != 0 || s.Rounds != 5 || d.tender.State().State != StateOK {
		t.Errorf("in the end: %+v, %+v", s, d.tender.State())
	}
	if left, err := d.l.catalog.Condemned(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("%d files are condemned still, %v", len(left), err)
	}
}

// TestForeignFilesAreLeftAlone puts files into the lake's folders that it did not write.
func TestForeignFilesAreLeftAlone(t *testing.T) {
	d := newTended(newEnv(t), 0)
	d.mustOpen()
	defer d.close()
	c := newCorpus(62, testStart)
	d.mustFlush("production", c.calls(3)...)
	root := filepath.Join(d.o.Dir, "production")
	foreign := []string{
		"README", "data/notes.txt", "data/ts_day=2026-11-20/part-0.txt", "data/ts_day=2026-11-20/0000000000000000-0000000000000000.csv",
		"data/ts_day=2026-13-45/notes.txt", "metadata/version-hint.text", "metadata/part-0.metadata.txt", "metadata/deep/00001-x.metadata.json",
		"other/0000000000000000-0000000000000000.parquet", "data/ts_day=2020-01-01/deep/0000000000000000-0000000000000000.parquet",
		"data/.snapshot/0000000000000000-0000000000000000.parquet",
	}
	dead := []string{
		"data/ts_day=2020-01-02/0000000000000000-0000000000000000.parquet",
		"data/ts_day=2020-01-02/0000000000000000-0000000000000000-00000000-00000000.parquet",
		"data/ts_day=2020-01-03/0000000000000000-0000000000000000.parquet.tmp",
		"metadata/00000-" + strings.Repeat("0", 8) + "-0000-0000-0000-000000000000.gz.metadata.json",
		"metadata/00000000-0000-0000-0000-000000000000-m1.avro", "metadata/snap-1-0-00000000-0000-0000-0000-000000000000.avro",
	}
	for _, name := range append(slices.Clone(foreign), dead...) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("123"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.mustRound()
	d.pass(testGrace)
	report := d.mustRound()
	if report.SweptFiles != int64(len(dead)) || report.SweptBytes != int64(3*len(dead)) {
		t.Errorf("%+v, want %d files", report, len(dead))
	}
	// Folders that are foreign as a whole count once.
	if report.ForeignFiles != int64(len(foreign)) {
		t.Errorf("%d foreign files, want %d", report.ForeignFiles, len(foreign))
	}
	for _, name := range foreign {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range dead {
		if _, err := os.Stat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "data/ts_day=2020-01-02")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of an empty day: %v", err)
	}
}

// TestFilesBeingWrittenAreLeftAlone sweeps while a file has no commit yet.
func TestFilesBeingWrittenAreLeftAlone(t *testing.T) {
	d := newTended(newEnv(t), 0)
	d.mustOpen()
	defer d.close()
	s, err := d.l.store(t.Context(), DeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.newFile(dayOf(testStart.UnixMicro()), 7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half a file")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d.mustRound()
		d.pass(testGrace)
	}
	if names := d.names(DeadLetters); count(names, ".tmp") != 1 {
		t.Fatalf("the file being written is gone: %v", names)
	}
	if n := d.tender.Stats().CondemnedFiles; n != 0 {
		t.Errorf("%d files are condemned", n)
	}
	f.release() // as when the process gives it up
	d.mustRound()
	d.pass(testGrace)
	if r := d.mustRound(); r.SweptFiles != 1 {
		t.Errorf("%+v", r)
	}
	if err := f.out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReaderOfAnOldSnapshot reads a snapshot whose files were replaced, until the end of the grace.
func TestReaderOfAnOldSnapshot(t *testing.T) {
	d := newTended(newEnv(t), 24*time.Hour)
	d.mustOpen()
	defer d.close()
	c := newCorpus(63, testStart)
	want := d.mustFlush("production", c.calls(30)...)
	r, err := openReader(t.Context(), d.o.Catalog, d.o.withDefaults().FS)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	snap, err := r.Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	read := func() (n int, err error) {
		err = r.Calls(t.Context(), snap, testLog, 0, 1<<62, func(*event.Call) error { n++; return nil })
		return n, err
	}
	d.pass(30 * 24 * time.Hour) // the clock is believed: it did not jump
	d.mustRound()
	if n := d.snapshot("production").Rows; n != 0 {
		t.Fatalf("%d rows are left", n)
	}
	for range keepSnapshots { // until no snapshot names them
		d.mustFlush("production", c.call())
	}
	d.mustRound()
	d.pass(testGrace - time.Second)
	d.mustRound()
	if n, err := read(); n != len(want) || err != nil {
		t.Fatalf("before the end of the grace: %d rows, %v", n, err)
	}
	d.pass(time.Second)
	d.mustRound()
	if _, err := read(); !errors.Is(err, ErrFileGone) {
		t.Fatalf("after the grace: %v", err)
	}
}

// TestRestartInTheGrace restarts more often than the grace is long.
func TestRestartInTheGrace(t *testing.T) {
	d := newTended(newEnv(t), 0)
	c := newCorpus(64, testStart)
	d.mustOpen()
	defer func() { d.close() }()
	want := d.mustFlush("production", c.calls(3)...)
	for range keepSnapshots {
		want = append(want, d.mustFlush("production", c.call())...)
	}
	d.mustRound()
	waiting := d.tender.Stats().CondemnedFiles
	if waiting == 0 {
		t.Fatal("nothing is condemned")
	}
	for i := range 4 {
		d.pass(4 * time.Minute)
		d.elapsed = 0 // of another process
		d.mustOpen()
		report := d.mustRound()
		if i < 3 && report.SweptFiles != 0 {
			t.Fatalf("after %d minutes %d files are swept", 4*(i+1), report.SweptFiles)
		}
	}
	if s := d.tender.Stats(); s.SweptFiles < waiting {
		t.Errorf("%d files are swept, %d were condemned", s.SweptFiles, waiting)
	}
	d.wantRows("production", want)
}

// TestGraceAndTheClock moves the system's clock while files wait. No grace becomes shorter, and none endless.
func TestGraceAndTheClock(t *testing.T) {
	for _, jump := range []time.Duration{24 * time.Hour, -time.Hour, -400 * 24 * time.Hour} {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			d := newTended(newEnv(t), 0)
			c := newCorpus(65, testStart)
			d.mustOpen()
			defer func() { d.close() }()
			for range keepSnapshots + 5 {
				d.mustFlush("production", c.call())
			}
			d.mustRound()
			waiting := d.tender.Stats().CondemnedFiles
			d.pass(time.Minute)
			d.now = d.now.Add(jump)
			d.mustRound()
			d.pass(testGrace - 2*time.Minute)
			if r := d.mustRound(); r.SweptFiles != 0 {
				t.Fatalf("%d files are swept early", r.SweptFiles)
			}
			d.pass(time.Minute)
			if r := d.mustRound(); r.SweptFiles != waiting {
				t.Fatalf("%d files are swept at the end of the grace, %d waited", r.SweptFiles, waiting)
			}
			// While nothing runs nobody sees the jump. Backward it costs a grace at most.
			d.mustFlush("production", c.call())
			d.mustRound()
			if d.now = d.now.Add(-2 * time.Hour); d.tender.Stats().CondemnedFiles == 0 {
				t.Fatal("nothing is condemned")
			}
			d.elapsed = 0
			d.mustOpen()
			d.mustRound()
			d.pass(testGrace)
			if r := d.mustRound(); r.SweptFiles == 0 {
				t.Error("nothing is swept after the clock was set back")
			}
		})
	}
}
