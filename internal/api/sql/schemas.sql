WITH relations AS (
    SELECT database_name, schema_name, table_name FROM duckdb_tables() WHERE NOT internal
    UNION ALL
    SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE NOT internal
), named AS (
    SELECT CASE WHEN database_name = current_database() THEN schema_name ELSE database_name END AS name, table_name
    FROM relations
    WHERE database_name IN (current_database(), 'lake', 'firth') AND NOT starts_with(schema_name, '_firth') AND NOT starts_with(table_name, '_firth_')
)
SELECT name, count(*) AS tables
FROM named
WHERE $1::VARCHAR IS NULL
   OR list_contains(from_json($1, '["VARCHAR"]'), regexp_replace(lower(CASE WHEN name = 'lake' THEN table_name ELSE name END), '[^a-z0-9\x{80}-\x{10FFFF}]', '_', 'g'))
GROUP BY name
ORDER BY name
