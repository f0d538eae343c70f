SELECT a.attname::pg_catalog.text, a.atttypid::pg_catalog.int8, a.atttypmod, a.attndims::pg_catalog.int4,
       pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = $1::pg_catalog.int8::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
