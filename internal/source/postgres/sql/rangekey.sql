-- Columns that are unique by themselves and ordered, the primary key first.
SELECT a.attname::pg_catalog.text, a.atttypid::pg_catalog.int8,
       COALESCE((SELECT s.histogram_bounds::pg_catalog.text::pg_catalog.text[] FROM pg_catalog.pg_stats s
                 WHERE s.schemaname = $2::pg_catalog.text AND s.tablename = $3::pg_catalog.text AND s.attname = a.attname
                 ORDER BY s.inherited DESC LIMIT 1), '{}')
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = $1::pg_catalog.int8::pg_catalog.oid AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1
  AND i.indpred IS NULL AND a.attnotnull AND a.atttypid IN (20, 21, 23, 1082, 1114, 1184, 2950)
ORDER BY i.indisprimary DESC, a.attnum
LIMIT 1
