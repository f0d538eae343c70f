SELECT w.email, count(*) AS projects
FROM app.users w
JOIN app.project_members m ON m.user_id = w.id
WHERE m.active
GROUP BY w.email
HAVING count(*) >= 20
ORDER BY projects DESC, email
LIMIT 8
