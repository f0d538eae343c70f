SELECT json_serialize_sql(?::VARCHAR, skip_default := true, skip_null := true, skip_empty := true)::VARCHAR
