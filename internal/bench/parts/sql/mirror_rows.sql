DROP SCHEMA IF EXISTS bench_mirror CASCADE;
CREATE SCHEMA bench_mirror;
CREATE TABLE bench_mirror.rows (
    id          bigint PRIMARY KEY,
    account     uuid,
    email       text,
    note        text,
    plan        text,
    active      boolean,
    seats       integer,
    score       double precision,
    price       numeric(14, 4),
    tags        text[],
    settings    jsonb,
    created_at  timestamptz,
    seen_at     timestamp,
    born_on     date,
    fingerprint bytea
);
INSERT INTO bench_mirror.rows
SELECT i,
       md5(i::text)::uuid,
       'user' || i || '@example.com',
       repeat('note ' || i % 977 || ' ', 1 + (i % 7)::int),
       (ARRAY['free', 'pro', 'enterprise'])[1 + i % 3],
       i % 3 <> 0,
       (i * 7 % 100000)::int,
       i / 3.0::float8,
       (i % 1000000)::numeric / 7,
       CASE WHEN i % 5 = 0 THEN NULL ELSE ARRAY['tag' || i % 10, NULL, 'tag' || i % 13] END,
       jsonb_build_object('theme', 'dark', 'size', i % 50, 'nested', jsonb_build_object('a', i)),
       timestamptz '2020-01-01' + i * interval '17 seconds',
       timestamp '2021-06-01' + i * interval '3 seconds',
       date '1950-01-01' + (i % 20000)::int,
       decode(md5((i * 31)::text), 'hex')
FROM generate_series(1, $1::bigint) i;
