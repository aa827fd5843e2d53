//! Who is told what after a commit.
//!
//! A commit's events are encoded once. Every socket gets them in one frame; only a socket with something of its own
//! (an ack, the nonce of its user's message) gets a frame of its own.

use std::collections::HashMap;

use super::{
    Channel, CloseCode, Platform, Session, Socket,
    command::{Command, Edit},
    commit::{Commit, Done, Operation, Outcome},
    frames::{self, Encoded, Event},
    state::State,
    writer::Reply,
};
use crate::{
    ids::{CommitId, Revision, UserId},
    problem::Problem,
    proto::{
        Ack, ChatMessage, LastRead, LastReadUpdatedEvent, MessageDeletedEvent, MessageEditedEvent,
        NewMessageEvent, Reaction, ReactionAddedEvent, ReactionRemovedEvent, ReactionSummary,
        envelope::Payload,
    },
};

impl<P: Platform> Channel<P> {
    /// Takes in what a commit did: tells its callers, then everyone.
    pub(crate) fn finish(&self, commit: &Commit, outcome: Outcome, replies: Vec<Reply>) {
        let told = Told::of(commit, &outcome);
        let mut own: HashMap<String, Vec<Encoded>> = HashMap::new();
        let mut read = Vec::new();
        for (reply, (operation, fate)) in replies.into_iter().zip(commit.operations.iter().zip(told.answers))
        {
            if let Ok(Ack { last_read: Some(last_read), .. }) = &fate {
                let connection = if let Reply::Socket { connection, .. } = &reply {
                    connection.clone()
                } else {
                    String::new()
                };
                read.push((operation.caller.user_id.clone(), connection, last_read.clone()));
            }
            match reply {
                Reply::Socket { connection, request_id } => {
                    own.entry(connection).or_default().push(frames::answer(&request_id, fate));
                }
                // Whoever asked may have hung up: it is committed all the same.
                Reply::Caller(sender) => drop(sender.send((fate, commit.id))),
                Reply::Nobody => {}
            }
        }
        *self.head.borrow_mut() = Some(outcome.head);
        {
            let mut recent = self.recent.borrow_mut();
            for state in told.states {
                recent.add(state);
            }
        }
        self.broadcast(&told.events, own);
        for (user, connection, last_read) in read {
            self.push_last_read(&user, &connection, last_read);
        }
        self.look_around();
    }

    /// Answers one command outside a commit.
    pub(crate) fn answer(&self, reply: Reply, fate: Result<Ack, Problem>, commit: CommitId) {
        match reply {
            Reply::Caller(sender) => drop(sender.send((fate, commit))),
            Reply::Socket { connection, request_id } => {
                self.send_to(&connection, &[frames::answer(&request_id, fate)]);
            }
            Reply::Nobody => {}
        }
    }

    fn broadcast(&self, events: &[Event], mut own: HashMap<String, Vec<Encoded>>) {
        if events.is_empty() && own.is_empty() {
            return;
        }
        let first = events.first().map_or(0, |event| event.revision);
        let last = events.last().map_or(0, |event| event.revision);
        let common: Vec<Encoded> = events.iter().map(|event| event.common.clone()).collect();
        let mut shared: [Option<Vec<<P::Socket as Socket>::Frame>>; 2] = [None, None];
        self.each_session(|session| {
            let connection = &session.attachment.connection;
            let acks = own.remove(connection);
            let live = session.attachment.catching_up.is_none();
            let user = session.attachment.user.as_str();
            let special = acks.is_some()
                || (live && session.told >= first && first > 0)
                || events
                    .iter()
                    .any(|event| event.own.as_ref().is_some_and(|(owner, _)| owner.as_str() == user));
            if !special {
                if !live || events.is_empty() {
                    return true;
                }
                session.told = last;
                let [single, batched] = &mut shared;
                let slot = if session.attachment.batches { batched } else { single };
                let ready =
                    slot.get_or_insert_with(|| make::<P::Socket>(&common, session.attachment.batches));
                return ready.iter().all(|frame| session.socket.send(frame));
            }
            let mut envelopes = Vec::new();
            if live {
                let unseen = events.iter().filter(|event| event.revision > session.told);
                envelopes.extend(unseen.map(|event| event.for_user(user).clone()));
                session.told = session.told.max(last);
            }
            envelopes.extend(acks.into_iter().flatten());
            session.send(&envelopes)
        });
    }

