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
	"strings"
	"syscall"

	engine "github.com/go-sql-driver/mysql"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Error numbers of the servers; those beyond 1900 and 3000 are of one of them only.
const (
	errCannotCreate      = 1005 // MariaDB: with the operating system's or the engine's number in the text
	errDiskFull          = 1021
	errWriteFile         = 1026
	errChanged           = 1020 // MariaDB: a row that is to be locked changed since the transaction began
	errTooManyConns      = 1040
	errDatabaseDenied    = 1044
	errAccessDenied      = 1045
	errUnknownDatabase   = 1049
	errTableExists       = 1050
	errShutdown          = 1053
	errNoThread          = 1094
	errUnknownColumn     = 1054
	errKeyExists         = 1061
	errKeyTooLong        = 1071
	errNotNull           = 1048
	errDuplicate         = 1062
	errTableFull         = 1114
	errTooManyColumns    = 1117
	errRowTooLarge       = 1118
	errHostBlocked       = 1129
	errHostDenied        = 1130
	errTableDenied       = 1142
	errColumnDenied      = 1143
	errNoTable           = 1146
	errInfileRefused     = 1148
	errPacketTooLarge    = 1153
	errKeyWithoutLength  = 1170
	errQueryKilled       = 1317
	errConnKilled        = 1927 // MariaDB
	errLockTimeout       = 1205
	errDeadlock          = 1213
	errUserTooMany       = 1203
	errResourceLimit     = 1226
	errNotPermitted      = 1227
	errTruncated         = 1265
	errOutOfRange        = 1264
	errDataTooLong       = 1406
	errTableChanged      = 1412
	errWrongString       = 1366
	errWrongValue        = 1292
	errNoDefault         = 1364
	errOption            = 1290 // read_only, super_read_only and others, see the text
	errReadOnlyMode      = 1836
	errKeyColumnForeign  = 1832
	errKeyColumnForeign2 = 1833
	errPasswordExpired   = 1820
	errPasswordExpired2  = 1862
	errTriggers          = 1435
	errAccountLocked     = 3118
	errAccountLocked2    = 4151 // MariaDB
	errNeedsTLS          = 3159
	errNoPrimaryKey      = 3750
	errInfileOff         = 3948
	errInfileOff2        = 4166 // MariaDB
	errDiskFull2         = 3675
	errStatementTimeout  = 1969 // MariaDB
	errConstraint        = 4025 // MariaDB
	errConstraint2       = 3819
)

