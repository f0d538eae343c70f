-- What keeps the table $1 from being replaced by another of its name: whatever hangs on it, but its indexes. The first few, in words.
SELECT what FROM (
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS what
    FROM pg_depend d
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid AND d.deptype <> 'i'
        AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = $1::oid))
    UNION ALL
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
    FROM pg_class r JOIN pg_type t ON t.oid = r.reltype
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype <> 'i'
    WHERE r.oid = $1::oid
    UNION ALL
    SELECT 'its parent ' || i.inhparent::regclass::text FROM pg_inherits i WHERE i.inhrelid = $1::oid
    UNION ALL
    SELECT 'NOT NULL of ' || a.attname FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
    UNION ALL
    SELECT 'its owner or kind' FROM pg_class r
    WHERE r.oid = $1::oid AND (r.relkind <> 'r' OR pg_get_userbyid(r.relowner) <> current_user OR r.relrowsecurity OR r.reloptions IS NOT NULL OR r.relreplident <> 'd')
) AS found
LIMIT 3
