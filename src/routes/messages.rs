//! `…/messages` and `…/messages/{message_id}`: messages sent, read, edited and deleted.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use edgewise_core::{
    ids::Nonce,
    problem::{Code, Problem},
    proto::{
        Ack, ChatMessage, DeleteMessageRequest, EditMessageRequest, SendMessageRequest, envelope::Payload,
    },
    read,
};
use serde::Deserialize;

use crate::{
    body::{Media, parse_json, parse_protobuf},
    call::Call,
    object::{self, Repeat},
    reply::Reply,
};

#[derive(Deserialize)]
struct SendBody {
    content: Option<String>,
    reply_to_id: Option<String>,
    nonce: Option<String>,
    envelope: Option<String>,
}

/// **201** and the message; **200**, with `Idempotency-Replayed: true`, where its nonce or its envelope was sent before.
pub(crate) async fn send(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    let mut request = match call.body().await? {
        (Media::Json, body) => send_request(parse_json(&body)?)?,
        (Media::Protobuf, body) => parse_protobuf(&body)?,
    };
    if let Some(key) = call.header("idempotency-key") {
        request.nonce = same_nonce(&request.nonce, key)?;
    }
    let repeat =
        if request.nonce.is_empty() && request.envelope.is_empty() { Repeat::Unsafe } else { Repeat::Safe };
    let payload = Payload::SendMessageRequest(request);
    let mut done = object::request(call, channel, &caller, payload, repeat).await?;
    let message = message_of(&mut done.ack)?;
    let reply = if done.ack.replayed {
        Reply::chat(200, call.accepts(), &message).with("idempotency-replayed", "true".into())
    } else {
        Reply::chat(201, call.accepts(), &message)
    };
    Ok(done.reply(reply))
}

/// In protobuf what is empty is not there; JSON tells the two apart, and so does this.
fn send_request(body: SendBody) -> Result<SendMessageRequest, Problem> {
    let envelope = envelope(body.envelope)?;
    let content = match body.content {
        Some(content) => content,
        None if envelope.is_empty() => return Err(Code::BodyInvalid.with("content is missing")),
        None => String::new(),
    };
    let nonce = body.nonce.map(nonce).transpose()?.unwrap_or_default();
    Ok(SendMessageRequest { content, reply_to_id: body.reply_to_id, nonce, envelope })
}

fn nonce(text: String) -> Result<String, Problem> {
    if text.is_empty() {
        return Err(Code::NonceInvalid.with(format!("a nonce has 1 to {} characters", Nonce::MAX_LENGTH)));
    }
    Ok(text)
}

/// `Idempotency-Key` is another spelling of `nonce`: one of them is enough, and two must not differ.
fn same_nonce(in_body: &str, key: String) -> Result<String, Problem> {
    let key = nonce(key)?;
    if in_body.is_empty() || in_body == key {
        Ok(key)
    } else {
        Err(Code::BodyInvalid.with("Idempotency-Key and nonce name this send differently"))
    }
}

fn envelope(base64: Option<String>) -> Result<Vec<u8>, Problem> {
    let envelope = base64.map(|text| BASE64.decode(text)).transpose();
    Ok(envelope.map_err(|_| Code::BodyInvalid.with("envelope is not base64"))?.unwrap_or_default())
}

/// **200** the message.
pub(crate) async fn get(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (channel, message) = (call.channel()?, call.message()?);
    let message = read::message::one(call.database()?, &caller, channel, message, call.now).await?;
    Ok(Reply::chat(200, call.accepts(), &message))
}

#[derive(Deserialize)]
struct EditBody {
    content: Option<String>,
    envelope: Option<String>,
}

/// **200** the message.
pub(crate) async fn edit(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (channel, message) = (call.channel()?, call.message()?.to_string());
    let request = match call.body().await? {
        (Media::Json, body) => {
            let EditBody { content, envelope: base64 } = parse_json(&body)?;
            let envelope = envelope(base64)?;
            if content.is_none() && envelope.is_empty() {
                return Err(Code::BodyInvalid.with("content is missing"));
            }
            EditMessageRequest { message_id: message, content: content.unwrap_or_default(), envelope }
        }
        (Media::Protobuf, body) => {
            let request: EditMessageRequest = parse_protobuf(&body)?;
            // The path names the message; a body that names one must mean the same.
            if !request.message_id.is_empty() && !request.message_id.eq_ignore_ascii_case(&message) {
                return Err(Code::BodyInvalid.with("message_id is not the one in the path"));
            }
            EditMessageRequest { message_id: message, ..request }
        }
    };
    let payload = Payload::EditMessageRequest(request);
    let mut done = object::request(call, channel, &caller, payload, Repeat::Safe).await?;
    let message = message_of(&mut done.ack)?;
    let reply = Reply::chat(200, call.accepts(), &message);
    // Only a signed edit is known to be the same again.
    let replayed = done.ack.replayed;
    Ok(done.reply(if replayed { reply.with("idempotency-replayed", "true".into()) } else { reply }))
}

/// **204**.
pub(crate) async fn delete(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let (channel, message_id) = (call.channel()?, call.message()?.to_string());
    let payload = Payload::DeleteMessageRequest(DeleteMessageRequest { message_id });
    // Done again it would find nothing to delete.
    let done = object::request(call, channel, &caller, payload, Repeat::Unsafe).await?;
    Ok(done.reply(Reply::empty(204)))
}

pub(crate) fn message_of(ack: &mut Ack) -> Result<ChatMessage, Problem> {
    ack.message.take().ok_or_else(Problem::internal)
}
