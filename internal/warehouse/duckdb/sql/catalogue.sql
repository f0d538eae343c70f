SELECT table_name, column_name, type, path
FROM _firth.columns
WHERE source = $1 AND table_name <> 'firth_discards'
ORDER BY table_name, ordinal
