SELECT source, warehouse, received_through, loaded_through, loaded_at, lag_seconds, pending_rows
FROM firth.freshness
WHERE $1::VARCHAR IS NULL OR list_contains(from_json($1, '["VARCHAR"]'), regexp_replace(lower(source), '[^a-z0-9\x{80}-\x{10FFFF}]', '_', 'g'))
ORDER BY source, warehouse
