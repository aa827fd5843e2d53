//! The Durable Object of one channel: a thin shell around [`engine::Channel`].
//!
//! It turns what the runtime hands it into calls of the engine, and nothing else: no rule of chat is decided here.
//! Its memory is a cache; what must outlast it lies in D1 and in the sockets' attachments.

use std::{cell::RefCell, rc::Rc, time::Duration};

use edgewise_core::{
    access::Caller,
    database::{Database, DatabaseError, Rows, Statement},
    engine::{self, Attachment, CloseCode, Connect, Courier, Limited, Platform, Quota, Rates, Signature},
    envelope::Rules,
    ids::{ChannelId, CommitId, Timestamp, UserId},
    problem::{Code, Problem},
    proto::{self, Envelope, PresenceStatus, command::Request as Asked, envelope::Payload},
};
use futures_util::future::join_all;
use prost::Message as _;
use worker::{
    Date, Delay, DurableObject, Env, Error, Headers, Method, Request, Response, Result, State, WebSocket,
    WebSocketIncomingMessage, WebSocketPair, console_error, durable_object, wasm_bindgen::JsCast as _,
};

use crate::{
    auth, config,
    d1::{Cost, D1},
    object::{ACTOR_HEADER, PROTOCOL, PROTOCOL_HEADER},
    query::Query,
};

/// The key under which the object remembers which channel it is, for alarms, which come without its name.
const CHANNEL_KEY: &str = "channel";
/// The key under which limits outlast the object's memory.
const LIMITS_KEY: &str = "limits";
/// Of how many commits the cost is remembered, where it is exposed.
const COSTS_KEPT: usize = 256;

type Engine = engine::Channel<Workerd>;

/// What the latest commits have cost.
type Costs = Rc<RefCell<Vec<(CommitId, Cost)>>>;

#[durable_object]
pub struct Channel {
    state: Rc<State>,
    env: Env,
    engine: RefCell<Option<Rc<Engine>>>,
    costs: Costs,
}

