-- The statements that remove what is staged of the mirror $1; $2 and $3 begin the names of staging tables and of those of keys.
SELECT 'DROP TABLE IF EXISTS "' || replace(schema_name, '"', '""') || '"."' || replace(prefix || substr(stage_table, length($2) + 1), '"', '""') || '"'
FROM _firth.mirror_stages, (VALUES ($2), ($3)) AS kinds (prefix)
WHERE name = $1
