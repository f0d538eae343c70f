-- $2: a schema; NULL for all.
WITH relations AS (
    SELECT database_name, schema_name, table_name, 'table' AS kind, estimated_size AS rows FROM duckdb_tables() WHERE NOT internal
    UNION ALL
    SELECT database_name, schema_name, view_name, 'view', NULL FROM duckdb_views() WHERE NOT internal
), named AS (
    SELECT *, CASE WHEN database_name = current_database() THEN schema_name ELSE database_name END AS schema
    FROM relations
    WHERE database_name IN (current_database(), 'lake', 'firth') AND NOT starts_with(schema_name, '_firth') AND NOT starts_with(table_name, '_firth_')
), fields AS (
    SELECT database_name, schema_name, table_name,
           list({'name': column_name, 'type': data_type} ORDER BY column_index) AS columns
    FROM duckdb_columns()
    WHERE NOT internal
    GROUP BY ALL
), events AS (
    SELECT table_name, sum(rows)::BIGINT AS rows FROM firth.files GROUP BY table_name
)
SELECT n.schema, n.table_name AS name, n.kind, coalesce(n.rows, CASE WHEN n.schema = 'lake' THEN e.rows END) AS rows, f.columns
FROM named n
LEFT JOIN fields f USING (database_name, schema_name, table_name)
LEFT JOIN events e ON e.table_name = n.table_name
WHERE ($2::VARCHAR IS NULL OR n.schema = $2)
  AND ($1::VARCHAR IS NULL
       OR list_contains(from_json($1, '["VARCHAR"]'), regexp_replace(lower(CASE WHEN n.schema = 'lake' THEN n.table_name ELSE n.schema END), '[^a-z0-9\x{80}-\x{10FFFF}]', '_', 'g')))
ORDER BY n.schema, n.table_name
