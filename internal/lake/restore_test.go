package lake

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/disk/disktest"
	"firth/internal/event"
)

// backedUp is a lake with a history, and its backup.
func backedUp(t *testing.T, seed uint64) (fs *disktest.FS, want map[string][]event.Call) {
	t.Helper()
	e, fs := crashEnv(t)
	e.o.Every = time.Minute // one flush, however slow the machine is
	want = crashScript(e, newCorpus(seed, testStart))
	e.mustDrain()
	e.mustBackUp(backupDir)
	return fs, want
}

// Wherever a restore is cut short, repeating it brings every row in once.
func TestRestoreIsCutShort(t *testing.T) {
	fs, _ := backedUp(t, 81)
	before := fs.Ops()
	newHome(t, fs).mustRestore(backupDir)
	total := fs.Ops() - before
	if total < 60 {
		t.Fatalf("a restore makes only %d changes", total)
	}
	for at := 0; at < total; at += stride(7) {
		keep := []float64{0, 0.5, 1}[at/stride(7)%3]
		t.Run(fmt.Sprintf("%d/%v", at, keep), func(t *testing.T) {
			fs, want := backedUp(t, 81)
			home := newHome(t, fs)
			fs.Fault(disktest.PowerOffAt(fs.Ops() + at))
			if _, err := home.restore(backupDir); err != nil && !errors.Is(err, disktest.ErrPowerOff) {
				t.Fatal(err)
			}
			home.o.FS = fs.Crash(rand.New(rand.NewPCG(uint64(at), 3)), keep)
			again := newCorpusOf(82, otherLog).calls(3) // the server runs in between
			again[0].MessageID = want["production"][0].MessageID
			home.journal.calls("staging", again...)
			home.mustDrain()
			home.mustRestore(backupDir)
			home.mustRestore(backupDir)
			home.wantAll("production", want["production"])
			home.wantAll("staging", append(values(again), want["staging"]...))
			if n := home.snapshot(DeadLetters).Rows; n != 1 {
				t.Errorf("%d dead letters", n)
			}
		})
	}
}

func TestRestoreIsKilledBetweenSteps(t *testing.T) {
	fs, _ := backedUp(t, 83)
	home := newHome(t, fs)
	var names []string
	home.o.step = func(name string) error { names = append(names, name); return nil }
	home.mustRestore(backupDir)
	golden(t, "restore_steps.txt", strings.Join(names, "\n")+"\n")
	for at, name := range names {
		fs, want := backedUp(t, 83)
		home := newHome(t, fs)
		n := 0
		killed := errors.New("killed")
		home.o.step = func(string) error {
			if n++; n == at+1 {
				return killed
			}
			return nil
		}
		// A commit that took place counts, whatever was said of it.
		if _, err := home.restore(backupDir); !errors.Is(err, killed) && !strings.HasPrefix(name, "done restore") {
			t.Fatalf("%s: %v", name, err)
		}
		home.o.step = nil
		home.mustRestore(backupDir)
		for source, rows := range want {
			home.wantAll(source, rows)
		}
	}
}

// Nothing that a failed restore wrote is left, and nothing of it was committed.
func TestRestoreThatFails(t *testing.T) {
	fs, _ := backedUp(t, 84)
	before := fs.Ops()
	newHome(t, fs).mustRestore(backupDir)
	total := fs.Ops() - before
	for at := 0; at < total; at += stride(9) {
		fs, want := backedUp(t, 84)
		home := newHome(t, fs)
		coughs := errors.New("the disk coughs")
		start := fs.Ops()
		fs.Fault(func(op disktest.Op) error {
			if op.Kind.Changes() && op.Index == start+at {
				return coughs
			}
			return nil
		})
		_, err := home.restore(backupDir)
		fs.Fault(nil)
		if err != nil && !errors.Is(err, coughs) {
			t.Fatal(err)
		}
		home.mustRestore(backupDir)
		for source, rows := range want {
			home.wantAll(source, rows)
		}
		files := 0
		for _, source := range []string{"production", "staging", DeadLetters} {
			files += len(home.snapshot(source).Files)
		}
		left := 0
		for _, name := range fs.Names() {
			if strings.HasPrefix(name, home.o.Dir) && strings.Contains(name, parquetExt) {
				left++
			}
		}
		if left != files {
			t.Errorf("failure of change %d: %d data files, the tables have %d", at, left, files)
		}
	}
}

