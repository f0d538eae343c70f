-- The statements that give the view $1 again what stands beside its definition: indexes, triggers, grants, comments, defaults.
SELECT statement FROM (
    SELECT 1 AS part, pg_get_indexdef(i.indexrelid) AS statement
    FROM pg_index i WHERE i.indrelid = $1::oid
    UNION ALL
    SELECT 2, pg_get_triggerdef(t.oid)
    FROM pg_trigger t WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 3, format('GRANT %s ON %s TO %s%s', g.privilege_type, $1::oid::regclass,
        CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_class r, aclexplode(r.relacl) g WHERE r.oid = $1::oid AND g.grantee <> r.relowner
    UNION ALL
    SELECT 4, format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, a.attname, $1::oid::regclass,
        CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_attribute a, aclexplode(a.attacl) g WHERE a.attrelid = $1::oid
    UNION ALL
    SELECT 5, format('COMMENT ON COLUMN %s.%I IS %L', $1::oid::regclass, a.attname, c.description)
    FROM pg_attribute a JOIN pg_description c ON c.objoid = a.attrelid AND c.objsubid = a.attnum AND c.classoid = 'pg_class'::regclass
    WHERE a.attrelid = $1::oid AND a.attnum > 0
    UNION ALL
    SELECT 6, format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', $1::oid::regclass, a.attname, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE d.adrelid = $1::oid
) AS parts
ORDER BY part, statement
