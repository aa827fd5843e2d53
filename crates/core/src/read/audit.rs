//! The audit log.

use serde::{Deserialize, Serialize};

use super::{channels::Standing, cut};
use crate::{
    access::Caller,
    database::{Answers, Database, Statement},
    ids::{EntryId, Timestamp},
    permissions::Permissions,
    problem::{Code, Problem},
};

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct Entry {
    pub id: String,
    pub actor_id: String,
    /// One of the names in [`crate::audit`].
    pub action: String,
    /// The id of what was acted on.
    pub target: String,
    /// An object.
    pub details: serde_json::Value,
    pub timestamp: Timestamp,
}

/// A page of the log, newest first.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct Entries {
    pub entries: Vec<Entry>,
    pub has_more: bool,
}

/// The newest `?2` before `?1`. Greater than any id is what follows the hexadecimal digits.
const LIST: &str = "
    SELECT json_object('id', id, 'actor_id', actor_id, 'action', action, 'target', target,
                       'details', json(details), 'timestamp', timestamp) AS json
    FROM audit WHERE id < coalesce(?1, 'g') ORDER BY id DESC LIMIT ?2";

/// Reads a page of the log, from before an entry on.
///
/// # Errors
/// 403 `BANNED`, 403 `FORBIDDEN` without `BAN_MEMBERS`, 503 `STORAGE_UNAVAILABLE`.
pub async fn list(
    database: &impl Database,
    caller: &Caller,
    before: Option<EntryId>,
    limit: u64,
    now: Timestamp,
) -> Result<Entries, Problem> {
    let before = before.map(|id| id.to_string());
    let list = Statement::new(LIST, vec![before.into(), (limit + 1).into()]);
    let mut answers = Answers::of(database, vec![Standing::statement(caller, now), list]).await?;
    if !Standing::granted(&mut answers)?.permissions.contains(Permissions::BAN_MEMBERS) {
        return Err(Code::Forbidden.with("you don't have the permission that this needs"));
    }
    let mut entries: Vec<Entry> = answers.next_rows()?.decode()?;
    let has_more = cut(&mut entries, limit);
    Ok(Entries { entries, has_more })
}
