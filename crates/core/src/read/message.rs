//! One message.

use super::snapshot;
use crate::{
    access::Caller,
    database::{Database, Statement},
    erasure::erased_sql,
    ids::{ChannelId, MessageId, Timestamp},
    message::{MessageRow, message_sql, reactions_sql},
    problem::{Code, Problem},
    proto::ChatMessage,
};

const ONE: &str = concat!(
    "SELECT ",
    message_sql!(reactions_sql!("?2", "20"), live),
    " AS json
     FROM messages m WHERE m.id = ?3 AND m.channel_id = ?1 AND m.deleted = 0 AND NOT ",
    erased_sql!("m")
);

/// What is said where a channel has no such live message.
pub(crate) fn not_found() -> Problem {
    Code::MessageNotFound.with("there is no such message in this channel")
}

/// Reads a live message.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 404 `MESSAGE_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn one(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    message: MessageId,
    now: Timestamp,
) -> Result<ChatMessage, Problem> {
    let statement = Statement::new(
        ONE,
        vec![channel.to_string().into(), caller.user_id.as_str().into(), message.to_string().into()],
    );
    let (_, mut answers) = snapshot(database, caller, channel, now, [statement]).await?;
    let row: MessageRow = answers.next_rows()?.first()?.ok_or_else(not_found)?;
    Ok(row.seen_by(&caller.user_id))
}
