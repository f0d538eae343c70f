package mysql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/mysql"
	"firth/test/server"
)

var update = flag.Bool("update", false, "write the golden files")

// trouble is an error that is provoked on a real server, and how its hint mends it.
type trouble struct {
	name    string
	kind    warehouse.Kind
	provoke func(*provoker) error
	// mend is the part of the hint that an administrator runs; nil: there is nothing to run
	mend *regexp.Regexp
	// free does what no statement can
	free func(*provoker)
}

// provoker is what a trouble works with.
type provoker struct {
	t              *testing.T
	m              *server.Maria
	user, password string
	url            string
	options        mysql.Options
	disk           *server.Disk
	admin          *sql.DB
	held           []*sql.Conn
}

// load opens the warehouse and loads a row.
func (p *provoker) load() error {
	db, err := mysql.Open(p.t.Context(), p.url, p.options)
	if err != nil {
		return err
	}
	defer func() {
		if err := db.Close(); err != nil {
			p.t.Error(err)
		}
	}()
	_, err = db.Load(p.t.Context(), rowsAt(p.t, db, 1))
	return err
}

const testLog = "0b0e9fe0-0000-4000-8000-000000000001"

// rowsAt is the batch of n rows that follows in the schema production.
func rowsAt(t *testing.T, db *mysql.DB, n uint64) *warehouse.Batch {
	t.Helper()
	p, err := db.Positions(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	return rowsFrom(p[testLog].Next, n)
}

func rowsFrom(from, n uint64) *warehouse.Batch {
	w := &warehouse.Batch{Source: "production", Schema: "production", Log: testLog, From: from, To: from + n, ReceivedThrough: 1_700_000_000_000_000}
	b := &table.Batch{Name: "clicks", Columns: []table.Column{
		{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "uuid_ts", Type: table.Timestamp},
		{Name: "loaded_at", Type: table.Timestamp}, {Name: "n", Type: table.Integer, Path: "properties.n"},
	}}
	users := &table.Batch{Name: "users", Columns: b.Columns}
	for o := from; o < from+n; o++ {
		b.Rows = append(b.Rows, table.Row{Offset: o, Cells: []table.Cell{
			{Col: 0, Value: table.Text(fmt.Sprintf("id-%06d", o))}, {Col: 1, Value: table.Time(1_700_000_000_000_000 + int64(o))}, {Col: 4, Value: table.Int(int64(o))},
		}})
	}
	users.Rows = append(users.Rows, table.Row{Cells: []table.Cell{{Col: 0, Value: table.Text("ann")}, {Col: 1, Value: table.Time(1_700_000_000_000_000)}, {Col: 4, Value: table.Int(int64(from + n))}}})
	w.Tables, w.Upserts = []*table.Batch{b}, []*table.Batch{users}
	return w
}

const allGrants = "GRANT CREATE, ALTER, DROP, INDEX, SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES ON "

var (
	anyGrant = regexp.MustCompile(`GRANT .*`)
	anySet   = regexp.MustCompile(`SET GLOBAL \w+ = \w+`)
	anyAlter = regexp.MustCompile(`ALTER (USER|TABLE) .*? (IDENTIFIED BY '<password>'( PASSWORD EXPIRE NEVER)?|ACCOUNT UNLOCK|WITH .*|ENGINE=InnoDB)`)
	anyMake  = regexp.MustCompile(`CREATE USER .*? IDENTIFIED BY '<password>'`)
	anyBase  = regexp.MustCompile(`CREATE DATABASE .*`)
	anyMove  = regexp.MustCompile(`RENAME TABLE .*`)
)

func troubles() []trouble {
	exec := func(statements ...string) func(*provoker) error {
		return func(p *provoker) error {
			for _, s := range statements {
				p.m.Exec(strings.ReplaceAll(s, "{user}", p.user+"@'%'"))
			}
			return p.load()
		}
	}
	own := "GRANT ALL ON *.* TO {user}"
	loader := allGrants + "`production`.* TO {user}"
	books := allGrants + "`\\_firth%`.* TO {user}"
	return []trouble{
		{"wrong password", warehouse.BadLogin, exec(loader, books, "ALTER USER {user} IDENTIFIED BY 'another'"), anyAlter, nil},
		{"unknown user", warehouse.BadLogin, func(p *provoker) error {
			p.m.Exec("DROP USER " + p.user)
			return p.load()
		}, anyMake, func(p *provoker) { p.m.Exec(strings.ReplaceAll(own, "{user}", p.user+"@'%'")) }},
		{"account locked", warehouse.NoLogin, exec(loader, books, "ALTER USER {user} ACCOUNT LOCK"), anyAlter, nil},
		{"password expired", warehouse.NoLogin, exec(loader, books, "ALTER USER {user} PASSWORD EXPIRE"), anyAlter, nil},
		{"no right to the bookkeeping", warehouse.Denied, exec(loader), anyGrant, nil},
		{"no right to the schema", warehouse.Denied, exec(books), anyGrant, nil},
		{"no right to a table", warehouse.Denied, exec("CREATE DATABASE production", "CREATE TABLE production.clicks (id varchar(255), received_at datetime(6))",
			books, "GRANT SELECT, CREATE ON production.* TO {user}"), anyGrant, nil},
		{"unknown database", warehouse.NoDatabase, func(p *provoker) error {
			p.url = strings.TrimSuffix(p.url, "/") + "/nosuch"
			return exec(own)(p)
		}, anyBase, nil},
		{"too many connections", warehouse.TooMany, func(p *provoker) error {
			p.m.Exec("SET GLOBAL max_connections = 10", strings.ReplaceAll(loader, "{user}", p.user+"@'%'"), strings.ReplaceAll(books, "{user}", p.user+"@'%'"))
			// A connection that is closing yet may leave its place after others were taken.
			for range 20 {
				p.hold(20)
				if err := p.load(); err != nil {
					return err
				}
			}
			return nil
		}, anySet, (*provoker).release},
		{"too many connections of a user", warehouse.TooMany, func(p *provoker) error {
			p.m.Exec(strings.ReplaceAll(loader, "{user}", p.user+"@'%'"), strings.ReplaceAll(books, "{user}", p.user+"@'%'"), "ALTER USER "+p.user+" WITH MAX_USER_CONNECTIONS 1")
			p.hold(1)
			return p.load()
		}, anyAlter, nil},
		{"read only", warehouse.ReadOnly, exec(loader, books, "SET GLOBAL read_only = 1"), anySet, nil},
		{"a view in the place of a table", warehouse.BadName, exec(loader, books, "CREATE DATABASE production", "CREATE VIEW production.clicks AS SELECT 1 AS id"), anyMove, nil},
		{"a table without transactions", warehouse.NotThere, exec(loader, books, "CREATE DATABASE production", "CREATE TABLE production.clicks (id varchar(255)) ENGINE=MyISAM"), anyAlter, nil},
		{"a lock held", warehouse.Busy, func(p *provoker) error {
			if err := exec(loader, books)(p); err != nil {
				return err
			}
			p.url += "?innodb_lock_wait_timeout=1&lock_wait_timeout=1"
			conn := p.conn(p.admin)
			if _, err := conn.ExecContext(p.t.Context(), "LOCK TABLES production.clicks READ"); err != nil {
				p.t.Fatal(err)
			}
			return p.load()
		}, nil, (*provoker).release},
		{"too many columns", warehouse.TooMany, func(p *provoker) error {
			columns := make([]string, 1014)
			for i := range columns {
				columns[i] = fmt.Sprintf("c%d int", i)
			}
			return exec(loader, books, "CREATE DATABASE production", "CREATE TABLE production.clicks ("+strings.Join(columns, ", ")+")")(p)
		}, nil, func(p *provoker) { p.m.Exec("ALTER TABLE production.clicks DROP COLUMN c0, DROP COLUMN c1") }},
		{"disk full", warehouse.DiskFull, func(p *provoker) error {
			p.disk = p.m.SmallDatabase("production", 16)
			if err := exec(loader, books)(p); err != nil {
				return err
			}
			p.disk.Fill(0)
			return p.more()
		}, nil, func(p *provoker) { p.disk.Free() }},
		{"no such host", warehouse.NoHost, func(p *provoker) error {
			p.url = "mysql://" + p.user + ":" + p.password + "@nosuch.invalid:3306/"
			return p.load()
		}, nil, (*provoker).home},
		{"connection refused", warehouse.Down, func(p *provoker) error {
			p.url = fmt.Sprintf("mysql://%s:%s@127.0.0.1:%d/", p.user, p.password, server.Port(p.t))
			return p.load()
		}, nil, (*provoker).home},
		{"no answer", warehouse.Timeout, func(p *provoker) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				p.t.Fatal(err)
			}
			p.t.Cleanup(func() { _ = l.Close() })
			p.url = "mysql://" + p.user + ":" + p.password + "@" + l.Addr().String() + "/?timeout=200ms"
			return p.load()
		}, nil, (*provoker).home},
	}
}

