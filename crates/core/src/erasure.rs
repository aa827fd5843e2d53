//! What a ban deletes: hidden at once by a condition in every read, and erased by its channel's writer in pieces.
//!
//! A ban writes a row to `outbox` for each channel that its user has been in. From then on the condition below holds of
//! what the row means: messages up to the channel's last at that moment, and reactions up to its revision, so that
//! nothing depends on whose clock is right, and what the user sends after a later unban is not meant. The row's cursors
//! go down as pieces are done, and the row goes when nothing is left; an unban in between takes nothing back.

use serde::Deserialize;

use crate::{
    access::banned_sql,
    database::{Answers, Database, DatabaseError, Statement, Value, bool_of_int},
    emoji::Emoji,
    ids::{ChannelId, MessageId, Sequence, Timestamp, UserId},
};

/// Whether message `$m` is to be erased.
macro_rules! erased_sql {
    ($m:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM outbox e WHERE e.user_id = ",
            $m,
            ".sender_id AND e.channel_id = ",
            $m,
            ".channel_id
                     AND ",
            $m,
            ".server_sequence <= e.messages_through AND ",
            $m,
            ".timestamp >= e.since)"
        )
    };
}
pub(crate) use erased_sql;

/// Whether reaction `$r` is to be erased.
macro_rules! erased_reaction_sql {
    ($r:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM outbox e WHERE e.user_id = ",
            $r,
            ".user_id AND e.channel_id = ",
            $r,
            ".channel_id
                     AND ",
            $r,
            ".server_sequence <= e.reactions_through AND ",
            $r,
            ".revision <= e.revision
                     AND ",
            $r,
            ".created_at >= e.since)"
        )
    };
}
pub(crate) use erased_reaction_sql;

/// Whether the message that mention `$t` is in is to be erased.
macro_rules! erased_mention_sql {
    ($t:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM outbox e JOIN messages em ON em.channel_id = e.channel_id AND em.server_sequence = ", $t, ".server_sequence
                     WHERE e.user_id = ", $t, ".sender_id AND e.channel_id = ", $t, ".channel_id
                       AND em.server_sequence <= e.messages_through AND em.timestamp >= e.since)"
        )
    };
}
pub(crate) use erased_mention_sql;

/// How many messages one piece looks through, and to how many messages' reactions.
const MESSAGES_LOOKED_AT: u64 = 1_000;
const REACTIONS_LOOKED_AT: u64 = 200;
/// How many things one piece erases: they are one commit.
pub(crate) const ERASED_AT_ONCE: usize = 100;
/// How far the clocks of a channel's successive objects may be apart, in milliseconds: a message's time is that far
/// from being in the order of its sequence.
const SKEW: Timestamp = 3_600_000;

/// What is to be done next in a channel for a user.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The promise, or None where all of them are kept.
    promise: Option<Promise>,
    /// Whether the user is banned at this moment.
    pub(crate) banned: bool,
    pub(crate) work: Work,
    messages_through: Sequence,
    reactions_through: Sequence,
}

/// What a piece erases.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Messages(Vec<MessageId>),
    Reactions(Vec<(MessageId, Emoji)>),
}

#[derive(Debug, Deserialize)]
struct Promise {
    id: String,
    actor: String,
    since: Option<Timestamp>,
    messages_through: Sequence,
    reactions_through: Sequence,
}

const BANNED: &str = concat!("SELECT json(", banned_sql!("?1", "?2"), ") AS json");

/// `promise`: the oldest that is made for user `?2` in channel `?1`.
macro_rules! promise {
    () => {
        "promise AS MATERIALIZED (
            SELECT * FROM outbox WHERE user_id = ?2 AND channel_id = ?1 ORDER BY id LIMIT 1)"
    };
}

const PROMISE: &str = concat!(
    "WITH ",
    promise!(),
    "SELECT json_object('id', id, 'actor', actor_id, 'since', since, 'messages_through', coalesce(messages_through, 0),
                        'reactions_through', coalesce(reactions_through, 0)) AS json
     FROM promise"
);

/// The next `?3` messages, newest first, each with whether it is meant.
const MESSAGES: &str = concat!(
    "WITH ",
    promise!(),
    "SELECT json_array(m.server_sequence, m.timestamp, iif(m.sender_id = ?2 AND m.deleted = 0 AND m.timestamp >= p.since, m.id, NULL)) AS json
     FROM promise p CROSS JOIN messages m ON m.channel_id = ?1 AND m.server_sequence <= p.messages_through
     ORDER BY m.server_sequence DESC LIMIT ?3"
);

/// The next `?3` messages with reactions, newest first, each with the emoji of those that are meant.
const REACTIONS: &str = concat!(
    "WITH ",
    promise!(),
    "SELECT json_array(s.server_sequence, s.id, json((
                SELECT json_group_array(r.emoji) FROM reactions r
                WHERE r.channel_id = ?1 AND r.server_sequence = s.server_sequence AND r.user_id = ?2
                  AND r.created_at >= s.since AND r.revision <= s.revision))) AS json
     FROM (SELECT DISTINCT r.server_sequence AS server_sequence, p.since AS since, p.revision AS revision,
                  (SELECT m.id FROM messages m WHERE m.channel_id = ?1 AND m.server_sequence = r.server_sequence) AS id
           FROM promise p CROSS JOIN reactions r ON r.channel_id = ?1 AND r.server_sequence <= p.reactions_through
           ORDER BY r.server_sequence DESC LIMIT ?3) s"
);

