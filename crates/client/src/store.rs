//! What a client holds of a channel: a window of its newest messages, kept true by applying what the server says.
//!
//! The store is pure: it reads nothing, waits for nothing and asks no clock. It takes pages of history, sync frames
//! and pushes in the order they come, tells what changed, and is deaf to everything that it knows already. So a
//! frame that comes twice, or late, changes nothing and is shown to nobody.
//!
//! The window reaches from a floor to the newest message. Below the floor the store holds nothing, and of what
//! happens there it only tells.

use std::collections::{BTreeMap, HashMap};

use edgewise_core::proto::{self, Envelope, SyncResponse, envelope::Payload};

use crate::{Message, Page, Witness};

mod change;
mod held;
#[cfg(test)]
mod tests;

pub use change::{Change, Reacted};
use held::Held;

/// The server's database was restored from an earlier time: what is held may never have happened. The client reads
/// the newest page and goes on with [`Store::reset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server was restored from an earlier time; the channel has to be read afresh")]
pub struct Restored;

/// A page of older history that does not fit any more: it was read before something happened to one of its messages,
/// or the window has changed. Read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page does not fit what is held any more")]
pub struct StalePage;

/// How many changes wait at most for a state that they apply to.
const EARLY: usize = 1_000;

/// The messages of a channel that a client holds.
#[derive(Clone, Debug, Default)]
pub struct Store {
    user_id: String,
    /// Looks at every message that comes as a frame, as of this channel where it is known.
    witness: Witness,
    channel_id: Option<String>,
    since: u64,
    floor: u64,
    messages: BTreeMap<u64, Held>,
    sequences: HashMap<String, u64>,
    /// The highest revision of a change to a message below the floor.
    below: u64,
    /// Changes to messages of the window that are not held yet, since nothing older was read: they wait for the state
    /// that they apply to, up to a bound. Beyond, a page has to be read after them.
    early: HashMap<String, Vec<(u64, Payload)>>,
}

impl Store {
    /// An empty store of a user, who is needed to know which reactions are their own. It holds whatever changes
    /// after revision `since`.
    #[must_use]
    pub fn new(user_id: impl Into<String>, since: u64) -> Self {
        Self { user_id: user_id.into(), since, ..Self::default() }
    }

    /// The same, for a channel whose messages a witness looks at who has seen others of this server before.
    #[must_use]
    pub fn of_channel(self, channel_id: impl Into<String>, witness: Witness) -> Self {
        Self { channel_id: Some(channel_id.into()), witness, ..self }
    }

    /// Drops everything and starts from the newest page of history.
    pub fn reset(&mut self, page: Page) -> Change {
        *self = Self {
            user_id: std::mem::take(&mut self.user_id),
            witness: self.witness.clone(),
            channel_id: self.channel_id.take(),
            since: page.revision,
            ..Self::default()
        };
        self.take(page);
        Change::Resynced { messages: self.messages().cloned().collect(), revision: self.since }
    }

    /// Takes the page of history just before `floor`, which was [`floor`](Self::floor) when it was asked for.
    ///
    /// # Errors
    /// [`StalePage`] where the floor has moved, or a message of the page may have changed since it was read.
    pub fn extend(&mut self, floor: u64, page: Page) -> Result<(), StalePage> {
        if floor != self.floor || page.revision < self.below {
            return Err(StalePage);
        }
        self.take(page);
        Ok(())
    }

    /// Lets go of all but the newest `limit` messages.
    pub fn trim(&mut self, limit: usize) {
        let Some(spare) = self.messages.len().checked_sub(limit).filter(|spare| *spare > 0) else { return };
        if let Some(&floor) = self.messages.keys().nth(spare) {
            let kept = self.messages.split_off(&floor);
            for dropped in self.messages.values() {
                self.sequences.remove(&dropped.message.id);
            }
            self.messages = kept;
            self.floor = floor;
            self.below = self.since;
            self.early.clear();
        }
    }

