SELECT context_library_name    AS library,
       count(*)                AS events,
       count(DISTINCT user_id) AS users,
       round(100 * count(*) / sum(count(*)) OVER (), 1) AS percent
FROM demo.tracks
GROUP BY library
ORDER BY events DESC
