package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"syscall"

	engine "github.com/go-sql-driver/mysql"

	"firth/internal/source"
)

// Error numbers of the servers.
const (
	errTooManyConns     = 1040
	errDatabaseDenied   = 1044
	errAccessDenied     = 1045
	errNoDatabaseChosen = 1046
	errUnknownDatabase  = 1049
	errShutdown         = 1053
	errUnknownColumn    = 1054
	errSameColumn       = 1060
	errSyntax           = 1064
	errTableFull        = 1114
	errHostBlocked      = 1129
	errHostDenied       = 1130
	errTableDenied      = 1142
	errColumnDenied     = 1143
	errNoTable          = 1146
	errLockTimeout      = 1205
	errDeadlock         = 1213
	errUserTooMany      = 1203
	errResourceLimit    = 1226
	errCutGroupConcat   = 1260
	errResultTooLarge   = 1301
	errQueryKilled      = 1317
	errViewDenied       = 1370
	errViewInvalid      = 1356
	errTableChanged     = 1412
	errMustChange       = 1820
	errPasswordExpired  = 1862
	errConnKilled       = 1927 // MariaDB
	errStatementTimeout = 1969 // MariaDB
	errQueryTimeout     = 3024
	errAccountLocked    = 3118
	errNeedsTLS         = 3159
	errAccountLocked2   = 4151 // MariaDB
)

// isLost says that the connection is gone.
func isLost(err error) bool {
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, engine.ErrInvalidConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || slices.Contains([]uint16{errShutdown, errConnKilled}, number(err))
}

// said is an error of the server in its words alone: the number of it helps nobody who is told what to do.
type said struct{ server *engine.MySQLError }

func (e *said) Error() string { return e.server.Message }

func (e *said) Unwrap() error { return e.server }

// errLost stands for what the driver says of lost connections, which nobody understands.
var errLost = errors.New("the connection was lost")

// fail says what went wrong, in words, and what to do.
func (l login) fail(op, name string, err error) error {
	var known *source.Error
	switch {
	case errors.As(err, &known):
		return err
	case number(err) == 0 && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) && !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	e := &source.Error{Op: op, Name: name, Err: err}
	if number(err) != 0 {
		l.serverError(e)
		if own, ok := e.Err.(*engine.MySQLError); ok && e.Advice != "" { //nolint:errorlint // one that is wrapped says more
			e.Err = &said{own}
		}
	} else {
		l.networkError(e)
	}
	return e
}

// serverError fills in what an error of the server asks for.
func (l login) serverError(e *source.Error) {
	switch n := number(e.Err); n {
	case errAccessDenied, errHostDenied, errHostBlocked, errMustChange, errPasswordExpired, errAccountLocked, errAccountLocked2:
		e.Advice = l.loginHint(e.Err)
	case errDatabaseDenied, errTableDenied, errColumnDenied, errViewDenied:
		e.Advice = l.grantFor(e.Err, relation{})
	case errNoDatabaseChosen:
		e.Advice = "name the table as schema.table, or the database in the url: mysql://.../database"
	case errUnknownDatabase:
		e.Advice = "mend the database's name in the url, or the schema before the table's name"
	case errTooManyConns:
		e.Retry, e.Advice = true, "SET GLOBAL max_connections = 500, or end connections that are idle; concurrency bounds how many the mirror takes"
	case errUserTooMany, errResourceLimit:
		e.Retry, e.Advice = true, "ALTER USER "+l.account()+" WITH MAX_USER_CONNECTIONS 0 MAX_QUERIES_PER_HOUR 0"
	case errNoTable, errUnknownColumn, errViewInvalid:
		e.Changed = true
		e.Advice = "see that what the query names is there: SHOW TABLES, SHOW COLUMNS FROM ..."
	case errTableChanged:
		e.Changed, e.Retry = true, true
		e.Advice = "the table was altered while it was read; it is read again from the beginning"
	case errSameColumn:
		e.Advice = "give each column of the query a name of its own: SELECT a.id AS a_id, b.id AS b_id"
	case errSyntax:
		e.Advice = "mend the query or where; what is sent are statements of MySQL without ANSI_QUOTES"
	case errLockTimeout, errDeadlock:
		e.Retry, e.Advice = true, "somebody holds a lock: see SHOW FULL PROCESSLIST; it is tried again"
	case errShutdown, errConnKilled:
		e.Retry, e.Advice = true, "see that the server runs on "+l.place()+"; it is read again when it is back"
		e.Err = fmt.Errorf("%w: %w", errLost, e.Err)
	case errQueryKilled:
		e.Retry, e.Advice = true, "somebody ended the statement (KILL QUERY); it is tried again"
	case errStatementTimeout, errQueryTimeout:
		e.Retry, e.Advice = true, "the server bounds how long a statement may take: GRANT the user the right to set max_statement_time, or SET GLOBAL max_statement_time = 0"
	case errTableFull:
		e.Retry, e.Advice = true, "make room for temporary tables on the server (tmpdir, tmp_table_size)"
	case errNeedsTLS:
		e.Advice = "add ?tls=true to the url, and the server's certificate authority as ca"
	default:
		if secureOnlyText.MatchString(e.Err.Error()) {
			e.Advice = "add ?tls=true to the url, and the server's certificate authority as ca"
		}
	}
}

