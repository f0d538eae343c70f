package duckdb_test

import (
	"database/sql"
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
		// The file belongs to one process: a person has to wait until it is closed.
		User: func(t *testing.T, statements ...string) *warehousetest.Target {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			byHand(t, path, statements)
			return target(t, path)
		},
		Files: func(*testing.T) []string { return []string{path} },
		Lacks: map[string]string{
			"a table of Segment's":          "Segment and RudderStack load into no DuckDB",
			"a table of Segment's with ids": "Segment and RudderStack load into no DuckDB",
		},
	}
}

// byHand runs statements as the engine's own command line would.
func byHand(t *testing.T, path string, statements []string) {
	t.Helper()
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
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
