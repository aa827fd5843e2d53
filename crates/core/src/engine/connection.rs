//! What happens on a socket: it opens, asks, and closes.

use std::rc::Rc;

use futures_util::FutureExt as _;
use prost::Message as _;

use super::{
    Attachment, Channel, CloseCode, Command, Courier, Platform, Session, Signature, Socket,
    admission::Admission, frames, writer::Reply,
};
use crate::{
    access::Caller,
    ids::{Revision, Timestamp},
    problem::{Code, Problem},
    proto::{Ack, Envelope, Hello, PresenceStatus, envelope::Payload},
    read,
};

/// The largest frame taken, in bytes.
pub(crate) const MAX_FRAME: usize = 64 << 10;
/// How often a client should ping, in milliseconds.
const HEARTBEAT_INTERVAL: u32 = 30_000;
/// How far clocks may differ: a token that has just ended still connects, for so long, in milliseconds.
const LEEWAY: Timestamp = 30_000;

/// What a client wants that connects.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Who, as the verified token says.
    pub caller: Caller,
    /// Whether `edgewise.v1` was offered: the client reads `envelope_batch`.
    pub batches: bool,
    /// The revision up to which the client has everything.
    pub since: Option<Revision>,
}

/// Someone who was let in, and is yet to be given a socket.
pub struct Admitted(Connect, Admission);

impl<P: Platform> Channel<P> {
    /// Asks whether a client may connect. Those who ask at the same time are asked for in one query.
    ///
    /// # Errors
    /// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
    pub async fn knock(self: &Rc<Self>, connect: Connect) -> Result<Admitted, Problem> {
        let admission = self.admit(connect.caller.clone()).await?;
        Ok(Admitted(connect, admission))
    }

    /// Opens the socket of someone let in: says hello, and from then on leaves nothing out.
    ///
    /// Nothing may be awaited between the hello and the socket's entry in the list: the cut between what was before
    /// and what is pushed lies here.
    pub fn open(self: &Rc<Self>, Admitted(connect, admission): Admitted, socket: P::Socket) {
        let now = self.now();
        let Connect { caller, batches, since } = connect;
        let Some((revision, last_sequence)) =
            self.head.borrow().as_ref().map(|head| (head.revision, head.last_sequence))
        else {
            if self.gone.get() {
                return socket.close(CloseCode::NoChannel, "the channel was deleted");
            }
            // Lost since the knock: the channel was deleted, or the database does not answer.
            return socket.close(CloseCode::Restart, "start over with since");
        };
        if !self.admissions.counts(&caller.user_id, &admission) {
            return socket.close(CloseCode::Restart, "start over with since");
        }
        let connection = self.random_id().to_string();
        let expires_at = if caller.expires_at > now { caller.expires_at } else { caller.expires_at + LEEWAY };
        let attachment = Attachment {
            connection: connection.clone(),
            user: caller.user_id.as_str().to_owned(),
            token_name: caller.display_name,
            trusted: caller.trusted,
            owner: caller.owner,
            display_name: admission.display_name,
            pubkey: admission.pubkey,
            expires_at,
            warned: false,
            batches,
            status: PresenceStatus::Online.into(),
            opened_at: now,
            catching_up: since.filter(|since| *since < revision),
        };
        socket.attach(&attachment);
        let session = Session::new(socket, attachment, revision, now);
        self.sessions.borrow_mut().insert(connection.clone(), session);
        let hello = Hello {
            connection_id: connection.clone(),
            user_id: caller.user_id.as_str().to_owned(),
            channel_id: self.id.to_string(),
            revision,
            last_sequence,
            last_read_sequence: admission.last_read,
            heartbeat_interval_ms: HEARTBEAT_INTERVAL,
            token_expires_at: caller.expires_at,
            presence: self.presence_for_hello(caller.user_id.as_str()),
        };
        self.send_to(&connection, &[frames::push(Payload::Hello(hello))]);
        if since.is_some() {
            self.catch_up(&connection);
        }
        self.presence_changed();
        self.watch_expiry();
    }

