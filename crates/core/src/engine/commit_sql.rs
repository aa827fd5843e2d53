//! The statements of a commit.
//!
//! Each works on all commands of its kind at once: they arrive as one JSON list, so that neither parameters nor
//! round trips grow with their number. All of them take the same parameters:
//!
//! | parameter | what |
//! | --- | --- |
//! | `?1` | the channel's id |
//! | `?2` | the commit id that the channel's row must carry: that of the commit before this one |
//! | `?3` | the callers: `[{id, name, trusted}]`, each once; `trusted` is the token's rank |
//! | `?4` | the time, Unix milliseconds |
//! | `?5` | the commands of the statement's kind, `k` being the place in the commit |
//!
//! **The fence.** Every statement that changes something does so only while the channel's row still carries `?2`;
//! [`CLOSE`] puts this commit's own id there. So a commit that runs twice changes nothing the second time, and one
//! that arrives late, after others, changes nothing at all. The statements that read come after, and read what
//! happened from the rows: what the answer says is the same however often the batch ran.
//!
//! **The plus.** A parameter that a column is compared with is written `+?1`. For the bare `column = ?1` of a condition
//! that no index serves, SQLite guesses by the value (0 and 1 are common), and so compiles the statement anew each time
//! it is bound: a seventh of what a commit costs the database.
//!
//! An `UPDATE … FROM` names the rows once more by `IN`: without it SQLite walks the whole channel, and looks each of
//! its messages up among the few that are meant.

use crate::{
    access::{banned_sql, bits_sql},
    erasure::{erased_reaction_sql, erased_sql},
    message::{message_sql, reactions_sql},
    unread::{mentions_sql, unread_sql},
};

/// `actor`: what each caller may do, at this moment.
macro_rules! actors {
    () => {
        concat!(
            "actor AS MATERIALIZED (
                SELECT a.value->>'id' AS id, ", bits_sql!("a.value->>'id'", "a.value->>'trusted'"), " AS bits,
                       ", banned_sql!("a.value->>'id'", "?4"), " AS banned,
                       EXISTS (SELECT 1 FROM members m WHERE m.channel_id = +?1 AND m.user_id = a.value->>'id') AS member
                FROM json_each(?3) a)"
        )
    };
}

/// `op`: the commands, with these of their fields beside `k` (the place) and `u` (the user).
macro_rules! ops {
    ($($field:literal),*) => {
        concat!("op AS MATERIALIZED (SELECT value->>'k' AS k, value->>'u' AS u", $(", value->>'", $field, "' AS ", $field,)* " FROM json_each(?5))")
    };
}

/// The fence, and that the caller may act in the channel at all.
macro_rules! admitted {
    () => {
        "op CROSS JOIN channels c ON c.id = +?1 AND c.commit_id = +?2 AND c.deleted_at IS NULL
            CROSS JOIN actor ON actor.id = op.u AND NOT actor.banned AND (NOT c.private OR actor.member OR actor.bits & 16)"
    };
}

/// The same with the message `m` that the command names by `id`.
macro_rules! on_message {
    () => {
        concat!(
            admitted!(),
            " CROSS JOIN messages m ON m.id = op.id AND m.channel_id = c.id AND m.deleted = 0 AND NOT ",
            erased_sql!("m")
        )
    };
}

/// Users are known from their first write; a name is written only where it changed.
pub(crate) const PROVISION: &str = "
    INSERT INTO users (id, display_name, created_at, token_rank)
    SELECT a.value->>'id',
           coalesce(a.value->>'name', (SELECT display_name FROM users WHERE id = a.value->>'id'), a.value->>'id'), ?4,
           a.value->>'trusted'
    FROM json_each(?3) a
    WHERE EXISTS (SELECT 1 FROM channels WHERE id = +?1 AND deleted_at IS NULL)
    ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name, token_rank = excluded.token_rank
    WHERE users.display_name <> excluded.display_name OR users.token_rank <> excluded.token_rank";

