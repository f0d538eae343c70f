package disk

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"firth/test/rig"
)

// TestFullUnderMirrors fills the disk of the embedded warehouse while a mirror copies into it: the run fails and says why, readers see the
// table as it was, and with room again it becomes what the source has by itself.
func TestFullUnderMirrors(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 300)
	file := filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // the test has read what it wants
	exec := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE things (id integer PRIMARY KEY, v integer NOT NULL, pad text NOT NULL)")
	exec("INSERT INTO things WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i, 0, hex(randomblob(500)) FROM n")
	s := rig.NewAt(t, filepath.Join(v.dir, "data"), fmt.Sprintf(config+`
databases:
  app: { type: sqlite, url: %q }
mirrors:
  things: { from: { database: app, table: things }, into: { schema: copied }, every: 1s }
  keyed: { from: { database: app, table: things }, into: { schema: copied }, mode: upsert, key: id, delete_missing: true, every: 1s }
`, file))
	s.Start()
	seen := func(table string) (low, high int, err error) {
		out, err := s.SQL("SELECT min(v), max(v) FROM copied." + table)
		if err != nil {
			return 0, 0, err
		}
		_, err = fmt.Sscan(fmt.Sprint(out.Rows[0]...), &low, &high)
		return low, high, err
	}
	arrives := func(version int) {
		t.Helper()
		for _, table := range []string{"things", "keyed"} {
			s.Eventually(patience, table+" to have what its source has", func() error {
				low, high, err := seen(table)
				if err == nil && (low != version || high != version) {
					err = fmt.Errorf("versions %d to %d, want %d", low, high, version)
				}
				return err
			})
		}
	}
	arrives(0)
	for round := range rounds(1) {
		v.fill()
		exec(fmt.Sprintf("UPDATE things SET v = %d, pad = hex(randomblob(500))", round+1))
		s.Eventually(patience, "a run that says that there is no room", func() error {
			_, components, err := s.Ready()
			if err != nil {
				return err
			}
			for _, c := range components {
				if strings.HasPrefix(c.Name, "mirror ") && c.Error != "" && c.Hint != "" {
					t.Logf("%s: %s → %s", c.Name, c.Error, c.Hint)
					return nil
				}
			}
			return fmt.Errorf("%+v", components)
		})
		for _, table := range []string{"things", "keyed"} {
			if low, high, err := seen(table); err == nil && low != high {
				t.Errorf("a reader of %s saw the versions %d and %d", table, low, high)
			}
		}
		v.empty()
		arrives(round + 1)
	}
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
