//! Who reacted to a message, and with what.

use serde::{Deserialize, Serialize};

use super::{cut, message::not_found, snapshot};
use crate::{
    access::Caller,
    database::{Database, Statement},
    emoji::Emoji,
    erasure::{erased_reaction_sql, erased_sql},
    ids::{ChannelId, MessageId, Timestamp, UserId},
    message::{ReactionRow, reactions_sql, summaries},
    problem::Problem,
    proto::ReactionSummary,
};

const LIST: &str = concat!(
    "SELECT ",
    reactions_sql!("?2", "20"),
    " AS json
     FROM messages m WHERE m.id = ?3 AND m.channel_id = ?1 AND m.deleted = 0 AND NOT ",
    erased_sql!("m")
);

/// Reads the summary of each emoji on a live message.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 404 `MESSAGE_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn list(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    message: MessageId,
    now: Timestamp,
) -> Result<Vec<ReactionSummary>, Problem> {
    let statement = Statement::new(
        LIST,
        vec![channel.to_string().into(), caller.user_id.as_str().into(), message.to_string().into()],
    );
    let (_, mut answers) = snapshot(database, caller, channel, now, [statement]).await?;
    let rows: Vec<ReactionRow> = answers.next_rows()?.first()?.ok_or_else(not_found)?;
    Ok(summaries(rows))
}

/// A user who reacted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct ReactionUser {
    pub user_id: String,
    pub display_name: String,
    pub timestamp: Timestamp,
}

/// Some of the users who reacted with one emoji, by user id.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct ReactionUsers {
    pub users: Vec<ReactionUser>,
    pub has_more: bool,
}

const LIVES: &str = concat!(
    "SELECT json(1) AS json FROM messages m WHERE m.id = ?2 AND m.channel_id = ?1 AND m.deleted = 0 AND NOT ",
    erased_sql!("m")
);

/// The first `?5` users after `?4` who reacted with `?3`.
const USERS: &str = concat!(
    "SELECT json_object('user_id', r.user_id, 'display_name', u.display_name, 'timestamp', r.created_at) AS json
    FROM messages m
         CROSS JOIN reactions r ON r.channel_id = m.channel_id AND r.server_sequence = m.server_sequence
                AND r.emoji = ?3 AND r.user_id > ?4
         CROSS JOIN users u ON u.id = r.user_id
    WHERE m.id = ?2 AND m.channel_id = ?1 AND NOT ",
    erased_reaction_sql!("r"),
    " ORDER BY r.user_id LIMIT ?5"
);

/// Reads who reacted to a live message with one emoji, from after a user on: nobody where it is not there.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 404 `MESSAGE_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
#[allow(clippy::too_many_arguments, reason = "who, where, what and when: each is one thing")]
pub async fn users(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    message: MessageId,
    emoji: &Emoji,
    after: Option<&UserId>,
    limit: u64,
    now: Timestamp,
) -> Result<ReactionUsers, Problem> {
    let (channel_id, message_id) = (channel.to_string(), message.to_string());
    let statements = [
        Statement::new(LIVES, vec![channel_id.clone().into(), message_id.clone().into()]),
        Statement::new(
            USERS,
            vec![
                channel_id.into(),
                message_id.into(),
                emoji.as_str().into(),
                after.map_or("", UserId::as_str).into(),
                (limit + 1).into(),
            ],
        ),
    ];
    let (_, mut answers) = snapshot(database, caller, channel, now, statements).await?;
    answers.next_rows()?.first::<u8>()?.ok_or_else(not_found)?;
    let mut users: Vec<ReactionUser> = answers.next_rows()?.decode()?;
    let has_more = cut(&mut users, limit);
    Ok(ReactionUsers { users, has_more })
}
