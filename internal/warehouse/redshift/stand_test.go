package redshift

import (
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // readers of the tests

	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/object"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/warehousetest"
	"firth/test/server"
)

// A DB is all that loaders may ask for.
var _ interface {
	load.Warehouse
	load.Preparer
	load.Replayer
	load.Rebuilder
	load.Forgetter
	load.Closer
	load.Tender
} = (*DB)(nil)

// stand is a real PostgreSQL in the place of Redshift. Of what is said to it, three things are not said as they are: the keys at the end
// of CREATE TABLE are left out, version() is answered, and COPY FROM 's3://...' is carried out here, by reading the manifest and its
// parts back from the store and copying them into the same staging table. Statements that Redshift would refuse are refused.
type stand struct {
	pgWire
	place *place
}

// place is a database and a store that tests open warehouses on.
type place struct {
	t      testing.TB
	pg     *server.PG
	store  *server.Store
	url    string
	sqlDB  *sql.DB
	mu     *sync.Mutex
	before func(statement string) error // nil: nothing happens
	spoken []string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	store := server.S3(t)
	pg := server.Postgres(t, "15", "fsync = off", "max_locks_per_transaction = 256")
	connection, _ := pg.Loader()
	return placeOn(t, pg, store, connection)
}

func placeOn(t *testing.T, pg *server.PG, store *server.Store, connection string) *place {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", store.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", store.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	db, err := sql.Open("pgx", connection+"&default_query_exec_mode=describe_exec") // tables change below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // readers only
	return &place{t: t, pg: pg, store: store, url: connection, sqlDB: db, mu: &sync.Mutex{}}
}

