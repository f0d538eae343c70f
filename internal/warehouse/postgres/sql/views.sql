-- The views and materialized views that stand on the columns $2 of relation $1, and on those, deepest last.
WITH RECURSIVE dependents AS (
    SELECT DISTINCT w.ev_class AS oid, 1 AS depth
    FROM pg_depend d
    JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attname = ANY ($2)
    JOIN pg_rewrite w ON w.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid AND d.refobjsubid = a.attnum
        AND w.ev_class <> $1::oid
    UNION
    SELECT w.ev_class, v.depth + 1
    FROM dependents v
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite w ON w.oid = d.objid AND w.ev_class <> v.oid
    WHERE v.depth < 100
), depths AS (
    SELECT oid, max(depth) AS depth FROM dependents GROUP BY oid
)
SELECT r.oid::bigint, n.nspname::text, r.relname::text, r.relkind::text, pg_get_userbyid(r.relowner)::text, pg_has_role(r.relowner, 'USAGE'),
    pg_get_viewdef(r.oid), coalesce(r.reloptions, '{}')::text[], coalesce(m.amname::text, ''), r.relispopulated, coalesce(obj_description(r.oid, 'pg_class'), '')
FROM depths v
JOIN pg_class r ON r.oid = v.oid
JOIN pg_namespace n ON n.oid = r.relnamespace
LEFT JOIN pg_am m ON m.oid = r.relam
ORDER BY v.depth, r.oid
