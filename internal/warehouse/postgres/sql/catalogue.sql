-- The columns that really exist in the tables of a source ($1), with what the bookkeeping knows of them. Generated columns are left
-- out: nothing can be written there.
SELECT t.table_name, a.attname::text, a.atttypid::bigint, coalesce(c.path, '')
FROM _firth.tables t
JOIN pg_namespace n ON n.nspname = t.schema_name
JOIN pg_class r ON r.relnamespace = n.oid AND r.relname = t.table_name AND r.relkind IN ('r', 'p')
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
LEFT JOIN _firth.columns c
    ON c.source = t.source AND c.schema_name = t.schema_name AND c.table_name = t.table_name AND c.column_name = a.attname
WHERE t.source = $1 AND t.table_name <> 'firth_discards'
ORDER BY t.table_name, a.attnum
