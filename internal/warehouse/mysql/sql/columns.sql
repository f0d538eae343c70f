SELECT table_name, column_name, ordinal_position, data_type, column_type,
       coalesce(character_set_name, ''), coalesce(collation_name, ''),
       coalesce(character_maximum_length, 0), coalesce(character_octet_length, 0),
       coalesce(numeric_precision, 0), coalesce(numeric_scale, 0), coalesce(datetime_precision, 0),
       is_nullable = 'YES', coalesce(generation_expression, '') <> ''
FROM information_schema.columns
WHERE table_schema = ?
ORDER BY table_name, ordinal_position
