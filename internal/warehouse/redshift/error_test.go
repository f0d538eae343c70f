package redshift

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/object"
	"firth/internal/warehouse"
	"firth/test/server"
)

// repeating is an error of a server that repeats the statement in every place that it has.
func repeating(s string) error {
	return fmt.Errorf("exec: %w", &pgconn.PgError{Severity: "ERROR", Code: "XX000", Message: "S3ServiceException near " + s, Detail: s, Hint: s, InternalQuery: s, Where: s})
}

// TestKinds holds each error to its kind and hint, in a golden file.
func TestKinds(t *testing.T) {
	d, err := prepare(t.Context(), "redshift://firth:Very-Secret-1@cluster.example.org/analytics", Options{Name: "shift", Staging: "s3://bucket/stage?region=eu-central-1", IAMRole: "arn:aws:iam::1:role/r"})
	if err != nil {
		t.Fatal(err)
	}
	d.schema = "production"
	pe := func(code, message string) error {
		return &pgconn.PgError{Severity: "ERROR", Code: code, Message: message}
	}
	var b strings.Builder
	for _, c := range []struct {
		err  error
		want warehouse.Kind
	}{
		{pe("28000", `password authentication failed for user "firth"`), warehouse.BadLogin},
		{pe("28P01", `password authentication failed for user "firth"`), warehouse.BadLogin},
		{pe("28000", `role "firth" is not permitted to log in`), warehouse.NoLogin},
		{pe("28000", `no pg_hba.conf entry for host "::ffff:10.0.0.1", user "firth", database "analytics", SSL off`), warehouse.NeedsTLS},
		{pe("3D000", `database "analytics" does not exist`), warehouse.NoDatabase},
		{pe("42501", "permission denied for database analytics"), warehouse.Denied},
		{pe("42501", "permission denied for schema production"), warehouse.Denied},
		{pe("42501", "permission denied for relation clicks"), warehouse.Denied},
		{pe("42501", "must be owner of relation clicks"), warehouse.Denied},
		{pe("25006", "cannot execute INSERT in a read-only transaction"), warehouse.ReadOnly},
		{pe("XX000", "Disk Full\nDetail: error: Disk Full code: 1016"), warehouse.DiskFull},
		{pe("53100", "could not extend file: No space left on device"), warehouse.DiskFull},
		{pe("53300", "connection limit \"500\" exceeded for non-bootstrap users"), warehouse.TooMany},
		{pe("XX000", "1040: too many tables"), warehouse.TooMany},
		{pe("54011", "tables can have at most 1600 columns"), warehouse.TooMany},
		{pe("XX000", "1023\nDetail: Serializable isolation violation on table - 1234"), warehouse.Busy},
		{pe("57014", "Query (5) cancelled because the cluster is being resized"), warehouse.Busy},
		{pe("55P03", "canceling statement due to lock timeout"), warehouse.Busy},
		{pe("57P01", "terminating connection due to administrator command"), warehouse.Down},
		{pe("2BP01", "cannot drop column n of table clicks because other objects depend on it"), warehouse.Unexpected},
		{pe("XX000", "Load into table 'firth_stage_0' failed.  Check 'stl_load_errors' system table for details."), warehouse.Unstaged},
		{pe("XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied"), warehouse.Unstaged},
		{pe("XX000", "S3ServiceException:The bucket you are attempting to access must be addressed using the specified endpoint.,Status 301,Error PermanentRedirect"), warehouse.Unstaged},
		{pe("XX000", "User arn:aws:redshift:eu-central-1:1:dbuser:c/firth is not authorized to assume IAM Role arn:aws:iam::1:role/r"), warehouse.Unstaged},
		{pe("XX000", "Problem reading manifest file - S3CurlException: Connection timed out"), warehouse.Unstaged},
		{&object.Error{Op: "write", Object: "s3://bucket/stage/x", Kind: object.NoBucket, Hint: "make the bucket", Err: errors.New("no such bucket")}, warehouse.Unstaged},
		{&net.DNSError{Err: "no such host", Name: "cluster.example.org", IsNotFound: true}, warehouse.NoHost},
		{&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, warehouse.Timeout},
		{&net.OpError{Op: "dial", Err: errors.New("connect: connection refused")}, warehouse.Down},
		{errors.New("host Very-Secret-1: lookup: no such host"), warehouse.NoHost}, // with a password that is part of the text
		{errors.New("tls: failed to verify certificate: x509: certificate signed by unknown authority"), warehouse.BadTLS},
		{errors.New("server refused TLS connection"), warehouse.NeedsTLS},
		{errors.New("something else with Very-Secret-1 in it"), warehouse.Unexpected},
	} {
		got := d.fail("load", "production", c.err)
		if k := warehouse.KindOf(got); k != c.want {
			t.Errorf("%v: kind %s, want %s", c.err, k, c.want)
		}
		fmt.Fprintf(&b, "%s: %v\n    %s\n", warehouse.KindOf(got), got, warehouse.HintOf(got))
	}
	golden(t, "errors.txt", b.String())
	if strings.Contains(b.String(), "Very-Secret-1") {
		t.Error("a secret is shown")
	}
}

