SELECT current_setting('server_version_num')::integer, current_setting('server_version'), pg_is_in_recovery(),
    current_setting('default_transaction_read_only') = 'on', current_setting('server_encoding'),
    EXISTS (SELECT FROM pg_am WHERE amname = 'columnar' AND amtype = 't'), current_database()::text, current_user::text
