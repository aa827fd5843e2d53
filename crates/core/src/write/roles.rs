//! Roles, made, changed, deleted, given and taken.
//!
//! Whoever manages roles gives no more than they have, and touches neither a role nor a user that has more: so nobody
//! raises themselves, and an owner's power, which is no role, is out of everyone's reach.

use serde_json::json;

use super::decision::{self, PROVISION, Request, decided, entry, own_bits, verdict};
use crate::{
    access::{banned_sql, target_bits_sql},
    database::{Database, Value},
    ids::{RoleId, UserId},
    names::RoleName,
    permissions::Permissions,
    problem::Problem,
    read::roles::{Role, role_sql},
};

/// A color: red, green and blue of a byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(u32);

impl Color {
    /// Takes a number up to `0xffffff`.
    #[must_use]
    pub const fn new(rgb: u32) -> Option<Self> {
        if rgb <= 0x00ff_ffff { Some(Self(rgb)) } else { None }
    }
}

/// Where a role stands among the others in a list: the higher the further up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position(u32);

impl Position {
    /// The highest.
    pub const MAX: u32 = 1_000_000;

    /// Takes a number up to [`Self::MAX`].
    #[must_use]
    pub const fn new(position: u32) -> Option<Self> {
        if position <= Self::MAX { Some(Self(position)) } else { None }
    }
}

/// A role to be made.
#[derive(Debug, Clone)]
pub struct NewRole {
    /// Its id, which no other has.
    pub id: RoleId,
    /// Its name, which no other may have.
    pub name: RoleName,
    /// What it gives.
    pub permissions: Permissions,
    /// How it is shown.
    pub color: Option<Color>,
    /// Where it is listed.
    pub position: Position,
}

/// What is to be changed of a role: None stays as it is.
#[derive(Debug, Clone, Default)]
pub struct RoleChange {
    /// Its name.
    pub name: Option<RoleName>,
    /// What it gives.
    pub permissions: Option<Permissions>,
    /// How it is shown; `Some(None)`: in no color of its own.
    pub color: Option<Option<Color>>,
    /// Where it is listed.
    pub position: Option<Position>,
}

/// A verdict that begins with what every change of roles needs; `?6` is the role.
macro_rules! manages_roles {
    ($($further:expr),*) => {
        concat!(
            "CASE WHEN ", banned_sql!("?1", "?3"), " THEN 'BANNED' WHEN NOT (", own_bits!(), ") & 128 THEN 'FORBIDDEN' ",
            $($further,)* "ELSE '' END"
        )
    };
}

/// The same for a role that is there and has no more than the caller.
macro_rules! manages_this_role {
    ($($further:expr),*) => {
        manages_roles!(
            "WHEN NOT EXISTS (SELECT 1 FROM roles WHERE id = ?6) THEN 'ROLE_NOT_FOUND' ",
            $($further,)*
            "WHEN (SELECT permissions FROM roles WHERE id = ?6) & ~(", own_bits!(), ") THEN 'OUTRANKED' "
        )
    };
}

const ONE: &str = concat!("SELECT ", role_sql!(), " AS json FROM roles r WHERE r.id = ?6");

/// `?6` id, `?7` name, `?8` permissions, `?9` color, `?10` position, `?11` the same as JSON.
macro_rules! may_create {
    () => {
        manages_roles!(
            "WHEN ?8 & ~(",
            own_bits!(),
            ") THEN 'OUTRANKED' WHEN EXISTS (SELECT 1 FROM roles WHERE name = ?7) THEN 'NAME_TAKEN' "
        )
    };
}

const CREATE: &str = concat!(
    "INSERT INTO roles (id, name, permissions, color, position) SELECT ?6, ?7, ?8, ?9, ?10 WHERE ",
    decided!()
);

