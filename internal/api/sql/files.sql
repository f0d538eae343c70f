-- $2: a table of the lake; NULL for all. $3: how many. Paths are told without their folders.
SELECT table_name, parse_filename(path) AS file, day, rows, bytes, min_ts, max_ts, min_received, max_received
FROM firth.files
WHERE ($2::VARCHAR IS NULL OR table_name = $2)
  AND ($1::VARCHAR IS NULL OR list_contains(from_json($1, '["VARCHAR"]'), regexp_replace(lower(table_name), '[^a-z0-9\x{80}-\x{10FFFF}]', '_', 'g')))
ORDER BY day DESC, max_received DESC, path
LIMIT $3