/// A ban finds the channels where its user has been by these.
pub(crate) const VISIT: &str = "
    INSERT INTO visitors (channel_id, user_id)
    SELECT ?1, a.value->>'id' FROM json_each(?3) a
    WHERE EXISTS (SELECT 1 FROM channels WHERE id = +?1 AND deleted_at IS NULL)
    ON CONFLICT DO NOTHING";

/// New messages. Sequences are dense because only what passes is numbered; revisions have holes where something did not.
pub(crate) const SEND: &str = concat!(
    "WITH ", ops!("id", "content", "t", "reply", "nonce", "digest", "users", "roles",
                  "author", "seal", "sealed_at", "signature", "envelope"), ", ", actors!(), "
    INSERT INTO messages (channel_id, server_sequence, id, revision, sender_id, sender_display_name, sender_pubkey,
                          content_text, timestamp, reply_to_id, mention_user_ids, mention_role_ids, nonce, request_digest,
                          signed_digest, signed_at, signature, payload)
    SELECT c.id, c.last_sequence + row_number() OVER (ORDER BY op.k), op.id, c.revision + op.k + 1,
           u.id, u.display_name, coalesce(u.public_key, ''),
           op.content, op.t, op.reply, op.users, op.roles, op.nonce, op.digest,
           op.seal, op.sealed_at, unhex(op.signature), unhex(op.envelope)
    FROM ", admitted!(), " CROSS JOIN users u ON u.id = op.u
    WHERE actor.bits & 1
      AND (op.author IS NULL OR op.author = u.public_key)
      AND (op.reply IS NULL
           OR EXISTS (SELECT 1 FROM messages r WHERE r.id = op.reply AND r.channel_id = c.id AND r.deleted = 0 AND NOT ", erased_sql!("r"), "))
      AND (op.nonce IS NULL
           OR NOT EXISTS (SELECT 1 FROM messages n WHERE n.channel_id = c.id AND n.sender_id = op.u AND n.nonce = op.nonce))
      AND (op.seal IS NULL
           OR NOT EXISTS (SELECT 1 FROM messages s WHERE s.channel_id = c.id AND s.signed_digest = op.seal))"
);

/// One row a mention of the new messages. `@role:everyone` counts only from those who manage channels.
pub(crate) const SEND_MENTIONS: &str = concat!(
    "WITH ",
    ops!("id", "targets"),
    ", ",
    actors!(),
    "
    INSERT INTO mentions (channel_id, target, server_sequence, sender_id)
    SELECT c.id, target.value, m.server_sequence, m.sender_id
    FROM ",
    on_message!(),
    ", json_each(op.targets) target
    WHERE target.value <> 'role:everyone' OR actor.bits & 2"
);

/// `valid`: the edits that pass. What is signed is only replaced by what is signed later, with the sender's key.
macro_rules! valid_edits {
    () => {
        concat!(
            "WITH ", ops!("id", "content", "t", "users", "roles", "targets",
                          "author", "seal", "sealed_at", "signature", "envelope"), ", ", actors!(), ",
             valid AS MATERIALIZED (
                SELECT op.*, m.server_sequence AS sequence, c.revision + op.k + 1 AS revision, actor.bits AS bits
                FROM ", on_message!(), "
                WHERE m.sender_id = op.u
                  AND iif(op.author IS NULL, m.payload IS NULL,
                          (m.signed_at IS NULL OR m.signed_at < op.sealed_at)
                          AND op.author = (SELECT public_key FROM users WHERE id = op.u)))"
        )
    };
}

