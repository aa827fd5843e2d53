//! A channel kept live over any number of connections.
//!
//! [`Client::live`] starts a task that connects, catches up, applies what comes to a [`Store`], sends what is asked
//! of it in order, and connects again whenever the connection ends, until it is told to stop or may not go on.
//! [`Live`] is the handle to it, [`Events`] what it tells.

use std::{
    future::IntoFuture,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use edgewise_core::proto::{self, Hello};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Change, Client, Draft, Edit, Error, LastRead, Message, Position, Presence, PresentUser, ReactionSummary,
    Sent, Store, rest::signed_at, retry::Backoff,
};

#[cfg(test)]
mod lies;
mod outbox;
mod request;
mod session;
#[cfg(test)]
mod tests;

use request::{Reply, Request};
use session::{Command, Session};

/// Where a live channel begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With this many of the newest messages, 1 to 100.
    Newest(u32),
    /// With what changes after this revision.
    Since(u64),
}

/// How a lost connection is won back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The first pause, before jitter; it doubles with every failure.
    pub first: Duration,
    /// The longest pause, before jitter.
    pub longest: Duration,
    /// The pause after the server said that this client floods it.
    pub after_flooding: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(10),
            after_flooding: Duration::from_secs(15),
        }
    }
}

/// A channel about to go live; awaiting it reads the beginning and starts.
///
/// ```no_run
/// # async fn example(client: edgewise_client::Client) -> Result<(), edgewise_client::Error> {
/// use edgewise_client::{Change, Event, Start};
///
/// let (live, mut events) = client.live("the channel's id").start(Start::Newest(20)).await?;
/// live.send("I am here").await?;
/// while let Some(event) = events.next().await {
///     if let Event::Change(Change::Created { message }) = event {
///         println!("{}: {}", message.sender_display_name, message.content);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a channel goes live by awaiting this"]
pub struct GoLive {
    client: Client,
    channel_id: String,
    start: Start,
    reconnect: Reconnect,
    in_flight: NonZeroUsize,
    keep: usize,
}

impl Client {
    /// A channel to be kept live.
    ///
    /// # Errors
    /// When awaited: those of [`history`](Self::history), where it starts with the newest messages.
    pub fn live(&self, channel_id: &str) -> GoLive {
        GoLive {
            client: self.clone(),
            channel_id: channel_id.to_owned(),
            start: Start::Newest(50),
            reconnect: Reconnect::default(),
            in_flight: NonZeroUsize::MIN,
            keep: 10_000,
        }
    }
}

impl GoLive {
    /// Where to begin; with the newest 50 messages unless told otherwise.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// How to reconnect.
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// How many requests may be in flight at once; 1 unless told otherwise. Requests take effect in their order
    /// either way, but for one that the server puts off (`RATE_LIMITED`, `STORAGE_UNAVAILABLE`): those in
    /// flight behind it may then overtake it. Once `RATE_LIMITED`, they go one at a time until all are through.
    pub fn in_flight(mut self, requests: NonZeroUsize) -> Self {
        self.in_flight = requests;
        self
    }

    /// How many messages the store keeps; the newest 10,000 unless told otherwise.
    pub fn keep(mut self, messages: usize) -> Self {
        self.keep = messages;
        self
    }

    async fn open(self) -> Result<(Live, Events), Error> {
        let (out, receiver) = mpsc::unbounded_channel();
        let (page, since) = match self.start {
            Start::Since(revision) => (None, revision),
            Start::Newest(limit) => {
                let page = self.client.history(&self.channel_id, Position::Newest, Some(limit)).await?;
                (Some(page), 0)
            }
        };
        // Whose it is, the server's hello tells.
        let mut store =
            Store::new(String::new(), since).of_channel(&*self.channel_id, self.client.witness.clone());
        if let Some(page) = page {
            // The receiver is here.
            let _ = out.send(Event::Change(store.reset(page)));
        }
        let store = Arc::new(Mutex::new(store));
        let (commands, inbox) = mpsc::unbounded_channel();
        let live = Live {
            client: self.client.clone(),
            channel_id: self.channel_id.clone(),
            store: Arc::clone(&store),
            commands,
        };
        let own = live.commands.downgrade();
        tokio::spawn(Session::new(self, store, out, inbox, own).run());
        Ok((live.clone(), Events { receiver, _live: live }))
    }
}

impl IntoFuture for GoLive {
    type Output = Result<(Live, Events), Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// What a live channel tells.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "the largest is by far the most frequent")]
pub enum Event {
    /// Something changed. Nothing is left out, and nothing comes twice.
    Change(Change),
    /// A connection is open; what was missed follows.
    Connected(Hello),
    /// Nothing is missing any more, up to this revision.
    CaughtUp(u64),
    /// The connection ended, or could not be opened.
    Waiting {
        /// Why.
        why: Error,
        /// When the next try comes.
        pause: Duration,
    },
    /// A user came, went, or is there in another way.
    Presence(PresentUser),
    /// A user is typing.
    Typing(TypingUser),
    /// The same user read on another connection.
    LastRead(LastRead),
    /// The last event: the server does not let this client go on.
    Stopped(Error),
}

/// Who is typing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypingUser {
    /// Who.
    pub user_id: String,
    /// Their present name.
    pub display_name: String,
}

impl From<proto::TypingIndicator> for TypingUser {
    fn from(indicator: proto::TypingIndicator) -> Self {
        Self { user_id: indicator.user_id, display_name: indicator.display_name }
    }
}

