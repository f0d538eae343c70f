package mirror

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

// movingRows are as many as it takes for a reading to be cut into ranges.
const movingRows = 100_000

// moving is a database whose tables change all the time: keyed has a primary key, bare has none and is read by blocks, log only grows. Every
// transaction keeps the sum of v in keyed and bare at 0, so that a reader who sees another has seen more than one moment.
type moving struct {
	t  *testing.T
	db *sql.DB
}

const makeMoving = `CREATE TABLE keyed (id bigint PRIMARY KEY, v bigint NOT NULL, pad text NOT NULL);
CREATE TABLE bare (id bigint NOT NULL, v bigint NOT NULL, pad text NOT NULL);
CREATE INDEX bare_id ON bare (id);
CREATE TABLE log (id bigserial PRIMARY KEY, v bigint NOT NULL, pad text NOT NULL);`

// fill puts the first rows into a table, some of them others than before.
func (m *moving) fill(table string, shift int) {
	m.exec(fmt.Sprintf("INSERT INTO %s (id, v, pad) SELECT i, 0, repeat('x', 60) || i FROM generate_series(%d, %d) AS i", table, 1+shift, movingRows+shift), "ANALYZE "+table)
}

func (m *moving) exec(statements ...string) {
	m.t.Helper()
	for _, s := range statements {
		if _, err := m.db.Exec(s); err != nil {
			m.t.Fatalf("%s: %v", s, err)
		}
	}
}

// write changes a table as fast as it can until stop is called, and returns how many transactions there were. What only grows does so
// slower than it is copied: on a busy machine there would be no end to it otherwise.
func (m *moving) write(table string, seed uint64) (stop func() int64) {
	ctx, cancel := context.WithCancel(m.t.Context())
	var group sync.WaitGroup
	var done atomic.Int64
	for w := range uint64(2) {
		group.Go(func() {
			random := rand.New(rand.NewPCG(seed, w))
			for n := int64(0); ctx.Err() == nil; n++ {
				a, b, d := 1+random.IntN(movingRows), 1+random.IntN(movingRows), 1+random.IntN(100)
				statement := "INSERT INTO log (v, pad) SELECT i, 'more' FROM generate_series(1, 5) AS i"
				if table == "log" {
					time.Sleep(2 * time.Millisecond)
				}
				if table != "log" {
					fresh := int64(w+1)*1_000_000_000 + time.Now().UnixNano()%1_000_000_000_000
					statement = fmt.Sprintf(`BEGIN; UPDATE %[1]s SET v = v + %[4]d WHERE id = (SELECT id FROM %[1]s WHERE id >= %[2]d ORDER BY id LIMIT 1);
						UPDATE %[1]s SET v = v - %[4]d WHERE id = (SELECT id FROM %[1]s WHERE id >= %[2]d ORDER BY id LIMIT 1);
						DELETE FROM %[1]s WHERE id = %[3]d AND v = 0; INSERT INTO %[1]s VALUES (%[5]d, 7, 'new'), (%[5]d + 1, -7, 'new'); COMMIT`, table, a, b, d, fresh*2)
				}
				if _, err := m.db.ExecContext(ctx, statement); err == nil {
					done.Add(1)
				}
			}
		})
	}
	return func() int64 { cancel(); group.Wait(); return done.Load() }
}

// disturbances are what is done to a table between a kill and the next run. Of one that only grows nothing may go.
var disturbances = map[string]func(m *moving, table string){
	"nothing":     func(*moving, string) {},
	"vacuum full": func(m *moving, table string) { m.exec("VACUUM FULL " + table) },
	"cluster": func(m *moving, table string) {
		m.exec("CLUSTER "+table+" USING "+map[string]string{"keyed": "keyed_pkey", "bare": "bare_id", "log": "log_pkey"}[table], "ANALYZE "+table)
	},
	"truncate": func(m *moving, table string) { m.exec("TRUNCATE " + table); m.fill(table, 3) },
	"drop": func(m *moving, table string) {
		m.exec("CREATE TABLE again (LIKE "+table+" INCLUDING ALL)", "DROP TABLE "+table, "ALTER TABLE again RENAME TO "+table)
		if table == "keyed" {
			m.exec("ALTER INDEX again_pkey RENAME TO keyed_pkey")
		} else {
			m.exec("ALTER INDEX again_id_idx RENAME TO bare_id")
		}
		m.fill(table, 5)
	},
}

