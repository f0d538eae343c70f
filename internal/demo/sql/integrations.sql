SELECT i.integration,
       count(*)                          AS projects,
       sum(u.calls_this_month)::BIGINT   AS calls
FROM app.project_usage u
JOIN app.project_integrations i ON i.project_id = u.id
WHERE u.calls_this_month > 100_000_000
GROUP BY i.integration
ORDER BY projects DESC, integration
