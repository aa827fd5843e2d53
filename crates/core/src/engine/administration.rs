//! Changes of the channel itself and of who is in it. Each has a commit of its own, and may close sockets.

use serde::Deserialize;

use super::command::Command;
use crate::{
    access::{Caller, banned_sql, bits_sql, target_bits_sql},
    audit::recorded,
    database::{Answers, Database, DatabaseError, Statement, Value, bool_of_int},
    ids::{ChannelId, CommitId, EntryId, Timestamp, UserId},
    permissions::Permissions,
    problem::{Code, Problem},
};

/// The facts about caller `?2` (trusted: `?3`) and target `?4` in channel `?1` at `?5`, `?6` being this commit's id.
const FACTS: &str = concat!(
    "SELECT json_object('exists', c.id IS NOT NULL AND (c.deleted_at IS NULL OR o.id IS NOT NULL), 'private', coalesce(c.private, 0),
        'member', EXISTS (SELECT 1 FROM members WHERE channel_id = ?1 AND user_id = ?2),
        'banned', ", banned_sql!("?2", "?5"), ",
        'bits', ", bits_sql!("?2", "?3"), ",
        'target_exists', EXISTS (SELECT 1 FROM users WHERE id = ?4),
        'target_bits', ", target_bits_sql!("?4"), ") AS json
     FROM (SELECT 1) LEFT JOIN channels c ON c.id = ?1 LEFT JOIN outbox o ON o.id = ?6"
);

/// Whether the caller may act here at all: the same as [`Facts::admitted`], within the statement that acts.
macro_rules! admitted {
    () => {
        concat!(
            "EXISTS (SELECT 1 FROM channels c WHERE c.id = ?1 AND c.deleted_at IS NULL
                     AND (NOT c.private OR ",
            bits_sql!("?2", "?3"),
            " & 16
                          OR EXISTS (SELECT 1 FROM members WHERE channel_id = ?1 AND user_id = ?2)))
             AND NOT ",
            banned_sql!("?2", "?5")
        )
    };
}

const PROVISION: &str = "
    INSERT INTO users (id, display_name, created_at, token_rank) SELECT ?2, coalesce(?3, ?2), ?4, ?5
    WHERE EXISTS (SELECT 1 FROM channels WHERE id = ?1 AND deleted_at IS NULL)
    ON CONFLICT (id) DO UPDATE SET display_name = coalesce(?3, users.display_name), token_rank = excluded.token_rank
    WHERE users.display_name <> ?3 OR users.token_rank <> excluded.token_rank";

/// That the caller may add the target.
macro_rules! may_add {
    () => {
        concat!(
            admitted!(),
            " AND EXISTS (SELECT 1 FROM users WHERE id = ?4)
              AND (",
            bits_sql!("?2", "?3"),
            " & 2 OR ?2 = ?4 AND EXISTS (SELECT 1 FROM channels WHERE id = ?1 AND NOT private))"
        )
    };
}

const ADD: &str = concat!(
    "INSERT INTO members (channel_id, user_id, joined_at) SELECT ?1, ?4, ?5 WHERE ",
    may_add!(),
    " ON CONFLICT DO NOTHING"
);

/// Whoever adds themselves is not on record; `?7` is the entry's id.
const RECORD_ADDITION: &str = recorded!(
    id: "?7", actor: "?2", at: "?5", action: "member_added", target: "?4", details: "json_object('channel_id', ?1)",
    if: may_add!(), " AND ?2 <> ?4 AND NOT EXISTS (SELECT 1 FROM members WHERE channel_id = ?1 AND user_id = ?4)"
);

/// That the caller may remove the target.
macro_rules! may_remove {
    () => {
        concat!(
            admitted!(),
            " AND (?2 = ?4 OR ",
            bits_sql!("?2", "?3"),
            " & 4 AND ",
            target_bits_sql!("?4"),
            " & ~",
            bits_sql!("?2", "?3"),
            " = 0)"
        )
    };
}

const REMOVE: &str =
    concat!("DELETE FROM members WHERE channel_id = ?1 AND user_id = ?4 AND ", may_remove!());

/// Nor is whoever leaves. Who is no member may have sockets in a public channel all the same.
const RECORD_REMOVAL: &str = recorded!(
    id: "?7", actor: "?2", at: "?5", action: "member_removed", target: "?4", details: "json_object('channel_id', ?1)",
    if: may_remove!(), " AND ?2 <> ?4 AND (EXISTS (SELECT 1 FROM members WHERE channel_id = ?1 AND user_id = ?4)
                                           OR EXISTS (SELECT 1 FROM visitors WHERE channel_id = ?1 AND user_id = ?4))"
);

