//! The task behind a live channel: connect, catch up, live on, and again.

use std::{
    future::{Future, IntoFuture},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use edgewise_core::proto::{
    Envelope, RefreshTokenRequest, SetPresenceRequest, TypingRequest, envelope::Payload,
};
use tokio::{
    select,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    Event, GoLive, lock,
    outbox::{Answered, Outbox, ReplyTo},
    request::{Reply, Request},
};
use crate::{
    Change, Connection, Error, Position, Presence, Store, close::Step, retry::Backoff, store::Restored,
};

/// For the server's greeting, and for a frame to go out.
const PATIENCE: Duration = Duration::from_secs(15);
/// A connection that lived for so long was a good one: the next pause is short again.
const GOOD: Duration = Duration::from_secs(10);
/// How many messages are read afresh where the server was restored and the channel did not start with any.
const AFRESH: u32 = 50;

/// Request ids of what nobody waits for; those of the outbox are numbers.
const UNASKED: &str = "unasked";

#[derive(Debug)]
pub(super) enum Command {
    Request(Request, ReplyTo),
    Typing,
    Presence(Presence),
    Close,
    /// Of the session to itself: what a REST call came to.
    Called(u64, Result<Reply, Error>),
    /// Of the session to itself: a new token, in time.
    Refreshed(Result<String, Error>),
}

/// How a connection ended.
enum End {
    /// Nobody wants it any more.
    Asked,
    Lost(Error),
    Restored,
}

pub(super) struct Session {
    config: GoLive,
    store: Arc<Mutex<Store>>,
    events: UnboundedSender<Event>,
    inbox: UnboundedReceiver<Command>,
    own: WeakUnboundedSender<Command>,
    outbox: Outbox,
    pauses: Backoff,
    presence: Option<Presence>,
    /// The server does not take requests over the socket.
    over_rest: bool,
    /// What changed while nobody looked, until it is complete and can be told in order.
    missed: Vec<Change>,
}

impl Session {
    pub(super) fn new(
        config: GoLive,
        store: Arc<Mutex<Store>>,
        events: UnboundedSender<Event>,
        inbox: UnboundedReceiver<Command>,
        own: WeakUnboundedSender<Command>,
    ) -> Self {
        Self {
            outbox: Outbox::new(config.in_flight, config.client.retry),
            pauses: Backoff::new(config.reconnect.first, config.reconnect.longest),
            config,
            store,
            events,
            inbox,
            own,
            presence: None,
            over_rest: false,
            missed: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let stopped = self.live().await;
        self.tell_missed();
        if let Some(error) = stopped {
            self.tell(Event::Stopped(error));
        }
    }

    /// Until nobody wants it any more, or the server ends it with the error given.
    async fn live(&mut self) -> Option<Error> {
        loop {
            let token = self.config.client.token();
            let started = Instant::now();
            let since = lock(&self.store).since();
            let opening = self.config.client.connect(&self.config.channel_id).since(since).into_future();
            let end = match self.meanwhile(opening).await? {
                Ok(connection) => self.drive(connection).await,
                Err(error) => End::Lost(error),
            };
            self.outbox.disconnected();
            if started.elapsed() >= GOOD {
                self.pauses.reset();
            }
            let error = match end {
                End::Asked => return None,
                End::Lost(error) => error,
                End::Restored => match self.read_afresh().await? {
                    Ok(()) => continue,
                    Err(error) => error,
                },
            };
            let pause = match step(&error) {
                Step::Stop => return Some(error),
                Step::Pause => self.config.reconnect.after_flooding + self.pauses.next(None),
                Step::Reconnect => self.pauses.next(error.retry_after()),
                Step::Refresh => {
                    let client = self.config.client.clone();
                    if let Err(error) =
                        self.meanwhile(async move { client.tokens.replace(&token).await }).await?
                    {
                        return Some(error);
                    }
                    self.pauses.next(None)
                }
            };
            self.tell(Event::Waiting { why: error, pause });
            self.meanwhile(sleep(pause)).await?;
        }
    }

    /// Awaits something while there is no connection; `None` where nobody wants it any more.
    async fn meanwhile<F: Future>(&mut self, wanted: F) -> Option<F::Output> {
        let mut wanted = pin!(wanted);
        loop {
            select! {
                output = &mut wanted => return Some(output),
                command = self.inbox.recv() => match command {
                    None | Some(Command::Close) => return None,
                    Some(command) => drop(self.take(command)),
                },
            }
        }
    }

    /// One connection, from hello to its end.
    async fn drive(&mut self, mut connection: Connection) -> End {
        let hello = match self.meanwhile(timeout(PATIENCE, connection.hello())).await {
            None => return End::Asked,
            Some(Err(_)) => return End::Lost(Error::Silent),
            Some(Ok(Err(error))) => return End::Lost(error),
            Some(Ok(Ok(hello))) => hello,
        };
        lock(&self.store).set_user(hello.user_id.clone());
        if let Some(signer) = &self.config.client.signer {
            // Nobody else's signature passes for this user's own.
            self.config.client.witness.hold(&hello.user_id, &signer.public_key());
        }
        self.over_rest = false;
        self.tell(Event::Connected(hello));
        if let Some(presence) = self.presence.map(presence_request) {
            // A failure to send shows when receiving, which tells why.
            let _ = post(&mut connection, &unasked(presence)).await;
        }
        loop {
            self.send_waiting(&mut connection).await;
            let wakeup = self.outbox.wakeup();
            select! {
                received = connection.next() => match received {
                    Some(Ok(envelope)) => {
                        if self.receive(envelope) == Err(Restored) {
                            return End::Restored;
                        }
                    }
                    Some(Err(error)) => return End::Lost(error),
                    None => return End::Lost(Error::Silent),
                },
                command = self.inbox.recv() => match command {
                    None | Some(Command::Close) => {
                        connection.close().await;
                        return End::Asked;
                    }
                    Some(command) => {
                        if let Some(payload) = self.take(command) {
                            let _ = post(&mut connection, &unasked(payload)).await;
                        }
                    }
                },
                () = sleep_until(wakeup.unwrap_or_else(Instant::now)), if wakeup.is_some() => {
                    if self.outbox.is_overdue() {
                        return End::Lost(Error::Silent);
                    }
                }
            }
        }
    }

    async fn send_waiting(&mut self, connection: &mut Connection) {
        if self.over_rest {
            if let Some((id, request)) = self.outbox.next_call() {
                let (client, channel_id) = (self.config.client.clone(), self.config.channel_id.clone());
                self.spawn(async move { Command::Called(id, request.over_rest(&client, &channel_id).await) });
            }
            return;
        }
        while let Some(envelope) = self.outbox.next_frame() {
            if post(connection, &envelope).await.is_err() {
                return;
            }
        }
    }

    /// Takes a command; gives what is to be sent at once where there is a connection.
    fn take(&mut self, command: Command) -> Option<Payload> {
        match command {
            Command::Request(request, reply) => self.outbox.push(request, reply),
            Command::Called(id, reply) => self.outbox.settle(id, reply),
            Command::Typing => return Some(Payload::TypingRequest(TypingRequest {})),
            Command::Presence(presence) => {
                self.presence = Some(presence);
                return Some(presence_request(presence));
            }
            Command::Refreshed(Ok(token)) => {
                return Some(Payload::RefreshTokenRequest(RefreshTokenRequest { token }));
            }
            // The server will close with 4001, and then a new token is asked for again.
            Command::Refreshed(Err(_)) | Command::Close => {}
        }
        None
    }

    fn receive(&mut self, envelope: Envelope) -> Result<(), Restored> {
        match envelope.payload {
            Some(Payload::SyncResponse(_)) => {
                let changes = self.apply(envelope)?;
                self.missed.extend(changes);
            }
            Some(Payload::CaughtUpEvent(ref event)) => {
                let revision = event.revision;
                self.apply(envelope)?;
                self.tell_missed();
                self.tell(Event::CaughtUp(revision));
            }
            Some(
                Payload::NewMessageEvent(_)
                | Payload::MessageEditedEvent(_)
                | Payload::MessageDeletedEvent(_)
                | Payload::ReactionAddedEvent(_)
                | Payload::ReactionRemovedEvent(_),
            ) => {
                let changes = self.apply(envelope)?;
                self.tell_missed();
                changes.into_iter().for_each(|change| self.tell(Event::Change(change)));
            }
            Some(Payload::PresenceUpdateEvent(event)) => {
                event.update.into_iter().for_each(|update| self.tell(Event::Presence(update.into())));
            }
            Some(Payload::TypingEvent(event)) => {
                event.indicator.into_iter().for_each(|typing| self.tell(Event::Typing(typing.into())));
            }
            Some(Payload::LastReadUpdatedEvent(event)) => {
                event.last_read.into_iter().for_each(|read| self.tell(Event::LastRead(read.into())));
            }
            Some(Payload::TokenExpiringEvent(_)) if self.config.client.tokens.can_refresh() => {
                let client = self.config.client.clone();
                let token = client.token();
                self.spawn(async move { Command::Refreshed(client.tokens.replace(&token).await) });
            }
            Some(answer @ (Payload::Ack(_) | Payload::Error(_))) => {
                let answered = self.outbox.answer(&envelope.request_id, answer);
                self.over_rest |= answered == Answered::Unsupported;
            }
            _ => {}
        }
        Ok(())
    }

    fn apply(&self, envelope: Envelope) -> Result<Vec<Change>, Restored> {
        let mut store = lock(&self.store);
        let changes = store.apply(envelope)?;
        store.trim(self.config.keep);
        Ok(changes)
    }

    /// New messages first, in their order; then what happened to others.
    fn tell_missed(&mut self) {
        let mut missed = std::mem::take(&mut self.missed);
        missed.sort_by_key(|change| match change {
            Change::Created { message } => (false, message.server_sequence),
            other => (true, other.revision()),
        });
        missed.into_iter().for_each(|change| self.tell(Event::Change(change)));
    }

    async fn read_afresh(&mut self) -> Option<Result<(), Error>> {
        self.config.client.witness.server_was_restored();
        let limit = match self.config.start {
            super::Start::Newest(limit) => limit,
            super::Start::Since(_) => AFRESH,
        };
        let (client, channel_id) = (self.config.client.clone(), self.config.channel_id.clone());
        let reading = async move { client.history(&channel_id, Position::Newest, Some(limit)).await };
        match self.meanwhile(reading).await? {
            Err(error) => Some(Err(error)),
            Ok(page) => {
                self.missed.clear();
                let change = lock(&self.store).reset(page);
                self.tell(Event::Change(change));
                Some(Ok(()))
            }
        }
    }

    /// Something that takes its time and then comes back as a command.
    fn spawn(&self, work: impl Future<Output = Command> + Send + 'static) {
        let own = self.own.clone();
        tokio::spawn(async move {
            let command = work.await;
            if let Some(own) = own.upgrade() {
                // Where the session has ended, nobody needs it.
                let _ = own.send(command);
            }
        });
    }

    fn tell(&self, event: Event) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }
}

/// What to do after a connection ended or did not open.
fn step(error: &Error) -> Step {
    match error {
        Error::Closed(close) => close.code.step(),
        Error::Network { .. } | Error::Silent | Error::Answer(_) => Step::Reconnect,
        Error::Problem(problem) if problem.code == "TOKEN_EXPIRED" => Step::Refresh,
        Error::Problem(problem) if problem.retryable || problem.status >= 500 => Step::Reconnect,
        _ => Step::Stop,
    }
}

async fn post(connection: &mut Connection, envelope: &Envelope) -> Result<(), Error> {
    timeout(PATIENCE, connection.send(envelope)).await.unwrap_or(Err(Error::Silent))
}

fn unasked(payload: Payload) -> Envelope {
    Envelope { request_id: UNASKED.into(), revision: 0, payload: Some(payload) }
}

fn presence_request(presence: Presence) -> Payload {
    let mut request = SetPresenceRequest::default();
    request.set_status(presence.into());
    Payload::SetPresenceRequest(request)
}
