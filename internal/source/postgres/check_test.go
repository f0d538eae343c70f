package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"firth/internal/source"
	"firth/internal/source/postgres"
	"firth/internal/vector"
	"firth/test/server"
)

// TestDefaults: nobody's settings for role or database change what is read, or end it.
func TestDefaults(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		url, admin, role := stand(t, pg, "CREATE TABLE t (a text, f float8, at timestamptz, s text)", `INSERT INTO t VALUES ('Zürich \ ''', 0.1, '2024-01-01 00:00:00+00', 'E')`)
		run(t, admin, "GRANT SELECT ON t TO "+role)
		for _, set := range []string{"client_encoding = 'LATIN1'", "extra_float_digits = -10", "lock_timeout = 1", "DateStyle = 'SQL, DMY'", "default_transaction_isolation = 'serializable'", "standard_conforming_strings = off", "statement_timeout = 60000", "search_path = nothing"} {
			run(t, admin, "ALTER ROLE "+role+" SET "+set)
		}
		s := closing(t, url, source.Spec{Table: "public.t", Where: `a <> 'x'`, Cursor: "a"})
		want(t, all(t, s, 2, source.Request{From: vector.Value{Kind: vector.Text, Text: `Zürich \ '`}}), `Zürich \ '|0.1|2024-01-01 00:00:00+00|E`)
		var reads string
		if err := admin.QueryRow(t.Context(), "SELECT application_name FROM pg_stat_activity WHERE usename = $1 LIMIT 1", role).Scan(&reads); err != nil || reads != "firth" {
			t.Errorf("%q, %v", reads, err)
		}
	})
}

// TestCheck: each right that is missing is told with the statement that gives it; when it has run, all is well.
func TestCheck(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		url, admin, _ := stand(t, pg, "CREATE SCHEMA app", "CREATE TABLE app.users (id int PRIMARY KEY, name text, email text)", "INSERT INTO app.users VALUES (1, 'a', 'b')")
		spec := source.Spec{Table: "app.users"}
		bad := func(spec source.Spec) source.Finding {
			t.Helper()
			var out source.Finding
			for _, f := range closing(t, url, spec).Check(t.Context()) {
				if strings.Contains(fmt.Sprint(f), "role-secret") {
					t.Errorf("%+v tells the password", f)
				}
				if !f.OK {
					out = f
				}
			}
			return out
		}
		for _, begins := range []string{`GRANT USAGE ON SCHEMA "app" TO `, `GRANT SELECT ON "app"."users" TO `} {
			_, err := closing(t, url, spec).Describe(t.Context())
			var e *source.Error
			f := bad(spec)
			if f.What == "" || !strings.HasPrefix(f.Hint, begins) || !errors.As(err, &e) || e.Hint() != f.Hint {
				t.Fatalf("%+v; and %v, %+v", f, err, e)
			}
			run(t, admin, f.Hint)
		}
		if f := bad(spec); f.What != "" {
			t.Errorf("%+v", f)
		}
		role := strings.Split(strings.TrimPrefix(url, "postgres://"), ":")[0]
		run(t, admin, "REVOKE SELECT ON app.users FROM "+role, "GRANT SELECT (id) ON app.users TO "+role)
		f := bad(spec)
		if !strings.HasPrefix(f.Hint, `GRANT SELECT ("name", "email") ON "app"."users" TO `) {
			t.Fatalf("%+v", f)
		}
		run(t, admin, strings.Split(f.Hint, ";")[0])
		if f := bad(spec); f.What != "" {
			t.Errorf("%+v", f)
		}
		if f := bad(source.Spec{Table: "app.user"}); f.Hint != "did you mean app.users?" {
			t.Errorf("%+v", f)
		}
		if f := bad(source.Spec{Table: "users"}); f.Hint != "did you mean app.users?" {
			t.Errorf("%+v", f)
		}
		if f := bad(source.Spec{Table: "app.users", Exclude: []string{"emial"}}); f.What != "exclude" || f.Hint != "did you mean email?" {
			t.Errorf("%+v", f)
		}
		run(t, admin, "ALTER TABLE app.users ENABLE ROW LEVEL SECURITY")
		found := closing(t, url, spec).Check(t.Context())
		if !slices.ContainsFunc(found, func(f source.Finding) bool {
			return f.OK && strings.Contains(f.Found, "rows may be missing") && strings.Contains(f.Hint, "BYPASSRLS")
		}) {
			t.Errorf("%+v", found)
		}
	})
}

// TestFaults are told in words, without a secret.
func TestFaults(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, _, _ := stand(t, pg)
	for name, c := range map[string]struct {
		url, hint string
		retry     bool
	}{
		"password": {strings.Replace(url, "role-secret", "wrong-secret", 1), "correct the password", false},
		"database": {url[:strings.LastIndex(url, "/")] + "/none?sslmode=disable", "database's name", false},
		"host":     {server.Via(url, "no-such-host.invalid:5432"), "does not resolve", true},
		"nobody":   {server.Via(url, fmt.Sprintf("127.0.0.1:%d", server.Port(t))), "nothing listens", true},
		"tls":      {strings.Replace(url, "sslmode=disable", "sslmode=require", 1), "no TLS", false},
	} {
		f := postgres.Check(t.Context(), c.url, source.Options{Name: "users"})
		_, err := closing(t, c.url, source.Spec{Table: "t"}).Describe(t.Context())
		if len(f) != 1 || f[0].OK || !strings.Contains(f[0].Hint, c.hint) || source.CanRetry(err) != c.retry || strings.Contains(fmt.Sprint(f, err), "secret") {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	for _, u := range []string{"mysql://u:secret@h/d", "postgres://u:se%cret@h/d", "postgres://u:secret@h/d?sslmode=nonsense", "postgres://u:secret@h:port/d", "://secret"} {
		_, err := postgres.Open(t.Context(), u, source.Spec{}, source.Options{})
		var e *source.Error
		if !errors.As(err, &e) || e.Hint() == "" || strings.Contains(fmt.Sprint(err), "secret") || strings.Contains(fmt.Sprint(err), "se%cret") {
			t.Errorf("%s: %v", u, err)
		}
	}
	// No answer is the end of the caller's patience, not of everything.
	proxy := server.Fault(t, pg.Addr())
	proxy.Stall(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100_000_000)
	defer cancel()
	if _, err := closing(t, server.Via(url, proxy.Addr), source.Spec{Table: "t"}).Describe(ctx); !source.CanRetry(err) {
		t.Errorf("%v", err)
	}
}

// TestStandby reads a server that follows another.
func TestStandby(t *testing.T) {
	t.Parallel()
	primary := server.OwnPostgres(t, "15")
	url, admin, role := stand(t, primary, "CREATE TABLE t (id int PRIMARY KEY, pad text)", "INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 2000) i")
	run(t, admin, "GRANT SELECT ON t TO "+role)
	if err := admin.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	standby := primary.Standby()
	s := closing(t, server.Via(url, standby.Addr()), source.Spec{Table: "t"})
	if lines := all(t, s, 4, source.Request{}); len(slices.Compact(lines)) != 2000 {
		t.Errorf("%d rows", len(lines))
	}
	for _, f := range s.Check(t.Context()) {
		if !f.OK || f.What == "connection" && !strings.Contains(f.Found, "a standby") {
			t.Errorf("%+v", f)
		}
	}
}