// home goes back to the real server.
func (p *provoker) home() {
	p.m.Exec("GRANT ALL ON *.* TO " + p.user)
	p.url = p.m.URL(p.user, p.password, "")
}

// conn takes a connection and holds it.
func (p *provoker) conn(db *sql.DB) *sql.Conn {
	conn, err := db.Conn(p.t.Context())
	if err != nil {
		return nil
	}
	p.held = append(p.held, conn)
	return conn
}

// hold takes as many connections of the user as there are, up to n.
func (p *provoker) hold(n int) {
	db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/", p.user, p.password, p.m.Addr()))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = db.Close() }) // connections may be gone
	for range n {
		if p.conn(db) == nil {
			return
		}
	}
}

func (p *provoker) release() {
	for _, c := range p.held {
		_ = c.Raw(func(any) error { return driver.ErrBadConn }) // not back to the pool: it may hold locks
		_ = c.Close()
	}
	p.held = nil
}

// more loads until something is wrong.
func (p *provoker) more() error {
	db, err := mysql.Open(p.t.Context(), p.url, p.options)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the server may be in trouble
	for range 100 {
		if _, err := db.Load(p.t.Context(), rowsAt(p.t, db, 2000)); err != nil {
			return err
		}
	}
	return errors.New("the disk never was full")
}

