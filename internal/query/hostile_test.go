package query_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firth/internal/query"
)

// hostile are statements that must be refused, by the code that is expected. DIR is a folder that the
// engine itself may read, with the files canary.csv, canary.parquet, canary.json, canary.txt and canary.db.
func hostile() map[query.Code][]string {
	return map[query.Code][]string{
		query.CodeNotReadOnly: {
			"INSERT INTO app.companies VALUES (3, 'x')",
			"UPDATE app.companies SET plan = 'x'",
			"DELETE FROM app.companies",
			"TRUNCATE app.companies",
			"DROP TABLE app.companies",
			"CREATE TABLE app.t AS SELECT 1",
			"CREATE TEMP TABLE t AS SELECT 1",
			"CREATE VIEW app.v AS SELECT 1",
			"CREATE OR REPLACE MACRO abs(x) AS getenv(x)",
			"CREATE TEMP MACRO f() AS TABLE SELECT * FROM read_csv('DIR/canary.csv')",
			"CREATE TYPE app.mood AS ENUM ('a')",
			"CREATE SECRET s (TYPE s3)",
			"ALTER TABLE app.companies ADD COLUMN x INTEGER",
			"COMMENT ON TABLE app.companies IS 'x'",
			"MERGE INTO app.companies USING (SELECT 1 AS id) s USING (id) WHEN MATCHED THEN DELETE",
			"COPY app.companies TO 'DIR/out.csv'",
			"COPY (SELECT 1) TO 'DIR/out.parquet'",
			"COPY app.companies FROM 'DIR/canary.csv'",
			"COPY FROM DATABASE warehouse TO lake",
			"EXPORT DATABASE 'DIR/out'",
			"IMPORT DATABASE 'DIR/out'",
			"ATTACH 'DIR/canary.db' AS other",
			"ATTACH ':memory:' AS other",
			"DETACH lake",
			"USE lake",
			"INSTALL httpfs",
			"LOAD httpfs",
			"FORCE INSTALL httpfs FROM community",
			"UPDATE EXTENSIONS",
			"PRAGMA database_list",
			"PRAGMA table_info('app.companies')",
			"PRAGMA version",
			"PRAGMA memory_limit='1GB'",
			"PRAGMA enable_profiling",
			"PRAGMA json_execute_serialized_sql('x')",
			"PRAGMA import_database('DIR/out')",
			"SET memory_limit = '10GB'",
			"SET GLOBAL threads = 64",
			"SET search_path = '_firth'",
			"SET VARIABLE x = 1",
			"RESET memory_limit",
			"CALL duckdb_settings()",
			"CALL range(3)",
			"CALL checkpoint()",
			"CHECKPOINT",
			"FORCE CHECKPOINT",
			"VACUUM",
			"ANALYZE",
			"BEGIN",
			"COMMIT",
			"ROLLBACK",
			"PREPARE p AS SELECT 1",
			"EXECUTE p",
			"DEALLOCATE p",
			"EXPLAIN INSERT INTO app.companies VALUES (3, 'x')",
			"EXPLAIN ANALYZE DELETE FROM app.companies",
			"EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'DIR/out.csv'",
			"/* SELECT */ DROP TABLE app.companies",
			"-- SELECT\nDROP TABLE app.companies",
			"SELECT 1; DROP TABLE app.companies",
			"SELECT 1; SELECT 2",
			";;SELECT 1;;SELECT 2",
			"SELECT 1;\u00a0SET threads = 1",
			"SELECT 1 /*;*/; COPY (SELECT 1) TO 'DIR/out.csv' --",
			"COMMIT; SELECT 1",
			"EXPLAIN SELECT 1; DROP TABLE app.companies",
			"PIVOT production.tracks ON event USING count(*)",
			"PIVOT app.companies ON plan IN (SELECT a FROM 'DIR/canary.csv') USING count(*)",
		},
		query.CodeForbidden: {
			"SELECT * FROM 'DIR/canary.csv'",
			`SELECT * FROM "DIR/canary.csv"`,
			"FROM 'DIR/canary.parquet'",
			"FROM 'DIR/*.csv'",
			"FROM 'canary.csv'",
			"FROM 'http://127.0.0.1:1/x.csv'",
			"FROM 's3://bucket/x.parquet'",
			`TABLE "DIR/canary.csv"`,
			`SELECT * FROM "DIR/canary"."csv"`,
			`SELECT * FROM "DIR/canary"."a"."csv"`,
			"DESCRIBE 'DIR/canary.csv'",
			`DESCRIBE TABLE "DIR/canary.csv"`,
			"SHOW 'DIR/canary.csv'",
			"SUMMARIZE 'DIR/canary.csv'",
			`SUMMARIZE TABLE "DIR/canary.csv"`,
			"SELECT * FROM (DESCRIBE 'DIR/canary.csv')",
			"SELECT * FROM (SHOW 'DIR/canary.csv')",
			"EXPLAIN SELECT * FROM 'DIR/canary.csv'",
			"EXPLAIN ANALYZE FROM 'DIR/canary.csv'",
			"PIVOT 'DIR/canary.csv' ON a IN (1) USING count(*)",
			"UNPIVOT 'DIR/canary.csv' ON a",
			"WITH x AS (FROM 'DIR/canary.csv') FROM x",
			"WITH x AS (SELECT 1), y AS (SELECT * FROM x, 'DIR/canary.csv') FROM x",
			`WITH "DIR/canary.csv" AS (SELECT * FROM "DIR/canary.csv") FROM "DIR/canary.csv"`,
			"WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT a FROM 'DIR/canary.csv') FROM x",
			"SELECT (SELECT max(a) FROM 'DIR/canary.csv')",
			"SELECT 1 WHERE EXISTS (FROM 'DIR/canary.csv')",
			"SELECT 1 IN (FROM 'DIR/canary.csv')",
			"SELECT ARRAY(SELECT a FROM 'DIR/canary.csv')",
			"SELECT list_transform([1], lambda x: (SELECT max(a) FROM 'DIR/canary.csv'))",
			"SELECT 1 ORDER BY (SELECT max(a) FROM 'DIR/canary.csv')",
			"SELECT 1 LIMIT (SELECT 1 FROM 'DIR/canary.csv')",
			"SELECT 1 OFFSET (SELECT 0 FROM 'DIR/canary.csv')",
			"SELECT count(*) FILTER (WHERE EXISTS (FROM 'DIR/canary.csv'))",
			"SELECT sum(1) OVER (ORDER BY (SELECT max(a) FROM 'DIR/canary.csv'))",
			"SELECT 1 GROUP BY 1 HAVING EXISTS (FROM 'DIR/canary.csv')",
			"SELECT 1 QUALIFY EXISTS (FROM 'DIR/canary.csv')",
			"VALUES ((SELECT max(a) FROM 'DIR/canary.csv'))",
			"SELECT 1 UNION ALL SELECT a FROM 'DIR/canary.csv'",
			"SELECT * FROM app.companies, 'DIR/canary.csv'",
			"SELECT * FROM app.companies JOIN 'DIR/canary.csv' f ON f.a = id",
			"SELECT * FROM app.companies c JOIN app.companies d ON EXISTS (FROM 'DIR/canary.csv')",
			"SELECT * FROM app.companies, LATERAL (FROM 'DIR/canary.csv')",
			"SELECT * FROM range((SELECT max(a) FROM 'DIR/canary.csv'))",
			"SELECT * REPLACE ((SELECT max(a) FROM 'DIR/canary.csv') AS id) FROM app.companies",
			"SELECT CASE WHEN true THEN (SELECT max(a) FROM 'DIR/canary.csv') END",
			"SELECT {'x': (SELECT max(a) FROM 'DIR/canary.csv')}",
			"SELECT * FROM read_csv('DIR/canary.csv')",
			"SELECT * FROM READ_CSV('DIR/canary.csv')",
			`SELECT * FROM "read_csv"('DIR/canary.csv')`,
			"SELECT * FROM main.read_csv('DIR/canary.csv')",
			"SELECT * FROM system.main.read_csv_auto('DIR/canary.csv')",
			"SELECT * FROM app.read_csv('DIR/canary.csv')",
			"SELECT * FROM read_csv(['DIR/canary.csv'], header := true)",
			"SELECT * FROM read_parquet('DIR/canary.parquet')",
			"SELECT * FROM parquet_scan('DIR/canary.parquet')",
			"SELECT * FROM parquet_metadata('DIR/canary.parquet')",
			"SELECT * FROM read_json('DIR/canary.json')",
			"SELECT * FROM read_ndjson_objects('DIR/canary.json')",
			"SELECT * FROM read_text('DIR/canary.txt')",
			"SELECT * FROM read_blob('DIR/canary.txt')",
			"SELECT * FROM read_duckdb('DIR/canary.db')",
			"SELECT * FROM sniff_csv('DIR/canary.csv')",
			"SELECT * FROM glob('DIR/*')",
			"SELECT * FROM query('SELECT * FROM _firth.positions')",
			`FROM query('FROM "DIR/canary.csv"')`,
			"FROM query_table('_firth.positions')",
			"FROM query_table(['app.companies'])",
			"FROM seq_scan('companies')",
			"FROM json_execute_serialized_sql('x')",
			"FROM json_execute_serialized_sql(json_serialize_sql('FROM _firth.positions'))",
			"FROM arrow_scan(0, 0, 0)",
			"FROM duckdb_settings()",
			"FROM duckdb_secrets()",
			"FROM duckdb_databases()",
			"FROM duckdb_extensions()",
			"FROM duckdb_logs()",
			"FROM duckdb_temporary_files()",
			"FROM duckdb_variables()",
			"FROM duckdb_external_file_cache()",
			"FROM which_secret('s3://x', 's3')",
			"FROM pragma_database_list",
			"FROM pragma_table_info('_firth.positions')",
			"FROM pragma_storage_info('_firth.positions')",
			"FROM duckdb_databases",
			"FROM pg_settings",
			"FROM pg_catalog.pg_settings",
			"FROM system.pg_catalog.pg_settings",
			"FROM enable_logging()",
			"FROM checkpoint()",
			"FROM histogram('_firth.positions', log)",
			"FROM histogram_values('_firth.positions', log)",
			"FROM summary((FROM app.companies))",
			"SELECT getenv('HOME')",
			"SELECT GETENV('HOME')",
			"SELECT ('HOME').getenv()",
			"SELECT main.getenv('HOME')",
			"SELECT system.main.current_setting('memory_limit')",
			"SELECT current_setting('temp_directory')",
			"SELECT getvariable('x')",
			"SELECT nextval('app.seq')",
			"SELECT currval('app.seq')",
			"SELECT nextval('app.seq') OVER ()",
			"SELECT list_transform(['HOME'], lambda x: getenv(x))",
			"SELECT [getenv(x) FOR x IN ['HOME']]",
			"SELECT * FROM app.companies WHERE getenv('HOME') = plan",
			"SELECT sum(1) FILTER (WHERE current_setting('threads') > 1)",
			"SELECT * FROM range(current_setting('threads'))",
			"SELECT COLUMNS(lambda c: current_setting('threads') = c) FROM app.companies",
			"SELECT json_serialize_plan('FROM _firth.positions')",
			"SELECT pg_get_viewdef(1)",
			"SELECT pg_sleep(1), sleep_ms(1000)",
			"SELECT write_log('x')",
			"SELECT setseed(0.5)",
			"SELECT icu_sort_key('a', 'b')",
			"SELECT * FROM _firth.positions",
			`SELECT * FROM "_FIRTH".positions`,
			"SELECT * FROM warehouse._firth.positions",
			"SELECT * FROM (SELECT * FROM _firth.positions)",
			"DESCRIBE _firth.positions",
			"SUMMARIZE _firth.positions",
			"SHOW _firth.positions",
			"SHOW VARIABLES",
			"FROM (SHOW VARIABLES)",
			"WITH positions AS (SELECT 1) FROM _firth.positions",
		},
		query.CodeUnknownTable: {
			"FROM canary",
			"FROM production.nope",
			"FROM nope.tracks",
			"FROM other.production.tracks",
			"WITH x AS (SELECT 1) FROM main.x",
			"WITH x AS (FROM y), y AS (SELECT 1) FROM x",
			"WITH x AS (FROM x) FROM x",
			"SELECT * FROM (WITH inner_one AS (SELECT 1) FROM inner_one), inner_one",
			"WITH RECURSIVE x AS (SELECT * FROM x UNION ALL SELECT 1) FROM x",
			"FROM parquet",
			`FROM "csv"`,
			"FROM stdin",
			"DESCRIBE nope",
			"FROM production.trac\u212as", // the Kelvin sign is no k: the engine folds ASCII letters alone
		},
		query.CodeUnknownFunction: {
			"SELECT app.double_it(2)",
			"SELECT double_it(2)",
			"SELECT nope()",
			"SELECT __internal_decompress_string(1)",
			"FROM nope()",
			"FROM app.double_it(2)",
			"SELECT \"\u0280ead_csv\"('x')",
		},
		query.CodeSyntax: {
			";",
			"-- nothing",
			"SELEC 1",
			"(((DROP TABLE app.companies",
			"SELECT 1 \x00; DROP TABLE app.companies",
			"SELECT '\xff'",
			"SELECT 1 /* unclosed",
			"SELECT 'unclosed",
			"EXPLAIN EXPLAIN SELECT 1",
			"EXPLAIN",
			"WITH x AS (INSERT INTO app.companies VALUES (9, 'x') RETURNING id) FROM x",
			"SELECT * FROM (DELETE FROM app.companies RETURNING id)",
			"SELECT * INTO app.t FROM app.companies",
		},
	}
}

