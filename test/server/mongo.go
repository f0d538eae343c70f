package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Documents is a server that speaks MongoDB's protocol, and is not MongoDB: [Ferret] or [MongoJava], each with its own part of what
// MongoDB does. Methods fail the test when they cannot do their work; they may be called from several goroutines.
type Documents struct {
	Name string // what it is
	Host string
	Port int
	CA   string // file of the authority whose certificate it shows; empty: no TLS

	plain int // the port without TLS
	t     testing.TB
	p     *process
	count *atomic.Int64
}

// The servers of this test binary; sharedLock guards them.
var (
	sharedMongoJava *Documents
	sharedFerret    *Documents
)

// MongoJava returns the mongo-java-server of this test binary, which keeps documents in memory. The first call starts it; one that a test
// has stopped and left so is started again, empty. A test works in a database of its own: see [Documents.Database].
func MongoJava(t testing.TB) *Documents {
	t.Helper()
	sharedLock.Lock()
	defer sharedLock.Unlock()
	return sharedDocuments(t, &sharedMongoJava, newMongoJava)
}

func sharedDocuments(t testing.TB, shared **Documents, start func(testing.TB) *Documents) *Documents {
	t.Helper()
	if *shared == nil {
		*shared = start(t)
	} else {
		(*shared).p.start(t)
	}
	out := **shared
	out.t = t
	return &out
}

// OwnMongoJava starts a server for one test, which may do with it what it likes. It ends with the test.
func OwnMongoJava(t testing.TB) *Documents {
	t.Helper()
	return ownDocuments(t, newMongoJava(t))
}

func ownDocuments(t testing.TB, d *Documents) *Documents {
	t.Helper()
	t.Cleanup(func() {
		d.Stop()
		if t.Failed() {
			t.Logf("the log of %s:\n%s", d.Name, d.p.log())
		}
		d.p.remove()
	})
	return d
}

func newMongoJava(t testing.TB) *Documents {
	t.Helper()
	programs := installed(t, "mongo-java-server")
	java, err := exec.LookPath("java")
	if err != nil {
		missing(t, "there is no java: run test/setup")
	}
	f := newFolder(t, "KILL")
	programs = f.reachable(t, programs)
	d := &Documents{Name: "mongo-java-server", Host: "127.0.0.1", Port: Port(t), t: t, count: new(atomic.Int64)}
	d.plain = d.Port
	libraries := filepath.Join(programs, "lib")
	d.p = &process{folder: f, name: java, up: d.answers, args: []string{
		"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", libraries + string(os.PathListSeparator) + filepath.Join(libraries, "*"),
		"Serve", strconv.Itoa(d.Port),
	}}
	d.p.start(t)
	return d
}

// answers returns nil when the server takes commands.
func (d *Documents) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := d.connect()
	if err != nil {
		return err
	}
	defer func() { _ = c.Disconnect(context.WithoutCancel(ctx)) }()
	return c.Database("admin").RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err()
}

func (d *Documents) connect() (*mongo.Client, error) {
	u := "mongodb://" + net.JoinHostPort(d.Host, strconv.Itoa(d.plain)) + "/"
	return mongo.Connect(options.Client().ApplyURI(u).SetServerSelectionTimeout(2 * time.Second))
}

// Addr is the host and port of the server.
func (d *Documents) Addr() string { return net.JoinHostPort(d.Host, strconv.Itoa(d.Port)) }

// URL is the address of a database.
func (d *Documents) URL(database string) string {
	u := url.URL{Scheme: "mongodb", Host: d.Addr(), Path: "/" + database}
	if d.CA != "" {
		u.RawQuery = "tls=true"
	}
	return u.String()
}

// Database is the name of a database that no other test has, empty.
func (d *Documents) Database() string {
	return fmt.Sprintf("t%d_%d", os.Getpid(), d.count.Add(1))
}

// Client connects to a database, without TLS, until the test ends.
func (d *Documents) Client(database string) *mongo.Database {
	d.t.Helper()
	c, err := d.connect()
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Disconnect(context.Background()) }) // the server may be gone
	return c.Database(database)
}

// Stop ends the server at once, as a crash would.
func (d *Documents) Stop() {
	d.t.Helper()
	d.p.stop(d.t, syscall.SIGKILL)
}

// Start starts the server on the same port and returns when it answers: FerretDB with its data, mongo-java-server empty. Nothing happens
// when it runs.
func (d *Documents) Start() {
	d.t.Helper()
	d.p.start(d.t)
}
