-- What the bookkeeping knows of the tables $3 of source $1 in schema $2.
SELECT t.table_name, t.adopted, t.adopted_through, coalesce(c.column_name, ''), coalesce(c.type, '')
FROM _firth.tables t
LEFT JOIN _firth.columns c ON c.source = t.source AND c.schema_name = t.schema_name AND c.table_name = t.table_name
WHERE t.source = $1 AND t.schema_name = $2 AND t.table_name = ANY ($3)
ORDER BY t.table_name, c.ordinal
