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

-- append what is missing
INSERT INTO "production"."we""ird 'name'; --" ("id", "we""ird 'name'; --") SELECT "id", "we""ird 'name'; --" FROM appended_data AS s WHERE NOT EXISTS (SELECT 1 FROM "production"."we""ird 'name'; --" AS t WHERE t."id" = s."id")

-- discards that are missing
INSERT INTO "production"."firth_discards" ("table_name", "loaded_at") SELECT "table_name", "loaded_at" FROM appended_data AS s WHERE NOT EXISTS (SELECT 1 FROM "production"."firth_discards" AS t WHERE t."table_name" IS NOT DISTINCT FROM s."table_name" AND t."column_name" IS NOT DISTINCT FROM s."column_name" AND t."value" IS NOT DISTINCT FROM s."value" AND t."value_type" IS NOT DISTINCT FROM s."value_type" AND t."column_type" IS NOT DISTINCT FROM s."column_type" AND t."reason" IS NOT DISTINCT FROM s."reason" AND t."row_id" IS NOT DISTINCT FROM s."row_id")

-- recompute users
MERGE INTO "production"."users" AS t USING (SELECT c."user_id" AS id, max(c.received_at) AS received_at, arg_max(TRY_CAST(c."n" AS BIGINT), (c.received_at, c.id)) FILTER (WHERE TRY_CAST(c."n" AS BIGINT) IS NOT NULL) AS "n", arg_max(TRY_CAST(c."f" AS DOUBLE), (c.received_at, c.id)) FILTER (WHERE TRY_CAST(c."f" AS DOUBLE) IS NOT NULL) AS "f", arg_max(TRY_CAST(c."b" AS BOOLEAN), (c.received_at, c.id)) FILTER (WHERE TRY_CAST(c."b" AS BOOLEAN) IS NOT NULL) AS "b", arg_max(TRY_CAST(c."timestamp" AS TIMESTAMPTZ), (c.received_at, c.id)) FILTER (WHERE TRY_CAST(c."timestamp" AS TIMESTAMPTZ) IS NOT NULL) AS "timestamp", arg_max(TRY_CAST(c."we""ird 'name'; --" AS VARCHAR), (c.received_at, c.id)) FILTER (WHERE TRY_CAST(c."we""ird 'name'; --" AS VARCHAR) IS NOT NULL) AS "we""ird 'name'; --" FROM "production"."identifies" AS c WHERE c."user_id" IN (SELECT id FROM appended_data) GROUP BY c."user_id") AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET received_at = greatest(t.received_at, s.received_at), uuid_ts = '2023-11-14 22:13:20.123456+00'::TIMESTAMPTZ, loaded_at = '2023-11-14 22:13:20.123456+00'::TIMESTAMPTZ, "n" = coalesce(s."n", t."n"), "f" = coalesce(s."f", t."f"), "b" = coalesce(s."b", t."b"), "timestamp" = coalesce(s."timestamp", t."timestamp"), "we""ird 'name'; --" = coalesce(s."we""ird 'name'; --", t."we""ird 'name'; --") WHEN NOT MATCHED THEN INSERT ("id", "received_at", "uuid_ts", "loaded_at", "n", "f", "b", "timestamp", "we""ird 'name'; --") VALUES (s.id, s.received_at, '2023-11-14 22:13:20.123456+00'::TIMESTAMPTZ, '2023-11-14 22:13:20.123456+00'::TIMESTAMPTZ, s."n", s."f", s."b", s."timestamp", s."we""ird 'name'; --")

-- recompute ids alone
MERGE INTO "production"."accounts" AS t USING (SELECT c."group_id" AS id, max(c.received_at) AS received_at FROM "production"."groups" AS c WHERE c."group_id" IN (SELECT id FROM appended_data) GROUP BY c."group_id") AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET received_at = greatest(t.received_at, s.received_at), uuid_ts = '2023-11-14 22:13:20+00'::TIMESTAMPTZ, loaded_at = '2023-11-14 22:13:20+00'::TIMESTAMPTZ WHEN NOT MATCHED THEN INSERT ("id", "received_at", "uuid_ts", "loaded_at") VALUES (s.id, s.received_at, '2023-11-14 22:13:20+00'::TIMESTAMPTZ, '2023-11-14 22:13:20+00'::TIMESTAMPTZ)

-- swap
CREATE TABLE "production"."_firth_swap" ("id" VARCHAR, "n" BIGINT);
INSERT INTO "production"."_firth_swap" ("id", "n") SELECT r."id", r."n" FROM "_firth_rebuild_production"."we""ird 'name'; --" AS r;
DROP TABLE "production"."we""ird 'name'; --";
ALTER TABLE "production"."_firth_swap" RENAME TO "we""ird 'name'; --"

-- swap of a table that is not there
CREATE TABLE "production"."_firth_swap" ("id" VARCHAR);
INSERT INTO "production"."_firth_swap" ("id") SELECT r."id" FROM "_firth_rebuild_production"."clicks" AS r;
ALTER TABLE "production"."_firth_swap" RENAME TO "clicks"

-- swap with columns of a person's
CREATE TABLE "production"."_firth_swap" ("id" VARCHAR, "we""ird 'name'; --" VARCHAR DEFAULT ('x'), "more" DATE, "untold" BIGINT DEFAULT (1 + 1));
INSERT INTO "production"."_firth_swap" ("id", "we""ird 'name'; --", "more") SELECT r."id", CASE WHEN o.id IS NULL THEN ('x') ELSE o."we""ird 'name'; --" END, CASE WHEN o.id IS NULL THEN NULL ELSE o."more" END FROM "_firth_rebuild_production"."clicks" AS r LEFT JOIN (SELECT id, first("we""ird 'name'; --") AS "we""ird 'name'; --", first("more") AS "more" FROM "production"."clicks" GROUP BY id) AS o ON o.id = r.id;
DROP TABLE "production"."clicks";
ALTER TABLE "production"."_firth_swap" RENAME TO "clicks"

-- swap of discards
DELETE FROM "production"."firth_discards" WHERE table_name = 'we"ird ''name''; --';
INSERT INTO "production"."firth_discards" ("table_name", "column_name", "value", "value_type", "column_type", "reason", "row_id", "received_at", "loaded_at") SELECT "table_name", "column_name", "value", "value_type", "column_type", "reason", "row_id", "received_at", "loaded_at" FROM "_firth_rebuild_production"."firth_discards" WHERE table_name = 'we"ird ''name''; --'

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

