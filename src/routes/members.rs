//! `/api/channels/{channel_id}/members`: who belongs to a channel, added and removed.

use edgewise_core::{
    problem::Problem,
    proto::{AddMemberRequest, RemoveMemberRequest, command},
    read,
};

use crate::{
    call::Call,
    object::{self, Repeat},
    reply::Reply,
};

/// **200** `{members, has_more}`.
pub(crate) async fn list(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    let after = call.query.user("after")?;
    let limit = read::list_limit(call.query.number("limit")?)?;
    let page =
        read::members::list(call.database()?, &caller, channel, after.as_ref(), limit, call.now).await?;
    Ok(Reply::json(200, &page))
}

/// **204**.
pub(crate) async fn add(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (channel, user_id) = (call.channel()?, call.user(&caller)?.to_string());
    let request = command::Request::AddMember(AddMemberRequest { user_id });
    let done = object::command(call, channel, &caller, request, Repeat::Safe).await?;
    Ok(done.reply(Reply::empty(204)))
}

/// **204**.
pub(crate) async fn remove(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (channel, user_id) = (call.channel()?, call.user(&caller)?.to_string());
    let request = command::Request::RemoveMember(RemoveMemberRequest { user_id });
    // Done again, after a member had left a private channel, it would find no channel.
    let done = object::command(call, channel, &caller, request, Repeat::Unsafe).await?;
    Ok(done.reply(Reply::empty(204)))
}
