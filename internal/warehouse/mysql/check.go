package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"firth/internal/warehouse"
)

// checkWithin bounds a check.
const checkWithin = 30 * time.Second

// Check connects and says what it finds, in the order in which a load would meet it: host, login, encryption, what the server is,
// rights, and the schemas of the sources. It changes nothing but makes a temporary table and drops it.
func Check(ctx context.Context, url string, o Options, schemas []string) []warehouse.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	d, err := connect(url, o)
	c := &checker{db: d}
	if err != nil {
		c.wrong("url", cause(err), warehouse.HintOf(err))
		return c.findings
	}
	if c.resolve(ctx) {
		c.connected(ctx, schemas)
	}
	if err := d.Close(); err != nil {
		c.wrong("connection", err.Error(), "")
	}
	return c.findings
}

// checker gathers findings.
type checker struct {
	db       *DB
	session  session
	findings []warehouse.Finding
}

func (c *checker) fine(what, found string) {
	c.findings = append(c.findings, warehouse.Finding{What: what, OK: true, Found: found})
}

func (c *checker) wrong(what, found, hint string) {
	c.findings = append(c.findings, warehouse.Finding{What: what, Found: found, Hint: hint})
}

// broken adds the finding of an error.
func (c *checker) broken(what string, err error) {
	err = c.db.fail("check", c.db.login.place(), err)
	c.wrong(what, cause(err), warehouse.HintOf(err))
}

// cause is an error without what was being done.
func cause(err error) string {
	var e *warehouse.Error
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

func (c *checker) resolve(ctx context.Context) bool {
	host := c.db.login.host
	if net.ParseIP(host) != nil || strings.HasPrefix(host, "/") {
		return true
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		c.broken("host", err)
		return false
	}
	c.fine("host", host+" is "+strings.Join(found, ", "))
	return true
}

func (c *checker) connected(ctx context.Context, schemas []string) {
	conn, err := c.db.sql.Conn(ctx)
	if err != nil {
		c.broken("login", err)
		return
	}
	defer func() { _ = conn.Close() }() // the pool is closed anyway, and says so
	c.session = session{conn}
	c.fine("login", c.db.login.user+" at "+c.db.login.place())
	c.encryption(ctx)
	if !c.server(ctx) {
		return
	}
	sorted := slices.Clone(schemas)
	slices.Sort(sorted)
	c.rights(ctx, slices.Compact(sorted))
	for _, schema := range slices.Compact(sorted) {
		c.schema(ctx, schema)
	}
}

func (c *checker) encryption(ctx context.Context) {
	var name, cipher string
	err := c.session.QueryRowContext(ctx, tagged("SHOW SESSION STATUS LIKE 'Ssl_cipher'")).Scan(&name, &cipher)
	local := net.ParseIP(c.db.login.host).IsLoopback() || c.db.login.host == "localhost" || strings.HasPrefix(c.db.login.host, "/")
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		c.broken("encryption", err)
	case cipher != "":
		c.fine("encryption", "TLS with "+cipher)
	case local:
		c.fine("encryption", "none, within one machine")
	default:
		c.wrong("encryption", "none: password and rows can be read on their way", "add ?tls=true to the url, and the file of the server's certificate authority as ca")
	}
}

var versionText = regexp.MustCompile(`^(?:5\.5\.5-)?(\d+)\.(\d+)`)

// server says what the server is and whether it takes writes.
func (c *checker) server(ctx context.Context) bool {
	s := &c.db.server
	if err := s.survey(ctx, c.session); err != nil {
		c.broken("server", err)
		return false
	}
	least := map[bool][2]int{true: {10, 6}, false: {8, 0}}[strings.Contains(s.version, "MariaDB")]
	if m := versionText.FindStringSubmatch(s.version); m != nil {
		major, _ := strconv.Atoi(m[1]) // digits
		minor, _ := strconv.Atoi(m[2])
		if slices.Compare([]int{major, minor}, least[:]) < 0 {
			c.wrong("server", s.version+" is too old", "MySQL from 8.0 on or MariaDB from 10.6 on is needed")
			return false
		}
	}
	c.fine("server", s.version+", collation "+s.collation)
	var readOnly, infile bool
	if err := c.session.QueryRowContext(ctx, tagged("SELECT @@global.read_only <> 0, @@global.local_infile")).Scan(&readOnly, &infile); err != nil {
		c.broken("server", err)
		return false
	}
	if readOnly {
		c.wrong("writes", "the server is read-only", c.db.login.hint(warehouse.ReadOnly, errors.New("read_only")))
	}
	if infile {
		c.fine("local_infile", "on: rows are streamed")
	} else {
		c.fine("local_infile", "off: rows are inserted, which is slower; SET GLOBAL local_infile = ON")
	}
	var name, value string
	err := c.session.QueryRowContext(ctx, tagged("SHOW VARIABLES LIKE 'sql_require_primary_key'")).Scan(&name, &value)
	if err == nil && strings.EqualFold(value, "ON") {
		c.wrong("primary keys", "the server makes no table without one", c.db.login.hint(warehouse.NotThere, nil))
	}
	return true
}

