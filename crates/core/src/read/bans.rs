//! Bans.

use serde::{Deserialize, Serialize};

use super::{channels::Standing, cut};
use crate::{
    access::Caller,
    database::{Answers, Database, Statement},
    ids::{Timestamp, UserId},
    permissions::Permissions,
    problem::{Code, Problem},
};

/// A ban in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they say what they are")]
pub struct Ban {
    pub user_id: String,
    pub reason: String,
    pub banned_by: String,
    pub created_at: Timestamp,
    /// None: for good.
    pub expires_at: Option<Timestamp>,
}

/// Some of the bans, by user id.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "they say what they are")]
pub struct Bans {
    pub bans: Vec<Ban>,
    pub has_more: bool,
}

const LIST: &str = "
    SELECT json_object('user_id', user_id, 'reason', reason, 'banned_by', banned_by, 'created_at', created_at,
                       'expires_at', expires_at) AS json
    FROM bans WHERE user_id > ?1 AND (expires_at IS NULL OR expires_at > ?2) ORDER BY user_id LIMIT ?3";

/// Reads the bans in force, from after a user on.
///
/// # Errors
/// 403 `BANNED`, 403 `FORBIDDEN` without `BAN_MEMBERS`, 503 `STORAGE_UNAVAILABLE`.
pub async fn list(
    database: &impl Database,
    caller: &Caller,
    after: Option<&UserId>,
    limit: u64,
    now: Timestamp,
) -> Result<Bans, Problem> {
    let after = after.map_or("", UserId::as_str);
    let list = Statement::new(LIST, vec![after.into(), now.into(), (limit + 1).into()]);
    let mut answers = Answers::of(database, vec![Standing::statement(caller, now), list]).await?;
    if !Standing::granted(&mut answers)?.permissions.contains(Permissions::BAN_MEMBERS) {
        return Err(Code::Forbidden.with("you don't have the permission that this needs"));
    }
    let mut bans: Vec<Ban> = answers.next_rows()?.decode()?;
    let has_more = cut(&mut bans, limit);
    Ok(Bans { bans, has_more })
}
