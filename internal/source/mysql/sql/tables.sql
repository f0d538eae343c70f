SELECT table_name, table_type, table_rows, data_length
FROM information_schema.tables
WHERE table_schema = {{schema}}