    fn push_last_read(&self, user: &UserId, but: &str, last_read: LastRead) {
        let event =
            frames::push(Payload::LastReadUpdatedEvent(LastReadUpdatedEvent { last_read: Some(last_read) }));
        self.each_session(|session| {
            let meant = session.attachment.user == user.as_str() && session.attachment.connection != but;
            !meant || session.send(std::slice::from_ref(&event))
        });
    }

    /// Sends the same envelopes to all sockets but those of one user.
    pub(crate) fn send_to_others(&self, envelopes: &[Encoded], but: &str) {
        let ready = [make::<P::Socket>(envelopes, false), make::<P::Socket>(envelopes, true)];
        let [single, batched] = &ready;
        self.each_session(|session| {
            let frames = if session.attachment.batches { batched } else { single };
            session.attachment.user == but || frames.iter().all(|frame| session.socket.send(frame))
        });
    }

    /// Sends to one connection, if it is still there.
    pub(crate) fn send_to(&self, connection: &str, envelopes: &[Encoded]) {
        self.with_session(connection, |session| session.send(envelopes));
    }

    /// Visits one session, if it is still there; false as in [`Self::each_session`].
    pub(super) fn with_session(&self, connection: &str, visit: impl FnOnce(&mut Session<P::Socket>) -> bool) {
        let sent = self.sessions.borrow_mut().get_mut(connection).is_none_or(visit);
        if !sent {
            self.close(connection, CloseCode::Overloaded, "the connection does not take frames");
        }
    }

    /// Visits every session; one for which `visit` says false has failed, and is closed without stopping the others.
    pub(super) fn each_session(&self, mut visit: impl FnMut(&mut Session<P::Socket>) -> bool) {
        let mut failed = Vec::new();
        for (connection, session) in self.sessions.borrow_mut().iter_mut() {
            if !visit(session) {
                failed.push(connection.clone());
            }
        }
        for connection in failed {
            self.close(&connection, CloseCode::Overloaded, "the connection does not take frames");
        }
    }

    pub(crate) fn close_all(&self, code: CloseCode, reason: &str) {
        let connections: Vec<_> = self.sessions.borrow().keys().cloned().collect();
        for connection in connections {
            self.close(&connection, code, reason);
        }
    }

    pub(crate) fn close_user(&self, user: &UserId, code: CloseCode, reason: &str) {
        self.admissions.outdate(user);
        let connections: Vec<_> = self
            .sessions
            .borrow()
            .values()
            .filter(|session| session.attachment.user == user.as_str())
            .map(|session| session.attachment.connection.clone())
            .collect();
        for connection in connections {
            self.close(&connection, code, reason);
        }
    }
}

impl<S: Socket> Session<S> {
    /// Sends envelopes to this socket alone.
    pub(crate) fn send(&self, envelopes: &[Encoded]) -> bool {
        make::<S>(envelopes, self.attachment.batches).iter().all(|frame| self.socket.send(frame))
    }
}

fn make<S: Socket>(envelopes: &[Encoded], batches: bool) -> Vec<S::Frame> {
    frames::frames(envelopes, batches).iter().map(|bytes| S::frame(bytes)).collect()
}

/// A commit as its callers and everyone else are told of it.
struct Told {
    answers: Vec<Result<Ack, Problem>>,
    events: Vec<Event>,
    /// For recovery: the messages that changed, by revision.
    states: Vec<State>,
}

