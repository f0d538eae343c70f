package mysql

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	engine "github.com/go-sql-driver/mysql"

	"firth/internal/source"
	"firth/internal/source/dial"
)

// login is who connects where, for messages; the password is not in it.
type login struct {
	name                       string // of the database as configured
	user, host, port, database string
	grantee                    *atomic.Pointer[string] // as the server names it, once it has
}

// place is the server as messages name it.
func (l login) place() string {
	if l.port == "" {
		return l.host
	}
	return net.JoinHostPort(l.host, l.port)
}

const (
	// dialTimeout is how long a server may take to be reached, and to let a session begin.
	dialTimeout = 10 * time.Second
	urlHint     = "write it as mysql://user:password@host:3306/database?tls=verify-full; in user and password write % as %25, @ as %40, / as %2F, : as %3A, # as %23"
)

var errURL = errors.New("the url cannot be read: it is neither mysql://user:password@host:port/database nor a DSN like user:password@tcp(host:port)/database")

// parseURL reads both forms of a url. No error holds any of its text, for the password may be in it.
func parseURL(text string, o source.Options) (*engine.Config, login, error) {
	text, mode, err := cutTLS(text)
	if err == nil {
		var config *engine.Config
		if config, err = parseConfig(text); err == nil {
			return configure(config, mode, o)
		}
	}
	return nil, login{}, &source.Error{Op: "connect", Name: o.Name, Err: err, Advice: urlHint}
}

func configure(config *engine.Config, mode string, o source.Options) (*engine.Config, login, error) {
	l := login{name: o.Name, user: config.User, host: config.Addr, database: config.DBName, grantee: new(atomic.Pointer[string])}
	if host, port, err := net.SplitHostPort(config.Addr); err == nil {
		l.host, l.port = host, port
	}
	if l.name == "" {
		l.name = l.place()
	}
	if err := setTLS(config, mode, o.CA, l.host); err != nil {
		return nil, l, &source.Error{Op: "connect", Name: l.name, Err: err, Advice: tlsModes + "; ca names a file of certificates in PEM"}
	}
	if o.Dial != nil {
		config.DialFunc = o.Dial
	}
	setSession(config)
	return config, l, nil
}

// cutTLS takes the parameter of TLS out of a url: the driver knows fewer modes.
func cutTLS(text string) (rest, mode string, err error) {
	at := strings.LastIndexByte(text, '?')
	if at < 0 || at < strings.LastIndexByte(text, '/') {
		return text, "", nil
	}
	params, err := url.ParseQuery(text[at+1:])
	if err != nil {
		return "", "", errURL
	}
	for _, name := range []string{"tls", "ssl-mode", "sslmode"} {
		if v := params.Get(name); v != "" {
			mode = v
		}
		params.Del(name)
	}
	rest = text[:at]
	if len(params) > 0 {
		rest += "?" + params.Encode()
	}
	return rest, mode, nil
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
		return nil, fmt.Errorf("the parameters of the url: %w", err)
	}
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	return config, nil
}

// modes are the names of TLS modes: those of the driver, of MySQL's own programs, and those that all sources have.
var modes = map[string]string{ //nolint:gochecknoglobals // a constant table
	"": "", "false": "disable", "disable": "disable", "disabled": "disable", "preferred": "preferred", "prefer": "preferred",
	"skip-verify": "require", "require": "require", "required": "require", "verify-ca": "verify-ca", "verify_ca": "verify-ca",
	"true": "verify-full", "verify-full": "verify-full", "verify_identity": "verify-full", "verify-identity": "verify-full",
}

const tlsModes = "tls is disable, preferred, require (encrypted, the certificate is not looked at), verify-ca or verify-full"

// setTLS: without a mode the driver's default holds, a plain connection, and with certificates to check against verify-full.
func setTLS(config *engine.Config, mode, ca, host string) error {
	mode, ok := modes[strings.ToLower(mode)]
	if !ok {
		return errors.New("the url names a tls mode that there is not")
	}
	if mode == "" && ca != "" {
		mode = "verify-full"
	}
	switch mode {
	case "", "disable":
		return nil
	case "preferred":
		config.AllowFallbackToPlaintext = true
		config.TLS = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // what the mode says
		return nil
	}
	c, err := dial.TLS(mode, ca, host)
	if err != nil {
		return err
	}
	config.TLS = c
	return nil
}

// setSession sets what every connection needs, whatever the url says.
//
// sql_mode is empty: without ANSI_QUOTES and NO_BACKSLASH_ESCAPES statements mean the same on every server, without
// PAD_CHAR_TO_FULL_LENGTH texts are as they were stored, and without the NO_ZERO modes a condition may name a zero date. What cuts
// values or long readings off is set out of the way: group_concat_max_len, net_write_timeout, wait_timeout.
func setSession(config *engine.Config) {
	config.Collation = "utf8mb4_bin"
	config.Loc, config.ParseTime = time.UTC, false // dates come as text, zero ones included
	config.InterpolateParams, config.MultiStatements, config.AllowAllFiles, config.ColumnsWithAlias = false, false, false, false
	config.CheckConnLiveness = true
	config.MaxAllowedPacket = 0 // that of the server
	config.ConnectionAttributes = "program_name:firth"
	config.Logger = &engine.NopLogger{} // what it would say is in the errors
	if config.Timeout == 0 {
		config.Timeout = dialTimeout
	}
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	for name, value := range map[string]string{
		"sql_mode": "''", "time_zone": "'+00:00'", "autocommit": "1", "sql_select_limit": "DEFAULT",
		"group_concat_max_len": "67108864", "net_write_timeout": "86400", "wait_timeout": "86400",
	} {
		config.Params[name] = value
	}
}
