//! What the Worker asks of a channel's object, typed: the only place that knows the paths and headers in between.
//!
//! Both ends are of one deployment. What is asked was authenticated already: the object believes its caller.

use std::pin::pin;

use edgewise_core::{
    access::Caller,
    engine::{self, Signature},
    ids::{ChannelId, UserId},
    problem::{Code, Problem},
    proto::{
        Ack, Actor, Command, Commands, Envelope, ExpelRequest, Outcome, Outcomes, command, envelope::Payload,
    },
};
use futures_util::future::{Either, select};
use prost::Message as _;
use worker::{
    Env, Error, Headers, Method, Request, RequestInit, Response, Stub, console_error, console_warn,
    js_sys::{Reflect, Uint8Array},
    url::form_urlencoded,
};

use crate::{border::Signal, call::Call, config, hop, reply::Reply};

/// Who asks: an [`Actor`] in hex.
pub(crate) const ACTOR_HEADER: &str = "x-edgewise-actor";
/// The subprotocol that a socket's client offered and is to be selected.
pub(crate) const PROTOCOL_HEADER: &str = "x-edgewise-protocol";
/// The one subprotocol there is.
pub(crate) const PROTOCOL: &str = "edgewise.v1";
/// Which commit a write was in, where costs are exposed.
pub(crate) const COMMIT_HEADER: &str = "x-edgewise-commit";
/// What a commit or a read cost the database, where costs are exposed.
pub(crate) const COST_HEADER: &str = "x-edgewise-cost";

/// How often an object is asked what may be repeated.
pub(crate) const ATTEMPTS: u32 = 3;
/// How long an object's answer is waited for, in milliseconds: longer than the engine tries to get one from the database.
pub(crate) const PATIENCE_MS: u32 = 30_000;

/// Whether the same command once more does no harm and answers the same, so that it can be repeated where its answer
/// was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    Safe,
    Unsafe,
}

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) ack: Ack,
    headers: Vec<(&'static str, String)>,
}

impl Done {
    fn of(outcome: Outcome) -> Result<Self, Problem> {
        let Outcome { envelope, commit, cost, .. } = outcome;
        let headers = [(COMMIT_HEADER, commit), (COST_HEADER, cost)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        match envelope.and_then(|envelope| envelope.payload) {
            Some(Payload::Ack(ack)) => Ok(Self { ack, headers }),
            Some(Payload::Error(error)) => Err(Problem::from_error_response(&error)),
            _ => Err(defect("an answer that is neither ack nor error")),
        }
    }

    /// An answer to the client, with what the object says that it cost.
    pub(crate) fn reply(self, reply: Reply) -> Reply {
        self.headers.into_iter().fold(reply, |reply, (name, value)| reply.with(name, value))
    }
}

/// Has a channel's object carry out a command.
///
/// # Errors
/// What the object refused; 503 `STORAGE_UNAVAILABLE` where it did not answer.
pub(crate) async fn command(
    call: &Call,
    channel: ChannelId,
    caller: &Caller,
    request: command::Request,
    repeat: Repeat,
) -> Result<Done, Problem> {
    let signature_verified = verify(&call.env, channel, &request)?;
    let (actor, request) = (Some(actor(caller)), Some(request));
    carry(call, channel, Command { actor, request, signature_verified, relayed: false }, repeat).await
}

/// Has a channel's object carry out what its author signed, and was verified already; `relayed` where another than the
/// author brings it.
///
/// # Errors
/// Those of [`command`].
pub(crate) async fn signed(
    call: &Call,
    channel: ChannelId,
    author: &Caller,
    payload: Payload,
    relayed: bool,
) -> Result<Done, Problem> {
    let envelope = Envelope { payload: Some(payload), ..Envelope::default() };
    let (actor, request) = (Some(actor(author)), Some(command::Request::Envelope(envelope)));
    let command = Command { actor, request, signature_verified: true, relayed };
    carry(call, channel, command, Repeat::Safe).await
}

async fn carry(call: &Call, channel: ChannelId, command: Command, repeat: Repeat) -> Result<Done, Problem> {
    let mut outcome = hop::carry(call, channel, command, repeat).await?;
    // What is refused before the object is asked took nothing, and nobody here knows what is left.
    for (name, value) in
        [("ratelimit", outcome.rate_limit.take()), ("ratelimit-policy", outcome.rate_limit_policy.take())]
    {
        if let Some(value) = value {
            call.tell(name, value);
        }
    }
    Done::of(outcome)
}

/// Has a channel's object carry out one of the requests that a socket could send.
///
/// # Errors
/// Those of [`command`].
pub(crate) async fn request(
    call: &Call,
    channel: ChannelId,
    caller: &Caller,
    payload: Payload,
    repeat: Repeat,
) -> Result<Done, Problem> {
    let envelope = Envelope { payload: Some(payload), ..Envelope::default() };
    command(call, channel, caller, command::Request::Envelope(envelope), repeat).await
}

/// Takes commands to a channel's object, once. As many outcomes come back, in their order.
///
/// # Errors
/// The object did not answer: it may have carried out some, all or none.
pub(crate) async fn carry_out(
    env: &Env,
    channel: ChannelId,
    commands: Vec<Command>,
) -> worker::Result<Vec<Outcome>> {
    let number = commands.len();
    let body = Commands { commands }.encode_to_vec();
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(Uint8Array::from(body.as_slice()).into()));
    let request = Request::new_with_init("http://channel/commands", &init)?;
    let mut response = stub(env, channel)?.fetch_with_request(request).await?;
    let body = response.bytes().await?;
    let outcomes = Outcomes::decode(body.as_slice()).map(|outcomes| outcomes.outcomes).unwrap_or_default();
    if response.status_code() != 200 || outcomes.len() != number {
        let status = response.status_code();
        return Err(Error::from(format!("{} outcomes of {number}, status {status}", outcomes.len())));
    }
    Ok(outcomes)
}

