package lake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/disk/disktest"
	"firth/internal/event"
	"firth/internal/lake/catalog"
)

// soundLake is a small lake on a disk in memory: two flushes of a source, so two manifests, and its rows.
func soundLake(t *testing.T) (*lakeEnv, *disktest.FS, []event.Call) {
	e, fs := crashEnv(t)
	c := newCorpus(51, testStart)
	for range 2 {
		calls := c.calls(4)
		calls[0].TS -= microsPerDay
		e.journal.calls("production", calls...)
		e.mustDrain()
	}
	return e, fs, e.rows("production")
}

// strideOr is the first number where crash tests are asked for in full, else the second, which is odd so that all bits have their turn.
func strideOr(full, short int) int {
	if os.Getenv("FIRTH_CRASH_ROUNDS") != "" {
		return full
	}
	return short
}

// flip calls fn once for each byte of a file, a bit of which is flipped meanwhile; step passes over bytes.
func flip(fs *disktest.FS, path string, step int, fn func(at int)) {
	content := fs.Content(path)
	for at := 0; at < len(content); at += step {
		bad := slices.Clone(content)
		bad[at] ^= 1 << (at % 8)
		fs.SetContent(path, bad)
		fn(at)
	}
	fs.SetContent(path, content)
}

func newReader(t testing.TB, e *lakeEnv) *Reader {
	t.Helper()
	r, err := openReader(context.Background(), e.o.Catalog, e.o.withDefaults().FS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, r) })
	return r
}

func readAll(r *Reader, snap *Snapshot) (rows []event.Call, err error) {
	err = r.Calls(context.Background(), snap, testLog, 0, 1<<62, func(c *event.Call) error {
		own := *c
		own.Properties, own.Context, own.Payload = clone(c.Properties), clone(c.Context), clone(c.Payload)
		own.Integrations = clone(c.Integrations)
		rows = append(rows, own)
		return nil
	})
	return rows, err
}

// TestFlippedBitInADataFile flips a bit of every byte of every data file: no row of the file is handed out, and the error names it.
func TestFlippedBitInADataFile(t *testing.T) {
	e, fs, _ := soundLake(t)
	r := newReader(t, e)
	snap, err := r.Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range snap.Files {
		only := &Snapshot{Source: snap.Source, Positions: snap.Positions, Files: []*File{f}}
		flip(fs, f.Path, 1+i/2*10, func(at int) {
			r.verifier = newVerifier(fs)
			rows, err := readAll(r, only)
			if len(rows) > 0 || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), f.Path) {
				t.Fatalf("byte %d: %d rows, %v", at, len(rows), err)
			}
		})
	}
	r.verifier = newVerifier(fs)
	if rows, err := readAll(r, snap); err != nil || len(rows) != 8 {
		t.Errorf("put right, the table has %d rows, %v", len(rows), err)
	}
}

// TestFlippedBitInAFooter looks at the ends of files alone, as the first look at many files does.
func TestFlippedBitInAFooter(t *testing.T) {
	e, fs, _ := soundLake(t)
	r := newReader(t, e)
	snap, err := r.Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	f := snap.Files[0]
	content := fs.Content(f.Path)
	found := 0
	flip(fs, f.Path, 1, func(at int) {
		if err := verifyFooter(fs, f); errors.Is(err, ErrDamaged) && strings.Contains(err.Error(), f.Path) {
			found++
		} else if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
	})
	end := content[len(content)-8:]
	if want := int(end[0]) + int(end[1])<<8 + 8; found != want {
		t.Errorf("%d flips were found, the footer has %d bytes", found, want)
	}
	for _, size := range []int{0, 7, len(content) - 1} {
		fs.SetContent(f.Path, content[:size])
		if err := verifyFooter(fs, f); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", size, err)
		}
	}
}

// TestFlippedBitInMetadata flips a bit of every byte of what the current snapshot is planned from: the plan is the right one, or an
// error that names the file.
func TestFlippedBitInMetadata(t *testing.T) {
	e, fs, _ := soundLake(t)
	want, err := newReader(t, e).Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	names, silent := 0, 0
	for _, name := range fs.Names() {
		if !strings.Contains(name, "/production/metadata/") {
			continue
		}
		names++
		flip(fs, name, strideOr(1, 31), func(at int) {
			r, err := openReader(t.Context(), e.o.Catalog, fs)
			if err != nil {
				t.Fatal(err)
			}
			defer closeIt(t, r)
			got, err := r.Snapshot(t.Context(), "production")
			switch {
			case err == nil:
				silent++
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s, byte %d (-want +got):\n%s", name, at, diff)
				}
			case !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(name)):
				t.Fatalf("%s, byte %d: %v", name, at, err)
			}
		})
	}
	t.Logf("%d files; %d flips changed nothing", names, silent)
	if names < 6 {
		t.Errorf("only %d files", names)
	}
}

