package duckdb_test

import (
	"path/filepath"
	"strings"
	"testing"

	"firth/internal/name"
	"firth/internal/warehouse/duckdb"
	"firth/internal/warehouse/warehousetest"
)

func TestConformance(t *testing.T) {
	warehousetest.Run(t, func(t *testing.T) *warehousetest.Target {
		return target(t, filepath.Join(t.TempDir(), "warehouse.duckdb"))
	})
}

func target(t *testing.T, path string) *warehousetest.Target {
	db := open(t, path)
	return &warehousetest.Target{
		Warehouse: db, Rules: name.DuckDB(), DB: db.SQL(),
		Quote: func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` },
		Reopen: func(t *testing.T) *warehousetest.Target {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return target(t, path)
		},
	}
}

// open opens a warehouse that is closed with the test, if it has not been before.
func open(t *testing.T, path string) *duckdb.DB {
	t.Helper()
	db, err := duckdb.Open(t.Context(), path, duckdb.Options{Memory: 256 << 20, Threads: 2, LakeDir: filepath.Join(filepath.Dir(path), "lake")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
