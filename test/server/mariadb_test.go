package server

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

func mariaNumber(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMariaDB(t *testing.T) {
	for _, version := range []string{"11.4", "10.11"} {
		t.Run(version, func(t *testing.T) {
			if version == "10.11" && os.Getenv("FIRTH_LONG") == "" {
				t.Skip("MariaDB 10.11 is part of make full")
			}
			m := MariaDB(t, version)
			if again := MariaDB(t, version); again.Port != m.Port {
				t.Error("the second test has a server of its own")
			}
			m.Exec("CREATE DATABASE left_over")
			database := m.Database()
			name, password := m.User("GRANT ALL ON " + database + ".* TO %s")
			connector, err := mysql.NewConnector(m.Config(name, password, database))
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(connector)
			t.Cleanup(func() { _ = db.Close() })
			var says string
			if err := db.QueryRowContext(t.Context(), "SELECT version()").Scan(&says); err != nil || !strings.HasPrefix(says, version+".") {
				t.Errorf("version %s, %v", says, err)
			}
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE x (n int)"); err != nil {
				t.Error(err)
			}
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE left_over.x (n int)"); err == nil {
				t.Error("a user may write to a database it was given no right to")
			}
			m.Wipe()
			if n := mariaNumber(t, m.Open("mysql"), "SELECT (SELECT count(*) FROM information_schema.schemata) + (SELECT count(*) FROM global_priv WHERE user LIKE 'u%')"); n > 4 {
				t.Errorf("%d databases and users are left", n)
			}
		})
	}
}

func TestMariaStopAndStart(t *testing.T) {
	m := OwnMariaDB(t, "11.4")
	db := m.Open(m.Database())
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE x (n int); INSERT INTO x VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	m.Stop()
	if err := db.PingContext(t.Context()); err == nil {
		t.Error("a stopped server answers")
	}
	m.Start()
	if n := mariaNumber(t, db, "SELECT count(*) FROM x"); n != 1 {
		t.Errorf("%d rows after the restart", n)
	}
}

func TestMariaTLS(t *testing.T) {
	m := MariaTLS(t, "11.4", "")
	for tls, says := range map[string]string{"true": "unknown authority", "skip-verify": "", "": "secure transport"} {
		c := m.Config(adminUser, adminPassword, "mysql")
		c.TLSConfig = tls
		connector, err := mysql.NewConnector(c)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		t.Cleanup(func() { _ = db.Close() })
		err = db.PingContext(t.Context())
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("with tls %q: %v", tls, err)
		}
	}
}