// TestFlippedBitInTheCatalog flips bits of the catalog's SQLite file: the answer is the right one or an error, and no table is made
// anew in place of one whose row is lost.
func TestFlippedBitInTheCatalog(t *testing.T) {
	e, _, _ := soundLake(t)
	want, err := newReader(t, e).Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(e.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(content); at += strideOr(1, 211) {
		bad := slices.Clone(content)
		bad[at] ^= 1 << (at % 8)
		if err := os.WriteFile(e.o.Catalog, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := planOnce(t, e); err == nil {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("byte %d (-want +got):\n%s", at, diff)
			}
		}
		l, err := Open(t.Context(), e.o)
		if err != nil {
			continue
		}
		s, err := l.store(t.Context(), "production")
		if err == nil {
			if p, err := s.position(testLog); err != nil || p != 8 {
				t.Fatalf("byte %d: a table with the position %d, %v", at, p, err)
			}
		}
		_ = l.Close() // what SQLite says of a file that was damaged under it is of no interest
	}
}

func planOnce(t *testing.T, e *lakeEnv) (snap *Snapshot, err error) {
	r, err := openReader(t.Context(), e.o.Catalog, e.o.FS)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return r.Snapshot(t.Context(), "production")
}

// TestDamageHoldsUpTheWriterAlone damages the file that a window must be filled from: the writer says so and goes on when the file is
// put right, with nothing lost and nothing twice.
func TestDamageHoldsUpTheWriterAlone(t *testing.T) {
	e, fs, before := soundLake(t)
	for _, name := range fs.Names() {
		if strings.HasPrefix(name, e.o.Window) {
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := newReader(t, e)
	snap, err := r.Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	path := snap.Files[1].Path
	good := fs.Content(path)
	bad := slices.Clone(good)
	bad[100] ^= 4
	fs.SetContent(path, bad)

	c := newCorpus(52, testStart.AddDate(0, 0, 1))
	again := before[3]
	e.journal.calls("production", append(c.calls(2), &again)...)
	l, err := Open(t.Context(), e.o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, l)
	w := l.Writer(e.journal, e.journal)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	waitFor(t, func() bool { return w.State().State == StateFailing })
	if s := w.State(); !strings.Contains(s.Error, path) || !strings.Contains(s.Hint, "backup") {
		t.Errorf("the state is %+v", s)
	}
	fs.SetContent(path, good)
	waitFor(t, func() bool { return w.State().State == StateOK && w.Stats().Rows == 2 })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if rows := e.rows("production"); len(rows) != len(before)+2 {
		t.Errorf("%d rows, want %d", len(rows), len(before)+2)
	}
}

func paths(damages []Damage) (out []string) {
	for _, d := range damages {
		out = append(out, d.Path)
	}
	return out
}

// checking is the life of a view of one table.
type checking struct {
	*testing.T
	e    *lakeEnv
	fs   *disktest.FS
	r    *Reader
	said []string // by the last round of the scrub
}

func (c *checking) files() []*File {
	c.Helper()
	snap, err := c.r.Snapshot(c.Context(), "production")
	if err != nil {
		c.Fatal(err)
	}
	return snap.Files
}

// damage flips a bit so many bytes before the end of a file.
func (c *checking) damage(path string, fromEnd int) (mend func()) {
	good := c.fs.Content(path)
	bad := slices.Clone(good)
	bad[len(bad)-fromEnd] ^= 1
	c.fs.SetContent(path, bad)
	return func() { c.fs.SetContent(path, good) }
}

func (c *checking) want(when string, wanted ...string) {
	c.Helper()
	got := paths(c.r.Check(c.Context(), c.files()))
	slices.Sort(got)
	slices.Sort(wanted)
	if diff := cmp.Diff(wanted, got); diff != "" {
		c.Fatalf("%s (-want +got):\n%s", when, diff)
	}
}

func (c *checking) scrub() {
	c.Helper()
	c.said = nil
	if err := c.r.scrubRound(c.Context(), func(int) error { return nil }, func(err error) { c.said = append(c.said, err.Error()) }); err != nil {
		c.Fatal(err)
	}
}

// flush adds a file and returns it.
func (c *checking) flush() *File {
	c.Helper()
	old := c.files()
	c.e.journal.calls("production", newCorpus(53, testStart.AddDate(0, 0, 2)).calls(2)...)
	c.e.mustDrain()
	for _, f := range c.files() {
		if !slices.ContainsFunc(old, func(o *File) bool { return o.Path == f.Path }) {
			return f
		}
	}
	c.Fatal("no file came")
	return nil
}

// TestCheck goes through the life of a view: ends at the first look, whole files when they are new, what the scrub finds, and files
// that were put back.
func TestCheck(t *testing.T) {
	e, fs, _ := soundLake(t)
	c := &checking{T: t, e: e, fs: fs, r: newReader(t, e)}
	old := c.files()
	mendFooter := c.damage(old[0].Path, 20)
	mendPage := c.damage(old[1].Path, len(fs.Content(old[1].Path))-30)
	c.want("first look", old[0].Path)
	mendFooter()
	c.want("the footer is put right")

	fresh := c.flush()
	mendNew := c.damage(fresh.Path, int(fresh.Bytes)-30)
	c.want("a new file is read as a whole", fresh.Path)

	c.scrub()
	if len(c.said) != 2 || !strings.Contains(fmt.Sprint(c.said), old[1].Path) {
		t.Errorf("the scrub said %q", c.said)
	}
	both := []string{old[1].Path, fresh.Path}
	slices.Sort(both)
	if diff := cmp.Diff(both, paths(c.r.Damaged())); diff != "" {
		t.Errorf("damaged (-want +got):\n%s", diff)
	}
	c.want("after the scrub", both...)
	mendNew()
	mendPage()
	c.scrub()
	if len(c.said) != 0 || len(c.r.Damaged()) != 0 {
		t.Errorf("all is put right; the scrub said %q, damaged are %v", c.said, c.r.Damaged())
	}
	c.want("all is put right")
	if err := fs.Remove(fresh.Path); err != nil {
		t.Fatal(err)
	}
	c.want("a file is missing", fresh.Path)
}

// TestCheckNoticesWrites flips a bit of every few bytes of a file that was found well, on a real disk, whose times tell: no scrub is needed.
func TestCheckNoticesWrites(t *testing.T) {
	e := newEnv(t)
	e.journal.calls("production", newCorpus(54, testStart).calls(50)...)
	e.mustDrain()
	c := &checking{T: t, e: e, r: newReader(t, e)}
	path := c.files()[0].Path
	c.want("first look")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(at int, bit byte) {
		t.Helper()
		bad := slices.Clone(good)
		bad[at] ^= bit
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt(bad[at:at+1], int64(at))
		}
		// The kernel's clock of files goes in steps of some milliseconds, in which this test writes often.
		if err := errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, time.Now().Add(time.Duration(at+1)*time.Second))); err != nil {
			t.Fatal(err)
		}
	}
	for at := 0; at < len(good); at += 97 {
		write(at, 1<<(at%8))
		c.want(fmt.Sprint("a bit of byte ", at), path)
		write(at, 0)
		c.want(fmt.Sprint("byte ", at, " is put right"))
	}
}

