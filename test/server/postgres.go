package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// adminPassword is the superusers' password; the servers listen on the loopback interface alone.
const adminPassword = "admin-secret"

// PG is a PostgreSQL server as one test sees it. Methods fail the test when they cannot do their work; they may be called from several
// goroutines.
type PG struct {
	Version string
	Dir     string // its data folder
	Host    string
	Port    int
	Admin   string // URL of the superuser, database postgres
	CA      string // file of the authority whose certificate it shows; empty without TLS
	t       testing.TB
	p       *process
	count   *atomic.Int64
}

// postgres servers that are shared in this test binary, by version and configuration.
var (
	sharedLock     sync.Mutex
	sharedPostgres = map[string]*PG{}
)

// Postgres returns the PostgreSQL server of this test binary with a major version ("12", "15", "18") and postgresql.conf lines beyond the
// usual ones. The first call starts it; one that a test has stopped and left so is started again.
func Postgres(t testing.TB, version string, conf ...string) *PG {
	t.Helper()
	sharedLock.Lock()
	defer sharedLock.Unlock()
	key := version + "\n" + strings.Join(conf, "\n")
	pg := sharedPostgres[key]
	if pg == nil {
		pg = newPostgres(t, postgresOptions{version: version, conf: conf})
		sharedPostgres[key] = pg
	} else {
		pg.p.start(t)
	}
	out := *pg
	out.t = t
	return &out
}

// OwnPostgres starts a server for one test, which may do with it what it likes. It ends with the test.
func OwnPostgres(t testing.TB, version string, conf ...string) *PG {
	t.Helper()
	return ownPostgres(t, postgresOptions{version: version, conf: conf})
}

func ownPostgres(t testing.TB, o postgresOptions) *PG {
	t.Helper()
	pg := newPostgres(t, o)
	t.Cleanup(func() {
		pg.Stop()
		if t.Failed() {
			t.Logf("the log of PostgreSQL %s:\n%s", pg.Version, pg.p.log())
		}
		pg.p.remove()
	})
	return pg
}

// postgresOptions is how a server is made.
type postgresOptions struct {
	version string
	conf    []string
	hba     []string                   // instead of passwords for everybody from the loopback interface
	tls     *Authority                 // nil: no TLS
	host    string                     // that the certificate is for; empty: the address
	fill    func(f *folder, to string) // makes the data folder instead of initdb
}

func newPostgres(t testing.TB, o postgresOptions) *PG {
	t.Helper()
	programs := installed(t, "postgres-"+o.version)
	f := newFolder(t, "QUIT")
	programs = f.reachable(t, programs)
	pg := &PG{Version: o.version, Dir: filepath.Join(f.dir, "data"), Host: "127.0.0.1", Port: Port(t), t: t, count: new(atomic.Int64)}
	if o.tls != nil {
		pg.CA = o.tls.File
	}
	pg.Admin = pg.admin("postgres")
	pg.p = &process{folder: f, name: filepath.Join(programs, "bin", "postgres"), args: []string{"-D", pg.Dir}, up: pg.answers}
	if o.fill != nil {
		o.fill(f, pg.Dir)
	} else {
		secret := filepath.Join(f.dir, "secret")
		f.write(t, secret, []byte(adminPassword), 0o600)
		f.run(t, filepath.Join(programs, "bin", "initdb"), "-D", pg.Dir, "-U", "postgres", "--pwfile="+secret, "--auth=scram-sha-256",
			"--encoding=UTF8", "--locale=C", "--no-sync")
	}
	hba := o.hba
	if hba == nil {
		hba = []string{"host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256"}
	}
	conf := []string{
		"listen_addresses = '127.0.0.1'", "port = " + strconv.Itoa(pg.Port), "unix_socket_directories = ''",
		"fsync = off", "shared_buffers = 64MB", "max_connections = 60", "wal_level = replica",
	}
	if o.tls != nil {
		if o.host == "" {
			o.host = pg.Host
		}
		cert, key := o.tls.issue(t, f, o.host)
		conf = append(conf, "ssl = on", "ssl_cert_file = '"+cert+"'", "ssl_key_file = '"+key+"'")
	}
	f.write(t, filepath.Join(pg.Dir, "pg_hba.conf"), lines(hba...), 0o600)
	f.write(t, filepath.Join(pg.Dir, "postgresql.auto.conf"), lines(append(conf, o.conf...)...), 0o600)
	pg.p.start(t)
	return pg
}

