SELECT t.table_name, t.table_type, coalesce(t.engine, ''),
       EXISTS (SELECT 1 FROM information_schema.statistics s
               WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name AND s.seq_in_index = 1 AND s.column_name = 'id'),
       EXISTS (SELECT 1 FROM information_schema.statistics s
               WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name AND s.seq_in_index = 1 AND s.column_name = 'id' AND s.non_unique = 0)
FROM information_schema.tables t
WHERE t.table_schema = ?
