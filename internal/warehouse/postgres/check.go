package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"firth/internal/warehouse"
)

// Check connects and says what it finds, in the order in which a load would meet it: host, login and database, encryption, what the
// server is, rights, and the schemas of the sources. It changes nothing but makes a temporary table and drops it.
func Check(ctx context.Context, address string, o Options, schemas []string) []warehouse.Finding {
	config, err := parse(address, o)
	if err != nil {
		return []warehouse.Finding{{What: "url", Found: err.Error(), Hint: warehouse.HintOf(err)}}
	}
	c := &checker{db: &DB{config: config, options: o.withDefaults()}}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	if !c.resolve(ctx) || !c.login(ctx) {
		return c.findings
	}
	defer c.db.drop()
	c.encryption()
	s, err := c.db.readServer(ctx)
	if err != nil {
		c.broken(ctx, "server", err)
		return c.findings
	}
	c.server(s)
	if s.standby || s.version < 120000 {
		return c.findings
	}
	c.rights(ctx)
	sorted := slices.Clone(schemas)
	slices.Sort(sorted)
	for _, schema := range slices.Compact(sorted) {
		c.schema(ctx, schema)
	}
	return c.findings
}

// checker gathers findings.
type checker struct {
	db       *DB
	findings []warehouse.Finding
}

func (c *checker) fine(what, found string) {
	c.findings = append(c.findings, warehouse.Finding{What: what, OK: true, Found: found})
}

func (c *checker) wrong(what, found, hint string) {
	c.findings = append(c.findings, warehouse.Finding{What: what, Found: found, Hint: hint})
}

// broken adds the finding of an error.
func (c *checker) broken(ctx context.Context, what string, err error) {
	err = c.db.fail(ctx, "check", c.db.options.Name, err)
	var e *warehouse.Error
	if errors.As(err, &e) {
		c.wrong(what, e.Err.Error(), e.Hint)
		return
	}
	c.wrong(what, err.Error(), "")
}

func (c *checker) resolve(ctx context.Context) bool {
	host := c.db.config.Host
	if strings.HasPrefix(host, "/") {
		c.fine("host", host)
		return true
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		c.broken(ctx, "host", err)
		return false
	}
	c.fine("host", host+" is "+strings.Join(addresses, ", "))
	return true
}

func (c *checker) login(ctx context.Context) bool {
	if err := c.db.connect(ctx); err != nil {
		c.broken(ctx, "login", err)
		return false
	}
	c.fine("login", fmt.Sprintf("%s at %s, database %s", c.db.role(), net.JoinHostPort(c.db.config.Host, fmt.Sprint(c.db.config.Port)), c.db.database()))
	return true
}

func (c *checker) encryption() {
	conn, ok := c.db.conn.PgConn().Conn().(*tls.Conn)
	if !ok {
		c.fine("encryption", "none: texts and password travel as they are; sslmode=verify-full in the url asks for TLS")
		return
	}
	state := conn.ConnectionState()
	found := tls.VersionName(state.Version)
	if len(state.VerifiedChains) == 0 && (c.db.config.TLSConfig == nil || c.db.config.TLSConfig.InsecureSkipVerify && c.db.config.TLSConfig.VerifyPeerCertificate == nil) {
		found += ", the server's certificate was not looked at; sslmode=verify-full in the url does"
	}
	c.fine("encryption", found)
}

func (c *checker) server(s *traits) {
	found := "PostgreSQL " + s.text
	if s.columnar {
		found += " with columnar tables"
	}
	if e := s.trouble(c.db.options); e != nil {
		c.wrong("server", found+": "+e.Error(), e.hint)
		return
	}
	c.fine("server", found)
}

