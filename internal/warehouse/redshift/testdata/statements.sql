-- open
SET timezone TO 'UTC';
SET datestyle TO 'ISO';
SET statement_timeout TO 60000;
SELECT version();
SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '_firth' AND c.relname IN ('format', 'turn', 'positions', 'tables', 'columns');
SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = '_firth';
CREATE SCHEMA IF NOT EXISTS "_firth";
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
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
INSERT INTO _firth.format (version, instance) SELECT 1, '0000000000000001' WHERE NOT EXISTS (SELECT 1 FROM _firth.format);
COMMIT;
SELECT version, instance FROM _firth.format;

-- the first load: schema, tables, rows, users, discards, position
SELECT position FROM _firth.positions WHERE source = 'production' AND log = '0b0e9fe0-0000-4000-8000-000000000001';
SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'production';
SELECT c.relname, c.relkind, a.attname, t.typname, a.atttypmod
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = 'production' AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND lower(CAST(c.relname AS varchar(256))) IN ('firth_discards', 'clicks', 'opens', 'users')
ORDER BY c.relname, a.attnum
;
SELECT table_name, adopted_through FROM _firth.tables WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks', 'opens', 'users') ORDER BY table_name;
SELECT table_name, column_name, type, path, ordinal FROM _firth.columns WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks', 'opens', 'users') ORDER BY table_name, ordinal;
CREATE SCHEMA IF NOT EXISTS "production";
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
CREATE TABLE "production"."firth_discards" ("table_name" varchar(65535), "column_name" varchar(65535), "value" varchar(65535), "value_type" varchar(65535), "column_type" varchar(65535), "reason" varchar(65535), "row_id" varchar(65535), "received_at" timestamp, "loaded_at" timestamp) SORTKEY("received_at");
INSERT INTO _firth.tables (source, schema_name, table_name, adopted_through, first_seen) VALUES ('production', 'production', 'firth_discards', CAST(NULL AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp));
INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) VALUES ('production', 'production', 'firth_discards', 'table_name', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 1), ('production', 'production', 'firth_discards', 'column_name', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 2), ('production', 'production', 'firth_discards', 'value', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 3), ('production', 'production', 'firth_discards', 'value_type', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 4), ('production', 'production', 'firth_discards', 'column_type', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 5), ('production', 'production', 'firth_discards', 'reason', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 6), ('production', 'production', 'firth_discards', 'row_id', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 7), ('production', 'production', 'firth_discards', 'received_at', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 8), ('production', 'production', 'firth_discards', 'loaded_at', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 9);
COMMIT;
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
CREATE TABLE "production"."clicks" ("id" varchar(65535), "received_at" timestamp, "uuid_ts" timestamp, "s" varchar(65535), "n" bigint) DISTKEY("id") SORTKEY("received_at");
INSERT INTO _firth.tables (source, schema_name, table_name, adopted_through, first_seen) VALUES ('production', 'production', 'clicks', CAST(NULL AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp));
INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) VALUES ('production', 'production', 'clicks', 'id', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 1), ('production', 'production', 'clicks', 'received_at', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 2), ('production', 'production', 'clicks', 'uuid_ts', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 3), ('production', 'production', 'clicks', 's', 'string', 'properties.s', CAST('2026-01-02 03:04:05.678901' AS timestamp), 4), ('production', 'production', 'clicks', 'n', 'integer', 'properties.n', CAST('2026-01-02 03:04:05.678901' AS timestamp), 5);
COMMIT;
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
CREATE TABLE "production"."opens" ("id" varchar(65535), "received_at" timestamp, "uuid_ts" timestamp, "s" varchar(65535), "n" bigint) DISTKEY("id") SORTKEY("received_at");
INSERT INTO _firth.tables (source, schema_name, table_name, adopted_through, first_seen) VALUES ('production', 'production', 'opens', CAST(NULL AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp));
INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) VALUES ('production', 'production', 'opens', 'id', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 1), ('production', 'production', 'opens', 'received_at', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 2), ('production', 'production', 'opens', 'uuid_ts', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 3), ('production', 'production', 'opens', 's', 'string', 'properties.s', CAST('2026-01-02 03:04:05.678901' AS timestamp), 4), ('production', 'production', 'opens', 'n', 'integer', 'properties.n', CAST('2026-01-02 03:04:05.678901' AS timestamp), 5);
COMMIT;
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
CREATE TABLE "production"."users" ("id" varchar(65535), "received_at" timestamp, "uuid_ts" timestamp, "s" varchar(65535), "n" bigint) DISTKEY("id") SORTKEY("received_at");
INSERT INTO _firth.tables (source, schema_name, table_name, adopted_through, first_seen) VALUES ('production', 'production', 'users', CAST(NULL AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp));
INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) VALUES ('production', 'production', 'users', 'id', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 1), ('production', 'production', 'users', 'received_at', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 2), ('production', 'production', 'users', 'uuid_ts', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 3), ('production', 'production', 'users', 's', 'string', 'properties.s', CAST('2026-01-02 03:04:05.678901' AS timestamp), 4), ('production', 'production', 'users', 'n', 'integer', 'properties.n', CAST('2026-01-02 03:04:05.678901' AS timestamp), 5);
COMMIT;
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
SELECT position FROM _firth.positions WHERE source = 'production' AND log = '0b0e9fe0-0000-4000-8000-000000000001';
CREATE TEMP TABLE firth_stage_0 (c0 varchar(9), c1 varchar(26), c2 varchar(25), c3 bigint) DISTKEY(c0);
COPY firth_stage_0 (c0, c1, c2, c3) FROM 's3://firth-test/stage/0000000000000001/20260102T030405-0000000000000002/0000.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'us-east-1' MANIFEST GZIP CSV NULL AS 'null-0000000000000002' COMPUPDATE OFF STATUPDATE OFF;
SELECT count(*) FROM firth_stage_0;
INSERT INTO "production"."clicks" ("id", "received_at", "s", "n", "uuid_ts") SELECT s.c0, CAST(s.c1 AS timestamp), s.c2, s.c3, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_0 s;
DROP TABLE firth_stage_0;
CREATE TEMP TABLE firth_stage_1 (c0 varchar(9), c1 varchar(26), c2 varchar(25), c3 bigint) DISTKEY(c0);
COPY firth_stage_1 (c0, c1, c2, c3) FROM 's3://firth-test/stage/0000000000000001/20260102T030405-0000000000000002/0001.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'us-east-1' MANIFEST GZIP CSV NULL AS 'null-0000000000000002' COMPUPDATE OFF STATUPDATE OFF;
SELECT count(*) FROM firth_stage_1;
INSERT INTO "production"."opens" ("id", "received_at", "s", "n", "uuid_ts") SELECT s.c0, CAST(s.c1 AS timestamp), s.c2, s.c3, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_1 s;
DROP TABLE firth_stage_1;
CREATE TEMP TABLE firth_stage_2 (c0 varchar(9), c1 varchar(26), c2 varchar(25), c3 bigint) DISTKEY(c0);
COPY firth_stage_2 (c0, c1, c2, c3) FROM 's3://firth-test/stage/0000000000000001/20260102T030405-0000000000000002/0002.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'us-east-1' MANIFEST GZIP CSV NULL AS 'null-0000000000000002' COMPUPDATE OFF STATUPDATE OFF;
SELECT count(*) FROM firth_stage_2;
UPDATE "production"."users" AS t SET "received_at" = CASE WHEN t."received_at" IS NULL OR CAST(s.c1 AS timestamp) > t."received_at" THEN CAST(s.c1 AS timestamp) ELSE t."received_at" END, "s" = COALESCE(s.c2, t."s"), "n" = COALESCE(s.c3, t."n"), "uuid_ts" = COALESCE(CAST('2026-01-02 03:04:05.678901' AS timestamp), t."uuid_ts") FROM firth_stage_2 s WHERE t."id" = s.c0 AND octet_length(t."id") = octet_length(s.c0);
INSERT INTO "production"."users" ("id", "received_at", "s", "n", "uuid_ts") SELECT s.c0, CAST(s.c1 AS timestamp), s.c2, s.c3, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_2 s LEFT JOIN (SELECT DISTINCT "id" AS k, octet_length("id") AS w FROM "production"."users") t ON t.k = s.c0 AND t.w = octet_length(s.c0) WHERE t.k IS NULL;
DROP TABLE firth_stage_2;
CREATE TEMP TABLE firth_stage_3 (c0 varchar(6), c1 varchar(1), c2 varchar(1), c3 varchar(1), c4 varchar(1), c5 varchar(4), c6 varchar(9), c7 varchar(26)) DISTKEY(c0);
COPY firth_stage_3 (c0, c1, c2, c3, c4, c5, c6, c7) FROM 's3://firth-test/stage/0000000000000001/20260102T030405-0000000000000002/discards.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'us-east-1' MANIFEST GZIP CSV NULL AS 'null-0000000000000002' COMPUPDATE OFF STATUPDATE OFF;
SELECT count(*) FROM firth_stage_3;
INSERT INTO "production"."firth_discards" ("table_name", "column_name", "value", "value_type", "column_type", "reason", "row_id", "received_at", "loaded_at") SELECT s.c0, s.c1, s.c2, s.c3, s.c4, s.c5, s.c6, CAST(s.c7 AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_3 s;
DROP TABLE firth_stage_3;
UPDATE _firth.positions SET position = 2, loaded_at = CAST('2026-01-02 03:04:05.678901' AS timestamp), loaded_through = CASE WHEN loaded_through IS NULL OR CAST(NULL AS timestamp) > loaded_through THEN CAST(NULL AS timestamp) ELSE loaded_through END WHERE source = 'production' AND log = '0b0e9fe0-0000-4000-8000-000000000001';
INSERT INTO _firth.positions (source, log, position, loaded_through, loaded_at) VALUES ('production', '0b0e9fe0-0000-4000-8000-000000000001', 2, CAST(NULL AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp));
COMMIT;

-- a load that adds a column and widens another
SELECT position FROM _firth.positions WHERE source = 'production' AND log = '0b0e9fe0-0000-4000-8000-000000000001';
SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'production';
SELECT c.relname, c.relkind, a.attname, t.typname, a.atttypmod
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = 'production' AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND lower(CAST(c.relname AS varchar(256))) IN ('firth_discards', 'clicks')
ORDER BY c.relname, a.attnum
;
SELECT table_name, adopted_through FROM _firth.tables WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks') ORDER BY table_name;
SELECT table_name, column_name, type, path, ordinal FROM _firth.columns WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks') ORDER BY table_name, ordinal;
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
SELECT DISTINCT v.oid, n.nspname, v.relname, pg_get_viewdef(v.oid), array_to_string(v.relacl, ',')
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
WHERE v.relkind = 'v' AND d.refobjid <> v.oid AND d.refobjid IN (SELECT t.oid FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace WHERE s.nspname = 'production' AND t.relname = 'clicks') AND (d.refobjsubid = 0 OR d.refobjsubid IN (SELECT a.attnum FROM pg_catalog.pg_attribute a WHERE a.attrelid = d.refobjid AND a.attname IN ('n'))) ORDER BY 2, 3;
INSERT INTO "production"."firth_discards" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at) SELECT 'clicks', 'n', CAST("n" AS varchar(32)), 'integer', 'float', 'rounded_by_widening', id, received_at, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM "production"."clicks" WHERE ("n" > 9007199254740992 OR "n" < -9007199254740992) AND MOD(CAST("n" AS bigint), CAST(CASE WHEN "n" > 4611686018427387904 OR "n" < -4611686018427387904 THEN 1024 WHEN "n" > 2305843009213693952 OR "n" < -2305843009213693952 THEN 512 WHEN "n" > 1152921504606846976 OR "n" < -1152921504606846976 THEN 256 WHEN "n" > 576460752303423488 OR "n" < -576460752303423488 THEN 128 WHEN "n" > 288230376151711744 OR "n" < -288230376151711744 THEN 64 WHEN "n" > 144115188075855872 OR "n" < -144115188075855872 THEN 32 WHEN "n" > 72057594037927936 OR "n" < -72057594037927936 THEN 16 WHEN "n" > 36028797018963968 OR "n" < -36028797018963968 THEN 8 WHEN "n" > 18014398509481984 OR "n" < -18014398509481984 THEN 4 ELSE 2 END AS bigint)) <> 0;
ALTER TABLE "production"."clicks" ADD COLUMN "_firth_widened" double precision;
UPDATE "production"."clicks" SET "_firth_widened" = "n" WHERE "n" IS NOT NULL;
ALTER TABLE "production"."clicks" DROP COLUMN "n";
ALTER TABLE "production"."clicks" RENAME COLUMN "_firth_widened" TO "n";
UPDATE _firth.columns SET type = 'float' WHERE source = 'production' AND schema_name = 'production' AND lower(table_name) = 'clicks' AND column_name = 'n';
ALTER TABLE "production"."clicks" ADD COLUMN "more" boolean;
INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) VALUES ('production', 'production', 'clicks', 'more', 'boolean', 'properties.more', CAST('2026-01-02 03:04:05.678901' AS timestamp), 6);
COMMIT;
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
SELECT position FROM _firth.positions WHERE source = 'production' AND log = '0b0e9fe0-0000-4000-8000-000000000001';
CREATE TEMP TABLE firth_stage_0 (c0 varchar(9), c1 varchar(26), c2 varchar(25), c3 double precision, c4 boolean) DISTKEY(c0);
COPY firth_stage_0 (c0, c1, c2, c3, c4) FROM 's3://firth-test/stage/0000000000000001/20260102T030405-0000000000000003/0000.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'us-east-1' MANIFEST GZIP CSV NULL AS 'null-0000000000000003' COMPUPDATE OFF STATUPDATE OFF;
SELECT count(*) FROM firth_stage_0;
INSERT INTO "production"."clicks" ("id", "received_at", "s", "n", "more", "uuid_ts") SELECT s.c0, CAST(s.c1 AS timestamp), s.c2, s.c3, s.c4, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_0 s;
DROP TABLE firth_stage_0;
UPDATE _firth.positions SET position = 4, loaded_at = CAST('2026-01-02 03:04:05.678901' AS timestamp), loaded_through = CASE WHEN loaded_through IS NULL OR CAST(NULL AS timestamp) > loaded_through THEN CAST(NULL AS timestamp) ELSE loaded_through END WHERE source = 'production' AND log = '0b0e9fe0-0000-4000-8000-000000000001';
COMMIT;