/// `valid`: the deletions that pass.
macro_rules! valid_deletions {
    () => {
        concat!(
            "WITH ",
            ops!("id"),
            ", ",
            actors!(),
            ",
             valid AS MATERIALIZED (
                SELECT op.u, m.server_sequence AS sequence, c.revision + op.k + 1 AS revision
                FROM ",
            on_message!(),
            " WHERE m.sender_id = op.u OR actor.bits & 32)"
        )
    };
}

/// The mention rows of the `valid` messages, as their rows still name them.
macro_rules! forget_mentions {
    () => {
        "DELETE FROM mentions WHERE (channel_id, target, server_sequence) IN (
            SELECT ?1, 'user:' || t.value, m.server_sequence
            FROM valid CROSS JOIN messages m ON m.channel_id = +?1 AND m.server_sequence = valid.sequence, json_each(m.mention_user_ids) t
            UNION ALL
            SELECT ?1, 'role:' || t.value, m.server_sequence
            FROM valid CROSS JOIN messages m ON m.channel_id = +?1 AND m.server_sequence = valid.sequence, json_each(m.mention_role_ids) t)"
    };
}

pub(crate) const EDIT_FORGETS_MENTIONS: &str = concat!(valid_edits!(), forget_mentions!());

pub(crate) const EDIT_MENTIONS: &str = concat!(
    valid_edits!(),
    "INSERT INTO mentions (channel_id, target, server_sequence, sender_id)
     SELECT ?1, target.value, valid.sequence, valid.u FROM valid, json_each(valid.targets) target
     WHERE target.value <> 'role:everyone' OR valid.bits & 2"
);

pub(crate) const EDIT: &str = concat!(
    valid_edits!(),
    "UPDATE messages SET content_text = valid.content, edited = 1, edit_timestamp = valid.t,
            mention_user_ids = valid.users, mention_role_ids = valid.roles, revision = valid.revision,
            sender_pubkey = coalesce(valid.author, sender_pubkey), edit_digest = valid.seal, signed_at = valid.sealed_at,
            signature = unhex(valid.signature), payload = unhex(valid.envelope)
     FROM valid WHERE messages.channel_id = +?1 AND messages.server_sequence = valid.sequence
       AND messages.server_sequence IN (SELECT sequence FROM valid)"
);

pub(crate) const DELETE_FORGETS_MENTIONS: &str = concat!(valid_deletions!(), forget_mentions!());

/// Takes the reactions off the `valid` messages.
macro_rules! forget_reactions {
    () => {
        "DELETE FROM reactions WHERE channel_id = +?1 AND server_sequence IN (SELECT sequence FROM valid)"
    };
}

/// Makes tombstones of the `valid` messages: each keeps its place, its sender and its time; what was said is erased.
macro_rules! bury {
    () => {
        "UPDATE messages SET deleted = 1, deleted_by = valid.u, content_text = '', mention_user_ids = '[]',
                mention_role_ids = '[]', payload = NULL, signature = NULL, signed_at = NULL, revision = valid.revision
         FROM valid WHERE messages.channel_id = +?1 AND messages.server_sequence = valid.sequence
           AND messages.server_sequence IN (SELECT sequence FROM valid)"
    };
}

pub(crate) const DELETE: &str = concat!(valid_deletions!(), bury!());

/// `valid`: the tombstones that this commit has made, found by the mark of their revision: who might make them need not
/// be asked again.
macro_rules! buried {
    () => {
        concat!(
            "WITH ", ops!("id", "entry"), ", valid AS MATERIALIZED (
                SELECT op.u, op.entry, m.id, m.sender_id, m.server_sequence AS sequence
                FROM op CROSS JOIN channels c ON c.id = +?1 AND c.commit_id = +?2
                     CROSS JOIN messages m ON m.id = op.id AND m.channel_id = c.id AND m.revision = c.revision + op.k + 1)"
        )
    };
}

pub(crate) const DELETE_FORGETS_REACTIONS: &str = concat!(buried!(), forget_reactions!());

/// Whoever has deleted another's message is on record.
pub(crate) const DELETE_IS_RECORDED: &str = concat!(
    buried!(),
    "INSERT INTO audit (id, actor_id, action, target, details, timestamp)
     SELECT entry, u, 'message_deleted', id, json_object('channel_id', ?1, 'sender_id', sender_id), ?4
     FROM valid WHERE sender_id <> u
     ON CONFLICT (id) DO NOTHING"
);

