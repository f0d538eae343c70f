package duckdb_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/internal/table"
	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

func workshop(t *testing.T, o duckdb.WorkshopOptions) *duckdb.Workshop {
	t.Helper()
	w, err := duckdb.OpenWorkshop(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestWorkshop(t *testing.T) {
	temp, other := t.TempDir(), t.TempDir()
	w := workshop(t, duckdb.WorkshopOptions{Memory: 128 << 20, TempDir: temp, Dirs: []string{other}})
	b := &table.Batch{
		Name:    "clicks",
		Columns: []table.Column{{Name: "id", Type: table.String}, {Name: "loaded_at", Type: table.Timestamp}, {Name: "n", Type: table.Integer}, {Name: "none"}, {Name: "theirs", Type: table.Integer}},
		Rows: []table.Row{
			{Cells: []table.Cell{{Col: 0, Value: table.Text("a")}, {Col: 2, Value: table.Int(7)}}},
			{Cells: []table.Cell{{Col: 0, Value: table.Text("b\xff")}, {Col: 4, Value: table.Int(8)}}},
		},
	}
	unfit, err := w.AppendBatch(t.Context(), "rows of a batch", b, duckdb.BatchOptions{Stamp: time.Unix(5, 0), Foreign: map[string]bool{"theirs": true}})
	if err != nil {
		t.Fatal(err)
	}
	if len(unfit) != 2 || unfit[0].Reason != warehouse.ReasonNotUTF8 || unfit[1].Reason != warehouse.ReasonForeign || unfit[1].TableName != "clicks" {
		t.Errorf("discards %+v", unfit)
	}
	var got string
	if err := w.One(t.Context(), `SELECT string_agg(concat_ws(',', coalesce(id, 'NULL'), epoch(loaded_at)::INT, n), ';' ORDER BY id) FROM "rows of a batch"`, &got); err != nil || got != "a,5,7;NULL,5" {
		t.Errorf("%q, %v", got, err)
	}
	columns := []vector.Column{{Name: "k", Type: vector.Type{Kind: vector.Int, Bits: 32}}, {Name: "s", Type: vector.Type{Kind: vector.Text}}}
	if err := w.CreateTable(t.Context(), "chunks", columns); err != nil {
		t.Fatal(err)
	}
	c := vector.NewChunk(columns)
	c.Vectors[0].AppendNum(3)
	c.Vectors[1].AppendBytes([]byte("no\xfftext"))
	c.Rows = 1
	rejects, err := w.AppendChunk(t.Context(), "chunks", c)
	if err != nil || len(rejects) != 1 || rejects[0].Column != "s" {
		t.Errorf("rejects %+v, %v", rejects, err)
	}
	for path, allowed := range map[string]bool{filepath.Join(w.Dir(), "x.parquet"): true, filepath.Join(other, "x.parquet"): true, filepath.Join(t.TempDir(), "x.parquet"): false} {
		if err := w.Exec(t.Context(), "COPY chunks TO '"+path+"' (FORMAT parquet)"); (err == nil) != allowed {
			t.Errorf("writing %s: %v", path, err)
		}
	}
	if n, err := w.Change(t.Context(), "DELETE FROM chunks"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// A folder whose process has ended is removed by the next workshop, and one that is in use is not.
func TestWorkshopSweeps(t *testing.T) {
	temp := t.TempDir()
	first := workshop(t, duckdb.WorkshopOptions{TempDir: temp})
	left := filepath.Join(temp, "workshop-left")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second := workshop(t, duckdb.WorkshopOptions{TempDir: temp})
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what was left is there: %v", err)
	}
	for _, w := range []*duckdb.Workshop{first, second} {
		if _, err := os.Stat(w.Dir()); err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(temp)
	if err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if _, err := duckdb.OpenWorkshop(t.Context(), duckdb.WorkshopOptions{TempDir: filepath.Join(temp, strings.Repeat("x", 300))}); err == nil {
		t.Error("a workshop was opened in a folder that cannot be")
	}
}