// number is the server's number of an error, 0 where there is none.
func number(err error) uint16 {
	var e *engine.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// isLost says that the connection is gone.
func isLost(err error) bool {
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, engine.ErrInvalidConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		slices.Contains([]uint16{errShutdown, errConnKilled}, number(err))
}

// outOfDate says that a table is not, or may not be, as it is remembered.
func outOfDate(err error) bool {
	return slices.Contains([]uint16{errUnknownColumn, errNoTable, errUnknownDatabase, errNotNull, errTruncated, errOutOfRange, errDataTooLong,
		errTableChanged, errWrongString, errWrongValue, errNoDefault}, number(err))
}

// refusesStream says that LOAD DATA LOCAL is switched off.
func refusesStream(err error) bool {
	return slices.Contains([]uint16{errInfileRefused, errInfileOff, errInfileOff2}, number(err))
}

// kindOf is what an error means.
func kindOf(err error) warehouse.Kind {
	n := number(err)
	if (n == errNoTable || n == errUnknownDatabase) && strings.Contains(err.Error(), "'"+bookkeeping) {
		return warehouse.Broken
	}
	switch n {
	case errAccessDenied:
		return warehouse.BadLogin
	case errHostBlocked, errHostDenied, errPasswordExpired, errPasswordExpired2, errAccountLocked, errAccountLocked2:
		return warehouse.NoLogin
	case errDatabaseDenied, errTableDenied, errColumnDenied, errNotPermitted:
		return warehouse.Denied
	case errUnknownDatabase:
		return warehouse.NoDatabase
	case errTooManyConns, errTooManyColumns, errRowTooLarge, errUserTooMany, errResourceLimit:
		return warehouse.TooMany
	case errReadOnlyMode:
		return warehouse.ReadOnly
	case errDiskFull, errDiskFull2, errTableFull:
		return warehouse.DiskFull
	case errLockTimeout, errDeadlock, errChanged, errTableChanged, errStatementTimeout:
		return warehouse.Busy
	case errNeedsTLS:
		return warehouse.NeedsTLS
	case errNoPrimaryKey:
		return warehouse.NotThere
	case errShutdown, errConnKilled, errQueryKilled:
		return warehouse.Down
	case errOption:
		if strings.Contains(err.Error(), "read-only") || strings.Contains(err.Error(), "read_only") {
			return warehouse.ReadOnly
		}
	case errCannotCreate, errWriteFile:
		return kindOfErrno(err)
	case 0:
		return kindOfNetwork(err)
	}
	if diskFullText.MatchString(err.Error()) {
		return warehouse.DiskFull
	}
	return warehouse.Unexpected
}

// Texts in which the servers name the operating system's or the engine's number.
var (
	diskFullText   = regexp.MustCompile(`(?i)errno: 28\b|no space left|OS errno 28|error: 28\b|got error 28\b`)
	tooManyText    = regexp.MustCompile(`(?i)errno: 185|too many columns`)
	secureOnlyText = regexp.MustCompile(`(?i)insecure transport|require_secure_transport`)
)

func kindOfErrno(err error) warehouse.Kind {
	switch {
	case diskFullText.MatchString(err.Error()):
		return warehouse.DiskFull
	case tooManyText.MatchString(err.Error()):
		return warehouse.TooMany
	}
	return warehouse.Unexpected
}

func kindOfNetwork(err error) warehouse.Kind {
	var dns *net.DNSError
	var network net.Error
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns) && !dns.IsTimeout:
		return warehouse.NoHost
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verification), errors.Is(err, engine.ErrNoTLS):
		return warehouse.BadTLS
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return warehouse.Timeout
	case isLost(err), errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &network):
		return warehouse.Down
	}
	return warehouse.Unexpected
}

// fail wraps an error with its kind and a hint for who has to mend it.
func (d *DB) fail(op, object string, err error) error {
	var known *warehouse.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && number(err) == 0 && kindOf(err) != warehouse.Timeout:
		return fmt.Errorf("%s %s: %w", op, object, err)
	}
	e := &warehouse.Error{Op: op, Object: object, Kind: kindOf(err), Err: err}
	e.Hint = d.login.hint(e.Kind, err)
	return e
}

func (l login) hint(kind warehouse.Kind, err error) string {
	switch kind {
	case warehouse.BadLogin, warehouse.NoLogin:
		return l.loginHint(err)
	case warehouse.Denied:
		return l.deniedHint(err)
	case warehouse.NoDatabase:
		return "CREATE DATABASE " + quote(textBetween(err.Error(), "database '", "'", l.database))
	case warehouse.TooMany:
		return l.tooManyHint(err)
	case warehouse.ReadOnly:
		if strings.Contains(err.Error(), "super") {
			return "name the primary server in the url; if this is it: SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF"
		}
		return "name the primary server in the url; if this is it: SET GLOBAL read_only = OFF"
	case warehouse.DiskFull:
		return "make room on the disk of the server (its data folder or its tmpdir): loading goes on by itself"
	case warehouse.Busy:
		return "somebody holds a lock: see SHOW FULL PROCESSLIST, and KILL the one that is idle within a transaction; it is tried again by itself"
	case warehouse.NeedsTLS:
		return "add ?tls=true to the url, and the file of the server's certificate authority as ca"
	case warehouse.BadTLS:
		if errors.Is(err, engine.ErrNoTLS) {
			return "the server has no TLS: switch it on there, or take tls=... out of the url and ca out of the warehouse's settings"
		}
		return "let ca name the file with the certificate of the authority that signed the server's, and the url the host that the certificate is for"
	case warehouse.NoHost:
		return "mend the host in the url: " + l.host + " is known to no name server"
	case warehouse.Down:
		return "see that the server runs and listens on " + l.place() + " (bind-address); loading goes on by itself when it is back"
	case warehouse.Timeout:
		return "open the way to " + l.place() + " in firewalls and security groups; loading goes on by itself when it answers"
	case warehouse.Broken:
		return "somebody dropped the bookkeeping " + quote(bookkeeping) + ": it is made again, and what the lake has is loaded once more where tables lack it"
	case warehouse.NotThere:
		return "SET GLOBAL sql_require_primary_key = OFF"
	}
	return l.otherHint(err)
}