/// The fence, for what the outbox has decided on: whoever is named as the one who did it need not be here any more.
macro_rules! promised {
    () => {
        "op CROSS JOIN channels c ON c.id = +?1 AND c.commit_id = +?2 AND c.deleted_at IS NULL
            CROSS JOIN messages m ON m.id = op.id AND m.channel_id = c.id AND m.deleted = 0"
    };
}

/// `valid`: the messages of a banned user that are to be erased.
macro_rules! valid_erasures {
    () => {
        concat!(
            "WITH ",
            ops!("id"),
            ", valid AS MATERIALIZED (
                SELECT op.u, m.server_sequence AS sequence, c.revision + op.k + 1 AS revision
                FROM ",
            promised!(),
            " WHERE ",
            erased_sql!("m"),
            ")"
        )
    };
}

pub(crate) const ERASE_FORGETS_MENTIONS: &str = concat!(valid_erasures!(), forget_mentions!());
pub(crate) const ERASE_FORGETS_REACTIONS: &str = concat!(valid_erasures!(), forget_reactions!());
pub(crate) const ERASE: &str = concat!(valid_erasures!(), bury!());

/// The reactions of a banned user that are to be erased.
macro_rules! erased_reactions {
    () => {
        concat!(
            promised!(),
            " CROSS JOIN reactions r ON r.channel_id = c.id AND r.server_sequence = m.server_sequence AND r.emoji = op.emoji
                   AND r.user_id = op.u AND ",
            erased_reaction_sql!("r")
        )
    };
}

/// Marks the messages that lose reactions, each with the revision of the last that goes.
pub(crate) const ERASE_REACTIONS_TOUCHES: &str = concat!(
    "WITH ",
    ops!("id", "emoji"),
    ", gone AS MATERIALIZED (
        SELECT m.server_sequence AS sequence, max(c.revision + op.k + 1) AS revision FROM ",
    erased_reactions!(),
    "
        GROUP BY m.server_sequence)
     UPDATE messages SET revision = gone.revision
     FROM gone WHERE messages.channel_id = +?1 AND messages.server_sequence = gone.sequence
       AND messages.server_sequence IN (SELECT sequence FROM gone)"
);

