package redshift

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/object"
	"firth/internal/warehouse"
)

// What servers and the network say, where their code leaves several things open. Amazon's own errors come under XX000.
var (
	noHostText   = regexp.MustCompile(`(?i)no such host`)
	timeoutText  = regexp.MustCompile(`(?i)i/o timeout|deadline exceeded`)
	downText     = regexp.MustCompile(`(?i)\bEOF\b|closed|reset|refused|unreachable|broken pipe|\bconn `)
	noLoginText  = regexp.MustCompile(`(?i)not permitted to log ?in|pg_hba|no (pg_)?hba`)
	needsTLSText = regexp.MustCompile(`(?i)ssl off|no encryption|SSL connection is required|require_ssl`)
	noTLSText    = regexp.MustCompile(`(?i)server refused TLS`)
	badTLSText   = regexp.MustCompile(`(?i)x509|certificate`)
	stagedText   = regexp.MustCompile(`(?i)S3ServiceException|S3 Query Exception|Problem reading manifest|Spectrum|S3CurlException|credentials? (is|are|parameter)|not authorized to assume|IAM role`)
	rejectedText = regexp.MustCompile(`(?i)stl_load_errors|sys_load_error_detail`)
	serialText   = regexp.MustCompile(`(?i)\b1023\b|serializable isolation violation|\b1018\b`)
	fullText     = regexp.MustCompile(`(?i)disk full|no space left|exceeded the (disk )?quota|schema quota`)
	tooManyText  = regexp.MustCompile(`(?i)too many (connections|columns|tables)|connection limit|exceeds the limit|tables can have at most|\b1040\b`)
	objectText   = regexp.MustCompile(`(?i)permission denied (?:for|to) (database|schema|relation|table|view|language|)\s*"?([^"]*?)"?$`)
	ownerText    = regexp.MustCompile(`(?i)must be owner of (?:relation|table|view|schema)\s+"?([^"]*?)"?$`)
)

