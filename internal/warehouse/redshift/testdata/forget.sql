-- create the ids
CREATE TEMP TABLE firth_forget_ids (kind varchar(16), c0 varchar(65535), w integer);

-- insert ids
INSERT INTO firth_forget_ids VALUES ('user', 'ann', octet_length('ann')), ('user', ('o''neil' || chr(92) || ' "x" '), octet_length(('o''neil' || chr(92) || ' "x" ')));

-- the rebuilds of a source
'50|%|_of||it''s#%' ESCAPE '|';

-- of calls
(CAST("user_id" AS varchar(64)), octet_length(CAST("user_id" AS varchar(64)))) IN (SELECT c0, w FROM firth_forget_ids WHERE kind IN ('user')) OR ("anonymous_id", octet_length("anonymous_id")) IN (SELECT c0, w FROM firth_forget_ids WHERE kind IN ('anonymous')) OR ("id", octet_length("id")) IN (SELECT c0, w FROM firth_forget_ids WHERE kind IN ('row'));

-- collect
CREATE TEMP TABLE firth_forget_keys AS SELECT DISTINCT "user_id" AS c0, octet_length("user_id") AS w FROM "production"."identifies" WHERE (("id", octet_length("id")) IN (SELECT c0, w FROM firth_forget_ids WHERE kind IN ('row'))) AND "user_id" IS NOT NULL;

-- orphans
("id", octet_length("id")) IN (SELECT c0, w FROM firth_forget_keys) AND ("id", octet_length("id")) NOT IN (SELECT "user_id", octet_length("user_id") FROM "production"."identifies" WHERE "user_id" IS NOT NULL);

-- anew
UPDATE "production"."users" AS t SET "received_at" = s.received, "email" = s.c1, "o'neil\ ""x"" " = s.c2, "uuid_ts" = now FROM firth_again s WHERE t."id" = s.c0 AND octet_length(t."id") = octet_length(s.c0);

-- anew in a table that was taken over
UPDATE "production"."users" AS t SET "received_at" = CASE WHEN t."received_at" IS NULL OR s.received > t."received_at" THEN s.received ELSE t."received_at" END, "email" = COALESCE(s.c1, t."email") FROM firth_again s WHERE t."id" = s.c0 AND octet_length(t."id") = octet_length(s.c0);

-- vacuum
VACUUM DELETE ONLY "production"."o'neil\ ""x"" " TO 100 PERCENT;

