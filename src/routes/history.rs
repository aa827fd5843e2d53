//! `GET /api/channels/{channel_id}/messages`: a page of history.

use edgewise_core::{
    problem::Problem,
    read::history::{self, PageRequest},
};

use crate::{call::Call, reply::Reply};

/// **200** `{messages, has_more, has_newer, revision}`, or a `FetchHistoryResponse`.
pub(crate) async fn get(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    let query = &call.query;
    let request = PageRequest::from_query(
        query.number("limit")?,
        query.number("before")?,
        query.number("after")?,
        query.number("around")?,
    )?;
    let page = history::page(call.database()?, &caller, channel, &request, call.now).await?;
    Ok(Reply::chat(200, call.accepts(), &page))
}
