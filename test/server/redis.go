package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// KeyStore is a Redis server as one test sees it. Methods fail the test when they cannot do their work; they may be called from several
// goroutines.
type KeyStore struct {
	Host     string
	Port     int
	Password string // of the user default; empty: none is asked for
	CA       string // file of the authority whose certificate it shows; empty: no TLS
	t        testing.TB
	p        *process
	count    *atomic.Int64
}

// redisDatabases is how many tests of a binary can have a database of their own.
const redisDatabases = 512

// sharedRedis is the server of this test binary; sharedLock guards it.
var sharedRedis *KeyStore

// Redis returns the Redis server of this test binary. The first call starts it; one that a test has stopped and left so is started
// again. A test works in a database of its own: see [KeyStore.Database].
func Redis(t testing.TB) *KeyStore {
	t.Helper()
	sharedLock.Lock()
	defer sharedLock.Unlock()
	if sharedRedis == nil {
		sharedRedis = newRedis(t, nil, "")
	} else {
		sharedRedis.p.start(t)
	}
	out := *sharedRedis
	out.t = t
	return &out
}

// OwnRedis starts a server for one test, which may do with it what it likes, with more settings: "requirepass secret". It ends with the
// test.
func OwnRedis(t testing.TB, conf ...string) *KeyStore {
	t.Helper()
	return ownRedis(t, nil, "", conf...)
}

// RedisTLS starts a server for one test that takes connections with TLS alone and shows a certificate for the host given (its address
// when empty), signed by an authority that no system trusts: its file is CA.
func RedisTLS(t testing.TB, host string, conf ...string) *KeyStore {
	t.Helper()
	return ownRedis(t, NewAuthority(t), host, conf...)
}

// RedisCluster starts a cluster of so many masters without replicas, which share the slots, for one test.
func RedisCluster(t testing.TB, masters int) []*KeyStore {
	t.Helper()
	nodes := make([]*KeyStore, masters)
	for i := range nodes {
		nodes[i] = ownRedis(t, nil, "", "cluster-enabled yes", "cluster-port "+strconv.Itoa(Port(t)), "cluster-node-timeout 3000")
	}
	for i, n := range nodes {
		c := n.Client(0)
		lo, hi := 16384*i/masters, 16384*(i+1)/masters-1
		n.must(c.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", lo, hi).Err())
		bus := nodes[0].setting("cluster-port")
		n.must(c.Do(t.Context(), "CLUSTER", "MEET", nodes[0].Host, nodes[0].Port, bus).Err())
	}
	deadline := time.Now().Add(startPatience)
	for _, n := range nodes {
		for {
			info, err := n.Client(0).ClusterInfo(t.Context()).Result()
			n.must(err)
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:"+strconv.Itoa(masters)) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the Redis cluster did not form: %s", info)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nodes
}

func ownRedis(t testing.TB, a *Authority, host string, conf ...string) *KeyStore {
	t.Helper()
	r := newRedis(t, a, host, conf...)
	t.Cleanup(func() {
		r.Stop()
		if t.Failed() {
			t.Logf("the log of Redis:\n%s", r.p.log())
		}
		r.p.remove()
	})
	return r
}

func newRedis(t testing.TB, a *Authority, host string, conf ...string) *KeyStore {
	t.Helper()
	programs := installed(t, "redis")
	f := newFolder(t, "KILL")
	programs = f.reachable(t, programs)
	r := &KeyStore{Host: "127.0.0.1", Port: Port(t), t: t, count: new(atomic.Int64)}
	all := []string{
		"bind 127.0.0.1", "dir " + f.dir, "save \"\"", "appendonly no", "databases " + strconv.Itoa(redisDatabases), "daemonize no",
		"enable-debug-command yes",
	}
	if a == nil {
		all = append(all, "port "+strconv.Itoa(r.Port))
	} else {
		if host == "" {
			host = r.Host
		}
		r.CA = a.File
		cert, key := a.issue(t, f, host)
		all = append(all, "port 0", "tls-port "+strconv.Itoa(r.Port), "tls-auth-clients no", "tls-cert-file "+cert, "tls-key-file "+key)
	}
	for _, line := range conf {
		if secret, ok := strings.CutPrefix(line, "requirepass "); ok {
			r.Password = secret
		}
	}
	file := filepath.Join(f.dir, "redis.conf")
	f.write(t, file, lines(append(all, conf...)...), 0o644)
	r.p = &process{folder: f, name: filepath.Join(programs, "bin", "redis-server"), args: []string{file}, up: r.answers}
	r.p.start(t)
	return r
}

// answers returns nil when the server takes commands.
func (r *KeyStore) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c := redis.NewClient(r.options(0))
	return errors.Join(c.Ping(ctx).Err(), c.Close())
}

// options connect as the user default; whose certificate the server shows is no matter here.
func (r *KeyStore) options(database int) *redis.Options {
	o := &redis.Options{Addr: r.Addr(), Password: r.Password, DB: database, Protocol: 2, DisableIdentity: true, MaxRetries: -1}
	if r.CA != "" {
		o.TLSConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // a test's own server
	}
	return o
}

// Addr is the host and port of the server.
func (r *KeyStore) Addr() string { return net.JoinHostPort(r.Host, strconv.Itoa(r.Port)) }

// URL is the address of one of its databases, for the user default.
func (r *KeyStore) URL(database int) string {
	u := url.URL{Scheme: "redis", Host: r.Addr(), Path: "/" + strconv.Itoa(database)}
	if r.CA != "" {
		u.Scheme = "rediss"
	}
	if r.Password != "" {
		u.User = url.UserPassword("default", r.Password)
	}
	return u.String()
}

// Database is a database that no other test of this binary has.
func (r *KeyStore) Database() int {
	r.t.Helper()
	n := int(r.count.Add(1))
	if n >= redisDatabases {
		r.t.Fatal("all databases of the Redis server are taken")
	}
	return n
}

// Client connects to a database until the test ends.
func (r *KeyStore) Client(database int) *redis.Client {
	r.t.Helper()
	c := redis.NewClient(r.options(database))
	r.t.Cleanup(func() { _ = c.Close() }) // a test may have closed it
	return c
}

// Stop ends the server at once, as a crash would: what it holds is gone.
func (r *KeyStore) Stop() {
	r.t.Helper()
	r.p.stop(r.t, syscall.SIGKILL)
}

// Start starts the server, empty, on the same port, and returns when it answers. Nothing happens when it runs.
func (r *KeyStore) Start() {
	r.t.Helper()
	r.p.start(r.t)
}

func (r *KeyStore) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// setting reads one of the server's settings.
func (r *KeyStore) setting(name string) string {
	r.t.Helper()
	values, err := r.Client(0).ConfigGet(r.t.Context(), name).Result()
	r.must(err)
	return values[name]
}
