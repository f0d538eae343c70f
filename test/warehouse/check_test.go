package warehouse

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"firth/test/rig"
	"firth/test/server"
)

// finding is one check of firth check -o json.
type finding struct {
	What, Warehouse, Found, Hint string
	OK                           bool
}

// check runs firth check and returns what is wrong with a warehouse.
func check(t *testing.T, s *rig.Server) (bad []finding) {
	t.Helper()
	out, err := s.Run("check", "-o", "json")
	var all []finding
	if problem := json.Unmarshal([]byte(out), &all); problem != nil {
		t.Fatalf("firth check printed %q: %v, %v", out, problem, err)
	}
	about := 0
	for _, f := range all {
		if f.Warehouse == "" {
			continue
		}
		about++
		if !f.OK {
			bad = append(bad, f)
		}
	}
	if about == 0 || (err != nil) != (len(bad) > 0) {
		t.Fatalf("%d checks of the warehouse, %d failed, and the command ended with %v: %+v", about, len(bad), err, all)
	}
	return bad
}

const secret = "p@ss/w%rd:ö"

// TestCheckSaysWhatMends takes one right after the other from the user that loads, runs firth check, lets an administrator run the
// statement that it prints, and runs it again, until all is well. The password is in no output.
func TestCheckSaysWhatMends(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15") // no other test uses these names
	const quoted = `"od'd User"`
	t.Cleanup(func() { pg.Exec("postgres", "DROP DATABASE IF EXISTS app", "DROP ROLE IF EXISTS "+quoted) })
	statement := regexp.MustCompile(`(?:CREATE|GRANT|ALTER) [^;\n]+`)
	for name, c := range map[string]struct {
		spoil []string
		says  string
	}{
		"no database":          {[]string{"DROP DATABASE app"}, "CREATE DATABASE"},
		"no right to connect":  {[]string{"REVOKE CONNECT ON DATABASE app FROM " + quoted}, "GRANT CONNECT ON DATABASE"},
		"no right to schemas":  {[]string{"REVOKE CREATE ON DATABASE app FROM " + quoted}, "GRANT CREATE ON DATABASE"},
		"no temporary tables":  {[]string{"REVOKE TEMPORARY ON DATABASE app FROM " + quoted}, "GRANT TEMPORARY ON DATABASE"},
		"no right to log in":   {[]string{"ALTER ROLE " + quoted + " NOLOGIN"}, "LOGIN"},
		"another password":     {[]string{"ALTER ROLE " + quoted + " PASSWORD 'other'"}, "PASSWORD"},
		"everything at a time": {[]string{"REVOKE ALL ON DATABASE app FROM " + quoted, "ALTER ROLE " + quoted + " NOLOGIN"}, "LOGIN"},
	} {
		t.Run(name, func(t *testing.T) {
			pg.Exec("postgres", "DROP DATABASE IF EXISTS app", "DROP ROLE IF EXISTS "+quoted, "CREATE DATABASE app",
				"REVOKE ALL ON DATABASE app FROM PUBLIC", "CREATE ROLE "+quoted+" LOGIN PASSWORD '"+secret+"'",
				"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE app TO "+quoted)
			where := pg.URL("od'd User", secret, "app")
			s := rig.New(t, fmt.Sprintf("%swarehouses:\n  analytics: { type: postgres, url: %q }\n", sources, where))
			if bad := check(t, s); len(bad) > 0 {
				t.Fatalf("with every right: %+v", bad)
			}
			pg.Exec("postgres", c.spoil...)
			bad := check(t, s)
			if len(bad) == 0 || !strings.Contains(bad[0].Hint, c.says) {
				t.Fatalf("it does not speak of %s: %+v", c.says, bad)
			}
			for step := 0; len(bad) > 0 && step < 5; step++ {
				for _, f := range bad {
					if strings.Contains(f.Found+f.Hint, secret) || strings.Contains(f.Found+f.Hint, url.QueryEscape(secret)) {
						t.Errorf("the password is shown: %+v", f)
					}
					mend := statement.FindString(f.Hint)
					t.Logf("%s: %s -> %s", f.What, f.Found, mend)
					pg.Exec("postgres", strings.ReplaceAll(mend, placeholder, "'"+secret+"'"))
				}
				if c.spoil[0] == "DROP DATABASE app" && step == 0 { // what a new database grants to everybody is no matter here
					pg.Exec("postgres", "GRANT CREATE ON DATABASE app TO "+quoted)
				}
				bad = check(t, s)
			}
			if len(bad) > 0 {
				t.Fatalf("the statements were run, and still: %+v", bad)
			}
		})
	}
}

