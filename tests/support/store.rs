//! What a client knows of a channel: present states by message id, as the contract says that frames apply.

use std::collections::BTreeMap;

use edgewise_core::proto::{ChatMessage, ReactionSummary, SyncResponse, envelope::Payload};

use crate::User;

/// A client's view of a channel.
#[derive(Clone, Debug, Default)]
pub struct Store {
    messages: BTreeMap<String, ChatMessage>,
    /// From where the client goes on after a break.
    pub since: u64,
}

impl Store {
    /// What a client knows that reads everything afresh, over HTTP.
    pub async fn fresh(reader: &User) -> Self {
        let mut store = Self::default();
        loop {
            let call = reader.get(&format!("changes?since={}&limit=200", store.since));
            let page: SyncResponse =
                call.header("accept", "application/x-protobuf").send().await.expect(200).protobuf();
            let has_more = page.has_more;
            store.apply(0, Payload::SyncResponse(page));
            if !has_more {
                return store;
            }
        }
    }

    /// The state of a message.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&ChatMessage> {
        self.messages.get(id)
    }

    /// All states, by id.
    pub fn iter(&self) -> impl Iterator<Item = &ChatMessage> {
        self.messages.values()
    }

    /// Applies a frame that moves `since`: a push (120 to 124), a `sync_response`, a `caught_up_event`. Others change
    /// nothing.
    pub fn apply(&mut self, revision: u64, payload: Payload) {
        match payload {
            Payload::SyncResponse(sync) => {
                for state in sync.messages {
                    self.state(state);
                }
                self.since = self.since.max(sync.revision);
                return;
            }
            Payload::CaughtUpEvent(event) => {
                self.since = self.since.max(event.revision);
                return;
            }
            Payload::NewMessageEvent(event) => {
                let message = event.message.expect("the event carries the message");
                assert_eq!(message.revision, revision);
                self.state(message);
            }
            Payload::MessageEditedEvent(event) => {
                let mut message = event.message.expect("the event carries the message");
                if let Some(known) = self.messages.get(&message.id) {
                    message.reactions.clone_from(&known.reactions);
                }
                self.state(message);
            }
            Payload::MessageDeletedEvent(event) => self.change(&event.message_id, revision, |message| {
                message.deleted = true;
                message.content = String::new();
                message.reactions.clear();
                message.mention_user_ids.clear();
                message.mention_role_ids.clear();
            }),
            Payload::ReactionAddedEvent(event) => {
                let reaction = event.reaction.expect("the event carries the reaction");
                self.change(&reaction.message_id, revision, |message| {
                    count(message, &reaction.emoji, event.count);
                });
            }
            Payload::ReactionRemovedEvent(event) => {
                self.change(&event.message_id, revision, |message| count(message, &event.emoji, event.count));
            }
            _ => return,
        }
        assert!(revision > self.since, "revision {revision} after {}", self.since);
        self.since = revision;
    }

    /// What a client knows, comparable to what another does: without what depends on who reads, and on sampling.
    #[must_use]
    pub fn view(&self) -> Vec<ChatMessage> {
        self.messages.values().cloned().map(comparable).collect()
    }

    fn state(&mut self, message: ChatMessage) {
        match self.messages.get(&message.id) {
            Some(known) if known.revision >= message.revision => {}
            _ => drop(self.messages.insert(message.id.clone(), message)),
        }
    }

    fn change(&mut self, id: &str, revision: u64, change: impl FnOnce(&mut ChatMessage)) {
        if let Some(message) = self.messages.get_mut(id).filter(|message| message.revision < revision) {
            change(message);
            message.revision = revision;
        }
    }
}

fn count(message: &mut ChatMessage, emoji: &str, count: u32) {
    let known = message.reactions.iter_mut().find(|summary| summary.emoji == emoji);
    match known {
        _ if count == 0 => message.reactions.retain(|summary| summary.emoji != emoji),
        Some(summary) => summary.count = count,
        None => {
            message.reactions.push(ReactionSummary { emoji: emoji.to_owned(), count, ..Default::default() });
        }
    }
}

fn comparable(mut message: ChatMessage) -> ChatMessage {
    message.nonce = String::new();
    message.reactions.sort_unstable_by(|a, b| a.emoji.cmp(&b.emoji));
    for summary in &mut message.reactions {
        summary.me = false;
        summary.user_ids.clear();
    }
    if message.deleted {
        // A deletion's push says no more than that.
        message.edited = false;
        message.edit_timestamp = None;
        message.reply_to_id = None;
    }
    message
}
