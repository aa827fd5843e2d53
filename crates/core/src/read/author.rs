//! Whose key signed, asked on behalf of whoever brings what was signed.

use crate::{
    access::{Caller, banned_sql},
    database::{Answers, Database, Statement, bool_of_int},
    ids::{Timestamp, UserId},
    problem::{Code, Problem},
    signature::PublicKey,
};

const AUTHOR: &str = concat!(
    "SELECT json_object('id', (SELECT id FROM users WHERE public_key = ?1), 'banned', ",
    banned_sql!("?2", "?3"),
    ") AS json"
);

#[derive(serde::Deserialize)]
struct Author {
    id: Option<String>,
    /// Whether who asks is banned.
    #[serde(deserialize_with = "bool_of_int")]
    banned: bool,
}

/// The user whom a key belongs to.
///
/// # Errors
/// 403 `BANNED` where the caller is, 404 `USER_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn of_key(
    database: &impl Database,
    caller: &Caller,
    key: &PublicKey,
    now: Timestamp,
) -> Result<UserId, Problem> {
    let params = vec![key.to_string().into(), caller.user_id.as_str().into(), now.into()];
    let mut answers = Answers::of(database, vec![Statement::new(AUTHOR, params)]).await?;
    let author: Author = answers.next_rows()?.first()?.ok_or_else(Problem::internal)?;
    if author.banned {
        return Err(Code::Banned.with("you are banned"));
    }
    let id = author.id.ok_or_else(|| Code::UserNotFound.with("the envelope's key belongs to no user"))?;
    Ok(UserId::parse(&id)?)
}
