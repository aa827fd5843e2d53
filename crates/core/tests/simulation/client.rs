//! A client as the contract asks for one: it applies states by message id, and moves its `since` by pushes alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use edgewise_core::proto::{ChatMessage, Envelope, ReactionSummary, envelope::Payload};
use prost::Message as _;

use crate::object::Wire;

/// A message as a client holds it. Who reacted is held in full, while summaries name a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub message: ChatMessage,
    pub reactors: BTreeMap<String, BTreeSet<String>>,
}

impl Held {
    pub fn of(mut message: ChatMessage) -> Self {
        let reactions = std::mem::take(&mut message.reactions);
        let reactors = reactions
            .into_iter()
            .map(|r: ReactionSummary| (r.emoji, r.user_ids.into_iter().collect()))
            .collect();
        Self { message, reactors }
    }
}

#[derive(Default)]
pub struct Client {
    pub user: String,
    pub batches: bool,
    pub wire: Option<Rc<Wire>>,
    pub since: u64,
    /// The last revision pushed on this connection.
    pub pushed: u64,
    pub store: BTreeMap<String, Held>,
    pub caught_up: bool,
    pub said_hello: bool,
    pub faults: Vec<String>,
}

/// What a client was answered.
pub enum Answer {
    Ack(String, Box<edgewise_core::proto::Ack>),
    Refused(String, edgewise_core::proto::ErrorResponse),
}

impl Client {
    /// Takes one frame. `live` tells which message ids and revisions are committed.
    pub fn take(&mut self, frame: &[u8], committed: &impl Fn(&str, u64) -> bool) -> Vec<Answer> {
        let envelope = Envelope::decode(frame).unwrap();
        match envelope.payload {
            Some(Payload::EnvelopeBatch(batch)) => {
                if !self.batches {
                    self.faults.push("a batch for a client that did not ask for it".into());
                }
                batch.envelopes.into_iter().filter_map(|envelope| self.apply(envelope, committed)).collect()
            }
            _ => self.apply(envelope, committed).into_iter().collect(),
        }
    }

    fn apply(&mut self, envelope: Envelope, committed: &impl Fn(&str, u64) -> bool) -> Option<Answer> {
        let revision = envelope.revision;
        match envelope.payload? {
            Payload::Hello(hello) => {
                if self.since > hello.revision {
                    self.faults.push(format!("hello at {} after having seen {}", hello.revision, self.since));
                }
                self.said_hello = true;
                self.pushed = 0;
            }
            Payload::Ack(ack) => return Some(Answer::Ack(envelope.request_id, Box::new(ack))),
            Payload::Error(error) => return Some(Answer::Refused(envelope.request_id, error)),
            Payload::SyncResponse(page) => {
                for message in page.messages {
                    self.state(message);
                }
                self.moved(page.revision);
            }
            Payload::CaughtUpEvent(event) => {
                self.moved(event.revision);
                self.caught_up = true;
            }
            Payload::NewMessageEvent(event) => {
                let message = event.message?;
                self.pushed(&message.id, revision, committed);
                self.state(message);
            }
            Payload::MessageEditedEvent(event) => {
                let mut message = event.message?;
                self.pushed(&message.id, revision, committed);
                if let Some(held) = self.store.get_mut(&message.id)
                    && held.message.revision < revision
                {
                    message.revision = revision;
                    held.message = message;
                }
            }
            Payload::MessageDeletedEvent(event) => {
                self.pushed(&event.message_id, revision, committed);
                self.change(&event.message_id, revision, |held| {
                    let message = &mut held.message;
                    message.deleted = true;
                    message.content.clear();
                    message.mention_user_ids.clear();
                    message.mention_role_ids.clear();
                    message.signature.clear();
                    message.envelope.clear();
                    held.reactors.clear();
                });
            }
            Payload::ReactionAddedEvent(event) => {
                let reaction = event.reaction?;
                self.pushed(&reaction.message_id, revision, committed);
                let count = self.change(&reaction.message_id, revision, |held| {
                    let users = held.reactors.entry(reaction.emoji).or_default();
                    users.insert(reaction.user_id);
                    users.len()
                });
                self.counted(revision, event.count, count);
            }
            Payload::ReactionRemovedEvent(event) => {
                self.pushed(&event.message_id, revision, committed);
                let count = self.change(&event.message_id, revision, |held| {
                    let users = held.reactors.entry(event.emoji.clone()).or_default();
                    users.remove(&event.user_id);
                    let count = users.len();
                    if count == 0 {
                        held.reactors.remove(&event.emoji);
                    }
                    count
                });
                self.counted(revision, event.count, count);
            }
            _ => {}
        }
        None
    }

    fn state(&mut self, message: ChatMessage) {
        let newer = self.store.get(&message.id).is_none_or(|held| held.message.revision < message.revision);
        if newer {
            self.store.insert(message.id.clone(), Held::of(message));
        }
    }

    fn change<T>(&mut self, id: &str, revision: u64, change: impl FnOnce(&mut Held) -> T) -> Option<T> {
        let held = self.store.get_mut(id).filter(|held| held.message.revision < revision)?;
        held.message.revision = revision;
        Some(change(held))
    }

    fn counted(&mut self, revision: u64, told: u32, held: Option<usize>) {
        if held.is_some_and(|held| held as u64 != u64::from(told)) {
            self.faults.push(format!("at {revision} the count is {told}, and {held:?} are known"));
        }
    }

    fn pushed(&mut self, id: &str, revision: u64, committed: &impl Fn(&str, u64) -> bool) {
        if revision <= self.pushed {
            self.faults.push(format!("pushed {revision} after {}", self.pushed));
        }
        if !committed(id, revision) {
            self.faults.push(format!("pushed {revision} of {id}, which is not committed"));
        }
        self.pushed = revision;
        self.moved(revision);
    }

    fn moved(&mut self, revision: u64) {
        self.since = self.since.max(revision);
    }
}