var secureOnlyText = regexp.MustCompile(`(?i)insecure transport|require_secure_transport`)

// networkError fills in what an error on the way to the server asks for.
func (l login) networkError(e *source.Error) {
	var dns *net.DNSError
	var network net.Error
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	err := e.Err
	switch {
	case errors.Is(err, engine.ErrNoTLS):
		e.Advice = "the server has no TLS: switch it on there, or take tls out of the url and ca out of the database's settings"
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verification):
		e.Advice = "let ca name the file with the certificate of the authority that signed the server's, and the url the host that the certificate is for"
	case errors.As(err, &dns) && !dns.IsTimeout:
		e.Advice = "mend the host in the url: " + l.host + " is known to no name server"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		e.Retry, e.Advice = true, "open the way to "+l.place()+" in firewalls and security groups, or reach it by ssh:"
	case isLost(err):
		e.Err = fmt.Errorf("%w: %w", errLost, err)
		e.Retry, e.Advice = true, "see that the server runs on "+l.place()+" and keeps connections open; it is read again"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, io.EOF), errors.As(err, &network):
		e.Retry, e.Advice = true, "see that the server runs and listens on "+l.place()+" (bind-address)"
	}
}

// account is the user as GRANT takes it.
func (l login) account() string {
	if l.grantee != nil && l.grantee.Load() != nil {
		return *l.grantee.Load()
	}
	return literal(l.user) + "@'%'"
}

func (l login) loginHint(err error) string {
	a := l.account()
	switch number(err) {
	case errHostDenied:
		return "no user may log in from there: CREATE USER " + literal(l.user) + "@'%' IDENTIFIED BY '<password>'"
	case errHostBlocked:
		return "FLUSH HOSTS"
	case errAccountLocked, errAccountLocked2:
		return "ALTER USER " + a + " ACCOUNT UNLOCK"
	case errMustChange, errPasswordExpired:
		return "ALTER USER " + a + " IDENTIFIED BY '<password>' PASSWORD EXPIRE NEVER"
	}
	return "correct user and password in the url (?tls=true where the server takes TLS alone), or run CREATE USER, or ALTER USER, " + a + " IDENTIFIED BY '<password>'"
}

var (
	deniedText  = regexp.MustCompile("(?i)command denied to user .*? for table [`'](?:(.+?)[`']\\.[`'])?(.+?)[`']")
	columnText  = regexp.MustCompile("(?i)for column '(.+?)' in table '(.+?)'")
	databaseTxt = regexp.MustCompile(`to database '(.*)'`)
)

// grantFor is the statement that gives the right to read what an error speaks of.
func (l login) grantFor(err error, r relation) string {
	if m := databaseTxt.FindStringSubmatch(err.Error()); m != nil && r.name == "" {
		return "GRANT SELECT ON " + quote(m[1]) + ".* TO " + l.account()
	}
	if m := columnText.FindStringSubmatch(err.Error()); m != nil {
		if r.name == "" {
			r = relation{l.database, m[2]}
		}
		return "GRANT SELECT (" + quote(m[1]) + ") ON " + r.quoted() + " TO " + l.account() + "; or leave the column out: exclude"
	}
	if m := deniedText.FindStringSubmatch(err.Error()); m != nil && r.name == "" {
		r = relation{m[1], m[2]}
		if r.schema == "" {
			r.schema = l.database
		}
	}
	if r.name == "" {
		return "GRANT SELECT ON <schema>.<table> TO " + l.account()
	}
	return "GRANT SELECT ON " + r.quoted() + " TO " + l.account()
}