// account is the user as GRANT takes it: as the server said after the login, or in the message of a refused database. Other messages
// name the host that the client came from, which need not be the account's.
func (l login) account(err error) string {
	if l.grantee != "" {
		return l.grantee
	}
	if m := accountText.FindStringSubmatch(err.Error()); m != nil && number(err) == errDatabaseDenied {
		return literal(m[1]) + "@" + literal(m[2])
	}
	return literal(l.user) + "@'%'"
}

var (
	accountText = regexp.MustCompile(`'([^']*)'@'([^']*)'`)
	hostText    = regexp.MustCompile(`[Hh]ost '([^']*)'`)
	deniedText  = regexp.MustCompile("(?i)^.*?: (.+?) command denied to user .*? for (?:table|column) (?:'.*?' in table )?[`'](?:(.+?)[`']\\.[`'])?(.+?)[`']")
	dbText      = regexp.MustCompile(`to database '(.*)'`)
	needText    = regexp.MustCompile(`at least one of the (.+?) privilege`)
)

func (l login) loginHint(err error) string {
	a := l.account(err)
	switch number(err) {
	case errHostDenied:
		host := "%"
		if m := hostText.FindStringSubmatch(err.Error()); m != nil {
			host = m[1]
		}
		return "no user may log in from there: CREATE USER " + literal(l.user) + "@" + literal(host) + " IDENTIFIED BY '<password>' (firth check --setup prints the grants)"
	case errHostBlocked:
		return "FLUSH HOSTS"
	case errAccountLocked, errAccountLocked2:
		return "ALTER USER " + a + " ACCOUNT UNLOCK"
	case errPasswordExpired, errPasswordExpired2:
		return "ALTER USER " + a + " IDENTIFIED BY '<password>' PASSWORD EXPIRE NEVER"
	}
	return "mend user or password in the url, or set the password: ALTER USER " + a + " IDENTIFIED BY '<password>'; where there is no such user: CREATE USER " + a +
		" IDENTIFIED BY '<password>' (firth check --setup prints the grants)" + l.maybeTLS()
}

// maybeTLS is for MariaDB before 11, which says of plain connections that it does not take only that access is denied.
func (l login) maybeTLS() string {
	if !l.plain {
		return ""
	}
	return "; where the server takes TLS alone, add ?tls=true to the url"
}

// privileges are what a loader needs on the databases of its sources and on its bookkeeping.
const privileges = "CREATE, ALTER, DROP, INDEX, SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES"

func (l login) deniedHint(err error) string {
	a := l.account(err)
	database := ""
	if m := dbText.FindStringSubmatch(err.Error()); m != nil {
		database = m[1]
	}
	if m := deniedText.FindStringSubmatch(err.Error()); m != nil && database == "" {
		database = m[2]
	}
	if m := needText.FindStringSubmatch(err.Error()); m != nil {
		return "GRANT " + strings.TrimSpace(strings.Split(m[1], " or ")[0]) + " ON *.* TO " + a
	}
	if database == "" {
		return "firth check --setup prints the grants that are needed; now there are: SHOW GRANTS FOR " + a
	}
	return grant(database, a)
}

