//! `/api/channels` and `/api/channels/{channel_id}`: channels made, listed, changed and deleted.

use edgewise_core::{
    ids::ChannelId,
    names::{ChannelName, NameError, Topic},
    problem::{Code, FieldError, Problem},
    proto::{DeleteChannelRequest, command},
    read,
    write::channels::{NewChannel, change as write_change, create as write_create},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    call::Call,
    object::{self, Repeat},
    reply::Reply,
};

/// **200** `{channels}`.
pub(crate) async fn list(call: &mut Call) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct Channels {
        channels: Vec<read::channels::Channel>,
    }
    let caller = call.caller().await?;
    let channels = read::channels::list(call.database()?, &caller, call.now).await?;
    Ok(Reply::json(200, &Channels { channels }))
}

#[derive(Deserialize)]
struct CreateBody {
    name: String,
    topic: Option<String>,
    private: Option<bool>,
}

/// **201** the channel.
pub(crate) async fn create(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let CreateBody { name, topic, private } = call.json().await?;
    let topic = topic.unwrap_or_default();
    let (name, topic) = both(ChannelName::parse(&name), Topic::parse(&topic))?;
    let id = ChannelId::new(Uuid::now_v7());
    let channel = NewChannel { id, name, topic, private: private.unwrap_or(false) };
    let channel = write_create(call.database()?, call.request(&caller), &channel).await?;
    Ok(Reply::json(201, &channel))
}

/// **200** the channel.
pub(crate) async fn get(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    Ok(Reply::json(200, &read::channels::one(call.database()?, &caller, channel, call.now).await?))
}

#[derive(Deserialize)]
struct ChangeBody {
    name: Option<String>,
    topic: Option<String>,
}

/// **200** the channel.
pub(crate) async fn change(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    let ChangeBody { name, topic } = call.json().await?;
    let name = name.as_deref().map(ChannelName::parse).transpose();
    let topic = topic.as_deref().map(Topic::parse).transpose();
    let (name, topic) = both(name, topic)?;
    let request = call.request(&caller);
    let channel = write_change(call.database()?, request, channel, name.as_ref(), topic.as_ref()).await?;
    Ok(Reply::json(200, &channel))
}

/// Both of them, or what is wrong with either and with both.
fn both<N, T>(name: Result<N, NameError>, topic: Result<T, NameError>) -> Result<(N, T), Problem> {
    let fault = |pointer, code, what: &str, error: NameError| FieldError {
        pointer,
        code,
        detail: format!("{what} {error}").into(),
    };
    let faults = match (name, topic) {
        (Ok(name), Ok(topic)) => return Ok((name, topic)),
        (name, topic) => [
            name.err().map(|error| fault("/name", Code::NameInvalid, "name", error)),
            topic.err().map(|error| fault("/topic", Code::TopicInvalid, "topic", error)),
        ],
    };
    let faults: Vec<FieldError> = faults.into_iter().flatten().collect();
    let code = faults.first().map_or(Code::BodyInvalid, |fault| fault.code);
    let details: Vec<&str> = faults.iter().map(|fault| &*fault.detail).collect();
    let problem = code.with(details.join("; "));
    // One fault is the problem itself.
    Err(if faults.len() > 1 { Problem { errors: faults, ..problem } } else { problem })
}

/// **204**.
pub(crate) async fn delete(call: &mut Call) -> Result<Reply, Problem> {
    let caller = call.caller().await?;
    let channel = call.channel()?;
    let request = command::Request::DeleteChannel(DeleteChannelRequest {});
    // Done again it would find no channel.
    let done = object::command(call, channel, &caller, request, Repeat::Unsafe).await?;
    Ok(done.reply(Reply::empty(204)))
}
