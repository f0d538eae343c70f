package duckdb_test

import (
	"path/filepath"
	"testing"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// TestForeignColumn loads and replays values for a column whose type is none of ours: they are discarded, once.
func TestForeignColumn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	db := open(t, path)
	first := rebuilt("production", "production", 0, 1, table.Integer)
	if _, err := db.Load(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	byHand(t, path, []string{"ALTER TABLE production.clicks ADD COLUMN tags VARCHAR[]"})
	db = open(t, path)
	tables, err := db.Catalogue(t.Context(), "production")
	if err != nil || len(tables) != 1 || tables[0].Columns[4] != (table.Column{Name: "tags"}) {
		t.Fatalf("catalogue %v, %v", tables, err)
	}
	b := rebuilt("production", "production", 1, 1, table.Integer)
	b.Tables[0].Columns = append(b.Tables[0].Columns, table.Column{Name: "tags", Type: table.Integer, Path: "properties.tags"})
	b.Tables[0].Rows[0].Cells = append(b.Tables[0].Rows[0].Cells, table.Cell{Col: 4, Value: table.Int(7)})
	if r, err := db.Load(t.Context(), b); err != nil || r.Rows["clicks"] != 1 || r.Discards != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := db.Replay(t.Context(), b); err != nil || r.Rows["clicks"] != 0 || r.Discards != 0 {
		t.Errorf("again: %+v, %v", r, err)
	}
	var reason, value string
	if err := db.SQL().QueryRow("SELECT reason, value FROM production."+warehouse.Discards).Scan(&reason, &value); err != nil || reason != "foreign_column_type" || value != "7" {
		t.Errorf("%s %s, %v", reason, value, err)
	}
}
