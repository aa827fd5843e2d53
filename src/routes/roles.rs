//! `/api/roles`, `/api/users/{user_id}/roles/{role_id}`: roles made, listed, changed and deleted, given and taken.

use edgewise_core::{
    ids::RoleId,
    names::RoleName,
    permissions::Permissions,
    problem::{Code, Problem},
    read,
    write::roles::{self, Color, NewRole, Position, RoleChange},
};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::{call::Call, reply::Reply};

/// **200** `{roles}`.
pub(crate) async fn list(call: &mut Call) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct Roles {
        roles: Vec<read::roles::Role>,
    }
    let caller = call.caller().await?;
    let roles = read::roles::list(call.database()?, &caller, call.now).await?;
    Ok(Reply::json(200, &Roles { roles }))
}

#[derive(Deserialize)]
struct CreateBody {
    name: String,
    #[serde(default)]
    permissions: u32,
    color: Option<u32>,
    position: Option<u32>,
}

/// **201** the role.
pub(crate) async fn create(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let body: CreateBody = call.json().await?;
    let role = NewRole {
        id: RoleId::new(Uuid::now_v7()),
        permissions: permissions(body.permissions)?,
        color: body.color.map(color).transpose()?,
        position: body.position.map(position).transpose()?.unwrap_or_default(),
        name: name(&body.name)?,
    };
    let role = roles::create(call.database()?, call.request(&caller), &role).await?;
    Ok(Reply::json(201, &role))
}

#[derive(Deserialize)]
struct ChangeBody {
    name: Option<String>,
    permissions: Option<u32>,
    #[serde(default, deserialize_with = "given")]
    color: Option<Option<u32>>,
    position: Option<u32>,
}

/// Tells `null` from what is not there.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// **200** the role.
pub(crate) async fn change(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let role = call.role()?;
    let body: ChangeBody = call.json().await?;
    let change = RoleChange {
        permissions: body.permissions.map(permissions).transpose()?,
        color: body.color.map(|rgb| rgb.map(color).transpose()).transpose()?,
        position: body.position.map(position).transpose()?,
        name: body.name.as_deref().map(name).transpose()?,
    };
    let role = roles::change(call.database()?, call.request(&caller), &role, &change).await?;
    Ok(Reply::json(200, &role))
}

/// **204**.
pub(crate) async fn delete(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let role = call.role()?;
    roles::delete(call.database()?, call.request(&caller), &role).await?;
    Ok(Reply::empty(204))
}

/// **204**.
pub(crate) async fn give(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (user, role) = (call.user(&caller)?, call.role()?);
    roles::give(call.database()?, call.request(&caller), &user, &role).await?;
    Ok(Reply::empty(204))
}

/// **204**.
pub(crate) async fn take(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (user, role) = (call.user(&caller)?, call.role()?);
    roles::take(call.database()?, call.request(&caller), &user, &role).await?;
    Ok(Reply::empty(204))
}

fn name(text: &str) -> Result<RoleName, Problem> {
    RoleName::parse(text).map_err(|error| Code::NameInvalid.with(format!("name {error}")))
}

fn permissions(bits: u32) -> Result<Permissions, Problem> {
    Permissions::exactly(bits)
        .ok_or_else(|| Code::BodyInvalid.with("permissions has bits that have no meaning; all are 255"))
}

fn color(rgb: u32) -> Result<Color, Problem> {
    Color::new(rgb).ok_or_else(|| Code::BodyInvalid.with("color is a number from 0 to 16777215 (0xffffff)"))
}

fn position(number: u32) -> Result<Position, Problem> {
    Position::new(number)
        .ok_or_else(|| Code::BodyInvalid.with(format!("position is a number from 0 to {}", Position::MAX)))
}
