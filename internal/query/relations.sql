SELECT current_database(), database_name, schema_name, table_name FROM duckdb_tables()
UNION ALL
SELECT current_database(), database_name, schema_name, view_name FROM duckdb_views()