/// That the caller may delete the channel.
macro_rules! may_hide {
    () => {
        concat!(admitted!(), " AND ", bits_sql!("?2", "?3"), " & 2")
    };
}

const HIDE: &str = concat!("UPDATE channels SET deleted_at = ?5 WHERE id = ?1 AND ", may_hide!());

const RECORD_DELETION: &str = recorded!(
    id: "?7", actor: "?2", at: "?5", action: "channel_deleted", target: "?1",
    details: "json_object('name', (SELECT name FROM channels WHERE id = ?1))", if: may_hide!()
);

/// The promise to remove the rows, made by the transaction that hides them.
const PROMISE: &str = "
    INSERT INTO outbox (id, channel_id, kind, created_at)
    SELECT ?6, ?1, 'purge_channel', ?5 FROM channels WHERE id = ?1 AND deleted_at = ?5
    ON CONFLICT DO NOTHING";

#[derive(Deserialize)]
struct Facts {
    #[serde(deserialize_with = "bool_of_int")]
    exists: bool,
    #[serde(deserialize_with = "bool_of_int")]
    private: bool,
    #[serde(deserialize_with = "bool_of_int")]
    member: bool,
    #[serde(deserialize_with = "bool_of_int")]
    banned: bool,
    bits: u32,
    #[serde(deserialize_with = "bool_of_int")]
    target_exists: bool,
    target_bits: u32,
}

/// What an administration changed for live sockets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// This user's are closed.
    Removed(UserId),
    /// All are closed.
    Deleted,
}

/// One such change.
#[derive(Debug)]
pub(crate) struct Administration {
    pub(crate) id: CommitId,
    /// Under which it is on record.
    pub(crate) entry: EntryId,
    pub(crate) channel: ChannelId,
    pub(crate) caller: Caller,
    pub(crate) command: Command,
    pub(crate) now: Timestamp,
}

impl Administration {
    fn target(&self) -> &UserId {
        match &self.command {
            Command::AddMember { user } | Command::RemoveMember { user } => user,
            _ => &self.caller.user_id,
        }
    }

    /// Runs it. Safe to repeat; `again` where an earlier run may have taken effect.
    pub(crate) async fn run(
        &self,
        database: &impl Database,
        again: bool,
    ) -> Result<Result<Effect, Problem>, DatabaseError> {
        let channel = Value::from(self.channel.to_string());
        let caller = Value::from(self.caller.user_id.as_str());
        let params = vec![
            channel.clone(),
            caller.clone(),
            self.caller.trusted.into(),
            self.target().as_str().into(),
            self.now.into(),
            self.id.to_string().into(),
            self.entry.to_string().into(),
        ];
        let name = Value::from(self.caller.display_name.clone());
        // The facts come first: who leaves a private channel could see it before.
        let mut statements = vec![
            Statement::new(
                PROVISION,
                vec![channel, caller, name, self.now.into(), self.caller.token_rank().into()],
            ),
            Statement::sharing(FACTS, &params),
        ];
        let acts: &[&'static str] = match &self.command {
            Command::AddMember { .. } => &[RECORD_ADDITION, ADD],
            Command::RemoveMember { .. } => &[RECORD_REMOVAL, REMOVE],
            _ => &[RECORD_DELETION, HIDE, PROMISE],
        };
        statements.extend(acts.iter().map(|sql| Statement::sharing(sql, &params)));
        let mut answers = Answers::of(database, statements).await?;
        answers.next_rows()?;
        let facts: Option<Facts> = answers.next_rows()?.first()?;
        Ok(facts.ok_or_else(Problem::internal).and_then(|facts| self.judge(&facts, again)))
    }

    fn judge(&self, facts: &Facts, again: bool) -> Result<Effect, Problem> {
        let may = Permissions::from_bits(facts.bits);
        let own = self.target() == &self.caller.user_id;
        // An earlier run may have made the caller a stranger.
        let left = again && own && matches!(self.command, Command::RemoveMember { .. });
        facts.admitted(may, left)?;
        let forbidden = || Code::Forbidden.with("you don't have the permission that this needs");
        match &self.command {
            Command::AddMember { .. } => {
                if !may.contains(Permissions::MANAGE_CHANNELS) && (facts.private || !own) {
                    return Err(forbidden());
                }
                if !facts.target_exists {
                    return Err(Code::UserNotFound.with("there is no such user"));
                }
                Ok(Effect::None)
            }
            Command::RemoveMember { user } => {
                let outranked = may.contains(Permissions::from_bits(facts.target_bits));
                if !(own || may.contains(Permissions::KICK_MEMBERS) && outranked) {
                    return Err(forbidden());
                }
                Ok(Effect::Removed(user.clone()))
            }
            _ if may.contains(Permissions::MANAGE_CHANNELS) => Ok(Effect::Deleted),
            _ => Err(forbidden()),
        }
    }
}

