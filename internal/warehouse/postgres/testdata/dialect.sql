-- create schema
CREATE SCHEMA IF NOT EXISTS "we""ird 'name'; \ --"

-- create table
CREATE TABLE "production"."select" ("id" text, "n" bigint, "f" double precision, "b" boolean, "timestamp" timestamp with time zone, "we""ird 'name'; \ --" text) USING "heap"

-- create table of Hydra's
CREATE TABLE "production"."clicks" ("id" text, "n" bigint) USING "columnar"

-- create table of users
CREATE TABLE "production"."users" ("id" text, "n" bigint, PRIMARY KEY ("id")) USING "heap"

-- create table without columns
CREATE TABLE "production"."we""ird 'name'; \ --" () USING "heap"

-- add columns
ALTER TABLE "production"."clicks" ADD COLUMN IF NOT EXISTS "timestamp" timestamp with time zone, ADD COLUMN IF NOT EXISTS "we""ird 'name'; \ --" text

-- widen column
ALTER TABLE "production"."clicks" ALTER COLUMN "we""ird 'name'; \ --" TYPE double precision

-- new type in an empty table
ALTER TABLE "production"."clicks" ALTER COLUMN "we""ird 'name'; \ --" DROP DEFAULT, ALTER COLUMN "we""ird 'name'; \ --" TYPE text USING NULL::text

-- list inexact
INSERT INTO "production"."firth_discards" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at) SELECT  E'we"ird ''name''; \\ --', 'n', "n"::text, 'integer', 'float', 'rounded_by_widening', "id"::text, "received_at", $1::timestamptz FROM "production"."we""ird 'name'; \ --" WHERE ("n" > 9007199254740992 OR "n" < -9007199254740992) AND CASE WHEN "n"::double precision >= 9223372036854775808.0::double precision THEN true ELSE "n"::double precision::bigint <> "n" END

-- list inexact without ids
INSERT INTO "production"."firth_discards" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at) SELECT  E'we"ird ''name''; \\ --',  E'we"ird ''name''; \\ --', "we""ird 'name'; \ --"::text, 'integer', 'float', 'rounded_by_widening', NULL::text, NULL::timestamptz, $1::timestamptz FROM "production"."we""ird 'name'; \ --" WHERE ("we""ird 'name'; \ --" > 9007199254740992 OR "we""ird 'name'; \ --" < -9007199254740992) AND CASE WHEN "we""ird 'name'; \ --"::double precision >= 9223372036854775808.0::double precision THEN true ELSE "we""ird 'name'; \ --"::double precision::bigint <> "we""ird 'name'; \ --" END

-- copy
COPY "production"."we""ird 'name'; \ --" ("id", "we""ird 'name'; \ --") FROM STDIN BINARY

-- create stage
CREATE TEMPORARY TABLE firth_stage_1 ("id" text, "we""ird 'name'; \ --" bigint) USING heap ON COMMIT DROP

-- insert staged
INSERT INTO "production"."we""ird 'name'; \ --" ("id", "we""ird 'name'; \ --") SELECT s."id", f(s.x) FROM pg_temp.firth_stage_1 AS s WHERE NOT EXISTS (SELECT FROM "production"."we""ird 'name'; \ --" AS t WHERE t."id"::text = s."id") AND NOT EXISTS (SELECT FROM pg_temp.firth_stage_1 AS d WHERE d."id" = s."id" AND d.ctid < s.ctid)

-- insert staged of a table taken over
INSERT INTO "production"."we""ird 'name'; \ --" ("id") SELECT s."id" FROM pg_temp.firth_stage_1 AS s WHERE (s."received_at" > '2024-01-02 03:04:05.678901+00'::timestamptz OR NOT EXISTS (SELECT FROM "production"."we""ird 'name'; \ --" AS t WHERE t."id"::text = s."id"))

-- insert discards again
INSERT INTO "production"."we""ird 'name'; \ --" ("id") SELECT s."id" FROM pg_temp.firth_stage_1 AS s WHERE NOT EXISTS (SELECT FROM "production"."we""ird 'name'; \ --" AS t WHERE t."table_name" IS NOT DISTINCT FROM s."table_name" AND t."column_name" IS NOT DISTINCT FROM s."column_name" AND t."value" IS NOT DISTINCT FROM s."value" AND t."value_type" IS NOT DISTINCT FROM s."value_type" AND t."column_type" IS NOT DISTINCT FROM s."column_type" AND t."reason" IS NOT DISTINCT FROM s."reason" AND t."row_id" IS NOT DISTINCT FROM s."row_id" AND t."received_at" IS NOT DISTINCT FROM s."received_at" AND t.row_id = s.row_id) AND NOT EXISTS (SELECT FROM pg_temp.firth_stage_1 AS d WHERE d."table_name" IS NOT DISTINCT FROM s."table_name" AND d."column_name" IS NOT DISTINCT FROM s."column_name" AND d."value" IS NOT DISTINCT FROM s."value" AND d."value_type" IS NOT DISTINCT FROM s."value_type" AND d."column_type" IS NOT DISTINCT FROM s."column_type" AND d."reason" IS NOT DISTINCT FROM s."reason" AND d."row_id" IS NOT DISTINCT FROM s."row_id" AND d."received_at" IS NOT DISTINCT FROM s."received_at" AND d.row_id = s.row_id AND d.ctid < s.ctid)