    /// Applies what the server sent: a push (120 to 124), a sync frame (142) or the end of catching up (143). Anything
    /// else, acks above all, changes nothing. What changed is told in the order in which it happened; out of a
    /// sync frame, which brings only present states, in the order of last changes.
    ///
    /// # Errors
    /// [`Restored`] where the channel's revision is below what is held.
    pub fn apply(&mut self, envelope: Envelope) -> Result<Vec<Change>, Restored> {
        let revision = envelope.revision;
        match envelope.payload {
            Some(Payload::SyncResponse(sync)) => Ok(self.sync(sync)),
            Some(Payload::CaughtUpEvent(event)) if event.revision < self.since => Err(Restored),
            Some(Payload::CaughtUpEvent(event)) => {
                self.since = event.revision;
                Ok(Vec::new())
            }
            Some(
                payload @ (Payload::NewMessageEvent(_)
                | Payload::MessageEditedEvent(_)
                | Payload::MessageDeletedEvent(_)
                | Payload::ReactionAddedEvent(_)
                | Payload::ReactionRemovedEvent(_)),
            ) if revision > self.since => {
                let change = self.push(payload, revision);
                self.since = revision;
                Ok(change.into_iter().collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The revision to reconnect with.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since
    }

    /// The lowest sequence of the window; what is older was never read.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Whose store this is.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    pub(crate) fn set_user(&mut self, user_id: String) {
        self.user_id = user_id;
    }

    /// The live messages, oldest first.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.values().map(|held| &held.message).filter(|message| !message.deleted)
    }

    /// A message by its id, a tombstone where it is deleted.
    #[must_use]
    pub fn get(&self, message_id: &str) -> Option<&Message> {
        let sequence = self.sequences.get(message_id)?;
        self.messages.get(sequence).map(|held| &held.message)
    }

    fn looked_at(&self, message: proto::ChatMessage) -> Message {
        let mut message = message.into();
        self.witness.look(self.channel_id.as_deref(), &mut message);
        message
    }

    fn take(&mut self, page: Page) {
        let lowest = page.messages.iter().map(|message| message.server_sequence).min();
        self.floor = if page.has_more { lowest.unwrap_or(self.floor) } else { 0 };
        for message in page.messages {
            let known = self.get(&message.id).map_or(0, |held| held.revision);
            if message.revision > known {
                self.hold(message);
            }
        }
    }

    fn hold(&mut self, message: Message) {
        let message_id = message.id.clone();
        self.sequences.insert(message_id.clone(), message.server_sequence);
        self.messages.insert(message.server_sequence, Held::new(message));
        // They were told when they came.
        for (revision, payload) in self.early.remove(&message_id).unwrap_or_default() {
            self.push(payload, revision);
        }
    }

    fn held(&mut self, message_id: &str) -> Option<&mut Held> {
        let sequence = self.sequences.get(message_id)?;
        self.messages.get_mut(sequence)
    }

    fn sync(&mut self, sync: SyncResponse) -> Vec<Change> {
        let mut changes = Vec::new();
        for message in sync.messages {
            let message = self.looked_at(message);
            changes.extend(self.state(message));
        }
        self.since = self.since.max(sync.revision);
        changes
    }

    /// A message's present state, complete.
    fn state(&mut self, message: Message) -> Vec<Change> {
        if let Some(held) = self.held(&message.id) {
            return held.replace(message);
        }
        if message.server_sequence < self.floor {
            if message.revision <= self.since {
                return Vec::new();
            }
            self.below = self.below.max(message.revision);
            return vec![if message.deleted {
                Change::Deleted { message, before: None, by: None }
            } else {
                Change::Touched { message }
            }];
        }
        let message_id = message.id.clone();
        self.hold(message);
        // What came and went unseen is no news; its tombstone stays, so that no late state brings it back.
        let message = self.get(&message_id).filter(|message| !message.deleted).cloned();
        message.map(|message| Change::Created { message }).into_iter().collect()
    }

    /// One change, whatever it is.
    fn push(&mut self, payload: Payload, revision: u64) -> Option<Change> {
        self.keep_early(&payload, revision);
        match payload {
            Payload::NewMessageEvent(event) => self.created(event, revision),
            Payload::MessageEditedEvent(event) => self.edited(event, revision),
            Payload::MessageDeletedEvent(event) => self.deleted(event, revision),
            Payload::ReactionAddedEvent(event) => {
                let proto::Reaction { message_id, emoji, user_id, .. } = event.reaction?;
                let reacted = Reacted::by(user_id, message_id, emoji, event.count, revision);
                self.reaction(reacted, Held::react).map(Change::ReactionAdded)
            }
            Payload::ReactionRemovedEvent(event) => {
                let proto::ReactionRemovedEvent { message_id, emoji, user_id, count, .. } = event;
                let reacted = Reacted::by(user_id, message_id, emoji, count, revision);
                self.reaction(reacted, Held::unreact).map(Change::ReactionRemoved)
            }
            _ => None,
        }
    }

    /// Remembers a change to a message that is not held.
    fn keep_early(&mut self, payload: &Payload, revision: u64) {
        let message_id = match payload {
            Payload::MessageEditedEvent(event) => Some(&event.message_id),
            Payload::ReactionAddedEvent(event) => {
                event.reaction.as_ref().map(|reaction| &reaction.message_id)
            }
            Payload::ReactionRemovedEvent(event) => Some(&event.message_id),
            _ => None,
        };
        let Some(message_id) = message_id.filter(|id| !self.sequences.contains_key(*id)) else { return };
        if self.floor > 0 {
            self.below = revision;
        } else {
            if self.early.values().map(Vec::len).sum::<usize>() >= EARLY {
                self.early.clear();
                self.below = revision;
            }
            self.early.entry(message_id.clone()).or_default().push((revision, payload.clone()));
        }
    }

    fn created(&mut self, event: proto::NewMessageEvent, revision: u64) -> Option<Change> {
        let message = self.looked_at(proto::ChatMessage { revision, ..event.message? });
        if self.get(&message.id).is_some() {
            return None;
        }
        self.hold(message.clone());
        Some(Change::Created { message })
    }

    fn edited(&mut self, event: proto::MessageEditedEvent, revision: u64) -> Option<Change> {
        let message = self.looked_at(proto::ChatMessage { revision, ..event.message? });
        match self.held(&message.id) {
            Some(held) => held.edit(message),
            None => Some(Change::Edited { message, before: None }),
        }
    }

    fn deleted(&mut self, event: proto::MessageDeletedEvent, revision: u64) -> Option<Change> {
        let by = Some(event.deleted_by);
        if let Some(held) = self.held(&event.message_id) {
            return held.delete(revision, by);
        }
        let message = Message {
            id: event.message_id,
            channel_id: event.channel_id,
            server_sequence: event.server_sequence,
            revision,
            deleted: true,
            ..Message::default()
        };
        if message.server_sequence >= self.floor {
            self.hold(message.clone());
        } else {
            self.below = revision;
        }
        Some(Change::Deleted { message, before: None, by })
    }

    fn reaction(
        &mut self,
        mut reacted: Reacted,
        apply: fn(&mut Held, &Reacted, bool) -> bool,
    ) -> Option<Reacted> {
        let own = reacted.user_id.as_deref() == Some(self.user_id.as_str());
        if let Some(held) = self.held(&reacted.message_id) {
            if !apply(held, &reacted, own) {
                return None;
            }
            reacted.message = Some(held.message.clone());
        }
        Some(reacted)
    }
}
