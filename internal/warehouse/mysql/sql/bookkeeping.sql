-- The bookkeeping lies beside the tables on the same server, so that a load commits rows and position together. Statements are
-- parted by a semicolon at the end of a line; {{options}} stands for engine and collation.
CREATE TABLE IF NOT EXISTS `_firth`.`format` (
    version INT NOT NULL PRIMARY KEY
) {{options}};

-- How far each journal has been loaded: position is the first offset that is not in.
CREATE TABLE IF NOT EXISTS `_firth`.`positions` (
    source         VARCHAR(255) NOT NULL,
    log            VARCHAR(64) NOT NULL,
    position       BIGINT UNSIGNED NOT NULL,
    loaded_through DATETIME(6),
    loaded_at      DATETIME(6) NOT NULL,
    PRIMARY KEY (source, log)
) {{options}};

-- The tables that loads made (adopted_through NULL) or took over: rows received until adopted_through may be in them already.
-- made is 0 while a table is being made, so that who is killed there is not taken for somebody who dropped it.
CREATE TABLE IF NOT EXISTS `_firth`.`tables` (
    source          VARCHAR(255) NOT NULL,
    schema_name     VARCHAR(64) NOT NULL,
    table_name      VARCHAR(64) NOT NULL,
    adopted         TINYINT(1) NOT NULL,
    adopted_through DATETIME(6),
    made            TINYINT(1) NOT NULL,
    first_seen      DATETIME(6) NOT NULL,
    PRIMARY KEY (source, table_name)
) {{options}};

-- Which column of which table holds what; what really exists is for information_schema to say. ordinal is the place, from 1.
CREATE TABLE IF NOT EXISTS `_firth`.`columns` (
    source      VARCHAR(255) NOT NULL,
    schema_name VARCHAR(64) NOT NULL,
    table_name  VARCHAR(64) NOT NULL,
    column_name VARCHAR(64) NOT NULL,
    type        VARCHAR(16) NOT NULL,
    path        LONGTEXT NOT NULL,
    made        TINYINT(1) NOT NULL,
    first_seen  DATETIME(6) NOT NULL,
    ordinal     INT NOT NULL,
    PRIMARY KEY (source, table_name, column_name)
) {{options}};

-- A swap of rebuilt tables that is under way: a row stands from before the tables change names until nothing is left of it.
CREATE TABLE IF NOT EXISTS `_firth`.`swaps` (
    source         VARCHAR(255) NOT NULL,
    schema_name    VARCHAR(64) NOT NULL,
    rebuild_source VARCHAR(255) NOT NULL,
    rebuild_schema VARCHAR(64) NOT NULL,
    -- a JSON array of the tables and whether each had a predecessor
    tables         LONGTEXT NOT NULL,
    begun_at       DATETIME(6) NOT NULL,
    PRIMARY KEY (source)
) {{options}};
