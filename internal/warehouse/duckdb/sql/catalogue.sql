-- The columns that the tables of a source really have, with what the bookkeeping knows of them. $1 is the source, $2 the database.
SELECT t.table_name, c.column_name, c.data_type, coalesce(k.path, '')
FROM (SELECT DISTINCT schema_name, table_name FROM _firth.columns WHERE source = $1 AND table_name <> 'firth_discards') AS t
JOIN duckdb_columns() AS c
    ON c.database_name = $2 AND lower(c.schema_name) = lower(t.schema_name) AND lower(c.table_name) = lower(t.table_name)
JOIN duckdb_tables() AS d ON d.table_oid = c.table_oid AND d.database_name = c.database_name AND d.schema_name = c.schema_name
LEFT JOIN _firth.columns AS k
    ON k.source = $1 AND k.schema_name = t.schema_name AND k.table_name = t.table_name AND lower(k.column_name) = lower(c.column_name)
ORDER BY t.table_name, c.column_index