impl Told {
    fn of(commit: &Commit, outcome: &Outcome) -> Self {
        let by_id: HashMap<&str, &State> =
            outcome.states.iter().map(|state| (state.message().id.as_str(), state)).collect();
        let mut later = later_reactions(commit, outcome);
        let mut answers = Vec::with_capacity(commit.operations.len());
        let mut events = Vec::new();
        let mut states = Vec::new();
        for (k, (operation, fate)) in commit.operations.iter().zip(&outcome.fates).enumerate() {
            let revision = outcome.base + k as u64 + 1;
            let teller = Teller {
                operation,
                revision,
                state: named(operation).and_then(|id| by_id.get(id.as_str()).copied()),
            };
            let fate = fate.as_ref().map_err(Clone::clone);
            answers.push(fate.clone().and_then(|done| teller.ack(done)));
            let Ok(done) = fate else { continue };
            if let Done::Sent(message) = done {
                states.push(State::new(message.clone()));
            }
            events.extend(teller.event(done, &mut later, outcome));
        }
        states.extend(outcome.states.iter().filter(|state| state.revision() > outcome.base).cloned());
        states.sort_by_key(State::revision);
        Self { answers, events, states }
    }
}

/// The message that a command names.
fn named(operation: &Operation) -> Option<String> {
    match &operation.command {
        Command::Edit(Edit { message, .. })
        | Command::Delete { message }
        | Command::Erase { message }
        | Command::EraseReaction { message, .. }
        | Command::React { message, .. }
        | Command::Unreact { message, .. } => Some(message.to_string()),
        _ => None,
    }
}

/// How many of this commit's reactions with each emoji on each message are yet to be told: the rows are as they are
/// after all of them, and each event has the count as of its own.
fn later_reactions(commit: &Commit, outcome: &Outcome) -> HashMap<(String, String), u32> {
    let mut later = HashMap::new();
    for (operation, fate) in commit.operations.iter().zip(&outcome.fates) {
        if let (Command::React { message, emoji }, Ok(Done::Reacted)) = (&operation.command, fate) {
            *later.entry((message.to_string(), emoji.as_str().to_owned())).or_default() += 1;
        }
    }
    later
}

struct Teller<'a> {
    operation: &'a Operation,
    revision: Revision,
    state: Option<&'a State>,
}

