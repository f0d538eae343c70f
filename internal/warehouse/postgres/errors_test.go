package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/postgres"
	"firth/test/server"
)

var update = flag.Bool("update", false, "write the golden files anew")

const secret = "role-secret"

// trouble is one way in which a warehouse does not work. try fails until it is mended.
type trouble struct {
	name string
	kind warehouse.Kind
	try  func() error
	// mend does what the hint says; nil: it has a statement, which an administrator runs in the database.
	mend     func(hint string)
	pg       *server.PG
	database string
	hide     []string // old, new: what differs from run to run
}

// TestErrors provokes every error for real, holds its text and hint to a golden file, does what the hint says, and sees that it works then.
func TestErrors(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, provoke := range []func(*testing.T) trouble{
		noDatabase, noConnect, noCreate, noTemporary, noSchema, noTables, notOwner, notOwnerOfSuper, noHost, noAnswer, refused, wrongPassword, noLogin,
		needsTLS, noEntry, notTrusted, otherHost, noTLS, readOnlyRole, standby, tooMany, ended, busy, notColumnar, latin1, newer, full,
		uniqueIndex, notNull, checked, viewInPlace,
	} {
		name := strings.TrimPrefix(filepath.Ext(funcName(provoke)), ".")
		t.Run(name, func(t *testing.T) {
			p := provoke(t)
			err := p.try()
			if err == nil {
				t.Fatal("nothing went wrong")
			}
			if got := warehouse.KindOf(err); got != p.kind {
				t.Errorf("kind %s, want %s: %v", got, p.kind, err)
			}
			text := fmt.Sprintf("error: %v\nhint:  %s", err, warehouse.HintOf(err))
			if strings.Contains(text, secret) {
				t.Errorf("the password is in %s", text)
			}
			fmt.Fprintf(&b, "# %s\nkind:  %s\n%s\n\n", p.name, p.kind, p.settle(text))
			p.mended(t, err)
		})
	}
	golden := filepath.Join("testdata", "errors.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("errors differ (-want +got):\n%s", diff)
	}
}

var (
	moment    = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)
	backend   = regexp.MustCompile(`(process |backend\()\d+`)
	statement = regexp.MustCompile(`\b(CREATE DATABASE|GRANT|ALTER|DROP|SELECT pg_terminate_backend)\b[^;]*`)
)

// settle takes out what differs from run to run.
func (p trouble) settle(text string) string {
	list := p.hide
	if p.pg != nil {
		list = append(list, p.pg.Addr(), "127.0.0.1:5432", fmt.Sprintf("port %d", p.pg.Port), "port 5432")
	}
	text = strings.NewReplacer(list...).Replace(text)
	text = moment.ReplaceAllString(text, "2026-01-02 03:04:05 UTC")
	return backend.ReplaceAllString(text, "${1}4711")
}

// mended does what the hint says; where that only brings the next error to light, as rights do that are missing together, it goes on.
func (p trouble) mended(t *testing.T, err error) {
	t.Helper()
	for i := 0; err != nil && i < 5; i++ {
		hint := warehouse.HintOf(err)
		if p.mend != nil {
			p.mend(hint)
		} else {
			s := statement.FindString(hint)
			if s == "" {
				t.Fatalf("no statement in the hint %q of %v", hint, err)
			}
			s, _, _ = strings.Cut(s, " (of a constraint")
			database := p.database
			if strings.HasPrefix(s, "CREATE DATABASE") {
				database = "postgres"
			}
			p.pg.Exec(database, strings.Replace(s, "'<password>'", "'"+secret+"'", 1))
		}
		err = p.try()
	}
	if err != nil {
		t.Errorf("not mended: %v\nhint: %s", err, warehouse.HintOf(err))
	}
}

// role makes a role, and the trouble's stable names for it and its database.
func role(t *testing.T, pg *server.PG, database, options string, grants ...string) (name, url string, hide []string) {
	t.Helper()
	name, password := pg.Role(database, options, grants...)
	return name, pg.URL(name, password, database), []string{name, "loader", database, "analytics"}
}

// opening tries to open the warehouse.
func opening(url string, o postgres.Options) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), testWithin)
		defer cancel()
		db, err := postgres.Open(ctx, url, o)
		if err == nil {
			err = db.Close()
		}
		return err
	}
}

// loadingInto tries to open the warehouse and to load a row into each of the tables, and a user.
func loadingInto(url string, columns ...table.Column) func() error {
	next := uint64(0)
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), testWithin)
		defer cancel()
		db, err := postgres.Open(ctx, url, postgres.Options{})
		if err != nil {
			return err
		}
		b := batch(next, 1, columns...)
		_, err = db.Load(ctx, b)
		if err == nil {
			next++
		}
		return errors.Join(err, db.Close())
	}
}

const all = "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "

func noDatabase(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	name, password := pg.Role("postgres", "")
	database := pg.Database()
	pg.Exec("postgres", "DROP DATABASE "+database)
	return trouble{name: "the database is not there", kind: warehouse.NoDatabase, try: opening(pg.URL(name, password, database), postgres.Options{}),
		pg: pg, database: database, hide: []string{name, "loader", database, "analytics"}}
}

