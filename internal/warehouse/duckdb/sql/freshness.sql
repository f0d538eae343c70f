-- lag_seconds is how far the warehouse is behind what the lake has received; 0 when nothing is pending.
CREATE OR REPLACE TABLE firth.freshness (
    source           VARCHAR NOT NULL,
    warehouse        VARCHAR NOT NULL,
    received_through TIMESTAMPTZ,
    loaded_through   TIMESTAMPTZ,
    loaded_at        TIMESTAMPTZ,
    lag_seconds      DOUBLE,
    pending_rows     BIGINT NOT NULL,
    -- Of all sources together; NULL until the collecting half has told.
    flush_lag_seconds    DOUBLE,
    flush_waiting_events BIGINT,
    merge_waiting_files  BIGINT,
    merge_waiting_rows   BIGINT,
    merge_oldest         TIMESTAMPTZ
);
