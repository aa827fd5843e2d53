//! How far a user has read in a channel, and what is new to them.

use serde::{Deserialize, Serialize};

use super::snapshot;
use crate::{
    access::Caller,
    database::{Database, Statement},
    ids::{ChannelId, Sequence, Timestamp},
    problem::Problem,
    proto::LastRead,
    unread::{mentions_sql, unread_sql},
};

/// A user's place in a channel. The counts are exact below 1,000, which means 1,000 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct ReadState {
    pub last_sequence: Sequence,
    pub unread_count: u32,
    pub mention_count: u32,
}

impl From<&LastRead> for ReadState {
    fn from(last_read: &LastRead) -> Self {
        Self {
            last_sequence: last_read.last_sequence,
            unread_count: last_read.unread_count,
            mention_count: last_read.mention_count,
        }
    }
}

const STATE: &str = concat!(
    "WITH place AS MATERIALIZED (
        SELECT coalesce((SELECT last_sequence FROM last_read WHERE channel_id = ?1 AND user_id = ?2), 0) AS sequence)
     SELECT json_object('last_sequence', sequence, 'unread_count', ", unread_sql!("?1", "?2", "place.sequence"), ",
                        'mention_count', ", mentions_sql!("?1", "?2", "place.sequence"), ") AS json
     FROM place"
);

/// Reads the caller's place in a channel.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn get(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    now: Timestamp,
) -> Result<ReadState, Problem> {
    let statement = Statement::new(STATE, vec![channel.to_string().into(), caller.user_id.as_str().into()]);
    let (_, mut answers) = snapshot(database, caller, channel, now, [statement]).await?;
    answers.next_rows()?.first()?.ok_or_else(Problem::internal)
}