pub(crate) const ERASE_REACTIONS: &str = concat!(
    "WITH ",
    ops!("id", "emoji"),
    "
     DELETE FROM reactions WHERE (channel_id, server_sequence, emoji, user_id) IN (
        SELECT r.channel_id, r.server_sequence, r.emoji, r.user_id FROM ",
    erased_reactions!(),
    ")"
);

/// New reactions, where that leaves a message with at most 20 distinct emoji: the first of this commit's to bring
/// a fresh emoji takes the next free place.
pub(crate) const REACT: &str = concat!(
    "WITH ", ops!("id", "emoji", "t"), ", ", actors!(), ",
     candidate AS MATERIALIZED (
        SELECT op.k AS k, op.u AS u, op.emoji AS emoji, op.t AS t, m.server_sequence AS sequence, c.revision + op.k + 1 AS revision,
               NOT EXISTS (SELECT 1 FROM reactions r
                           WHERE r.channel_id = c.id AND r.server_sequence = m.server_sequence AND r.emoji = op.emoji) AS fresh
        FROM ", on_message!(), " WHERE actor.bits & 64),
     placed AS (
        SELECT *, dense_rank() OVER (PARTITION BY sequence, fresh ORDER BY first) AS place
        FROM (SELECT *, min(k) OVER (PARTITION BY sequence, emoji) AS first FROM candidate))
     INSERT INTO reactions (channel_id, server_sequence, emoji, user_id, created_at, revision)
     SELECT ?1, sequence, emoji, u, t, revision FROM placed
     WHERE NOT fresh
        OR place + (SELECT count(DISTINCT r.emoji) FROM reactions r WHERE r.channel_id = +?1 AND r.server_sequence = sequence) <= 20
     ORDER BY k
     ON CONFLICT DO NOTHING"
);

/// A message's revision is that of its last change: the highest of the reactions that this commit added.
pub(crate) const REACT_TOUCHES: &str = concat!(
    "WITH ", ops!("id", "emoji"), ",
     added AS MATERIALIZED (
        SELECT m.server_sequence AS sequence, max(r.revision) AS revision
        FROM op CROSS JOIN channels c ON c.id = +?1 AND c.commit_id = +?2
             CROSS JOIN messages m ON m.id = op.id AND m.channel_id = c.id
             CROSS JOIN reactions r ON r.channel_id = c.id AND r.server_sequence = m.server_sequence AND r.emoji = op.emoji
                    AND r.user_id = op.u AND r.revision = c.revision + op.k + 1
        GROUP BY m.server_sequence)
     UPDATE messages SET revision = added.revision
     FROM added WHERE messages.channel_id = +?1 AND messages.server_sequence = added.sequence
       AND messages.server_sequence IN (SELECT sequence FROM added)"
);

/// Marks the messages that lose a reaction; the row that goes is found by the mark.
pub(crate) const UNREACT_TOUCHES: &str = concat!(
    "WITH ", ops!("id", "emoji"), ", ", actors!(), ",
     gone AS MATERIALIZED (
        SELECT m.server_sequence AS sequence, c.revision + op.k + 1 AS revision
        FROM ", on_message!(), "
             CROSS JOIN reactions r ON r.channel_id = c.id AND r.server_sequence = m.server_sequence AND r.emoji = op.emoji
                    AND r.user_id = op.u)
     UPDATE messages SET revision = gone.revision
     FROM gone WHERE messages.channel_id = +?1 AND messages.server_sequence = gone.sequence
       AND messages.server_sequence IN (SELECT sequence FROM gone)"
);

pub(crate) const UNREACT: &str = concat!(
    "WITH ", ops!("id", "emoji"), "
     DELETE FROM reactions WHERE (channel_id, server_sequence, emoji, user_id) IN (
        SELECT c.id, m.server_sequence, op.emoji, op.u
        FROM op CROSS JOIN channels c ON c.id = +?1 AND c.commit_id = +?2
             CROSS JOIN messages m ON m.id = op.id AND m.channel_id = c.id AND m.revision = c.revision + op.k + 1)"
);

/// Read positions: never beyond the last message, never back unless that is asked for. They leave the channel's row as it
/// is, so what keeps a late batch from undoing a newer position is its time.
pub(crate) const MARK_READ: &str = concat!(
    "WITH ", ops!("sequence", "back"), ", ", actors!(), "
     INSERT INTO last_read (user_id, channel_id, last_sequence, updated_at)
     SELECT op.u, c.id,
            iif(op.back, op.sequence,
                max(op.sequence, coalesce((SELECT last_sequence FROM last_read l WHERE l.user_id = op.u AND l.channel_id = c.id), 0))),
            ?4
     FROM ", admitted!(), "
     WHERE op.sequence <= coalesce((SELECT server_sequence FROM messages WHERE channel_id = c.id ORDER BY server_sequence DESC LIMIT 1), 0)
     ON CONFLICT (user_id, channel_id) DO UPDATE SET last_sequence = excluded.last_sequence, updated_at = excluded.updated_at
     WHERE last_read.last_sequence <> excluded.last_sequence AND last_read.updated_at <= excluded.updated_at"
);

/// Ends the commit: where anything changed, the channel's counters go on and its row carries this commit's id.
/// `?3` is that id, `?4` how many revisions the commit had to give.
pub(crate) const CLOSE: &str = "
    UPDATE channels SET revision = revision + ?4, commit_id = ?3,
           last_sequence = coalesce((SELECT server_sequence FROM messages WHERE channel_id = +?1 ORDER BY server_sequence DESC LIMIT 1), 0)
    WHERE id = +?1 AND commit_id = +?2
      AND EXISTS (SELECT 1 FROM messages m WHERE m.channel_id = +?1 AND m.revision > channels.revision)";

/// Where the channel stands.
pub(crate) const HEAD: &str = "
    SELECT json_object('commit_id', commit_id, 'revision', revision, 'last_sequence', last_sequence,
                       'deleted', deleted_at IS NOT NULL, 'private', private) AS json
    FROM channels WHERE id = +?1";

/// What each caller may do, and how they are known.
pub(crate) const ACTORS: &str = concat!(
    "WITH ", actors!(), "
     SELECT json_object('id', actor.id, 'bits', actor.bits, 'banned', actor.banned, 'member', actor.member,
                        'name', u.display_name, 'pubkey', u.public_key,
                        'last_read', (SELECT last_sequence FROM last_read l WHERE l.user_id = actor.id AND l.channel_id = +?1)) AS json
     FROM actor LEFT JOIN users u ON u.id = actor.id"
);

/// What became of each send: its own row, or the row that its signature or its nonce named before.
pub(crate) const SENT: &str = concat!(
    "WITH ", ops!("id", "reply", "nonce", "seal"), "
     SELECT json_object('k', op.k, 'sequence', own.server_sequence, 'revision', own.revision,
                        'first', json(CASE WHEN m.id IS NOT NULL THEN ", message_sql!(reactions_sql!("op.u", "20")), " END),
                        'digest', m.request_digest, 'signed_digest', m.signed_digest,
                        'reply_lives', op.reply IS NULL
                            OR EXISTS (SELECT 1 FROM messages r WHERE r.id = op.reply AND r.channel_id = +?1 AND r.deleted = 0 AND NOT ", erased_sql!("r"), ")) AS json
     FROM op LEFT JOIN messages own ON own.id = op.id
             LEFT JOIN messages m ON own.id IS NULL AND m.id = coalesce(
                 (SELECT s.id FROM messages s WHERE op.seal IS NOT NULL AND s.channel_id = +?1 AND s.signed_digest = op.seal),
                 (SELECT n.id FROM messages n WHERE op.nonce IS NOT NULL AND n.channel_id = +?1 AND n.sender_id = op.u AND n.nonce = op.nonce))"
);

/// What became of each edit, deletion, reaction and removal: the message as it is now.
pub(crate) const TOUCHED: &str = concat!(
    "WITH ", ops!("id", "emoji"), "
     SELECT json_object('k', op.k, 'found', m.id IS NOT NULL, 'sender', m.sender_id, 'deleted', m.deleted OR ", erased_sql!("m"), ", 'revision', m.revision,
                        'signed', m.payload IS NOT NULL, 'signed_at', m.signed_at, 'edit_digest', m.edit_digest,
                        'reaction', (SELECT r.revision FROM reactions r WHERE r.channel_id = m.channel_id
                                     AND r.server_sequence = m.server_sequence AND r.emoji = op.emoji AND r.user_id = op.u)) AS json
     FROM op LEFT JOIN messages m ON m.id = op.id AND m.channel_id = +?1"
);

/// Where each caller's read position is now, and what is unread from there.
pub(crate) const READ: &str = concat!(
    "WITH ", ops!("sequence"), ", place AS MATERIALIZED (
        SELECT op.k AS k, op.u AS u,
               coalesce((SELECT last_sequence FROM last_read l WHERE l.user_id = op.u AND l.channel_id = +?1), 0) AS sequence
        FROM op)
     SELECT json_object('k', k, 'last_sequence', sequence, 'unread_count', ", unread_sql!("+?1", "place.u", "place.sequence"), ",
                        'mention_count', ", mentions_sql!("+?1", "place.u", "place.sequence"), ") AS json
     FROM place"
);
