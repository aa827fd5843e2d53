//! `/api/gossip`: what an author signed, brought by themselves or by a relay.

use edgewise_core::{
    access::Caller,
    envelope::{Said, Sealed},
    problem::{Code, Problem},
    proto::{EditMessageRequest, SendMessageRequest, envelope::Payload},
    read,
};

use crate::{body::Media, call::Call, config, object, reply::Reply, routes::messages::message_of};

/// **201** and the message; **200** where the same envelope came before.
///
/// Who acts is the key's user, by the rights that they have in the database: a relay lends them none of its own.
pub(crate) async fn post(call: &mut Call) -> Result<Reply, Problem> {
    let (caller, relays) = call.courier().await?;
    let (Media::Protobuf, envelope) = call.body().await? else {
        return Err(Code::MediaTypeUnsupported.with("this route takes application/x-protobuf"));
    };
    let sealed = Sealed::open(&envelope)?;
    let author = read::author::of_key(call.database()?, &caller, sealed.author(), call.now).await?;
    let network = config::network(&call.env)?;
    let channel = network.channel(sealed.topic())?;
    let payload = match sealed.said(&network, channel)? {
        Said::Message { .. } => {
            Payload::SendMessageRequest(SendMessageRequest { envelope, ..SendMessageRequest::default() })
        }
        Said::Edit { .. } => {
            Payload::EditMessageRequest(EditMessageRequest { envelope, ..EditMessageRequest::default() })
        }
    };
    let own = caller.user_id == author;
    let actor = match caller {
        caller if own => caller,
        Caller { expires_at, .. } if relays => {
            Caller { user_id: author, display_name: None, trusted: false, owner: false, expires_at }
        }
        _ => {
            return Err(
                Code::Forbidden.with("the envelope is not yours, and your token's scope is not gossip")
            );
        }
    };
    let mut done = object::signed(call, channel, &actor, payload, !own).await?;
    let mut message = message_of(&mut done.ack)?;
    if !own {
        // A nonce is its sender's alone.
        message.nonce.clear();
    }
    let reply = if done.ack.replayed {
        Reply::chat(200, call.accepts(), &message).with("idempotency-replayed", "true".into())
    } else {
        Reply::chat(201, call.accepts(), &message)
    };
    Ok(done.reply(reply))
}
