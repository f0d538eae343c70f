-- The bookkeeping lies in the same database as the tables, so that a load commits both or neither. Every table is a heap, whatever
-- the database's default access method.
CREATE TABLE IF NOT EXISTS _firth.format (
    version integer NOT NULL
) USING heap;

-- How far each journal has been loaded: position is the first offset that is not in.
CREATE TABLE IF NOT EXISTS _firth.positions (
    source         text NOT NULL,
    log            text NOT NULL,
    position       bigint NOT NULL,
    loaded_through timestamp with time zone,
    loaded_at      timestamp with time zone NOT NULL,
    PRIMARY KEY (source, log)
) USING heap;

-- Which tables are Firth's. adopted: the table was there before; its rows up to adopted_through may be those of the lake as well.
CREATE TABLE IF NOT EXISTS _firth.tables (
    source          text NOT NULL,
    schema_name     text NOT NULL,
    table_name      text NOT NULL,
    first_seen      timestamp with time zone NOT NULL,
    adopted         boolean NOT NULL,
    adopted_through timestamp with time zone,
    PRIMARY KEY (source, schema_name, table_name)
) USING heap;

-- Which column of which table holds what; ordinal is the place among those that Firth made or took over, from 1.
CREATE TABLE IF NOT EXISTS _firth.columns (
    source      text NOT NULL,
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    column_name text NOT NULL,
    type        text NOT NULL,
    path        text NOT NULL,
    first_seen  timestamp with time zone NOT NULL,
    ordinal     integer NOT NULL,
    PRIMARY KEY (source, schema_name, table_name, column_name)
) USING heap;

INSERT INTO _firth.format SELECT 1 WHERE NOT EXISTS (SELECT FROM _firth.format);
