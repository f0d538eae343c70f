-- The bookkeeping of the warehouse file. It lies in the same database as the tables, so that a load commits both or neither.
CREATE SCHEMA IF NOT EXISTS _firth;

CREATE TABLE IF NOT EXISTS _firth.format (
    version INTEGER NOT NULL
);
INSERT INTO _firth.format SELECT 1 WHERE NOT EXISTS (FROM _firth.format);

-- How far each journal has been loaded: position is the first offset that is not in.
CREATE TABLE IF NOT EXISTS _firth.positions (
    source         VARCHAR NOT NULL,
    log            VARCHAR NOT NULL,
    position       UBIGINT NOT NULL,
    loaded_through TIMESTAMPTZ,
    loaded_at      TIMESTAMPTZ NOT NULL
);

-- Which column of which table holds what; ordinal is the place in the table, from 1.
CREATE TABLE IF NOT EXISTS _firth.columns (
    source      VARCHAR NOT NULL,
    schema_name VARCHAR NOT NULL,
    table_name  VARCHAR NOT NULL,
    column_name VARCHAR NOT NULL,
    type        VARCHAR NOT NULL,
    path        VARCHAR NOT NULL,
    first_seen  TIMESTAMPTZ NOT NULL,
    ordinal     INTEGER NOT NULL
);

-- tables is a JSON object of rows by table, notices a JSON array of text.
CREATE TABLE IF NOT EXISTS _firth.runs (
    id          VARCHAR NOT NULL,
    kind        VARCHAR NOT NULL,
    name        VARCHAR NOT NULL,
    state       VARCHAR NOT NULL,
    started_at  TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    rows        BIGINT NOT NULL,
    tables      VARCHAR NOT NULL,
    notices     VARCHAR NOT NULL,
    error       VARCHAR,
    hint        VARCHAR
);