func noConnect(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", "REVOKE ALL ON DATABASE "+database+" FROM PUBLIC")
	return trouble{name: "no right to connect to the database", kind: warehouse.Denied, try: opening(url, postgres.Options{}), pg: pg, database: database, hide: hide}
}

func noCreate(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "")
	return trouble{name: "no right to make schemas", kind: warehouse.Denied, try: opening(url, postgres.Options{}), pg: pg, database: database, hide: hide}
}

func noTemporary(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", "REVOKE ALL ON DATABASE "+database+" FROM PUBLIC", "GRANT CONNECT, CREATE ON DATABASE "+database+" TO %s")
	return trouble{name: "no right to make temporary tables", kind: warehouse.Denied, try: loadingInto(url), pg: pg, database: database, hide: hide}
}

func noSchema(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s", "CREATE SCHEMA production")
	return trouble{name: "no right on a schema that was there", kind: warehouse.Denied, try: loadingInto(url), pg: pg, database: database, hide: hide}
}

// segments is a table as Segment leaves it.
const segments = "CREATE TABLE production.clicks (id varchar(256) PRIMARY KEY, received_at timestamptz, uuid_ts timestamptz, s varchar(10))"

func noTables(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s", "CREATE SCHEMA production", segments, "GRANT ALL ON SCHEMA production TO %s")
	return trouble{name: "no right on tables that were there", kind: warehouse.Denied, try: loadingInto(url), pg: pg, database: database, hide: hide}
}

func notOwner(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	owner, _ := pg.Role(database, "")
	_, url, hide := role(t, pg, database, "", all+database+" TO %s", "CREATE SCHEMA production AUTHORIZATION "+owner, "SET ROLE "+owner, segments, "RESET ROLE",
		"GRANT ALL ON SCHEMA production TO %s", "GRANT ALL ON production.clicks TO %s")
	return trouble{name: "a column for a table of another role", kind: warehouse.Denied, try: loadingInto(url, table.Column{Name: "more", Type: table.Integer}),
		pg: pg, database: database, hide: append(hide, owner, "segment")}
}

func notOwnerOfSuper(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s", "CREATE SCHEMA production", segments, "GRANT ALL ON SCHEMA production TO %s", "GRANT ALL ON production.clicks TO %s")
	return trouble{name: "a column for a table of a superuser", kind: warehouse.Denied, try: loadingInto(url, table.Column{Name: "more", Type: table.Integer}), pg: pg, database: database, hide: hide}
}

// elsewhere is a trouble that is mended by another url.
func elsewhere(name string, kind warehouse.Kind, pg *server.PG, wrong, right string, hide []string) trouble {
	at := wrong
	return trouble{name: name, kind: kind, pg: pg, hide: hide, try: func() error { return opening(at, postgres.Options{})() }, mend: func(string) { at = right }}
}

func noHost(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s")
	resolver := regexp.MustCompile(`lookup (\S+) on \S+: `)
	out := elsewhere("the host's name does not resolve", warehouse.NoHost, pg, server.Via(url, "no-such-host.invalid:5432"), url, hide)
	try := out.try
	out.try = func() error {
		err := try()
		if err != nil {
			// Which name server was asked depends on the machine.
			out := *asError(t, err)
			out.Err = errors.New(resolver.ReplaceAllString(out.Err.Error(), "lookup $1: "))
			return &out
		}
		return nil
	}
	return out
}

func asError(t *testing.T, err error) *warehouse.Error {
	t.Helper()
	var e *warehouse.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *warehouse.Error", err)
	}
	return e
}

func noAnswer(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s")
	proxy := server.Fault(t, pg.Addr())
	proxy.Stall(true)
	return trouble{name: "no answer in time", kind: warehouse.Timeout, try: opening(server.Via(url, proxy.Addr)+"&connect_timeout=1", postgres.Options{}),
		mend: func(string) { proxy.Stall(false) }, pg: pg, hide: append(hide, proxy.Addr, "127.0.0.1:5432")}
}

func refused(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s")
	closed := fmt.Sprintf("127.0.0.1:%d", server.Port(t))
	return elsewhere("nobody listens", warehouse.Down, pg, server.Via(url, closed), url, append(hide, closed, "127.0.0.1:5432"))
}

func wrongPassword(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	name, url, hide := role(t, pg, database, "", all+database+" TO %s", "ALTER ROLE %s PASSWORD 'another'")
	_ = name
	return trouble{name: "the password is wrong", kind: warehouse.BadLogin, try: opening(url, postgres.Options{}), pg: pg, database: database, hide: hide}
}

func noLogin(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s", "ALTER ROLE %s NOLOGIN")
	return trouble{name: "the role is not permitted to log in", kind: warehouse.NoLogin, try: opening(url, postgres.Options{}), pg: pg, database: database, hide: hide}
}
