-- The columns of the tables that loads and rebuilds have made for a source and that are there. $1 is the source, $2 the database.
SELECT d.schema_name, d.table_name, c.column_name, c.data_type
FROM (SELECT DISTINCT lower(schema_name) AS schema_name, lower(table_name) AS table_name FROM _firth.columns WHERE source = $1 OR starts_with(source, $1 || '#')) AS t
JOIN duckdb_tables() AS d ON d.database_name = $2 AND lower(d.schema_name) = t.schema_name AND lower(d.table_name) = t.table_name
JOIN duckdb_columns() AS c ON c.table_oid = d.table_oid AND c.database_name = d.database_name AND c.schema_name = d.schema_name
ORDER BY d.schema_name, d.table_name, c.column_index