// TestVerify reads a whole snapshot and says how far it is.
func TestVerify(t *testing.T) {
	e, fs, _ := soundLake(t)
	r := newReader(t, e)
	snap, err := r.Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	bad := fs.Content(snap.Files[2].Path)
	bad[50] ^= 1
	fs.SetContent(snap.Files[2].Path, bad)
	files, bytes := 0, int64(0)
	got, err := r.Verify(t.Context(), snap, func(f int, b int64) { files, bytes = f, b })
	if err != nil || len(got) != 1 || got[0].Path != snap.Files[2].Path {
		t.Errorf("damaged are %v, %v", got, err)
	}
	if files != len(snap.Files) || bytes != snap.Bytes {
		t.Errorf("progress ended at %d files and %d bytes of %d and %d", files, bytes, len(snap.Files), snap.Bytes)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Verify(ctx, snap, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
}

// TestFilesWithoutChecksums reads files as older versions named them.
func TestFilesWithoutChecksums(t *testing.T) {
	e, fs, _ := soundLake(t)
	r := newReader(t, e)
	snap, err := r.Snapshot(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	old := *snap.Files[0]
	old.Path = stemOf(old.Path) + parquetExt
	content := fs.Content(snap.Files[0].Path)
	fs.SetContent(old.Path, content)
	if _, ok := sumsOf(old.Path); ok {
		t.Fatalf("%s tells checksums", old.Path)
	}
	if err := errors.Join(VerifyFile(fs, &old), verifyFooter(fs, &old)); err != nil {
		t.Fatal(err)
	}
	missed, tried := 0, 0
	flip(fs, old.Path, strideOr(1, 7), func(at int) {
		tried++
		if err := VerifyFile(fs, &old); err == nil {
			missed++
		} else if !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v", at, err)
		}
	})
	t.Logf("%d of %d flips pass unnoticed in a file without checksums", missed, tried)
	if missed > tried*4/5 {
		t.Errorf("%d of %d flips pass unnoticed", missed, tried)
	}
	wrong := old
	wrong.Rows++
	if err := VerifyFile(fs, &wrong); !errors.Is(err, ErrDamaged) {
		t.Errorf("another number of rows: %v", err)
	}
}

func TestLostRowOfTheCatalog(t *testing.T) {
	e, _, _ := soundLake(t)
	if err := os.Remove(e.o.Catalog); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), e.o)
	if err == nil {
		_, err = l.store(t.Context(), "production")
		closeIt(t, l)
	}
	if !errors.Is(err, catalog.ErrDamaged) || !strings.Contains(err.Error(), "production") && !strings.Contains(err.Error(), DeadLetters) {
		t.Errorf("a table is made anew over the files of a lost one: %v", err)
	}
}
