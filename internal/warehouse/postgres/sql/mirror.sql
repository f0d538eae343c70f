-- The bookkeeping of mirrors, in the same database as their tables, so that rows and state are published together or not at all.
CREATE TABLE IF NOT EXISTS _firth.mirrors (
    name        text PRIMARY KEY,
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    columns     json, -- as they were published last; NULL where there is no table
    state       json,
    id_type     json, -- of the table of ids; NULL where there is none
    updated_at  timestamp with time zone NOT NULL
) USING heap;

-- What is staged: progress is what the rows in the staging table stand for.
CREATE TABLE IF NOT EXISTS _firth.mirror_stages (
    name        text PRIMARY KEY,
    schema_name text NOT NULL,
    stage_table text NOT NULL,
    keys_table  text NOT NULL,
    run         text NOT NULL,
    columns     json NOT NULL,
    progress    json,
    rows        bigint NOT NULL,
    updated_at  timestamp with time zone NOT NULL
) USING heap
