package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"firth/internal/source"
	"firth/internal/source/mysql"
	"firth/internal/source/sourcetest"
	"firth/test/server"
)

func TestConformance(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	for _, s := range []struct {
		name string
		spec source.Spec
		get  source.Spec
	}{
		{"table", source.Spec{Table: "people"}, source.Spec{Table: "people"}},
		{"query", source.Spec{Query: "select id, name, age from people order by id;"}, source.Spec{Query: "select id, name, age from people where id in (:ids)"}},
	} {
		t.Run(s.name, func(t *testing.T) { conform(t, m, s.spec, s.get, s.name == "query") })
	}
}

func conform(t *testing.T, m *server.Maria, scan, get source.Spec, query bool) {
	database := m.Database()
	user, password := m.User("GRANT SELECT ON " + database + ".* TO %s")
	proxy := server.Fault(t, m.Addr())
	url := m.URL(user, password, database)
	with := func(spec, base source.Spec) source.Spec {
		spec.Table, spec.Query = base.Table, base.Query
		return spec
	}
	open := func(t *testing.T, url string, spec source.Spec) *mysql.Table {
		s, err := mysql.Open(t.Context(), url, spec, source.Options{Name: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	stand := sourcetest.Stand{
		Secret: password,
		Fill: func(t *testing.T, people []sourcetest.Person) {
			// A reading holds up whoever would drop the table.
			m.Exec("CREATE TABLE IF NOT EXISTS "+database+".people (id BIGINT PRIMARY KEY, name VARCHAR(100) CHARACTER SET utf8mb4 NOT NULL, age INT)",
				"DELETE FROM "+database+".people")
			var values []string
			for _, p := range people {
				age := "NULL"
				if p.Age != 0 {
					age = fmt.Sprint(p.Age)
				}
				values = append(values, fmt.Sprintf("(%d, '%s', %s)", p.ID, p.Name, age))
			}
			if len(values) > 0 {
				m.Exec("SET NAMES utf8mb4; INSERT INTO " + database + ".people VALUES " + strings.Join(values, ","))
			}
		},
		Open: func(t *testing.T, spec source.Spec, isGet bool) sourcetest.Source {
			if isGet {
				return open(t, url, with(spec, get))
			}
			return open(t, url, with(spec, scan))
		},
		Missing: func(t *testing.T) sourcetest.Source {
			if query {
				return open(t, url, source.Spec{Query: "select * from persons"})
			}
			return open(t, url, source.Spec{Table: "peeple"})
		},
		Cut: func(t *testing.T, bytes int64) { proxy.CutAfter(bytes) },
		OpenCut: func(t *testing.T, spec source.Spec) sourcetest.Source {
			return open(t, strings.Replace(url, m.Addr(), proxy.Addr, 1), with(spec, scan))
		},
	}
	if query {
		stand.Lacks = []string{"ranges"}
	}
	sourcetest.Relational(t, stand)
}
