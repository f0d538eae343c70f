WITH week AS (        -- the last seven days that have events
    SELECT max(timestamp)::DATE - 6 AS first, max(timestamp)::DATE AS last
    FROM demo.tracks
), active AS (        -- on how many of them an administrator did something
    SELECT u.company_id, count(DISTINCT t.timestamp::DATE) AS days
    FROM demo.tracks t
    JOIN app.users u ON u.id = t.user_id
    JOIN week w ON t.timestamp::DATE BETWEEN w.first AND w.last
    WHERE u.role_in_company = 'ADMINISTRATOR'
    GROUP BY u.company_id
)
SELECT coalesce(c.plan, 'all paying')                     AS plan,
       count(*)                                           AS companies,
       count(*) FILTER (WHERE a.days IS NULL)             AS idle,
       count(*) FILTER (WHERE a.days = 7)                 AS active_daily,
       round(100 * active_daily / companies, 1)           AS percent
FROM app.companies c
LEFT JOIN active a ON a.company_id = c.id   -- so idle companies count, too
WHERE c.paying
GROUP BY ROLLUP (c.plan)
ORDER BY companies
