// Package warehouse runs the real binary against real PostgreSQL and MariaDB servers: what is sent by HTTP must be in their tables, each
// event once, whoever is killed, cut off or restarted in between.
package warehouse

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"firth/test/rig"
	"firth/test/server"
)

// TestMain lets four tests run at a time, unless -parallel says otherwise, since they wait for servers and schedules for most of their time.
func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		if err := flag.Set("test.parallel", "4"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// patience is how long a warehouse may take to have what was acknowledged, from the moment on that nothing is in its way; a runner that
// has failed often waits up to half of it before it tries again.
const patience = 90 * time.Second

// target is a database that is loaded.
type target struct {
	kind  string // as configured
	url   string // of the user that loads
	addr  string // of the server
	db    *sql.DB
	stop  func()
	start func()
	t     *testing.T
}

// postgres is a database of a version of PostgreSQL, loaded by a user with the least rights.
func postgres(t *testing.T, version string) *target {
	t.Helper()
	return onPostgres(t, server.Postgres(t, version))
}

func onPostgres(t *testing.T, pg *server.PG) *target {
	t.Helper()
	url, database := pg.Loader()
	db, err := sql.Open("pgx", pg.URL("postgres", adminOf(t, pg.Admin), database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // the server may be gone
	return &target{kind: "postgres", url: url, addr: pg.Addr(), db: db, stop: pg.Stop, start: pg.Start, t: t}
}

// adminOf is the password in a URL.
func adminOf(t *testing.T, url string) string {
	t.Helper()
	_, rest, _ := strings.Cut(url, "://")
	_, rest, _ = strings.Cut(rest, ":")
	password, _, ok := strings.Cut(rest, "@")
	if !ok {
		t.Fatal("the URL has no password")
	}
	return password
}

// loaderRights are what a user needs that loads into a MySQL server, by schema.
const loaderRights = "CREATE, ALTER, DROP, INDEX, SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES"

// leases are the MariaDB servers of this test binary, by version: the names of those that a test has.
var leases = struct {
	sync.Mutex
	taken map[string]bool
}{taken: map[string]bool{}}

// lease is a MariaDB server with nothing in it, which no other test uses meanwhile: a schema there is named after its source, so tests
// cannot share one at a time. It is the test's to stop and start.
func lease(t *testing.T, version string) *server.Maria {
	t.Helper()
	leases.Lock()
	defer leases.Unlock()
	name := ""
	for i := 0; name == "" || leases.taken[name]; i++ {
		name = fmt.Sprintf("%s # %d", version, i)
	}
	leases.taken[name] = true
	t.Cleanup(func() {
		leases.Lock()
		defer leases.Unlock()
		delete(leases.taken, name)
	})
	_, comment, _ := strings.Cut(name, " ")
	m := server.MariaDB(t, version, comment)
	m.Wipe()
	return m
}

// mariaDB is a server of a version of MariaDB, loaded by a user with the least rights for the schema of the source production.
func mariaDB(t *testing.T, version string) *target {
	t.Helper()
	m := lease(t, version)
	name, password := m.User("GRANT "+loaderRights+" ON `\\_firth%`.* TO %s", "GRANT "+loaderRights+" ON `production`.* TO %s")
	return &target{kind: "mysql", url: m.URL(name, password, ""), addr: m.Addr(), db: m.Open("mysql"), stop: m.Stop, start: m.Start, t: t}
}

// via is the URL through a proxy.
func (d *target) via(p *server.Proxy) string { return server.Via(d.url, p.Addr) }

// warehouse is a warehouse in firth.yaml; more are lines of it.
func (d *target) warehouse(name, url string, more ...string) string {
	return fmt.Sprintf("  %s: { type: %s, url: %q%s }\n", name, d.kind, url, strings.Join(append([]string{""}, more...), ", "))
}

const sources = "sources:\n  production: { write_key: k }\n"

// quick is a lake that is flushed often.
const quick = "lake: { flush: { every: 100ms } }\n"

// serve starts a server with warehouses.
func serve(t *testing.T, warehouses ...string) *rig.Server {
	t.Helper()
	s := rig.New(t, sources+quick+"warehouses:\n"+strings.Join(warehouses, ""))
	s.Start()
	return s
}

// ask asks for rows of text; NULL is the text NULL.
func (d *target) ask(query string, args ...any) ([][]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	rows, err := d.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for rows.Next() {
		cells := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(names))
		for i, c := range cells {
			row[i] = "NULL"
			if c.Valid {
				row[i] = c.String
			}
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// must is ask for a query that cannot fail.
func (d *target) must(query string, args ...any) [][]string {
	d.t.Helper()
	rows, err := d.ask(query, args...)
	if err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	return rows
}

// exec runs a statement as an administrator.
func (d *target) exec(statement string) {
	d.t.Helper()
	if _, err := d.db.ExecContext(d.t.Context(), statement); err != nil {
		d.t.Fatalf("%s: %v", statement, err)
	}
}

// question asks what a relation holds of each sender of a load: rows, ids, highest number.
func (d *target) question(relation string) string {
	sender, number := "split_part(id, '-', 1)", "CAST(split_part(id, '-', 2) AS bigint)"
	if d.kind == "mysql" {
		sender, number = "substring_index(id, '-', 1)", "CAST(substring_index(id, '-', -1) AS unsigned)"
	}
	from := "production.tracks"
	if relation == rig.Events {
		var parts []string
		for i := range rig.EventTables {
			parts = append(parts, fmt.Sprintf("SELECT id FROM production.thing_%d WHERE id LIKE concat('%%-', n)", i))
		}
		from = "(" + strings.Join(parts, " UNION ALL ") + ") AS e"
	}
	return fmt.Sprintf("SELECT %s, count(*), count(DISTINCT id), max(%s) FROM %s WHERE id LIKE 's%%-%%' GROUP BY 1", sender, number, from)
}

// see returns how many rows a relation holds of each sender. It fails when that is no beginning of what the sender sent, each once.
func (d *target) see(relation string) (map[string]int64, error) {
	rows, err := d.ask(d.question(relation))
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, row := range rows {
		var n [3]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(row[i+1], 10, 64); err != nil {
				return nil, err
			}
		}
		out[row[0]] = n[0]
		if n[0] != n[1] || n[0] != n[2]+1 {
			return nil, &wrongError{fmt.Sprintf("%s of %s in %s: %d rows with %d ids, the highest number is %d: doubled, lost or out of order", relation, row[0], d.kind, n[0], n[1], n[2])}
		}
	}
	return out, nil
}

// wrongError says that an answer is wrong, which no waiting mends.
type wrongError struct{ text string }

func (e *wrongError) Error() string { return e.text }

// look sees once, where somebody answers; what is answered must be right.
func (d *target) look() {
	d.t.Helper()
	for _, relation := range []string{rig.Tracks, rig.Events} {
		_, err := d.see(relation)
		if wrong := (*wrongError)(nil); errors.As(err, &wrong) {
			d.t.Error(err)
		}
	}
}

// settle waits until the tables hold what was acknowledged, each event once, and nothing else. Patience begins anew whenever there are
// more rows.
func (d *target) settle(s *rig.Server, l *rig.Load) {
	d.t.Helper()
	for _, relation := range []string{rig.Tracks, rig.Events} {
		have, grown := int64(-1), time.Now()
		for {
			rows, err := d.settled(l, relation)
			if err == nil {
				break
			}
			if wrong := (*wrongError)(nil); errors.As(err, &wrong) {
				d.t.Fatal(err)
			}
			if rows > have {
				have, grown = rows, time.Now()
			}
			if time.Since(grown) > patience {
				_, components, _ := s.Ready()
				d.t.Fatalf("waited %s for %s in %s: %v\n%+v", patience, relation, d.kind, err, components)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func (d *target) settled(l *rig.Load, relation string) (have int64, err error) {
	seen, err := d.see(relation)
	if err != nil {
		return 0, err
	}
	var missing error
	for name, want := range l.AckedBy() {
		have += seen[name]
		switch {
		case seen[name] > want:
			return have, &wrongError{fmt.Sprintf("%s in %s: %d rows of sender %s, more than the %d that it sent", relation, d.kind, seen[name], name, want)}
		case seen[name] < want:
			missing = fmt.Errorf("%d rows of sender %s, want %d", seen[name], name, want)
		}
	}
	return have, missing
}

// relations are the names of all tables that users' programs made, temporary ones included.
func (d *target) relations() []string {
	d.t.Helper()
	query := `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1`
	if d.kind == "mysql" {
		query = `SELECT concat(table_schema, '.', table_name) FROM information_schema.tables
			WHERE table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') ORDER BY 1`
	}
	var out []string
	for _, row := range d.must(query) {
		out = append(out, row[0])
	}
	return out
}

// leavesNothing checks, when the server that loads has ended, that there are the tables of the events, and the bookkeeping, and nothing
// else.
func (d *target) leavesNothing() {
	d.t.Helper()
	var known []string
	for _, name := range []string{"tracks", "identifies", "users", "groups", "accounts", "pages", "screens", "aliases", "firth_discards"} {
		known = append(known, "production."+name)
	}
	for i := range rig.EventTables {
		known = append(known, fmt.Sprintf("production.thing_%d", i))
	}
	other := func() (out []string) {
		for _, name := range d.relations() {
			if !slices.Contains(known, name) && (!strings.HasPrefix(name, "_firth.") || strings.Contains(name, "stag") || strings.Contains(name, "tmp")) {
				out = append(out, name)
			}
		}
		return out
	}
	// The database's server may be about to notice that its client is gone.
	for deadline := time.Now().Add(time.Minute); len(other()) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Errorf("left behind in %s: %q", d.kind, other())
			return
		}
	}
}
