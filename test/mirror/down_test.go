package mirror

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

// patience is how long a mirror may take to have what its source has, from the moment on that nothing is in its way.
const patience = 90 * time.Second

// status is what GET /api/mirrors says of one mirror.
type status struct {
	Name, State, Error, Hint string
	Running                  bool
	LastRun                  *struct{ State, Error string } `json:"last_run"`
}

func statusOf(t *testing.T, s *rig.Server, name string) (out status, err error) {
	t.Helper()
	r, err := http.Get(s.URL + "/api/mirrors")
	if err != nil {
		return out, err
	}
	defer r.Body.Close()
	var list struct{ Mirrors []status }
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		return out, err
	}
	for _, m := range list.Mirrors {
		if m.Name == name {
			return m, nil
		}
	}
	return out, fmt.Errorf("%s is not listed", name)
}

// fails waits until a mirror says that it fails, and what to do.
func fails(t *testing.T, s *rig.Server, name string) {
	t.Helper()
	s.Eventually(patience, name+" to say that it fails", func() error {
		m, err := statusOf(t, s, name)
		if err == nil && (m.State != "failed" || m.Error == "" || !strings.Contains(m.Hint, "tried again by itself")) {
			err = fmt.Errorf("%+v", m)
		}
		if err == nil {
			t.Logf("%s: %s → %s", name, m.Error, m.Hint)
		}
		return err
	})
}

// has is the version that all rows of a table have.
func has(db *sql.DB, s *rig.Server, table string, version int) error {
	query := "SELECT CASE WHEN min(v) = max(v) AND count(*) > 0 THEN max(v) ELSE -1 END FROM " + table
	var n int
	var err error
	if db != nil {
		err = db.QueryRow(query).Scan(&n)
	} else {
		n, err = s.Count(query)
	}
	if err == nil && n != version {
		err = fmt.Errorf("%s has version %d, want %d", table, n, version)
	}
	return err
}

// TestServersDownWhileMirrorsRun ends each of two database servers, as a crash does, while mirrors copy out of them and into them: these
// mirrors say so, the others go on, and once it is back all have what their source has, by themselves.
func TestServersDownWhileMirrorsRun(t *testing.T) {
	t.Parallel()
	pg, maria := server.OwnPostgres(t, "15"), server.OwnMariaDB(t, "11.4")
	database, shop := pg.Database(), maria.Database()
	role, secret := pg.Role(database, "SUPERUSER")
	pgURL := pg.URL(role, secret, database)
	name, password := maria.User("GRANT ALL ON *.* TO %s")
	origins := map[string]*sqlOrigin{
		"pg":    newSQLOrigin(t, open(t, "pgx", pgURL), "pg", "", ""),
		"maria": newSQLOrigin(t, maria.Open(shop), "maria", "", ""),
	}
	s := rig.New(t, fmt.Sprintf(`
warehouses:
  topg: { type: postgres, url: %[1]q }
  tomaria: { type: mysql, url: %[2]q }
databases:
  pg: { type: postgres, url: %[1]q }
  maria: { type: mysql, url: %[3]q }
mirrors:
  pg_maria: { from: { database: pg, table: things }, into: { warehouse: tomaria, schema: copied }, every: 1s }
  maria_pg: { from: { database: maria, table: things }, into: { warehouse: topg, schema: copied }, mode: upsert, key: id, delete_missing: true, every: 1s }
  pg_local: { from: { database: pg, table: things }, into: { schema: copied }, every: 1s }
  maria_local: { from: { database: maria, table: things }, into: { schema: copied }, mode: upsert, key: id, delete_missing: true, every: 1s }
`, pgURL, maria.URL(name, password, ""), maria.URL(name, password, shop)))
	s.Start()
	tables := map[string]*sql.DB{"pg_maria": maria.Open(""), "maria_pg": open(t, "pgx", pgURL), "pg_local": nil, "maria_local": nil}
	versions := map[string]int{}
	change := func(origin string) {
		versions[origin]++
		origins[origin].change(int64(versions[origin]))
	}
	arrives := func(mirror string) {
		t.Helper()
		origin, _, _ := strings.Cut(mirror, "_")
		s.Eventually(patience, mirror+" to have what its source has", func() error { return has(tables[mirror], s, "copied."+mirror, versions[origin]) })
	}
	for name := range tables {
		arrives(name)
	}
	for range max(1, rig.Rounds(1)/10) { // the short form has one of the two
		for down, steps := range map[string]struct {
			stop, start func()
			well        string
			bad         []string
		}{
			"pg":    {pg.Stop, pg.Start, "maria_local", []string{"pg_local", "pg_maria", "maria_pg"}},
			"maria": {maria.Stop, maria.Start, "pg_local", []string{"maria_local", "maria_pg", "pg_maria"}},
		} {
			change("pg")
			change("maria")
			time.Sleep(700 * time.Millisecond) // runs are under way by then
			steps.stop()
			for _, name := range steps.bad {
				fails(t, s, name)
			}
			other := map[string]string{"pg": "maria", "maria": "pg"}[down]
			change(other)
			arrives(steps.well)
			steps.start()
			for name := range tables {
				arrives(name)
				s.Eventually(patience, name+" to be well", func() error {
					m, err := statusOf(t, s, name)
					if err == nil && m.State != "ok" {
						err = fmt.Errorf("%+v", m)
					}
					return err
				})
			}
			if rig.Rounds(1) == 1 {
				break
			}
		}
	}
	began := time.Now()
	if code := s.Stop(); code != 0 || time.Since(began) > 45*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(began))
	}
}