// fail makes an error a *warehouse.Error with its kind and what to do about it. It hangs up after trouble of the connection, and the
// next call connects anew.
func (d *DB) fail(op, name string, err error) error {
	err = d.secrets.scrub(err)
	var known *warehouse.Error
	if errors.As(err, &known) {
		if known.Op == op && known.Object == name {
			return err // it says so already
		}
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	e := &warehouse.Error{Op: op, Object: name, Err: err}
	e.Kind, e.Hint = d.diagnose(err)
	e.Hint = d.secrets.text(e.Hint)
	switch e.Kind {
	case warehouse.Down, warehouse.Timeout, warehouse.ReadOnly:
		d.hangUp()
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	return e
}

func (d *DB) diagnose(err error) (warehouse.Kind, string) {
	var oe *object.Error
	if errors.As(err, &oe) {
		return warehouse.Unstaged, oe.Hint
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return d.diagnoseServer(pe)
	}
	return d.diagnoseNetwork(err)
}

func (d *DB) diagnoseNetwork(err error) (warehouse.Kind, string) {
	host, _, _ := strings.Cut(d.place, "/")
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var network net.Error
	text := err.Error()
	switch {
	case errors.As(err, &dns) && dns.IsNotFound, noHostText.MatchString(text):
		return warehouse.NoHost, fmt.Sprintf("correct the host in the url: nobody knows %s; the cluster's endpoint is printed by: aws redshift describe-clusters", host)
	case noTLSText.MatchString(text):
		return warehouse.NeedsTLS, "the server speaks no TLS: if that is meant so, write sslmode=disable into the url"
	case errors.As(err, &certificate), errors.As(err, &authority), badTLSText.MatchString(text):
		return warehouse.BadTLS, "give the file of the authority that signed the server's certificate as ca: (Amazon's is https://s3.amazonaws.com/redshift-downloads/amazon-trust-ca-bundle.crt)"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout(), timeoutText.MatchString(text):
		return warehouse.Timeout, fmt.Sprintf("allow connections from here to %s: a security group or a firewall in between drops them, or the cluster is paused", host)
	case errors.Is(err, context.Canceled):
		return warehouse.Unexpected, ""
	case errors.As(err, &network), downText.MatchString(text):
		return warehouse.Down, fmt.Sprintf("see that the cluster is available and listens at %s; Firth tries again by itself", host)
	}
	return warehouse.Unexpected, ""
}

func (d *DB) diagnoseServer(pe *pgconn.PgError) (warehouse.Kind, string) {
	text := pe.Message + " " + pe.Detail
	user, database := quote(d.user), quote(d.database)
	switch {
	case needsTLSText.MatchString(text):
		return warehouse.NeedsTLS, "the server refuses plain connections: write sslmode=require (or verify-full) into the url"
	case noLoginText.MatchString(text):
		return warehouse.NoLogin, fmt.Sprintf("ALTER USER %s CONNECTION LIMIT UNLIMITED; and see that the user is not locked, and may connect from here", user)
	case stagedText.MatchString(text):
		return warehouse.Unstaged, d.stagedHint(text)
	case rejectedText.MatchString(text):
		return warehouse.Unstaged, "the cluster refused a row: SELECT * FROM sys_load_error_detail ORDER BY start_time DESC LIMIT 10; nothing of the load is in, and it is tried again"
	case serialText.MatchString(text):
		return warehouse.Busy, "another transaction changed the same tables; it is tried again by itself"
	case fullText.MatchString(text):
		return warehouse.DiskFull, "make room: VACUUM DELETE ONLY, drop what nobody needs, or resize the cluster; loading goes on by itself"
	case tooManyText.MatchString(text):
		return warehouse.TooMany, "close connections, or leave tables or columns out of this warehouse (tables: {exclude: [...]})"
	}
	switch pe.Code {
	case "28P01", "28000":
		return warehouse.BadLogin, fmt.Sprintf("correct user and password in the url, or run as an administrator: ALTER USER %s PASSWORD '<password>'", user)
	case "3D000":
		return warehouse.NoDatabase, fmt.Sprintf("CREATE DATABASE %s; or correct its name in the url", database)
	case "42501":
		return warehouse.Denied, d.deniedHint(pe.Message)
	case "25006":
		return warehouse.ReadOnly, "write the address of the cluster that takes writes into the url"
	case "53100":
		return warehouse.DiskFull, "make room or resize the cluster; loading goes on by itself"
	case "53200":
		return warehouse.NoMemory, "give the user's queue more memory (WLM), or load less at once"
	case "53300", "54011", "54023":
		return warehouse.TooMany, "close connections, or leave tables or columns out of this warehouse"
	case "55P03", "57014", "40P01", "40001", "25P02", "55006":
		return warehouse.Busy, "the statement was ended: by a lock that somebody holds, a limit of the queue, an administrator, or a resize of the cluster; it is tried again. Who holds what: SELECT * FROM svv_transactions WHERE lockable_object_type = 'relation'"
	case "57P01", "57P02", "57P03", "08000", "08003", "08006":
		return warehouse.Down, "the cluster restarts or ended the connection; Firth tries again by itself"
	case "2BP01":
		return warehouse.Unexpected, "drop what depends on the column, or make such views WITH NO SCHEMA BINDING; " + firstLine(pe.Detail)
	case "0A000", "42601":
		return warehouse.Unexpected, ""
	}
	return warehouse.Unexpected, ""
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// deniedHint is the statement that gives the missing right, for an administrator.
func (d *DB) deniedHint(message string) string {
	user, database, schema := quote(d.user), quote(d.database), quote(d.schema)
	if m := ownerText.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("ALTER TABLE %s.%s OWNER TO %s", schema, quote(m[1]), user)
	}
	m := objectText.FindStringSubmatch(message)
	if m == nil {
		return fmt.Sprintf("GRANT CREATE, TEMPORARY ON DATABASE %s TO %s", database, user)
	}
	switch strings.ToLower(m[1]) {
	case "database":
		return fmt.Sprintf("GRANT CREATE, TEMPORARY ON DATABASE %s TO %s", database, user)
	case "schema":
		return fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA %s TO %s; GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA %s TO %s", quote(m[2]), user, quote(m[2]), user)
	case "relation", "table", "view":
		return fmt.Sprintf("GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA %s TO %s; for %s alone: GRANT ALL PRIVILEGES ON TABLE %s.%s TO %s", schema, user, m[2], schema, quote(m[2]), user)
	}
	return fmt.Sprintf("GRANT CREATE, TEMPORARY ON DATABASE %s TO %s", database, user)
}

// stagedHint says what keeps the cluster from reading the parts.
func (d *DB) stagedHint(text string) string {
	where := d.store.String()
	switch {
	case strings.Contains(text, "assume"):
		return fmt.Sprintf("attach the role %s to the cluster, and let redshift.amazonaws.com assume it", d.options.IAMRole)
	case strings.Contains(text, "301") || strings.Contains(text, "PermanentRedirect"):
		return fmt.Sprintf("the bucket is not in the region %s: write region=... into staging", d.store.Region())
	case strings.Contains(text, "403") || strings.Contains(text, "AccessDenied") || strings.Contains(text, "Access Denied"):
		return fmt.Sprintf("allow the cluster's role s3:GetObject on %s and s3:ListBucket on its bucket", where)
	}
	return "see that the cluster can read " + where
}