func grant(database, account string) string {
	pattern := grantPattern(database)
	if strings.HasPrefix(database, bookkeeping) {
		pattern = "`\\_firth%`"
	}
	return "GRANT " + privileges + " ON " + pattern + ".* TO " + account
}

// grantPattern names a database in a GRANT, where _ and % stand for others.
func grantPattern(database string) string {
	return quote(strings.NewReplacer("_", `\_`, "%", `\%`).Replace(database))
}

func (l login) tooManyHint(err error) string {
	switch number(err) {
	case errTooManyConns:
		return "SET GLOBAL max_connections = 500 (it is set too low for who else is connected), or end connections that are idle"
	case errUserTooMany, errResourceLimit:
		return "ALTER USER " + l.account(err) + " WITH MAX_USER_CONNECTIONS 0 MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0"
	case errRowTooLarge:
		return "SET GLOBAL innodb_strict_mode = OFF (or GRANT SESSION_VARIABLES_ADMIN to the user on MySQL), or drop columns that nobody needs: one row of the table must fit into half a page of InnoDB"
	}
	return "drop columns that nobody needs, or exclude some (columns: exclude): InnoDB takes 1,017 a table"
}

func (l login) otherHint(err error) string {
	if errors.Is(err, engine.ErrPktTooLarge) {
		return "SET GLOBAL max_allowed_packet = 67108864"
	}
	switch number(err) {
	case errTriggers:
		return "a trigger keeps the table in its place: SHOW TRIGGERS, DROP TRIGGER ..., and make it again when the rebuild is done"
	case errPacketTooLarge:
		return "SET GLOBAL max_allowed_packet = 67108864"
	case errDuplicate, errNotNull, errNoDefault, errConstraint, errConstraint2:
		return refusedHint(err)
	}
	if secureOnlyText.MatchString(err.Error()) {
		return "add ?tls=true to the url"
	}
	return ""
}

// inTable is an error of writing to a table.
type inTable struct {
	schema   string
	relation *relation
	error
}

func (e *inTable) Unwrap() error { return e.error }

// refusedHint is for rows that a key, a condition or a column of somebody else's table refuses.
func refusedHint(err error) string {
	var in *inTable
	var e *engine.MySQLError
	if !errors.As(err, &in) || !errors.As(err, &e) {
		return "a key, a condition or a column of a table refuses rows: the message names it"
	}
	name := qualified(in.schema, in.relation.name)
	switch e.Number {
	case errDuplicate:
		if id := in.relation.find("id"); id != nil && id.typ == table.String {
			return "a unique key of the table takes texts for equal that are not; where it is that of the id: " +
				modifyColumn(in.schema, in.relation.name, id.name, "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", id.nullable) + "; else drop it: SHOW INDEX FROM " + name
		}
	case errNotNull, errNoDefault:
		if c := in.relation.find(textBetween(e.Message, "'", "'", "")); c != nil {
			return "let the column be empty: " + modifyColumn(in.schema, in.relation.name, c.name, c.definition(), true)
		}
	case errConstraint, errConstraint2:
		c := textBetween(strings.ReplaceAll(e.Message, "'", "`"), "`", "`", "")
		// MariaDB has no name for a column's own condition, which goes when the column is said anew.
		if of := in.relation.find(strings.TrimPrefix(c, in.relation.name+".")); of != nil && strings.Contains(c, ".") {
			return "a condition of the column refuses rows: " + modifyColumn(in.schema, in.relation.name, of.name, of.definition(), of.nullable)
		}
		if c != "" {
			return "a condition of the table refuses rows: ALTER TABLE " + name + " DROP CONSTRAINT " + quote(c)
		}
	}
	return "a key, a condition or a column of " + name + " refuses rows: SHOW CREATE TABLE " + name
}

// textBetween is the first text between two others, or a substitute.
func textBetween(s, from, to, otherwise string) string {
	if _, rest, ok := strings.Cut(s, from); ok {
		if found, _, ok := strings.Cut(rest, to); ok {
			return found
		}
	}
	return otherwise
}
