SELECT pg_catalog.format_type(o::pg_catalog.oid, m)
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int8[]), pg_catalog.unnest($2::pg_catalog.int4[])) WITH ORDINALITY AS t (o, m, n)
ORDER BY n
