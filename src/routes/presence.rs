//! `GET /api/channels/{channel_id}/presence`: who is connected now. Only the channel's object knows.

use edgewise_core::{
    ids::UserId,
    problem::{Code, Problem},
};

use crate::{call::Call, object, reply::Reply};

/// How many users are named where nothing else is asked for, and at most.
const DEFAULT: u64 = 50;
const MAX: u64 = 200;

/// **200** `{presence, has_more}`.
pub(crate) async fn get(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    let after = call.query.user("after")?;
    let limit = call.query.number("limit")?.unwrap_or(DEFAULT);
    if !(1..=MAX).contains(&limit) {
        return Err(Code::QueryInvalid.with(format!("limit is from 1 to {MAX}")));
    }
    let after = after.as_ref().map(UserId::as_str);
    Ok(Reply::raw_json(200, object::presence(&call.env, channel, &caller, after, limit).await?))
}
