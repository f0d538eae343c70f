package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	engine "github.com/go-sql-driver/mysql"

	"firth/internal/warehouse"
)

// login is who connects where, for messages; the password is not in it.
type login struct {
	user, host, port, database string
	plain                      bool   // without TLS
	grantee                    string // the account as the server names it, once it has
}

// place is the server as messages name it.
func (l login) place() string { return net.JoinHostPort(l.host, l.port) }

const (
	// dialTimeout is how long a server may take to be reached, and half of what it may take to let a session begin.
	dialTimeout = 10 * time.Second
	// lockSeconds is how long a statement waits for a lock. While DDL waits for a table, later readers of it wait as well.
	lockSeconds = 10
	// sqlMode makes the server refuse what it cannot store as it is.
	sqlMode = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
)

var errURL = errors.New("it is neither mysql://user:password@host:port/?tls=... nor a DSN like user:password@tcp(host:port)/")

// parseURL reads both forms of a url. No error holds any of its text, for the password may be in it.
func parseURL(text string, o Options) (*engine.Config, login, error) {
	config, err := parseConfig(text)
	if err != nil {
		return nil, login{}, &warehouse.Error{
			Op: "open", Object: o.Name, Kind: warehouse.Unexpected, Err: fmt.Errorf("the url cannot be read: %w", err),
			Hint: "write it as mysql://user:password@host:3306/?tls=true; in user and password write % as %25, @ as %40, / as %2F, : as %3A",
		}
	}
	l := login{user: config.User, host: config.Addr, database: config.DBName}
	if host, port, err := net.SplitHostPort(config.Addr); err == nil {
		l.host, l.port = host, port
	}
	if o.CA != "" {
		if err := trust(config, o.CA, l.host); err != nil {
			return nil, l, &warehouse.Error{
				Op: "open", Object: l.place(), Kind: warehouse.BadTLS, Err: err, Hint: "let ca name a readable file of certificates in PEM",
			}
		}
	}
	l.plain = config.TLS == nil && (config.TLSConfig == "" || config.TLSConfig == "false" || config.TLSConfig == "preferred")
	setSession(config)
	return config, l, nil
}

func parseConfig(text string) (*engine.Config, error) {
	if !strings.HasPrefix(text, "mysql://") && !strings.HasPrefix(text, "mariadb://") {
		if strings.Contains(text, "://") {
			return nil, errURL
		}
		config, err := engine.ParseDSN(text)
		if err != nil {
			return nil, errURL
		}
		return config, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, errURL
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	dsn := "tcp(" + net.JoinHostPort(u.Hostname(), port) + ")/" + url.PathEscape(strings.Trim(u.Path, "/"))
	if u.RawQuery != "" {
		dsn += "?" + u.RawQuery
	}
	config, err := engine.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("its parameters: %w", err)
	}
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	return config, nil
}

// trust makes the file's certificates those that the server's is checked against, and TLS a must.
func trust(config *engine.Config, file, host string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", file)
	}
	config.TLSConfig = ""
	config.TLS = &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12}
	return nil
}

// setSession sets what every connection needs, whatever the url says.
func setSession(config *engine.Config) {
	config.Collation = "utf8mb4_bin"
	config.Loc, config.ParseTime = time.UTC, true
	config.InterpolateParams, config.ClientFoundRows, config.CheckConnLiveness = true, true, true
	config.MultiStatements, config.AllowAllFiles = false, false
	config.MaxAllowedPacket = 0 // that of the server
	config.ConnectionAttributes = "program_name:firth"
	config.Logger = &engine.NopLogger{} // what it would say is in the errors
	if config.Timeout == 0 {
		config.Timeout = dialTimeout
	}
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	config.Params["sql_mode"] = sqlMode
	config.Params["time_zone"] = "'+00:00'"
	config.Params["autocommit"] = "1"
	for _, name := range []string{"innodb_lock_wait_timeout", "lock_wait_timeout"} {
		if config.Params[name] == "" {
			config.Params[name] = strconv.Itoa(lockSeconds)
		}
	}
}
