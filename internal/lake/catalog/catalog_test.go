package catalog

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	sqlcatalog "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"

	"firth/internal/disk"
)

func newCatalog(t *testing.T, dir string, readOnly bool) *Catalog {
	t.Helper()
	io, err := NewFileIO(disk.OS{}, filepath.Join(dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), Options{Path: filepath.Join(dir, "catalog.db"), Name: "firth", Namespace: "lake", IO: io, ReadOnly: readOnly})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func testSpec(codec string) Spec {
	return Spec{
		Schema:     iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "a", Type: iceberg.PrimitiveTypes.String}),
		Partitions: *iceberg.UnpartitionedSpec,
		Order:      table.UnsortedSortOrder,
		Properties: iceberg.Properties{table.MetadataCompressionKey: codec},
	}
}

func set(t *testing.T, tbl *table.Table, key, value string) (*table.Table, error) {
	t.Helper()
	tx := tbl.NewTransaction()
	if err := tx.SetProperties(iceberg.Properties{key: value}); err != nil {
		t.Fatal(err)
	}
	return tx.Commit(context.Background())
}

// TestTheLibrarysOwnCatalogReadsIt opens the SQLite file with the catalog of iceberg-go, which other tools are modelled on.
func TestTheLibrarysOwnCatalogReadsIt(t *testing.T) {
	for _, codec := range []string{"none", "gzip"} {
		dir := filepath.Join(t.TempDir(), "a b%20c") // a path that a URI has to escape
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		c := newCatalog(t, dir, false)
		tbl, err := c.Create(t.Context(), "production", testSpec(codec))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := set(t, tbl, "greeting", "hello"); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", filepath.Join(dir, "catalog.db"))
		if err != nil {
			t.Fatal(err)
		}
		other, err := sqlcatalog.NewCatalog("firth", db, sqlcatalog.SQLite, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := other.LoadTable(t.Context(), table.Identifier{"lake", "production"})
		if err != nil {
			t.Fatal(err)
		}
		if got.Properties()["greeting"] != "hello" || got.Metadata().Version() != 2 {
			t.Errorf("%s: properties %v, format %d", codec, got.Properties(), got.Metadata().Version())
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCommitOfAStaleTableIsRefused(t *testing.T) {
	dir := t.TempDir()
	c := newCatalog(t, dir, false)
	first, err := c.Create(t.Context(), "production", testSpec("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Create(t.Context(), "production", testSpec("gzip")); err != nil || again.MetadataLocation() != first.MetadataLocation() {
		t.Errorf("creating the table again gave %v, %v", again, err)
	}
	other := newCatalog(t, dir, false)
	if _, err := c.db.Exec("UPDATE iceberg_tables SET metadata_location = metadata_location || '?'"); err != nil {
		t.Fatal(err)
	}
	stale := row{Change: Change{Table: "production"}, from: first.MetadataLocation(), to: "file:///elsewhere"}
	if err := other.reg.exchange(t.Context(), other.namespace, []row{stale}); !errors.Is(err, table.ErrCommitFailed) {
		t.Errorf("a row that moved on was exchanged: %v", err)
	}
}

// TestMakerIsKilled: a file of that name is a catalog, whenever whoever makes it is killed; the next one makes it.
func TestMakerIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	io, err := NewFileIO(disk.OS{}, filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	killed := errors.New("killed")
	_, err = Open(t.Context(), Options{Path: path, IO: io, Step: func(name string) error {
		if name == "name catalog" {
			return killed
		}
		return nil
	}})
	if !errors.Is(err, killed) {
		t.Fatalf("it goes on: %v", err)
	}
	if _, err := os.Stat(path + ".new"); err != nil {
		t.Error(err)
	}
	for _, left := range []string{path + ".new", path + ".new-journal"} { // as of a kill in the middle of writing
		if err := os.WriteFile(left, []byte("half of it"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), Options{Path: path, IO: io, ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not made yet gives %v", err)
	}
	for range 2 {
		c, err := Open(t.Context(), Options{Path: path, Name: "firth", Namespace: "lake", IO: io})
		if err != nil {
			t.Fatal(err)
		}
		if tables, err := c.Tables(t.Context()); err != nil || len(tables) > 0 {
			t.Errorf("tables %v, %v", tables, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(path + "?*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestFull: SQLite's own word for a full disk is known as one.
func TestFull(t *testing.T) {
	c := newCatalog(t, t.TempDir(), false)
	if _, err := c.db.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil { // no more than it has
		t.Fatal(err)
	}
	_, err := c.db.ExecContext(t.Context(), "INSERT INTO firth_condemned VALUES ('a', 0, 0), (hex(zeroblob(100000)), 0, 0)")
	if err == nil || disk.IsFull(err) || !disk.IsFull(full(err)) {
		t.Errorf("%v, of a disk that is full: %v", err, disk.IsFull(full(err)))
	}
	other := errors.New("something else")
	if full(other) != other || full(nil) != nil { //nolint:errorlint // the same one
		t.Error("it takes another error for that of a full disk")
	}
}

// TestLogOfAnotherCatalog: who moves the catalog of a killed server away may leave its write-ahead log. The new one has nothing of it.
func TestLogOfAnotherCatalog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "catalog.db")
	old := newCatalog(t, dir, false)
	if _, err := old.Create(t.Context(), "production", testSpec("gzip")); err != nil {
		t.Fatal(err)
	}
	left := map[string][]byte{}
	for _, name := range []string{path + "-wal", path + "-shm"} {
		text, err := os.ReadFile(name)
		if err != nil || len(text) == 0 {
			t.Fatalf("%d bytes of %s: %v", len(text), name, err)
		}
		left[name] = text
	}
	if err := errors.Join(old.db.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	for name, text := range left {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := newCatalog(t, dir, false)
	if tables, err := c.Tables(t.Context()); err != nil || len(tables) > 0 {
		t.Errorf("tables %v, %v", tables, err)
	}
	var sound string
	if err := c.db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
		t.Errorf("integrity %q, %v", sound, err)
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	io, err := NewFileIO(disk.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Options{Path: filepath.Join(dir, "none.db"), IO: io, ReadOnly: true})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing catalog gives %v", err)
	}
	w := newCatalog(t, dir, false)
	tbl, err := w.Create(t.Context(), "production", testSpec("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	r := newCatalog(t, dir, true)
	seen, err := r.Load(t.Context(), "production")
	if err != nil || seen.MetadataLocation() != tbl.MetadataLocation() {
		t.Fatalf("the reader sees %v, %v", seen, err)
	}
	if _, err := set(t, seen, "a", "b"); err == nil || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("a reader committed: %v", err)
	}
	if _, err := r.Load(t.Context(), "nothing"); !errors.Is(err, ErrNoTable) {
		t.Errorf("a missing table gives %v", err)
	}
	if err := w.Confirm(t.Context()); err != nil {
		t.Errorf("confirm: %v", err)
	}
	if names, err := r.Tables(t.Context()); err != nil || len(names) != 1 {
		t.Errorf("tables are %v, %v", names, err)
	}
}

func TestLocations(t *testing.T) {
	for _, path := range []string{"/data/lake/a", "/data/with space/100%/ü?#x"} {
		got, err := Path(Location(path))
		if err != nil || got != path {
			t.Errorf("%q became %q by way of %q, %v", path, got, Location(path), err)
		}
	}
	for _, bad := range []string{"s3://bucket/a", "/bare", "file://host/a", "file:a", ":"} {
		if got, err := Path(bad); err == nil {
			t.Errorf("%q became the path %q", bad, got)
		}
	}
}
