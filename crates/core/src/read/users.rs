//! Users, as anyone may see them.

use serde::{Deserialize, Serialize};

use super::channels::Standing;
use crate::{
    access::Caller,
    database::{Answers, Database, Statement},
    ids::{Timestamp, UserId},
    problem::{Code, Problem},
};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct User {
    pub id: String,
    pub display_name: String,
    pub public_key: Option<String>,
    /// Those given, and those that everyone has.
    pub role_ids: Vec<String>,
    pub created_at: Timestamp,
}

/// User `?1`. Of one who is not known yet, what their first write will make of them, where the caller is who it is: with
/// the name `?2`, at `?3`. NULL names nobody but the known.
const ONE: &str = "
    SELECT json_object('id', ?1, 'display_name', coalesce(u.display_name, ?2), 'public_key', u.public_key,
                       'created_at', coalesce(u.created_at, cast(?3 AS INTEGER)),
                       'role_ids', json((SELECT json_group_array(id) FROM (
                            SELECT r.id FROM roles r
                            WHERE r.is_default OR r.id IN (SELECT role_id FROM user_roles WHERE user_id = ?1)
                            ORDER BY r.position DESC, r.id)))) AS json
    FROM (SELECT 1) LEFT JOIN users u ON u.id = ?1
    WHERE u.id IS NOT NULL OR ?2 IS NOT NULL";

/// The statement that reads one user.
pub(crate) fn one_statement(caller: &Caller, user: &UserId, now: Timestamp) -> Statement {
    let name = (caller.user_id == *user).then(|| caller.display_name.as_deref().unwrap_or(user.as_str()));
    Statement::new(ONE, vec![user.as_str().into(), name.into(), now.into()])
}

/// Reads one user. Who asks for themselves before their first write sees what that will make of them.
///
/// # Errors
/// 403 `BANNED`, 404 `USER_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn one(
    database: &impl Database,
    caller: &Caller,
    user: &UserId,
    now: Timestamp,
) -> Result<User, Problem> {
    let batch = vec![Standing::statement(caller, now), one_statement(caller, user, now)];
    let mut answers = Answers::of(database, batch).await?;
    Standing::granted(&mut answers)?;
    answers.next_rows()?.first()?.ok_or_else(|| Code::UserNotFound.with("there is no such user"))
}
