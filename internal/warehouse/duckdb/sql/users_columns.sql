-- The columns of a table that the bookkeeping does not know, with type and default. $1 is the source, $2 the schema, $3 the database,
-- $4 the table.
SELECT c.column_name, c.data_type, coalesce(c.column_default, '')
FROM duckdb_columns() AS c
LEFT JOIN _firth.columns AS k
    ON k.source = $1 AND k.schema_name = $2 AND k.table_name = $4 AND lower(k.column_name) = lower(c.column_name)
WHERE c.database_name = $3 AND lower(c.schema_name) = lower($2) AND lower(c.table_name) = lower($4) AND k.column_name IS NULL
ORDER BY c.column_index
