-- The catalogs lake and firth live in memory: they hold views and what is known anew after each start.
ATTACH ':memory:' AS lake;
ATTACH ':memory:' AS firth;

CREATE VIEW firth.runs AS
SELECT id, kind, name, state, started_at, finished_at, rows, tables, notices, error, hint
FROM {{catalog}}._firth.runs;

CREATE VIEW firth.schemas AS
SELECT source, schema_name, table_name, column_name, type, path, ordinal, first_seen
FROM {{catalog}}._firth.columns;

-- lag_seconds is how far the warehouse is behind what the lake has received; 0 when nothing is pending.
CREATE TABLE firth.freshness (
    source           VARCHAR NOT NULL,
    warehouse        VARCHAR NOT NULL,
    received_through TIMESTAMPTZ,
    loaded_through   TIMESTAMPTZ,
    loaded_at        TIMESTAMPTZ,
    lag_seconds      DOUBLE,
    pending_rows     BIGINT NOT NULL
);

CREATE TABLE firth.files (
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
