-- The statements that give the table $2, a text, what people made on the table $1: grants and comments.
SELECT statement FROM (
    SELECT 1 AS part, format('GRANT %s ON %s TO %s%s', g.privilege_type, $2::text,
        CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
    FROM pg_class r, aclexplode(r.relacl) g WHERE r.oid = $1::oid AND g.grantee <> r.relowner
    UNION ALL
    SELECT 2, format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, a.attname, $2::text,
        CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_attribute a, aclexplode(a.attacl) g WHERE a.attrelid = $1::oid AND a.attname = ANY ($3::text[])
    UNION ALL
    SELECT 3, format('COMMENT ON TABLE %s IS %L', $2::text, c.description)
    FROM pg_description c WHERE c.objoid = $1::oid AND c.objsubid = 0 AND c.classoid = 'pg_class'::regclass
    UNION ALL
    SELECT 4, format('COMMENT ON COLUMN %s.%I IS %L', $2::text, a.attname, c.description)
    FROM pg_attribute a JOIN pg_description c ON c.objoid = a.attrelid AND c.objsubid = a.attnum AND c.classoid = 'pg_class'::regclass
    WHERE a.attrelid = $1::oid AND a.attnum > 0 AND a.attname = ANY ($3::text[])
) AS parts
ORDER BY part, statement
