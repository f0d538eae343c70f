SELECT lower(c.table_name), lower(c.column_name), c.data_type
FROM duckdb_columns() AS c
JOIN duckdb_tables() AS t ON t.table_oid = c.table_oid AND t.database_name = c.database_name AND t.schema_name = c.schema_name
WHERE c.database_name = $1 AND lower(c.schema_name) = lower($2)
ORDER BY c.table_name, c.column_index
