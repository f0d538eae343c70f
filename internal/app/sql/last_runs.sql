-- The run of each warehouse and of each mirror that began last, of those that have ended. A name may have a source behind the warehouse.
SELECT CASE WHEN kind = 'mirror' THEN 'mirror ' ELSE '' END || split_part(name, '/', 1) AS warehouse, arg_max(id, started_at), arg_max(state, started_at), max(started_at), arg_max(finished_at, started_at), arg_max(rows, started_at)
FROM firth.runs
WHERE state <> 'running'
GROUP BY ALL
