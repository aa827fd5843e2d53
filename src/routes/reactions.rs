//! `…/messages/{message_id}/reactions` and `…/reactions/{emoji}`.

use edgewise_core::{
    problem::Problem,
    proto::{AddReactionRequest, ReactionSummary, RemoveReactionRequest, envelope::Payload},
    read,
};
use serde::{Deserialize, Serialize};

use crate::{
    call::Call,
    object::{self, Repeat},
    reply::Reply,
};

#[derive(Deserialize)]
struct AddBody {
    emoji: String,
}

/// **201** and the emoji's summary; **200** where it was there already.
pub(crate) async fn add(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (channel, message_id) = (call.channel()?, call.message()?.to_string());
    let AddBody { emoji } = call.json().await?;
    let payload = Payload::AddReactionRequest(AddReactionRequest { message_id, emoji });
    let done = object::request(call, channel, &caller, payload, Repeat::Safe).await?;
    let summary = done.ack.reaction.as_ref().ok_or_else(Problem::internal)?;
    let reply = Reply::json(if done.ack.replayed { 200 } else { 201 }, summary);
    Ok(done.reply(reply))
}

/// **200** `{reactions}`.
pub(crate) async fn list(call: &mut Call) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct Reactions {
        reactions: Vec<ReactionSummary>,
    }
    let caller = call.caller().await?;
    let (channel, message) = (call.channel()?, call.message()?);
    let reactions = read::reactions::list(call.database()?, &caller, channel, message, call.now).await?;
    Ok(Reply::json(200, &Reactions { reactions }))
}

/// **200** `{users, has_more}`.
pub(crate) async fn users(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (channel, message, emoji) = (call.channel()?, call.message()?, call.emoji()?);
    let after = call.query.user("after")?;
    let limit = read::list_limit(call.query.number("limit")?)?;
    let database = call.database()?;
    let users =
        read::reactions::users(database, &caller, channel, message, &emoji, after.as_ref(), limit, call.now);
    Ok(Reply::json(200, &users.await?))
}

/// **204**.
pub(crate) async fn remove(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (channel, message_id, emoji) = (call.channel()?, call.message()?.to_string(), call.emoji_text()?);
    let payload = Payload::RemoveReactionRequest(RemoveReactionRequest { message_id, emoji });
    // Done again it would find nothing to remove.
    let done = object::request(call, channel, &caller, payload, Repeat::Unsafe).await?;
    Ok(done.reply(Reply::empty(204)))
}
