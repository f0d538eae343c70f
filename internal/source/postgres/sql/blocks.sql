-- The blocks of the largest heap among a table and what hangs below it; NULL where one of them is none, and so has no blocks.
WITH RECURSIVE below AS (
  SELECT $1::pg_catalog.int8::pg_catalog.oid AS oid
  UNION
  SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN below b ON b.oid = i.inhparent
)
SELECT CASE WHEN pg_catalog.bool_and(c.relkind = 'p' OR c.relkind IN ('r', 'm') AND am.amname = 'heap')
       THEN pg_catalog.max(CASE WHEN c.relkind = 'p' THEN 0 ELSE pg_catalog.pg_relation_size(c.oid) END)
            / pg_catalog.current_setting('block_size')::pg_catalog.int8 END
FROM below b
JOIN pg_catalog.pg_class c ON c.oid = b.oid
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