impl Teller<'_> {
    fn state(&self) -> Result<&State, Problem> {
        self.state.ok_or_else(Problem::internal)
    }

    fn summary(&self, emoji: &str) -> Option<ReactionSummary> {
        let message = self.state?.seen_by(&self.operation.caller.user_id);
        message.reactions.into_iter().find(|summary| summary.emoji == emoji)
    }

    fn ack(&self, done: &Done) -> Result<Ack, Problem> {
        let revision = self.revision;
        Ok(match done {
            Done::Sent(message) => Ack { message: Some(message.clone()), revision, ..Ack::default() },
            Done::Replayed(message) => Ack {
                revision: message.revision,
                message: Some(message.clone()),
                replayed: true,
                ..Ack::default()
            },
            Done::Edited => {
                let message = self.state()?.seen_by(&self.operation.caller.user_id);
                Ack { message: Some(message), revision, ..Ack::default() }
            }
            Done::EditedBefore => {
                let message = self.state()?.seen_by(&self.operation.caller.user_id);
                Ack { revision: message.revision, message: Some(message), replayed: true, ..Ack::default() }
            }
            Done::Reacted | Done::ReactedBefore => {
                let Command::React { emoji, .. } = &self.operation.command else {
                    return Err(Problem::internal());
                };
                let replayed = matches!(done, Done::ReactedBefore);
                let revision = if replayed { self.state()?.revision() } else { revision };
                let mut reaction = self.summary(emoji.as_str());
                // Theirs is there, even where it is beyond those that the state names.
                reaction.iter_mut().for_each(|summary| summary.me = true);
                Ack { reaction, revision, replayed, ..Ack::default() }
            }
            Done::Deleted | Done::Unreacted => Ack { revision, ..Ack::default() },
            Done::Read(last_read) => Ack { last_read: Some(last_read.clone()), ..Ack::default() },
        })
    }

    fn event(
        &self,
        done: &Done,
        later: &mut HashMap<(String, String), u32>,
        outcome: &Outcome,
    ) -> Option<Event> {
        let user = &self.operation.caller.user_id;
        let pubkey =
            || outcome.actors.get(user.as_str()).and_then(|actor| actor.pubkey.clone()).unwrap_or_default();
        match (done, &self.operation.command) {
            (Done::Sent(message), _) => Some(self.message_event(message.clone(), |message| {
                Payload::NewMessageEvent(NewMessageEvent { message: Some(message) })
            })),
            (Done::Edited, _) => {
                let mut message = self.state?.message().clone();
                message.reactions.clear();
                Some(self.message_event(message, |message| {
                    Payload::MessageEditedEvent(MessageEditedEvent {
                        message_id: message.id.clone(),
                        channel_id: message.channel_id.clone(),
                        new_content: message.content.clone(),
                        edit_timestamp: message.edit_timestamp.unwrap_or_default(),
                        message: Some(message),
                    })
                }))
            }
            (Done::Deleted, _) => {
                let message = self.state?.message();
                Some(self.common_event(Payload::MessageDeletedEvent(MessageDeletedEvent {
                    message_id: message.id.clone(),
                    channel_id: message.channel_id.clone(),
                    server_sequence: message.server_sequence,
                    deleted_by: user.as_str().to_owned(),
                })))
            }
            (Done::Reacted, Command::React { emoji, .. }) => {
                let message = self.state?.message();
                let yet = later.get_mut(&(message.id.clone(), emoji.as_str().to_owned()))?;
                *yet = yet.saturating_sub(1);
                let count = self.summary(emoji.as_str()).map_or(0, |summary| summary.count);
                Some(self.common_event(Payload::ReactionAddedEvent(ReactionAddedEvent {
                    reaction: Some(Reaction {
                        message_id: message.id.clone(),
                        user_pubkey: pubkey(),
                        emoji: emoji.as_str().to_owned(),
                        timestamp: self.operation.timestamp,
                        user_id: user.as_str().to_owned(),
                        channel_id: message.channel_id.clone(),
                    }),
                    count: count.saturating_sub(*yet),
                })))
            }
            (Done::Unreacted, Command::Unreact { emoji, .. } | Command::EraseReaction { emoji, .. }) => {
                let message = self.state?.message();
                Some(self.common_event(Payload::ReactionRemovedEvent(ReactionRemovedEvent {
                    message_id: message.id.clone(),
                    user_pubkey: pubkey(),
                    emoji: emoji.as_str().to_owned(),
                    user_id: user.as_str().to_owned(),
                    channel_id: message.channel_id.clone(),
                    count: self.summary(emoji.as_str()).map_or(0, |summary| summary.count),
                })))
            }
            _ => None,
        }
    }

    fn common_event(&self, payload: Payload) -> Event {
        Event { revision: self.revision, common: frames::encode("", self.revision, payload), own: None }
    }

    /// An event that carries a message: with its nonce for its sender, without for everyone else.
    fn message_event(&self, mut message: ChatMessage, payload: impl Fn(ChatMessage) -> Payload) -> Event {
        let nonce = std::mem::take(&mut message.nonce);
        let common = frames::encode("", self.revision, payload(message.clone()));
        let own = (!nonce.is_empty()).then(|| {
            message.nonce = nonce;
            (self.operation.caller.user_id.clone(), frames::encode("", self.revision, payload(message)))
        });
        Event { revision: self.revision, common, own }
    }
}
