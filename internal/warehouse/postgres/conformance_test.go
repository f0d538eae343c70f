package postgres_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"

	"firth/internal/name"
	"firth/internal/table"
	"firth/internal/warehouse/postgres"
	"firth/internal/warehouse/warehousetest"
	"firth/test/server"
)

func TestConformance(t *testing.T) {
	t.Parallel()
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
	db, err := sql.Open("pgx", pg.URL("postgres", "admin-secret", database)+"&timezone=UTC&default_query_exec_mode=exec")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // the server may be gone
	return db
}

func target(t *testing.T, url string, read *sql.DB) *warehousetest.Target {
	db := open(t, url, postgres.Options{})
	out := &warehousetest.Target{
		Warehouse: db, Rules: name.Postgres(), DB: read,
		Quote: func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` },
		Reopen: func(t *testing.T) *warehousetest.Target {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return target(t, url, read)
		},
		// The server's texts have no NUL.
		Unfit: func(v table.Value) string {
			if v.Type == table.String && strings.Contains(v.Text, "\x00") {
				return "nul_character"
			}
			return ""
		},
	}
	out.User = func(t *testing.T, statements ...string) *warehousetest.Target {
		conn := connect(t, url)
		for _, s := range statements {
			if _, err := conn.Exec(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		return out
	}
	return out
}

// connect connects as whoever the url names, for as long as the test lasts.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
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
