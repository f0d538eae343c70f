package catalog

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

//go:embed postgres.sql
var postgresSQL string

// The kinds of Server.
const (
	KindPostgres = "postgres"
	KindREST     = "rest"
)

// Server is where the tables are registered in place of the SQLite file, so that several machines see the same. The SQLite file stays
// beside it for what concerns this machine alone. The zero value is none.
type Server struct {
	Kind string // KindPostgres or KindREST; empty: the SQLite file
	// URL is postgres://user:password@host:5432/database, or that of a REST catalog, without /v1. It may hold a password and is in no error.
	URL string
	// Warehouse is the one to ask a REST catalog for, where it has several.
	Warehouse string
	// Token, or Credential (id:secret, for a token by OAuth 2), is what a REST catalog is shown.
	Token, Credential string
}

// connectWithin bounds a connection's making.
const connectWithin = 10 * time.Second

// openPostgres connects, and makes the two tables of the Iceberg JDBC catalog where they are missing.
func openPostgres(ctx context.Context, s Server, name string, readOnly bool) (*registry, error) {
	config, err := pgx.ParseConfig(s.URL)
	if err != nil {
		return nil, errors.New("lake.catalog: the url is none of PostgreSQL: write postgres://USER:PASSWORD@HOST:5432/DATABASE")
	}
	config.ConnectTimeout = connectWithin
	config.RuntimeParams["application_name"] = "firth"
	if readOnly {
		config.RuntimeParams["default_transaction_read_only"] = "on"
	} else {
		config.RuntimeParams["synchronous_commit"] = "on" // whatever the database's default: the journal is trimmed after a commit
	}
	// A pooler between may not keep what is prepared by name.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(4)
	r := &registry{db: db, name: name, dollar: true}
	if readOnly {
		err = db.PingContext(ctx)
	} else {
		err = r.create(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("catalog in PostgreSQL at %s, database %s, user %s: %w", config.Host, config.Database, config.User, hidden(err, s.URL)), db.Close())
	}
	return r, nil
}

// create makes the tables. Two that do so at the same time get in each other's way once.
func (r *registry) create(ctx context.Context) error {
	for _, statement := range strings.Split(postgresSQL, ";") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		_, err := r.db.ExecContext(ctx, statement)
		if err != nil {
			_, err = r.db.ExecContext(ctx, statement)
		}
		if err != nil {
			return fmt.Errorf("make the catalog's tables: %w; the user needs the right to create tables: GRANT CREATE ON SCHEMA public TO the user", err)
		}
	}
	return nil
}

// hidden is an error without the password of a URL.
func hidden(err error, rawURL string) error {
	text := strings.ReplaceAll(err.Error(), rawURL, "the url")
	if u, perr := url.Parse(rawURL); perr == nil && u.User != nil {
		if password, ok := u.User.Password(); ok && password != "" {
			text = strings.ReplaceAll(text, password, "xxxxx")
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// without is an error whose text lacks a secret.
func without(err error, secret string) error {
	if text := err.Error(); strings.Contains(text, secret) {
		return errors.New(strings.ReplaceAll(text, secret, "xxxxx"))
	}
	return err
}

// sqlite is the registry in the SQLite file.
func sqlite(db *sql.DB, name string) *registry { return &registry{db: db, name: name} }
