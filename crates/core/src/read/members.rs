//! Who belongs to a channel.

use serde::{Deserialize, Serialize};

use super::{cut, snapshot};
use crate::{
    access::Caller,
    database::{Database, Statement},
    ids::{ChannelId, Timestamp, UserId},
    problem::Problem,
};

/// A member of a channel.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct Member {
    pub user_id: String,
    pub display_name: String,
    pub joined_at: Timestamp,
}

/// Some of a channel's members, by user id.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct Members {
    pub members: Vec<Member>,
    pub has_more: bool,
}

/// The first `?3` members after `?2`.
const LIST: &str = "
    SELECT json_object('user_id', m.user_id, 'display_name', u.display_name, 'joined_at', m.joined_at) AS json
    FROM members m CROSS JOIN users u ON u.id = m.user_id
    WHERE m.channel_id = ?1 AND m.user_id > ?2 ORDER BY m.user_id LIMIT ?3";

/// Reads a channel's members, from after a user on.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn list(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    after: Option<&UserId>,
    limit: u64,
    now: Timestamp,
) -> Result<Members, Problem> {
    let after = after.map_or("", UserId::as_str);
    let statement = Statement::new(LIST, vec![channel.to_string().into(), after.into(), (limit + 1).into()]);
    let (_, mut answers) = snapshot(database, caller, channel, now, [statement]).await?;
    let mut members: Vec<Member> = answers.next_rows()?.decode()?;
    let has_more = cut(&mut members, limit);
    Ok(Members { members, has_more })
}
