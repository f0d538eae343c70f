-- The columns of a source that the bookkeeping knows and the schema has not, because somebody dropped them; whole says that the
-- table is gone. $1 is the source, $2 the schema, $3 the database.
SELECT k.table_name, k.column_name, t.table_name IS NULL
FROM _firth.columns AS k
LEFT JOIN (SELECT DISTINCT lower(table_name) AS table_name FROM duckdb_tables() WHERE database_name = $3 AND lower(schema_name) = lower($2)) AS t
    ON t.table_name = lower(k.table_name)
LEFT JOIN duckdb_columns() AS c
    ON c.database_name = $3 AND lower(c.schema_name) = lower($2) AND lower(c.table_name) = lower(k.table_name) AND lower(c.column_name) = lower(k.column_name)
WHERE k.source = $1 AND k.schema_name = $2 AND (t.table_name IS NULL OR c.column_name IS NULL)
ORDER BY k.table_name, k.ordinal
