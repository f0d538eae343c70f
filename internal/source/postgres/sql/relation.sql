-- $1 names that the table may have, $2 those of its schema (NULL: the search path decides), $3 and $4 those that are preferred.
SELECT c.oid::pg_catalog.int8, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind::pg_catalog.text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND c.relname = ANY ($1::pg_catalog.text[])
  AND CASE WHEN $2::pg_catalog.text[] IS NULL THEN n.nspname = ANY (pg_catalog.current_schemas(true)) ELSE n.nspname = ANY ($2::pg_catalog.text[]) END
ORDER BY c.relname = $3::pg_catalog.text DESC, n.nspname = $4::pg_catalog.text DESC, pg_catalog.array_position(pg_catalog.current_schemas(true), n.nspname)
LIMIT 1
