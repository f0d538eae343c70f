package mirror

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

// matrix is a server with a mirror of each kind of source, of each mode, into each kind of warehouse.
type matrix struct {
	t       *testing.T
	s       *rig.Server
	origins map[string]origin
	targets map[string]*sql.DB // nil: the server's own
	cells   []*cell
	version int64
}

// cell is one mirror.
type cell struct {
	name, origin, mode, target, table string
}

// modes are the lines of a mirror, by what is tested of it.
var modes = map[string]string{
	"replace": "mode: replace",
	"upsert":  "mode: upsert, key: id, delete_missing: true",
	"history": "mode: upsert, key: id, delete_missing: true, history: true",
	"append":  "mode: append, cursor: id",
	"get":     "",
}

func newMatrix(t *testing.T) *matrix {
	pg := server.Postgres(t, "15")
	maria := server.MariaDB(t, "11.4")
	from, into, marias := pg.Database(), pg.Database(), maria.Database()
	admin := func(database string) (string, *sql.DB) {
		name, password := pg.Role(database, "SUPERUSER")
		url := pg.URL(name, password, database)
		return url, open(t, "pgx", url)
	}
	fromURL, fromDB := admin(from)
	intoURL, intoDB := admin(into)
	name, password := maria.User("GRANT ALL ON *.* TO %s")
	file := filepath.Join(t.TempDir(), "app.db")
	lite := open(t, "sqlite", "file:"+file+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)")
	m := &matrix{
		t: t, targets: map[string]*sql.DB{"local": nil, "pg": intoDB, "maria": maria.Open("")},
		origins: map[string]origin{
			"postgres": newSQLOrigin(t, fromDB, "app", fmt.Sprintf("  app: { type: postgres, url: %q }\n", fromURL), "public."),
			"mysql":    newSQLOrigin(t, maria.Open(marias), "shop", fmt.Sprintf("  shop: { type: mysql, url: %q }\n", maria.URL(name, password, marias)), ""),
			"sqlite":   newSQLOrigin(t, lite, "file", fmt.Sprintf("  file: { type: sqlite, url: %q }\n", file), ""),
			"exec":     newExecOrigin(t), "pair": newPairOrigin(t),
		},
	}
	t.Cleanup(func() { maria.Exec("DROP DATABASE IF EXISTS copied") })
	m.s = rig.New(t, fmt.Sprintf("warehouses:\n  pg: { type: postgres, url: %q }\n  maria: { type: mysql, url: %q }\n%s", intoURL, maria.URL(name, password, ""), m.config()))
	return m
}

func open(t *testing.T, driver, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // the server may be gone
	return db
}

// config are databases and mirrors of firth.yaml.
func (m *matrix) config() string {
	databases, mirrors := "databases:\n", "mirrors:\n"
	for name, o := range m.origins {
		entry, blocks := o.config()
		databases += entry
		for mode, lines := range modes {
			block := blocks["things"]
			if mode == "append" {
				block = blocks["log"]
			}
			if (name == "pair") != (mode == "get") {
				continue
			}
			for target := range m.targets {
				c := &cell{name: name + "_" + mode + "_" + target, origin: name, mode: mode, target: target, table: name + "_" + mode}
				m.cells = append(m.cells, c)
				warehouse := ""
				if target != "local" {
					warehouse = "warehouse: " + target + ", "
				}
				mirrors += fmt.Sprintf("  %s:\n    %s\n    into: { %sschema: copied, table: %s }\n", c.name, block, warehouse, c.table)
				for line := range strings.SplitSeq(lines, ", ") {
					mirrors += "    " + line + "\n"
				}
			}
		}
	}
	return databases + mirrors
}

