package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"firth/internal/disk/disktest"
	"firth/internal/event"
)

const backupDir = "/backup"

// backup backs a lake up; an error is returned.
func (e *lakeEnv) backup(dir string) (report BackupReport, err error) {
	e.t.Helper()
	l, err := Open(context.Background(), e.o)
	if err != nil {
		return report, err
	}
	report, err = l.Backup(context.Background(), dir, nil)
	return report, errors.Join(err, l.Close())
}

func (e *lakeEnv) mustBackUp(dir string) BackupReport {
	e.t.Helper()
	report, err := e.backup(dir)
	if err != nil {
		e.t.Fatal(err)
	}
	return report
}

func (e *lakeEnv) restore(dir string) (report BackupReport, err error) {
	e.t.Helper()
	l, err := Open(context.Background(), e.o)
	if err != nil {
		return report, err
	}
	report, err = l.Restore(context.Background(), dir, nil)
	return report, errors.Join(err, l.Close())
}

func (e *lakeEnv) mustRestore(dir string) BackupReport {
	e.t.Helper()
	report, err := e.restore(dir)
	if err != nil {
		e.t.Fatal(err)
	}
	return report
}

// newHome is an empty data folder on the same disk, with a journal of its own.
func newHome(t *testing.T, fs *disktest.FS) *lakeEnv {
	t.Helper()
	e, _ := crashEnv(t)
	e.o.FS, e.o.Dir, e.o.Window = fs, "/home/lake", "/home/window"
	e.journal = newMemJournal(otherLog)
	return e
}

// merge makes one file of each day's files, and removes those that nothing names.
func (e *lakeEnv) merge(sweep bool) {
	e.t.Helper()
	l, err := Open(context.Background(), e.o)
	if err != nil {
		e.t.Fatal(err)
	}
	defer closeIt(e.t, l)
	if _, err := l.Merger(MergeOptions{Temp: e.t.TempDir()}).Merge(context.Background(), MergeAll, "", nil); err != nil {
		e.t.Fatal(err)
	}
	if !sweep {
		return
	}
	named := map[string]bool{}
	tables, err := l.catalog.Tables(context.Background())
	if err != nil {
		e.t.Fatal(err)
	}
	for name := range tables {
		for _, f := range e.snapshot(name).Files {
			named[f.Path] = true
		}
	}
	e.removeFiles(l, named)
}

// removeFiles removes the data files that are not named and that nobody holds, as the sweeper does after its grace.
func (e *lakeEnv) removeFiles(l *Lake, named map[string]bool) (removed int) {
	for _, name := range e.o.FS.(*disktest.FS).Names() {
		if strings.HasPrefix(name, e.o.Dir+"/") && strings.HasSuffix(name, parquetExt) && !named[name] && !l.beingWritten(name) {
			if err := e.o.FS.Remove(name); err != nil {
				e.t.Error(err)
			}
			removed++
		}
	}
	return removed
}

func TestBackupAndRestore(t *testing.T) {
	e, fs := crashEnv(t)
	e.o.Sources = []string{"quiet"}
	c := newCorpus(61, testStart)
	want := crashScript(e, c)
	e.mustDrain()
	made := e.mustBackUp(backupDir)
	for _, table := range made.Tables {
		if table.State != BackupDone || table.Copied != table.Files || table.Kept+table.Removed != 0 || table.Files == 0 != (table.Table == "quiet") {
			t.Errorf("%+v", table)
		}
	}

	home := newHome(t, fs)
	home.journal.calls("production", newCorpusOf(62, otherLog).calls(4)...) // the new home has rows of its own
	home.mustDrain()
	own := home.rows("production")
	restored := home.mustRestore(backupDir)
	for _, table := range restored.Tables {
		if table.State != BackupRestored && table.Table != "quiet" {
			t.Errorf("%+v", table)
		}
	}
	home.wantAll("production", append(slices.Clone(own), want["production"]...))
	home.wantAll("staging", want["staging"])
	if n := home.snapshot(DeadLetters).Rows; n != e.snapshot(DeadLetters).Rows {
		t.Errorf("%d dead letters", n)
	}
	sameFiles(t, e, home, "staging")

	// Ids of the backup are known from now on.
	again := newCorpusOf(63, otherLog).calls(5)
	for i := range 3 {
		again[i].MessageID = want["production"][i].MessageID
	}
	home.journal.calls("production", again...)
	home.mustDrain()
	fresh := home.journal.end() - 2
	for i, call := range again[3:] {
		call.Offset = fresh + uint64(i)
	}
	home.wantAll("production", append(append(own, want["production"]...), values(again[3:])...))

	// Again: nothing is to be done.
	for _, table := range home.mustRestore(backupDir).Tables {
		if table.State != BackupThere {
			t.Errorf("restored again: %+v", table)
		}
	}
	for _, table := range e.mustRestore(backupDir).Tables {
		if table.State != BackupThere {
			t.Errorf("restored into the lake that it was made of: %+v", table)
		}
	}
}

