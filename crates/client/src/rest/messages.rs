//! Messages: send, read, edit, delete, and what changed.

use base64::{Engine, engine::general_purpose::STANDARD};
use edgewise_core::{
    ids::ChannelId,
    proto::{ChatMessage, GossipEnvelope},
};
use prost::Message as _;
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Changes, Client, Error, Message, Page,
    client::{Call, Repeat},
};

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Draft {
    /// Content of this client's own; signed on its way where the client has a [`Signer`](crate::Signer).
    Plain {
        /// 1 to 4,000 Unicode scalar values after trimming.
        content: String,
        /// The message it answers.
        reply_to_id: Option<String>,
        /// The client's name for this send, 1 to 64 characters: sent twice under one name, it happens once.
        /// Where there is none, one is made up.
        nonce: Option<String>,
    },
    /// A signed `GossipEnvelope`, encoded; its signature makes it safe to repeat.
    Signed(Vec<u8>),
}

impl Draft {
    /// Content alone.
    pub fn new(content: impl Into<String>) -> Self {
        Self::Plain { content: content.into(), reply_to_id: None, nonce: None }
    }

    /// In answer to a message. A signed draft says so itself and stays as it is.
    #[must_use]
    pub fn reply_to(mut self, message_id: impl Into<String>) -> Self {
        if let Self::Plain { reply_to_id, .. } = &mut self {
            *reply_to_id = Some(message_id.into());
        }
        self
    }

    /// Under a name of the caller's own. A signed draft says so itself and stays as it is.
    #[must_use]
    pub fn with_nonce(mut self, name: impl Into<String>) -> Self {
        if let Self::Plain { nonce, .. } = &mut self {
            *nonce = Some(name.into());
        }
        self
    }

    /// With a made-up nonce where it has none, so that it can be repeated.
    #[must_use]
    pub(crate) fn named(mut self) -> Self {
        if let Self::Plain { nonce: nonce @ None, .. } = &mut self {
            *nonce = Some(Uuid::new_v4().to_string());
        }
        self
    }
}

impl<T: Into<String>> From<T> for Draft {
    fn from(content: T) -> Self {
        Self::new(content)
    }
}

/// The new content of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Content of this client's own; signed on its way where the client has a [`Signer`](crate::Signer).
    Plain(String),
    /// A signed `GossipEnvelope` of type `CHAT_EDIT`, encoded.
    Signed(Vec<u8>),
}

impl<T: Into<String>> From<T> for Edit {
    fn from(content: T) -> Self {
        Self::Plain(content.into())
    }
}

/// A message that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The message in its present state.
    pub message: Message,
    /// Whether it had been sent before under the same nonce, or with the same signature.
    pub replayed: bool,
}

/// Which page of a channel's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// The last page.
    #[default]
    Newest,
    /// The messages just before a `server_sequence`.
    Before(u64),
    /// The messages just after a `server_sequence`.
    After(u64),
    /// A `server_sequence` with what is around it.
    Around(u64),
}

impl Client {
    /// Sends a message. Repeated under its nonce where the network or the server fails, it is sent once.
    ///
    /// # Errors
    /// [`Error::Problem`] where the server refuses, for instance `CONTENT_TOO_LONG`, `REPLY_TARGET_NOT_FOUND`,
    /// `NONCE_REUSED`, `FORBIDDEN`, `RATE_LIMITED`; [`Error::Network`] where it is not reached.
    pub async fn send(&self, channel_id: &str, draft: impl Into<Draft>) -> Result<Sent, Error> {
        let body = match self.sign(channel_id, draft.into().named()) {
            Draft::Plain { content, reply_to_id, nonce } => {
                json!({"content": content, "reply_to_id": reply_to_id, "nonce": nonce})
            }
            Draft::Signed(envelope) => json!({"envelope": STANDARD.encode(envelope)}),
        };
        let call = Call::api(Method::POST, &["channels", channel_id, "messages"]).body(body);
        let answer = self.call(&call).await?;
        let replayed = answer.status == StatusCode::OK || answer.headers.contains_key("idempotency-replayed");
        Ok(Sent { message: self.looked_at(channel_id, answer.json()?), replayed })
    }

    /// A page of history; `limit` is 1 to 100, 50 where none is given.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CHANNEL_NOT_FOUND`, `QUERY_INVALID`; [`Error::Network`].
    pub async fn history(
        &self,
        channel_id: &str,
        position: Position,
        limit: Option<u32>,
    ) -> Result<Page, Error> {
        let call = Call::api(Method::GET, &["channels", channel_id, "messages"]).query("limit", limit);
        let call = match position {
            Position::Newest => call,
            Position::Before(sequence) => call.query("before", Some(sequence)),
            Position::After(sequence) => call.query("after", Some(sequence)),
            Position::Around(sequence) => call.query("around", Some(sequence)),
        };
        let mut page: Page = self.call(&call).await?.json()?;
        // Oldest first: an edit is told from what it replaces.
        page.messages.iter_mut().rev().for_each(|message| self.witness.look(Some(channel_id), message));
        Ok(page)
    }

