package lake

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/go-cmp/cmp"

	"firth/internal/disk"
	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// otherLog is the second journal of the data folder of format 1.
const otherLog = "0f9e8d7c-6b5a-4c3d-8e2f-1a0b9c8d7e6f"

// describeLake writes down every row of every table, in the order of journals and offsets.
func describeLake(t *testing.T, catalog string, fsys disk.FS) string {
	t.Helper()
	r, err := openReader(t.Context(), catalog, fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	sources, err := r.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range sources {
		snap := describeTable(t, r, &b, name)
		for _, log := range slices.Sorted(maps.Keys(snap.Positions)) {
			var rows []event.Call
			if err := r.Calls(t.Context(), snap, log, 0, 1<<62, func(c *event.Call) error {
				own := *c
				own.Properties, own.Context, own.Payload = clone(c.Properties), clone(c.Context), clone(c.Payload)
				own.Integrations = clone(c.Integrations)
				rows = append(rows, own)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for _, c := range byOffset(rows) {
				sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", c.Properties, c.Context, c.Payload))
				fmt.Fprintf(&b, "%s %d %s %s %q ts %d received %d sent %d original %d user %q anonymous %q %x\n", c.Log[:8], c.Offset, c.MessageID,
					c.Type, c.Event, c.TS, c.ReceivedAt, c.SentAt, c.OriginalTimestamp, c.UserID, c.AnonymousID, sum[:8])
			}
		}
	}
	snap := describeTable(t, r, &b, DeadLetters)
	for _, f := range snap.Files {
		if err := withFile(newVerifier(fsys), deadTable(), f, func(file *rowfile.File[event.DeadLetter]) error {
			return file.Scan(rowfile.Scan{}, nil, func(d *event.DeadLetter) error {
				fmt.Fprintf(&b, "%s %d received %d source %q reason %q payload %q\n", d.Log[:8], d.Offset, d.ReceivedAt, d.Source, d.Reason, d.Payload)
				return nil
			})
		}); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func describeTable(t *testing.T, r *Reader, b *strings.Builder, name string) *Snapshot {
	t.Helper()
	snap, err := r.Snapshot(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "table %s: %d rows", name, snap.Rows)
	for _, log := range slices.Sorted(maps.Keys(snap.Positions)) {
		fmt.Fprintf(b, ", %s to %d", log[:8], snap.Positions[log])
	}
	b.WriteString("\n")
	return snap
}

// unpackFormat1 puts the data folder that the first version wrote into the files of a lake; its tables say that they lie in
// /srv/firth/lake.
func unpackFormat1(t *testing.T, e *lakeEnv) {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", "format1", "data.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	fsys := e.o.withDefaults().FS
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "catalog.db" {
			if err := os.WriteFile(e.o.Catalog, content, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		folder, rest, _ := strings.Cut(h.Name, "/")
		path := filepath.Join(map[string]string{"lake": e.o.Dir, "window": e.o.Window}[folder], rest)
		if err := disk.MakeDir(fsys, filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := disk.WriteFile(fsys, path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func mustOpen(t *testing.T, o Options) *Lake {
	t.Helper()
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A data folder of format 1 opens for ever, wherever it was unpacked, and goes on: with the positions of its journals and with
// the message ids of its window.
func TestFormat1(t *testing.T) {
	e := newEnv(t)
	unpackFormat1(t, e)
	closeIt(t, mustOpen(t, e.o))
	want, err := os.ReadFile(filepath.Join("testdata", "format1", "rows.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), describeLake(t, e.o.Catalog, disk.OS{})); diff != "" {
		t.Fatalf("the rows of format 1 (-want +got):\n%s", diff)
	}

	before := e.rows("production")
	e.journal = newMemJournal(otherLog)
	e.journal.next, e.journal.trimmed = 16, 16 // the last flush is read again
	c := newCorpus(4712, testStart)
	c.log, c.next = otherLog, 16
	again := c.calls(7) // which the table's position says it has
	fresh := c.calls(5)
	fresh[0].MessageID, fresh[1].MessageID = before[0].MessageID, before[len(before)-1].MessageID
	e.journal.calls("production", append(again, fresh...)...)
	e.mustDrain()
	e.wantAll("production", append(before, values(fresh[2:])...))
	if e.last.Duplicates != 2 {
		t.Errorf("%d duplicates, want 2", e.last.Duplicates)
	}
}

// wantAll compares a table with rows of several journals.
func (e *lakeEnv) wantAll(source string, want []event.Call) {
	e.t.Helper()
	balance := map[string]int{}
	for _, c := range e.rows(source) {
		balance[show(c)]++
	}
	for _, c := range want {
		balance[show(c)]--
	}
	for row, n := range balance {
		if n != 0 {
			e.t.Errorf("%s has %+d times (of %d rows) %.400s", source, n, len(want), row)
		}
	}
	if e.t.Failed() {
		e.t.FailNow()
	}
}

// A backup of format 1 is restored for ever. It is that of the data folder of format 1, and gives its rows.
func TestBackupFormat1(t *testing.T) {
	dir := filepath.Join("testdata", "backup1")
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) && *update { // made once
		e := newEnv(t)
		unpackFormat1(t, e)
		made, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		e.mustBackUp(made)
	}
	copied := filepath.Join(t.TempDir(), "backup") // nothing may be changed
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	e := newEnv(t)
	e.o.Sources = []string{"quiet"}
	e.mustRestore(copied)
	want, err := os.ReadFile(filepath.Join("testdata", "format1", "rows.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), describeLake(t, e.o.Catalog, disk.OS{})); diff != "" {
		t.Fatalf("the rows of format 1 (-want +got):\n%s", diff)
	}
	// And a newer backup of that lake goes into the same folder.
	other := newEnv(t)
	unpackFormat1(t, other)
	for _, table := range other.mustBackUp(copied).Tables {
		if table.Copied > 0 {
			t.Errorf("what is there was copied again: %+v", table)
		}
	}
}

// A table of a format that is not known yet is refused in words, by whoever opens it.
func TestNewerTableIsRefused(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(4713, testStart)
	e.journal.calls("production", c.calls(3)...)
	e.mustDrain()
	l := mustOpen(t, e.o)
	st, err := l.store(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.change(t.Context(), "test", func(_ *table.Table, tx *table.Transaction) error {
		return tx.SetProperties(iceberg.Properties{formatKey: "3"})
	}); err != nil {
		t.Fatal(err)
	}
	closeIt(t, l)
	e.o.Sources = []string{"production"}
	_, opened := Open(t.Context(), e.o)
	r, err := OpenReader(t.Context(), e.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	_, read := r.Snapshot(t.Context(), "production")
	o := e.o
	o.Dir = filepath.Join(e.dir, "moved")
	if err := os.CopyFS(o.Dir, os.DirFS(e.o.Dir)); err != nil {
		t.Fatal(err)
	}
	_, mended := Open(t.Context(), o)
	text := strings.ReplaceAll(fmt.Sprintf("opened: %v\nread: %v\nmoved and opened: %v\n", opened, read, mended), e.dir, "DIR")
	golden(t, "newer_table.txt", text)
}
