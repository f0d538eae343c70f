SELECT table_name, column_name
FROM information_schema.statistics
WHERE table_schema = {{schema}} AND table_name = {{table}} AND index_name = 'PRIMARY'
ORDER BY seq_in_index