impl DurableObject for Channel {
    fn new(state: State, env: Env) -> Self {
        if let Ok(pair) = worker::worker_sys::WebSocketRequestResponsePair::new("ping", "pong") {
            state.set_websocket_auto_response(&pair);
        }
        Self { state: Rc::new(state), env, engine: RefCell::default(), costs: Rc::default() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let engine = self.engine().await?;
        match (request.method(), request.path().as_str()) {
            (Method::Post, "/commands") => self.commands(&engine, &request.bytes().await?).await,
            (Method::Get, "/connect") => self.open_socket(&engine, &request).await,
            (Method::Get, "/presence") => presence(&engine, &request).await,
            _ => Response::error("no such request", 404),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.engine().await?.alarm().await;
        Response::empty()
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        let engine = self.engine().await?;
        let Some(attachment) = attachment(&socket) else { return Ok(()) };
        match message {
            WebSocketIncomingMessage::Binary(frame) => engine.receive(attachment.connection(), &frame),
            WebSocketIncomingMessage::String(_) => engine.receive_text(attachment.connection()),
        }
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        code: usize,
        reason: String,
        _clean: bool,
    ) -> Result<()> {
        if let Some(attachment) = attachment(&socket) {
            self.engine().await?.closed(attachment.connection());
        }
        // The other end waits for our Close frame. These codes are reserved (RFC 6455, 7.4.1) and must not be sent.
        let code =
            u16::try_from(code).ok().filter(|code| !matches!(code, 1004..=1006 | 1015)).unwrap_or(1000);
        // It may be closed both ways already.
        let _ = socket.close(Some(code), Some(reason));
        Ok(())
    }

    async fn websocket_error(&self, socket: WebSocket, _error: Error) -> Result<()> {
        if let Some(attachment) = attachment(&socket) {
            self.engine().await?.closed(attachment.connection());
        }
        Ok(())
    }
}

impl Channel {
    /// The engine, rebuilt where the object has just woken.
    async fn engine(&self) -> Result<Rc<Engine>> {
        if let Some(engine) = &*self.engine.borrow() {
            return Ok(Rc::clone(engine));
        }
        let name = match self.state.id().name() {
            Some(name) => name,
            None => self
                .state
                .storage()
                .get(CHANNEL_KEY)
                .await?
                .ok_or_else(|| Error::from("an object without a name"))?,
        };
        let id = ChannelId::parse(&name).map_err(|error| Error::from(error.to_string()))?;
        let rates = config::rates(&self.env);
        let limits: Option<String> =
            if rates.outlast_memory() { self.state.storage().get(LIMITS_KEY).await? } else { None };
        // Another request may have done it while this one waited.
        let mut engine = self.engine.borrow_mut();
        if engine.is_none() {
            let sockets = self.state.get_websockets().into_iter().filter_map(|socket| {
                let attachment = attachment(&socket)?;
                Some((Socket { inner: socket, state: Rc::clone(&self.state) }, attachment))
            });
            let platform = Workerd {
                id,
                rates,
                state: Rc::clone(&self.state),
                env: self.env.clone(),
                database: D1::new(&self.env)?,
                costs: config::exposes_cost(&self.env).then(|| Rc::clone(&self.costs)),
            };
            let woken = Engine::new(id, platform, sockets.collect());
            if let Some(limits) = limits {
                woken.restore_limits(&limits);
            }
            *engine = Some(woken);
        }
        engine.clone().ok_or_else(|| Error::from("no engine"))
    }

    /// Runs commands, and answers with what became of each.
    async fn commands(&self, engine: &Rc<Engine>, body: &[u8]) -> Result<Response> {
        let commands =
            proto::Commands::decode(body).map_err(|error| Error::from(error.to_string()))?.commands;
        let fates = join_all(commands.into_iter().map(|command| run(engine, command))).await;
        let outcomes = fates.into_iter().map(|fate| self.outcome(fate)).collect();
        Response::from_bytes(proto::Outcomes { outcomes }.encode_to_vec())
    }

    fn outcome(&self, Fate { answer, commit, quota }: Fate) -> proto::Outcome {
        let payload = match answer {
            Ok(ack) => Payload::Ack(ack),
            Err(problem) => Payload::Error(problem.to_error_response("")),
        };
        let costs = self.costs.borrow();
        let cost = commit.and_then(|commit| costs.iter().find(|(id, _)| *id == commit));
        proto::Outcome {
            envelope: Some(Envelope { payload: Some(payload), ..Envelope::default() }),
            commit: cost.map(|(commit, _)| commit.to_string()),
            cost: cost.map(|(_, cost)| cost.to_string()),
            rate_limit: quota.map(|quota| quota.limit()),
            rate_limit_policy: quota.map(|quota| quota.policy()),
        }
    }

    async fn open_socket(&self, engine: &Rc<Engine>, request: &Request) -> Result<Response> {
        let Some(caller) = request.headers().get(ACTOR_HEADER)?.as_deref().and_then(caller_of_header) else {
            return Response::error("no actor", 400);
        };
        let protocol = request.headers().get(PROTOCOL_HEADER)?;
        let since = query(request, "since").and_then(|since| since.parse().ok());
        let pair = WebSocketPair::new()?;
        match engine.knock(Connect { caller, batches: protocol.is_some(), since }).await {
            Ok(admitted) => {
                self.state.accept_web_socket(&pair.server);
                engine.open(admitted, Socket { inner: pair.server, state: Rc::clone(&self.state) });
            }
            Err(problem) => {
                // Never hibernatable, so that the Close frame and the end of the connection go out at once.
                pair.server.accept()?;
                let (code, reason) = refusal(&problem);
                pair.server.close(Some(code), Some(reason))?;
            }
        }
        let headers = Headers::new();
        if protocol.is_some() {
            headers.set("Sec-WebSocket-Protocol", PROTOCOL)?;
        }
        Ok(Response::from_websocket(pair.client)?.with_headers(headers))
    }
}

/// How a socket is refused that REST would refuse with this.
fn refusal(problem: &Problem) -> (u16, String) {
    let code = match problem.code {
        Code::Banned => CloseCode::Banned,
        Code::ChannelNotFound => CloseCode::NoChannel,
        _ => CloseCode::Overloaded,
    };
    (code.code(), problem.detail.clone().into_owned())
}

type Answer = std::result::Result<proto::Ack, Problem>;

/// What became of a command, in which commit, and what its user may still do.
struct Fate {
    answer: Answer,
    commit: Option<CommitId>,
    quota: Option<Quota>,
}

async fn run(engine: &Rc<Engine>, command: proto::Command) -> Fate {
    let proto::Command { actor, request, signature_verified, relayed } = command;
    let courier = if relayed { Courier::Relay } else { Courier::User };
    let (Some(caller), Some(request)) = (actor.and_then(caller), request) else {
        return Fate { answer: Err(Problem::internal()), commit: None, quota: None };
    };
    let limited = match &request {
        Asked::Envelope(Envelope { payload: Some(payload), .. }) => Limited::request(payload),
        _ => None,
    };
    let user = caller.user_id.clone();
    let (answer, commit) = carry_out(engine, caller, courier, request, signature_verified).await;
    Fate { answer, commit, quota: limited.and_then(|limited| engine.quota(limited, &user, courier)) }
}

async fn carry_out(
    engine: &Rc<Engine>,
    caller: Caller,
    courier: Courier,
    request: Asked,
    signature_verified: bool,
) -> (Answer, Option<CommitId>) {
    let parsed = match request {
        Asked::Envelope(Envelope { payload: Some(Payload::TypingRequest(_)), .. }) => {
            return (engine.types(caller).await.map(|()| proto::Ack::default()), None);
        }
        Asked::Envelope(Envelope { payload: Some(payload), .. }) => {
            let signature = if signature_verified { Signature::Verified } else { Signature::Unverified };
            engine.rules().and_then(|rules| engine::Command::parse(payload, &rules, signature))
        }
        Asked::AddMember(request) => UserId::parse(&request.user_id)
            .map(|user| engine::Command::AddMember { user })
            .map_err(Into::into),
        Asked::RemoveMember(request) => UserId::parse(&request.user_id)
            .map(|user| engine::Command::RemoveMember { user })
            .map_err(Into::into),
        Asked::DeleteChannel(_) => Ok(engine::Command::DeleteChannel),
        Asked::Expel(request) => {
            UserId::parse(&request.user_id).map(|user| engine::Command::Expel { user }).map_err(Into::into)
        }
        Asked::Envelope(_) => Err(Problem::internal()),
    };
    match parsed {
        Ok(command) => engine.submit_by(courier, caller, command).await,
        Err(problem) => (Err(problem), None),
    }
}

#[derive(serde::Serialize)]
struct PresentJson {
    presence: Vec<UserPresenceJson>,
    has_more: bool,
}

#[derive(serde::Serialize)]
struct UserPresenceJson {
    user_id: String,
    display_name: String,
    status: &'static str,
}

async fn presence(engine: &Rc<Engine>, request: &Request) -> Result<Response> {
    let Some(caller) = request.headers().get(ACTOR_HEADER)?.as_deref().and_then(caller_of_header) else {
        return Response::error("no actor", 400);
    };
    let after = query(request, "after");
    let limit = query(request, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(50);
    match engine.present(caller, after.as_deref(), limit).await {
        Ok(present) => Response::from_json(&PresentJson {
            presence: present.users.into_iter().map(user_presence).collect(),
            has_more: present.has_more,
        }),
        Err(problem) => {
            let envelope = Envelope {
                payload: Some(Payload::Error(problem.to_error_response(""))),
                ..Envelope::default()
            };
            Ok(Response::from_bytes(envelope.encode_to_vec())?.with_status(problem.code.status()))
        }
    }
}

fn user_presence(update: proto::PresenceUpdate) -> UserPresenceJson {
    let status = match update.status() {
        PresenceStatus::Away => "away",
        PresenceStatus::Dnd => "dnd",
        _ => "online",
    };
    UserPresenceJson { user_id: update.user_id, display_name: update.display_name, status }
}

fn query(request: &Request, name: &str) -> Option<String> {
    let url = request.inner().url();
    let (_, query) = url.split_once('?')?;
    Query::parse(query).text(name).ok().flatten().map(str::to_owned)
}

fn caller_of_header(header: &str) -> Option<Caller> {
    caller(proto::Actor::decode(&*hex::decode(header).ok()?).ok()?)
}

fn caller(actor: proto::Actor) -> Option<Caller> {
    Some(Caller {
        user_id: UserId::parse(&actor.user_id).ok()?,
        display_name: (!actor.display_name.is_empty()).then_some(actor.display_name),
        trusted: actor.trusted,
        owner: actor.owner,
        expires_at: actor.token_expires_at,
    })
}

/// What a socket's object must know of it. None for a socket that another version of this code attached to.
fn attachment(socket: &WebSocket) -> Option<Attachment> {
    serde_json::from_str(&socket.deserialize_attachment::<String>().ok()??).ok()
}

/// The engine's platform: workerd.
struct Workerd {
    id: ChannelId,
    rates: Rates,
    state: Rc<State>,
    env: Env,
    database: D1,
    costs: Option<Costs>,
}

impl Database for Workerd {
    async fn batch(&self, statements: Vec<Statement>) -> std::result::Result<Vec<Rows>, DatabaseError> {
        self.database.batch(statements).await
    }
}

impl Platform for Workerd {
    type Socket = Socket;

    fn now(&self) -> Timestamp {
        Date::now().as_millis()
    }

    fn random(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            console_error!("no randomness: {error}");
        }
    }

    async fn sleep(&self, ms: u32) {
        Delay::from(Duration::from_millis(ms.into())).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.state.wait_until(task);
    }

    fn set_alarm(&self, time: Timestamp) {
        let state = Rc::clone(&self.state);
        let name = self.id.to_string();
        let offset = i64::try_from(time.saturating_sub(self.now())).unwrap_or(i64::MAX);
        self.state.wait_until(async move {
            let storage = state.storage();
            let set = async {
                storage.put(CHANNEL_KEY, name).await?;
                storage.set_alarm(offset).await
            };
            if let Err(error) = set.await {
                console_error!("the alarm could not be set: {error}");
            }
        });
    }

    fn rates(&self) -> Rates {
        self.rates
    }

    fn keep_limits(&self, kept: String) {
        let state = Rc::clone(&self.state);
        self.state.wait_until(async move {
            if let Err(error) = state.storage().put(LIMITS_KEY, kept).await {
                console_error!("the limits could not be kept: {error}");
            }
        });
    }

    async fn verify(&self, token: &str) -> std::result::Result<Caller, Problem> {
        auth::verify(&self.env, token, self.now()).await
    }

    fn rules(&self, channel: ChannelId) -> std::result::Result<Rules, Problem> {
        config::rules(&self.env, channel)
    }

    fn committed(&self, commit: CommitId) {
        if let Some(costs) = &self.costs {
            let mut costs = costs.borrow_mut();
            if costs.len() >= COSTS_KEPT {
                costs.remove(0);
            }
            costs.push((commit, self.database.last_cost()));
        }
    }

    fn log(&self, line: &str) {
        console_error!("channel {}: {line}", self.id);
    }
}

/// A socket that hibernates.
#[derive(Clone)]
struct Socket {
    inner: WebSocket,
    state: Rc<State>,
}

impl engine::Socket for Socket {
    /// In JavaScript's memory, so that a frame crosses over once and not once a socket.
    type Frame = js_sys::Uint8Array;

    fn frame(bytes: &[u8]) -> js_sys::Uint8Array {
        js_sys::Uint8Array::from(bytes)
    }

    fn send(&self, frame: &js_sys::Uint8Array) -> bool {
        self.inner.as_ref().send_with_js_u8_array(frame).is_ok()
    }

    fn close(&self, code: CloseCode, reason: &str) {
        // It may be closed already.
        let _ = self.inner.close(Some(code.code()), Some(reason));
    }

    fn attach(&self, attachment: &Attachment) {
        let attached = serde_json::to_string(attachment)
            .map_err(Error::from)
            .and_then(|attachment| self.inner.serialize_attachment(attachment));
        if let Err(error) = attached {
            console_error!("an attachment could not be kept: {error}");
        }
    }

    fn last_ping(&self) -> Option<Timestamp> {
        let state: &js_sys::Object = self.state.as_raw().unchecked_ref();
        let method = js_sys::Reflect::get(state, &"getWebSocketAutoResponseTimestamp".into()).ok()?;
        let answered = method.dyn_ref::<js_sys::Function>()?.call1(state, self.inner.as_ref()).ok()?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time since 1970 in milliseconds"
        )]
        answered.dyn_ref::<js_sys::Date>().map(|date| date.get_time() as Timestamp)
    }
}
