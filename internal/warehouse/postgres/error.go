package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/warehouse"
)

// ill is an error whose kind and hint are known where it arises.
type ill struct {
	kind warehouse.Kind
	hint string
	pid  int // of the process that is in the way, where one is known
	err  error
}

func (e *ill) Error() string { return e.err.Error() }
func (e *ill) Unwrap() error { return e.err }

// fail wraps an error with its kind and the statement that mends it.
func (d *DB) fail(ctx context.Context, op, object string, err error) error {
	var known *ill
	if errors.As(err, &known) {
		return &warehouse.Error{Op: op, Object: object, Kind: known.kind, Hint: known.hint, PID: known.pid, Err: err}
	}
	if errors.Is(err, errClosed) || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", op, object, err)
	}
	kind, hint := d.diagnose(err)
	return &warehouse.Error{Op: op, Object: object, Kind: kind, Hint: hint, Err: err}
}

// inSchema is an error of work in a schema, which the server's own errors do not always name.
type inSchema struct {
	schema string
	error
}

func (e *inSchema) Unwrap() error { return e.error }

// diagnose says what is wrong, and what mends it.
func (d *DB) diagnose(err error) (warehouse.Kind, string) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		var in *inSchema
		if errors.As(err, &in) && pg.SchemaName == "" {
			named := *pg
			named.SchemaName = in.schema
			pg = &named
		}
		return d.diagnoseServer(pg)
	}
	return d.diagnoseNetwork(err)
}

func (d *DB) role() string     { return quote(d.config.User) }
func (d *DB) database() string { return quote(d.config.Database) }

// diagnoseServer reads what the server says, by its code; https://www.postgresql.org/docs/current/errcodes-appendix.html lists them.
func (d *DB) diagnoseServer(pg *pgconn.PgError) (warehouse.Kind, string) {
	switch pg.Code {
	case "3D000":
		return warehouse.NoDatabase, fmt.Sprintf("correct the database's name in the url, or make it: CREATE DATABASE %s", d.database())
	case "42501":
		return warehouse.Denied, d.deniedHint(pg)
	case "28P01":
		return warehouse.BadLogin, fmt.Sprintf("correct the password in the url, or set it: ALTER ROLE %s PASSWORD '<password>'", d.role())
	case "28000":
		return d.diagnoseLogin(pg)
	case "53100":
		return warehouse.DiskFull, "make room on the server's disk: loading goes on by itself"
	case "53200":
		return warehouse.NoMemory, "the server is out of memory: see its log"
	case "53300":
		return warehouse.TooMany, fmt.Sprintf("end connections that are not needed (SELECT pid, usename, application_name FROM pg_stat_activity), or raise the limit: "+
			"ALTER SYSTEM SET max_connections = 200, then restart the server; where the role is limited: ALTER ROLE %s CONNECTION LIMIT -1", d.role())
	case "54011":
		return warehouse.TooMany, "the table has 1,600 columns, the most that there can be; dropped ones count until the table is made anew: load it with --rebuild"
	case "25006":
		return warehouse.ReadOnly, fmt.Sprintf("where this is a standby, put the address of the primary server into the url; else: ALTER ROLE %s SET default_transaction_read_only = off", d.role())
	case "57P03":
		return warehouse.Down, "the server is starting up, shutting down or recovering: it is tried again"
	case "57P01", "57P02", "57P05":
		return warehouse.Down, "the server ended the connection: it is tried again"
	case "57014":
		return warehouse.Timeout, "an administrator, or a limit of the server, ended the statement: it is tried again"
	case "40001", "40P01", "55P03":
		return warehouse.Busy, "somebody holds a lock that is needed: it is tried again"
	case "42P01", "3F000":
		return warehouse.Broken, "a table or schema of the warehouse was dropped beside the load: it is made again"
	case "23505", "23502", "23514", "23503", "P0001":
		return warehouse.Unexpected, constraintHint(pg)
	case "XX001", "XX002":
		return warehouse.Corrupt, "the server says that its files are damaged: see its log; REINDEX TABLE mends an index"
	}
	if strings.HasPrefix(pg.Code, "08") {
		return warehouse.Down, "the server ended the connection: it is tried again"
	}
	return warehouse.Unexpected, pg.Hint
}

// constraintHint is for rows that a constraint, an index or a trigger of the table's owner refuses.
func constraintHint(pg *pgconn.PgError) string {
	name := qualified(pg.SchemaName, pg.TableName)
	switch {
	case pg.TableName == "":
		return "a trigger of the table refuses rows of the load"
	case pg.Code == "23502":
		return fmt.Sprintf("a column must not be NULL, and rows come without it: ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", name, quote(pg.ColumnName))
	case pg.ConstraintName != "" && pg.Code != "23505":
		return fmt.Sprintf("a constraint of the table refuses rows: ALTER TABLE %s DROP CONSTRAINT %s", name, quote(pg.ConstraintName))
	case pg.ConstraintName != "":
		return fmt.Sprintf("a unique index refuses rows: DROP INDEX %s (of a constraint: ALTER TABLE %s DROP CONSTRAINT %s)",
			qualified(pg.SchemaName, pg.ConstraintName), name, quote(pg.ConstraintName))
	}
	return "a constraint of the table refuses rows of the load"
}

