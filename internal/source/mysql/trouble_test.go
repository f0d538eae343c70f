package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"firth/internal/source"
	"firth/internal/source/mysql"
	"firth/internal/vector"
	"firth/test/server"
)

// fill makes a table of n rows with an integer key and a text.
func fill(m *server.Maria, database string, n int) {
	m.Exec("CREATE TABLE "+database+".big (id INT PRIMARY KEY, t VARCHAR(300))",
		fmt.Sprintf("INSERT INTO %s.big SELECT seq, repeat('x', 200) FROM mysql.seq_1_to_%d", database, n))
}

// TestCut loses the connection in the middle of the rows, at the server's end and on the way: an error that may be tried again.
func TestCut(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	database := m.Database()
	fill(m, database, 60000)
	proxy := server.Fault(t, m.Addr())
	for _, c := range []struct {
		name string
		cut  func(id string)
	}{
		{"on the way", func(string) { proxy.Refuse(true); proxy.Refuse(false) }},
		{"killed", func(id string) { m.Exec("KILL " + id) }},
		{"statement killed", func(id string) { m.Exec("KILL QUERY " + id) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := strings.Replace(strings.Replace(m.Admin, "/mysql", "/"+database, 1), m.Addr(), proxy.Addr, 1)
			s, err := mysql.Open(t.Context(), url, source.Spec{Table: "big"}, source.Options{Name: "shop"})
			if err != nil {
				t.Fatal(err)
			}
			defer closed(t, s)
			if err := s.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			rows, err := s.Scan(t.Context(), source.Request{})
			if err != nil {
				t.Fatal(err)
			}
			var b source.Batch
			n := 0
			for err == nil {
				if err = rows.Next(t.Context(), &b); err == nil {
					if n == 0 {
						var id string
						if err := m.Open("mysql").QueryRow("SELECT id FROM information_schema.processlist WHERE info LIKE '%firth%`big`%' AND info NOT LIKE '%processlist%'").Scan(&id); err != nil {
							t.Fatal(err)
						}
						c.cut(id)
					}
					n += b.Chunk.Rows
				}
			}
			var e *source.Error
			if errors.Is(err, io.EOF) || !errors.As(err, &e) || !e.Retry || e.Hint() == "" {
				t.Errorf("after %d rows: %v", n, err)
			}
			if again := rows.Next(t.Context(), &b); again == nil || errors.Is(again, io.EOF) {
				t.Errorf("asked again: %v", again)
			}
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
			if strings.Contains(c.name, "statement") {
				return // the moment is there still
			}
			if _, err := s.Scan(t.Context(), source.Request{}); !source.CanRetry(err) {
				t.Errorf("another moment is read: %v", err)
			}
			if err := s.End(); err != nil {
				t.Fatal(err)
			}
			if cells, _ := contents(t, s, source.Request{Only: []string{"id"}}); len(cells["id"]) != 60000 {
				t.Errorf("%d rows after that", len(cells["id"]))
			}
		})
	}
}

// TestMoment changes a table while its pieces are read: all of them see the moment at which the reading began.
func TestMoment(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	database := m.Database()
	fill(m, database, 20000)
	s := open(t, m, database, source.Spec{Table: "big", Where: "t <> '' -- not the others"}, source.Options{})
	if err := s.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ranges, err := s.Ranges(t.Context(), 8)
	if err != nil || len(ranges) < 4 {
		t.Fatal(ranges, err)
	}
	n := 0
	for i, r := range ranges {
		cells, _ := contents(t, s, source.Request{Range: r})
		n += len(cells["id"])
		m.Exec(fmt.Sprintf("DELETE FROM %s.big WHERE id %% 10 = %d", database, i), fmt.Sprintf("UPDATE %s.big SET id = id + 1000000 WHERE id BETWEEN 100 AND 900", database))
	}
	if err := s.End(); err != nil || n != 20000 {
		t.Errorf("%d rows, %v", n, err)
	}
	if left := open(t, m, database, source.Spec{Table: "big"}, source.Options{}); left != nil {
		if cells, _ := contents(t, left, source.Request{}); len(cells["id"]) == 20000 {
			t.Error("the table has not changed")
		}
	}
}

