//! Channels, as one user sees them.

use serde::{Deserialize, Deserializer, Serialize};

use super::snapshot;
use crate::{
    access::{Caller, banned_sql, bits_sql},
    database::{Answers, Database, Statement, bool_of_int},
    ids::{ChannelId, Revision, Sequence, Timestamp},
    permissions::Permissions,
    problem::{Code, Problem},
    unread::{mentions_sql, unread_sql},
};

/// A channel as REST shows it to one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct Channel {
    pub id: String,
    pub name: String,
    pub topic: String,
    #[serde(deserialize_with = "bool_of_int")]
    pub private: bool,
    pub created_at: Timestamp,
    pub last_sequence: Sequence,
    pub revision: Revision,
    pub last_read_sequence: Sequence,
    pub unread_count: u32,
    pub mention_count: u32,
    #[serde(deserialize_with = "permissions")]
    pub permissions: Permissions,
}

fn permissions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Permissions, D::Error> {
    u32::deserialize(deserializer).map(Permissions::from_bits)
}

/// Channel `c` as the document of a [`Channel`], for user `?1`; of `standing` come the user's bits.
macro_rules! channel_sql {
    ($($rest:literal),*) => {
        concat!(
            "WITH standing AS MATERIALIZED (SELECT ", bits_sql!("?1", "?2"), " AS bits)
             SELECT json_object('id', c.id, 'name', c.name, 'topic', c.topic, 'private', c.private,
                        'created_at', c.created_at, 'last_sequence', c.last_sequence, 'revision', c.revision,
                        'last_read_sequence', c.place, 'permissions', c.bits,
                        'unread_count', ", unread_sql!("c.id", "?1", "c.place"), ",
                        'mention_count', ", mentions_sql!("c.id", "?1", "c.place"), ") AS json
             FROM (SELECT *, coalesce((SELECT l.last_sequence FROM last_read l
                                       WHERE l.channel_id = channels.id AND l.user_id = ?1), 0) AS place
                   FROM standing CROSS JOIN channels
                   WHERE channels.deleted_at IS NULL ", $($rest,)* ") c"
        )
    };
}

const LIST: &str = concat!(
    channel_sql!(
        "AND (channels.private = 0 OR bits & 16
              OR EXISTS (SELECT 1 FROM members m WHERE m.channel_id = channels.id AND m.user_id = ?1))"
    ),
    " ORDER BY c.created_at, c.id"
);

const ONE: &str = channel_sql!("AND channels.id = ?3");

/// Whether a caller is banned, and what they may do where no channel is concerned.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Standing {
    #[serde(deserialize_with = "bool_of_int")]
    banned: bool,
    #[serde(deserialize_with = "permissions")]
    pub(crate) permissions: Permissions,
}

const STANDING: &str = concat!(
    "SELECT json_object('banned', ",
    banned_sql!("?1", "?3"),
    ", 'permissions', ",
    bits_sql!("?1", "?2"),
    ") AS json"
);

impl Standing {
    /// The statement that reads it; always answers with one row.
    pub(crate) fn statement(caller: &Caller, now: Timestamp) -> Statement {
        Statement::new(STANDING, vec![caller.user_id.as_str().into(), caller.trusted.into(), now.into()])
    }

    /// Reads the statement's answer, and lets pass who is not banned.
    pub(crate) fn granted(answers: &mut Answers) -> Result<Self, Problem> {
        let standing: Self = answers.next_rows()?.first()?.ok_or_else(Problem::internal)?;
        if standing.banned { Err(Code::Banned.with("you are banned")) } else { Ok(standing) }
    }

    /// The same, where the permission is needed.
    ///
    /// # Errors
    /// 403 `FORBIDDEN`.
    pub(crate) fn with(self, needed: Permissions) -> Result<Self, Problem> {
        if self.permissions.contains(needed) {
            Ok(self)
        } else {
            Err(Code::Forbidden.with("you don't have the permission that this needs"))
        }
    }
}

/// Reads the channels that the caller may see, oldest first.
///
/// # Errors
/// 403 `BANNED`, 503 `STORAGE_UNAVAILABLE`.
pub async fn list(
    database: &impl Database,
    caller: &Caller,
    now: Timestamp,
) -> Result<Vec<Channel>, Problem> {
    let list = Statement::new(LIST, vec![caller.user_id.as_str().into(), caller.trusted.into()]);
    let mut answers = Answers::of(database, vec![Standing::statement(caller, now), list]).await?;
    Standing::granted(&mut answers)?;
    Ok(answers.next_rows()?.decode()?)
}

/// The statement that reads one channel, whether the caller may see it or not.
pub(crate) fn one_statement(caller: &Caller, channel: ChannelId) -> Statement {
    let params = vec![caller.user_id.as_str().into(), caller.trusted.into(), channel.to_string().into()];
    Statement::new(ONE, params)
}

/// Reads one channel.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn one(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    now: Timestamp,
) -> Result<Channel, Problem> {
    let (_, mut answers) = snapshot(database, caller, channel, now, [one_statement(caller, channel)]).await?;
    answers.next_rows()?.first()?.ok_or_else(Problem::internal)
}