// TestCheckOfTheWay: what is wrong on the way to the server.
func TestCheckOfTheWay(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	connection, _ := pg.Loader()
	stalled := server.Fault(t, pg.Addr())
	stalled.Stall(true)
	refusing := server.Fault(t, pg.Addr())
	refusing.Refuse(true)
	tls := server.PostgresTLS(t, "15", "")
	name, password := tls.Role("postgres", "", "GRANT CREATE ON DATABASE postgres TO %s")
	encrypted := tls.URL(name, password, "postgres")
	plain, _, _ := strings.Cut(encrypted, "?")
	standby := server.OwnPostgres(t, "15").Standby()
	for what, c := range map[string]struct {
		url  string
		ca   string
		says []string // each with | between what it may be
	}{
		"no such host":      {server.Via(connection, "no-such-host.invalid:5432"), "", []string{"no such host|could not be found|lookup"}},
		"refused":           {server.Via(connection, refusing.Addr), "", []string{"refused"}},
		"no answer":         {server.Via(connection, stalled.Addr), "", []string{"timeout|no answer|deadline", "firewall|network|reach"}},
		"TLS required":      {plain + "?sslmode=disable", "", []string{"sslmode=require|sslmode=verify-full"}},
		"not trusted":       {plain + "?sslmode=verify-full", "", []string{"ca:|ca |sslrootcert"}},
		"trusted":           {plain + "?sslmode=verify-full", tls.CA, nil},
		"read-only replica": {standby.URL("postgres", adminOf(t, standby.Admin), "postgres"), "", []string{"read-only|standby|replica", "primary"}},
	} {
		t.Run(what, func(t *testing.T) {
			more := ""
			if c.ca != "" {
				more = fmt.Sprintf(", ca: %q", filepath.ToSlash(c.ca))
			}
			s := rig.New(t, fmt.Sprintf("%swarehouses:\n  analytics: { type: postgres, url: %q%s }\n", sources, c.url, more))
			bad := check(t, s)
			if c.says == nil {
				if len(bad) > 0 {
					t.Errorf("%+v", bad)
				}
				return
			}
			if len(bad) == 0 {
				text, err := s.Run("check")
				t.Fatalf("nothing is found: %v\n%s", err, text)
			}
			t.Logf("%s: %s -> %s", bad[0].What, bad[0].Found, bad[0].Hint)
			for _, words := range c.says {
				if !regexp.MustCompile(words).MatchString(bad[0].Found + " " + bad[0].Hint) {
					t.Errorf("it does not say %s: %+v", words, bad[0])
				}
			}
		})
	}
}

// TestSetup runs the statements that firth check --setup prints, with the password put in, and nothing else: a user made so loads.
func TestSetup(t *testing.T) {
	t.Parallel()
	const name = "loader"
	t.Run("PostgreSQL 15", func(t *testing.T) {
		pg := server.Postgres(t, "15")
		t.Cleanup(func() { pg.Exec("postgres", "DROP ROLE "+name) }) // when its database is gone
		database := pg.Database()
		pg.Exec(database, "REVOKE ALL ON DATABASE "+database+" FROM PUBLIC")
		d := onPostgres(t, pg)
		d.url = pg.URL(name, secret, database)
		d.setUp(func(statement string) { pg.Exec(database, statement) })
	})
	t.Run("MariaDB 11.4", func(t *testing.T) {
		d := mariaDB(t, "11.4")
		u, err := url.Parse(d.url)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(name, secret)
		d.url = u.String()
		d.setUp(d.exec)
	})
}

// placeholder stands for the password in what is printed.
const placeholder = "'<password>'"

// setUp runs the printed statements and loads.
func (d *target) setUp(run func(statement string)) {
	d.t.Helper()
	s := rig.New(d.t, sources+quick+"warehouses:\n"+d.warehouse("analytics", d.url))
	text, err := s.Run("check", "--setup", "analytics")
	if err != nil {
		d.t.Fatal(err)
	}
	if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) || !strings.Contains(text, placeholder) {
		d.t.Errorf("the password is shown, or its place is not:\n%s", text)
	}
	var statements strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			statements.WriteString(line)
		}
	}
	for statement := range strings.SplitSeq(strings.ReplaceAll(statements.String(), placeholder, "'"+secret+"'"), ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			run(statement)
		}
	}
	if bad := check(d.t, s); len(bad) > 0 {
		d.t.Errorf("with the user that was set up: %+v", bad)
	}
	s.Start()
	rig.NewLoad(s, "production", "k", 1, 0).Send(3)
	s.Eventually(patience, "the lake", func() error {
		n, err := s.Count("SELECT count(*) FROM lake.production")
		if err == nil && n != 30 {
			err = fmt.Errorf("%d calls", n)
		}
		return err
	})
	if r, err := load(d.t, s, "analytics"); err != nil || r.Tables["production.tracks"] != 30 {
		d.t.Errorf("the user that was set up does not load: %+v, %v", r, err)
	}
}