// TestAltered alters a table between asking what it is and reading it.
func TestAltered(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	for _, change := range []string{"MODIFY t INT", "DROP COLUMN t", "RENAME COLUMN t TO u", "MODIFY id BIGINT UNSIGNED"} {
		database := m.Database()
		m.Exec("CREATE TABLE "+database+".x (id INT PRIMARY KEY, t VARCHAR(10))", "INSERT INTO "+database+".x VALUES (1, '5')")
		s := open(t, m, database, source.Spec{Table: "x"}, source.Options{})
		if _, err := s.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.Exec("ALTER TABLE " + database + ".x " + change)
		_, err := s.Scan(t.Context(), source.Request{})
		var e *source.Error
		if !errors.As(err, &e) || !e.Changed {
			t.Errorf("%s: %v", change, err)
		}
		if _, err := s.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if cells, _ := contents(t, s, source.Request{}); len(cells["id"]) != 1 {
			t.Errorf("%s: %v", change, cells)
		}
	}
}

// TestWide reads a thousand columns.
func TestWide(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	database := m.Database()
	var columns, values []string
	for i := range 1000 {
		columns, values = append(columns, fmt.Sprintf("c%d INT", i)), append(values, fmt.Sprint(i))
	}
	m.Exec("CREATE TABLE "+database+".wide ("+strings.Join(columns, ", ")+")", "INSERT INTO "+database+".wide VALUES ("+strings.Join(values, ",")+")", "CREATE TABLE "+database+".`na``me.x` (`a``b` INT)", "INSERT INTO "+database+".`na``me.x` VALUES (3)")
	cells, _ := contents(t, open(t, m, database, source.Spec{Table: "wide"}, source.Options{}), source.Request{})
	for i := range 1000 {
		if c := cells[fmt.Sprintf("c%d", i)]; len(c) != 1 || c[0].text != fmt.Sprint(i) {
			t.Errorf("c%d: %v", i, c)
		}
	}
	for _, name := range []string{"`na``me.x`", database + ".`na``me.x`", "`" + database + "`.`na``me.x`"} {
		if cells, _ := contents(t, open(t, m, database, source.Spec{Table: name}, source.Options{}), source.Request{}); len(cells["a`b"]) != 1 {
			t.Errorf("%s: %v", name, cells)
		}
	}
}

// TestWhatIsWrong: each trouble is told in words, with the statement that ends it, and without the password.
func TestWhatIsWrong(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	database := m.Database()
	m.Exec("CREATE TABLE "+database+".customers (id INT, email TEXT, name TEXT)", "CREATE TABLE "+database+".orders (id INT)")
	user, password := m.User("GRANT SELECT ON " + database + ".orders TO %s")
	partly, _ := m.User("GRANT SELECT (id, name) ON " + database + ".customers TO %s")
	table := func(name string) source.Spec { return source.Spec{Table: name} }
	for _, c := range []struct {
		name, url string
		spec      source.Spec
		err, hint string
	}{
		{"denied", m.URL(user, password, database), table("customers"), "denied", "GRANT SELECT ON `" + database + "`.`customers` TO '" + user + "'@'%'"},
		{"missing", m.URL(user, password, database), table("order"), "", "did you mean orders?"},
		{"missing, schema", m.URL("admin", "admin-secret", database), table(database + ".custmers"), "no table", "did you mean " + database + ".customers?"},
		{"no column", m.URL(user, password, database), source.Spec{Table: "orders", Columns: []string{"ids"}}, "no column ids", "did you mean id?"},
		{"hidden columns", m.URL(partly, password, database), source.Spec{Table: "customers", Columns: []string{"id", "email"}}, "no column email", "GRANT"},
		{"no database", m.URL(user, password, ""), table("orders"), "no database", "schema.table"},
		{"password", m.URL(user, "wrong-secret", database), table("orders"), "Access denied", "ALTER USER"},
		{"query", m.URL(user, password, database), source.Spec{Query: "selekt 1"}, "syntax", "mend the query"},
		{"same names", m.URL(user, password, database), source.Spec{Query: "select a.id, b.id from orders a join orders b"}, "Duplicate column", "a_id"},
		{"port", fmt.Sprintf("mysql://%s:%s@127.0.0.1:%d/%s", user, password, server.Port(t), database), table("orders"), "refused", "listens on"},
		{"host", fmt.Sprintf("mysql://%s:%s@nowhere.invalid/%s", user, password, database), table("orders"), "", ""},
		{"url", "mysql://" + user + ":" + password + "@:/%%", table("orders"), "url", "%40"},
		{"tls mode", m.URL(user, password, database) + "?tls=strict", table("orders"), "tls mode", "verify-full"},
		{"tls", m.URL(user, password, database) + "?tls=require", table("orders"), "TLS", "switch it on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := mysql.Open(t.Context(), c.url, c.spec, source.Options{Name: "shop"})
			if err == nil {
				_, err = s.Describe(t.Context())
				defer closed(t, s)
			}
			var e *source.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.err) || !strings.Contains(e.Hint(), c.hint) && c.name != "hidden columns" {
				t.Errorf("%v\nhint: %s", err, hintOf(err))
			}
			if told := fmt.Sprint(err, hintOf(err)); strings.Contains(told, password) || strings.Contains(told, "secret") {
				t.Errorf("the password is told: %s", told)
			}
		})
	}
	s, err := mysql.Open(t.Context(), m.URL(partly, password, database), source.Spec{Table: "customers"}, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	if info, err := s.Describe(t.Context()); err != nil || len(info.Columns) != 2 {
		t.Errorf("columns that may be read: %+v, %v", info, err)
	}
	for _, f := range mysql.Check(t.Context(), m.URL(user, password, database), source.Options{Name: "shop"}) {
		if !f.OK || !strings.Contains(f.Found, "MariaDB 11.4") {
			t.Errorf("%+v", f)
		}
	}
	checked := open(t, m, database, source.Spec{Table: "customers", Exclude: []string{"emial"}}, source.Options{}).Check(t.Context())
	if last := checked[len(checked)-1]; last.OK || !strings.Contains(last.Hint, "email") {
		t.Errorf("%+v", checked)
	}
}

