-- What a signed message is known by, so that it is one message however often it comes, and its older edits stay gone.
-- These outlive a deletion, which erases envelope and signature.

-- Of the author's key and the signed bytes: of the envelope that was sent, and of the newest signed edit.
ALTER TABLE messages ADD COLUMN signed_digest TEXT;
ALTER TABLE messages ADD COLUMN edit_digest TEXT;
-- The newest envelope's own time, Unix milliseconds: an edit must be later. NULL: not signed, or deleted.
ALTER TABLE messages ADD COLUMN signed_at INTEGER;

-- Partial: an unsigned message costs no row here.
CREATE UNIQUE INDEX messages_by_signature ON messages (channel_id, signed_digest) WHERE signed_digest IS NOT NULL;