-- a replay
SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'production';
SELECT c.relname, c.relkind, a.attname, t.typname, a.atttypmod
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = 'production' AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND lower(CAST(c.relname AS varchar(256))) IN ('firth_discards', 'opens', 'users')
ORDER BY c.relname, a.attnum
;
SELECT table_name, adopted_through FROM _firth.tables WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'opens', 'users') ORDER BY table_name;
SELECT table_name, column_name, type, path, ordinal FROM _firth.columns WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'opens', 'users') ORDER BY table_name, ordinal;
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
CREATE TEMP TABLE firth_stage_0 (c0 varchar(9), c1 varchar(26), c2 varchar(25), c3 bigint) DISTKEY(c0);
COPY firth_stage_0 (c0, c1, c2, c3) FROM 's3://firth-test/stage/0000000000000001/20260102T030405-0000000000000004/0000.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'us-east-1' MANIFEST GZIP CSV NULL AS 'null-0000000000000004' COMPUPDATE OFF STATUPDATE OFF;
SELECT count(*) FROM firth_stage_0;
INSERT INTO "production"."opens" ("id", "received_at", "s", "n", "uuid_ts") SELECT s.c0, CAST(s.c1 AS timestamp), s.c2, s.c3, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_0 s LEFT JOIN (SELECT DISTINCT "id" AS k, octet_length("id") AS w FROM "production"."opens") t ON t.k = s.c0 AND t.w = octet_length(s.c0) WHERE t.k IS NULL;
DROP TABLE firth_stage_0;
CREATE TEMP TABLE firth_stage_1 (c0 varchar(9), c1 varchar(26), c2 varchar(25), c3 bigint) DISTKEY(c0);
COPY firth_stage_1 (c0, c1, c2, c3) FROM 's3://firth-test/stage/0000000000000001/20260102T030405-0000000000000004/0001.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'us-east-1' MANIFEST GZIP CSV NULL AS 'null-0000000000000004' COMPUPDATE OFF STATUPDATE OFF;
SELECT count(*) FROM firth_stage_1;
SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'production';
SELECT c.relname, c.relkind, a.attname, t.typname, a.atttypmod
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = 'production' AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND lower(CAST(c.relname AS varchar(256))) IN ('users', 'identifies')
ORDER BY c.relname, a.attnum
;
SELECT table_name, adopted_through FROM _firth.tables WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('users', 'identifies') ORDER BY table_name;
SELECT table_name, column_name, type, path, ordinal FROM _firth.columns WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('users', 'identifies') ORDER BY table_name, ordinal;
DROP TABLE firth_stage_1;
CREATE TEMP TABLE firth_stage_2 (c0 varchar(6), c1 varchar(1), c2 varchar(1), c3 varchar(1), c4 varchar(1), c5 varchar(4), c6 varchar(9), c7 varchar(26)) DISTKEY(c0);
COPY firth_stage_2 (c0, c1, c2, c3, c4, c5, c6, c7) FROM 's3://firth-test/stage/0000000000000001/20260102T030405-0000000000000004/discards.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'us-east-1' MANIFEST GZIP CSV NULL AS 'null-0000000000000004' COMPUPDATE OFF STATUPDATE OFF;
SELECT count(*) FROM firth_stage_2;
INSERT INTO "production"."firth_discards" ("table_name", "column_name", "value", "value_type", "column_type", "reason", "row_id", "received_at", "loaded_at") SELECT s.c0, s.c1, s.c2, s.c3, s.c4, s.c5, s.c6, CAST(s.c7 AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_2 s WHERE NOT EXISTS (SELECT 1 FROM "production"."firth_discards" t WHERE (t."table_name" = s.c0 OR t."table_name" IS NULL AND s.c0 IS NULL) AND (t."column_name" = s.c1 OR t."column_name" IS NULL AND s.c1 IS NULL) AND (t."value" = s.c2 OR t."value" IS NULL AND s.c2 IS NULL) AND (t."value_type" = s.c3 OR t."value_type" IS NULL AND s.c3 IS NULL) AND (t."column_type" = s.c4 OR t."column_type" IS NULL AND s.c4 IS NULL) AND (t."reason" = s.c5 OR t."reason" IS NULL AND s.c5 IS NULL) AND (t."row_id" = s.c6 OR t."row_id" IS NULL AND s.c6 IS NULL) AND (t."received_at" = CAST(s.c7 AS timestamp) OR t."received_at" IS NULL AND s.c7 IS NULL));
DROP TABLE firth_stage_2;
COMMIT;

-- a swap
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
SELECT log, position, loaded_through, loaded_at FROM _firth.positions WHERE source = 'production';
SELECT log, position, loaded_through, loaded_at FROM _firth.positions WHERE source = 'production#rebuild';
SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'production';
SELECT c.relname, c.relkind, a.attname, t.typname, a.atttypmod
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = 'production' AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND lower(CAST(c.relname AS varchar(256))) IN ('firth_discards', 'clicks')
ORDER BY c.relname, a.attnum
;
SELECT table_name, adopted_through FROM _firth.tables WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks') ORDER BY table_name;
SELECT table_name, column_name, type, path, ordinal FROM _firth.columns WHERE source = 'production' AND schema_name = 'production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks') ORDER BY table_name, ordinal;
SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = '_firth_rebuild_production';
SELECT c.relname, c.relkind, a.attname, t.typname, a.atttypmod
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = '_firth_rebuild_production' AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND lower(CAST(c.relname AS varchar(256))) IN ('firth_discards', 'clicks')
ORDER BY c.relname, a.attnum
;
SELECT table_name, adopted_through FROM _firth.tables WHERE source = 'production#rebuild' AND schema_name = '_firth_rebuild_production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks') ORDER BY table_name;
SELECT table_name, column_name, type, path, ordinal FROM _firth.columns WHERE source = 'production#rebuild' AND schema_name = '_firth_rebuild_production' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks') ORDER BY table_name, ordinal;
DELETE FROM "production"."clicks";
SELECT DISTINCT v.oid, n.nspname, v.relname, pg_get_viewdef(v.oid), array_to_string(v.relacl, ',')
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
WHERE v.relkind = 'v' AND d.refobjid <> v.oid AND d.refobjid IN (SELECT t.oid FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace WHERE s.nspname = 'production' AND t.relname = 'clicks') AND (d.refobjsubid = 0 OR d.refobjsubid IN (SELECT a.attnum FROM pg_catalog.pg_attribute a WHERE a.attrelid = d.refobjid AND a.attname IN ('n'))) ORDER BY 2, 3;
ALTER TABLE "production"."clicks" DROP COLUMN "n";
ALTER TABLE "production"."clicks" ADD COLUMN "n" varchar(65535);
INSERT INTO "production"."clicks" ("id", "received_at", "uuid_ts", "s", "n") SELECT n."id", n."received_at", n."uuid_ts", n."s", n."n" FROM "_firth_rebuild_production"."clicks" n;
DELETE FROM _firth.columns WHERE source = 'production' AND schema_name = 'production' AND lower(table_name) = 'clicks' AND lower(column_name) IN ('id', 'received_at', 'uuid_ts', 's', 'n');
UPDATE _firth.columns SET ordinal = ordinal + 1600 WHERE source = 'production' AND schema_name = 'production' AND lower(table_name) = 'clicks';
INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) SELECT 'production', 'production', 'clicks', column_name, type, path, first_seen, ordinal FROM _firth.columns WHERE source = 'production#rebuild' AND schema_name = '_firth_rebuild_production' AND lower(table_name) = 'clicks';
DELETE FROM _firth.tables WHERE source = 'production' AND schema_name = 'production' AND lower(table_name) = 'clicks';
INSERT INTO _firth.tables (source, schema_name, table_name, first_seen, adopted_through) VALUES ('production', 'production', 'clicks', CAST('2026-01-02 03:04:05.678901' AS timestamp), NULL);
DELETE FROM "production"."firth_discards" WHERE lower(table_name) IN ('clicks');
INSERT INTO "production"."firth_discards" ("table_name", "column_name", "value", "value_type", "column_type", "reason", "row_id", "received_at", "loaded_at") SELECT "table_name", "column_name", "value", "value_type", "column_type", "reason", "row_id", "received_at", "loaded_at" FROM "_firth_rebuild_production"."firth_discards" WHERE lower(table_name) IN ('clicks');
DELETE FROM _firth.columns WHERE source = 'production#rebuild';
DELETE FROM _firth.tables WHERE source = 'production#rebuild';
DELETE FROM _firth.positions WHERE source = 'production#rebuild';
SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = '_firth_rebuild_production';
DROP SCHEMA "_firth_rebuild_production" CASCADE;
COMMIT;

