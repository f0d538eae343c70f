-- The catalogs lake and firth live in memory: they hold views and what is known anew after each start.
ATTACH ':memory:' AS lake;
ATTACH ':memory:' AS firth;

CREATE VIEW firth.runs AS
SELECT id, kind, name, state, started_at, finished_at, rows, tables, notices, error, hint
FROM {{catalog}}._firth.runs;

CREATE VIEW firth.schemas AS
SELECT source, schema_name, table_name, column_name, type, path, ordinal, first_seen
FROM {{catalog}}._firth.columns
WHERE NOT starts_with(schema_name, '_firth_rebuild_');
