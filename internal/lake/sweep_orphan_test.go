package lake

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
)

// The names that engines gave to files of commits that were refused, and one of each that other versions are known to give.
var orphanNames = []string{
	"data/ts_day=2026-11-20/00000-7-2c1f8f0e-6a47-4f33-9d3e-3a9a0f7d1f10-0-00001.parquet",      // Spark
	"data/ts_day=2026-11-20/.00000-7-2c1f8f0e-6a47-4f33-9d3e-3a9a0f7d1f10-0-00001.parquet.crc", // Hadoop on a local disk
	"data/ts_day=2026-11-20/00000-7-2c1f8f0e-6a47-4f33-9d3e-3a9a0f7d1f10-00001-deletes.parquet",
	"data/ts_day=2026-11-21/20261120_101112_00004_abcde-2c1f8f0e-6a47-4f33-9d3e-3a9a0f7d1f10.parquet", // Trino, on a day of its own
	"data/00000-0-2c1f8f0e-6a47-4f33-9d3e-3a9a0f7d1f10.parquet",                                       // PyIceberg, unpartitioned
	"data/0101/1010/1100/10011001/ts_day=2026-11-20/00000-1.orc",                                      // object store layout
	"metadata/20261120_101112_00004_abcde-2c1f8f0e.stats", "metadata/1-2.puffin", "metadata/x-m0.avro", "metadata/v1.metadata.json", "metadata/v1.metadata.json.gz",
	"metadata/.2c1f8f0e-6a47-4f33-9d3e-3a9a0f7d1f10-m0.avro.crc",
}

func scatter(t *testing.T, root string, names []string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("123"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func left(t *testing.T, root string, names []string) (out []string) {
	t.Helper()
	for _, name := range names {
		_, err := os.Stat(filepath.Join(root, name))
		if err == nil {
			out = append(out, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return out
}

// What other engines left goes after a grace of its own, which goes on over a restart, with the folders that it lay in; rows and their files stay.
func TestOrphansOfOtherEnginesGo(t *testing.T) {
	d := newTended(newEnv(t), 0)
	d.mustOpen()
	defer d.close()
	c := newCorpus(62, testStart)
	want := d.mustFlush("production", c.calls(30)...)
	root := filepath.Join(d.o.Dir, "production")
	scatter(t, root, orphanNames)
	if r := d.mustRound(); r.WaitingFiles < int64(len(orphanNames)) || r.ForeignFiles != 0 {
		t.Errorf("at first: %+v", r)
	}
	d.pass(12 * time.Hour)
	d.mustOpen()
	d.mustRound()
	d.pass(12*time.Hour - time.Second)
	d.mustRound()
	if got := left(t, root, orphanNames); !slices.Equal(got, orphanNames) {
		t.Errorf("before their grace has passed: %q are left", got)
	}
	d.pass(time.Second)
	if r := d.mustRound(); r.SweptFiles != int64(len(orphanNames)) || r.SweptBytes != int64(3*len(orphanNames)) {
		t.Errorf("%+v, want %d files", r, len(orphanNames))
	}
	if got := left(t, root, orphanNames); len(got) != 0 {
		t.Errorf("after it: %q are left", got)
	}
	for range deepest { // a folder goes when those in it are gone
		d.mustRound()
	}
	if got := left(t, root, []string{"data/0101", "data/ts_day=2026-11-21"}); len(got) != 0 {
		t.Errorf("folders are left: %q", got)
	}
	r := openReaderOf(t, d)
	snap, err := r.Snapshot(t.Context(), "production")
	if err != nil || snap.Rows != int64(len(want)) {
		t.Fatalf("%d rows, want %d: %v", snap.Rows, len(want), err)
	}
	for _, f := range snap.Files {
		if _, err := os.Stat(f.Path); err != nil {
			t.Error(err)
		}
	}
}

func openReaderOf(t *testing.T, d *tended) *Reader {
	t.Helper()
	r, err := OpenReader(t.Context(), d.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Where another row of the catalog names metadata in the folder of a table, nothing of other engines goes there.
func TestOrphansStayWhereAnotherRowNamesTheFolder(t *testing.T) {
	d := newTended(newEnv(t), 0)
	d.mustOpen()
	defer d.close()
	c := newCorpus(62, testStart)
	d.mustFlush("production", c.calls(3)...)
	root := filepath.Join(d.o.Dir, "production")
	scatter(t, root, orphanNames)
	below, err := d.l.catalog.IO().Below("production")
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.l.catalog.Space(t.Context(), "elsewhere", below, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Create(t.Context(), "data", catalog.Spec{
		Schema:     iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "a", Type: iceberg.PrimitiveTypes.String}),
		Partitions: *iceberg.UnpartitionedSpec, Order: table.UnsortedSortOrder,
	}); err != nil {
		t.Fatal(err)
	}
	rows, err := other.Tables(t.Context())
	if err != nil || !strings.Contains(rows["data"], "/production/data/metadata/") {
		t.Fatalf("%q, %v", rows, err)
	}
	d.mustRound()
	d.pass(48 * time.Hour)
	d.mustRound()
	if got := left(t, root, orphanNames); !slices.Equal(got, orphanNames) {
		t.Errorf("%q are left", got)
	}
	at, err := d.l.catalog.IO().Path(rows["data"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(at); err != nil {
		t.Error(err)
	}
}
