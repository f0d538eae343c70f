package server

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestSmallDatabase(t *testing.T) {
	pg := Postgres(t, "15")
	name, disk := pg.SmallDatabase(40)
	c := pg.Connect(name)
	if _, err := c.Exec(t.Context(), "CREATE TABLE x (t text)"); err != nil {
		t.Fatal(err)
	}
	disk.Fill(100)
	const much = "INSERT INTO x SELECT repeat('x', 1000) FROM generate_series(1, 10000)"
	_, err := c.Exec(t.Context(), much)
	if full := (*pgconn.PgError)(nil); !errors.As(err, &full) || full.Code != "53100" {
		t.Errorf("on a full disk: %v", err)
	}
	disk.Free()
	if _, err := c.Exec(t.Context(), much); err != nil {
		t.Errorf("with room: %v", err)
	}
}

func TestSmallMariaDatabase(t *testing.T) {
	m := MariaDB(t, "11.4")
	disk := m.SmallDatabase("small", 40)
	db := m.Open("small")
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE x (t text)"); err != nil {
		t.Fatal(err)
	}
	disk.Fill(2000)
	const row = "INSERT INTO x VALUES (repeat('x', 1000))"
	until(t, "the disk to be full", func() bool {
		_, err := db.ExecContext(t.Context(), row)
		if err != nil && !strings.Contains(err.Error(), "1114") {
			t.Fatalf("on a full disk: %v", err)
		}
		return err != nil
	})
	disk.Free()
	if _, err := db.ExecContext(t.Context(), row); err != nil {
		t.Errorf("with room: %v", err)
	}
}

func TestStandby(t *testing.T) {
	pg := OwnPostgres(t, "15")
	name := pg.Database()
	standby := pg.Standby()
	pg.Exec(name, "CREATE TABLE x (n int)", "INSERT INTO x VALUES (1)")
	c := standby.Connect(name)
	until(t, "the standby to follow", func() bool {
		var there bool
		if err := c.QueryRow(t.Context(), "SELECT to_regclass('x') IS NOT NULL").Scan(&there); err != nil {
			t.Fatal(err)
		}
		return there
	})
	_, err := c.Exec(t.Context(), "INSERT INTO x VALUES (2)")
	if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || refused.Code != "25006" {
		t.Errorf("a write to a standby: %v", err)
	}
}