// hook lets fn see each statement before it is said, and fail it.
func (p *place) hook(fn func(statement string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = fn
}

func (p *place) prepared(o Options) *DB {
	p.t.Helper()
	if o.Staging == "" {
		o.Staging = p.store.URL("stage")
	}
	if o.Name == "" {
		o.Name = "shift"
	}
	d, err := prepare(context.Background(), p.url, o)
	if err != nil {
		p.t.Fatal(err)
	}
	inner := d.dial
	d.dial = func(ctx context.Context) (wire, error) {
		w, err := inner(ctx)
		if err != nil {
			return nil, err
		}
		return &stand{w.(pgWire), p}, nil
	}
	p.t.Cleanup(func() { _ = d.Close() })
	return d
}

func (p *place) open(o Options) *DB {
	p.t.Helper()
	d, err := p.prepared(o).open(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *place) query(statement string) string {
	p.t.Helper()
	var out string
	if err := p.sqlDB.QueryRowContext(context.Background(), statement).Scan(&out); err != nil {
		p.t.Fatalf("%s: %v", statement, err)
	}
	return out
}

func (p *place) do(statements ...string) {
	p.t.Helper()
	for _, s := range statements {
		if _, err := p.sqlDB.ExecContext(context.Background(), s); err != nil {
			p.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (p *place) noParts() {
	p.t.Helper()
	if keys := p.store.Objects(); len(keys) > 0 {
		p.t.Errorf("%d parts are left: %q", len(keys), keys)
	}
}

var (
	copyForm = regexp.MustCompile(`(?s)^COPY (\S+) \(([^)]*)\) FROM '(s3://[^']+)' (ACCESS_KEY_ID '[^']*' SECRET_ACCESS_KEY '[^']*'|IAM_ROLE '[^']*') REGION '[^']*' MANIFEST GZIP CSV NULL AS '([^']*)' COMPUPDATE OFF STATUPDATE OFF$`)
	keysForm = regexp.MustCompile(`( DISTKEY\((c0|"id")\))?( SORTKEY\("received_at"\))?$`)
)

func (s *stand) Exec(ctx context.Context, statement string) (*reply, error) {
	s.place.mu.Lock()
	before := s.place.before
	s.place.spoken = append(s.place.spoken, statement)
	s.place.mu.Unlock()
	if before != nil {
		if err := before(statement); err != nil {
			return nil, err
		}
	}
	switch {
	case statement == "SELECT version()":
		return &reply{rows: [][]sql.NullString{{{String: "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.58814", Valid: true}}}}, nil
	case strings.HasPrefix(statement, "COPY "):
		return &reply{}, s.copy(ctx, statement)
	case strings.Contains(statement, "ALTER COLUMN") && s.conn.TxStatus() != 'I':
		return nil, &pgconn.PgError{Severity: "ERROR", Code: "25001", Message: "ALTER TABLE ALTER COLUMN cannot run inside a transaction block"}
	case strings.Contains(statement, "ALTER COLUMN") && !strings.Contains(statement, " TYPE varchar("), strings.Count(statement, "ADD COLUMN") > 1,
		strings.Contains(statement, "ON CONFLICT"), strings.Contains(statement, "COLUMN IF NOT EXISTS"), strings.Contains(statement, "TRUNCATE"):
		return nil, &pgconn.PgError{Severity: "ERROR", Code: "42601", Message: "Redshift does not know this"}
	case strings.HasPrefix(statement, "VACUUM DELETE ONLY "):
		if s.conn.TxStatus() != 'I' {
			return nil, &pgconn.PgError{Severity: "ERROR", Code: "25001", Message: "VACUUM cannot run inside a transaction block"}
		}
		statement = "VACUUM " + strings.TrimSuffix(strings.TrimPrefix(statement, "VACUUM DELETE ONLY "), " TO 100 PERCENT")
	case strings.HasPrefix(statement, "CREATE "):
		statement = keysForm.ReplaceAllString(statement, "")
	}
	return s.pgWire.Exec(ctx, statement)
}

func (s *stand) copy(ctx context.Context, statement string) error {
	m := copyForm.FindStringSubmatch(statement)
	if m == nil {
		return fmt.Errorf("no COPY of the expected form: %s", statement)
	}
	store, err := object.Open(ctx, s.place.store.URL(""))
	if err != nil {
		return err
	}
	get := func(address string) (io.ReadCloser, error) {
		return store.Get(ctx, strings.TrimPrefix(address, store.String()))
	}
	r, err := get(m[3])
	if err != nil {
		return err
	}
	defer r.Close()
	var list struct {
		Entries []struct {
			URL       string
			Mandatory bool
		}
	}
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		return err
	}
	for _, e := range list.Entries {
		if !e.Mandatory {
			return fmt.Errorf("%s may be missing", e.URL)
		}
		part, err := get(e.URL)
		if err != nil {
			return err
		}
		lines, err := gzip.NewReader(part)
		if err != nil {
			return err
		}
		_, err = s.conn.CopyFrom(ctx, lines, fmt.Sprintf("COPY %s (%s) FROM STDIN WITH (FORMAT csv, NULL '%s')", m[1], m[2], m[5]))
		if err := part.Close(); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// narrow are Redshift's naming rules for the 63 bytes of a PostgreSQL name.
func narrow() name.Rules {
	r := name.Redshift()
	r.MaxBytes = 63
	return r
}

func TestConformance(t *testing.T) {
	warehousetest.Run(t, func(t *testing.T) *warehousetest.Target { return newPlace(t).target(Options{}) })
}

func (p *place) target(o Options) *warehousetest.Target { return p.on(p.open(o), o) }

// unfit is what Redshift cannot hold.
func unfit(v table.Value) string {
	switch f := v.Float64(); {
	case v.Type == table.String && strings.Contains(v.Text, "\x00"):
		return warehouse.ReasonNUL
	case v.Type == table.String && len(v.Text) > longest:
		return warehouse.ReasonTooLong
	case v.Type == table.Float && (math.IsNaN(f) || math.IsInf(f, 0) || f != 0 && math.Abs(f) < smallest):
		return warehouse.ReasonRange
	}
	return ""
}

func (p *place) on(d *DB, o Options) *warehousetest.Target {
	return &warehousetest.Target{
		Warehouse: d, Rules: narrow(), DB: p.sqlDB, Quote: quote, Unfit: unfit,
		User: func(t *testing.T, statements ...string) *warehousetest.Target {
			p.do(statements...)
			return p.on(d, o)
		},
		Lacks:   map[string]string{warehousetest.LacksIndexes: "Redshift has none"},
		Segment: map[string]string{"id": "varchar(512)", "received_at": "timestamp", "uuid_ts": "timestamp", "loaded_at": "timestamp", "s": "varchar(512)"},
		Reopen: func(t *testing.T) *warehousetest.Target {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			p.noParts()
			return p.target(o)
		},
	}
}