// Beside a running writer: its rows and those of the backup are all there once, and ids of the backup are known from the next
// flush on, also those of a flush that was under way.
func TestRestoreBesideAWriter(t *testing.T) {
	fs, want := backedUp(t, 85)
	home := newHome(t, fs)
	home.o.DedupIDs = 1000 // more than come
	l := mustOpen(t, home.o)
	w := l.Writer(home.journal, home.journal)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()

	c := newCorpusOf(86, otherLog)
	var own []event.Call
	feed := func(n, known int) {
		calls := c.calls(n)
		for i := range known {
			calls[i].MessageID = want["production"][i].MessageID
		}
		at := home.journal.end()
		home.journal.calls("production", calls...)
		for i, call := range calls[known:] {
			call.Offset = at + uint64(known+i)
			own = append(own, *call)
		}
	}
	for range 20 {
		feed(5, 0)
	}
	waitFor(t, func() bool { return w.Stats().Position == home.journal.end() })
	stop, fed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(fed)
		for {
			select {
			case <-stop:
				return
			default:
				feed(3, 0)
				at := home.journal.end()
				waitFor(t, func() bool { return w.Stats().Position >= at })
			}
		}
	}()
	if _, err := l.Restore(ctx, backupDir, nil); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-fed
	feed(12, 12)
	feed(4, 2)
	waitFor(t, func() bool { return w.Stats().Position == home.journal.end() })
	if s := w.State(); s.State != StateOK {
		t.Errorf("the writer: %+v", s)
	}
	cancel()
	if err := errors.Join(<-done, l.Close()); err != nil {
		t.Fatal(err)
	}
	home.wantAll("production", append(slices.Clone(own), want["production"]...))
	home.mustDrain() // a window of its own files
	feed(6, 6)
	home.mustDrain()
	home.wantAll("production", append(own, want["production"]...))
}