/// Verifies what is signed before the object is woken, which is one and has all of the channel's work to do: it takes
/// this Worker's word for it. Whether there was anything to verify.
fn verify(env: &Env, channel: ChannelId, request: &command::Request) -> Result<bool, Problem> {
    let command::Request::Envelope(Envelope { payload: Some(payload), .. }) = request else {
        return Ok(false);
    };
    let signed = match payload {
        Payload::SendMessageRequest(request) => !request.envelope.is_empty(),
        Payload::EditMessageRequest(request) => !request.envelope.is_empty(),
        _ => false,
    };
    if signed {
        engine::Command::parse(payload.clone(), &config::rules(env, channel)?, Signature::Unverified)?;
    }
    Ok(signed)
}

/// Asks a channel's object who is connected: its answer is the JSON that the client gets.
///
/// # Errors
/// What the object refused; 503 `STORAGE_UNAVAILABLE` where it did not answer.
pub(crate) async fn presence(
    env: &Env,
    channel: ChannelId,
    caller: &Caller,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<u8>, Problem> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &limit.to_string());
    if let Some(after) = after {
        query.append_pair("after", after);
    }
    let url = format!("http://channel/presence?{}", query.finish());
    let make = || get(&url, &[(ACTOR_HEADER, &actor_header(caller))]);
    let mut response = ask(env, channel, make).await?;
    if response.status_code() == 200 {
        return response.bytes().await.map_err(|error| unavailable(&error.to_string()));
    }
    match envelope(&mut response).await?.payload {
        Some(Payload::Error(error)) => Err(Problem::from_error_response(&error)),
        _ => Err(Code::RouteNotFound.with("there is no such path")),
    }
}

/// Has a channel's object carry out the next piece of what a ban has promised there.
///
/// # Errors
/// What the object could not do; 503 `STORAGE_UNAVAILABLE` where it did not answer.
pub(crate) async fn expel(env: &Env, channel: ChannelId, user: &UserId) -> Result<(), Problem> {
    // Nobody's word counts for it: what is done stands in the outbox.
    let caller =
        Caller { user_id: user.clone(), display_name: None, trusted: false, owner: false, expires_at: 0 };
    let request = command::Request::Expel(ExpelRequest { user_id: user.to_string() });
    let command = Command { actor: Some(actor(&caller)), request: Some(request), ..Command::default() };
    Done::of(hop::alone(env, channel, command, Repeat::Safe).await?).map(drop)
}

