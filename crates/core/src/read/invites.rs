//! Invites, as those see them who may give them.

use serde::{Deserialize, Serialize};

use super::{channels::Standing, cut};
use crate::{
    access::Caller,
    database::{Answers, Database, Statement},
    ids::Timestamp,
    permissions::Permissions,
    problem::Problem,
};

/// An invite: whoever has its code may register with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// What is given to who is invited.
    pub code: String,
    /// Who made it.
    pub created_by: String,
    /// When, in Unix milliseconds.
    pub created_at: Timestamp,
    /// How many may register with it; None: any number.
    pub max_uses: Option<u64>,
    /// How many did.
    pub uses: u64,
    /// From when on it is no longer good, in Unix milliseconds; None: never.
    pub expires_at: Option<Timestamp>,
}

/// Some of the invites, by code.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "as with every list")]
pub struct Invites {
    pub invites: Vec<Invite>,
    pub has_more: bool,
}

/// An invite `i` as a document.
macro_rules! invite_sql {
    () => {
        "json_object('code', i.code, 'created_by', i.created_by, 'created_at', i.created_at, 'max_uses', i.max_uses,
                     'uses', i.uses, 'expires_at', i.expires_at)"
    };
}
pub(crate) use invite_sql;

const LIST: &str =
    concat!("SELECT ", invite_sql!(), " AS json FROM invites i WHERE i.code > ?1 ORDER BY i.code LIMIT ?2");

/// Reads the invites, used up and expired ones too, from after a code on.
///
/// # Errors
/// 403 `BANNED`, 403 `FORBIDDEN` without `MANAGE_CHANNELS`, 503 `STORAGE_UNAVAILABLE`.
pub async fn list(
    database: &impl Database,
    caller: &Caller,
    after: Option<&str>,
    limit: u64,
    now: Timestamp,
) -> Result<Invites, Problem> {
    let list = Statement::new(LIST, vec![after.unwrap_or_default().into(), (limit + 1).into()]);
    let mut answers = Answers::of(database, vec![Standing::statement(caller, now), list]).await?;
    Standing::granted(&mut answers)?.with(Permissions::MANAGE_CHANNELS)?;
    let mut invites: Vec<Invite> = answers.next_rows()?.decode()?;
    let has_more = cut(&mut invites, limit);
    Ok(Invites { invites, has_more })
}
