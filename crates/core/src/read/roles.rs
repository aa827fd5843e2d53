//! Roles.

use serde::{Deserialize, Serialize};

use super::channels::Standing;
use crate::{
    access::Caller,
    database::{Answers, Database, Statement, bool_of_int},
    ids::Timestamp,
    problem::Problem,
};

/// A role as REST shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct Role {
    pub id: String,
    pub name: String,
    pub permissions: u32,
    pub color: Option<u32>,
    pub position: u32,
    #[serde(deserialize_with = "bool_of_int")]
    pub is_default: bool,
}

/// Role `r` as the document of a [`Role`].
macro_rules! role_sql {
    () => {
        "json_object('id', r.id, 'name', r.name, 'permissions', r.permissions, 'color', r.color,
                     'position', r.position, 'is_default', r.is_default)"
    };
}
pub(crate) use role_sql;

const LIST: &str = concat!("SELECT ", role_sql!(), " AS json FROM roles r ORDER BY r.position DESC, r.name");

/// Reads all roles, the highest position first.
///
/// # Errors
/// 403 `BANNED`, 503 `STORAGE_UNAVAILABLE`.
pub async fn list(database: &impl Database, caller: &Caller, now: Timestamp) -> Result<Vec<Role>, Problem> {
    let list = Statement::new(LIST, Vec::new());
    let mut answers = Answers::of(database, vec![Standing::statement(caller, now), list]).await?;
    Standing::granted(&mut answers)?;
    Ok(answers.next_rows()?.decode()?)
}
