package server

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Maria is a MariaDB server as one test sees it. Methods fail the test when they cannot do their work; they may be called from several
// goroutines.
type Maria struct {
	Version string
	Dir     string // its data folder
	Host    string
	Port    int
	Admin   string // URL of a user who may do everything
	CA      string // file of the authority whose certificate it shows; empty where the test did not ask for TLS
	t       testing.TB
	p       *process
	count   *atomic.Int64
}

// adminUser is MariaDB's user who may do everything.
const adminUser = "admin"

// sharedMaria are the servers of this test binary, by version and configuration; sharedLock guards it.
var sharedMaria = map[string]*Maria{}

// MariaDB returns the MariaDB server of this test binary with a version ("11.4", "10.11") and lines of its [mysqld] section beyond the
// usual ones. The first call starts it; one that a test has stopped and left so is started again. A database is a schema of a warehouse
// there, so tests that use the same names run one after the other and begin with [Maria.Wipe], or take a server of their own.
func MariaDB(t testing.TB, version string, conf ...string) *Maria {
	t.Helper()
	sharedLock.Lock()
	defer sharedLock.Unlock()
	key := version + "\n" + strings.Join(conf, "\n")
	m := sharedMaria[key]
	if m == nil {
		m = newMaria(t, mariaOptions{version: version, conf: conf})
		sharedMaria[key] = m
	} else {
		m.p.start(t)
	}
	out := *m
	out.t = t
	return &out
}

// OwnMariaDB starts a server for one test, which may do with it what it likes. It ends with the test.
func OwnMariaDB(t testing.TB, version string, conf ...string) *Maria {
	t.Helper()
	return ownMaria(t, mariaOptions{version: version, conf: conf})
}

// MariaTLS is [PostgresTLS] with MariaDB.
func MariaTLS(t testing.TB, version, host string) *Maria {
	t.Helper()
	return ownMaria(t, mariaOptions{version: version, conf: []string{"require_secure_transport = ON"}, tls: NewAuthority(t), host: host})
}

func ownMaria(t testing.TB, o mariaOptions) *Maria {
	t.Helper()
	m := newMaria(t, o)
	t.Cleanup(func() {
		m.Stop()
		if t.Failed() {
			t.Logf("the log of MariaDB %s:\n%s", m.Version, m.p.log())
		}
		m.p.remove()
	})
	return m
}

// mariaOptions is how a server is made.
type mariaOptions struct {
	version string
	conf    []string
	tls     *Authority // nil: no certificate but what MariaDB makes by itself
	host    string     // that the certificate is for; empty: the address
}

func newMaria(t testing.TB, o mariaOptions) *Maria {
	t.Helper()
	programs := installed(t, "mariadb-"+o.version)
	f := newFolder(t, "KILL")
	programs = f.reachable(t, programs)
	m := &Maria{Version: o.version, Host: "127.0.0.1", Port: Port(t), t: t, count: new(atomic.Int64)}
	m.Dir = filepath.Join(f.dir, "data")
	if err := os.Mkdir(m.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f.own(t, m.Dir)
	conf := []string{
		"[mysqld]", "datadir = " + m.Dir, "port = " + strconv.Itoa(m.Port), "bind_address = 127.0.0.1", "socket = " + filepath.Join(f.dir, "s"),
		"basedir = " + programs, "lc_messages_dir = " + filepath.Join(programs, "share"), "character_sets_dir = " + filepath.Join(programs, "share", "charsets"),
		"plugin_dir = " + filepath.Join(programs, "plugin"), "tmpdir = " + f.dir, "skip_name_resolve",
		"innodb_log_file_size = 32M", "innodb_buffer_pool_size = 64M", "innodb_flush_log_at_trx_commit = 2", "innodb_doublewrite = 0",
	}
	if o.tls == nil {
		conf = append(conf, "skip_ssl") // it would take ten seconds to make a key of its own at each start
	} else {
		m.CA = o.tls.File
		if o.host == "" {
			o.host = m.Host
		}
		cert, key := o.tls.issue(t, f, o.host)
		conf = append(conf, "ssl_cert = "+cert, "ssl_key = "+key)
	}
	m.Admin = m.URL(adminUser, adminPassword, "mysql")
	file := filepath.Join(f.dir, "my.cnf")
	f.write(t, file, lines(append(conf, o.conf...)...), 0o644)
	m.p = &process{folder: f, name: filepath.Join(programs, "bin", "mariadbd"), args: []string{"--defaults-file=" + file}, up: m.answers}
	m.bootstrap(programs, file)
	m.p.start(t)
	return m
}

// bootstrap makes the system tables and the user who may do everything, and no other.
func (m *Maria) bootstrap(programs, file string) {
	m.t.Helper()
	input := bytes.NewBufferString("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n")
	for _, script := range []string{"system_tables", "performance_tables", "system_tables_data"} {
		found, err := filepath.Glob(filepath.Join(programs, "share", "m*_"+script+".sql"))
		if err != nil || len(found) != 1 {
			m.t.Fatalf("the scripts of MariaDB %s: %q, %v", script, found, err)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			m.t.Fatal(err)
		}
		input.Write(text)
	}
	fmt.Fprintf(input, "\nFLUSH PRIVILEGES;\nCREATE USER %[1]s@'%%' IDENTIFIED BY '%[2]s';\nGRANT ALL ON *.* TO %[1]s@'%%' WITH GRANT OPTION;\n"+
		"DELETE FROM mysql.global_priv WHERE user <> '%[1]s';\n", adminUser, adminPassword)
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.p.name, "--defaults-file="+file, "--bootstrap", "--max_allowed_packet=8M", "--net_buffer_length=16K")
	m.p.prepare(cmd)
	cmd.Stdin = input
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("make the system tables of MariaDB: %v\n%s", err, out)
	}
}