func newCorpusOf(seed uint64, log string) *corpus {
	c := newCorpus(seed, testStart)
	c.log = log
	return c
}

// sameFiles compares what the manifests of two lakes say of the files of a table.
func sameFiles(t *testing.T, a, b *lakeEnv, table string) {
	t.Helper()
	describe := func(e *lakeEnv) []string {
		l := mustOpen(t, e.o)
		defer closeIt(t, l)
		st, err := l.store(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := st.describeTable()
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, f := range d.Files {
			line := fmt.Sprint(f.Rows, f.Bytes, f.Splits, f.Sorted)
			for _, id := range slices.Sorted(maps.Keys(f.Columns)) {
				c := f.Columns[id]
				line += fmt.Sprintf(" %d %d %d %d %x %x", id, *c.Size, *c.Values, *c.Nulls, c.Lower, c.Upper)
			}
			out = append(out, line)
		}
		slices.Sort(out)
		return out
	}
	if was, is := describe(a), describe(b); !slices.Equal(was, is) {
		t.Errorf("%s: the manifests say\n%s\nafter\n%s", table, strings.Join(is, "\n"), strings.Join(was, "\n"))
	}
}

// The second backup into a folder copies what is new and removes what a merge made needless.
func TestBackupIsIncremental(t *testing.T) {
	e, fs := crashEnv(t)
	c := newCorpus(64, testStart)
	want := crashScript(e, c)
	e.mustDrain()
	first := e.mustBackUp(backupDir)
	trace := 0
	fs.Trace(func(op disktest.Op) {
		if op.Kind == disktest.Create && strings.HasSuffix(op.Path, parquetExt+tmpExt) {
			trace++
		}
	})
	for _, table := range e.mustBackUp(backupDir).Tables {
		if table.Copied+table.Removed != 0 || table.Kept != table.Files {
			t.Errorf("nothing is new: %+v", table)
		}
	}
	more := crashScript(e, c)
	e.mustDrain()
	e.merge(true)
	trace = 0
	for i, table := range e.mustBackUp(backupDir).Tables {
		if table.Removed == 0 && table.Table == "production" || table.Copied == 0 {
			t.Errorf("all of it is merged: %+v", table)
		}
		if table.Removed > first.Tables[i].Files {
			t.Errorf("more was removed than was there: %+v", table)
		}
	}
	if trace == 0 {
		t.Error("no file was copied")
	}
	count := 0
	for _, name := range fs.Names() {
		if strings.HasPrefix(name, backupDir+"/lake/production/") {
			count++
		}
	}
	if files := len(e.snapshot("production").Files); count != files {
		t.Errorf("%d files in the backup, the table has %d", count, files)
	}
	home := newHome(t, fs)
	home.mustRestore(backupDir)
	for source := range want {
		home.wantAll(source, append(want[source], more[source]...))
	}
	// A damaged file of the backup is copied again.
	for _, name := range fs.Names() {
		if strings.HasPrefix(name, backupDir) && strings.HasSuffix(name, parquetExt) {
			content := fs.Content(name)
			content[len(content)/2] ^= 1
			fs.SetContent(name, content)
			break
		}
	}
	copied := 0
	for _, table := range e.mustBackUp(backupDir).Tables {
		copied += table.Copied
	}
	if copied != 1 {
		t.Errorf("%d files were copied again, want 1", copied)
	}
}

// Wherever a backup is cut short, the one before it or the new one can be restored.
func TestBackupIsCutShort(t *testing.T) {
	history := func(t *testing.T) (e *lakeEnv, fs *disktest.FS, old, now map[string][]event.Call) {
		e, fs = crashEnv(t)
		c := newCorpus(65, testStart)
		old = crashScript(e, c)
		e.mustDrain()
		e.mustBackUp(backupDir)
		more := crashScript(e, c)
		e.mustDrain()
		e.merge(false)
		now = map[string][]event.Call{}
		for source := range old {
			now[source] = append(slices.Clone(old[source]), more[source]...)
		}
		return e, fs, old, now
	}
	e, fs, _, _ := history(t)
	before := fs.Ops()
	e.mustBackUp(backupDir)
	total := fs.Ops() - before
	if total < 30 {
		t.Fatalf("a backup makes only %d changes", total)
	}
	seen := map[string]int{}
	for at := 0; at < total; at += stride(5) {
		keep := []float64{0, 0.5, 1}[at/stride(5)%3]
		t.Run(fmt.Sprintf("%d/%v", at, keep), func(t *testing.T) {
			e, fs, old, now := history(t)
			fs.Fault(disktest.PowerOffAt(fs.Ops() + at))
			if _, err := e.backup(backupDir); err != nil && !errors.Is(err, disktest.ErrPowerOff) {
				t.Fatal(err)
			}
			fs = fs.Crash(rand.New(rand.NewPCG(uint64(at), 2)), keep)
			home := newHome(t, fs)
			home.mustRestore(backupDir)
			which, want := "old", old
			if len(home.rows("production")) > len(old["production"]) {
				which, want = "new", now
			}
			seen[which]++
			for source, rows := range want {
				home.wantAll(source, rows)
			}
			e.o.FS = fs
			e.mustBackUp(backupDir)
			other := newHome(t, fs)
			other.o.Dir, other.o.Window = "/other/lake", "/other/window"
			other.mustRestore(backupDir)
			for source, rows := range now {
				other.wantAll(source, rows)
			}
		})
	}
	if seen["old"] == 0 || seen["new"] == 0 {
		t.Errorf("restored %v", seen)
	}
}

// Files that go away while they are copied are planned anew; those that the backup is at are held.
func TestBackupBesideMergers(t *testing.T) {
	e, fs := crashEnv(t)
	c := newCorpus(66, testStart)
	want := crashScript(e, c)
	e.mustDrain()
	more := crashScript(e, c)
	e.mustDrain()
	l := mustOpen(t, e.o)
	ctx := t.Context()
	merger := l.Merger(MergeOptions{Temp: t.TempDir()})
	merged, held := false, 0
	l.o.step = func(name string) error {
		if merged || !strings.HasPrefix(name, "backup file production") {
			return nil
		}
		merged = true
		if _, err := merger.Merge(ctx, MergeAll, "", nil); err != nil {
			t.Error(err)
		}
		named := map[string]bool{}
		for _, table := range []string{"production", "staging", DeadLetters} {
			for _, f := range e.snapshot(table).Files {
				named[f.Path] = true
			}
		}
		held = e.removeFiles(l, named)
		for _, name := range fs.Names() { // somebody else removes them all the same
			if strings.HasPrefix(name, e.o.Dir+"/staging") && strings.HasSuffix(name, parquetExt) && !named[name] {
				if err := fs.Remove(name); err != nil {
					t.Error(err)
				}
			}
		}
		return nil
	}
	var last BackupProgress
	report, err := l.Backup(ctx, backupDir, func(p BackupProgress) { last = p })
	if err != nil {
		t.Fatal(err)
	}
	closeIt(t, l)
	if !merged || held != 0 {
		t.Errorf("merged: %t; %d held files were removed", merged, held)
	}
	if last.Files != last.FilesTotal || last.Bytes != last.BytesTotal || last.Files == 0 {
		t.Errorf("the last progress is %+v", last)
	}
	if len(report.Tables) != 3 || len(l.held) != 0 {
		t.Errorf("%+v, held %v", report, l.held)
	}
	home := newHome(t, fs)
	home.mustRestore(backupDir)
	for source := range want {
		home.wantAll(source, append(want[source], more[source]...))
	}
}

// What was acknowledged before a backup is in it, however busy the server is.
func TestBackupHasWhatWasPassed(t *testing.T) {
	e, fs := crashEnv(t)
	c := newCorpus(67, testStart)
	l := mustOpen(t, e.o)
	w := l.Writer(e.journal, e.journal)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	fed := make(chan struct{})
	passed := make(chan uint64, 1)
	go func() {
		defer close(fed)
		for i := range 60 {
			e.journal.calls("production", c.calls(10)...)
			if i == 20 {
				passed <- e.journal.end()
			}
			waitFor(t, func() bool { return w.Stats().Position+100 > e.journal.end() })
		}
	}()
	acknowledged := <-passed
	waitFor(t, func() bool { return w.Stats().Position >= acknowledged })
	if _, err := l.Backup(ctx, backupDir, nil); err != nil {
		t.Fatal(err)
	}
	<-fed
	cancel()
	if err := errors.Join(<-done, l.Close()); err != nil {
		t.Fatal(err)
	}
	home := newHome(t, fs)
	home.mustRestore(backupDir)
	rows := byOffset(home.rows("production"))
	if uint64(len(rows)) < acknowledged {
		t.Fatalf("%d rows, %d calls were acknowledged before", len(rows), acknowledged)
	}
	if position := home.snapshot("production").Positions[testLog]; position != uint64(len(rows)) {
		t.Errorf("%d rows at position %d", len(rows), position)
	}
	for i, c := range rows {
		if c.Offset != uint64(i) {
			t.Fatalf("row %d has offset %d", i, c.Offset)
		}
	}
}