// sumOf tells a table's rows apart from those of any other state.
func sumOf(t *testing.T, db *sql.DB, table, row string) (text string, sum int64) {
	t.Helper()
	var n, ids int64
	var all sql.NullString
	if err := db.QueryRow("SELECT count(*), count(DISTINCT id), coalesce(sum(v), 0), "+row+" FROM "+table).Scan(&n, &ids, &sum, &all); err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	return fmt.Sprint(n, ids, sum, all.String), sum
}

// TestCopyWhileItChanges copies tables that writers change all the while, kills the copy, moves the table's rows about on the disk, empties
// it or makes it again, and goes on: what arrives is always one moment of the source, and equal to it once that is quiet.
func TestCopyWhileItChanges(t *testing.T) {
	t.Parallel()
	pg, maria := server.Postgres(t, "15"), server.MariaDB(t, "11.4")
	from, into := pg.Database(), pg.Database()
	role, secret := pg.Role(from, "SUPERUSER")
	name, password := maria.User("GRANT ALL ON *.* TO %s")
	t.Cleanup(func() { maria.Exec("DROP DATABASE IF EXISTS moved") })
	config := fmt.Sprintf("warehouses:\n  pg: { type: postgres, url: %q }\n  maria: { type: mysql, url: %q }\ndatabases:\n  app: { type: postgres, url: %q }\nmirrors:\n",
		pg.URL(role, secret, into), maria.URL(name, password, ""), pg.URL(role, secret, from))
	type flow struct{ name, table, target string }
	var flows []flow
	for _, target := range []string{"pg", "maria"} {
		for _, f := range [][3]string{
			{"keyed_replace", "keyed", "mode: replace"}, {"bare_replace", "bare", "mode: replace"}, {"log_append", "log", "mode: append, cursor: id"},
			{"keyed_upsert", "keyed", "mode: upsert, key: id, delete_missing: true, max_delete: 100%"},
		} {
			flows = append(flows, flow{f[0] + "_" + target, f[1], target})
			config += fmt.Sprintf("  %s_%s: { from: { database: app, table: %s }, into: { warehouse: %s, schema: moved }, %s }\n", f[0], target, f[1], target, f[2])
		}
	}
	s := rig.New(t, config)
	m := &moving{t: t, db: open(t, "pgx", pg.URL(role, secret, from)+"&default_query_exec_mode=simple_protocol")}
	m.exec(makeMoving)
	for _, table := range []string{"keyed", "bare", "log"} {
		m.fill(table, 0)
	}
	m.exec(fmt.Sprintf("SELECT setval('log_id_seq', %d)", movingRows))
	targets := map[string]*sql.DB{"pg": open(t, "pgx", pg.URL(role, secret, into)), "maria": maria.Open("")}
	hashes := map[string]string{
		"pg":    "sum(('x' || substr(md5(id || ':' || v || ':' || pad), 1, 8))::bit(32)::bigint)::text",
		"maria": "cast(sum(cast(conv(substr(md5(concat(id, ':', v, ':', pad)), 1, 8), 16, 10) AS unsigned)) AS decimal(40))",
	}
	seed := rig.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	sync := func(f flow) {
		t.Helper()
		if out, err := s.Run("sync", f.name); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	moment := func(f flow) {
		t.Helper()
		text, sum := sumOf(t, targets[f.target], "moved."+f.name, hashes[f.target])
		if f.table != "log" && sum != 0 {
			t.Errorf("%s shows more than one moment: %s", f.name, text)
		}
	}
	mx := &matrix{t: t, s: s}
	for round := range rig.Rounds(1) {
		f := flows[random.IntN(len(flows))]
		hows := slices.Sorted(maps.Keys(disturbances))
		if f.table == "log" {
			hows = []string{"cluster", "nothing", "vacuum full"}
		}
		how := hows[random.IntN(len(hows))]
		stop := m.write(f.table, seed+uint64(round))
		if random.IntN(2) == 0 {
			sync(f)
			moment(f)
		}
		cmd, stage, ended := mx.run(&cell{name: f.name})
		at := momentOf(random, stage, ended)
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if random.IntN(2) == 0 { // quiet from the kill on, so that what is staged may hold
			n := stop()
			stop = func() int64 { return n }
		}
		disturbances[how](m, f.table)
		sync(f)
		moment(f)
		n := stop()
		sync(f)
		got, _ := sumOf(t, targets[f.target], "moved."+f.name, hashes[f.target])
		if want, _ := sumOf(t, m.db, f.table, hashes["pg"]); got != want {
			t.Fatalf("%s, killed %s, then %s: %s, want %s", f.name, at, how, got, want)
		}
		t.Logf("%s: killed %s, then %s, beside %d transactions", f.name, at, how, n)
	}
}
