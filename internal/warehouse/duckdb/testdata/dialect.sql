-- create schema
CREATE SCHEMA IF NOT EXISTS "we""ird 'name'; --"

-- create table
CREATE TABLE "production"."select" ("id" VARCHAR, "n" BIGINT, "f" DOUBLE, "b" BOOLEAN, "timestamp" TIMESTAMPTZ, "we""ird 'name'; --" VARCHAR)

-- create table without columns
CREATE TABLE "production"."we""ird 'name'; --" ()

-- add column
ALTER TABLE "production"."clicks" ADD COLUMN "timestamp" TIMESTAMPTZ

-- add column with an odd name
ALTER TABLE "we""ird 'name'; --"."we""ird 'name'; --" ADD COLUMN "we""ird 'name'; --" VARCHAR

-- widen column
ALTER TABLE "production"."clicks" ALTER COLUMN "we""ird 'name'; --" TYPE DOUBLE

-- list inexact
INSERT INTO "production"."firth_discards" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at) SELECT 'we"ird ''name''; --', 'n', "n"::VARCHAR, 'integer', 'float', 'rounded_by_widening', id, received_at, $1::TIMESTAMPTZ FROM "production"."we""ird 'name'; --" WHERE ("n" > 9007199254740992 OR "n" < -9007199254740992) AND "n"::DOUBLE::HUGEINT <> "n"

-- merge
MERGE INTO "production"."users" AS t USING appended_data AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "received_at" = greatest(t."received_at", s."received_at"), "uuid_ts" = coalesce(s."uuid_ts", t."uuid_ts"), "plan" = coalesce(s."plan", t."plan"), "we""ird 'name'; --" = coalesce(s."we""ird 'name'; --", t."we""ird 'name'; --") WHEN NOT MATCHED THEN INSERT ("id", "received_at", "uuid_ts", "plan", "we""ird 'name'; --") VALUES (s."id", s."received_at", s."uuid_ts", s."plan", s."we""ird 'name'; --")

-- merge of ids alone
MERGE INTO "production"."users" AS t USING appended_data AS s ON t."id" = s."id" WHEN NOT MATCHED THEN INSERT ("id") VALUES (s."id")

-- events without files
CREATE OR REPLACE VIEW lake."production" AS SELECT NULL::VARCHAR AS "message_id", NULL::VARCHAR AS "type", NULL::VARCHAR AS "event", NULL::TIMESTAMPTZ AS "ts", NULL::TIMESTAMPTZ AS "received_at", NULL::TIMESTAMPTZ AS "sent_at", NULL::TIMESTAMPTZ AS "original_timestamp", NULL::VARCHAR AS "user_id", NULL::VARCHAR AS "anonymous_id", NULL::VARCHAR AS "properties", NULL::VARCHAR AS "context", NULL::VARCHAR AS "og_payload", NULL::VARCHAR AS "_firth_log", NULL::BIGINT AS "_firth_offset" WHERE false

-- events
CREATE OR REPLACE VIEW lake."we""ird 'name'; --" AS SELECT "message_id", "type", "event", "ts", "received_at", "sent_at", "original_timestamp", "user_id", "anonymous_id", "properties", "context", "og_payload", "_firth_log", "_firth_offset" FROM read_parquet(['/lake/a.parquet', '/lake/it''s/b.parquet'], hive_partitioning = false, union_by_name = false)

-- dead letters without files
CREATE OR REPLACE VIEW firth.dead_letters AS SELECT NULL::TIMESTAMPTZ AS "received_at", NULL::VARCHAR AS "source", NULL::VARCHAR AS "reason", NULL::VARCHAR AS "payload" WHERE false

-- dead letters
CREATE OR REPLACE VIEW firth.dead_letters AS SELECT "received_at", "source", "reason", "payload" FROM read_parquet(['/lake/c.parquet'], hive_partitioning = false, union_by_name = false)

-- lock down
SET GLOBAL TimeZone = 'UTC'; SET allowed_directories = ['/data/lake/', '/data/it''s tmp/']; SET enable_external_access = false; SET lock_configuration = true

-- placeholders
($1, $2, $3), ($4, $5, $6)

