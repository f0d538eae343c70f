package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firth/test/rig"
	"firth/test/server"
)

// TestPrivateDatabase reads a database that shows a certificate of an authority of its own, through an SSH server: with both known, and with
// neither.
func TestPrivateDatabase(t *testing.T) {
	t.Parallel()
	pg, shell := server.PostgresTLS(t, "15", "127.0.0.1"), server.SSH(t)
	database := pg.Database()
	pg.Exec(database, "CREATE TABLE secrets AS SELECT i AS id, 'row ' || i AS name FROM generate_series(1, 1000) i")
	role, password := pg.Role(database, "", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO %s")
	address, _, _ := strings.Cut(pg.URL(role, password, database), "?")
	stranger := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	entry := func(name, ca, known string) string {
		return fmt.Sprintf("  %s: { type: postgres, url: %q, ca: %q, ssh: { host: %q, user: %s, key: %q, known_hosts: %q } }\n",
			name, address+"?sslmode=verify-full", ca, shell.Addr(), shell.User, shell.KeyFile, known)
	}
	authority := pg.CA
	s := rig.New(t, "databases:\n"+entry("private", authority, shell.KnownHosts)+entry("mistrusted", server.NewAuthority(t).File, shell.KnownHosts)+
		entry("unknown", authority, stranger)+`
mirrors:
  good: { from: { database: private, table: secrets }, into: { schema: app } }
  wrong_ca: { from: { database: mistrusted, table: secrets }, into: { schema: app } }
  wrong_host: { from: { database: unknown, table: secrets }, into: { schema: app } }
`)
	out, err := s.Run("sync", "good")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err = s.Run("query", "-f", "csv", "SELECT count(*), min(name) FROM app.good"); err != nil || !strings.Contains(out, "1000,row 1") {
		t.Errorf("%s %v", out, err)
	}
	for name, says := range map[string]string{"wrong_ca": "certificate", "wrong_host": "ssh-keyscan"} {
		out, err := s.Run("sync", name)
		if err == nil || !strings.Contains(out, says) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if strings.Contains(out, password) || err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: the password is printed", name)
		}
	}
}
