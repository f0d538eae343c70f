-- create schema
CREATE SCHEMA IF NOT EXISTS "we""ird 'name'; \ --"

-- create table
CREATE TABLE "production"."clicks" ("id" varchar(65535), "received_at" timestamp, "n" bigint, "f" double precision, "b" boolean, "we""ird 'name'; \ --" varchar(65535)) DISTKEY("id") SORTKEY("received_at")

-- create table without keys
CREATE TABLE "production"."we""ird 'name'; \ --" ("n" bigint, "f" double precision, "b" boolean, "we""ird 'name'; \ --" varchar(65535))

-- create the table of discards
CREATE TABLE "production"."firth_discards" ("table_name" varchar(65535), "column_name" varchar(65535), "value" varchar(65535), "value_type" varchar(65535), "column_type" varchar(65535), "reason" varchar(65535), "row_id" varchar(65535), "received_at" timestamp, "loaded_at" timestamp) SORTKEY("received_at")

-- add column
ALTER TABLE "production"."clicks" ADD COLUMN "received_at" timestamp

-- add column with an odd name
ALTER TABLE "we""ird 'name'; \ --"."we""ird 'name'; \ --" ADD COLUMN "we""ird 'name'; \ --" varchar(65535)

-- drop column
ALTER TABLE "production"."clicks" DROP COLUMN "n"

-- grow column
ALTER TABLE "production"."clicks" ALTER COLUMN "s" TYPE varchar(65535)

-- widen column
ALTER TABLE "production"."clicks" ADD COLUMN "_firth_widened" double precision;
UPDATE "production"."clicks" SET "_firth_widened" = "we""ird 'name'; \ --" WHERE "we""ird 'name'; \ --" IS NOT NULL;
ALTER TABLE "production"."clicks" DROP COLUMN "we""ird 'name'; \ --";
ALTER TABLE "production"."clicks" RENAME COLUMN "_firth_widened" TO "we""ird 'name'; \ --"

-- list inexact
INSERT INTO "production"."firth_discards" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at) SELECT ('we"ird ''name''; ' || chr(92) || ' --'), 'n', CAST("n" AS varchar(32)), 'integer', 'float', 'rounded_by_widening', id, received_at, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM "production"."we""ird 'name'; \ --" WHERE ("n" > 9007199254740992 OR "n" < -9007199254740992) AND MOD(CAST("n" AS bigint), CAST(CASE WHEN "n" > 4611686018427387904 OR "n" < -4611686018427387904 THEN 1024 WHEN "n" > 2305843009213693952 OR "n" < -2305843009213693952 THEN 512 WHEN "n" > 1152921504606846976 OR "n" < -1152921504606846976 THEN 256 WHEN "n" > 576460752303423488 OR "n" < -576460752303423488 THEN 128 WHEN "n" > 288230376151711744 OR "n" < -288230376151711744 THEN 64 WHEN "n" > 144115188075855872 OR "n" < -144115188075855872 THEN 32 WHEN "n" > 72057594037927936 OR "n" < -72057594037927936 THEN 16 WHEN "n" > 36028797018963968 OR "n" < -36028797018963968 THEN 8 WHEN "n" > 18014398509481984 OR "n" < -18014398509481984 THEN 4 ELSE 2 END AS bigint)) <> 0

-- staging table
CREATE TEMP TABLE firth_stage_3 (c0 varchar(1), c1 varchar(26), c2 bigint, c3 double precision, c4 boolean, c5 varchar(50)) DISTKEY(c0)

-- copy with a role
COPY firth_stage_3 (c0, c1, c2, c3, c4, c5) FROM 's3://bucket/stage/i/l/0000.manifest' IAM_ROLE 'arn:aws:iam::123456789012:role/firth' REGION 'eu-central-1' MANIFEST GZIP CSV NULL AS 'null-1' COMPUPDATE OFF STATUPDATE OFF

-- copy with keys
COPY firth_stage_3 (c0, c1, c2, c3, c4, c5) FROM 's3://bucket/stage/i/l/0000.manifest' ACCESS_KEY_ID 'AKIA' SECRET_ACCESS_KEY 'se/cret' SESSION_TOKEN 'token' REGION 'eu-central-1' MANIFEST GZIP CSV NULL AS 'null-1' COMPUPDATE OFF STATUPDATE OFF

-- insert
INSERT INTO "production"."clicks" ("id", "received_at", "n", "f", "b", "we""ird 'name'; \ --", "uuid_ts") SELECT s.c0, CAST(s.c1 AS timestamp), s.c2, s.c3, s.c4, s.c5, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_3 s

