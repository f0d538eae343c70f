SELECT lower(table_name), lower(column_name), data_type
FROM duckdb_columns()
WHERE database_name = $1 AND lower(schema_name) = lower($2)
ORDER BY table_name, column_index