func hintOf(err error) string {
	var e *source.Error
	if errors.As(err, &e) {
		return e.Hint()
	}
	return ""
}

// TestTLS connects as strictly as was asked for.
func TestTLS(t *testing.T) {
	m := server.MariaTLS(t, "11.4", "127.0.0.1")
	other := server.MariaTLS(t, "11.4", "elsewhere.example")
	for _, c := range []struct {
		m        *server.Maria
		mode, ca string
		ok       bool
	}{
		{m, "", "", false}, {m, "?tls=require", "", true}, {m, "?tls=skip-verify", "", true}, {m, "?tls=true", "", false}, {m, "?tls=preferred", "", true},
		{m, "", m.CA, true}, {m, "?ssl-mode=VERIFY_IDENTITY", m.CA, true}, {m, "?tls=verify-ca", other.CA, false}, {other, "?tls=verify-ca", other.CA, true}, {other, "?tls=verify-full", other.CA, false},
	} {
		found := mysql.Check(t.Context(), strings.TrimSuffix(c.m.Admin, "/mysql")+"/mysql"+c.mode, source.Options{Name: "shop", CA: c.ca})
		if len(found) != 1 || found[0].OK != c.ok || !c.ok && found[0].Hint == "" || c.ok && !strings.Contains(found[0].Found, "TLSv1.") {
			t.Errorf("%q with CA %v: %+v", c.mode, c.ca != "", found)
		}
	}
}

// TestCutValues: what the server cuts off within a query, with no more than a warning, is an error.
func TestCutValues(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	database := m.Database()
	s := open(t, m, database, source.Spec{Query: "select length(group_concat(repeat('x', 1000))) as n from mysql.seq_1_to_3000"}, source.Options{})
	if cells, _ := contents(t, s, source.Request{}); len(cells["n"]) != 1 || cells["n"][0].text != "3002999" {
		t.Errorf("%v", cells)
	}
	rows, err := open(t, m, database, source.Spec{Query: "select repeat('x', 1 << 30) as x"}, source.Options{}).Scan(t.Context(), source.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if cells, _, err := drain(t.Context(), rows); err == nil || hintOf(err) == "" {
		t.Errorf("%d cells, %v", len(cells["x"]), err)
	}
}

// TestConcurrent reads pieces by several connections, and Next ends with its own context.
func TestConcurrent(t *testing.T) {
	m := server.MariaDB(t, "11.4")
	database := m.Database()
	fill(m, database, 30000)
	s := open(t, m, database, source.Spec{Table: "big"}, source.Options{Concurrency: 3})
	if err := s.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	var open []source.Rows
	for range 3 {
		rows, err := s.Scan(t.Context(), source.Request{})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, rows)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Scan(short, source.Request{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a fourth connection: %v", err)
	}
	var b source.Batch
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for err := error(nil); err == nil; {
		if err = open[0].Next(gone, &b); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	for _, rows := range open {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
	from := source.Request{From: vector.Value{Kind: vector.Int, Bits: 64, Num: 5}}
	if _, err := s.Scan(t.Context(), from); err == nil {
		t.Error("a bound without a cursor is taken")
	}
}

func closed(t *testing.T, s io.Closer) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
