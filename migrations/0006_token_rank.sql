-- What a user's token said of them when they last wrote or connected: 0 nothing, 1 an admin's, 2 an owner's. It gives
-- nothing, since the token itself does; it keeps those with less from acting on them.
ALTER TABLE users ADD COLUMN token_rank INTEGER NOT NULL DEFAULT 0;
