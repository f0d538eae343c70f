package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"firth/internal/source"
	"firth/internal/source/dial"
)

// servers are the connections: to one server, or to a cluster.
type servers struct {
	one     *goredis.Client
	cluster *goredis.ClusterClient
	version string
	role    string
}

const (
	connectPatience = 10 * time.Second
	readPatience    = 30 * time.Second // for the replies of a pipeline; read_timeout in the URL is another
	connections     = 4
)

// parseURL reads the address. No error of it holds the text, which has a password.
func (t *Table) parseURL(text string) error {
	bad := func(format string, args ...any) error {
		return &source.Error{
			Op: "read the address of", Name: t.name(), Err: fmt.Errorf(format, args...),
			Advice: "it looks so: redis://user:password@host:6379/0, or rediss:// for TLS",
		}
	}
	u, err := url.Parse(text)
	if err != nil {
		return bad("it is no URL")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		return bad("it begins with %q", u.Scheme+"://")
	}
	o, err := goredis.ParseURL(text)
	if err != nil {
		return bad("%s", strings.TrimPrefix(err.Error(), "redis: "))
	}
	t.address, t.user = o.Addr, o.Username
	if t.o.CA != "" {
		if o.TLSConfig == nil {
			return bad("a CA is given, but the address begins with %s://: without TLS", u.Scheme)
		}
		if o.TLSConfig, err = dial.TLS(dial.VerifyFull, t.o.CA, u.Hostname()); err != nil {
			return bad("%w", err)
		}
	}
	if t.o.Concurrency <= 0 {
		t.o.Concurrency = connections
	}
	o.Protocol, o.DisableIdentity, o.MaxRetries, o.DialerRetries = 2, true, -1, 1
	o.ContextTimeoutEnabled, o.PipelinePoolSize = true, -1
	o.PoolSize, o.MaxActiveConns = t.o.Concurrency, t.o.Concurrency
	if o.DialTimeout == 0 {
		o.DialTimeout = connectPatience
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout, o.PoolTimeout = readPatience, readPatience
	}
	o.ReadBufferSize, o.WriteBufferSize = 64<<10, 32<<10
	o.Dialer = t.dialer(o.TLSConfig, o.DialTimeout)
	t.options = o
	return nil
}

// dialer connects, through a tunnel where there is one, and speaks TLS where that is asked for.
func (t *Table) dialer(config *tls.Config, patience time.Duration) func(context.Context, string, string) (net.Conn, error) {
	direct := t.o.Dial
	if direct == nil {
		direct = (&net.Dialer{Timeout: patience}).DialContext
	}
	if config == nil {
		return direct
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		patience := patience
		if by, ok := ctx.Deadline(); ok { // ends before the context does: then it is known where it stood still
			patience = min(patience, time.Until(by)*2/3)
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		plain, err := direct(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := config
		if host, _, err := net.SplitHostPort(address); err == nil && c.ServerName == "" {
			c = c.Clone()
			c.ServerName = host
		}
		conn := tls.Client(plain, c)
		if err := conn.HandshakeContext(ctx); err != nil {
			plain.Close()
			return nil, fmt.Errorf(handshake+"%w", err)
		}
		return conn, nil
	}
}

// connected connects where that has not been done.
func (t *Table) connected(ctx context.Context) (*servers, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		return t.conn, nil
	}
	o := *t.options
	c := &servers{one: goredis.NewClient(&o)}
	mode, err := c.hello(ctx)
	if err != nil {
		return nil, errors.Join(t.fail("connect to", err), c.close())
	}
	if mode == "sentinel" {
		return nil, errors.Join(&source.Error{
			Op: "connect to", Name: t.name(), Err: errors.New("it is a Sentinel, which holds no data"),
			Advice: "name a server: redis-cli -h HOST -p PORT sentinel masters tells which there are",
		}, c.close())
	}
	if mode == "cluster" {
		if t.options.DB != 0 {
			return nil, errors.Join(&source.Error{
				Op: "connect to", Name: t.name(), Err: fmt.Errorf("a cluster has no database %d", t.options.DB), Advice: "leave the number out of the address",
			}, c.close())
		}
		c.cluster = goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: []string{o.Addr}, Dialer: o.Dialer, Username: o.Username, Password: o.Password, Protocol: 2, DisableIdentity: true,
			MaxRetries: -1, MaxRedirects: -1, DialerRetries: 1, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
			PoolTimeout: o.PoolTimeout, PoolSize: o.PoolSize, MaxActiveConns: o.MaxActiveConns, ContextTimeoutEnabled: true, PipelinePoolSize: -1,
			ReadBufferSize: o.ReadBufferSize, WriteBufferSize: o.WriteBufferSize, DisableRoutingPolicies: true,
		})
	}
	t.conn = c
	return c, nil
}

// hello asks the server what it is: standalone, sentinel or cluster. HELLO needs no right of an ACL; servers before 6 do not have it.
func (c *servers) hello(ctx context.Context) (mode string, err error) {
	answer, err := c.one.Do(ctx, "HELLO", "2").Slice()
	if err != nil {
		if text := err.Error(); strings.HasPrefix(text, "ERR unknown command") {
			return "standalone", c.one.Ping(ctx).Err()
		}
		return "", err
	}
	mode = "standalone"
	for i := 0; i+1 < len(answer); i += 2 {
		value := fmt.Sprint(answer[i+1])
		switch answer[i] {
		case "mode":
			mode = value
		case "version":
			c.version = value
		case "role":
			c.role = value
		}
	}
	return mode, nil
}

func (c *servers) close() error {
	err := c.one.Close()
	if c.cluster != nil {
		err = errors.Join(err, c.cluster.Close())
	}
	return err
}

// masters are the servers that together hold all keys, and a text that is another when slots have moved.
func (c *servers) masters(ctx context.Context) (all []*goredis.Client, layout string, err error) {
	if c.cluster == nil {
		return []*goredis.Client{c.one}, "", nil
	}
	slots, err := c.cluster.ClusterSlots(ctx).Result() //nolint:staticcheck // servers before 7 have no CLUSTER SHARDS
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(slots, func(a, b goredis.ClusterSlot) int { return a.Start - b.Start })
	var b strings.Builder
	next := 0
	nodes := map[string]bool{}
	for _, s := range slots {
		if s.Start != next || len(s.Nodes) == 0 {
			break
		}
		next = s.End + 1
		nodes[s.Nodes[0].ID] = true
		fmt.Fprintf(&b, "%d-%d %s\n", s.Start, s.End, s.Nodes[0].ID)
	}
	if next != clusterSlots {
		return nil, "", fmt.Errorf("CLUSTERDOWN slot %d is served by nobody", next)
	}
	c.cluster.ReloadState(ctx)
	var mu sync.Mutex
	err = c.cluster.ForEachMaster(ctx, func(_ context.Context, m *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, m)
		return nil
	})
	if err == nil && len(all) != len(nodes) {
		err = fmt.Errorf("CLUSTERDOWN %d masters hold slots, %d are known: the cluster is changing", len(nodes), len(all))
	}
	return all, b.String(), err
}

// clusterSlots is how many slots a cluster has.
const clusterSlots = 16384
