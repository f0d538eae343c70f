-- What mirrors hold: columns is a JSON array as they were published last, NULL where there is no table; ids the column of the list.
-- pending is a change of names under way: what is to be written here when it has happened, and which tables are to be dropped then.
CREATE TABLE IF NOT EXISTS `_firth`.`mirrors` (
    name        VARCHAR(255) NOT NULL,
    schema_name VARCHAR(64) NOT NULL,
    table_name  VARCHAR(64) NOT NULL,
    columns     LONGTEXT,
    ids         LONGTEXT,
    state       LONGTEXT,
    pending     LONGTEXT,
    updated_at  DATETIME(6) NOT NULL,
    PRIMARY KEY (name)
) {{options}};

-- Stages that are not published: run is NULL where one is, and is only to be dropped.
CREATE TABLE IF NOT EXISTS `_firth`.`mirror_stages` (
    name        VARCHAR(255) NOT NULL,
    run         LONGTEXT,
    schema_name VARCHAR(64) NOT NULL,
    stage_name  VARCHAR(64) NOT NULL,
    columns     LONGTEXT NOT NULL,
    progress    LONGTEXT,
    row_count   BIGINT NOT NULL,
    updated_at  DATETIME(6) NOT NULL,
    PRIMARY KEY (name)
) {{options}};
