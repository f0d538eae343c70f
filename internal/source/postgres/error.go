package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/source"
)

//go:embed sql/names.sql
var namesSQL string

// errCut is that the connection ended in the middle.
var errCut = errors.New("the connection was cut")

// advised is an error whose hint is known where it arises.
type advised struct {
	error
	hint string
}

func (e *advised) Unwrap() error { return e.error }

// said is an error of the server in its own words alone: with advice beside it nobody needs to know at which step it came.
type said struct {
	error
	text string
}

func (e *said) Error() string { return e.text }

func (e *said) Unwrap() error { return e.error }

// changed is that what is read is not what was described.
type changed struct{ how string }

func (e *changed) Error() string { return "it was changed since it was described: " + e.how }

// what is the name of what is read, for messages.
func (t *Table) what() string {
	if t.spec.Table != "" {
		return t.name + " " + t.spec.Table
	}
	return t.name
}

// fail wraps an error with what mends it. One that is wrapped already, and the end of the caller's own context, stay as they are.
func (t *Table) fail(op string, err error) error {
	var known *source.Error
	var connecting *pgconn.ConnectError
	if errors.As(err, &known) && errors.As(err, &connecting) {
		return known // the tunnel's
	}
	if err == nil || known != nil {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s %s: %w", op, t.what(), err)
	}
	out := &source.Error{Op: op, Name: t.what(), Err: err}
	if errors.As(err, &connecting) {
		// Its own text names user, host and database, and every address that was tried; the cause alone is enough.
		out.Op, out.Err = "connect", cause(connecting)
	}
	var hinted *advised
	var moved *changed
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &hinted):
		out.Advice = hinted.hint
	case errors.As(err, &moved):
		out.Changed, out.Retry, out.Advice = true, true, "it is described anew at the next try"
	case errors.As(err, &pg):
		out.Advice, out.Retry, out.Changed = t.diagnose(pg)
		if out.Advice != "" && pg.Message != "" {
			out.Err = &said{error: out.Err, text: pg.Message}
		}
	default:
		out.Advice, out.Retry = t.diagnoseNetwork(err)
	}
	return out
}

// cause is what a connection failed of.
func cause(err *pgconn.ConnectError) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns
	}
	if inner := err.Unwrap(); inner != nil {
		return inner
	}
	return err
}

func codeOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func isServer(err error) bool { return codeOf(err) != "" }

// isNetwork reports whether the connection, not what was asked, is at fault.
func isNetwork(err error) bool {
	code := codeOf(err)
	return err != nil && (code == "" || strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P"))
}

func (t *Table) role() string { return quote(t.config.User) }

// object is what is read as SQL names it, where that is known.
func (t *Table) object() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.plan != nil && t.plan.oid != 0 {
		return t.plan.from
	}
	if schema, table, err := splitName(t.spec.Table, t.config.Database); err == nil {
		if schema.text == "" {
			return quote(table.text)
		}
		return quote(schema.text) + "." + quote(table.text)
	}
	return "<table>"
}

// diagnose reads what the server says, by its code; https://www.postgresql.org/docs/current/errcodes-appendix.html lists them.
func (t *Table) diagnose(pg *pgconn.PgError) (hint string, retry, moved bool) {
	switch pg.Code {
	case "3D000":
		return "correct the database's name in the url", false, false
	case "42501":
		return t.deniedHint(pg), false, false
	case "28P01":
		return fmt.Sprintf("correct the password in the url, or set it: ALTER ROLE %s PASSWORD '<password>'", t.role()), false, false
	case "28000":
		return t.loginHint(pg), false, false
	case "42P01":
		return "a table that is read does not exist: correct its name, with its schema", false, true
	case "42703":
		return "a column that is read does not exist: correct its name; where the table was changed just now, the next try sees it", true, true
	case "42601", "42883", "42804", "42702", "42P18":
		return "correct the query, or where", false, false
	case "22P02", "22007", "22008", "22003":
		return "a value that is compared does not have the column's type: correct the query, where or the ids; in a query cast the ids, as in = any (:ids::bigint[])", false, false
	case "53300":
		return fmt.Sprintf("the server has too many connections: end some, lower concurrency, or raise the limit (max_connections; ALTER ROLE %s CONNECTION LIMIT -1)", t.role()), true, false
	case "55P03":
		return "somebody changes the table and holds it locked: it is tried again", true, false
	case "57014":
		return "an administrator, or a limit of the server, ended the reading: it is tried again", true, false
	case "40001":
		return "a standby ended the reading because it was in the way of what came from the primary: it is tried again; hot_standby_feedback = on, or a longer max_standby_streaming_delay, avoids it", true, false
	case "22023":
		if strings.Contains(pg.Message, "snapshot") {
			return "the connection that held the snapshot is gone: it is tried again", true, false
		}
	case "72000":
		return "the server removed rows of the snapshot (old_snapshot_threshold): it is tried again; raise that setting", true, false
	case "XX001", "XX002":
		return "the server says that its files are damaged: see its log", false, false
	}
	if class := pg.Code[:min(2, len(pg.Code))]; class == "08" || class == "53" || class == "40" || class == "57" {
		return "the server ended the connection, starts up or is short of something: it is tried again", true, false
	}
	return pg.Hint, false, false
}

