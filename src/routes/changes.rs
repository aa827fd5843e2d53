//! `GET /api/channels/{channel_id}/changes`: what changed since a revision.

use edgewise_core::{problem::Problem, read::changes};

use crate::{call::Call, reply::Reply};

/// **200** `{messages, revision, has_more}`, or a `SyncResponse`. Without `since` from the beginning.
pub(crate) async fn get(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    let since = call.query.number("since")?.unwrap_or(0);
    let limit = changes::limit(call.query.number("limit")?)?;
    let page = changes::since(call.database()?, &caller, channel, since, limit, call.now).await?;
    Ok(Reply::chat(200, call.accepts(), &page))
}