// answers returns nil when the server takes connections.
func (pg *PG) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, pg.Admin)
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// URL is a connection string of a user for a database.
func (pg *PG) URL(user, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: pg.Addr(), Path: "/" + database}
	if pg.CA != "" {
		u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {pg.CA}}.Encode()
	} else {
		u.RawQuery = "sslmode=disable"
	}
	return u.String()
}

// admin is the superuser's URL for a database; whose certificate the server shows is no matter here.
func (pg *PG) admin(database string) string {
	u, err := url.Parse(pg.URL("postgres", adminPassword, database))
	if err != nil {
		pg.t.Fatal(err)
	}
	if pg.CA != "" {
		u.RawQuery = "sslmode=require"
	}
	return u.String()
}

// Via is a connection string with another address in its place, as that of a [Proxy].
func Via(connection, addr string) string {
	u, err := url.Parse(connection)
	if err != nil {
		return connection
	}
	u.Host = addr
	return u.String()
}

// Addr is the host and port of the server.
func (pg *PG) Addr() string { return net.JoinHostPort(pg.Host, strconv.Itoa(pg.Port)) }

// Stop ends the server at once, as a crash would; its clients see their connections end. Of a server that is shared, the tests that run
// beside this one feel it too.
func (pg *PG) Stop() {
	pg.t.Helper()
	pg.p.stop(pg.t, syscall.SIGQUIT)
}

// Start starts the server on the same port and data, and returns when it takes connections. Nothing happens when it runs.
func (pg *PG) Start() {
	pg.t.Helper()
	pg.p.start(pg.t)
}

// Log is the end of the server's log.
func (pg *PG) Log() string { return string(pg.p.log()) }

// Connect connects as the superuser to a database, until the test ends.
func (pg *PG) Connect(database string) *pgx.Conn {
	pg.t.Helper()
	return pg.ConnectURL(pg.admin(database))
}

// ConnectURL connects with a URL, until the test ends.
func (pg *PG) ConnectURL(connection string) *pgx.Conn {
	pg.t.Helper()
	c, err := pgx.Connect(context.Background(), connection)
	if err != nil {
		pg.t.Fatal(err)
	}
	pg.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx) // the server may be gone
	})
	return c
}

// Exec runs statements as the superuser in a database, each by itself.
func (pg *PG) Exec(database string, statements ...string) {
	pg.t.Helper()
	if err := pg.exec(database, statements...); err != nil {
		pg.t.Fatal(err)
	}
}

func (pg *PG) exec(database string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	c, err := pgx.Connect(ctx, pg.admin(database))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	for _, s := range statements {
		if _, err := c.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// Database makes an empty database, which is dropped at the end of the test, and returns its name.
func (pg *PG) Database() string {
	pg.t.Helper()
	name := fmt.Sprintf("t%d_%d", os.Getpid(), pg.count.Add(1))
	pg.Exec("postgres", "CREATE DATABASE "+name)
	pg.t.Cleanup(func() {
		pg.p.mu.Lock()
		running := pg.p.running()
		pg.p.mu.Unlock()
		if !running {
			return
		}
		if err := pg.exec("postgres", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false",
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'", "DROP DATABASE IF EXISTS "+name); err != nil {
			pg.t.Logf("drop the test's database: %v", err)
		}
	})
	return name
}

// Role makes a role that may log in, with options as CREATE ROLE takes them, and runs the grants in the database; %s in a grant is the
// role. It returns its name and password. Roles stay until the server ends.
func (pg *PG) Role(database, options string, grants ...string) (name, password string) {
	pg.t.Helper()
	name, password = fmt.Sprintf("r%d_%d", os.Getpid(), pg.count.Add(1)), "role-secret"
	statements := []string{"CREATE ROLE " + name + " LOGIN PASSWORD '" + password + "' " + options}
	for _, g := range grants {
		statements = append(statements, strings.ReplaceAll(g, "%s", name))
	}
	pg.Exec(database, statements...)
	return name, password
}

// Loader makes a database, and a role that has what the documents ask for and no more: to connect, to create schemas and temporary
// tables there. It returns the role's URL and the database's name.
func (pg *PG) Loader() (connection, database string) {
	pg.t.Helper()
	database = pg.Database()
	name, password := pg.Role(database, "", "REVOKE ALL ON DATABASE "+database+" FROM PUBLIC",
		"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "+database+" TO %s")
	return pg.URL(name, password, database), database
}
