-- The bookkeeping of mirrors. It lies in the same database as the tables, so that rows and state are published together or not at all.
CREATE TABLE IF NOT EXISTS _firth.mirrors (
    name        VARCHAR NOT NULL,
    schema_name VARCHAR NOT NULL,
    table_name  VARCHAR NOT NULL,
    columns     JSON, -- as they were published last; NULL where there is no table
    state       JSON,
    id_type     JSON, -- of the table of ids; NULL where there is none
    updated_at  TIMESTAMPTZ NOT NULL
);

-- What is staged: progress is what the rows in the staging table stand for.
CREATE TABLE IF NOT EXISTS _firth.mirror_stages (
    name        VARCHAR NOT NULL,
    schema_name VARCHAR NOT NULL,
    stage_table VARCHAR NOT NULL,
    run         VARCHAR NOT NULL,
    columns     JSON NOT NULL,
    progress    JSON,
    rows        BIGINT NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);
