package postgres_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"firth/internal/source"
	"firth/internal/source/postgres"
	"firth/internal/source/sourcetest"
	"firth/test/server"
)

func versions(t *testing.T, run func(t *testing.T, pg *server.PG)) {
	t.Helper()
	for _, version := range []string{"12", "15", "18"} {
		t.Run(version, func(t *testing.T) { run(t, server.Postgres(t, version)) })
	}
}

// owner makes a database with a role that owns it, and returns the role's URL.
func owner(pg *server.PG) (url, database string) { return pg.Loader() }

func open(t *testing.T, url string, spec source.Spec, o source.Options) *postgres.Table {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, spec, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cutter cuts connections after so many bytes of the server.
type cutter struct{ left atomic.Int64 }

type cutConn struct {
	net.Conn
	c *cutter
}

func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return cutConn{conn, c}, err
}

func (c cutConn) Read(b []byte) (int, error) {
	left := c.c.left.Load()
	if left == 0 {
		return c.Conn.Read(b)
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), left)])
	if c.c.left.Add(-int64(n)) <= 0 {
		c.c.left.Store(0)
		c.Close()
	}
	return n, err
}

func TestSuite(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, pg *server.PG) {
		url, database := owner(pg)
		admin := pg.Connect(database)
		role := "TO " + strings.Split(strings.TrimPrefix(url, "postgres://"), ":")[0]
		run(t, admin, "CREATE TABLE public.people (id int PRIMARY KEY, name text NOT NULL, age bigint)", "GRANT SELECT ON public.people "+role)
		cut := &cutter{}
		table := func(t *testing.T, spec source.Spec, get bool, o source.Options) sourcetest.Source {
			spec.Table = "people"
			o.Name = "users"
			return open(t, url, spec, o)
		}
		sourcetest.Relational(t, sourcetest.Stand{
			Fill: func(t *testing.T, people []sourcetest.Person) {
				ids, names, ages := make([]int64, len(people)), make([]string, len(people)), make([]int64, len(people))
				for i, p := range people {
					ids[i], names[i], ages[i] = p.ID, p.Name, p.Age
				}
				tx, err := admin.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err = tx.Exec(t.Context(), "DELETE FROM public.people"); err == nil {
					_, err = tx.Exec(t.Context(), "INSERT INTO public.people SELECT i, n, nullif(a, 0) FROM unnest($1::int8[], $2::text[], $3::int8[]) AS t (i, n, a)", ids, names, ages)
				}
				if err == nil {
					err = tx.Commit(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			Open: func(t *testing.T, spec source.Spec, get bool) sourcetest.Source {
				return table(t, spec, get, source.Options{})
			},
			Missing: func(t *testing.T) sourcetest.Source {
				return open(t, url, source.Spec{Table: "poeple"}, source.Options{Name: "users"})
			},
			Cut: func(_ *testing.T, bytes int64) { cut.left.Store(bytes) },
			OpenCut: func(t *testing.T, spec source.Spec) sourcetest.Source {
				return table(t, spec, false, source.Options{Dial: cut.dial})
			},
			Secret: "role-secret",
		})
	})
}
