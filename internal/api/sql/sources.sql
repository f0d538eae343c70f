-- $1: a JSON list of the schemas that may be seen, as below; NULL for all.
WITH seen AS (
    SELECT table_name AS source, sum(rows)::BIGINT AS events, sum(bytes)::BIGINT AS bytes, count(*) AS files,
           min(min_ts) AS first_event, max(max_ts) AS last_event
    FROM firth.files
    GROUP BY table_name
)
SELECT coalesce(f.source, s.source) AS source, coalesce(s.events, 0) AS events, coalesce(s.bytes, 0) AS bytes,
       coalesce(s.files, 0) AS files, s.first_event, s.last_event, f.warehouse, f.received_through, f.loaded_through,
       f.lag_seconds, coalesce(f.pending_rows, 0) AS pending_rows
FROM firth.freshness f
FULL JOIN seen s ON s.source = f.source
WHERE coalesce(f.source, s.source) NOT LIKE 'firth\_%' ESCAPE '\'
  AND ($1::VARCHAR IS NULL OR list_contains(from_json($1, '["VARCHAR"]'), regexp_replace(lower(coalesce(f.source, s.source)), '[^a-z0-9\x{80}-\x{10FFFF}]', '_', 'g')))
ORDER BY ALL
