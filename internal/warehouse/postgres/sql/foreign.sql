-- Tables of schema $2 that look like those of an event collector and that source $1 does not know.
SELECT r.relname::text
FROM pg_class r
JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE n.nspname = $2 AND r.relkind IN ('r', 'p')
    AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = r.oid AND NOT a.attisdropped AND a.attname IN ('id', 'received_at')) = 2
    AND NOT EXISTS (SELECT FROM _firth.tables t WHERE t.source = $1 AND t.schema_name = $2 AND t.table_name = r.relname)
    AND r.relname <> 'firth_discards'
ORDER BY r.relname
