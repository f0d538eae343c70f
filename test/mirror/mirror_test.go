// Package mirror copies tables of real databases with the real binary, kills it at random moments, and compares.
package mirror

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/test/rig"
	"firth/test/server"
)

const rows = 40_000

// Every row carries the version v of the last change of all, so that a reader who sees two has seen half a copy.
const table = `CREATE TABLE public.things (id bigint PRIMARY KEY, name text, amount numeric(12,2), v integer NOT NULL, at timestamptz NOT NULL);
INSERT INTO public.things SELECT i, 'thing ' || i, i / 3.0, 0, '2024-01-01'::timestamptz + i * interval '1 second' FROM generate_series(1, %d) AS i;
CREATE TABLE public.log (id bigint PRIMARY KEY, text text);
INSERT INTO public.log SELECT i, repeat('line ', 20) || i FROM generate_series(1, %d) AS i;
ANALYZE`

// bench is a database beside a server that copies it into its own warehouse and into another PostgreSQL database.
type bench struct {
	t    *testing.T
	s    *rig.Server
	conn *pgx.Conn
}

func newBench(t *testing.T) *bench {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	name, password := pg.Role(database, "SUPERUSER")
	url := pg.URL(name, password, database)
	b := &bench{t: t, conn: pg.Connect(database)}
	b.exec(fmt.Sprintf(table, rows, rows))
	b.s = rig.New(t, fmt.Sprintf(`
warehouses:
  away: { type: postgres, url: %q }
databases:
  app: { type: postgres, url: %q }
mirrors:
  things_replace: { from: { database: app, table: public.things }, into: { schema: copied }, mode: replace }
  things_upsert: { from: { database: app, table: public.things }, into: { schema: copied }, mode: upsert, key: id, delete_missing: true }
  log_append: { from: { database: app, table: public.log }, into: { schema: copied }, mode: append, cursor: id }
  away_replace: { from: { database: app, table: public.things }, into: { warehouse: away, schema: copied }, mode: replace }
  away_upsert: { from: { database: app, table: public.things }, into: { warehouse: away, schema: copied }, mode: upsert, key: id, delete_missing: true }
  away_append: { from: { database: app, table: public.log }, into: { warehouse: away, schema: copied }, mode: append, cursor: id }
`, url, url))
	return b
}

func (b *bench) exec(statement string) {
	b.t.Helper()
	if _, err := b.conn.Exec(context.Background(), statement); err != nil {
		b.t.Fatal(err)
	}
}

// change makes the source another: rows change, come and go.
func (b *bench) change(version int) {
	b.t.Helper()
	b.exec(fmt.Sprintf(`BEGIN;
UPDATE public.things SET v = %[1]d, at = at + interval '1 hour', name = CASE WHEN id %% 5 = 0 THEN 'changed %[1]d' ELSE name END;
DELETE FROM public.things WHERE id %% 1000 = %[1]d;
INSERT INTO public.things SELECT 1000000 + %[1]d * 1000 + i, NULL, i, %[1]d, '2026-01-01' FROM generate_series(1, 50) AS i;
INSERT INTO public.log SELECT 1000000 + %[1]d * 1000 + i, 'more' FROM generate_series(1, 500) AS i;
COMMIT`, version))
}

const (
	thingsText = "SELECT count(*) || ' ' || md5(string_agg(id || ':' || coalesce(name, '-') || ':' || amount || ':' || v, ',' ORDER BY id)) FROM "
	logText    = "SELECT count(*) || ' ' || md5(string_agg(id || ':' || text, ',' ORDER BY id)) FROM "
)

// here asks the database for one text.
func (b *bench) here(query string) string {
	b.t.Helper()
	var out string
	if err := b.conn.QueryRow(context.Background(), query).Scan(&out); err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
	return out
}

// there asks the server's own warehouse.
func (b *bench) there(query string) string {
	b.t.Helper()
	out, err := b.s.SQL(query)
	if err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
	return fmt.Sprint(out.Rows[0][0])
}

// equal compares the table of a mirror with the source.
func (b *bench) equal(name string) {
	b.t.Helper()
	query, source := thingsText, "public.things"
	if name == "log_append" || name == "away_append" {
		query, source = logText, "public.log"
	}
	ask := b.there
	if name[:4] == "away" {
		ask = b.here
	}
	if got, want := ask(query+"copied."+name), b.here(query+source); got != want {
		b.t.Fatalf("%s is %s, the source %s", name, got, want)
	}
}

func (b *bench) sync(name string) {
	b.t.Helper()
	out, err := b.s.Run("sync", name)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	b.t.Logf("%s", out)
}

// watch asks again and again what readers see, until stop is called, and fails for every answer that is half a copy.
func (b *bench) watch(ctx context.Context, names ...string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	seen := 0
	group.Go(func() {
		for ctx.Err() == nil {
			for _, n := range names {
				out, err := b.s.SQL("SELECT min(v), max(v), count(*) FROM copied." + n)
				if err != nil {
					continue // the server is gone, or the table is not there yet
				}
				r := out.Rows[0]
				if fmt.Sprint(r[0]) != fmt.Sprint(r[1]) || fmt.Sprint(r[2]) == "0" {
					b.t.Errorf("a reader of %s saw the versions %v and %v in %v rows", n, r[0], r[1], r[2])
				}
				seen++
			}
		}
	})
	return func() {
		cancel()
		group.Wait()
		if seen == 0 {
			b.t.Error("no reader saw anything")
		}
	}
}

func TestKilledServerThenEqual(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.s.Start()
	names := []string{"things_replace", "things_upsert", "log_append"}
	for _, n := range names {
		b.sync(n)
		b.equal(n)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	stop := b.watch(t.Context(), names[:2]...)
	for round := 1; round <= rig.Rounds(3); round++ {
		b.change(round)
		name := names[round%len(names)]
		var run sync.WaitGroup
		run.Go(func() { _, _ = b.s.Run("sync", name) }) // its server is killed
		time.Sleep(time.Duration(rnd.IntN(1500)) * time.Millisecond)
		b.s.Kill()
		run.Wait()
		b.s.Start()
		b.s.Eventually(time.Minute, "the answering half", func() error { _, err := b.s.Count("SELECT 1"); return err })
		b.sync(name)
		b.equal(name)
	}
	stop()
	for _, n := range names {
		b.sync(n)
		b.equal(n)
	}
}

func TestKilledCommandThenEqual(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	names := []string{"away_replace", "away_upsert", "away_append"}
	for _, n := range names {
		b.sync(n)
		b.equal(n)
	}
	rnd := rand.New(rand.NewPCG(2, uint64(time.Now().UnixNano())))
	for round := 1; round <= rig.Rounds(3); round++ {
		b.change(round)
		name := names[round%len(names)]
		before := b.here("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM copied." + name + " AS t")
		cmd := exec.Command(rig.Binary(t), "sync", name, "-c", filepath.Join(b.s.Dir, "firth.yaml"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rnd.IntN(1500)) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		killed := cmd.Wait() != nil
		if after := b.here("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM copied." + name + " AS t"); killed && after != before {
			b.equal(name) // it was published before the kill, as a whole
		}
		b.sync(name)
		b.equal(name)
	}
}
