-- The tables that loads and rebuilds have made or taken over for source $1 and that are there.
SELECT t.source, t.schema_name, t.table_name, r.oid::bigint
FROM _firth.tables t
JOIN pg_namespace n ON n.nspname = t.schema_name
JOIN pg_class r ON r.relnamespace = n.oid AND r.relname = t.table_name AND r.relkind IN ('r', 'p')
WHERE t.source = $1 OR left(t.source, length($1) + 1) = $1 || '#'
ORDER BY t.source, t.schema_name, t.table_name