// TestTargetDiskFull fills the disk of the database that a mirror goes into: the run says so and what to do, the table stays as it was, and
// with room again the next run is as any other.
func TestTargetDiskFull(t *testing.T) {
	t.Parallel()
	pg, maria := server.Postgres(t, "15"), server.OwnMariaDB(t, "11.4")
	from := pg.Database()
	role, secret := pg.Role(from, "SUPERUSER")
	origin := newSQLOrigin(t, open(t, "pgx", pg.URL(role, secret, from)), "app", "", "")
	origin.exec("ALTER TABLE things ADD COLUMN pad text", "UPDATE things SET pad = repeat(md5(id::text), 20)")
	small, pgDisk := pg.SmallDatabase(64)
	smallRole, smallSecret := pg.Role(small, "", "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "+small+" TO %s")
	const schema = "copied_small"
	mariaDisk := maria.SmallDatabase(schema, 64)
	name, password := maria.User("GRANT ALL ON *.* TO %s")
	s := rig.New(t, fmt.Sprintf(`
warehouses:
  pg: { type: postgres, url: %q }
  maria: { type: mysql, url: %q }
databases:
  app: { type: postgres, url: %q }
mirrors:
  into_pg: { from: { database: app, table: things }, into: { warehouse: pg, schema: copied_small } }
  into_maria: { from: { database: app, table: things }, into: { warehouse: maria, schema: copied_small } }
`, pg.URL(smallRole, smallSecret, small), maria.URL(name, password, ""), pg.URL(role, secret, from)))
	s.Start()
	version := 0
	for name, target := range map[string]struct {
		disk *server.Disk
		db   *sql.DB
	}{"into_pg": {pgDisk, open(t, "pgx", pg.URL(role, secret, small))}, "into_maria": {mariaDisk, maria.Open("")}} {
		sync := func() error {
			out, err := s.Run("sync", name)
			if err != nil {
				err = fmt.Errorf("%w\n%s", err, out)
			}
			return err
		}
		if err := sync(); err != nil {
			t.Fatalf("with room: %v", err)
		}
		before := version
		version++
		origin.change(int64(version))
		target.disk.Fill(1000)
		for range 2 {
			err := sync()
			if err == nil || !strings.Contains(err.Error(), "room") {
				t.Errorf("%s on a full disk: %v", name, err)
			}
			t.Log(err)
			if err := has(target.db, s, schema+"."+name, before); err != nil {
				t.Errorf("after a run on a full disk: %v", err)
			}
		}
		target.disk.Free()
		if err := sync(); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		if err := has(target.db, s, schema+"."+name, version); err != nil {
			t.Error(err)
		}
	}
}
