package postgres_test

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"firth/internal/name"
	"firth/internal/warehouse/postgres"
	"firth/internal/warehouse/warehousetest"
	"firth/test/server"
)

func TestConformance(t *testing.T) {
	pg := server.Postgres(t, "15")
	warehousetest.Run(t, func(t *testing.T) *warehousetest.Target {
		url, database := fresh(t, pg)
		return target(t, url, reader(t, pg, database))
	})
}

// fresh makes a database, and the URL of a role with the least rights.
func fresh(t *testing.T, pg *server.PG) (url, database string) {
	t.Helper()
	return server.Postgres(t, pg.Version).Loader()
}

// reader is a pool of connections of a reader.
func reader(t *testing.T, pg *server.PG, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", pg.URL("postgres", "admin-secret", database)+"&timezone=UTC")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func target(t *testing.T, url string, read *sql.DB) *warehousetest.Target {
	db := open(t, url, postgres.Options{})
	return &warehousetest.Target{
		Warehouse: db, Rules: name.Postgres(), DB: read,
		Quote: func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` },
		Reopen: func(t *testing.T) *warehousetest.Target {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return target(t, url, read)
		},
	}
}

// open opens a warehouse that is closed with the test.
func open(t *testing.T, url string, o postgres.Options) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), url, o)
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