// TestErrors provokes each trouble on a real server, holds what is said of it to a golden file, and runs the printed statement as
// an administrator: then the load goes through.
func TestErrors(t *testing.T) {
	m := server.OwnMariaDB(t, version())
	var golden strings.Builder
	for _, c := range troubles() {
		t.Run(c.name, func(t *testing.T) {
			m.Wipe()
			m.Exec("SET GLOBAL read_only = 0", "SET GLOBAL max_connections = 151")
			p := &provoker{t: t, m: m, admin: m.Open("mysql")}
			p.user, p.password = m.User()
			p.url = m.URL(p.user, p.password, "")
			err := c.provoke(p)
			record(t, &golden, p, c, err)
			if c.mend != nil {
				statement := c.mend.FindString(warehouse.HintOf(err))
				if statement == "" {
					t.Fatalf("no statement in the hint %q", warehouse.HintOf(err))
				}
				m.Exec(strings.ReplaceAll(statement, "<password>", p.password))
			}
			if c.free != nil {
				c.free(p)
			}
			if err := p.load(); err != nil {
				t.Errorf("after it was mended: %v (%s)", err, warehouse.HintOf(err))
			}
			p.release()
		})
	}
	tlsTroubles(t, &golden)
	if version() == "11.4" { // others say it in other words
		compare(t, "testdata/errors.txt", golden.String())
	}
}

func tlsTroubles(t *testing.T, golden *strings.Builder) {
	m := server.MariaTLS(t, "11.4", "127.0.0.1")
	user, password := m.User("GRANT ALL ON *.* TO %s")
	plain := m.URL(user, password, "")
	for _, c := range []struct {
		trouble
		url  string
		mend mysql.Options
	}{
		{trouble{name: "TLS required", kind: warehouse.NeedsTLS}, plain, mysql.Options{CA: m.CA}},
		{trouble{name: "certificate not trusted", kind: warehouse.BadTLS}, plain + "?tls=true", mysql.Options{CA: m.CA}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &provoker{t: t, m: m, user: user, password: password, url: c.url}
			record(t, golden, p, c.trouble, p.load())
			p.options = c.mend
			if err := p.load(); err != nil {
				t.Errorf("after it was mended: %v", err)
			}
		})
	}
}

// record adds what is said of a trouble to the golden text, without what differs from run to run.
func record(t *testing.T, golden *strings.Builder, p *provoker, c trouble, err error) {
	t.Helper()
	if warehouse.KindOf(err) != c.kind {
		t.Fatalf("%v of kind %s, want kind %s", err, warehouse.KindOf(err), c.kind)
	}
	hint := warehouse.HintOf(err)
	if hint == "" {
		t.Errorf("%v: no hint", err)
	}
	text := fmt.Sprintf("%s (%s)\n  %v\n  %s\n", c.name, c.kind, err, hint)
	if strings.Contains(text, p.password) {
		t.Errorf("the password is in %q", text)
	}
	text = strings.ReplaceAll(text, p.user, "loader")
	text = strings.ReplaceAll(text, "Error 1040 (08004)", "Error 1040") // MariaDB leaves the state out where it refuses before the handshake
	text = regexp.MustCompile(` on \S+:53:`).ReplaceAllString(text, ":")
	golden.WriteString(regexp.MustCompile(`127\.0\.0\.1:\d+(->127\.0\.0\.1:\d+)?`).ReplaceAllString(text, "127.0.0.1:PORT"))
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got && !t.Failed() {
		t.Errorf("%s differs (-update writes it anew):\n%s", file, got)
	}
}

// TestNoSecrets: whatever is wrong with a url, its password is in no message.
func TestNoSecrets(t *testing.T) {
	const secret = "s3cr3t"
	for _, url := range []string{
		"mysql://u:" + secret + "@[::1:3306/", "mysql://u:" + secret + "%zz@h/", "mysql://u:" + secret + "@h:port/", "mysql://u:" + secret + "@h/?tls=nosuch",
		"mysql://u:" + secret + "@h/?timeout=" + secret[:1], "u:" + secret + "@tcp(h:3306", "u:" + secret, "postgres://u:" + secret + "@h/", "u:" + secret + "@tcp(127.0.0.1:1)/",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := mysql.Open(ctx, url, mysql.Options{Name: "w"})
		if err == nil {
			t.Errorf("%s was opened", url)
		} else if text := err.Error() + warehouse.HintOf(err); strings.Contains(text, secret) {
			t.Errorf("the password is in %q", text)
		}
		for _, f := range mysql.Check(ctx, url, mysql.Options{}, nil) {
			if strings.Contains(f.Found+f.Hint, secret) {
				t.Errorf("the password is in %+v", f)
			}
		}
		if text, err := mysql.Setup(url, nil); strings.Contains(fmt.Sprint(text, err), secret) {
			t.Errorf("the password is in %q, %v", text, err)
		}
		cancel()
	}
}
