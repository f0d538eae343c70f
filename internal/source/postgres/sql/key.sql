-- The columns of the primary key, in its order.
SELECT a.attname::pg_catalog.text
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1::pg_catalog.int8::pg_catalog.oid AND i.indisprimary AND k.place <= i.indnkeyatts
ORDER BY k.place
