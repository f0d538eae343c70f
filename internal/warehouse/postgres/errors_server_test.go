package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/postgres"
	"firth/test/server"
)

// testWithin is the longest that anything here may take.
const testWithin = 30 * time.Second

func funcName(f any) string { return runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name() }

// batch is n rows of clicks from an offset on, and a user; more are columns with a value in each row.
func batch(from uint64, n int, more ...table.Column) *warehouse.Batch {
	columns := append([]table.Column{
		{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "uuid_ts", Type: table.Timestamp}, {Name: "s", Type: table.String, Path: "properties.s"},
	}, more...)
	clicks := &table.Batch{Name: "clicks", Columns: columns}
	for i := range n {
		at := from + uint64(i)
		cells := []table.Cell{
			{Col: 0, Value: table.Text("id-" + table.Int(int64(at)).String())}, {Col: 1, Value: table.Time(1_700_000_000_000_000 + int64(at))}, {Col: 3, Value: table.Text("x")},
		}
		for j, c := range more {
			v := table.Int(int64(at))
			if c.Type == table.Float {
				v = table.Float64(float64(at) + 0.5)
			}
			cells = append(cells, table.Cell{Col: int32(4 + j), Value: v})
		}
		clicks.Rows = append(clicks.Rows, table.Row{Offset: at, Cells: cells})
	}
	users := &table.Batch{Name: "users", Columns: columns[:3], Rows: []table.Row{{Cells: []table.Cell{{Col: 0, Value: table.Text("ann")}}}}}
	return &warehouse.Batch{
		Source: "production", Schema: "production", Log: "0b0e9fe0-0000-4000-8000-000000000001", From: from, To: from + uint64(n),
		ReceivedThrough: event.NoTime, Tables: []*table.Batch{clicks}, Upserts: []*table.Batch{users},
	}
}

func needsTLS(t *testing.T) trouble {
	pg := server.PostgresTLS(t, "15", "")
	database := pg.Database()
	name, url, hide := role(t, pg, database, "", all+database+" TO %s")
	_ = name
	plain, _, _ := strings.Cut(url, "?")
	return elsewhere("the server takes no plain connections", warehouse.NeedsTLS, pg, plain+"?sslmode=disable", plain+"?sslmode=require", hide)
}

func noEntry(t *testing.T) trouble {
	pg := server.OwnPostgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s")
	file := filepath.Join(pg.Dir, "pg_hba.conf")
	set := func(text string) {
		if err := os.WriteFile(file, []byte("host all postgres 127.0.0.1/32 scram-sha-256\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		pg.Exec("postgres", "SELECT pg_reload_conf()")
	}
	set("")
	try := opening(url, postgres.Options{})
	waitFor(t, func() bool { return warehouse.KindOf(try()) == warehouse.NeedsTLS })
	return trouble{name: "the server lets the role in from elsewhere alone", kind: warehouse.NeedsTLS, pg: pg, hide: hide, try: try, mend: func(hint string) {
		_, line, ok := strings.Cut(hint, "pg_reload_conf(): ")
		if !ok {
			t.Fatalf("no line in %q", hint)
		}
		set(line)
		waitFor(t, func() bool { return try() == nil })
	}}
}

// waitFor waits until something is so.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testWithin); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come about")
		}
	}
}

func notTrusted(t *testing.T) trouble {
	pg := server.PostgresTLS(t, "15", "")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s")
	plain, _, _ := strings.Cut(url, "?")
	var o postgres.Options
	return trouble{name: "the certificate is of an unknown authority", kind: warehouse.BadTLS, pg: pg, hide: hide,
		try:  func() error { return opening(plain+"?sslmode=verify-full", o)() },
		mend: func(string) { o.CA = pg.CA }}
}

func otherHost(t *testing.T) trouble {
	pg := server.PostgresTLS(t, "15", "localhost")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s")
	return elsewhere("the certificate is for another host", warehouse.BadTLS, pg, url, strings.Replace(url, "@127.0.0.1:", "@localhost:", 1), hide)
}

func noTLS(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s")
	return elsewhere("the server speaks no TLS", warehouse.BadTLS, pg, strings.Replace(url, "sslmode=disable", "sslmode=require", 1), url, hide)
}

func readOnlyRole(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "", all+database+" TO %s", "ALTER ROLE %s SET default_transaction_read_only = on")
	return trouble{name: "the role is set to read only", kind: warehouse.ReadOnly, try: opening(url, postgres.Options{}), pg: pg, database: database, hide: hide}
}

func standby(t *testing.T) trouble {
	pg := server.OwnPostgres(t, "15")
	database := pg.Database()
	name, url, hide := role(t, pg, database, "", all+database+" TO %s")
	follower := pg.Standby()
	return elsewhere("the server is a standby", warehouse.ReadOnly, pg, follower.URL(name, secret, database), url, append(hide, follower.Addr(), "127.0.0.1:5432"))
}

