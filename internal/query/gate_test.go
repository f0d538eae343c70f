package query_test

import (
	"testing"

	"firth/internal/query"
)

// friendly are statements that analysts write; all must pass.
var friendly = []string{
	"SELECT 1",
	"select 1;",
	" ; select 1 ; -- done",
	"/* a /* nested */ comment */ SELECT 1 -- and one at the end",
	"(SELECT 1)",
	"VALUES (1, 'a'), (2, 'b')",
	"FROM production.tracks",
	"FROM production.tracks SELECT event, count(*) GROUP BY ALL ORDER BY 2 DESC, 1",
	"TABLE app.companies",
	`SELECT t."event" FROM "production"."tracks" AS t`,
	"SELECT * FROM warehouse.production.tracks",
	"SELECT * FROM PRODUCTION.Tracks",
	"SELECT * FROM lake.production p JOIN production.tracks t ON t.id = p.message_id",
	"SELECT * FROM lake.main.production",
	"SELECT * FROM firth.runs",
	"WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a, b",
	"WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n",
	"WITH a AS MATERIALIZED (SELECT 1) SELECT * FROM (WITH b AS (SELECT * FROM a) SELECT * FROM b) q UNION ALL SELECT * FROM a",
	"WITH a AS (SELECT 1 AS x) SELECT (SELECT max(x) FROM a), * FROM a WHERE x IN (SELECT x FROM a) ORDER BY (SELECT 1 FROM a)",
	"SELECT * FROM range(3) t(i), LATERAL (SELECT i * 2 AS d) l",
	"SELECT * FROM generate_series(1, 3)",
	"SELECT unnest([1, 2, 3]) AS x",
	"SELECT * FROM unnest([1, 2]) WITH ORDINALITY",
	"SELECT key, value FROM json_each('{\"a\": 1}')",
	"SELECT '{\"a\": {\"b\": 2}}'::JSON -> '$.a' ->> 'b', json_extract_string('{}', '$.x')",
	"SELECT event, count(*) FILTER (WHERE n > 5) AS c, avg(n) OVER (PARTITION BY event ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM production.tracks GROUP BY event, n QUALIFY row_number() OVER (ORDER BY n) < 3",
	"SELECT event, quantile_cont(n, 0.5), approx_count_distinct(id), mode(event), list(n ORDER BY n)[1:2], string_agg(DISTINCT event, ',') FROM production.tracks GROUP BY ROLLUP (event)",
	"SELECT grouping(event), count(*) FROM production.tracks GROUP BY CUBE (event)",
	"SELECT date_trunc('day', received_at), received_at AT TIME ZONE 'Europe/Zurich', extract(hour FROM received_at), received_at + INTERVAL 1 DAY, strftime(received_at, '%Y') FROM production.tracks LIMIT 1",
	"SELECT now() - INTERVAL '7 days', current_date, current_timestamp, today(), age(TIMESTAMP '2020-01-01')",
	"SELECT CASE WHEN n IS NULL THEN 'x' WHEN n BETWEEN 1 AND 2 THEN 'y' ELSE 'z' END, coalesce(n, 0), nullif(n, 1), n::VARCHAR, TRY_CAST(event AS INTEGER), ifnull(n, 2), if(n > 1, 1, 2) FROM production.tracks LIMIT 1",
	"SELECT * EXCLUDE (id) REPLACE (upper(event) AS event) FROM production.tracks LIMIT 1",
	"SELECT COLUMNS('a|n') FROM production.tracks LIMIT 1",
	"SELECT min(COLUMNS(*)) FROM production.tracks",
	"SELECT event.upper().lower() FROM production.tracks LIMIT 1",
	"SELECT t.event.upper() FROM production.tracks t LIMIT 1",
	"SELECT [x * 2 FOR x IN [1, 2, 3] IF x > 1], list_transform([1, 2], lambda x: x + 1), list_filter([1, 2], lambda x: x > 1), list_reduce([1, 2], lambda x, y: x + y)",
	"SELECT {'a': 1, 'b': [1, 2]}, MAP {'k': 1}, [1, 2][1], 'abc'[2:3], struct_pack(x := 1).x, row(1, 2), (1, 2)",
	"SELECT 'a' LIKE 'A', 'a' ILIKE 'A', 'a' SIMILAR TO 'a+', 'a' GLOB 'a*', regexp_matches('a', 'b'), 'a' ~ 'a', NOT 'a' LIKE 'b' ESCAPE '$', 'a' COLLATE NOCASE = 'A'",
	"SELECT 5 // 2, 5 % 2, 2 ** 3, 5 ^ 2, 1 << 2, 7 & 3, 1 | 2, ~1, xor(1, 2), -n, abs(n), round(1.5, 0), n!  FROM (SELECT 3 AS n)",
	"SELECT EXISTS (SELECT 1 FROM app.companies), 1 = ANY (SELECT id FROM app.companies), 1 > ALL (SELECT 0)",
	"SELECT * FROM production.tracks t ASOF JOIN app.companies c ON t.n >= c.id LIMIT 1",
	"SELECT * FROM app.companies a POSITIONAL JOIN app.companies b",
	"SELECT * FROM app.companies SEMI JOIN (SELECT 1 AS id) USING (id)",
	"SELECT count(*) FROM production.tracks TABLESAMPLE 10 PERCENT (bernoulli, 42)",
	"SELECT * FROM production.tracks USING SAMPLE 3 ROWS",
	"SELECT DISTINCT ON (event) event, n FROM production.tracks ORDER BY event, n LIMIT 10% OFFSET 0",
	"SELECT 1 UNION SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT 3",
	"SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS b",
	"PIVOT production.tracks ON event IN ('order_completed', 'signed_up') USING count(*) GROUP BY n ORDER BY n LIMIT 1",
	"SELECT * FROM (PIVOT production.tracks ON event IN ('signed_up') USING sum(n))",
	"SELECT * FROM production.tracks PIVOT (count(*) FOR event IN ('signed_up')) LIMIT 1",
	"UNPIVOT (SELECT id::VARCHAR AS id, plan FROM app.companies) ON id, plan",
	"UNPIVOT (SELECT 1 AS a, 2 AS b) ON COLUMNS(*) INTO NAME k VALUE v",
	"DESCRIBE production.tracks",
	"DESCRIBE SELECT 1 AS x",
	"DESC production.tracks",
	"SHOW production.tracks",
	"SHOW TABLES",
	"SHOW ALL TABLES",
	"SHOW TABLES FROM production",
	"SUMMARIZE production.tracks",
	"SUMMARIZE SELECT n FROM production.tracks",
	"SELECT * FROM (DESCRIBE production.tracks)",
	"EXPLAIN SELECT * FROM production.tracks",
	"EXPLAIN ANALYZE SELECT count(*) FROM production.tracks",
	"explain (format json) select 1",
	"EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1",
	"EXPLAIN (SELECT 1)",
	"/* plan */ EXPLAIN -- of\n WITH a AS (SELECT 1) FROM a",
	"SELECT table_name FROM information_schema.tables WHERE table_schema = 'production'",
	"SELECT relname FROM pg_catalog.pg_class",
	"SELECT relname FROM pg_class",
	"SELECT count(*) FROM duckdb_tables()",
	"SELECT count(*) FROM duckdb_columns",
	"SELECT current_schema(), current_database(), version(), typeof(1), current_user",
	"SELECT 'read_csv(''x'')', \"event\" FROM production.tracks WHERE event = 'COPY x TO ''y''' LIMIT 1",
	"SELECT $$text with ; and 'quotes'$$, E'\\n', 'a;b'",
	"SELECT 1 AS \"select; drop table x\"",
	"SELECT 1\u00a0+ 1",
	"SELECT md5('x'), sha256('x'), hash(1), uuid() IS NOT NULL, random() < 2, bin(5), to_base64('x'::BLOB), url_encode('a b')",
	"SELECT time_bucket(INTERVAL 1 HOUR, received_at), date_diff('day', received_at, now()), epoch_ms(received_at), to_timestamp(0), make_date(2020, 1, 1) FROM production.tracks LIMIT 1",
	"SELECT arg_max(event, n), first(event ORDER BY n), any_value(event), bool_and(n >= 0), histogram(n % 2), corr(n, n), stddev(n), max(n, 2) FROM production.tracks",
}

func TestFriendlyStatementsPass(t *testing.T) {
	e := newEngine(t, query.Options{})
	for _, text := range friendly {
		if _, err := run(e, everyone, text); err != nil {
			t.Errorf("%s\n\t%v", text, err)
		}
	}
}
