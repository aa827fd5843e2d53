-- Moderation: who did what, and where users have been.

-- Written by the transactions whose work it records, and never changed.
CREATE TABLE audit (
    id            TEXT    NOT NULL PRIMARY KEY,    -- UUIDv7: in the order of time
    actor_id      TEXT    NOT NULL,
    action        TEXT    NOT NULL,                -- one of `audit.rs`
    target        TEXT    NOT NULL,                -- the id of what was acted on
    details       TEXT    NOT NULL DEFAULT '{}',   -- a JSON object
    timestamp     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