impl Facts {
    fn admitted(&self, may: Permissions, left: bool) -> Result<(), Problem> {
        if self.banned {
            return Err(Code::Banned.with("you are banned"));
        }
        let sees = !self.private || self.member || left || may.contains(Permissions::ADMINISTRATOR);
        if self.exists && sees { Ok(()) } else { Err(Code::ChannelNotFound.with("there is no such channel")) }
    }
}

/// How many rows one piece of a purge removes.
const PIECE: u64 = 500;

const PROMISED: &str = "
    SELECT json(1) AS json FROM outbox o JOIN channels c ON c.id = o.channel_id AND c.deleted_at IS NOT NULL
    WHERE o.channel_id = ?1 AND o.kind = 'purge_channel'";

/// Removes up to `?2` rows of a channel that is promised to go, those that refer to others first.
const PURGE: [&str; 6] = [
    "DELETE FROM reactions WHERE (channel_id, server_sequence, emoji, user_id) IN (
        SELECT channel_id, server_sequence, emoji, user_id FROM reactions WHERE channel_id = ?1 LIMIT ?2)",
    "DELETE FROM mentions WHERE (channel_id, target, server_sequence) IN (
        SELECT channel_id, target, server_sequence FROM mentions WHERE channel_id = ?1 LIMIT ?2)",
    "DELETE FROM messages WHERE channel_id = ?1 AND server_sequence IN (
        SELECT server_sequence FROM messages m WHERE channel_id = ?1
          AND NOT EXISTS (SELECT 1 FROM reactions r WHERE r.channel_id = ?1 AND r.server_sequence = m.server_sequence) LIMIT ?2)",
    "DELETE FROM last_read WHERE channel_id = ?1 AND user_id IN (SELECT user_id FROM last_read WHERE channel_id = ?1 LIMIT ?2)",
    "DELETE FROM members WHERE channel_id = ?1 AND user_id IN (SELECT user_id FROM members WHERE channel_id = ?1 LIMIT ?2)",
    "DELETE FROM visitors WHERE channel_id = ?1 AND user_id IN (SELECT user_id FROM visitors WHERE channel_id = ?1 LIMIT ?2)",
];

/// The promise is kept once nothing is left. The channel's own row stays, so that its id is never another's.
const KEPT: &str = "
    DELETE FROM outbox WHERE channel_id = ?1 AND kind = 'purge_channel'
       AND NOT EXISTS (SELECT 1 FROM messages WHERE channel_id = ?1) AND NOT EXISTS (SELECT 1 FROM reactions WHERE channel_id = ?1)
       AND NOT EXISTS (SELECT 1 FROM mentions WHERE channel_id = ?1) AND NOT EXISTS (SELECT 1 FROM last_read WHERE channel_id = ?1)
       AND NOT EXISTS (SELECT 1 FROM members WHERE channel_id = ?1) AND NOT EXISTS (SELECT 1 FROM visitors WHERE channel_id = ?1)";

/// What a piece of a purge came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purge {
    /// The channel is not promised to go.
    NotPromised,
    /// The promise is kept.
    Kept,
    /// More is left.
    More,
}

/// Removes a bounded piece of the rows of a deleted channel.
pub(crate) async fn purge(database: &impl Database, channel: ChannelId) -> Result<Purge, DatabaseError> {
    let id = Value::from(channel.to_string());
    let promised = || Statement::new(PROMISED, vec![id.clone()]);
    if Answers::of(database, vec![promised()]).await?.next_rows()?.0.is_empty() {
        return Ok(Purge::NotPromised);
    }
    let mut statements: Vec<_> =
        PURGE.iter().map(|sql| Statement::new(sql, vec![id.clone(), PIECE.into()])).collect();
    statements.push(Statement::new(KEPT, vec![id.clone()]));
    statements.push(promised());
    let answers = database.batch(statements).await?;
    let more = answers.last().is_some_and(|rows| !rows.0.is_empty());
    Ok(if more { Purge::More } else { Purge::Kept })
}
