//! `POST /api/channels/{channel_id}/typing`: the caller is typing.

use edgewise_core::{
    problem::Problem,
    proto::{TypingRequest, envelope::Payload},
};

use crate::{
    call::Call,
    object::{self, Repeat},
    reply::Reply,
};

/// **204**. A body is not looked at.
pub(crate) async fn post(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    let payload = Payload::TypingRequest(TypingRequest {});
    let done = object::request(call, channel, &caller, payload, Repeat::Safe).await?;
    Ok(done.reply(Reply::empty(204)))
}
