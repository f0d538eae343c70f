package duckdb_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A lake has files from before and after its table got a column; the view has the columns that all of them have, in whatever order
// the files come.
func TestViewOverFilesOfTwoVersions(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "warehouse.duckdb"))
	later, earlier := filepath.Join(dir, "lake", "later.parquet"), filepath.Join(dir, "lake", "earlier.parquet")
	writeEvents(t, later, 3)
	other, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, err := other.Exec("COPY (SELECT * EXCLUDE of_a_later_version FROM '" + later + "') TO '" + earlier + "' (FORMAT parquet)"); err != nil {
		t.Fatal(err)
	}
	if err := db.SetLakeFiles(t.Context(), "production", []string{later}); err != nil {
		t.Fatal(err)
	}
	types := `SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE lake.production)`
	want := scan[string](t, db.SQL(), types)
	for _, files := range [][]string{{later, earlier}, {earlier, later}, {earlier}} {
		if err := db.SetLakeFiles(t.Context(), "production", files); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, scan[string](t, db.SQL(), types)); diff != "" {
			t.Errorf("the view's columns over %v (-want +got):\n%s", files, diff)
		}
		n, sum := 3*len(files), 3*len(files)
		if got := scan[int](t, db.SQL(), "SELECT count(*) FROM lake.production"); got != n {
			t.Errorf("%d rows in %v, want %d", got, files, n)
		}
		if got := scan[int](t, db.SQL(), "SELECT sum(_firth_offset)::INTEGER FROM (SELECT * FROM lake.production WHERE user_id = 'ann')"); got != sum {
			t.Errorf("the offsets in %v add up to %d, want %d", files, got, sum)
		}
	}
}
