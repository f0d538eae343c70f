-- The relations of schema $1 that have one of the names $2: kind, owner, access method, the key over the id alone where there is one.
SELECT r.oid::bigint, r.relname::text, r.relkind::text, pg_get_userbyid(r.relowner)::text, pg_has_role(r.relowner, 'USAGE'),
    (SELECT rolsuper FROM pg_roles o WHERE o.oid = r.relowner), coalesce(m.amname::text, ''),
    EXISTS (
        SELECT FROM pg_index i
        JOIN pg_attribute k ON k.attrelid = r.oid AND k.attnum = i.indkey[0]
        WHERE i.indrelid = r.oid AND i.indisunique AND i.indnkeyatts = 1 AND k.attname = 'id'
    ), r.relnatts::integer
FROM pg_class r
JOIN pg_namespace n ON n.oid = r.relnamespace
LEFT JOIN pg_am m ON m.oid = r.relam
WHERE n.nspname = $1 AND r.relname = ANY ($2) AND r.relkind NOT IN ('i', 'I', 't')
