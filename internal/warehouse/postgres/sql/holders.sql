-- Who holds locks of the modes $2 on the relations $1, the longest first. The query is told to those alone who may see it.
SELECT s.pid, coalesce(s.usename::text, ''), coalesce(s.application_name, ''), coalesce(s.state, ''),
    coalesce(left(regexp_replace(nullif(s.query, '<insufficient privilege>'), '\s+', ' ', 'g'), 60), ''), s.xact_start
FROM pg_stat_activity s
WHERE s.pid <> pg_backend_pid() AND s.pid IN (
    SELECT l.pid FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.relation = ANY ($1::oid[]) AND l.granted AND l.mode = ANY ($2::text[])
)
ORDER BY s.xact_start NULLS LAST, s.pid
LIMIT 3
