package postgres_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/postgres"
	"firth/test/server"
)

// said are the findings as lines, without what differs from run to run.
func said(findings []warehouse.Finding, hide ...string) string {
	var b strings.Builder
	for _, f := range findings {
		mark := "ok   "
		if !f.OK {
			mark = "WRONG"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", mark, f.What, f.Found)
		if f.Hint != "" {
			fmt.Fprintf(&b, "      %s\n", f.Hint)
		}
	}
	text := strings.NewReplacer(hide...).Replace(b.String())
	return regexp.MustCompile(`PostgreSQL 15\.\d+`).ReplaceAllString(text, "PostgreSQL 15")
}

func wantSaid(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("found:\n%s\nwant:\n%s", got, want)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	database := pg.Database()
	owner, _ := pg.Role(database, "")
	name, url, hide := role(t, pg, database, "", "REVOKE ALL ON DATABASE "+database+" FROM PUBLIC", "GRANT CONNECT ON DATABASE "+database+" TO %s",
		"CREATE SCHEMA closed", "CREATE SCHEMA full_of", "GRANT ALL ON SCHEMA full_of TO %s", "CREATE TABLE full_of.clicks (id text)")
	hide = append(hide, pg.Addr(), "127.0.0.1:5432", owner, "segment")
	schemas := []string{"new", "full_of", "closed", "new"}
	look := func() string { return said(postgres.Check(t.Context(), url, postgres.Options{}, schemas), hide...) }
	begin := "ok    host: 127.0.0.1 is 127.0.0.1\nok    login: \"loader\" at 127.0.0.1:5432, database \"analytics\"\n" +
		"ok    encryption: none: texts and password travel as they are; sslmode=verify-full in the url asks for TLS\nok    server: PostgreSQL 15\n"
	wantSaid(t, look(), begin+`WRONG right to make schemas: "loader" may not make schemas in "analytics"
      GRANT CREATE ON DATABASE "analytics" TO "loader"
WRONG temporary tables: ERROR: permission denied to create temporary tables in database "analytics" (SQLSTATE 42501)
      GRANT TEMPORARY ON DATABASE "analytics" TO "loader"
WRONG schema closed: "loader" may not use it, or not make tables in it
      GRANT USAGE, CREATE ON SCHEMA "closed" TO "loader"
WRONG schema full_of: "loader" may not read and write all of its 1 tables
      GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA "full_of" TO "loader"
ok    schema new: is not there yet; the first load makes it
`)
	// What was printed, and what comes to light by it.
	for range 3 {
		for _, f := range postgres.Check(t.Context(), url, postgres.Options{}, schemas) {
			if f.Hint != "" {
				pg.Exec(database, f.Hint)
			}
		}
		pg.Exec(database, "ALTER TABLE full_of.clicks OWNER TO "+owner, "GRANT ALL ON full_of.clicks TO "+name)
	}
	if err := opening(url, postgres.Options{})(); err != nil {
		t.Fatal(err)
	}
	wantSaid(t, look(), begin+`ok    right to make schemas: granted
ok    temporary tables: granted
ok    bookkeeping: the schema _firth, version 1
ok    schema closed: 0 tables
ok    schema full_of: 1 tables
ok    schema new: is not there yet; the first load makes it
`)
	if left := ask(t, pg.Connect(database), "SELECT relname FROM pg_class WHERE relname LIKE 'firth_check%'"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestCheckServers(t *testing.T) {
	t.Parallel()
	pg := server.OwnPostgres(t, "15")
	database := pg.Database()
	name, url, hide := role(t, pg, database, "", all+database+" TO %s")
	follower := pg.Standby()
	got := said(postgres.Check(t.Context(), follower.URL(name, secret, database), postgres.Options{}, []string{"production"}), append(hide, follower.Addr(), "127.0.0.1:5432")...)
	if !strings.HasSuffix(got, "WRONG server: PostgreSQL 15: the server is a standby: it takes no writes\n      put the address of the primary server into the url\n") {
		t.Errorf("a standby: %s", got)
	}
	got = said(postgres.Check(t.Context(), strings.Replace(url, secret, "wrong", 1), postgres.Options{}, nil), append(hide, pg.Addr(), "127.0.0.1:5432")...)
	if !strings.HasPrefix(got, "ok    host: 127.0.0.1 is 127.0.0.1\nWRONG login: ") || !strings.Contains(got, `ALTER ROLE "loader" PASSWORD '<password>'`) || strings.Contains(got, "wrong'") {
		t.Errorf("a wrong password: %s", got)
	}
	got = said(postgres.Check(t.Context(), url, postgres.Options{AccessMethod: postgres.Columnar}, nil), hide...)
	if !strings.Contains(got, "WRONG server: PostgreSQL 15: access_method is columnar, and the database has no columnar tables\n      on a Hydra server run CREATE EXTENSION columnar") {
		t.Errorf("no columnar tables: %s", got)
	}
	secure := server.PostgresTLS(t, "15", "")
	database = secure.Database()
	_, url, _ = role(t, secure, database, "", all+database+" TO %s")
	if got = said(postgres.Check(t.Context(), url, postgres.Options{}, nil)); !strings.Contains(got, "ok    encryption: TLS 1.3\n") || strings.Contains(got, "WRONG") {
		t.Errorf("with TLS: %s", got)
	}
	plain, _, _ := strings.Cut(url, "?")
	if got = said(postgres.Check(t.Context(), plain+"?sslmode=require", postgres.Options{}, nil)); !strings.Contains(got, "certificate was not looked at") {
		t.Errorf("with TLS and no look at the certificate: %s", got)
	}
}

// TestSetup runs the statements that are printed, and loads with the role that they make.
func TestSetup(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	database := pg.Database()
	pg.Exec(database, "REVOKE ALL ON DATABASE "+database+" FROM PUBLIC")
	url := pg.URL(database+" it's", "a password", database)
	s, err := postgres.Setup(url, []string{"production"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, pg.Connect(database), strings.Replace(s, "'<password>'", "'a password'", 1))
	if err := loadingInto(url)(); err != nil {
		t.Fatal(err)
	}
	want(t, ask(t, pg.Connect(database), "SELECT count(*) FROM production.clicks"), "(1)")
}

// TestWideRow: a row that no page holds is stored as far as it goes, and the rest is listed.
func TestWideRow(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	columns := []table.Column{{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}}
	short, long, ints := table.Row{}, table.Row{}, table.Row{}
	for i := range 1000 {
		kind := table.String
		if i%2 == 1 {
			kind = table.Integer
		}
		columns = append(columns, table.Column{Name: fmt.Sprintf("c%04d", i), Type: kind, Path: "properties.c"})
		at := int32(i + 2)
		if kind == table.String {
			short.Cells = append(short.Cells, table.Cell{Col: at, Value: table.Text(fmt.Sprintf("value %04d", i))})
			long.Cells = append(long.Cells, table.Cell{Col: at, Value: table.Text(strings.Repeat(fmt.Sprintf("value %04d", i), 50))})
			continue
		}
		ints.Cells = append(ints.Cells, table.Cell{Col: at, Value: table.Int(int64(i))})
	}
	for i, r := range []*table.Row{&short, &long, &ints} {
		r.Cells = append(r.Cells, table.Cell{Col: 0, Value: table.Text(fmt.Sprint("id-", i))}, table.Cell{Col: 1, Value: table.Time(int64(i))})
		if i > 0 {
			continue
		}
		r.Cells = append(r.Cells, ints.Cells...)
	}
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: "log", To: 3, ReceivedThrough: event.NoTime, Tables: []*table.Batch{{Name: "wide", Columns: columns, Rows: []table.Row{short, long, ints}}}}
	r := load(t, db, b)
	if r.Rows["wide"] != 3 || r.Discards == 0 || r.Discards > 700 {
		t.Errorf("rows %v, %d discards", r.Rows, r.Discards)
	}
	got := ask(t, pg.Connect(database), "SELECT w.id, count(v.value) + (SELECT count(*) FROM production.firth_discards d WHERE d.row_id = w.id AND d.reason = 'row_too_large') "+
		"FROM production.wide w, LATERAL jsonb_each_text(to_jsonb(w)) v WHERE v.key LIKE 'c%' GROUP BY 1 ORDER BY 1")
	want(t, got, "(id-0,1000)", "(id-1,500)", "(id-2,500)")
}