// TestRealTrouble provokes errors of opening on a real server, and mends those that a statement mends.
func TestRealTrouble(t *testing.T) {
	p := newPlace(t)
	database := p.pg.Database()
	p.pg.Exec(database, "REVOKE ALL ON DATABASE "+database+" FROM PUBLIC")
	user, password := p.pg.Role(database, "", "GRANT CONNECT ON DATABASE "+database+" TO %s")
	good := p.pg.URL(user, password, database)
	opens := func(address string) error {
		q := *p
		q.url = address
		d, err := q.prepared(Options{}).open(t.Context())
		if err == nil {
			err = d.Close()
		}
		return err
	}
	for _, c := range []struct {
		name, address string
		want          warehouse.Kind
	}{
		{"wrong password", p.pg.URL(user, "Wrong-Secret-1", database), warehouse.BadLogin},
		{"no database", p.pg.URL(user, password, "nowhere"), warehouse.NoDatabase},
		{"no host", strings.Replace(good, p.pg.Host, "no-such-host.invalid", 1), warehouse.NoHost},
		{"nobody listens", server.Via(good, "127.0.0.1:1"), warehouse.Down},
		{"no TLS there", strings.Replace(good, "sslmode=disable", "sslmode=require", 1), warehouse.NeedsTLS},
		{"no right", good, warehouse.Denied},
	} {
		err := opens(c.address)
		if warehouse.KindOf(err) != c.want || warehouse.HintOf(err) == "" {
			t.Errorf("%s: %v, kind %s, hint %q; want kind %s", c.name, err, warehouse.KindOf(err), warehouse.HintOf(err), c.want)
		}
		if text := fmt.Sprintf("%+v %s", err, warehouse.HintOf(err)); strings.Contains(text, "Wrong-Secret-1") || strings.Contains(text, password) {
			t.Errorf("%s: a secret is shown: %s", c.name, text)
		}
	}
	p.pg.Exec(database, warehouse.HintOf(opens(good)))
	if err := opens(good); err != nil {
		t.Errorf("the printed statement did not mend it: %v", err)
	}
	p.pg.Exec(database, "UPDATE _firth.format SET version = 99")
	if err := opens(good); warehouse.KindOf(err) != warehouse.Newer {
		t.Errorf("a newer bookkeeping: %v", err)
	}
	// Without the stand in between, this is a PostgreSQL and says so.
	_, err := Open(t.Context(), good, Options{Name: "shift", Staging: p.store.URL("stage")})
	if warehouse.KindOf(err) != warehouse.NotThere || !strings.Contains(warehouse.HintOf(err), "type: postgres") {
		t.Errorf("PostgreSQL as Redshift: %v, hint %q", err, warehouse.HintOf(err))
	}
}

// TestRejectedRow has the cluster refuse a row, and write the reason down where it can be read.
func TestRejectedRow(t *testing.T) {
	p := newPlace(t)
	d := p.open(Options{})
	refuse := func(s string) error {
		if strings.HasPrefix(s, "COPY ") {
			return &pgconn.PgError{Severity: "ERROR", Code: "XX000", Message: "Load into table 'firth_stage_0' failed.  Check 'sys_load_error_detail' system table for details."}
		}
		return nil
	}
	p.hook(refuse)
	if _, err := d.Load(t.Context(), batchOf(0, 10)); warehouse.KindOf(err) != warehouse.Unstaged || !strings.Contains(warehouse.HintOf(err), "sys_load_error_detail") {
		t.Errorf("refused without a reason: %v", err)
	}
	p.pg.Exec(p.query("SELECT current_database()"),
		"CREATE TABLE sys_load_error_detail (file_name char(256), line_number bigint, column_name char(127), error_message char(512), start_time timestamp)", "GRANT SELECT ON sys_load_error_detail TO PUBLIC")
	p.hook(func(s string) error {
		if m := copyForm.FindStringSubmatch(s); m != nil {
			p.pg.Exec(p.query("SELECT current_database()"), "INSERT INTO sys_load_error_detail VALUES ('"+strings.Replace(m[3], ".manifest", "-0000.csv.gz", 1)+"', 7, 'c2', 'String length exceeds DDL length', now())")
		}
		return refuse(s)
	})
	if _, err := d.Load(t.Context(), batchOf(0, 10)); err == nil || !strings.HasSuffix(err.Error(), "0000-0000.csv.gz, column c2: String length exceeds DDL length") || !strings.Contains(err.Error(), "line 7 of s3://") {
		t.Errorf("refused with a reason: %v", err)
	}
	p.hook(nil)
	p.noParts()
	mustLoad(t, d, batchOf(0, 10))
	p.exactly(10)
}