// rows are those of a mirror's table, of a history the present ones; nil: there is no table yet.
func (m *matrix) rows(c *cell) []row {
	m.t.Helper()
	query := "SELECT id, coalesce(name, '-'), v FROM copied." + c.table
	if c.mode == "history" {
		query += " WHERE _valid_to IS NULL"
	}
	if db := m.targets[c.target]; db != nil {
		return readRows(m.t, db, query)
	}
	out, err := m.s.SQL("SELECT string_agg(id || ':' || name || ':' || v, ',') FROM (" + strings.Replace(query, "coalesce(name, '-')", "coalesce(name, '-') AS name", 1) + ")")
	if err != nil {
		m.t.Fatalf("%s: %v", c.name, err)
	}
	var list []row
	text, _ := out.Rows[0][0].(string)
	for part := range strings.SplitSeq(text, ",") {
		var r row
		fields := strings.SplitN(part, ":", 3)
		if len(fields) < 3 {
			continue
		}
		r.ID, _ = strconv.ParseInt(fields[0], 10, 64)
		r.Name = fields[1]
		r.V, _ = strconv.ParseInt(fields[2], 10, 64)
		list = append(list, r)
	}
	return list
}

// count asks a warehouse for a number; ok is false while it cannot be asked.
func (m *matrix) count(c *cell, query string) (n int, ok bool) {
	if db := m.targets[c.target]; db != nil {
		return n, db.QueryRow(query).Scan(&n) == nil
	}
	n, err := m.s.Count(query)
	return n, err == nil
}

// equal compares a mirror with its source, and looks for what should not have stayed.
func (m *matrix) equal(c *cell) {
	m.t.Helper()
	want := m.origins[c.origin].things
	if c.mode == "append" {
		want = m.origins[c.origin].log
	}
	if got, want := digestOf(m.rows(c)), digestOf(want()); got != want {
		m.t.Fatalf("%s is %s, the source %s", c.name, got, want)
	}
	tables := "information_schema.tables WHERE table_schema = 'copied' AND table_name"
	if c.target == "local" {
		tables = "duckdb_tables() WHERE schema_name = 'copied' AND table_name"
	}
	for _, prefix := range []string{"_firth_stage_", "_firth_keys_"} {
		if n, ok := m.count(c, "SELECT count(*) FROM "+tables+" = '"+prefix+c.table+"'"); !ok || n > 0 {
			m.t.Errorf("%s: %d tables %s stayed (asked: %v)", c.name, n, prefix, ok)
		}
	}
	if c.mode == "history" {
		if n, ok := m.count(c, "SELECT count(*) FROM (SELECT id FROM copied."+c.table+" GROUP BY id, _valid_from HAVING count(*) > 1) AS d"); !ok || n > 0 {
			m.t.Errorf("%s: %d rows begin twice (asked: %v)", c.name, n, ok)
		}
		const follows = "SELECT _valid_to, lead(_valid_from) OVER (PARTITION BY id ORDER BY _valid_from) AS follows FROM copied."
		if n, ok := m.count(c, "SELECT count(*) FROM ("+follows+c.table+") AS d WHERE follows IS NOT NULL AND (_valid_to IS NULL OR _valid_to > follows)"); !ok || n > 0 {
			m.t.Errorf("%s: %d rows overlap in time (asked: %v)", c.name, n, ok)
		}
	}
}

func (m *matrix) sync(c *cell) {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, err := m.s.Run("sync", c.name)
		if err == nil {
			return
		}
		// What a killed command had asked the server to do may go on for a moment.
		if !strings.Contains(out, "is under way") || time.Now().After(deadline) {
			m.t.Fatalf("%v\n%s", err, out)
		}
	}
}

