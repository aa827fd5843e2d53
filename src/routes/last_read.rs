//! `/api/channels/{channel_id}/last-read`: how far the caller has read.

use edgewise_core::{
    problem::Problem,
    proto::{UpdateLastReadRequest, envelope::Payload},
    read::read_state::{self, ReadState},
};
use serde::Deserialize;

use crate::{
    call::Call,
    object::{self, Repeat},
    reply::Reply,
};

/// **200** `{last_sequence, unread_count, mention_count}`.
pub(crate) async fn get(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    Ok(Reply::json(200, &read_state::get(call.database()?, &caller, channel, call.now).await?))
}

#[derive(Deserialize)]
struct PutBody {
    last_sequence: u64,
    allow_decrease: Option<bool>,
}

/// **200**, the same body.
pub(crate) async fn put(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    let PutBody { last_sequence, allow_decrease } = call.json().await?;
    let allow_decrease = allow_decrease.unwrap_or(false);
    let payload = Payload::UpdateLastReadRequest(UpdateLastReadRequest { last_sequence, allow_decrease });
    let done = object::request(call, channel, &caller, payload, Repeat::Safe).await?;
    let state = ReadState::from(done.ack.last_read.as_ref().ok_or_else(Problem::internal)?);
    Ok(done.reply(Reply::json(200, &state)))
}