/// Takes a promise's cursors down, and the promise away where nothing is left.
const ADVANCE: [&str; 2] = [
    "UPDATE outbox SET messages_through = ?2, reactions_through = ?3 WHERE id = ?1",
    "DELETE FROM outbox WHERE id = ?1 AND messages_through = 0 AND reactions_through = 0",
];

/// The statement that answers with the promises by which anything in a channel is hidden.
pub(crate) fn under_way(channel: ChannelId) -> Statement {
    const UNDER_WAY: &str =
        "SELECT json_quote(id) AS json FROM outbox WHERE channel_id = ?1 AND since IS NOT NULL";
    Statement::new(UNDER_WAY, vec![channel.to_string().into()])
}

impl Piece {
    /// Reads what is to be done next.
    pub(crate) async fn next(
        database: &impl Database,
        channel: ChannelId,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Self, DatabaseError> {
        let id = Value::from(channel.to_string());
        let user = Value::from(user.as_str());
        let looking = |sql, limit: u64| Statement::new(sql, vec![id.clone(), user.clone(), limit.into()]);
        let statements = vec![
            Statement::new(BANNED, vec![user.clone(), now.into()]),
            Statement::new(PROMISE, vec![id.clone(), user.clone()]),
            looking(MESSAGES, MESSAGES_LOOKED_AT),
            looking(REACTIONS, REACTIONS_LOOKED_AT),
        ];
        let mut answers = Answers::of(database, statements).await?;
        let banned = answers.next_rows()?.first::<Flag>()?.is_some_and(|flag| flag.0);
        let promise: Option<Promise> = answers.next_rows()?.first()?;
        let messages: Vec<(Sequence, Timestamp, Option<MessageId>)> = answers.next_rows()?.decode()?;
        let reactions: Vec<(Sequence, MessageId, Vec<String>)> = answers.next_rows()?.decode()?;
        let mut piece = Self {
            promise,
            banned,
            work: Work::Messages(Vec::new()),
            messages_through: 0,
            reactions_through: 0,
        };
        let Some(Promise { since: Some(since), messages_through, reactions_through, .. }) = piece.promise
        else {
            return Ok(piece);
        };
        if messages_through > 0 {
            piece.reactions_through = reactions_through;
            piece.take_messages(&messages, since);
        } else {
            piece.take_reactions(&reactions);
        }
        Ok(piece)
    }

    /// The promise's name.
    pub(crate) fn promise(&self) -> Option<&str> {
        self.promise.as_ref().map(|promise| promise.id.as_str())
    }

    /// Who is said to have deleted what is erased.
    pub(crate) fn actor(&self) -> Option<&str> {
        self.promise.as_ref().map(|promise| promise.actor.as_str())
    }

    fn take_messages(&mut self, looked_at: &[(Sequence, Timestamp, Option<MessageId>)], since: Timestamp) {
        let mut meant = Vec::new();
        for (sequence, _, id) in looked_at {
            meant.extend(*id);
            if meant.len() == ERASED_AT_ONCE {
                self.messages_through = sequence.saturating_sub(1);
                break;
            }
        }
        let full = meant.len() == ERASED_AT_ONCE;
        let last = (looked_at.len() as u64) < MESSAGES_LOOKED_AT;
        if let (false, false, Some((sequence, timestamp, _))) = (full, last, looked_at.last())
            && timestamp.saturating_add(SKEW) >= since
        {
            self.messages_through = sequence.saturating_sub(1);
        }
        self.work = Work::Messages(meant);
    }

    fn take_reactions(&mut self, looked_at: &[(Sequence, MessageId, Vec<String>)]) {
        let mut meant = Vec::new();
        for (sequence, id, emoji) in looked_at {
            // A message has at most 20 of one user's.
            meant.extend(emoji.iter().filter_map(|emoji| Some((*id, Emoji::parse(emoji).ok()?))));
            if meant.len() >= ERASED_AT_ONCE || looked_at.len() as u64 == REACTIONS_LOOKED_AT {
                self.reactions_through = sequence.saturating_sub(1);
            }
            if meant.len() >= ERASED_AT_ONCE {
                break;
            }
        }
        self.work = Work::Reactions(meant);
    }

    /// Notes that the piece is done. Safe to repeat, and harmless where it is forgotten: the next piece then looks
    /// through the same once more, and finds nothing.
    pub(crate) async fn done(&self, database: &impl Database) -> Result<(), DatabaseError> {
        let Some(promise) = &self.promise else { return Ok(()) };
        let params: [Value; 3] =
            [promise.id.as_str().into(), self.messages_through.into(), self.reactions_through.into()];
        database.batch(ADVANCE.iter().map(|sql| Statement::sharing(sql, &params)).collect()).await?;
        Ok(())
    }
}

#[derive(Deserialize)]
struct Flag(#[serde(deserialize_with = "bool_of_int")] bool);