-- a load into a table that somebody else made
SELECT position FROM _firth.positions WHERE source = 'old' AND log = '0b0e9fe0-0000-4000-8000-000000000001';
SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'old';
SELECT c.relname, c.relkind, a.attname, t.typname, a.atttypmod
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = 'old' AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND lower(CAST(c.relname AS varchar(256))) IN ('firth_discards', 'clicks')
ORDER BY c.relname, a.attnum
;
SELECT table_name, adopted_through FROM _firth.tables WHERE source = 'old' AND schema_name = 'old' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks') ORDER BY table_name;
SELECT table_name, column_name, type, path, ordinal FROM _firth.columns WHERE source = 'old' AND schema_name = 'old' AND lower(CAST(table_name AS varchar(256))) IN ('firth_discards', 'clicks') ORDER BY table_name, ordinal;
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
CREATE TABLE "old"."firth_discards" ("table_name" varchar(65535), "column_name" varchar(65535), "value" varchar(65535), "value_type" varchar(65535), "column_type" varchar(65535), "reason" varchar(65535), "row_id" varchar(65535), "received_at" timestamp, "loaded_at" timestamp) SORTKEY("received_at");
INSERT INTO _firth.tables (source, schema_name, table_name, adopted_through, first_seen) VALUES ('old', 'old', 'firth_discards', CAST(NULL AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp));
INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) VALUES ('old', 'old', 'firth_discards', 'table_name', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 1), ('old', 'old', 'firth_discards', 'column_name', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 2), ('old', 'old', 'firth_discards', 'value', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 3), ('old', 'old', 'firth_discards', 'value_type', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 4), ('old', 'old', 'firth_discards', 'column_type', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 5), ('old', 'old', 'firth_discards', 'reason', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 6), ('old', 'old', 'firth_discards', 'row_id', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 7), ('old', 'old', 'firth_discards', 'received_at', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 8), ('old', 'old', 'firth_discards', 'loaded_at', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 9);
COMMIT;
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
SELECT count(*), CAST(max("received_at") AS timestamp) FROM "old"."clicks";
INSERT INTO _firth.tables (source, schema_name, table_name, adopted_through, first_seen) VALUES ('old', 'old', 'clicks', CAST('2023-11-14 22:13:20.000000' AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp));
INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) VALUES ('old', 'old', 'clicks', 'id', 'string', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 1), ('old', 'old', 'clicks', 'received_at', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 2), ('old', 'old', 'clicks', 's', 'string', 'properties.s', CAST('2026-01-02 03:04:05.678901' AS timestamp), 3);
ALTER TABLE "old"."clicks" ADD COLUMN "uuid_ts" timestamp;
ALTER TABLE "old"."clicks" ADD COLUMN "n" bigint;
INSERT INTO _firth.columns (source, schema_name, table_name, column_name, type, path, first_seen, ordinal) VALUES ('old', 'old', 'clicks', 'uuid_ts', 'timestamp', '', CAST('2026-01-02 03:04:05.678901' AS timestamp), 4), ('old', 'old', 'clicks', 'n', 'integer', 'properties.n', CAST('2026-01-02 03:04:05.678901' AS timestamp), 5);
COMMIT;
ALTER TABLE "old"."clicks" ALTER COLUMN "s" TYPE varchar(65535);
SET statement_timeout TO 60000;
BEGIN;
LOCK TABLE _firth.turn;
SET statement_timeout TO 1800000;
SELECT position FROM _firth.positions WHERE source = 'old' AND log = '0b0e9fe0-0000-4000-8000-000000000001';
CREATE TEMP TABLE firth_stage_0 (c0 varchar(9), c1 varchar(26), c2 varchar(25), c3 bigint) DISTKEY(c0);
COPY firth_stage_0 (c0, c1, c2, c3) FROM 's3://firth-test/stage/0000000000000001/20260102T030405-0000000000000006/0000.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'us-east-1' MANIFEST GZIP CSV NULL AS 'null-0000000000000006' COMPUPDATE OFF STATUPDATE OFF;
SELECT count(*) FROM firth_stage_0;
INSERT INTO "old"."clicks" ("id", "received_at", "s", "n", "uuid_ts") SELECT s.c0, CAST(s.c1 AS timestamp), s.c2, s.c3, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_0 s LEFT JOIN (SELECT DISTINCT "id" AS k, octet_length("id") AS w FROM "old"."clicks" WHERE received_at <= CAST('2023-11-14 22:13:20.000000' AS timestamp)) t ON t.k = s.c0 AND t.w = octet_length(s.c0) AND CAST(s.c1 AS timestamp) <= CAST('2023-11-14 22:13:20.000000' AS timestamp) WHERE t.k IS NULL;
DROP TABLE firth_stage_0;
UPDATE _firth.positions SET position = 2, loaded_at = CAST('2026-01-02 03:04:05.678901' AS timestamp), loaded_through = CASE WHEN loaded_through IS NULL OR CAST(NULL AS timestamp) > loaded_through THEN CAST(NULL AS timestamp) ELSE loaded_through END WHERE source = 'old' AND log = '0b0e9fe0-0000-4000-8000-000000000001';
INSERT INTO _firth.positions (source, log, position, loaded_through, loaded_at) VALUES ('old', '0b0e9fe0-0000-4000-8000-000000000001', 2, CAST(NULL AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp));
COMMIT;

