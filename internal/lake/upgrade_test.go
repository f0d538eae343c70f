package lake

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
)

// upgraded is a lake that the first version wrote and to which this one has added rows.
func upgraded(t *testing.T) (e *lakeEnv, old, fresh []event.Call) {
	t.Helper()
	e = newEnv(t)
	unpackFormat1(t, e)
	closeIt(t, mustOpen(t, e.o))
	old = e.rows("production")
	e.journal = newMemJournal(otherLog)
	e.journal.next, e.journal.trimmed = 16, 16
	c := newCorpus(4714, testStart)
	c.log, c.next = otherLog, 16+7
	e.journal.next = 16 + 7
	calls := c.calls(40)
	for i, call := range calls { // some into days that have files of the first version
		call.TS = old[i%len(old)].TS
	}
	e.journal.calls("production", calls...)
	e.mustDrain()
	return e, old, values(calls)
}

func (e *lakeEnv) paths(source string) (out []string) {
	e.t.Helper()
	for _, f := range e.snapshot(source).Files {
		out = append(out, f.Path)
	}
	slices.Sort(out)
	return out
}

// A table of format 1 gets the new column in one commit, when it is first opened for commits, and nothing else is changed.
func TestUpgrade(t *testing.T) {
	e := newEnv(t)
	unpackFormat1(t, e)
	closeIt(t, mustOpen(t, e.o))
	before := e.metadata("production")
	if before.Properties()[formatKey] != "1" || before.CurrentSchema().NumFields() != 14 {
		t.Fatalf("the data folder of format 1 has %d columns and the format %s", before.CurrentSchema().NumFields(), before.Properties()[formatKey])
	}
	rows, paths := e.rows("production"), e.paths("production")
	e.o.Sources = []string{"production"}
	closeIt(t, mustOpen(t, e.o))
	after := e.metadata("production")
	field, ok := after.CurrentSchema().FindFieldByID(15)
	if !ok || field.Name != "_firth_integrations" || field.Required || field.Type.String() != "string" || after.CurrentSchema().NumFields() != 15 {
		t.Errorf("the columns are now\n%s", after.CurrentSchema())
	}
	if len(after.Schemas()) != 2 || after.LastColumnID() != 15 {
		t.Errorf("%d schemas, last column id %d", len(after.Schemas()), after.LastColumnID())
	}
	properties := maps.Clone(map[string]string(after.Properties()))
	properties[formatKey] = "1"
	if diff := cmp.Diff(map[string]string(before.Properties()), properties); diff != "" {
		t.Errorf("properties besides the format were changed (-before +after):\n%s", diff)
	}
	if before.CurrentSnapshot().SnapshotID != after.CurrentSnapshot().SnapshotID {
		t.Error("there is another snapshot")
	}
	if diff := cmp.Diff(paths, e.paths("production")); diff != "" {
		t.Errorf("files were changed (-before +after):\n%s", diff)
	}
	e.wantAll("production", rows)

	closeIt(t, mustOpen(t, e.o))
	if again := e.metadata("production"); again.LastUpdatedMillis() != after.LastUpdatedMillis() {
		t.Error("a table of the present format was committed to")
	}
}

// An upgrade that is cut short is made by the next start.
func TestUpgradeCutShort(t *testing.T) {
	e := newEnv(t)
	unpackFormat1(t, e)
	closeIt(t, mustOpen(t, e.o))
	e.o.Sources = []string{"production"}
	full := errors.New("the disk is full")
	cut := e.o
	cut.step = func(name string) error {
		if name == "catalog row production" {
			return full
		}
		return nil
	}
	if _, err := Open(t.Context(), cut); !errors.Is(err, full) || !strings.Contains(err.Error(), "upgrade table production") {
		t.Fatalf("an upgrade that cannot be written: %v", err)
	}
	if v := e.metadata("production").Properties()[formatKey]; v != "1" {
		t.Errorf("the format is %s", v)
	}
	closeIt(t, mustOpen(t, e.o))
	if m := e.metadata("production"); m.Properties()[formatKey] != "2" || m.CurrentSchema().NumFields() != 15 {
		t.Errorf("the format is %s, with %d columns", m.Properties()[formatKey], m.CurrentSchema().NumFields())
	}
}

// Rows of both formats are read, merged, backed up and restored together.
func TestUpgradedLake(t *testing.T) {
	e, old, fresh := upgraded(t)
	all := slices.Concat(old, fresh)
	said := func(rows []event.Call) (n int) {
		for _, c := range rows {
			if c.Integrations != nil {
				n++
			}
		}
		return n
	}
	if said(old) != 0 || said(fresh) == 0 {
		t.Fatalf("%d old rows and %d fresh ones speak of warehouses", said(old), said(fresh))
	}
	e.wantAll("production", all)
	e.wantShaped("production", all)

	backup := filepath.Join(t.TempDir(), "backup")
	e.mustBackUp(backup)
	into := newEnv(t)
	into.mustRestore(backup)
	into.wantAll("production", all)

	files := len(e.paths("production"))
	e.merge(false)
	if n := len(e.paths("production")); n >= files {
		t.Errorf("%d files after the merge of %d", n, files)
	}
	e.wantAll("production", all)
	e.wantShaped("production", all)
	into = newEnv(t)
	merged := filepath.Join(t.TempDir(), "backup")
	e.mustBackUp(merged)
	into.mustRestore(merged)
	into.wantAll("production", all)
}

// A backup of the first version goes into a table that this one made.
func TestRestoreFormat1BesideNew(t *testing.T) {
	const log = "7c9f0a3e-1d52-4b68-8f0a-64be1c2d9a77" // which the backup knows nothing of
	e := newEnv(t)
	e.journal = newMemJournal(log)
	c := newCorpus(4715, testStart)
	c.log = log
	fresh := c.calls(20)
	e.journal.calls("production", fresh...)
	e.mustDrain()
	e.mustRestore(filepath.Join("testdata", "backup1"))
	other := newEnv(t)
	other.mustRestore(filepath.Join("testdata", "backup1"))
	if v := other.metadata("production").Properties()[formatKey]; v != "2" {
		t.Errorf("the restored table has the format %s", v)
	}
	all := append(other.rows("production"), values(fresh)...)
	e.wantAll("production", all)
	e.merge(false)
	e.wantAll("production", all)
}

// wantShaped compares what [Reader.CallsToShape] gives of a table with its rows, less the payloads that it leaves out.
func (e *lakeEnv) wantShaped(source string, want []event.Call) {
	e.t.Helper()
	r, err := openReader(e.t.Context(), e.o.Catalog, e.o.withDefaults().FS)
	if err != nil {
		e.t.Fatal(err)
	}
	defer closeIt(e.t, r)
	snap, err := r.Snapshot(e.t.Context(), source)
	if err != nil {
		e.t.Fatal(err)
	}
	balance := map[string]int{}
	for _, c := range want {
		if !needsPayload(&c) {
			c.Payload = nil
		}
		balance[show(c)]++
	}
	for log := range snap.Positions {
		if err := r.CallsToShape(e.t.Context(), snap, log, 0, 1<<62, func(c *event.Call) error {
			balance[show(*c)]--
			return nil
		}); err != nil {
			e.t.Fatal(err)
		}
	}
	for row, n := range balance {
		if n != 0 {
			e.t.Errorf("of %s is missing or too much (%+d) %.300s", source, n, row)
		}
	}
}
