-- The bookkeeping of the warehouse. It lies beside the tables, so that a load commits both or neither. One statement ends with a
-- semicolon at the end of a line.
CREATE TABLE IF NOT EXISTS _firth.format (version integer NOT NULL, instance varchar(64) NOT NULL);

-- Loaders take turns on this table: it is locked from the beginning of each of their transactions, and nobody else reads it.
CREATE TABLE IF NOT EXISTS _firth.turn (holder varchar(64));

-- How far each journal has been loaded: position is the first offset that is not in.
CREATE TABLE IF NOT EXISTS _firth.positions (
    source         varchar(1024) NOT NULL,
    log            varchar(64) NOT NULL,
    position       bigint NOT NULL,
    loaded_through timestamp,
    loaded_at      timestamp NOT NULL
);

-- Which tables belong to a source. Of those that somebody else had made, adopted_through is the latest received_at that they held then.
CREATE TABLE IF NOT EXISTS _firth.tables (
    source          varchar(1024) NOT NULL,
    schema_name     varchar(127) NOT NULL,
    table_name      varchar(127) NOT NULL,
    adopted_through timestamp,
    first_seen      timestamp NOT NULL
);

-- Which column of which table holds what; ordinal is the place in the table, from 1.
CREATE TABLE IF NOT EXISTS _firth.columns (
    source      varchar(1024) NOT NULL,
    schema_name varchar(127) NOT NULL,
    table_name  varchar(127) NOT NULL,
    column_name varchar(127) NOT NULL,
    type        varchar(16) NOT NULL,
    path        varchar(65535) NOT NULL,
    first_seen  timestamp NOT NULL,
    ordinal     integer NOT NULL
);