-- update staged
UPDATE "production"."we""ird 'name'; \ --" AS t SET "received_at" = greatest(t."received_at", s."received_at"), "we""ird 'name'; \ --" = coalesce(s.x, t."we""ird 'name'; \ --") FROM pg_temp.firth_stage_2 AS s WHERE t."id" = s."id"

-- update of ids alone


-- read json
DROP FUNCTION IF EXISTS pg_temp.firth_read_1(text); CREATE FUNCTION pg_temp.firth_read_1(v text) RETURNS jsonb LANGUAGE plpgsql AS 'DECLARE x jsonb; BEGIN BEGIN x := v::jsonb; EXCEPTION WHEN OTHERS THEN x := to_json(v)::jsonb; END; RETURN x; EXCEPTION WHEN OTHERS THEN RETURN NULL; END'

-- read numeric
DROP FUNCTION IF EXISTS pg_temp.firth_read_2(text); CREATE FUNCTION pg_temp.firth_read_2(v text) RETURNS numeric(10,2) LANGUAGE plpgsql AS 'DECLARE x numeric(10,2); BEGIN x := v::numeric(10,2); RETURN CASE WHEN x::numeric = v::numeric THEN x END; EXCEPTION WHEN OTHERS THEN RETURN NULL; END'

-- read date
DROP FUNCTION IF EXISTS pg_temp.firth_read_3(text); CREATE FUNCTION pg_temp.firth_read_3(v text) RETURNS date LANGUAGE plpgsql AS 'DECLARE x date; BEGIN x := v::date; RETURN CASE WHEN x = v::timestamptz::timestamp THEN x END; EXCEPTION WHEN OTHERS THEN RETURN NULL; END'

-- read another type
DROP FUNCTION IF EXISTS pg_temp.firth_read_4(text); CREATE FUNCTION pg_temp.firth_read_4(v text) RETURNS production."it's" LANGUAGE plpgsql AS 'DECLARE x production."it''s"; BEGIN x := v::production."it''s"; IF x::text = v THEN RETURN x; END IF; IF starts_with(v, x::text) THEN RETURN NULL; END IF; BEGIN IF x::text::numeric <> v::numeric THEN RETURN NULL; END IF; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN x; EXCEPTION WHEN OTHERS THEN RETURN NULL; END'

-- list unread
INSERT INTO "production"."firth_discards" (table_name, column_name, value, value_type, column_type, reason, row_id, received_at, loaded_at) SELECT  E'we"ird ''name''; \\ --',  E'we"ird ''name''; \\ --', left(s."we""ird 'name'; \ --"::text, 65536), 'string', 'string', 'does_not_fit', s."id", NULL, $1::timestamptz FROM pg_temp.firth_stage_1 AS s WHERE s."we""ird 'name'; \ --" IS NOT NULL AND f(s.x) IS NULL AND s.x > 1

-- work out anew
UPDATE "production"."we""ird 'name'; \ --" AS t SET "received_at" = coalesce(n."received_at", t."received_at"), "we""ird 'name'; \ --" = coalesce(n."we""ird 'name'; \ --", t."we""ird 'name'; \ --"), "n" = coalesce(n."n", t."n"), "loaded_at" = $1::timestamptz FROM (SELECT f."user_id"::text AS "id", max(f."received_at") AS "received_at", (array_agg(f."we""ird 'name'; \ --" ORDER BY f."received_at" DESC NULLS LAST, f."id" DESC) FILTER (WHERE f."we""ird 'name'; \ --" IS NOT NULL))[1] AS "we""ird 'name'; \ --", (array_agg(f."n" ORDER BY f."received_at" DESC NULLS LAST, f."id" DESC) FILTER (WHERE f."n" IS NOT NULL))[1]::double precision AS "n" FROM "production"."identifies" AS f WHERE f."user_id"::text IN (SELECT s."id" FROM pg_temp.firth_stage_1 AS s) GROUP BY 1) AS n WHERE t."id"::text = n."id" AND $1::timestamptz IS NOT NULL

