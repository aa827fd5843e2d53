-- Registered users' logins, the challenges that they answered, and invites.

-- A challenge is signed and not stored; what is stored is that it was answered. A challenge's time of expiry is a part
-- of it, so that the rows which are no longer needed are the first ones.
CREATE TABLE used_challenges (
    expires_at    INTEGER NOT NULL,
    id            TEXT    NOT NULL,                -- its random bytes, in hex
    login_id      TEXT    NOT NULL,                -- the login that it admitted
    PRIMARY KEY (expires_at, id)
) STRICT, WITHOUT ROWID;

-- A login has one refresh token at a time. Both parts of it are here as digests only: who reads this table can't log in.
CREATE TABLE logins (
    id            TEXT    NOT NULL PRIMARY KEY,    -- of the part that all of its refresh tokens share
    user_id       TEXT    NOT NULL REFERENCES users (id),
    token_digest  TEXT    NOT NULL,                -- of the token that is good now
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL                 -- that token's
) STRICT, WITHOUT ROWID;

CREATE INDEX logins_by_expiry ON logins (expires_at);

CREATE TABLE invites (
    code          TEXT    NOT NULL PRIMARY KEY,
    created_by    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    max_uses      INTEGER,                         -- NULL: any number
    uses          INTEGER NOT NULL DEFAULT 0,
    expires_at    INTEGER                          -- NULL: never
) STRICT, WITHOUT ROWID;

-- Whether there is an owner.
CREATE INDEX users_owners ON users (id) WHERE is_owner = 1;