/// What a live channel tells, in order. What is not read waits, however much it becomes.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::UnboundedReceiver<Event>,
    /// As long as someone listens, there is something to hear.
    _live: Live,
}

impl Events {
    /// The next event; `None` after [`Event::Stopped`], or once the channel was closed. Safe to drop before it is done.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

/// A handle to a live channel. Cheap to clone. The channel goes on until it is closed, the server ends it, or the
/// last handle and the events are dropped.
///
/// Requests are put into an ordered outbox at the call, not when the future is first polled; there they wait for a
/// connection, and there they stay if the future is dropped. Those that get no answer, since the connection
/// broke, are made again; nothing happens twice.
#[derive(Clone, Debug)]
pub struct Live {
    client: Client,
    channel_id: String,
    store: Arc<Mutex<Store>>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Live {
    /// Sends a message.
    ///
    /// # Errors
    /// When awaited: those of [`Client::send`], and [`Error::Ended`] where the channel stops being live before.
    pub fn send(&self, draft: impl Into<Draft>) -> BoxFuture<'static, Result<Sent, Error>> {
        let reply = self.ask(Request::Send(self.client.sign(&self.channel_id, draft.into().named())));
        let (client, channel_id) = (self.client.clone(), self.channel_id.clone());
        Box::pin(async move {
            let sent = reply.await?.sent()?;
            Ok(Sent { message: client.looked_at(&channel_id, sent.message), ..sent })
        })
    }

    /// Replaces a message's content.
    ///
    /// # Errors
    /// When awaited: those of [`Client::edit`], and [`Error::Ended`].
    pub fn edit(
        &self,
        message_id: &str,
        edit: impl Into<Edit>,
    ) -> BoxFuture<'static, Result<Message, Error>> {
        let after = self.read(|store| store.get(message_id).map_or(0, signed_at));
        let edit = self.client.sign_edit(&self.channel_id, message_id, edit.into(), after);
        let reply = self.ask(Request::Edit { message_id: message_id.to_owned(), edit });
        let (client, channel_id) = (self.client.clone(), self.channel_id.clone());
        Box::pin(async move { Ok(client.looked_at(&channel_id, reply.await?.message()?)) })
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// When awaited: those of [`Client::delete`], and [`Error::Ended`].
    pub fn delete(&self, message_id: &str) -> BoxFuture<'static, Result<(), Error>> {
        let reply = self.ask(Request::Delete { message_id: message_id.to_owned() });
        Box::pin(async { reply.await.map(drop) })
    }

    /// Reacts to a message.
    ///
    /// # Errors
    /// When awaited: those of [`Client::react`], and [`Error::Ended`].
    pub fn react(&self, message_id: &str, emoji: &str) -> BoxFuture<'static, Result<ReactionSummary, Error>> {
        let reply = self.ask(Request::React { message_id: message_id.to_owned(), emoji: emoji.to_owned() });
        Box::pin(async { reply.await?.reaction() })
    }

    /// Takes a reaction back.
    ///
    /// # Errors
    /// When awaited: those of [`Client::unreact`], and [`Error::Ended`].
    pub fn unreact(&self, message_id: &str, emoji: &str) -> BoxFuture<'static, Result<(), Error>> {
        let reply = self.ask(Request::Unreact { message_id: message_id.to_owned(), emoji: emoji.to_owned() });
        Box::pin(async { reply.await.map(drop) })
    }

    /// Marks everything up to a `server_sequence` as read.
    ///
    /// # Errors
    /// When awaited: those of [`Client::mark_read`], and [`Error::Ended`].
    pub fn mark_read(&self, last_sequence: u64) -> BoxFuture<'static, Result<LastRead, Error>> {
        let reply = self.ask(Request::MarkRead { last_sequence });
        Box::pin(async { reply.await?.last_read() })
    }

    /// Tells the channel that this user is typing, if there is a connection to tell it over.
    pub fn typing(&self) {
        self.command(Command::Typing);
    }

    /// How this user is there, on this connection and those that follow it.
    pub fn set_presence(&self, presence: Presence) {
        self.command(Command::Presence(presence));
    }

    /// Looks into the store. The session waits meanwhile: look and leave.
    pub fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&lock(&self.store))
    }

    /// Reads a page of older messages into the store; whether there are still older ones.
    ///
    /// # Errors
    /// Those of [`Client::history`].
    pub async fn older(&self, limit: u32) -> Result<bool, Error> {
        let mut pauses = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let floor = self.read(Store::floor);
            if floor == 0 {
                return Ok(false);
            }
            let page = self.client.history(&self.channel_id, Position::Before(floor), Some(limit)).await?;
            let has_more = page.has_more;
            if lock(&self.store).extend(floor, page).is_ok() {
                return Ok(has_more);
            }
            tokio::time::sleep(pauses.next(None)).await;
        }
    }

    /// Ends it: closes the connection; what is still in the outbox fails with [`Error::Ended`].
    pub fn close(&self) {
        self.command(Command::Close);
    }

    fn ask(&self, request: Request) -> BoxFuture<'static, Result<Reply, Error>> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Request(request, reply));
        Box::pin(async { answer.await.unwrap_or(Err(Error::Ended)) })
    }

    fn command(&self, command: Command) {
        // Where the session has ended, the reply in the command is dropped, which tells the caller.
        let _ = self.commands.send(command);
    }
}

/// The store, usable even if someone who looked into it panicked.
fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