-- insert what is missing
INSERT INTO "production"."we""ird 'name'; \ --" ("id", "received_at", "n", "f", "b", "we""ird 'name'; \ --", "uuid_ts") SELECT s.c0, CAST(s.c1 AS timestamp), s.c2, s.c3, s.c4, s.c5, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_3 s LEFT JOIN (SELECT DISTINCT "id" AS k, octet_length("id") AS w FROM "production"."we""ird 'name'; \ --") t ON t.k = s.c0 AND t.w = octet_length(s.c0) WHERE t.k IS NULL

-- insert into a table of others
INSERT INTO "production"."clicks" ("id", "received_at", "n", "f", "b", "we""ird 'name'; \ --", "uuid_ts") SELECT s.c0, CAST(s.c1 AS timestamp), s.c2, s.c3, s.c4, s.c5, CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_3 s LEFT JOIN (SELECT DISTINCT "id" AS k, octet_length("id") AS w FROM "production"."clicks" WHERE received_at <= CAST('2026-01-02 03:04:05.678901' AS timestamp)) t ON t.k = s.c0 AND t.w = octet_length(s.c0) AND CAST(s.c1 AS timestamp) <= CAST('2026-01-02 03:04:05.678901' AS timestamp) WHERE t.k IS NULL

-- update
UPDATE "production"."users" AS t SET "received_at" = CASE WHEN t."received_at" IS NULL OR CAST(s.c1 AS timestamp) > t."received_at" THEN CAST(s.c1 AS timestamp) ELSE t."received_at" END, "n" = COALESCE(s.c2, t."n"), "f" = COALESCE(s.c3, t."f"), "b" = COALESCE(s.c4, t."b"), "we""ird 'name'; \ --" = COALESCE(s.c5, t."we""ird 'name'; \ --"), "uuid_ts" = COALESCE(CAST('2026-01-02 03:04:05.678901' AS timestamp), t."uuid_ts") FROM firth_stage_3 s WHERE t."id" = s.c0 AND octet_length(t."id") = octet_length(s.c0)

-- update of ids alone


-- insert discards that are missing
INSERT INTO "production"."firth_discards" ("table_name", "column_name", "value", "value_type", "column_type", "reason", "row_id", "received_at", "loaded_at") SELECT s.c0, s.c1, s.c2, s.c3, s.c4, s.c5, s.c6, CAST(s.c7 AS timestamp), CAST('2026-01-02 03:04:05.678901' AS timestamp) FROM firth_stage_3 s WHERE NOT EXISTS (SELECT 1 FROM "production"."firth_discards" t WHERE (t."table_name" = s.c0 OR t."table_name" IS NULL AND s.c0 IS NULL) AND (t."column_name" = s.c1 OR t."column_name" IS NULL AND s.c1 IS NULL) AND (t."value" = s.c2 OR t."value" IS NULL AND s.c2 IS NULL) AND (t."value_type" = s.c3 OR t."value_type" IS NULL AND s.c3 IS NULL) AND (t."column_type" = s.c4 OR t."column_type" IS NULL AND s.c4 IS NULL) AND (t."reason" = s.c5 OR t."reason" IS NULL AND s.c5 IS NULL) AND (t."row_id" = s.c6 OR t."row_id" IS NULL AND s.c6 IS NULL) AND (t."received_at" = CAST(s.c7 AS timestamp) OR t."received_at" IS NULL AND s.c7 IS NULL))

-- last of each
CREATE TEMP TABLE firth_again AS SELECT max(k) AS c0, max(received) AS received, max(CASE WHEN n = m1 THEN v1 END) AS c1, max(CASE WHEN n = m2 THEN v2 END) = 1 AS c2, max(CASE WHEN n = m3 THEN v3 END) AS c3 FROM (SELECT k, w, received, n, v1, max(CASE WHEN v1 IS NOT NULL THEN n END) OVER (PARTITION BY k, w) AS m1, v2, max(CASE WHEN v2 IS NOT NULL THEN n END) OVER (PARTITION BY k, w) AS m2, v3, max(CASE WHEN v3 IS NOT NULL THEN n END) OVER (PARTITION BY k, w) AS m3 FROM (SELECT i."user_id" AS k, octet_length(i."user_id") AS w, i.received_at AS received, row_number() OVER (PARTITION BY i."user_id", octet_length(i."user_id") ORDER BY i.received_at, i.id) AS n, i."n" AS v1, CASE WHEN i."b" THEN 1 WHEN NOT i."b" THEN 0 END AS v2, i."we""ird 'name'; \ --" AS v3 FROM "production"."identifies" i WHERE i."user_id" IN (SELECT c0 FROM firth_stage_3)) said) numbered GROUP BY k, w

-- literal
('it''s ' || chr(92) || ' "odd" ' || chr(92) || '')

-- longest name
"long_name_long_name_long_name_long_name_long_name_long_name_long_name_long_name_long_name_long_name_long_name_long_nam_aab8c807"

-- reserved and digit-first names
"_select" "_3doctors"

