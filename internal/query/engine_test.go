package query_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/duckdb/duckdb-go/v2"

	"firth/internal/query"
	"firth/internal/warehouse/duckdb/stream"
)

// everyone is a user without bounds, reader one who sees the schema production alone.
var (
	everyone = query.User{Name: "root"}
	reader   = query.User{Name: "ana", Schemas: []string{"production"}}
)

// open returns a database as the child process has it: sources' schemas, the catalogues lake and firth,
// the loader's own schema, and the same locks.
func open(t testing.TB) (*sql.DB, string) {
	t.Helper()
	dir := t.TempDir()
	connector, err := duckdb.NewConnector(filepath.Join(dir, "warehouse.duckdb")+"?threads=2&memory_limit=128MB", nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	lake := filepath.Join(dir, "lake")
	if err := os.Mkdir(lake, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"SET TimeZone='UTC'",
		"CREATE SCHEMA production; CREATE SCHEMA app; CREATE SCHEMA _firth",
		"CREATE TABLE production.tracks (id VARCHAR, event VARCHAR, received_at TIMESTAMPTZ, amount DECIMAL(18,2), n BIGINT)",
		"INSERT INTO production.tracks SELECT 'm' || i, CASE WHEN i % 2 = 0 THEN 'order_completed' ELSE 'signed_up' END, TIMESTAMPTZ '2026-11-01 00:00:00+00' + to_minutes(i), i / 4, i FROM range(1000) t(i)",
		"CREATE TABLE app.companies (id INTEGER, plan VARCHAR)",
		"INSERT INTO app.companies VALUES (1, 'paid'), (2, 'free')",
		"CREATE TABLE _firth.positions (log VARCHAR, offset_ BIGINT)",
		"CREATE TABLE app.secrets_of_app (x VARCHAR)",
		"CREATE MACRO app.double_it(x) AS x * 2",
		"CREATE SEQUENCE app.seq",
		"ATTACH ':memory:' AS lake; ATTACH ':memory:' AS firth",
		"COPY (SELECT 'm1' AS message_id, 'track' AS type) TO '" + dir + "/lake_one.parquet'",
		"CREATE VIEW lake.production AS SELECT * FROM read_parquet(['" + dir + "/lake_one.parquet'])",
		"CREATE VIEW lake.app AS SELECT 1 AS message_id",
		"CREATE VIEW firth.runs AS SELECT 1 AS id, 'load' AS kind",
		"CREATE VIEW firth.dead_letters AS SELECT 'x' AS payload",
		"SET allowed_directories=['" + dir + "']; SET enable_external_access=false; SET lock_configuration=true",
	} {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return db, lake
}

// database is the warehouse as the engine sees it.
type database struct{ db *sql.DB }

func (d database) SQL() *sql.DB { return d.db }

func (d database) Stream(ctx context.Context, conn *sql.Conn, text string, params []any) (query.Rows, error) {
	return stream.Stream(ctx, conn, text, params)
}

func newEngine(t testing.TB, o query.Options) *query.Engine {
	t.Helper()
	db, _ := open(t)
	return query.New(database{db}, o)
}

// run returns the result of a query as JSON.
func run(e *query.Engine, user query.User, text string, params ...any) (string, error) {
	res, err := e.Query(context.Background(), user, query.Request{SQL: text, Params: params})
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = query.WriteJSON(&b, res)
	return b.String(), errors.Join(err, res.Close())
}