    /// Takes a binary frame from a socket. Requests of one connection take effect in the order of their frames.
    pub fn receive(self: &Rc<Self>, connection: &str, frame: &[u8]) {
        let Some(caller) = self.hear(connection) else { return };
        if frame.len() > MAX_FRAME {
            return self.close(connection, CloseCode::ProtocolError, "a frame has at most 64 KiB");
        }
        let Ok(Envelope { request_id, payload, .. }) = Envelope::decode(frame) else {
            return self.close(connection, CloseCode::ProtocolError, "not an Envelope");
        };
        // The alarm that closes it may be a minute away. Until then a newer token is still welcome.
        let renews = matches!(payload, Some(Payload::RefreshTokenRequest(_)));
        if caller.expires_at <= self.now() && !renews {
            return self.close(connection, CloseCode::TokenExpired, "the token has expired");
        }
        match payload {
            None if request_id.is_empty() => {
                self.close(connection, CloseCode::ProtocolError, "neither payload nor request_id");
            }
            Some(Payload::FetchHistoryRequest(request)) => {
                self.read(connection, request_id, caller, move |channel, caller, now| async move {
                    let page = read::history::PageRequest::from_request(&request)?;
                    if !request.channel_id.is_empty() && request.channel_id != channel.id.to_string() {
                        return Err(Code::QueryInvalid.with("channel_id is not this connection's"));
                    }
                    let page =
                        read::history::page(&channel.platform, &caller, channel.id, &page, now).await?;
                    Ok(Payload::FetchHistoryResponse(page))
                });
            }
            Some(Payload::SyncRequest(request)) => {
                self.read(connection, request_id, caller, move |channel, caller, now| async move {
                    let limit = read::changes::limit(match request.limit {
                        0 => None,
                        limit => Some(limit.into()),
                    })?;
                    let since = request.since_revision;
                    let page =
                        read::changes::since(&channel.platform, &caller, channel.id, since, limit, now)
                            .await?;
                    Ok(Payload::SyncResponse(page))
                });
            }
            Some(Payload::SetPresenceRequest(request)) => {
                let fate = self.set_presence(connection, request.status());
                self.send_to(connection, &[frames::answer(&request_id, fate.map(|()| Ack::default()))]);
            }
            Some(Payload::TypingRequest(_)) => {
                self.typing(&caller);
                self.send_to(connection, &[frames::answer(&request_id, Ok(Ack::default()))]);
            }
            Some(Payload::RefreshTokenRequest(request)) => {
                let (channel, connection) = (Rc::clone(self), connection.to_owned());
                let mut refresh = Box::pin(async move {
                    let fate = channel.refresh_token(&connection, &request.token).await;
                    channel
                        .send_to(&connection, &[frames::answer(&request_id, fate.map(|()| Ack::default()))]);
                });
                // At once, where nothing is to be waited for: what the connection asks for next is by the new token.
                if refresh.as_mut().now_or_never().is_none() {
                    self.platform.spawn(refresh);
                }
            }
            Some(payload) => self.write(connection, caller, request_id, payload),
            None => {
                let problem = Code::RequestUnsupported.with("this server does not take this request");
                self.send_to(connection, &[frames::answer(&request_id, Err(problem))]);
            }
        }
    }

    fn write(self: &Rc<Self>, connection: &str, caller: Caller, request_id: String, payload: Payload) {
        let reply = Reply::Socket { connection: connection.to_owned(), request_id };
        let parsed = self.rules().and_then(|rules| Command::parse(payload, &rules, Signature::Unverified));
        let refused = match parsed {
            Ok(command) => self.enqueue(Courier::User, caller, command, reply).err(),
            Err(problem) => Some((problem, reply)),
        };
        if let Some((problem, Reply::Socket { connection, request_id })) = refused {
            let wait = problem.retry_after_ms.filter(|_| problem.code == Code::RateLimited);
            self.send_to(&connection, &[frames::answer(&request_id, Err(problem))]);
            if let Some(wait) = wait {
                self.was_too_fast(&connection, wait);
            }
        }
    }

    /// Someone was too fast, and was told to wait. Who goes on without waiting is sent away.
    fn was_too_fast(&self, connection: &str, wait: u32) {
        let now = self.now();
        let mut sessions = self.sessions.borrow_mut();
        let floods = sessions.get_mut(connection).is_some_and(|session| !session.patience.bears(wait, now));
        drop(sessions);
        if floods {
            self.close(connection, CloseCode::Flooding, "too many requests that came too fast");
        }
    }

    /// Answers a question of the database, after everything that the connection asked for before.
    fn read<F>(
        self: &Rc<Self>,
        connection: &str,
        request_id: String,
        caller: Caller,
        ask: impl FnOnce(Rc<Self>, Caller, Timestamp) -> F + 'static,
    ) where
        F: Future<Output = Result<Payload, Problem>> + 'static,
    {
        let turn = match self.turn(caller.clone(), request_id.len()) {
            Ok(turn) => turn,
            Err(problem) => return self.send_to(connection, &[frames::answer(&request_id, Err(problem))]),
        };
        let channel = Rc::clone(self);
        let connection = connection.to_owned();
        self.platform.spawn(async move {
            let asked = ask(Rc::clone(&channel), caller, channel.now());
            // Nobody writes while a read is under way: one that is not answered must not keep everyone waiting.
            let bounded = async { channel.within_bound(async { Ok(asked.await) }).await? };
            let envelope = match turn.wait_and(bounded).await {
                Ok(payload) => frames::encode(&request_id, 0, payload),
                Err(problem) => frames::answer(&request_id, Err(problem)),
            };
            channel.send_to(&connection, &[envelope]);
        });
    }

    /// Takes a text frame other than the `ping` that the runtime answers.
    pub fn receive_text(&self, connection: &str) {
        self.close(connection, CloseCode::ProtocolError, "frames are binary");
    }

    /// A socket is gone.
    pub fn closed(&self, connection: &str) {
        if self.sessions.borrow_mut().remove(connection).is_some() {
            self.presence_changed();
        }
    }

    pub(crate) fn close(&self, connection: &str, code: CloseCode, reason: &str) {
        let session = self.sessions.borrow_mut().remove(connection);
        if let Some(session) = session {
            session.socket.close(code, reason);
            self.presence_changed();
        }
    }

    /// Who is at the other end of a connection that has just said something.
    fn hear(&self, connection: &str) -> Option<Caller> {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.get_mut(connection)?;
        session.heard = self.platform.now();
        session.attachment.caller().ok()
    }
}