// rights compares the rights of the login with those that loads need.
func (c *checker) rights(ctx context.Context, schemas []string) {
	name, host, err := c.session.who(ctx)
	if err != nil {
		c.broken("rights", err)
		return
	}
	account := accountOf(name, host)
	c.db.login.grantee = account
	granted := map[string][]string{}           // by pattern of databases
	grantee := "'" + name + "'@'" + host + "'" // quotes within are not doubled there
	err = c.session.each(ctx, "SELECT '%', privilege_type FROM information_schema.user_privileges WHERE grantee = ? "+
		"UNION ALL SELECT table_schema, privilege_type FROM information_schema.schema_privileges WHERE grantee = ?", []any{grantee, grantee}, func(rows *sql.Rows) error {
		var pattern, privilege string
		err := rows.Scan(&pattern, &privilege)
		granted[pattern] = append(granted[pattern], privilege)
		return err
	})
	if err != nil {
		c.broken("rights", err)
		return
	}
	var role sql.NullString
	if err := c.session.QueryRowContext(ctx, tagged("SELECT CURRENT_ROLE()")).Scan(&role); err == nil && role.Valid && role.String != "NONE" && role.String != "" {
		c.fine("rights", "those of "+account+" come by the role "+role.String+", which is not looked into")
		return
	}
	for _, database := range append([]string{bookkeeping, warehouse.RebuildPrefix + "x"}, schemas...) {
		var missing []string
		for p := range strings.SplitSeq(privileges, ", ") {
			if !slices.ContainsFunc(keys(granted), func(pattern string) bool {
				return like(pattern, database) && (slices.Contains(granted[pattern], p) || slices.Contains(granted[pattern], "ALL PRIVILEGES"))
			}) {
				missing = append(missing, p)
			}
		}
		what := "rights on " + strings.TrimSuffix(database, "x")
		if database != warehouse.RebuildPrefix+"x" {
			what = "rights on " + database
		}
		if len(missing) == 0 {
			c.fine(what, "complete")
			continue
		}
		c.wrong(what, account+" lacks "+strings.Join(missing, ", "), grant(database, account))
	}
}

func keys(m map[string][]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

// like matches a database with the pattern of a GRANT.
func like(pattern, database string) bool {
	var b strings.Builder
	b.WriteString("(?is)^")
	for i := 0; i < len(pattern); i++ {
		switch ch := pattern[i]; {
		case ch == '\\' && i+1 < len(pattern):
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		case ch == '%':
			b.WriteString(".*")
		case ch == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	b.WriteString("$")
	ok, err := regexp.MatchString(b.String(), database)
	return err == nil && ok
}

// schema looks for tables that rows cannot be loaded into, and tries a temporary table.
func (c *checker) schema(ctx context.Context, schema string) {
	what := "schema " + schema
	var exists bool
	var count int
	err := c.session.QueryRowContext(ctx, tagged("SELECT (SELECT count(*) FROM information_schema.schemata WHERE schema_name = ?) > 0, "+
		"(SELECT count(*) FROM information_schema.tables WHERE table_schema = ?)"), schema, schema).Scan(&exists, &count)
	if err != nil {
		c.broken(what, err)
		return
	}
	if !exists {
		c.fine(what, "is made by the first load")
		return
	}
	before := len(c.findings)
	err = c.session.each(ctx, "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'",
		[]any{schema}, func(rows *sql.Rows) error {
			var name, engine string
			if err := rows.Scan(&name, &engine); err != nil {
				return err
			}
			c.wrong(what, name+" is a table of the engine "+engine+", which has no transactions", "ALTER TABLE "+qualified(schema, name)+" ENGINE=InnoDB")
			return nil
		})
	if err == nil {
		stage := qualified(schema, "_firth_check")
		if err = c.session.exec(ctx, "CREATE TEMPORARY TABLE "+stage+" (n INT) ENGINE = InnoDB"); err == nil {
			err = c.session.exec(ctx, dropStage(stage))
		}
	}
	if err != nil {
		c.broken(what, err)
	}
	if len(c.findings) == before {
		c.fine(what, fmt.Sprintf("%d tables", count))
	}
}

// Setup returns the statements that make the user of the url, with the rights that loads need and no more. An administrator runs
// them.
func Setup(url string, schemas []string) (string, error) {
	_, l, err := parseURL(url, Options{})
	if err != nil {
		return "", err
	}
	if l.user == "" {
		return "", errors.New("set up: the url of the warehouse names no user")
	}
	return setupStatements(l.user, schemas), nil
}

func setupStatements(user string, schemas []string) string {
	account := literal(user) + "@'%'"
	lines := []string{"CREATE USER IF NOT EXISTS " + account + " IDENTIFIED BY '<password>';", grant(bookkeeping, account) + ";"}
	sorted := slices.Clone(schemas)
	slices.Sort(sorted)
	for _, schema := range slices.Compact(sorted) {
		lines = append(lines, grant(schema, account)+";")
	}
	return strings.Join(lines, "\n") + "\n"
}
