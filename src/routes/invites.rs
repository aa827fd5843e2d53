//! `/api/invites`: who may register where not everyone may.

use edgewise_core::{
    problem::Problem,
    read,
    write::invites::{NewInvite, create as write_create, delete as write_delete},
};
use serde::Deserialize;

use crate::{call::Call, random, reply::Reply};

/// **200** `{invites, has_more}`.
pub(crate) async fn list(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let limit = read::list_limit(call.query.number("limit")?)?;
    let after = call.query.text("after")?;
    Ok(Reply::json(200, &read::invites::list(call.database()?, &caller, after, limit, call.now).await?))
}

/// **201** the invite.
pub(crate) async fn create(call: &mut Call) -> Result<Reply, Problem> {
    #[derive(Default, Deserialize)]
    struct Body {
        max_uses: Option<u64>,
        expires_at: Option<u64>,
    }
    let caller = call.caller().await?;
    let Body { max_uses, expires_at } = call.json_if_any().await?;
    let invite = NewInvite::new(random::bytes()?, max_uses, expires_at, call.now)?;
    Ok(Reply::json(201, &write_create(call.database()?, call.request(&caller), &invite).await?))
}

/// **204**.
pub(crate) async fn delete(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let code = call.params.decoded("code")?;
    write_delete(call.database()?, call.request(&caller), &code).await?;
    Ok(Reply::empty(204))
}
