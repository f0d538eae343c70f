-- What is to be known of types that are not among the common ones. A domain's typmod is that of its lowest level.
SELECT t.oid::pg_catalog.int8, n.nspname::pg_catalog.text, t.typname::pg_catalog.text, t.typtype::pg_catalog.text,
       t.typbasetype::pg_catalog.int8, t.typtypmod, t.typndims, t.typdelim::pg_catalog.text,
       COALESCE(e.oid, 0)::pg_catalog.int8, pn.nspname::pg_catalog.text, p.proname::pg_catalog.text,
       EXISTS (SELECT FROM pg_catalog.pg_proc g WHERE g.proname = 'st_asewkt' AND g.pronamespace = t.typnamespace)
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_proc p ON p.oid = t.typoutput
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid
WHERE t.oid = ANY ($1::pg_catalog.int8[]::pg_catalog.oid[])
