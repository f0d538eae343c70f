-- $2: a source or mirror, $3: a state; NULL for all. $4: how many.
SELECT id, kind, name, state, started_at, finished_at, rows, tables::JSON AS tables, notices::JSON AS notices, error, hint
FROM firth.runs
WHERE ($2::VARCHAR IS NULL OR name = $2) AND ($3::VARCHAR IS NULL OR state = $3)
  AND ($1::VARCHAR IS NULL OR list_contains(from_json($1, '["VARCHAR"]'), regexp_replace(lower(name), '[^a-z0-9\x{80}-\x{10FFFF}]', '_', 'g')))
ORDER BY started_at DESC, id DESC
LIMIT $4
