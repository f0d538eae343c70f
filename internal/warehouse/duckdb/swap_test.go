package duckdb_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// rebuilt is a batch of n rows from an offset on, whose column n has a type.
func rebuilt(source, schema string, from, n uint64, kind table.Type) *warehouse.Batch {
	columns := []table.Column{{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "n", Type: kind, Path: "properties.n"}, {Name: "text", Type: table.String, Path: "properties.text"}}
	t := &table.Batch{Name: "clicks", Columns: columns}
	for o := from; o < from+n; o++ {
		v, _ := table.Int(int64(o)).Cast(kind)
		t.Rows = append(t.Rows, table.Row{Cells: []table.Cell{
			{Col: 0, Value: table.Text(fmt.Sprintf("id-%09d", o))}, {Col: 1, Value: table.Time(int64(o))}, {Col: 2, Value: v},
			{Col: 3, Value: table.Text(fmt.Sprintf("a text of a row that no dictionary holds: %d", o*2654435761))},
		}})
	}
	return &warehouse.Batch{Source: source, Schema: schema, Log: "log", From: from, To: from + n, ReceivedThrough: int64(from + n), Tables: []*table.Batch{t}}
}

var theSwap = &warehouse.Swap{
	Source: "production", Schema: "production", RebuildSource: "production#rebuild", RebuildSchema: warehouse.RebuildPrefix + "production", Tables: []string{"clicks"},
}

// TestSwapIsDurable ends, so to say, the process right after a swap: what is in the file then is the swapped table.
func TestSwapIsDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	db := open(t, path)
	for _, b := range []*warehouse.Batch{rebuilt("production", "production", 0, 100, table.Integer), rebuilt(theSwap.RebuildSource, theSwap.RebuildSchema, 0, 100, table.String)} {
		if _, err := db.Load(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Swap(t.Context(), theSwap); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "warehouse.duckdb")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	found := open(t, path)
	p, err := found.Positions(t.Context(), "production")
	if err != nil || p["log"].Next != 100 {
		t.Errorf("positions %v, %v", p, err)
	}
	var rows, schemas int
	var kind string
	err = found.SQL().QueryRow(`SELECT count(*), any_value(typeof(n)), (SELECT count(*) FROM duckdb_schemas() WHERE schema_name LIKE '\_firth\_rebuild%' ESCAPE '\') FROM production.clicks`).Scan(&rows, &kind, &schemas)
	if err != nil || rows != 100 || kind != "VARCHAR" || schemas != 0 {
		t.Errorf("%d rows of %s, %d schemas of rebuilds, %v", rows, kind, schemas, err)
	}
}

// TestSwapInBoundedMemory swaps a table that is larger than the memory that the engine may take, next to nothing of it spilled.
func TestSwapInBoundedMemory(t *testing.T) {
	const batches, size = 12, 30_000
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	db, err := duckdb.Open(t.Context(), path, duckdb.Options{Memory: 32 << 20, Threads: 2, TempBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for i := range uint64(batches) {
		for _, b := range []*warehouse.Batch{rebuilt("production", "production", i*size, size, table.Integer), rebuilt(theSwap.RebuildSource, theSwap.RebuildSchema, i*size, size, table.String)} {
			if _, err := db.Load(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := db.Swap(t.Context(), theSwap)
	if err != nil || r.Rows["clicks"] != batches*size {
		t.Fatalf("%+v, %v", r, err)
	}
	var rows, distinct int
	if err := db.SQL().QueryRow("SELECT count(*), count(DISTINCT n) FROM production.clicks").Scan(&rows, &distinct); err != nil || rows != batches*size || distinct != rows {
		t.Errorf("%d rows, %d distinct, %v", rows, distinct, err)
	}
}

// TestDropRebuildSparesSources refuses what is no schema of a rebuild.
func TestDropRebuildSparesSources(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "warehouse.duckdb"))
	if _, err := db.Load(t.Context(), rebuilt("production", "production", 0, 1, table.Integer)); err != nil {
		t.Fatal(err)
	}
	if err := db.DropRebuild(t.Context(), "production", "production"); warehouse.KindOf(err) != warehouse.BadName {
		t.Errorf("error %v, want kind %s", err, warehouse.BadName)
	}
	if p, err := db.Positions(t.Context(), "production"); err != nil || p["log"].Next != 1 {
		t.Errorf("positions %v, %v", p, err)
	}
}
