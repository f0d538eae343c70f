SELECT p.name, u.library, u.calls_this_month AS calls
FROM app.projects p
JOIN app.project_usage u ON u.id = p.id
WHERE u.library IN ('ios', 'android')
ORDER BY calls DESC, name
LIMIT 8