// watch asks again and again what readers of a table see, until stop is called.
func (m *matrix) watch(c *cell) (stop func()) {
	if c.mode == "append" || c.mode == "get" { // the one has many versions, the other is published by groups
		return func() {}
	}
	condition := ""
	if c.mode == "history" {
		condition = " WHERE _valid_to IS NULL"
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			if n, ok := m.count(c, "SELECT CASE WHEN min(v) = max(v) AND count(*) > 0 THEN 1 ELSE 0 END FROM copied."+c.table+condition); ok && n != 1 {
				m.t.Errorf("a reader of %s saw half a copy", c.name)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	return func() { cancel(); group.Wait() }
}

// run begins a run as a command and returns its process, what it tells on the way, and a channel that is closed at its end.
func (m *matrix) run(c *cell) (cmd *exec.Cmd, stage *atomic.Value, ended chan struct{}) {
	m.t.Helper()
	cmd = exec.Command(rig.Binary(m.t), "sync", c.name, "-c", filepath.Join(m.s.Dir, "firth.yaml"))
	told, err := cmd.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	stage, ended = &atomic.Value{}, make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(told)
		for lines.Scan() {
			stage.Store(lines.Text())
		}
		_, _ = io.Copy(io.Discard, told)
		_ = cmd.Wait() // it is killed, as a rule
	}()
	return cmd, stage, ended
}

// momentOf waits for the moment of the kill: a named step of the run, or any.
func momentOf(r *rand.Rand, stage *atomic.Value, ended chan struct{}) string {
	step := []string{"", "", "read", "publish"}[r.IntN(4)]
	if step == "" {
		pause := time.Duration(r.IntN(1200)) * time.Millisecond
		select {
		case <-ended:
		case <-time.After(pause):
		}
		return "after " + pause.String()
	}
	for {
		select {
		case <-ended:
			return "at its end"
		case <-time.After(time.Millisecond):
		}
		if text, _ := stage.Load().(string); strings.Contains(text, ": "+step) {
			pause := time.Duration(r.IntN(80)) * time.Millisecond
			time.Sleep(pause)
			return "at " + step + " + " + pause.String()
		}
	}
}

// strike kills somebody while a mirror runs, and brings everything up again.
func (m *matrix) strike(r *rand.Rand, c *cell) string {
	m.t.Helper()
	victim := []string{"server", "child", "command", "command alone"}[r.IntN(4)]
	if victim == "command alone" {
		m.s.Kill()
	}
	cmd, stage, ended := m.run(c)
	at := momentOf(r, stage, ended)
	switch victim {
	case "server":
		m.s.Kill()
	case "child":
		if pid := m.s.ChildPID(); pid > 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				m.t.Fatal(err)
			}
		}
	}
	_ = cmd.Process.Kill() // it may have ended
	<-ended
	if victim == "server" || victim == "command alone" {
		m.s.Start()
	}
	m.s.Eventually(time.Minute, "the answering half", func() error { _, err := m.s.Count("SELECT 1"); return err })
	return victim + " " + at
}

// kept checks that a table has lost no row that its source still has.
func (m *matrix) kept(c *cell, before []row) {
	m.t.Helper()
	if c.mode == "append" {
		return
	}
	still, after := map[int64]bool{}, map[int64]bool{}
	for _, r := range m.origins[c.origin].things() {
		still[r.ID] = true
	}
	for _, r := range m.rows(c) {
		after[r.ID] = true
	}
	lost := 0
	for _, r := range before {
		if still[r.ID] && !after[r.ID] {
			lost++
		}
	}
	if lost > 0 {
		m.t.Errorf("%s lost %d rows that the source has", c.name, lost)
	}
}

// TestKillsOfEveryMode kills the server, its answering half and firth sync while mirrors of all kinds of sources and modes run into all kinds
// of warehouses; the next run makes the table equal to the source, and readers have seen nothing else than whole tables.
func TestKillsOfEveryMode(t *testing.T) {
	t.Parallel()
	m := newMatrix(t)
	m.s.Start()
	random := rand.New(rand.NewPCG(rig.Seed(t), 0))
	slices.SortFunc(m.cells, func(a, b *cell) int { return strings.Compare(a.name, b.name) })
	random.Shuffle(len(m.cells), func(i, j int) { m.cells[i], m.cells[j] = m.cells[j], m.cells[i] })
	known := map[*cell]bool{}
	for round := range rig.Rounds(6) {
		c := m.cells[round%len(m.cells)]
		var before []row
		if !known[c] && random.IntN(3) > 0 {
			m.sync(c)
			m.equal(c)
			known[c] = true
		}
		stop := func() {}
		if known[c] {
			before, stop = m.rows(c), m.watch(c)
		}
		m.version++
		m.origins[c.origin].change(m.version)
		what := ""
		for range 1 + random.IntN(2) {
			what += m.strike(random, c) + "; "
		}
		if known[c] {
			m.kept(c, before)
		}
		m.sync(c)
		stop()
		m.equal(c)
		known[c] = true
		t.Logf("%s: %s", c.name, what)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}
