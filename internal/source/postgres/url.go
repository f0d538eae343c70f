package postgres

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/internal/source"
)

const (
	// connectWithin is how long a server may take until it is reached, where the url says nothing else (connect_timeout).
	connectWithin = 15 * time.Second
	urlHint       = "write it as postgres://user:password@host:5432/database?sslmode=verify-full; in user and password write % as %25, @ as %40, / as %2F, : as %3A, # as %23"
)

// parseURL reads the url; no error has a part of it, for it may hold a password.
func parseURL(text string, o source.Options) (*pgx.ConnConfig, error) {
	bad := func(err error) error { return &source.Error{Op: "connect", Name: o.Name, Err: err, Advice: urlHint} }
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, bad(errors.New("the url of the database is none of PostgreSQL"))
	}
	q := u.Query()
	if o.CA != "" {
		q.Set("sslrootcert", o.CA)
		if q.Get("sslmode") == "" {
			q.Set("sslmode", "verify-full")
		}
		u.RawQuery = q.Encode()
	}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, bad(errors.New(plainFault(err, u)))
	}
	if q.Get("connect_timeout") == "" {
		config.ConnectTimeout = connectWithin
	}
	// Nothing is prepared by name: poolers between do not keep it. These parameters are those that they let through.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.RuntimeParams["application_name"] = "firth"
	config.RuntimeParams["client_encoding"] = "UTF8"
	config.RuntimeParams["TimeZone"] = "UTC"
	config.RuntimeParams["DateStyle"] = "ISO, YMD"
	if o.Dial != nil {
		config.DialFunc = o.Dial
		config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // the name means something at the far end alone
		return config, nil
	}
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 20 * time.Second, Interval: 5 * time.Second, Count: 6}}
	config.DialFunc = dialer.DialContext
	return config, nil
}

// plainFault is what is wrong with a url, without the url and its secrets.
func plainFault(err error, u *url.URL) string {
	var parts *url.Error
	if errors.As(err, &parts) {
		err = parts.Err
	}
	text := strings.ReplaceAll(err.Error(), u.String(), "the url")
	q := u.Query()
	secrets := append(q["password"], q["sslpassword"]...)
	if password, ok := u.User.Password(); ok {
		_, written, _ := strings.Cut(u.User.String(), ":")
		secrets = append(secrets, password, written)
	}
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "xxxxx")
			text = strings.ReplaceAll(text, url.QueryEscape(s), "xxxxx")
		}
	}
	return text
}
