SELECT
    'm' || i AS message_id,
    CASE WHEN i % 5 = 0 THEN 'identify' ELSE 'track' END AS "type",
    CASE WHEN i % 5 = 0 THEN 'identify' ELSE 'Event ' || (hash(i) % 4) END AS event,
    make_timestamptz(1767225600000000 + (hash(i, 'ts') % 40)::BIGINT * 129600000000) AS ts,
    make_timestamptz(1767225600000000 + i * 61000000) AS received_at,
    make_timestamptz(1767225600000000 + i * 60900000) AS sent_at,
    make_timestamptz(1767225600000000 + i * 60800000) AS original_timestamp,
    CASE WHEN i % 7 <> 0 THEN 'user ' || (hash(i, 'u') % 23) END AS user_id,
    CASE WHEN i % 3 <> 0 THEN 'anonymous ' || (hash(i, 'a') % 31) END AS anonymous_id,
    '{"amount": ' || (hash(i, 'p') % 1000) / 8.0 || ', "n": ' || (hash(i, 'n') % 9) || ', "plan": "' || ['free', 'pro', 'team'][1 + (hash(i, 'l') % 3)::INTEGER] || '"}' AS properties,
    '{"ip": "10.0.0.' || (hash(i, 'c') % 9) || '"}' AS context,
    '{}' AS og_payload,
    '0b0e9fe0-0000-4000-8000-000000000001' AS _firth_log,
    i AS _firth_offset
FROM range(600) AS made(i)
