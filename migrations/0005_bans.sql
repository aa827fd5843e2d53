-- What a ban does in channels: where its user has been, and what is promised there.

-- Who has ever written in a channel or connected to it: where sockets may be open, and messages lie.
CREATE TABLE visitors (
    channel_id    TEXT    NOT NULL,
    user_id       TEXT    NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX visitors_by_user ON visitors (user_id);

INSERT INTO visitors (channel_id, user_id)
SELECT channel_id, sender_id FROM messages UNION SELECT channel_id, user_id FROM reactions
UNION SELECT channel_id, user_id FROM members;

-- A promise of kind 'expel': the user's sockets in this channel close, and where `since` is not NULL, what they sent
-- from that time on is deleted. Until then it is hidden, which goes by these columns (`erasure.rs`).
ALTER TABLE outbox ADD COLUMN user_id TEXT;
ALTER TABLE outbox ADD COLUMN actor_id TEXT;                 -- who banned
ALTER TABLE outbox ADD COLUMN since INTEGER;
-- Up to which sequence messages, and reactions to messages, are yet to be deleted; at first the channel's last.
ALTER TABLE outbox ADD COLUMN messages_through INTEGER;
ALTER TABLE outbox ADD COLUMN reactions_through INTEGER;
-- The channel's revision at the ban: what was sent after it is not meant.
ALTER TABLE outbox ADD COLUMN revision INTEGER;

-- Partial, so that a channel's purge costs nothing here.
CREATE INDEX outbox_by_user ON outbox (user_id, channel_id) WHERE user_id IS NOT NULL;
