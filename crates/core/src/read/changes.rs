//! What changed since a revision: the present state of each message, tombstones included.
//!
//! State and not log: a message that changed a hundred times comes once, as it is now, at the place of its last
//! change. So the answer is as small as what it says, and a year away is no different from a minute.

use super::{MAX_NUMBER, cut, snapshot};
use crate::{
    access::Caller,
    database::{Database, Statement},
    ids::{ChannelId, Revision, Timestamp},
    message::{MessageRow, message_sql, reactions_sql},
    problem::Problem,
    proto::{ChatMessage, SyncResponse},
};

/// How many states a page has where nothing is said.
const DEFAULT: u64 = 100;
/// How many it has at most.
pub const MAX: u64 = 200;

/// How many states are asked for: 1 to 200, 100 where nothing is said.
///
/// # Errors
/// 400 `QUERY_INVALID`.
pub fn limit(asked: Option<u64>) -> Result<u64, Problem> {
    super::limit(asked, DEFAULT, MAX)
}

/// The first `?4` states after revision `?3`, as `?2` sees them.
const SINCE: &str = concat!(
    "SELECT ",
    message_sql!(reactions_sql!("?2", "20")),
    " AS json
     FROM messages m WHERE m.channel_id = ?1 AND m.revision > ?3 ORDER BY m.revision LIMIT ?4"
);

/// Reads the states of the messages that changed after `since`, at most `limit` of them, in the order of their last
/// change.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn since(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    since: Revision,
    limit: u64,
    now: Timestamp,
) -> Result<SyncResponse, Problem> {
    let statement = Statement::new(
        SINCE,
        vec![
            channel.to_string().into(),
            caller.user_id.as_str().into(),
            since.min(MAX_NUMBER).into(),
            (limit + 1).into(),
        ],
    );
    let (access, mut answers) = snapshot(database, caller, channel, now, [statement]).await?;
    let rows: Vec<MessageRow> = answers.next_rows()?.decode()?;
    let mut messages: Vec<ChatMessage> = rows.into_iter().map(|row| row.seen_by(&caller.user_id)).collect();
    let has_more = cut(&mut messages, limit);
    let revision = match messages.last() {
        Some(last) if has_more => last.revision,
        _ => access.revision,
    };
    Ok(SyncResponse { messages, revision, has_more })
}
