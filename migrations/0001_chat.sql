-- Users, channels, messages, reactions, read state. Migrations only ever add.
--
-- Every table that belongs to a channel leads its key with channel_id, so that all of a channel's rows are one
-- contiguous range of each tree: a history page is a range scan, and a channel can move to another database.
-- Tables are WITHOUT ROWID for the same reason, and because each extra tree is one more row written per change.

CREATE TABLE users (
    id            TEXT    NOT NULL PRIMARY KEY,
    display_name  TEXT    NOT NULL,
    public_key    TEXT,                            -- lowercase hex of an Ed25519 key; NULL: has none
    is_owner      INTEGER NOT NULL DEFAULT 0,
    is_admin      INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX users_by_public_key ON users (public_key) WHERE public_key IS NOT NULL;

CREATE TABLE roles (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    permissions   INTEGER NOT NULL,                -- the bits of `permissions.rs`
    color         INTEGER,
    position      INTEGER NOT NULL DEFAULT 0,
    is_default    INTEGER NOT NULL DEFAULT 0       -- 1: every user has it, without a row in user_roles
) STRICT, WITHOUT ROWID;

INSERT INTO roles (id, name, permissions, is_default) VALUES ('everyone', 'everyone', 65, 1);

CREATE TABLE user_roles (
    user_id       TEXT    NOT NULL REFERENCES users (id),
    role_id       TEXT    NOT NULL REFERENCES roles (id),
    PRIMARY KEY (user_id, role_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_roles_by_role ON user_roles (role_id);

CREATE TABLE bans (
    user_id       TEXT    NOT NULL PRIMARY KEY,
    reason        TEXT    NOT NULL DEFAULT '',
    banned_by     TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER                          -- NULL: for good
) STRICT, WITHOUT ROWID;

CREATE TABLE channels (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    topic         TEXT    NOT NULL DEFAULT '',
    private       INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL DEFAULT 0,
    revision      INTEGER NOT NULL DEFAULT 0,
    commit_id     TEXT    NOT NULL DEFAULT '',     -- of the last commit that changed a message: the fence of engine/commit.rs
    deleted_at    INTEGER                          -- hidden at once; its rows go in pieces (outbox)
) STRICT, WITHOUT ROWID;

-- The first channel's id is random in every deployment: with one fixed id, signed messages could cross between them.
INSERT INTO channels (id, name, topic, created_at)
SELECT lower(
           substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-'
           || substr('89ab', 1 + (random() & 3), 1) || substr(h, 18, 3) || '-' || substr(h, 21, 12)
       ),
       'general', '', unixepoch() * 1000
FROM (SELECT hex(randomblob(16)) AS h);

CREATE TABLE members (
    channel_id    TEXT    NOT NULL REFERENCES channels (id),
    user_id       TEXT    NOT NULL REFERENCES users (id),
    joined_at     INTEGER NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_user ON members (user_id);

CREATE TABLE messages (
    channel_id          TEXT    NOT NULL REFERENCES channels (id),
    server_sequence     INTEGER NOT NULL,
    id                  TEXT    NOT NULL,          -- UUIDv7
    revision            INTEGER NOT NULL,          -- the channel's, at this row's last change, reactions included
    sender_id           TEXT    NOT NULL REFERENCES users (id),
    sender_display_name TEXT    NOT NULL,          -- at the time of sending
    sender_pubkey       TEXT    NOT NULL DEFAULT '',
    content_text        TEXT    NOT NULL,          -- '' once deleted
    timestamp           INTEGER NOT NULL,
    reply_to_id         TEXT,
    edited              INTEGER NOT NULL DEFAULT 0,
    edit_timestamp      INTEGER,
    deleted             INTEGER NOT NULL DEFAULT 0,
    deleted_by          TEXT,
    mention_user_ids    TEXT    NOT NULL DEFAULT '[]',
    mention_role_ids    TEXT    NOT NULL DEFAULT '[]',
    nonce               TEXT,
    request_digest      TEXT    NOT NULL,          -- of content and reply_to_id as first sent: what a repeated nonce is compared with
    payload             BLOB,                      -- the newest signed envelope
    signature           BLOB,
    PRIMARY KEY (channel_id, server_sequence)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX messages_by_id ON messages (id);
-- `changes since R` is a range of this index; UNIQUE also makes a second writer fail where it collides.
CREATE UNIQUE INDEX messages_by_revision ON messages (channel_id, revision);
CREATE UNIQUE INDEX messages_by_nonce ON messages (channel_id, sender_id, nonce) WHERE nonce IS NOT NULL;

CREATE TABLE reactions (
    channel_id      TEXT    NOT NULL,
    server_sequence INTEGER NOT NULL,
    emoji           TEXT    NOT NULL,
    user_id         TEXT    NOT NULL REFERENCES users (id),
    created_at      INTEGER NOT NULL,
    revision        INTEGER NOT NULL,              -- the one it was added with
    PRIMARY KEY (channel_id, server_sequence, emoji, user_id),
    FOREIGN KEY (channel_id, server_sequence) REFERENCES messages (channel_id, server_sequence)
) STRICT, WITHOUT ROWID;

-- One row a mention of a live message. `target` is 'user:<id>' or 'role:<id>'.
CREATE TABLE mentions (
    channel_id      TEXT    NOT NULL,
    target          TEXT    NOT NULL,
    server_sequence INTEGER NOT NULL,
    sender_id       TEXT    NOT NULL,
    PRIMARY KEY (channel_id, target, server_sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE last_read (
    channel_id      TEXT    NOT NULL REFERENCES channels (id),
    user_id         TEXT    NOT NULL REFERENCES users (id),
    last_sequence   INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) STRICT, WITHOUT ROWID;

-- Work that a transaction promised and alarms finish in bounded pieces, whatever crashes in between.
CREATE TABLE outbox (
    id              TEXT    NOT NULL PRIMARY KEY,
    channel_id      TEXT    NOT NULL,
    kind            TEXT    NOT NULL,              -- 'purge_channel'
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_by_channel ON outbox (channel_id);
