-- Who holds locks on the relation $1, the longest first.
SELECT DISTINCT s.pid, coalesce(s.usename::text, ''), coalesce(s.application_name, ''), coalesce(s.state, ''),
    coalesce(left(regexp_replace(s.query, '\s+', ' ', 'g'), 60), ''), s.xact_start
FROM pg_locks l
JOIN pg_stat_activity s ON s.pid = l.pid
WHERE l.locktype = 'relation' AND l.relation = $1::oid AND l.granted AND l.pid <> pg_backend_pid()
ORDER BY s.xact_start
LIMIT 3