/// Makes a role.
///
/// # Errors
/// 403 `BANNED`; 403 `FORBIDDEN` without `MANAGE_ROLES`, or for more than the caller's own permissions;
/// 409 `NAME_TAKEN`; 503 `STORAGE_UNAVAILABLE`.
pub async fn create(database: &impl Database, request: Request<'_>, role: &NewRole) -> Result<Role, Problem> {
    let given = json!({
        "name": role.name, "permissions": role.permissions, "color": role.color.map(|color| color.0),
        "position": role.position.0,
    });
    let own = [
        role.id.as_str().into(),
        role.name.as_str().into(),
        number(role.permissions.bits()),
        role.color.map_or(Value::Null, |color| number(color.0)),
        number(role.position.0),
        given.to_string().into(),
    ];
    let acts = [entry!(may_create!(), "role_created", "?6", "?11", "true"), PROVISION, CREATE, ONE];
    let rows = decision::run(database, request, own, verdict!(may_create!()), &acts).await?;
    rows.first()?.ok_or_else(Problem::internal)
}

/// `?6` id, `?7` name, `?8` permissions, `?9` color, `?10` position, each NULL where it stays; `?11` what was asked for
/// as JSON, `?12` whether the color is to be changed.
macro_rules! may_change {
    () => {
        manages_this_role!(
            "WHEN coalesce(?8, 0) & ~(",
            own_bits!(),
            ") THEN 'OUTRANKED' WHEN EXISTS (SELECT 1 FROM roles WHERE name = ?7 AND id <> ?6) THEN 'NAME_TAKEN' "
        )
    };
}

const CHANGE: &str = concat!(
    "UPDATE roles SET name = coalesce(?7, name), permissions = coalesce(?8, permissions),
            color = iif(?12, ?9, color), position = coalesce(?10, position)
     WHERE id = ?6 AND ",
    decided!()
);

/// Changes a role, the default one too.
///
/// # Errors
/// 403 `BANNED`; 403 `FORBIDDEN` without `MANAGE_ROLES`, or where the role has, or is to have, more than the caller's
/// own permissions; 404 `ROLE_NOT_FOUND`; 409 `NAME_TAKEN`; 503 `STORAGE_UNAVAILABLE`.
pub async fn change(
    database: &impl Database,
    request: Request<'_>,
    role: &RoleId,
    change: &RoleChange,
) -> Result<Role, Problem> {
    let color = change.color.map(|color| color.map(|color| color.0));
    let mut given = serde_json::Map::new();
    let mut note = |name: &str, value: Option<serde_json::Value>| {
        given.extend(value.map(|value| (name.to_owned(), value)));
    };
    note("name", change.name.as_ref().map(|name| json!(name)));
    note("permissions", change.permissions.map(|permissions| json!(permissions)));
    note("color", color.map(|color| json!(color)));
    note("position", change.position.map(|position| json!(position.0)));
    let own = [
        role.as_str().into(),
        change.name.as_ref().map(RoleName::as_str).into(),
        change.permissions.map_or(Value::Null, |permissions| number(permissions.bits())),
        color.flatten().map_or(Value::Null, number),
        change.position.map_or(Value::Null, |position| number(position.0)),
        serde_json::Value::from(given).to_string().into(),
        color.is_some().into(),
    ];
    let entry = entry!(
        may_change!(),
        "role_changed",
        "?6",
        "?11",
        "EXISTS (SELECT 1 FROM roles WHERE id = ?6 AND (name, permissions, color, position)
            IS NOT (coalesce(?7, name), coalesce(?8, permissions), iif(?12, ?9, color), coalesce(?10, position)))"
    );
    let acts = [entry, PROVISION, CHANGE, ONE];
    let rows = decision::run(database, request, own, verdict!(may_change!()), &acts).await?;
    rows.first()?.ok_or_else(Problem::internal)
}

macro_rules! may_delete {
    () => {
        manages_this_role!("WHEN (SELECT is_default FROM roles WHERE id = ?6) THEN 'DEFAULT' ")
    };
}

