package lake

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/disk"
	"firth/internal/disk/disktest"
	"firth/internal/event"
)

// movedEnv is a lake with some history in /data whose files were copied to /copy, with a copy of its catalog. The original
// stays: nobody may touch it.
func movedEnv(t *testing.T) (e *lakeEnv, fs *disktest.FS, want map[string][]event.Call) {
	t.Helper()
	e, fs = crashEnv(t)
	e.o.Sources, e.o.Every = []string{"quiet"}, time.Minute // one flush, however slow the machine is
	want = crashScript(e, newCorpus(51, testStart))
	e.mustDrain()
	for _, name := range fs.Names() {
		fs.SetContent("/copy"+strings.TrimPrefix(name, "/data"), fs.Content(name))
	}
	copyCatalog(t, e)
	e.o.Dir, e.o.Window = "/copy/lake", "/copy/window"
	return e, fs, want
}

func copyCatalog(t *testing.T, e *lakeEnv) {
	t.Helper()
	content, err := os.ReadFile(e.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	e.o.Catalog = filepath.Join(t.TempDir(), "catalog.db")
	if err := os.WriteFile(e.o.Catalog, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// leaveAlone fails every use of a file below a folder.
func leaveAlone(t *testing.T, fs *disktest.FS, dir string) {
	fs.Fault(func(op disktest.Op) error {
		if strings.HasPrefix(op.Path, dir+"/") {
			t.Errorf("%s %s", op.Kind, op.Path)
			return errors.New("hands off")
		}
		return nil
	})
}

// wantHistory makes sure that a lake with a history holds it, and that it goes on.
func wantHistory(t *testing.T, e *lakeEnv, want map[string][]event.Call) {
	t.Helper()
	for source, rows := range want {
		e.wantRows(source, rows)
	}
	c := newCorpus(52, testStart.Add(1))
	c.next = e.journal.end()
	more := c.calls(6)
	more[0].MessageID = want["production"][0].MessageID
	e.journal.calls("production", more...)
	e.mustDrain()
	e.wantRows("production", append(want["production"], values(more[1:])...))
}

func TestMovedLakeIsMended(t *testing.T) {
	e, fs, want := movedEnv(t)
	was := describeLake(t, e.o.Catalog, fs)
	ids, uuids := identities(t, e, fs)
	leaveAlone(t, fs, "/data")
	closeIt(t, mustOpen(t, e.o))
	if diff := cmp.Diff(was, describeLake(t, e.o.Catalog, fs)); diff != "" {
		t.Errorf("the rows changed (-before +after):\n%s", diff)
	}
	idsNow, uuidsNow := identities(t, e, fs)
	if diff := cmp.Diff([]any{ids, uuids}, []any{idsNow, uuidsNow}); diff != "" {
		t.Errorf("the tables are others (-before +after):\n%s", diff)
	}
	noTraceOf(t, e, fs, "/data/", "/copy/")
	wantHistory(t, e, want)
}

// identities tells the snapshot ids and UUIDs of all tables.
func identities(t *testing.T, e *lakeEnv, fs disk.FS) (snapshots map[string]int64, uuids map[string]string) {
	t.Helper()
	r, err := openReader(t.Context(), e.o.Catalog, fs)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	snapshots, uuids = map[string]int64{}, map[string]string{}
	for _, name := range []string{"production", "staging", "quiet", DeadLetters} {
		tbl, err := r.catalog.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		uuids[name] = tbl.Metadata().TableUUID().String() + fmt.Sprint(" ", tbl.Metadata().LastSequenceNumber(), tbl.Schema(), tbl.Spec(), tbl.Properties())
		if s := tbl.CurrentSnapshot(); s != nil {
			snapshots[name] = s.SnapshotID
		}
	}
	return snapshots, uuids
}

// noTraceOf looks through all files below a folder, and the catalog, for a place that nothing may name any more.
func noTraceOf(t *testing.T, e *lakeEnv, fs *disktest.FS, old, below string) {
	t.Helper()
	look := func(name string, content []byte) {
		if strings.HasSuffix(name, ".gz.metadata.json") {
			z, err := gzip.NewReader(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			if content, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if bytes.Contains(content, []byte(old)) {
			t.Errorf("%s names the old place", name)
		}
	}
	looked := 0
	for _, name := range fs.Names() {
		if strings.HasPrefix(name, below) {
			look(name, fs.Content(name))
			looked++
		}
	}
	if looked < 10 {
		t.Errorf("only %d files below %s", looked, below)
	}
	for _, name := range []string{e.o.Catalog, e.o.Catalog + "-wal"} {
		if content, err := os.ReadFile(name); err == nil {
			look(name, content)
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// A lake that is where its catalog says is not touched, wherever the rest of the data folder is.
func TestLakeInItsPlaceIsLeftAlone(t *testing.T) {
	e, fs := crashEnv(t)
	want := crashScript(e, newCorpus(53, testStart))
	e.mustDrain()
	copyCatalog(t, e) // the data folder was moved, and lake.url stayed
	before := fs.Ops()
	var steps []string
	e.o.step = func(name string) error { steps = append(steps, name); return nil }
	closeIt(t, mustOpen(t, e.o))
	if fs.Ops() > before+1 || len(steps) > 0 { // the root's name is made durable
		t.Errorf("opening made %d changes and took the steps %v", fs.Ops()-before, steps)
	}
	e.o.step = nil
	wantHistory(t, e, want)
}

func TestMendIsCutShort(t *testing.T) {
	e, fs, _ := movedEnv(t)
	before := fs.Ops()
	closeIt(t, mustOpen(t, e.o))
	total := fs.Ops() - before
	if total < 20 {
		t.Fatalf("mending makes only %d changes", total)
	}
	for at := 0; at < total; at += stride(3) {
		keep := []float64{0, 0.5, 1}[at/stride(3)%3]
		t.Run(fmt.Sprintf("%d/%v", at, keep), func(t *testing.T) {
			e, fs, want := movedEnv(t)
			fs.Fault(disktest.PowerOffAt(fs.Ops() + at))
			if l, err := Open(t.Context(), e.o); err == nil {
				closeIt(t, l)
			} else if !errors.Is(err, disktest.ErrPowerOff) {
				t.Fatal(err)
			}
			fs = fs.Crash(rand.New(rand.NewPCG(uint64(at), 1)), keep)
			e.o.FS = fs
			leaveAlone(t, fs, "/data")
			closeIt(t, mustOpen(t, e.o))
			wantHistory(t, e, want)
		})
	}
}

func TestMendIsKilledBetweenSteps(t *testing.T) {
	e, _, _ := movedEnv(t)
	var names []string
	e.o.step = func(name string) error { names = append(names, name); return nil }
	closeIt(t, mustOpen(t, e.o))
	golden(t, "mend_steps.txt", strings.Join(names, "\n")+"\n")
	for at := range names {
		e, fs, want := movedEnv(t)
		n := 0
		killed := errors.New("killed")
		e.o.step = func(string) error {
			if n++; n == at+1 {
				return killed
			}
			return nil
		}
		if _, err := Open(t.Context(), e.o); !errors.Is(err, killed) {
			t.Fatal(err)
		}
		e.o.step = nil
		leaveAlone(t, fs, "/data")
		closeIt(t, mustOpen(t, e.o))
		wantHistory(t, e, want)
	}
}

func TestIncompleteCopyIsRefused(t *testing.T) {
	e, fs, _ := movedEnv(t)
	leaveAlone(t, fs, "/data")
	n := 0
	for _, name := range fs.Names() {
		if strings.HasPrefix(name, "/copy/lake/production/data") {
			if n++; n%2 == 1 {
				if err := fs.Remove(name); err != nil {
					t.Fatal(err)
				}
			} else {
				fs.SetContent(name, fs.Content(name)[:100])
			}
		}
	}
	_, err := Open(t.Context(), e.o)
	if !errors.Is(err, ErrIncomplete) {
		t.Fatalf("got %v, want ErrIncomplete", err)
	}
	before := fs.Ops()
	_, again := Open(t.Context(), e.o)
	if again == nil || fs.Ops() > before+1 {
		t.Errorf("a lake that cannot be mended was changed: %d, %v", fs.Ops()-before, again)
	}
	for _, name := range fs.Names() { // all of it is gone
		if strings.HasPrefix(name, "/copy/lake/") {
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, none := Open(t.Context(), e.o)
	golden(t, "mend_incomplete.txt", anonymous(fmt.Sprintf("some: %v\n\nall: %v\n", err, none)))
}

// A process that only reads does not mend, and does not read the original's files by mistake.
func TestReaderOfAMovedLake(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(54, testStart)
	e.journal.calls("production", c.calls(3)...)
	e.mustDrain()
	copied := filepath.Join(e.dir, "copied")
	if err := os.CopyFS(copied, os.DirFS(e.o.Dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReaderIn(t.Context(), e.o.Catalog, copied); !errors.Is(err, ErrMoved) {
		t.Errorf("got %v, want ErrMoved", err)
	}
	o := e.o
	o.Dir = copied
	closeIt(t, mustOpen(t, o))
	r, err := OpenReaderIn(t.Context(), e.o.Catalog, copied)
	if err != nil {
		t.Fatal(err)
	}
	closeIt(t, r)
}