// TestBusy holds a table for longer than a loader waits.
func TestBusy(t *testing.T) {
	p := newPlace(t)
	d := p.open(Options{})
	mustLoad(t, d, batchOf(0, 10))
	tx, err := p.sqlDB.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE _firth.turn"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := d.Load(ctx, batchOf(10, 10)); warehouse.KindOf(err) != warehouse.Timeout {
		t.Errorf("held up by a lock under a deadline: %v, kind %s", err, warehouse.KindOf(err))
	}
	p.hook(func(s string) error {
		if s == "BEGIN" { // as somebody waits, only shorter
			_, err := d.conn.(*stand).pgWire.Exec(context.Background(), "SET statement_timeout TO 200")
			return err
		}
		return nil
	})
	if _, err := d.Load(t.Context(), batchOf(10, 10)); warehouse.KindOf(err) != warehouse.Busy {
		t.Errorf("held up by a lock: %v, kind %s", err, warehouse.KindOf(err))
	}
	p.hook(nil)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	mustLoad(t, d, batchOf(10, 10))
	p.exactly(20)
}

func TestCheck(t *testing.T) {
	p := newPlace(t)
	findings := func(o Options, schemas ...string) (ok, bad []string) {
		for _, f := range p.prepared(o).check(t.Context(), schemas) {
			if strings.Contains(f.Found+f.Hint, "role-secret") || strings.Contains(f.Found+f.Hint, p.store.SecretKey) {
				t.Errorf("a secret is shown: %+v", f)
			}
			if f.OK {
				ok = append(ok, f.What)
			} else {
				bad = append(bad, f.What+": "+f.Hint)
			}
		}
		return ok, bad
	}
	ok, bad := findings(Options{}, "production")
	if want := "connection, server, rights, bookkeeping, schema production, staging, copy, staging removal, staging listing, iam_role"; len(bad) > 0 || strings.Join(ok, ", ") != want {
		t.Errorf("well are %q, not %q", ok, bad)
	}
	p.noParts()
	mustLoad(t, p.open(Options{}), batchOf(0, 10))
	if _, bad = findings(Options{}, "production"); len(bad) > 0 {
		t.Errorf("not well with a warehouse in use: %q", bad)
	}
	p.exactly(10)
	// A table of somebody else's, a schema of somebody else's, no right to temporary tables, no bucket.
	database := p.query("SELECT current_database()")
	p.pg.Exec(database, "CREATE SCHEMA theirs", "CREATE TABLE production.theirs (id text)", "REVOKE TEMPORARY ON DATABASE "+database+" FROM "+p.query("SELECT current_user"))
	_, bad = findings(Options{Staging: strings.Replace(p.store.URL("stage"), p.store.Bucket, "nothing", 1)}, "production", "theirs")
	text := strings.Join(bad, "\n")
	for _, want := range []string{`rights: GRANT TEMPORARY ON DATABASE "`, `schema production: ALTER TABLE "production"."theirs" OWNER TO`, `schema theirs: GRANT USAGE, CREATE ON SCHEMA "theirs" TO`, "staging: make the bucket"} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
	for _, f := range bad {
		if _, statement, _ := strings.Cut(f, ": "); !strings.HasPrefix(f, "staging") {
			p.pg.Exec(database, statement)
		}
	}
	if _, bad = findings(Options{}, "production", "theirs"); len(bad) > 0 {
		t.Errorf("the printed statements did not mend it: %q", bad)
	}
	p.url = server.Via(p.url, "127.0.0.1:1")
	if ok, bad = findings(Options{}, "production"); len(bad) != 1 || !strings.HasPrefix(bad[0], "connection: ") {
		t.Errorf("nobody listens: well are %q, not %q", ok, bad)
	}
	for _, o := range []Options{{}, {Staging: "s3://b", AccessMethod: "columnar"}, {Staging: "bucket"}} {
		if f := Check(t.Context(), "redshift://u:hidden-secret@host/db", o, nil); len(f) != 1 || f[0].OK || f[0].Hint == "" || strings.Contains(f[0].Found, "hidden-secret") {
			t.Errorf("%+v found %+v", o, f)
		}
	}
}

func TestAddresses(t *testing.T) {
	c, err := address("redshift://firth:p%40ss@cluster.example.org/analytics", Options{})
	if err != nil || c.Host != "cluster.example.org" || c.Port != 5439 || c.Password != "p@ss" || c.RuntimeParams["application_name"] != "firth" {
		t.Errorf("read as %+v, %v", c, err)
	}
	for _, bad := range []string{"", "mysql://u:hidden-secret@h/d", "redshift://u:hidden-secret@h:port/d", "redshift://u:hidden-secret@h/d?sslmode=perhaps", "redshift://u:hidden-secret@h/d?sslrootcert=/none&sslmode=verify-full", "hidden-secret"} {
		if _, err := address(bad, Options{}); err == nil || strings.Contains(err.Error(), "hidden-secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