func tooMany(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	_, url, hide := role(t, pg, database, "CONNECTION LIMIT 0", all+database+" TO %s")
	out := trouble{name: "too many connections", kind: warehouse.TooMany, try: opening(url, postgres.Options{}), pg: pg, database: database, hide: hide}
	out.mend = func(hint string) {
		_, s, _ := strings.Cut(hint, "where the role is limited: ")
		pg.Exec(database, s)
	}
	return out
}

func ended(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	pg.Exec(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'firth'")
	return trouble{name: "an administrator ended the connection", kind: warehouse.Down, pg: pg, mend: func(string) {}, try: func() error {
		_, err := db.Load(context.Background(), batch(0, 1))
		return err
	}}
}

func busy(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	if _, err := db.Load(t.Context(), batch(0, 1)); err != nil {
		t.Fatal(err)
	}
	holder := pg.Connect(database)
	if _, err := holder.Exec(t.Context(), "SET application_name = 'report'; BEGIN; SELECT count(*) FROM production.clicks"); err != nil {
		t.Fatal(err)
	}
	return trouble{name: "somebody holds a table that takes a new column", kind: warehouse.Busy, pg: pg, database: database, try: func() error {
		_, err := db.Load(context.Background(), batch(1, 1, table.Column{Name: "more", Type: table.Integer}))
		return err
	}}
}

func notColumnar(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	o := postgres.Options{AccessMethod: postgres.Columnar}
	return trouble{name: "columnar tables are not installed", kind: warehouse.NotThere, pg: pg, hide: []string{database, "analytics"},
		try: func() error { return opening(url, o)() }, mend: func(string) { o.AccessMethod = "" }}
}

func latin1(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database := pg.Database()
	pg.Exec("postgres", "DROP DATABASE "+database, "CREATE DATABASE "+database+" ENCODING 'LATIN1' TEMPLATE template0")
	_, url, hide := role(t, pg, database, "", all+database+" TO %s")
	right, _ := pg.Loader()
	return elsewhere("the database's encoding cannot hold every text", warehouse.NotThere, pg, url, right, hide)
}

func newer(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	if err := opening(url, postgres.Options{})(); err != nil {
		t.Fatal(err)
	}
	pg.Exec(database, "INSERT INTO _firth.format VALUES (99)")
	return trouble{name: "a newer version loaded here", kind: warehouse.Newer, pg: pg, try: opening(url, postgres.Options{}), mend: func(string) {
		pg.Exec(database, "DELETE FROM _firth.format WHERE version = 99")
	}}
}

func full(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	database, disk := pg.SmallDatabase(24)
	_, url, hide := role(t, pg, database, "", all+database+" TO %s")
	db := open(t, url, postgres.Options{})
	if _, err := db.Load(t.Context(), batch(0, 1)); err != nil {
		t.Fatal(err)
	}
	disk.Fill(64)
	path := strings.NewReplacer(disk.Dir, "/data")
	return trouble{name: "the server's disk is full", kind: warehouse.DiskFull, pg: pg, hide: hide, mend: func(string) { disk.Free() }, try: func() error {
		_, err := db.Load(context.Background(), batch(1, 20_000))
		if err != nil {
			e := *asError(t, err)
			e.Err = filePath.replace(path.Replace(e.Err.Error()))
			return &e
		}
		return nil
	}}
}

func uniqueIndex(t *testing.T) trouble {
	return refusing(t, "an index of the user's refuses rows", "CREATE UNIQUE INDEX only_one ON production.clicks (s)")
}

func notNull(t *testing.T) trouble {
	return refusing(t, "a column of the user's must not be NULL", "ALTER TABLE production.clicks ADD COLUMN mine integer NOT NULL DEFAULT 1", "ALTER TABLE production.clicks ALTER COLUMN mine DROP DEFAULT")
}

func checked(t *testing.T) trouble {
	return refusing(t, "a constraint of the user's refuses rows", "ALTER TABLE production.clicks ADD CONSTRAINT short CHECK (id = 'id-0')")
}

// refusing is a table that takes no more rows after the statements.
func refusing(t *testing.T, name string, statements ...string) trouble {
	t.Helper()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	if _, err := db.Load(t.Context(), batch(0, 1)); err != nil {
		t.Fatal(err)
	}
	pg.Exec(database, statements...)
	return trouble{name: name, kind: warehouse.Unexpected, pg: pg, database: database, try: func() error {
		_, err := db.Load(context.Background(), batch(1, 1))
		return err
	}}
}

func viewInPlace(t *testing.T) trouble {
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	if err := db.Prepare(t.Context(), "production", "production", nil); err != nil {
		t.Fatal(err)
	}
	pg.Exec(database, "CREATE VIEW production.clicks AS SELECT 1 AS id")
	return trouble{name: "there is a view where a table is needed", kind: warehouse.BadName, pg: pg, database: database, try: func() error {
		_, err := db.Load(context.Background(), batch(0, 1))
		return err
	}}
}

// paths hides names of files, which differ from run to run.
type paths struct{ *regexp.Regexp }

var filePath = paths{regexp.MustCompile(`"[^"]*\d+/\d+[^"]*"`)}

func (p paths) replace(text string) error { return errors.New(p.ReplaceAllString(text, `"FILE"`)) }
