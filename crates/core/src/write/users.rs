//! What users change of themselves.

use crate::{
    access::{Caller, banned_sql},
    database::{Answers, Database, Statement},
    ids::Timestamp,
    names::DisplayName,
    problem::Problem,
    read::{
        channels::Standing,
        users::{User, one_statement},
    },
};

/// Names user `?1` `?2`, known before or not, unless they are banned at `?3`. Messages keep the name that they were sent
/// under, which is in their own rows.
const RENAME: &str = concat!(
    "INSERT INTO users (id, display_name, created_at) SELECT ?1, ?2, ?3 WHERE NOT ",
    banned_sql!("?1", "?3"),
    " ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name WHERE users.display_name <> excluded.display_name"
);

/// Changes the caller's own display name.
///
/// A token that carries a name gives its user that one again at the next write.
///
/// # Errors
/// 403 `BANNED`, 503 `STORAGE_UNAVAILABLE`.
pub async fn rename(
    database: &impl Database,
    caller: &Caller,
    name: &DisplayName,
    now: Timestamp,
) -> Result<User, Problem> {
    let user = &caller.user_id;
    let rename = Statement::new(RENAME, vec![user.as_str().into(), name.as_str().into(), now.into()]);
    let batch = vec![Standing::statement(caller, now), rename, one_statement(caller, user, now)];
    let mut answers = Answers::of(database, batch).await?;
    Standing::granted(&mut answers)?;
    answers.next_rows()?;
    answers.next_rows()?.first()?.ok_or_else(Problem::internal)
}
