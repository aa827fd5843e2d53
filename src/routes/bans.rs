//! `/api/bans`: users banned, listed, and let in again.

use edgewise_core::{
    ids::Timestamp,
    problem::Problem,
    read,
    write::bans::{self, Ban},
};
use serde::Deserialize;

use crate::{call::Call, moderator, reply::Reply};

/// **200** `{bans, has_more}`.
pub(crate) async fn list(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let after = call.query.user("after")?;
    let limit = read::list_limit(call.query.number("limit")?)?;
    let page = read::bans::list(call.database()?, &caller, after.as_ref(), limit, call.now).await?;
    Ok(Reply::json(200, &page))
}

#[derive(Default, Deserialize)]
struct BanBody {
    reason: Option<String>,
    expires_at: Option<Timestamp>,
    delete_messages_since: Option<Timestamp>,
}

/// **204**.
pub(crate) async fn ban(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let user = call.user(&caller)?;
    let BanBody { reason, expires_at, delete_messages_since } = call.json_if_any().await?;
    let ban = Ban::new(&reason.unwrap_or_default(), expires_at, delete_messages_since, call.now)?;
    // Whoever may not ban does not set a moderator to work either.
    bans::may_ban(call.database()?, call.request(&caller), &user).await?;
    moderator::watch(&call.env, &user).await?;
    bans::ban(call.database()?, call.request(&caller), &user, &ban).await?;
    moderator::tour(&call.env, &user).await;
    Ok(Reply::empty(204))
}

/// **204**.
pub(crate) async fn unban(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let user = call.user(&caller)?;
    bans::unban(call.database()?, call.request(&caller), &user).await?;
    Ok(Reply::empty(204))
}
