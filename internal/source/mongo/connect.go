package mongo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"firth/internal/source"
)

const (
	// selectPatience is how long it is waited for a server that may be read from, unless the URL says otherwise: an election takes
	// some seconds.
	selectPatience = 15 * time.Second
	connections    = 4
	keepAlive      = 15 * time.Second
)

// address is the database that a URL names, with what must not be told.
type address struct {
	url      string
	database string
	user     string   // empty: none
	userDB   string   // where the user is defined
	secrets  []string // the password, as it is and as it is written
}

// parseAddress reads mongodb://user:password@host:port,host:port/database?options by hand: net/url takes no list of hosts, and the
// driver asks the DNS for mongodb+srv.
func parseAddress(s string) (address, error) {
	a := address{url: s}
	_, rest, ok := strings.Cut(s, "://")
	if !ok {
		return a, errors.New("the URL begins with mongodb:// or mongodb+srv://")
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(hosts, '@'); i >= 0 {
		user, password, _ := strings.Cut(hosts[:i], ":")
		a.user = user
		if plain, err := url.PathUnescape(user); err == nil {
			a.user = plain
		}
		if password != "" {
			a.secrets = append(a.secrets, password)
			if plain, err := url.PathUnescape(password); err == nil && plain != password {
				a.secrets = append(a.secrets, plain)
			}
		}
	}
	name, err := url.PathUnescape(path)
	if err != nil {
		return a, errors.New("the name of the database in the URL is not well escaped")
	}
	if name == "" {
		return a, errors.New("the URL names no database: mongodb://host/database")
	}
	a.database, a.userDB = name, name
	if values, err := url.ParseQuery(query); err == nil {
		for key, v := range values {
			if strings.EqualFold(key, "authSource") && len(v) > 0 {
				a.userDB = v[0]
			}
		}
	}
	return a, nil
}

// hide takes the password out of a text.
func (a address) hide(text string) string {
	for _, s := range a.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// connect makes a client, which connects when it is first used. A server that may be read from is waited for with patience, unless the
// URL says otherwise.
func connect(a address, o source.Options, patience time.Duration) (*mongo.Client, error) {
	c := options.Client().SetServerSelectionTimeout(patience).ApplyURI(a.url)
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the URL: %w", err)
	}
	n := o.Concurrency
	if n <= 0 {
		n = connections
	}
	c.SetMaxPoolSize(uint64(n)).SetAppName("firth")
	dialer := dialFunc((&net.Dialer{Timeout: selectPatience, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 4,
	}}).DialContext)
	if o.Dial != nil {
		dialer = o.Dial
	}
	c.SetDialer(dialer)
	if o.CA != "" {
		config, err := withCA(c.TLSConfig, o.CA)
		if err != nil {
			return nil, err
		}
		c.SetTLSConfig(config)
	}
	client, err := mongo.Connect(c)
	if err != nil {
		return nil, fmt.Errorf("the URL: %w", err)
	}
	return client, nil
}

// withCA is a configuration of TLS that trusts the certificates of a file instead of those of the URL's tlsCAFile or the system's.
func withCA(config *tls.Config, file string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the CA: %s holds no PEM certificate", file)
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config = config.Clone()
	config.RootCAs = pool
	return config, nil
}

// dialFunc is a function as the driver's dialer.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (d dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d(ctx, network, address)
}