// rights looks for the rights on the database that loads need.
func (c *checker) rights(ctx context.Context) {
	var create, temporary, bookkeeping bool
	err := c.db.conn.QueryRow(ctx, "SELECT has_database_privilege(current_database(), 'CREATE'), has_database_privilege(current_database(), 'TEMPORARY'), "+
		"to_regnamespace('_firth') IS NOT NULL").Scan(&create, &temporary, &bookkeeping)
	if err != nil {
		c.broken(ctx, "rights", err)
		return
	}
	switch {
	case !create:
		c.wrong("right to make schemas", c.db.role()+" may not make schemas in "+c.db.database(), fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s", c.db.database(), c.db.role()))
	default:
		c.fine("right to make schemas", "granted")
	}
	_, err = c.db.conn.Exec(ctx, "CREATE TEMPORARY TABLE firth_check (id text) USING heap")
	if err == nil {
		_, err = c.db.conn.Exec(ctx, "DROP TABLE pg_temp.firth_check")
	}
	if err != nil {
		c.broken(ctx, "temporary tables", err)
	} else {
		c.fine("temporary tables", "granted")
	}
	if bookkeeping {
		c.bookkeeping(ctx)
	}
}

// bookkeeping looks whether the schema _firth, which is there, can be used.
func (c *checker) bookkeeping(ctx context.Context) {
	var version int
	if err := c.db.conn.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM _firth.format").Scan(&version); err != nil {
		c.broken(ctx, "bookkeeping", err)
		return
	}
	if version > formatVersion {
		c.wrong("bookkeeping", fmt.Sprintf("the schema _firth has version %d, this program knows %d", version, formatVersion), "run the version of Firth that loaded this database last, or a later one")
		return
	}
	c.fine("bookkeeping", fmt.Sprintf("the schema _firth, version %d", version))
}

// schema looks whether the schema of a source can be loaded into.
func (c *checker) schema(ctx context.Context, schema string) {
	what := "schema " + schema
	var usage, create bool
	err := c.db.conn.QueryRow(ctx, "SELECT has_schema_privilege(oid, 'USAGE'), has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = $1", schema).Scan(&usage, &create)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		c.fine(what, "is not there yet; the first load makes it")
		return
	case err != nil:
		c.broken(ctx, what, err)
		return
	case !usage || !create:
		c.wrong(what, fmt.Sprintf("%s may not use it, or not make tables in it", c.db.role()), fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA %s TO %s", quote(schema), c.db.role()))
		return
	}
	var tables int
	var writable, owned bool
	var owner *string
	err = c.db.conn.QueryRow(ctx, "SELECT count(*), coalesce(bool_and(has_table_privilege(r.oid, 'SELECT') AND has_table_privilege(r.oid, 'INSERT') AND has_table_privilege(r.oid, 'UPDATE')), true), "+
		"coalesce(bool_and(pg_has_role(r.relowner, 'USAGE')), true), min(pg_get_userbyid(r.relowner)::text) FILTER (WHERE NOT pg_has_role(r.relowner, 'USAGE')) "+
		"FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE n.nspname = $1 AND r.relkind IN ('r', 'p')", schema).Scan(&tables, &writable, &owned, &owner)
	switch {
	case err != nil:
		c.broken(ctx, what, err)
	case !writable:
		c.wrong(what, fmt.Sprintf("%s may not read and write all of its %d tables", c.db.role(), tables), fmt.Sprintf("GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA %s TO %s", quote(schema), c.db.role()))
	case !owned:
		c.wrong(what, fmt.Sprintf("tables belong to %s: %s may not add columns to them", quote(*owner), c.db.role()), fmt.Sprintf("GRANT %s TO %s", quote(*owner), c.db.role()))
	default:
		c.fine(what, fmt.Sprintf("%d tables", tables))
	}
}

// Setup returns the statements that make the role of the url, with the rights that loads need and no more. An administrator runs them.
func Setup(address string, schemas []string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("set up: the url of the warehouse cannot be read")
	}
	database, role := strings.TrimPrefix(u.Path, "/"), u.User.Username()
	if role == "" || database == "" {
		return "", errors.New("set up: the url of the warehouse names no user or no database")
	}
	return setupStatements(role, database, schemas), nil
}
