package iceberg

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/apache/iceberg-go"

	"firth/internal/warehouse/duckdb"
)

// TestWideRowsInLittleMemory writes rows that are more than the workshop may take.
func TestWideRowsInLittleMemory(t *testing.T) {
	s := newStand(t, t.TempDir())
	p := iceberg.PrimitiveTypes
	tbl, err := s.fresh(t.Context(), "production", "wide", []iceberg.NestedField{{Name: "id", Type: p.String}, {Name: "received_at", Type: p.TimestampTz}, {Name: "s", Type: p.String}}, "received_at", nil)
	if err != nil {
		t.Fatal(err)
	}
	const rows = 12_000 // of some 4 KB that hardly pack
	w, err := duckdb.OpenWorkshop(t.Context(), duckdb.WorkshopOptions{Memory: 96 << 20, TempDir: filepath.Join(s.dir, "tmp"), Dirs: []string{s.dir}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := change{table: tbl}
	for part := range 2 {
		query := fmt.Sprintf(`SELECT i::VARCHAR AS id, to_timestamp(hash(i) %% 1000000) AS received_at,
			list_aggregate([sha256((i * 64 + j)::VARCHAR) FOR j IN range(64)], 'string_agg', '') AS s FROM range(%d, %d) AS r(i)`, part*rows/2, (part+1)*rows/2)
		files, err := s.write(t.Context(), w, tbl, query)
		if err != nil {
			t.Fatal(err)
		}
		c.add = append(c.add, files...)
	}
	if err := s.commit(t.Context(), "production", []change{c}); err != nil {
		t.Fatal(err)
	}
	now := s.look("production", "wide")
	var n, bytes int64
	for _, f := range now.files {
		n, bytes = n+f.Count(), bytes+f.FileSizeBytes()
	}
	if n != rows {
		t.Errorf("%d rows in %d files of %d bytes", n, len(now.files), bytes)
	}
}
