CREATE OR REPLACE TABLE firth.files (
    table_name   VARCHAR NOT NULL,
    path         VARCHAR NOT NULL,
    day          DATE,
    rows         BIGINT NOT NULL,
    bytes        BIGINT NOT NULL,
    min_ts       TIMESTAMPTZ,
    max_ts       TIMESTAMPTZ,
    min_received TIMESTAMPTZ,
    max_received TIMESTAMPTZ,
    min_offset   UBIGINT,
    max_offset   UBIGINT
);