/// Hands a socket over to a channel's object: the answer is the upgrade, whether the object lets the client stay or
/// closes the socket with a code.
///
/// # Errors
/// 503 `STORAGE_UNAVAILABLE` where the object did not answer.
pub(crate) async fn connect(
    env: &Env,
    channel: ChannelId,
    caller: &Caller,
    since: Option<u64>,
    protocol: Option<&str>,
) -> Result<Response, Problem> {
    let url = match since {
        Some(since) => format!("http://channel/connect?since={since}"),
        None => "http://channel/connect".to_owned(),
    };
    let actor = actor_header(caller);
    let make = || {
        let mut headers = vec![("upgrade", "websocket"), (ACTOR_HEADER, actor.as_str())];
        headers.extend(protocol.map(|protocol| (PROTOCOL_HEADER, protocol)));
        get(&url, &headers)
    };
    ask(env, channel, make).await
}

fn get(url: &str, headers: &[(&str, &str)]) -> worker::Result<Request> {
    let all = Headers::new();
    for (name, value) in headers {
        all.set(name, value)?;
    }
    Request::new_with_init(url, RequestInit::new().with_method(Method::Get).with_headers(all))
}

fn actor(caller: &Caller) -> Actor {
    Actor {
        user_id: caller.user_id.as_str().to_owned(),
        display_name: caller.display_name.clone().unwrap_or_default(),
        trusted: caller.trusted,
        owner: caller.owner,
        token_expires_at: caller.expires_at,
    }
}

/// Header values are ASCII, and names are not.
fn actor_header(caller: &Caller) -> String {
    hex::encode(actor(caller).encode_to_vec())
}

fn stub(env: &Env, channel: ChannelId) -> worker::Result<Stub> {
    env.durable_object(config::CHANNELS)?.id_from_name(&channel.to_string())?.get_stub()
}

/// Asks a channel's object what may be repeated. One that was reset under the request has another answer it.
async fn ask(
    env: &Env,
    channel: ChannelId,
    make: impl Fn() -> worker::Result<Request>,
) -> Result<Response, Problem> {
    let mut attempts = 1;
    loop {
        // A stub that failed once goes on failing: each attempt has its own.
        let answer = within(PATIENCE_MS, async { stub(env, channel)?.fetch_with_request(make()?).await });
        match answer.await {
            Ok(response) => return Ok(response),
            Err(error) if attempts < ATTEMPTS && may_answer_again(&error) => {
                console_warn!("channel {channel} is asked again: {error}");
                attempts += 1;
            }
            Err(error) => return Err(unavailable(&error.to_string())),
        }
    }
}

/// What is said of an answer that did not come.
const LATE: &str = "no answer in time";

/// Whether an object is worth asking again: one that is overloaded or silent is not, asking makes it worse.
pub(crate) fn may_answer_again(error: &Error) -> bool {
    match error {
        Error::RustError(what) => what != LATE,
        Error::UnknownJsError { original, .. } => {
            !Reflect::get(original, &"overloaded".into()).is_ok_and(|value| value.is_truthy())
        }
        _ => true,
    }
}

/// Waits for an object, but not for ever.
///
/// # Errors
/// Its own, or that it did not answer within so many milliseconds.
pub(crate) async fn within<T>(ms: u32, answer: impl Future<Output = worker::Result<T>>) -> worker::Result<T> {
    let over = Signal::new(ms);
    match select(pin!(answer), pin!(over.wait())).await {
        Either::Left((answer, _)) => {
            over.raise();
            answer
        }
        Either::Right(_) => Err(Error::from(LATE)),
    }
}

async fn envelope(response: &mut Response) -> Result<Envelope, Problem> {
    let body = response.bytes().await.map_err(|error| unavailable(&error.to_string()))?;
    if response.status_code() >= 500 {
        return Err(defect(&format!("status {}", response.status_code())));
    }
    Envelope::decode(body.as_slice()).map_err(|error| defect(&error.to_string()))
}

/// The object may or may not have carried out what it was asked.
pub(crate) fn unavailable(error: &str) -> Problem {
    console_error!("a channel's object did not answer: {error}");
    Code::StorageUnavailable
        .with("the channel is not answering; repeat with the same nonce")
        .retry_after(1_000)
}

fn defect(what: &str) -> Problem {
    console_error!("a channel's object answered wrongly: {what}");
    Problem::internal()
}
