package purge

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"firth/test/rig"
	"firth/test/server"
)

// everywhere are lines of firth.yaml: a warehouse whose tables lie in the lake beside the embedded one, and a mirror with history in each.
const everywhere = `
warehouses:
  ice: { type: iceberg, every: 1s, sources: production }
databases:
  app: { type: sqlite, url: "sqlite://%s" }
mirrors:
  people:      { from: { database: app, table: people }, into: { warehouse: local, schema: app }, mode: upsert, key: id, delete_missing: true, max_delete: 100%%, history: true, every: 1s }
  people-open: { from: { database: app, table: people }, into: { warehouse: ice, schema: app, table: people }, mode: upsert, key: id, delete_missing: true, max_delete: 100%%, history: true, every: 1s }
`

// A person goes from a lake on an object store and from its cache, from a warehouse whose tables lie in that lake, and from mirrors with
// history in both warehouses.
func TestPurgeOnAStore(t *testing.T) {
	t.Parallel()
	store := server.S3(t)
	purgeEverywhere(t, store)
}

// The same with everything on local disk.
func TestPurgeOnDisk(t *testing.T) {
	if os.Getenv("FIRTH_LONG") == "" {
		t.Skip("FIRTH_LONG is not set")
	}
	purgeEverywhere(t, nil)
}

func purgeEverywhere(t *testing.T, store *server.Store) {
	path := filepath.Join(t.TempDir(), "company.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	exec := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	exec("CREATE TABLE people (id INTEGER PRIMARY KEY, user_id TEXT, name TEXT)",
		"INSERT INTO people VALUES (1, 'user 1', 'One'), (2, '"+victim+"', 'Somebody'), (3, 'user 3', 'Three')")
	text := config
	var roots []string
	if store != nil {
		text = strings.Replace(text, "lake: { ", fmt.Sprintf("lake: { url: %q, cache: { bytes: 64MiB }, ", store.URL("lake")), 1)
		roots = append(roots, store.Dir)
	}
	s := rig.New(t, text+fmt.Sprintf(everywhere, path))
	if store != nil {
		s.Env = []string{"AWS_ACCESS_KEY_ID=" + store.AccessKey, "AWS_SECRET_ACCESS_KEY=" + store.SecretKey}
	}
	s.Start()
	roots = append(roots, s.Data, filepath.Join(s.Dir, "server.log"))
	f := &traffic{t: t, s: s}
	for i := range 24 {
		f.other()
		if i%3 == 0 {
			f.person()
		}
		time.Sleep(15 * time.Millisecond) // so that there are several flushes
	}
	awaitRows := func(query string, want int64) {
		t.Helper()
		s.Eventually(60*time.Second, query, func() error {
			n, err := s.Count(query)
			if err == nil && int64(n) != want {
				err = fmt.Errorf("%d, want %d", n, want)
			}
			return err
		})
	}
	awaitRows(`SELECT count(*) FROM production.bought`, f.theirs.Load())
	awaitRows(`SELECT count(*) FROM app.people WHERE user_id = '`+victim+`'`, 1)
	awaitTrace(t, s, victim, roots[0])
	exec("BEGIN; DELETE FROM people WHERE id = 2; UPDATE people SET name = 'Marked-after' WHERE id = 3; COMMIT")
	awaitRows(`SELECT count(*) FROM app.people WHERE user_id = '`+victim+`' AND _valid_to IS NULL`, 0)
	awaitTrace(t, s, "Marked-after", roots[0])
	out, err := s.Run("lake", "purge", "--user", victim, "--anonymous-id", anonymous, "--grace", "1s", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, out)
	if r.Step != "done" || len(r.Warehouses.Warehouses) != 2 {
		t.Errorf("the receipt is %s", out)
	}
	for _, w := range r.Warehouses.Warehouses {
		if !w.Erased || w.Error != "" || w.Rows["app.people"] == 0 || w.Rows["production.bought"] != f.theirs.Load() || len(w.Present) > 0 {
			t.Errorf("the receipt says of the warehouse %+v", w)
		}
	}
	gone := func() error {
		found, err := Traces([]string{victim, anonymous}, roots...)
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("traces are left: %s", strings.Join(found, "\n"))
		}
		return err
	}
	s.Eventually(time.Minute, "the last byte of the person to go", gone)
	awaitRows(`SELECT count(*) FROM lake.production`, f.others.Load())
	awaitRows(`SELECT count(*) FROM app.people`, 3) // one of the first, and both of the third: as it was and as it is
	s.Stop()
	if err := gone(); err != nil {
		t.Error(err)
	}
}

// awaitTrace waits until a file of the mirror's table in the lake holds a text.
func awaitTrace(t *testing.T, s *rig.Server, text, root string) {
	t.Helper()
	s.Eventually(60*time.Second, text+" in the mirror", func() error {
		found, err := Traces([]string{text}, root)
		if err != nil {
			return err
		}
		for _, f := range found {
			if strings.Contains(f, "_tables/app") {
				return nil
			}
		}
		return fmt.Errorf("only %v", found)
	})
}