// A flush that has looked its ids up does not let a restore pass before it has committed.
func TestRestoreWaitsForTheFlush(t *testing.T) {
	fs, want := backedUp(t, 87)
	home := newHome(t, fs)
	l := mustOpen(t, home.o)
	defer closeIt(t, l)
	restored := make(chan error, 1)
	begun := false
	l.o.step = func(name string) error {
		if name == "write production" && !begun {
			begun = true
			go func() {
				_, err := l.Restore(context.Background(), backupDir, nil)
				restored <- err
			}()
		}
		return nil
	}
	calls := newCorpusOf(88, otherLog).calls(4)
	home.journal.calls("production", calls...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Writer(home.journal, home.journal).Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-restored; err != nil {
		t.Fatal(err)
	}
	home.wantAll("production", append(values(calls), want["production"]...))
}

// The lake was lost and the journal was not: the journal's rows follow those of the backup, none twice.
func TestRestoreUnderTheSameJournal(t *testing.T) {
	e, fs := crashEnv(t)
	c := newCorpus(89, testStart)
	want := crashScript(e, c)
	e.mustDrain()
	e.journal.trimmed = 0 // as if nothing had been trimmed yet
	e.mustBackUp(backupDir)
	more := crashScript(e, c)
	home := newHome(t, fs)
	home.journal = e.journal
	home.mustRestore(backupDir)
	home.mustDrain()
	for source := range want {
		home.wantRows(source, append(want[source], more[source]...))
	}
	if n := home.snapshot(DeadLetters).Rows; n != 2 {
		t.Errorf("%d dead letters", n)
	}
}

func TestRestoreIsRefused(t *testing.T) {
	var b strings.Builder
	say := func(what string, err error) {
		text := fmt.Sprint(err)
		fmt.Fprintf(&b, "%s: %s\n\n", what, anonymous(text))
	}
	refuse := func(what string, is error, damage func(fs *disktest.FS, home *lakeEnv)) {
		fs, _ := backedUp(t, 90)
		home := newHome(t, fs)
		damage(fs, home)
		rows := map[string]int{}
		closeIt(t, mustOpen(t, home.o))
		for _, source := range []string{"production", "staging"} {
			rows[source] = len(rowsOrNone(home, source))
		}
		_, err := home.restore(backupDir)
		if err == nil || is != nil && !errors.Is(err, is) {
			t.Errorf("%s: got %v", what, err)
		}
		say(what, err)
		for source, n := range rows {
			if got := len(rowsOrNone(home, source)); got != n {
				t.Errorf("%s: %s has %d rows, had %d", what, source, got, n)
			}
		}
	}
	first := func(fs *disktest.FS) string {
		for _, name := range fs.Names() {
			if strings.HasPrefix(name, backupDir+"/lake/staging/") {
				return name
			}
		}
		return ""
	}
	refuse("no backup", ErrNoBackup, func(fs *disktest.FS, _ *lakeEnv) {
		if err := fs.Remove(filepath.Join(backupDir, backupName)); err != nil {
			t.Fatal(err)
		}
	})
	refuse("a flipped bit in a file", ErrDamaged, func(fs *disktest.FS, _ *lakeEnv) {
		name := first(fs)
		content := fs.Content(name)
		content[len(content)/3] ^= 8
		fs.SetContent(name, content)
	})
	refuse("a file is missing", ErrDamaged, func(fs *disktest.FS, _ *lakeEnv) {
		if err := fs.Remove(first(fs)); err != nil {
			t.Fatal(err)
		}
	})
	refuse("a file is cut short", ErrDamaged, func(fs *disktest.FS, _ *lakeEnv) { fs.SetContent(first(fs), fs.Content(first(fs))[:500]) })
	refuse("a flipped bit in the description", ErrDamaged, func(fs *disktest.FS, _ *lakeEnv) {
		content := fs.Content(filepath.Join(backupDir, backupName))
		content[len(content)/2] ^= 1
		fs.SetContent(filepath.Join(backupDir, backupName), content)
	})
	refuse("the description is cut short", ErrDamaged, func(fs *disktest.FS, _ *lakeEnv) {
		fs.SetContent(filepath.Join(backupDir, backupName), fs.Content(filepath.Join(backupDir, backupName))[:300])
	})
	change := func(fn func(d *description)) func(fs *disktest.FS, _ *lakeEnv) {
		return func(fs *disktest.FS, _ *lakeEnv) {
			d, err := readDescription(fs, backupDir)
			if err != nil {
				t.Fatal(err)
			}
			fn(d)
			if err := writeDescription(fs, backupDir, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	refuse("a newer version", nil, change(func(d *description) { d.Version = 2 }))
	refuse("a newer table", nil, change(func(d *description) { d.Tables[1].Format = "3" }))
	refuse("a file elsewhere", ErrDamaged, change(func(d *description) { d.Tables[1].Files[0].Path = "../../../etc/passwd" }))
	refuse("a table elsewhere", ErrDamaged, change(func(d *description) { d.Tables[1].Name = "../../x" }))
	refuse("other rows of the same journal", ErrOverlap, func(fs *disktest.FS, home *lakeEnv) {
		home.journal = newMemJournal(testLog)
		home.journal.calls("production", newCorpus(91, testStart).calls(60)...)
		home.mustDrain()
	})
	refuse("an older backup was restored", ErrOverlap, func(fs *disktest.FS, home *lakeEnv) {
		home.mustRestore(backupDir)
		change(func(d *description) { d.Tables[1].Positions[testLog] += 5 })(fs, home)
	})
	golden(t, "restore_refused.txt", b.String())
}

func rowsOrNone(e *lakeEnv, source string) []event.Call {
	r, err := openReader(context.Background(), e.o.Catalog, e.o.FS)
	if err != nil {
		e.t.Fatal(err)
	}
	defer closeIt(e.t, r)
	if _, err := r.Snapshot(context.Background(), source); errors.Is(err, ErrNoTable) {
		return nil
	}
	return e.rows(source)
}

// What a loader sees after a restore beside a running server: a journal that it has not begun.
func TestRestoredRowsAreNewToALoader(t *testing.T) {
	fs, want := backedUp(t, 92)
	home := newHome(t, fs)
	home.journal.calls("production", newCorpusOf(93, otherLog).calls(4)...)
	home.mustDrain()
	r, err := openReader(t.Context(), home.o.Catalog, fs)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	before, err := r.Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	home.mustRestore(backupDir)
	after, err := r.Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	if _, known := before.Positions[testLog]; known || after.Positions[otherLog] != before.Positions[otherLog] {
		t.Fatalf("positions %v, then %v", before.Positions, after.Positions)
	}
	n := 0
	if err := r.Calls(t.Context(), after, testLog, 0, after.Positions[testLog], func(*event.Call) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n != len(want["production"]) {
		t.Errorf("%d rows beyond the position, want %d", n, len(want["production"]))
	}
}

func FuzzDescription(f *testing.F) {
	fs := disktest.New()
	d := &description{Version: 1, Tables: []*backupTable{{Name: "production", Partition: "ts_day", Positions: map[string]uint64{testLog: 1},
		Files: []*backupFile{{Path: "ts_day=2025-01-02/x.parquet", Rows: 1, Bytes: 2, CRC32C: "01234567"}}}}}
	if err := writeDescription(fs, "/", d); err != nil {
		f.Fatal(err)
	}
	f.Add(fs.Content("/" + backupName)[9:])
	f.Add([]byte(`{"version":1,"tables":[null]}` + "\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		body = append(sumLine(body), body...)
		d, err := parseDescription("/BACKUP", body)
		if err != nil {
			return
		}
		for _, table := range d.Tables {
			for _, file := range table.Files {
				if place := table.place(file); !strings.HasPrefix(place, "lake/"+table.Name+"/") || filepath.Clean(place) != place || !filepath.IsLocal(place) {
					t.Errorf("%q leads out of the backup", place)
				}
			}
		}
	})
}

func sumLine(body []byte) []byte {
	return fmt.Appendf(nil, "%08x\n", crc32.Checksum(body[:max(0, len(body)-1)], castagnoli))
}