-- lock
LOCK TABLE "production"."we""ird 'name'; \ --", "production"."x" IN ROW EXCLUSIVE MODE

-- view
DROP VIEW "production"."we""ird 'name'; \ --";
CREATE VIEW "production"."we""ird 'name'; \ --" WITH (security_barrier=true) AS SELECT 1;
COMMENT ON VIEW "production"."we""ird 'name'; \ --" IS  E'we"ird ''name''; \\ --';
ALTER TABLE "production"."we""ird 'name'; \ --" OWNER TO "we""ird 'name'; \ --"

-- materialized view
DROP MATERIALIZED VIEW "production"."stored";
CREATE MATERIALIZED VIEW "production"."stored" USING "columnar" AS SELECT 1 WITH NO DATA;
COMMENT ON MATERIALIZED VIEW "production"."stored" IS '';
ALTER TABLE "production"."stored" OWNER TO "ann"

-- keep columns
CREATE TEMPORARY TABLE firth_saved_1 USING heap ON COMMIT DROP AS SELECT DISTINCT ON ("id") "id"::text AS firth_id, "mine", "we""ird 'name'; \ --" FROM "production"."we""ird 'name'; \ --" WHERE "id" IS NOT NULL ORDER BY "id"

-- keep rows
CREATE TEMPORARY TABLE firth_kept_1 USING heap ON COMMIT DROP AS SELECT t."id", t."we""ird 'name'; \ --" FROM "production"."we""ird 'name'; \ --" AS t WHERE NOT EXISTS (SELECT FROM "rebuild"."we""ird 'name'; \ --" AS n WHERE n."id" = t."id"::text) AND coalesce(t."received_at" <= '2023-11-14 22:13:20.123456+00'::timestamptz, true)

-- fill
INSERT INTO "production"."we""ird 'name'; \ --" ("id", "we""ird 'name'; \ --") SELECT n."id", n."we""ird 'name'; \ --" FROM "rebuild"."we""ird 'name'; \ --" AS n

-- fill with columns kept
INSERT INTO "production"."we""ird 'name'; \ --" ("id", "we""ird 'name'; \ --", "mine") SELECT n."id", n."we""ird 'name'; \ --", k."mine" FROM "rebuild"."we""ird 'name'; \ --" AS n JOIN pg_temp.firth_saved_1 AS k ON k.firth_id = n."id";
INSERT INTO "production"."we""ird 'name'; \ --" ("id", "we""ird 'name'; \ --") SELECT n."id", n."we""ird 'name'; \ --" FROM "rebuild"."we""ird 'name'; \ --" AS n WHERE NOT EXISTS (SELECT FROM pg_temp.firth_saved_1 AS k WHERE k.firth_id = n."id")

-- move the catalogue
INSERT INTO _firth.tables AS t SELECT $1, $2, table_name, first_seen, false, NULL::timestamptz FROM _firth.tables WHERE source = $3 AND schema_name = $4 AND table_name = ANY ($5) ON CONFLICT DO NOTHING;
INSERT INTO _firth.columns AS c SELECT $1, $2, table_name, column_name, type, path, first_seen, ordinal FROM _firth.columns WHERE source = $3 AND schema_name = $4 AND table_name = ANY ($5) ON CONFLICT (source, schema_name, table_name, column_name) DO UPDATE SET type = excluded.type, path = excluded.path

-- set up
CREATE ROLE "we""ird 'name'; \ --" LOGIN PASSWORD '<password>';
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "analytics" TO "we""ird 'name'; \ --";

-- Firth makes the schemas "staging", "we""ird 'name'; \ --" itself. Where one is there already, with tables to be taken
-- over, connect to the database and run these for it too; OWNER is who owns the tables (\dt shows it).
-- GRANT USAGE, CREATE ON SCHEMA "staging" TO "we""ird 'name'; \ --";
-- GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA "staging" TO "we""ird 'name'; \ --";
-- GRANT OWNER TO "we""ird 'name'; \ --"; -- so that it may add columns
-- GRANT USAGE, CREATE ON SCHEMA "we""ird 'name'; \ --" TO "we""ird 'name'; \ --";
-- GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA "we""ird 'name'; \ --" TO "we""ird 'name'; \ --";
-- GRANT OWNER TO "we""ird 'name'; \ --"; -- so that it may add columns


-- set up without sources
CREATE ROLE "firth" LOGIN PASSWORD '<password>';
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "analytics" TO "firth";