func TestHostileStatementsAreRefused(t *testing.T) {
	db, dir := open(t)
	for _, name := range []string{"canary.csv", "canary.json", "canary.txt", "canary.db", "canary.parquet"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("a\n42\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := db.QueryRow("SELECT a FROM read_csv('" + dir + "/canary.csv')").Scan(&n); err != nil || n != 42 {
		t.Fatalf("the engine itself cannot read the bait: %d, %v", n, err)
	}
	e := query.New(database{db}, query.Options{})
	total := 0
	for code, list := range hostile() {
		for _, text := range list {
			total++
			text = strings.ReplaceAll(text, "DIR", dir)
			out, err := run(e, everyone, text)
			if err == nil {
				t.Errorf("%s\n\twas answered: %s", text, out)
				continue
			}
			if got := query.AsError(err); got.Code != code {
				t.Errorf("%s\n\twas refused with %s, not %s: %v", text, got.Code, code, err)
			}
		}
	}
	t.Logf("%d hostile statements", total)
	unharmed(t, db, dir)
}

// unharmed checks that nothing was written anywhere.
func unharmed(t *testing.T, db *sql.DB, dir string) {
	t.Helper()
	var companies, databases int
	if err := db.QueryRow("SELECT (SELECT count(*) FROM app.companies), (SELECT count(*) FROM duckdb_databases() WHERE NOT internal)").Scan(&companies, &databases); err != nil {
		t.Fatal(err)
	}
	if companies != 2 || databases != 3 {
		t.Errorf("%d companies and %d databases are left of 2 and 3", companies, databases)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 5 {
		t.Errorf("the folder has %d files, 5 were put there", len(files))
	}
}