// deniedHint is the statement that gives the right which is missing.
func (d *DB) deniedHint(pg *pgconn.PgError) string {
	on := between(pg.Message, " for ")
	what, name, _ := strings.Cut(on, " ")
	switch {
	case strings.HasPrefix(pg.Message, "permission denied for database") && strings.Contains(pg.Detail, "CONNECT"):
		return fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", d.database(), d.role())
	case strings.HasPrefix(pg.Message, "permission denied for database"):
		return fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s", d.database(), d.role())
	case strings.Contains(pg.Message, "temporary tables"):
		return fmt.Sprintf("GRANT TEMPORARY ON DATABASE %s TO %s", d.database(), d.role())
	case what == "schema":
		return fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA %s TO %s", quote(name), d.role())
	case strings.HasPrefix(pg.Message, "must be owner of schema "):
		return fmt.Sprintf("ALTER SCHEMA %s OWNER TO %s", quote(between(pg.Message, "schema ")), d.role())
	case strings.HasPrefix(pg.Message, "must be owner of "):
		return ownerHint(pg, d.role())
	case strings.HasPrefix(pg.Message, "must be able to SET ROLE"), strings.HasPrefix(pg.Message, "must be member of role"):
		name, _, _ := strings.Cut(between(pg.Message, `"`), `"`)
		return fmt.Sprintf("GRANT %s TO %s", quote(name), d.role())
	case strings.HasPrefix(pg.Message, "permission denied for"):
		return fmt.Sprintf("GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA %s TO %s", schemaHint(pg), d.role())
	}
	return "the server names the right that is missing; firth check --setup prints the statements that give all of them"
}

// ownerHint gives a table or view, which the server names after its kind, to the login.
func ownerHint(pg *pgconn.PgError, role string) string {
	what := between(pg.Message, "must be owner of ")
	for _, kind := range []string{"materialized view", "foreign table", "table", "view", "sequence", "relation"} {
		if name, ok := strings.CutPrefix(what, kind+" "); ok {
			if kind == "relation" {
				kind = "table"
			}
			return fmt.Sprintf("ALTER %s %s.%s OWNER TO %s", strings.ToUpper(kind), schemaHint(pg), quote(name), role)
		}
	}
	return "the server names what belongs to somebody else: make " + role + " a member of the role that owns it"
}

// schemaHint is the schema of an error; outside a load it is the bookkeeping's.
func schemaHint(pg *pgconn.PgError) string {
	if pg.SchemaName == "" {
		return quote(bookkeeping)
	}
	return quote(pg.SchemaName)
}

func between(s, mark string) string {
	_, after, _ := strings.Cut(s, mark)
	return after
}

// diagnoseLogin tells apart what the server means by an invalid authorization.
func (d *DB) diagnoseLogin(pg *pgconn.PgError) (warehouse.Kind, string) {
	switch {
	case strings.Contains(pg.Message, "is not permitted to log in"):
		return warehouse.NoLogin, fmt.Sprintf("ALTER ROLE %s LOGIN", d.role())
	case strings.Contains(pg.Message, "does not exist"):
		return warehouse.NoLogin, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '<password>'", d.role())
	case strings.Contains(pg.Message, "pg_hba.conf") && (strings.Contains(pg.Message, "no encryption") || strings.Contains(pg.Message, "SSL off")):
		return warehouse.NeedsTLS, "the server refuses plain connections of this role: put sslmode=verify-full (with ca: FILE for an authority of your own), or at least sslmode=require, into the url. " +
			"Where that is refused too, " + d.letIn("host", pg.Message)
	case strings.Contains(pg.Message, "pg_hba.conf"):
		return warehouse.NoLogin, d.letIn("hostssl", pg.Message)
	case strings.Contains(pg.Message, "certificate"):
		return warehouse.BadLogin, "the server asks for a certificate of the client: put sslcert and sslkey into the url"
	}
	return warehouse.BadLogin, fmt.Sprintf("the server does not let %s in: see pg_hba.conf and the server's log", d.role())
}

// letIn is the line that lets the role in from the address that the server saw.
func (d *DB) letIn(kind, message string) string {
	address, _, _ := strings.Cut(between(message, "for host \""), "\"")
	bits := "/32"
	if strings.Contains(address, ":") {
		bits = "/128"
	}
	return fmt.Sprintf("add this line to the server's pg_hba.conf, and run SELECT pg_reload_conf(): %s %s %s %s%s scram-sha-256", kind, d.database(), d.role(), address, bits)
}

// diagnoseNetwork tells apart why there is no answer.
func (d *DB) diagnoseNetwork(err error) (warehouse.Kind, string) {
	at := net.JoinHostPort(d.config.Host, fmt.Sprint(d.config.Port))
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns) && !dns.IsTimeout:
		return warehouse.NoHost, fmt.Sprintf("the name %s does not resolve: correct the host in the url", d.config.Host)
	case isCertificate(err):
		return warehouse.BadTLS, "name the file of the authority that signed it (ca: FILE in the warehouse's configuration), and in the url the host that the certificate is for"
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return warehouse.BadTLS, "the server speaks no TLS: turn it on (ssl = on in postgresql.conf), or put sslmode=disable into the url where nobody listens between"
	case errors.Is(err, syscall.ECONNREFUSED):
		return warehouse.Down, fmt.Sprintf("nothing listens at %s: start the server, or correct host and port in the url; it is tried again", at)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), pgconn.Timeout(err):
		return warehouse.Timeout, fmt.Sprintf("there is no answer from %s: look at firewalls and allowed addresses between; it is tried again", at)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed),
		strings.Contains(err.Error(), "conn closed"), strings.Contains(err.Error(), "EOF"):
		return warehouse.Down, fmt.Sprintf("the connection to %s was cut: it is tried again", at)
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return warehouse.Down, fmt.Sprintf("there is no way to %s: it is tried again", at)
	}
	return warehouse.Unexpected, ""
}

// isCertificate reports whether the server's certificate was not believed.
func isCertificate(err error) bool {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	return errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verification)
}