const TAKE_FROM_ALL: &str = concat!("DELETE FROM user_roles WHERE role_id = ?6 AND ", decided!());
const DELETE: &str = concat!("DELETE FROM roles WHERE id = ?6 AND ", decided!());

/// Deletes a role, and takes it from all who have it.
///
/// # Errors
/// 403 `BANNED`; 403 `FORBIDDEN` without `MANAGE_ROLES`, for a role with more than the caller's own permissions, and
/// for the default one; 404 `ROLE_NOT_FOUND`; 503 `STORAGE_UNAVAILABLE`.
pub async fn delete(database: &impl Database, request: Request<'_>, role: &RoleId) -> Result<(), Problem> {
    let entry = entry!(
        may_delete!(),
        "role_deleted",
        "?6",
        "json_object('name', (SELECT name FROM roles WHERE id = ?6))",
        "true"
    );
    let acts = [entry, PROVISION, TAKE_FROM_ALL, DELETE];
    decision::run(database, request, [role.as_str().into()], verdict!(may_delete!()), &acts).await?;
    Ok(())
}

/// `?7` is the user.
macro_rules! on_a_user {
    ($($further:expr),*) => {
        manages_this_role!(
            "WHEN NOT EXISTS (SELECT 1 FROM users WHERE id = ?7) THEN 'USER_NOT_FOUND' ", $($further,)*
            "WHEN (", target_bits_sql!("?7"), ") & ~(", own_bits!(), ") THEN 'OUTRANKED' "
        )
    };
}

macro_rules! may_take {
    () => {
        on_a_user!("WHEN (SELECT is_default FROM roles WHERE id = ?6) THEN 'DEFAULT' ")
    };
}

const GIVE: &str = concat!("INSERT INTO user_roles (user_id, role_id) SELECT ?7, ?6 WHERE ", decided!());
const TAKE: &str = concat!("DELETE FROM user_roles WHERE user_id = ?7 AND role_id = ?6 AND ", decided!());

/// Gives a user a role; one that they have, as everyone has the default one, stays.
///
/// The user must be known: who has never written or connected has no row, and a mistyped id would be given power
/// silently.
///
/// # Errors
/// 403 `BANNED`; 403 `FORBIDDEN` without `MANAGE_ROLES`, or where the role or the user has more than the caller's own
/// permissions; 404 `ROLE_NOT_FOUND`, `USER_NOT_FOUND`; 503 `STORAGE_UNAVAILABLE`.
pub async fn give(
    database: &impl Database,
    request: Request<'_>,
    user: &UserId,
    role: &RoleId,
) -> Result<(), Problem> {
    let entry = entry!(
        on_a_user!(),
        "role_given",
        "?7",
        "json_object('role_id', ?6)",
        "NOT EXISTS (SELECT 1 FROM user_roles WHERE user_id = ?7 AND role_id = ?6)
         AND NOT (SELECT is_default FROM roles WHERE id = ?6)"
    );
    let own = [role.as_str().into(), user.as_str().into()];
    decision::run(database, request, own, verdict!(on_a_user!()), &[entry, PROVISION, GIVE]).await?;
    Ok(())
}

/// Takes a role from a user, whether they had it or not.
///
/// # Errors
/// Those of [`give`]; 403 `FORBIDDEN` for the default role too.
pub async fn take(
    database: &impl Database,
    request: Request<'_>,
    user: &UserId,
    role: &RoleId,
) -> Result<(), Problem> {
    let entry = entry!(
        may_take!(),
        "role_taken",
        "?7",
        "json_object('role_id', ?6)",
        "EXISTS (SELECT 1 FROM user_roles WHERE user_id = ?7 AND role_id = ?6)"
    );
    let own = [role.as_str().into(), user.as_str().into()];
    decision::run(database, request, own, verdict!(may_take!()), &[entry, PROVISION, TAKE]).await?;
    Ok(())
}

fn number(number: u32) -> Value {
    Value::Integer(number.into())
}
