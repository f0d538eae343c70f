package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/internal/warehouse"
)

// parse reads the url; no error has a part of it, for it may hold a password.
func parse(text string, o Options) (*pgx.ConnConfig, error) {
	bad := func(err error) error {
		return &warehouse.Error{
			Op: "read the url of", Object: o.withDefaults().Name, Kind: warehouse.BadName, Err: err,
			Hint: "it has the form postgres://user:password@host:5432/database?sslmode=verify-full",
		}
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Host == "" {
		return nil, bad(errors.New("the url of the warehouse is none of PostgreSQL"))
	}
	q := u.Query()
	if o.CA != "" {
		q.Set("sslrootcert", o.CA)
		if q.Get("sslmode") == "" {
			q.Set("sslmode", "verify-full")
		}
	}
	u.RawQuery = q.Encode()
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		var parts *url.Error
		if errors.As(err, &parts) {
			err = parts.Err
		}
		return nil, bad(errors.New(hide(err.Error(), u)))
	}
	if q.Get("connect_timeout") == "" {
		config.ConnectTimeout = connectWithin
	}
	// Nothing is prepared by name: catalogue and tables change under the statements, and poolers between do not keep them.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.RuntimeParams["application_name"] = "firth"
	dialer := &net.Dialer{Timeout: connectWithin, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 20 * time.Second, Interval: 5 * time.Second, Count: 6}}
	config.DialFunc = dialer.DialContext
	return config, nil
}

// hide takes the url's secrets out of a text: the password, wherever the url has it, and that of the client's key.
func hide(text string, u *url.URL) string {
	text = strings.ReplaceAll(text, u.String(), "the url")
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

// session is how each connection is set: names are resolved in pg_catalog alone, so that definitions come with the schemas in them,
// and nobody's defaults for a role or database change what a load does. Two of the settings are not known to older servers.
const session = `SET client_encoding = 'UTF8';
SET search_path = pg_catalog;
SET lock_timeout = '10s';
SET extra_float_digits = 1;
SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout');
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO, YMD';
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET standard_conforming_strings = on;
SET client_min_messages = warning;
SET row_security = off`

// connect makes the connection where there is none that works; the caller holds mu or is alone.
func (d *DB) connect(ctx context.Context) error {
	if d.conn != nil && !d.conn.IsClosed() {
		return nil
	}
	d.drop()
	conn, err := pgx.ConnectConfig(ctx, d.config.Copy())
	if err != nil {
		return err
	}
	d.conn = conn
	if err := d.script(ctx, session); err != nil {
		d.drop()
		return fmt.Errorf("set up the session: %w", err)
	}
	return nil
}