func (m *Maria) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	db, err := m.open("mysql")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}

// open opens a database as the user who may do everything; whose certificate the server shows is no matter here.
func (m *Maria) open(database string) (*sql.DB, error) {
	c := m.Config(adminUser, adminPassword, database)
	c.TLSConfig = ""
	if m.CA != "" {
		c.TLSConfig = "skip-verify"
	}
	c.MultiStatements = true
	c.Logger = quiet{}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// quiet drops what the driver would write to stderr while the server starts.
type quiet struct{}

func (quiet) Print(...any) {}

// URL is a connection string of a user for a database: mysql://user:password@host:port/database.
func (m *Maria) URL(user, password, database string) string {
	u := url.URL{Scheme: "mysql", User: url.UserPassword(user, password), Host: m.Addr(), Path: "/" + database}
	return u.String()
}

// Config is the driver's configuration for a user and a database.
func (m *Maria) Config(user, password, database string) *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName, c.Net, c.Addr = user, password, database, "tcp", m.Addr()
	return c
}

// Addr is the host and port of the server.
func (m *Maria) Addr() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port)) }

// Stop ends the server at once by SIGKILL, as a crash would. Of a server that is shared, the tests that run beside this one feel it too.
func (m *Maria) Stop() {
	m.t.Helper()
	m.p.stop(m.t, syscall.SIGKILL)
}

// Start starts the server on the same port and data, and returns when it takes connections. Nothing happens when it runs.
func (m *Maria) Start() {
	m.t.Helper()
	m.p.start(m.t)
}

// Log is the end of the server's log.
func (m *Maria) Log() string { return string(m.p.log()) }

// Open opens a database as the user who may do everything, until the test ends. A call may hold several statements.
func (m *Maria) Open(database string) *sql.DB {
	m.t.Helper()
	db, err := m.open(database)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = db.Close() }) // the server may be gone
	return db
}

// Exec runs statements as the user who may do everything, each by itself; %s is no pattern in them.
func (m *Maria) Exec(statements ...string) {
	m.t.Helper()
	if err := m.exec(statements...); err != nil {
		m.t.Fatal(err)
	}
}

func (m *Maria) exec(statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	db, err := m.open("mysql")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, s := range statements {
		_, err := db.ExecContext(ctx, s)
		for full := (*mysql.MySQLError)(nil); errors.As(err, &full) && full.Number == 1040 && ctx.Err() == nil; {
			time.Sleep(50 * time.Millisecond) // the place that the server keeps for who may do everything is that of an earlier connection yet
			_, err = db.ExecContext(ctx, s)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// Database makes an empty database, which is dropped at the end of the test, and returns its name.
func (m *Maria) Database() string {
	m.t.Helper()
	name := fmt.Sprintf("t%d_%d", os.Getpid(), m.count.Add(1))
	m.Exec("CREATE DATABASE " + name)
	m.t.Cleanup(func() {
		m.p.mu.Lock()
		running := m.p.running()
		m.p.mu.Unlock()
		if !running {
			return
		}
		if err := m.exec("DROP DATABASE IF EXISTS " + name); err != nil {
			m.t.Logf("drop the test's database: %v", err)
		}
	})
	return name
}

// User makes a user and runs the grants; %s in a grant is the user as GRANT takes it. It returns its name and password. Users stay until
// the server ends or is wiped.
func (m *Maria) User(grants ...string) (name, password string) {
	m.t.Helper()
	name, password = fmt.Sprintf("u%d_%d", os.Getpid(), m.count.Add(1)), "user-secret"
	who := name + "@'%'"
	statements := []string{"CREATE USER " + who + " IDENTIFIED BY '" + password + "'"}
	for _, g := range grants {
		statements = append(statements, strings.ReplaceAll(g, "%s", who))
	}
	m.Exec(statements...)
	return name, password
}

// Wipe drops every database but the server's own and every user but the one who may do everything.
func (m *Maria) Wipe() {
	m.t.Helper()
	db := m.Open("mysql")
	for query, statement := range map[string]string{
		"SELECT concat('`', replace(schema_name, '`', '``'), '`') FROM information_schema.schemata WHERE schema_name NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')": "DROP DATABASE ",
		"SELECT concat(quote(user), '@', quote(host)) FROM mysql.global_priv WHERE user NOT IN ('admin', 'mariadb.sys', 'PUBLIC')":                                                        "DROP USER ",
	} {
		for _, name := range m.strings(db, query) {
			m.Exec(statement + name)
		}
	}
}

// strings asks for one column of text.
func (m *Maria) strings(db *sql.DB, query string) (out []string) {
	m.t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		m.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			m.t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		m.t.Fatal(err)
	}
	return out
}
