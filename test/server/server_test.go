package server

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func number(t *testing.T, c *pgx.Conn, query string) (n int) {
	t.Helper()
	if err := c.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPostgres(t *testing.T) {
	for _, version := range []string{"12", "15", "18"} {
		t.Run(version, func(t *testing.T) {
			pg := Postgres(t, version)
			if again := Postgres(t, version); again.Port != pg.Port {
				t.Error("the second test has a server of its own")
			}
			connection, database := pg.Loader()
			c := pg.ConnectURL(connection)
			var says string
			if err := c.QueryRow(t.Context(), "SHOW server_version").Scan(&says); err != nil || !strings.HasPrefix(says, version+".") {
				t.Errorf("server_version %s, %v", says, err)
			}
			if _, err := c.Exec(t.Context(), "CREATE SCHEMA s; CREATE TABLE s.x (n int); INSERT INTO s.x SELECT generate_series(1, 10)"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Exec(t.Context(), "CREATE TABLE public.x (n int)"); version != "12" && err == nil {
				t.Error("the loader may write to public")
			}
			if n := number(t, pg.Connect(database), "SELECT count(*) FROM s.x"); n != 10 {
				t.Errorf("%d rows", n)
			}
		})
	}
}

func TestStopAndStart(t *testing.T) {
	pg := OwnPostgres(t, "15", "log_statement = all")
	database := pg.Database()
	pg.Exec(database, "CREATE TABLE x (n int)", "INSERT INTO x VALUES (1)")
	c := pg.Connect(database)
	pg.Stop()
	if _, err := c.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a stopped server answers")
	}
	pg.Start()
	if n := number(t, pg.Connect(database), "SELECT count(*) FROM x"); n != 1 {
		t.Errorf("%d rows after the restart", n)
	}
}

func TestPostgresTLS(t *testing.T) {
	pg := PostgresTLS(t, "15", "")
	name, password := pg.Role("postgres", "")
	good := pg.URL(name, password, "postgres")
	c := pg.ConnectURL(good)
	if n := number(t, c, "SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()"); n != 1 {
		t.Error("no TLS")
	}
	for query, says := range map[string]string{"sslmode=disable": "no encryption", "sslmode=verify-full": "unknown authority"} {
		at, _, _ := strings.Cut(good, "?")
		if _, err := pgx.Connect(t.Context(), at+"?"+query); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("with %s: %v", query, err)
		}
	}
	other := PostgresTLS(t, "15", "elsewhere.example")
	if _, err := pgx.Connect(t.Context(), other.URL("postgres", adminPassword, "postgres")); err == nil || !strings.Contains(err.Error(), "cannot validate certificate for 127.0.0.1") {
		t.Errorf("with another host's certificate: %v", err)
	}
}

func TestEverythingIsRemoved(t *testing.T) {
	var dir string
	t.Run("own", func(t *testing.T) { dir = OwnPostgres(t, "15").p.dir })
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a server that ended is there: %v", err)
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	var name string
	t.Run("own", func(t *testing.T) { name = Postgres(t, "15").Database() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pg := Postgres(t, "15")
	_, err := pgx.Connect(ctx, pg.URL("postgres", adminPassword, name))
	if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || refused.Code != "3D000" {
		t.Errorf("the database of a test that ended: %v", err)
	}
}