// deniedHint is the statement that gives the right which is missing.
func (t *Table) deniedHint(pg *pgconn.PgError) string {
	on := between(pg.Message, "permission denied for ")
	kind, name, _ := strings.Cut(on, " ")
	switch kind {
	case "schema":
		return fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s;", quote(name), t.role())
	case "database":
		return fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s;", quote(t.config.Database), t.role())
	case "table", "view", "relation", "materialized", "foreign":
		name = name[strings.LastIndexByte(name, ' ')+1:]
		object := t.object()
		if !strings.HasSuffix(object, "."+quote(name)) && object != quote(name) {
			object = quote(name)
		}
		return fmt.Sprintf("GRANT SELECT ON %s TO %s;", object, t.role())
	}
	if strings.HasPrefix(pg.Message, "query would be affected by row-level security") {
		return "a policy of the table hides rows: ALTER ROLE " + t.role() + " BYPASSRLS;"
	}
	return "the server names the right that is missing: give it to " + t.role()
}

func between(s, mark string) string {
	_, after, _ := strings.Cut(s, mark)
	return after
}

// loginHint tells apart what the server means by an invalid authorization.
func (t *Table) loginHint(pg *pgconn.PgError) string {
	switch {
	case strings.Contains(pg.Message, "is not permitted to log in"):
		return fmt.Sprintf("ALTER ROLE %s LOGIN;", t.role())
	case strings.Contains(pg.Message, "does not exist"):
		return fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '<password>';", t.role())
	case strings.Contains(pg.Message, "pg_hba.conf") && (strings.Contains(pg.Message, "no encryption") || strings.Contains(pg.Message, "SSL off")):
		return "the server refuses plain connections: put sslmode=verify-full (with ca: FILE for an authority of your own), or at least sslmode=require, into the url"
	case strings.Contains(pg.Message, "pg_hba.conf"):
		return fmt.Sprintf("let the role in by a line of the server's pg_hba.conf, and run SELECT pg_reload_conf(): host %s %s <this address>/32 scram-sha-256", quote(t.config.Database), t.role())
	case strings.Contains(pg.Message, "certificate"):
		return "the server asks for a certificate of the client: put sslcert and sslkey into the url"
	}
	return fmt.Sprintf("the server does not let %s in: see pg_hba.conf and the server's log", t.role())
}

// diagnoseNetwork tells apart why there is no answer.
func (t *Table) diagnoseNetwork(err error) (hint string, retry bool) {
	at := net.JoinHostPort(t.config.Host, fmt.Sprint(t.config.Port))
	var dns *net.DNSError
	var timeout net.Error
	var network *net.OpError
	switch {
	case errors.As(err, &dns) && !dns.IsTimeout:
		return fmt.Sprintf("the name %s does not resolve: correct the host in the url", t.config.Host), true
	case isCertificate(err):
		return "name the file of the authority that signed it (ca: FILE of the database), and in the url the host that the certificate is for", false
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return "the server speaks no TLS: turn it on (ssl = on in postgresql.conf), or put sslmode=disable into the url where nobody listens between", false
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens at %s: start the server, or correct host and port in the url", at), true
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("there is no answer from %s: look at firewalls and allowed addresses between; it is tried again", at), true
	case errors.Is(err, errCut), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), strings.Contains(err.Error(), "conn closed"), strings.Contains(err.Error(), "EOF"), errors.As(err, &network):
		return fmt.Sprintf("the connection to %s was cut: it is tried again", at), true
	}
	return "", false
}

// isCertificate reports whether the server's certificate was not believed.
func isCertificate(err error) bool {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	return errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verification)
}