    /// One message.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `MESSAGE_NOT_FOUND`; [`Error::Network`].
    pub async fn message(&self, channel_id: &str, message_id: &str) -> Result<Message, Error> {
        let call = Call::api(Method::GET, &["channels", channel_id, "messages", message_id]);
        Ok(self.looked_at(channel_id, self.call(&call).await?.json()?))
    }

    /// Replaces a message's content. Only its sender may.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `MESSAGE_NOT_FOUND`, `FORBIDDEN`; [`Error::Network`].
    pub async fn edit(
        &self,
        channel_id: &str,
        message_id: &str,
        edit: impl Into<Edit>,
    ) -> Result<Message, Error> {
        let edit = edit.into();
        let signed = self.sign_edit(channel_id, message_id, edit.clone(), 0);
        match self.put(channel_id, message_id, &signed).await {
            // Another device of the same author has a clock that is ahead of this one's.
            Err(error) if error.code() == Some("ENVELOPE_STALE") && signed != edit => {
                let after = signed_at(&self.message(channel_id, message_id).await?);
                let signed = self.sign_edit(channel_id, message_id, edit, after);
                self.put(channel_id, message_id, &signed).await
            }
            answer => answer,
        }
    }

    async fn put(&self, channel_id: &str, message_id: &str, edit: &Edit) -> Result<Message, Error> {
        let body = match edit {
            Edit::Plain(content) => json!({"content": content}),
            Edit::Signed(envelope) => json!({"envelope": STANDARD.encode(envelope)}),
        };
        let call = Call::api(Method::PUT, &["channels", channel_id, "messages", message_id]).body(body);
        Ok(self.looked_at(channel_id, self.call(&call).await?.json()?))
    }

    /// Deletes a message. Its sender may, and who may manage messages.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `MESSAGE_NOT_FOUND` where it is deleted already; [`Error::Network`].
    pub async fn delete(&self, channel_id: &str, message_id: &str) -> Result<(), Error> {
        let call = Call::api(Method::DELETE, &["channels", channel_id, "messages", message_id])
            .repeat(Repeat::DoneAt("MESSAGE_NOT_FOUND"));
        self.call(&call).await.map(drop)
    }

    /// The present state of every message changed after a revision; `limit` is 1 to 200, 100 where none is given.
    /// Goes on from the answer's `revision` while it `has_more`.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CHANNEL_NOT_FOUND`, `QUERY_INVALID`; [`Error::Network`].
    pub async fn changes(&self, channel_id: &str, since: u64, limit: Option<u32>) -> Result<Changes, Error> {
        let call = Call::api(Method::GET, &["channels", channel_id, "changes"])
            .query("since", Some(since))
            .query("limit", limit);
        let mut changes: Changes = self.call(&call).await?.json()?;
        changes.messages.iter_mut().for_each(|message| self.witness.look(Some(channel_id), message));
        Ok(changes)
    }

    pub(crate) fn looked_at(&self, channel_id: &str, mut message: Message) -> Message {
        self.witness.look(Some(channel_id), &mut message);
        message
    }

    /// Signs a draft where there is a key to sign it with.
    pub(crate) fn sign(&self, channel_id: &str, draft: Draft) -> Draft {
        match (&self.signer, draft) {
            (Some(signer), Draft::Plain { content, reply_to_id, nonce }) => {
                let message = ChatMessage {
                    channel_id: channel_id.to_lowercase(),
                    content: content.trim().to_owned(),
                    reply_to_id: reply_to_id.map(|id| id.to_lowercase()),
                    nonce: nonce.unwrap_or_default(),
                    ..ChatMessage::default()
                };
                Draft::Signed(signer.message(self.topic(channel_id), &message))
            }
            (_, draft) => draft,
        }
    }

    /// Signs an edit where there is a key to sign it with, later than `after`.
    pub(crate) fn sign_edit(&self, channel_id: &str, message_id: &str, edit: Edit, after: u64) -> Edit {
        match (&self.signer, edit) {
            (Some(signer), Edit::Plain(content)) => {
                let message = ChatMessage {
                    id: message_id.to_lowercase(),
                    channel_id: channel_id.to_lowercase(),
                    content: content.trim().to_owned(),
                    ..ChatMessage::default()
                };
                Edit::Signed(signer.edit(self.topic(channel_id), &message, after))
            }
            (_, edit) => edit,
        }
    }

    fn topic(&self, channel_id: &str) -> String {
        // Where it is no channel's id, the server says so.
        ChannelId::parse(channel_id).map(|id| self.witness.network().topic(id)).unwrap_or_default()
    }
}

/// When its author says that a message's newest envelope was signed; 0 where it has none.
pub(crate) fn signed_at(message: &Message) -> u64 {
    let envelope = message.envelope.as_deref().and_then(|bytes| GossipEnvelope::decode(bytes).ok());
    envelope.map_or(0, |envelope| envelope.timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plain_draft_gets_a_name_once() {
        let Draft::Plain { nonce: Some(made_up), .. } = Draft::from("hi").named() else { panic!() };
        assert_eq!(made_up.len(), 36);
        let own = Draft::new("hi").with_nonce("mine");
        assert_eq!(own.clone().named(), own);
        assert_eq!(Draft::Signed(vec![1]).with_nonce("x").reply_to("y").named(), Draft::Signed(vec![1]));
    }
}
