SELECT ts::DATE                AS day,
       strftime(ts, '%a')      AS weekday,
       count(*)                AS events,
       count(DISTINCT user_id) AS users
FROM lake.demo
GROUP BY day, weekday
ORDER BY day
