package iceberg

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/name"
	"firth/internal/table"
)

// later moves the clock of the warehouse.
func (s *stand) later(by time.Duration) {
	now := s.o.Now().Add(by)
	s.o.Now = func() time.Time { return now }
}

// onDisk are the files of a folder of the schema.
func (s *stand) onDisk(pattern string) []string {
	s.t.Helper()
	out, err := filepath.Glob(filepath.Join(s.dir, "lake", "_tables", "production", pattern))
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *stand) tend() {
	s.t.Helper()
	if err := s.Tend(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) loads(n int) {
	s.t.Helper()
	for range n {
		if _, err := s.Load(s.t.Context(), batchAt(s.wantWhole())); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestTend: small files become one in the order of the time of receipt; what was before stays for the grace and goes then.
func TestTend(t *testing.T) {
	s := newStand(t, t.TempDir())
	s.loads(13)
	before := s.look("production", "clicks")
	s.tend()
	s.wantWhole()
	after := s.look("production", "clicks")
	if len(before.files) < mergeAtLeast || len(after.files) >= mergeAtLeast {
		t.Errorf("%d files became %d", len(before.files), len(after.files))
	}
	var unordered int
	err := s.reader.QueryRowContext(t.Context(), "SELECT count(*) FROM (SELECT received_at < lag(received_at) OVER (ORDER BY file_row_number) AS back FROM "+
		s.relation(&tbl{fields: after.fields, files: after.files[:1]})+") WHERE back").Scan(&unordered)
	if err != nil || unordered > 0 {
		t.Errorf("%d rows are out of order, %v", unordered, err)
	}
	for _, f := range before.files {
		if _, err := os.Stat(f.path); err != nil {
			t.Errorf("a file of the last hour is gone: %v", err)
		}
	}
	// A second time there is nothing to do.
	location := after.t.MetadataLocation()
	s.later(2 * tendEvery)
	s.tend()
	if now := s.look("production", "clicks").t.MetadataLocation(); now != location {
		t.Errorf("the table was changed again: %s", now)
	}
	s.later(2 * s.o.Grace)
	s.tend() // lets go of snapshots, and sees what is dead
	if n := len(s.look("production", "clicks").t.Metadata().Snapshots()); n != 1 {
		t.Errorf("%d snapshots after the grace, want 1", n)
	}
	s.later(2 * s.o.Grace)
	s.tend()
	s.wantWhole()
	if n := len(s.onDisk("clicks-*/data/*")); n != len(after.files) {
		t.Errorf("%d files, want the %d that are named", n, len(after.files))
	}
	s.loads(2)
	s.wantWhole()
}

// TestTendLeavesAlone what is being written, what is young, and everything where a part cannot be read.
func TestTendLeavesAlone(t *testing.T) {
	s := newStand(t, t.TempDir())
	s.loads(3)
	clicks := s.look("production", "clicks")
	folder := filepath.Dir(clicks.files[0].path)
	engines, note := filepath.Join(folder, "00000-0-5f9c2c3e-data.parquet"), filepath.Join(folder, "README.txt")
	writing, orphan, foreign := filepath.Join(folder, "writing.parquet"), filepath.Join(folder, "0123456789ab-0123456789abcdef-00000.parquet"), filepath.Join(s.dir, "lake", "_tables", "unknown", "x.parquet")
	if err := os.MkdirAll(filepath.Dir(foreign), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{writing, orphan, foreign, engines, note} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.setWriting(writing, true)
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }
	s.tend()
	s.later(s.o.Grace / 2)
	s.tend()
	if !there(orphan) {
		t.Error("a young file was removed")
	}
	// The manifest list of the present snapshot cannot be read: nothing is known of any file.
	list, err := s.o.IO.Path(clicks.t.CurrentSnapshot().ManifestList)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, append([]byte("broken"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.later(s.o.Grace)
	if err := s.Tend(t.Context()); err == nil {
		t.Error("nothing was said of a manifest list that cannot be read")
	}
	if !there(orphan) {
		t.Error("a file was removed although not all of the tables could be read")
	}
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.later(s.o.Grace)
	s.tend()
	s.later(s.o.Grace)
	s.tend()
	if there(orphan) || !there(writing) || !there(foreign) {
		t.Errorf("orphan %v, being written %v, of a folder that no schema has %v; want the orphan removed", there(orphan), there(writing), there(foreign))
	}
	if !there(engines) {
		t.Error("what another engine left is removed within a day")
	}
	s.later(s.o.Orphans)
	s.tend()
	if there(engines) || !there(note) {
		t.Errorf("what another engine left is there: %v, a person's file: %v; want the first removed", there(engines), there(note))
	}
	s.wantWhole()
}

// TestDroppedRebuildIsSwept: the files of a rebuild that was given up go after the grace.
func TestDroppedRebuildIsSwept(t *testing.T) {
	s := newStand(t, t.TempDir())
	b := batchAt(0)
	b.Source, b.Schema = "production#rebuild", rebuildOf("production")
	if _, err := s.Load(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := s.DropRebuild(t.Context(), b.Source, b.Schema); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(s.dir, "lake", "_tables", b.Schema)
	count := func() (n int) {
		err := filepath.WalkDir(folder, func(_ string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				n++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s.tend()
	if count() == 0 {
		t.Error("files went without a grace")
	}
	s.later(2 * s.o.Grace)
	s.tend()
	if n := count(); n > 0 {
		t.Errorf("%d files are left of a rebuild", n)
	}
}

// TestPreparedTablesAreThere: before there are rows, with their columns and their order.
func TestPreparedTablesAreThere(t *testing.T) {
	s := newStand(t, t.TempDir())
	standard := event.Standard(name.DuckDB())
	if err := s.Prepare(t.Context(), "production", "production", standard); err != nil {
		t.Fatal(err)
	}
	for _, want := range standard {
		got := s.look("production", want.Name)
		names := make([]string, len(got.fields))
		for i, f := range got.fields {
			names[i] = f.Name
		}
		var wanted []string
		for _, c := range want.Columns {
			if c.Type != table.Null {
				wanted = append(wanted, c.Name)
			}
		}
		if !slices.Equal(names, wanted) || got.t.CurrentSnapshot() != nil {
			t.Errorf("%s has the columns %v, want %v and no snapshot", want.Name, names, wanted)
		}
		sorted := map[bool]string{true: "id", false: "received_at"}[upserted(want.Name)]
		if got.sorted() != sorted || !strings.Contains(got.t.Location(), "/_tables/production/"+want.Name+"-") {
			t.Errorf("%s is sorted by %s and lies at %s", want.Name, got.sorted(), got.t.Location())
		}
	}
}

func TestNamesOfFolders(t *testing.T) {
	seen := map[string]string{}
	for _, n := range []string{"production", "Production", "it's", `it"s`, "", "a/b", "..", "a b", "ключ", "日本", strings.Repeat("x", 80), strings.Repeat("x", 81), strings.Repeat("x", 82)} {
		safe := safeName(n)
		if other, ok := seen[safe]; ok || len(safe) > 100 || strings.Trim(safe, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || safe == "" {
			t.Errorf("%q has the folder %q, as %q", n, safe, other)
		}
		seen[safe] = n
	}
	if safeName("order_completed") != "order_completed" {
		t.Errorf("a plain name became %s", safeName("order_completed"))
	}
}
